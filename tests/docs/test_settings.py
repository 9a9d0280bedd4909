"""The tables of settings in docs/approval-models.md: every key there is, and its default."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Any

import pytest

from cipsec.errors import Malformed
from cipsec.pki import extraction
from cipsec.ra import config, renewals, rules
from cipsec.ra.notify import config as channels
from cipsec.ra.notify.channels import DEFAULT_EVENTS
from cipsec.ra.vendors import settings
from cipsec.store.codes import Code

from .reading import sections
from .test_examples import DOCUMENT

_TABLES = {section.title: section.rows for section in sections(DOCUMENT) if section.rows}
_COMMON = "[[channel]]"
_TYPE = "[[channel]] of type "
_SERVER = "[server], the keys about approval"
_VENDOR = "vendors/NAME.toml"
_RENEWAL = "[renewal]"

# The least that loads of each table; other keys are put beside it.
_LEAST: dict[str, Mapping[str, Any]] = {
    "[[rule]]": {"name": "r", "when": {"own": True}, "then": "ask"},
    "[[identity]]": {"name": "i", "selector": "subject:OU", "pattern": "(?P<mac>[0-9a-f:]{17})"},
    _COMMON: {
        "name": "c",
        "type": "email",
        "server": "mail.example",
        "from": "a@b.example",
        "to": ["c@d.example"],
    },
    f"{_TYPE}webhook": {"name": "c", "type": "webhook", "url": "https://a.example/"},
    f"{_TYPE}command": {"name": "c", "type": "command", "command": ["/bin/true"]},
    f"{_TYPE}syslog": {"name": "c", "type": "syslog", "server": "a.example"},
    f"{_TYPE}file": {"name": "c", "type": "file", "path": "a.jsonl"},
    f"{_TYPE}apprise": {"name": "c", "type": "apprise", "urls_file": "a"},
    _VENDOR: {},
    _RENEWAL: {},
    _SERVER: {},
}
_LEAST[f"{_TYPE}email"] = _LEAST[_COMMON]
_RULE = {"name": "anyone", "when": {"anyone": True}, "then": "ask"}


def _load(title: str, table: Mapping[str, Any]) -> object:
    """Return what the parser in charge makes of one table."""
    match title:
        case "[[rule]]":
            return rules.parse_rules([table])
        case "[[identity]]":
            [rule] = extraction.parse_rules([table])
            return [getattr(rule, name) for name in rule.__slots__]
        case "[renewal]":
            return renewals.parse_renewals(table)
        case "vendors/NAME.toml":
            return settings.parse(_toml(table).encode(), "it")
        case "[server], the keys about approval":
            return config.parse(f"[server]\n{_toml(table)}\n[[rule]]\n{_toml(_RULE)}".encode())
        case _:
            return channels.parse_channels([table])


def _toml(table: Mapping[str, Any]) -> str:
    return "\n".join(f"{key} = {_value(value)}" for key, value in table.items())


def _value(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{ " + ", ".join(f"{k} = {_value(v)}" for k, v in value.items()) + " }"
        case _:
            return repr(value)


def _known() -> dict[str, set[str]]:
    """Return the keys that the parsers know, by table."""
    common = {"name", "type", "events", "digest"}
    of_types = {f"{_TYPE}{kind}": set(keys) for kind, (keys, _) in channels._TARGETS.items()}
    return of_types | {
        "[[rule]]": rules._KEYS,
        "Conditions in `when`": set(rules._CONDITIONS),
        "[[identity]]": extraction._KEYS | extraction._PRESET_KEYS,
        _COMMON: common,
        _RENEWAL: renewals.KEYS,
        _VENDOR: {"vendor_ids", *settings.SWITCHES},
    }


@pytest.mark.parametrize("title", _known())
def test_keys(title: str) -> None:
    """The table has each key that the parser knows, once, and no other."""
    keys = [row[0].strip("`") for row in _TABLES[title]]
    assert sorted(keys) == sorted(_known()[title])


def _rows() -> list[tuple[str, str, str]]:
    titles = [title for title in _TABLES if title in _LEAST]
    return [(title, row[0].strip("`"), row[2]) for title in titles for row in _TABLES[title]]


@pytest.mark.parametrize(("title", "key", "default"), _rows())
def test_default(title: str, key: str, default: str) -> None:
    """A default written out changes nothing; what is required is missed; the rest may be absent."""
    least = dict(_LEAST[title])
    written = re.match(r"`([^`]+)`", default)
    if written:
        value = tomllib.loads(f"it = {written[1]}")["it"]
        without = {k: v for k, v in least.items() if k != key}
        assert _load(title, without | {key: value}) == _load(title, without)
    elif default == "required":
        del least[key]
        with pytest.raises(Malformed):
            _load(title, least)
    else:
        assert default.partition(":")[0] == "none"
        assert key not in least
        _load(title, least)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (row[0].strip("`"), value)
        for row in _TABLES["Conditions in `when`"]
        for value in re.findall(r"`([^`]+)`", row[1])
    ],
)
def test_conditions(key: str, value: str) -> None:
    """The values shown for a condition load."""
    when = tomllib.loads(f"it = {value}")["it"]
    rules.parse_rules([{"name": "r", "when": {key: when}, "then": "ask"}])


def test_events() -> None:
    """A channel can name whatever the log holds; the first that are shown it tells anyway."""
    events = [row[0].strip("`") for row in _TABLES["Who is told"]]
    assert set(events) < channels._EVENTS == set(Code) - {Code.TEST}
    assert set(events[:7]) == DEFAULT_EVENTS


def test_presets() -> None:
    """Every preset is named, and which of them apply by default."""
    text = re.search(r"\*\*Presets:\*\*(.*?)\n\n", DOCUMENT.read_text(), re.DOTALL)
    assert text
    assert re.findall(r"`([a-z]+-[a-z]+)`", text[1]) == list(extraction.PRESETS)
    assert len(extraction.DEFAULT) == 5
