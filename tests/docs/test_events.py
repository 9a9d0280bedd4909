"""docs/events.md against the code: every event there is, its fields, its severity; the chain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cipsec.ra.notify import words
from cipsec.ra.notify.message import Told
from cipsec.ra.notify.syslog import entry
from cipsec.store import chain, verification
from cipsec.store.codes import Code
from cipsec.store.events import Event

from .reading import sections

DOCUMENT = Path(__file__).parents[2] / "docs" / "events.md"
_TABLES = {section.title: section.rows for section in sections(DOCUMENT) if section.rows}
_EVENTS = {row[0].strip("`"): row for row in _TABLES["Names of events"]}
_SEVERITIES = {"error": 3, "warning": 4, "notice": 5, "info": 6}


def test_every_event_is_documented() -> None:
    """And none that is not there; mypy holds the rest of the code to these names."""
    assert list(_EVENTS) == list(Code)


@pytest.mark.parametrize("code", Code)
def test_severity(code: Code) -> None:
    """As a syslog message has it."""
    message = entry(Told(1, Event(0, code, "x")), 0, "host").decode()
    priority = re.match(r"<(\d+)>1 .* cipsec \d+ (\S+) ", message)
    assert priority
    assert (int(priority[1]), priority[2]) == (_SEVERITIES[_EVENTS[code][4]], code)


@pytest.mark.parametrize("code", Code)
def test_fields(code: Code) -> None:
    """They are fields of an event, in their order."""
    named = re.findall(r"`([a-z]+)`", _EVENTS[code][3])
    assert named == [name for name in chain.FIELDS[3:] if name in named]
    assert "reason" in named


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.TEST])
def test_no_event_is_told_by_its_name_alone(code: Code) -> None:
    """A mail says it in words."""
    assert words._said(code) != code


def test_the_order_of_what_is_hashed() -> None:
    """As the list below "The chain" has it."""
    text = DOCUMENT.read_text()
    listed = re.search(r"^4\. (.*?), in this order", text, re.MULTILINE)
    assert listed
    assert ("at", *re.findall(r"`([a-z]+)`", listed[1])) == chain.FIELDS


def test_kinds_of_findings() -> None:
    """Every kind that verification tells."""
    source = Path(verification.__file__).read_text()
    told = set(re.findall(r'_find\(\w+(?: \+ 1)?, "([a-z]+)"', source))
    assert {row[0].strip("`") for row in _TABLES["Verifying it"]} == told
