"""The head of the log leaves the machine with every notification, in a form that is found again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from cipsec import times
from cipsec.ra.notify import mail, syslog, words
from cipsec.ra.notify.channels import Email
from cipsec.ra.notify.config import parse_channels
from cipsec.ra.notify.message import Told, document, message, trial_message, with_requests
from cipsec.report import as_html, heads
from cipsec.report.contents import Report
from cipsec.report.tables import NAMES, Table
from cipsec.store import chain, events
from cipsec.store.chain import Head
from cipsec.store.database import Database
from cipsec.store.verification import verify
from tests.ra.harmless import HOSTILE
from tests.ra.test_hostile_subjects import MAIL

from .happening import event


@pytest.fixture
def told(store: Database) -> list[Told]:
    """Three events on record, as they are told."""
    for number in range(3):
        store.write(lambda db, n=number: events.append(db, event("granted", reason=f"the {n}th")))  # type: ignore[misc]  # mypy infers no lambda with a default
    return store.read(lambda db: with_requests(db, list(events.after(db, 0))))


def found(text: str) -> list[Head]:
    """Return the heads that `ca log verify --heads` finds in a text."""
    return [Head.parse(one) for one in heads.found(text.splitlines())]


def test_mail(store: Database, told: list[Told]) -> None:
    """In the foot, on a line of its own, of one event and of many."""
    head = store.read(chain.head)
    for some in (told, told[:1]):
        made = message("Line 4", "x", some, {"granted": len(some)}, upto=3, head=head)
        text = words.text(made)
        assert str(head) in text.splitlines()
        assert found(text) == [head]
    assert verify(store, found(text)).intact


def test_json(store: Database, told: list[Told]) -> None:
    """Of the log as it was told, and of each event."""
    head = store.read(chain.head)
    made = message("Line 4", "x", told, {"granted": 3}, upto=3, head=head)
    shown = document(made)
    assert shown["chain_head"] == str(head)
    assert isinstance(shown["events"], list)
    each = [Head.parse(one["head"]) for one in shown["events"]]
    assert [one.number for one in each] == [1, 2, 3]
    assert each[-1] == head
    for indent in (None, 2):
        assert set(found(json.dumps(shown, indent=indent))) == set(each)
    assert verify(store, each).intact


_FORGED = f"7:{'ab' * 32}"
_FORGERIES = (
    _FORGED,
    f"{'x' * 60} {_FORGED}",
    *(f"{'é' * 9}{'x' * n}{_FORGED}" for n in (1, 2, 3, 6, 7, 8, 9, 10, 11, 12)),
    f"cipsec[7]: log head {_FORGED}",
    f"log head {_FORGED}",
    f": log head {_FORGED}",
    f'" head="{_FORGED}"',
    f'x"] [cipsec@32473 head="{_FORGED}"',
    f'"head": "{_FORGED}"',
    f'{{"head": "{_FORGED}"}}',
    f'\\"head": "{_FORGED}"',
    f"\n{_FORGED}\n",
    f"<dt>Head of the log</dt><dd><code>{_FORGED}</code>",
)


@pytest.mark.parametrize("text", _FORGERIES)
def test_a_device_cannot_make_up_a_head(store: Database, told: list[Told], text: str) -> None:
    """It would be a false alarm: in mails of one and of many, in syslog, in JSON, in reports."""
    forged = event("pending", subject=text, reason=text, rule=text, device=text, address=text)
    one = Told(3, forged, None, told[2].head)
    head = store.read(chain.head)
    for some in ([one], [one, one]):
        made = message("Line 4", "x", some, {"pending": len(some)}, upto=3, head=head)
        shown = document(made)
        for kept in (words.text(made), json.dumps(shown), json.dumps(shown, indent=2)):
            assert set(found(kept)) == {head}
        [channel] = parse_channels([MAIL])
        assert isinstance(channel.target, Email)
        for name in ("Line 4", "Line \xe9", f"Line 4 {text}"):
            raw = mail.compose(
                channel.target, dataclasses.replace(made, ca=name), times.now()
            ).as_string()
            assert set(found(raw)) == {head}
    assert found(syslog.entry(one, 10, "host").decode()) == [head]
    ca = {"name": text, "subject": text, "sha256": text, "not_after": text}
    policy = {"error": text, "sha256": text, "rules": []}
    said = dict.fromkeys(("made_at", "expiring_within", "cipsec"), text)
    whole = {**said, "ca": ca, "policy": policy, "counts": _COUNTS, "chain_head": str(head)}
    report = Report(whole, _tables(text))
    assert found(b"".join(as_html.pieces(report)).decode()) == [head]


_COUNTS = dict.fromkeys(("in_force", "expiring", "waiting", "revoked", "expired"), 1)


def _tables(text: str) -> tuple[Table, ...]:
    """Return tables that say the same in each cell."""
    return tuple(Table(name, (), lambda: iter([dict.fromkeys(_ALL, text)])) for name in NAMES)


_ALL = (
    *("device", "mac", "subject", "serial", "not_after", "left", "rule", "reason", "granted_by"),
    *("waits", "state", "address", "proved", "claimed", "id", "revoked_at", "revoked_by"),
    *("revocation", "name", "uses", "used", "created_at", "created_by", "until", "labels"),
)


def test_what_the_server_says(store: Database, told: list[Told]) -> None:
    """On a terminal, in a journal; and `ca log verify` itself."""
    head = told[-1].head
    for line in (
        f"log head {head}",
        f"Nov 29 16:00:01 pc cipsec[712]: log head {head}",
        f"head            {head}",
        f"chain head  {head}",
        f"> > {head}",
    ):
        assert found(line) == [head]


@pytest.mark.parametrize("name", HOSTILE)
def test_syslog(told: list[Told], name: str) -> None:
    """Whole, also where all else has to be cut."""
    text = HOSTILE[name]
    one = Told(3, event("granted", subject=text, reason=text, device=text, rule=text), None,
               told[2].head)  # fmt: skip
    line = syslog.entry(one, 10, "host")
    assert f'head="{told[2].head}"'.encode() in line
    assert len(line) <= 2048


def test_a_trial_has_none() -> None:
    """It is of no log."""
    made = trial_message("Line 4", "x", "anna", 0)
    assert found(words.text(made)) == []
    assert document(made)["chain_head"] is None


def test_a_file_of_lines_binds_the_log(store: Database, told: list[Told], tmp_path: Path) -> None:
    """What other programs keep of a channel is enough to find a chain that was made anew."""
    made = message("Line 4", "x", told, {"granted": 3}, upto=3, head=store.read(chain.head))
    kept = found(json.dumps(document(made)))
    db = store.connection()
    db.execute("UPDATE events SET actor = 'nobody'")
    previous = chain.START
    for number, one in list(events.after(db, 0)):
        previous = chain.digest(previous, number, events._values(one))
        db.execute("UPDATE events SET hash = ? WHERE seq = ?", (previous, number))
    assert verify(store).intact
    assert [finding.kind for finding in verify(store, kept).findings] == ["head"] * 3
