"""Keys and what they do: to what is chosen and shown, and to nothing else."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from textual import events

from cipsec import times
from cipsec._cli import exits
from cipsec.ca_folder import CaFolder
from cipsec.ra import queue
from cipsec.ra.queue import Verdict
from cipsec.store import certificates, database, requests
from cipsec.store.requests import RequestRow, State
from tests.support import ca

from . import stage
from .stage import Stage, perform

_KEYS = {"/": "slash", " ": "space"}


def _three(folder: CaFolder) -> None:
    stage.wait(folder, *(stage.request(n) for n in (1, 2, 3)))


def _decide(folder: CaFolder, number: int, state: State, by: str) -> None:
    """Decide as another administrator at another terminal would."""
    with closing(folder.store()) as other:
        row = stage.row_of(folder, f"{number:064x}")
        other.write(lambda db: queue.decide(db, row, Verdict(state, by), times.now()))


def test_approve(ca_folder: CaFolder) -> None:
    """The one that is chosen, after a yes; the device has its certificate at the next poll."""
    asked = ca.request("CN=Drive 7")
    identifier = ca.ask(ca_folder, asked)

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 7", "> ")
        await on.press("a")
        shown = await on.see(f"Approve the request {identifier[:12]}?")
        assert "subject  CN=Drive 7" in shown
        await on.press("y")
        await on.see("approved (approved by anna); issued when the device asks next")
        await on.see("STATE    approved by anna at ")
        await on.press("q")

    assert perform(ca_folder, play).return_code == 0
    assert stage.states(ca_folder) == {"CN=Drive 7": "approved"}
    ca.receive(ca_folder, asked)


def test_reject_with_a_note(ca_folder: CaFolder) -> None:
    """The note is shown with the question and kept with the decision."""
    _three(ca_folder)

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 3")
        await on.press("down", "n", *"not ours", "enter")
        await on.see("note     not ours (yours, not on record yet)")
        await on.press("r")
        await on.see("Reject the request 000000000000?", "not ours")
        await on.press("y")
        await on.see("rejected (not ours)")
        await on.see("STATE    rejected by anna at ", without="not on record yet")

    perform(ca_folder, play)
    row = stage.row_of(ca_folder, f"{2:064x}")
    assert (row.state, row.decided_by, row.note) == ("rejected", "anna", "not ours")
    assert set(stage.states(ca_folder).values()) == {"pending", "rejected"}


@pytest.mark.parametrize("key", ["n", "escape", "q", "c"])
def test_no_is_no(ca_folder: CaFolder, key: str) -> None:
    """By any of the usual keys, and others say nothing."""
    _three(ca_folder)

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 3")
        await on.press("a")
        await on.see("Approve the request")
        await on.press("a", "r", "x", "enter")
        await on.see("Approve the request")
        await on.press(key)
        await on.see("nothing was decided")

    perform(ca_folder, play)
    assert set(stage.states(ca_folder).values()) == {"pending"}


def test_a_note_that_is_left(ca_folder: CaFolder) -> None:
    """Esc keeps what was noted before; the keys that are typed decide nothing."""
    _three(ca_folder)

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 3")
        await on.press("n", *"aryq", "tab", "escape")
        await on.see("CN=Drive 1", without="aryq")
        await on.press("n", *"ary", "enter")
        await on.see("note     ary")

    perform(ca_folder, play)
    assert set(stage.states(ca_folder).values()) == {"pending"}


def test_live_arrival(ca_folder: CaFolder) -> None:
    """A request appears by itself, and what is chosen stays where it is."""
    _three(ca_folder)

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 3")
        await on.press("down")
        before = on.chosen[10:]
        place = on.screen.splitlines().index(on.chosen)
        stage.wait(ca_folder, stage.request(4), stage.request(0))
        shown = await on.see("CN=Drive 4", "CN=Drive 0", "Waiting 5")
        assert on.chosen[10:] == before
        # One came before it, and there is room for all: the list begins with it.
        assert shown.splitlines().index(on.chosen) == place + 1

    perform(ca_folder, play)


def test_nothing_jumps_under_a_key(ca_folder: CaFolder) -> None:
    """What is chosen is decided by another: `a` tells so, and does not fall on the neighbour."""
    _three(ca_folder)

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 3")
        await on.press("down")
        _decide(ca_folder, 2, State.REJECTED, "bob")
        await on.see("> gone", "STATE    rejected by bob at ")
        assert "CN=Drive 2" in on.chosen
        await on.press("a")
        await on.see("000000000000 is as before: already rejected by bob at ")
        await on.press("down")
        assert "CN=Drive 3" in on.chosen
        await on.see("CN=Drive 1", without="CN=Drive 2")

    perform(ca_folder, play)
    assert stage.states(ca_folder) == {
        "CN=Drive 1": "pending",
        "CN=Drive 2": "rejected",
        "CN=Drive 3": "pending",
    }


def test_two_administrators_at_once(ca_folder: CaFolder) -> None:
    """The second, who has the question before him, reads what the first did."""
    _three(ca_folder)

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 3")
        await on.press("a")
        await on.see("Approve the request")
        _decide(ca_folder, 1, State.REJECTED, "bob")
        await on.press("y")
        await on.see("is as before: already rejected by bob at ")

    perform(ca_folder, play)
    assert stage.row_of(ca_folder, f"{1:064x}").decided_by == "bob"


def test_what_changes_under_the_question(ca_folder: CaFolder) -> None:
    """A request that waits again, and replaces another now, was not what the person saw."""
    stage.wait(ca_folder, stage.request(1, replaces="01"))

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 1")
        await on.press("a")
        await on.see("approve and revoke the old")
        with closing(ca_folder.store()) as other:
            row = stage.request(1, replaces="02")
            again = other.write(lambda db: requests.reopen(db, row, State.PENDING))
        assert again
        await on.press("o")
        await on.see("is as before: it has changed since it was shown")

    perform(ca_folder, play)
    assert stage.row_of(ca_folder, f"{1:064x}").state == "pending"


@pytest.mark.parametrize(("key", "revokes"), [("o", 1), ("k", 0)])
def test_a_replacement(ca_folder: CaFolder, key: str, revokes: int) -> None:
    """Approving it asks what becomes of the old certificate; `y` is no answer to that."""
    old = stage.certificate(
        "0badcafe",
        ends=stage.NOW + timedelta(days=90),
        subject="CN=Old",
        der=ca_folder.certificate().public_bytes(Encoding.DER),
    )
    with closing(ca_folder.store()) as store:
        store.write(lambda db: certificates.insert(db, old))
    stage.wait(ca_folder, stage.request(1, replaces="0badcafe"))

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 1", "CN=Old")
        await on.press("a")
        await on.see("CN=Old", "o approve and revoke the old  k approve and keep both  n no")
        await on.press("y")
        await on.press(key)
        await on.see("approved (approved by anna")

    perform(ca_folder, play)
    row = stage.row_of(ca_folder, f"{1:064x}")
    assert (row.state, row.revokes) == ("approved", revokes)


def test_two_person_approval(ca_folder: CaFolder) -> None:
    """It goes on waiting until another agrees; who agrees already is told so."""
    stage.wait(ca_folder, stage.request(1, approvals=2))

    async def anna(on: Stage) -> None:
        await on.see("agreed   0 of 2 administrators: nobody yet")
        await on.press("a", "y")
        await on.see("anna agrees: 1 of 2 administrators", "1 of 2 administrators: anna")
        await on.press("a", "y")
        await on.see("anna agrees already; another administrator has to")

    async def bob(on: Stage) -> None:
        await on.see("agreed   1 of 2 administrators: anna")
        await on.press("a", "y")
        await on.see("approved (approved by bob)")

    perform(ca_folder, anna)
    perform(ca_folder, bob, actor="bob")
    assert stage.row_of(ca_folder, f"{1:064x}").decided_by == "anna, bob"


def test_two_persons_agree_to_the_same(ca_folder: CaFolder) -> None:
    """Who would keep what the other would revoke is told so, and nothing is decided."""
    stage.wait(ca_folder, stage.request(1, approvals=2, replaces="0badcafe"))

    async def anna(on: Stage) -> None:
        await on.see("0 of 2 administrators: nobody yet")
        await on.press("a", "o")
        await on.see("1 of 2 administrators: anna (revoke the old)")

    async def bob(on: Stage) -> None:
        await on.see("1 of 2 administrators: anna (revoke the old)")
        await on.press("a", "k")
        await on.see("is as before: anna agrees with --replace")
        await on.press("a", "o")
        await on.see("approved (approved by bob; revokes certificate 0badcafe")

    perform(ca_folder, anna)
    perform(ca_folder, bob, actor="bob")
    row = stage.row_of(ca_folder, f"{1:064x}")
    assert (row.state, row.decided_by, row.revokes) == ("approved", "anna, bob", 1)


def test_filter(ca_folder: CaFolder) -> None:
    """It works while it is typed, stays after Enter, and Esc lists everything again."""
    _three(ca_folder)

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 1")
        await on.press("slash", *"drive 2")
        await on.see("filter: drive 2", "CN=Drive 2", without="CN=Drive 1")
        await on.press("enter", "a")
        await on.see("Approve the request", "CN=Drive 2")
        await on.press("y")
        await on.see("approved (approved by anna)")
        await on.press("slash", "x", "escape")
        await on.see("CN=Drive 1", "CN=Drive 3", without="filter:")

    perform(ca_folder, play)
    assert stage.states(ca_folder)["CN=Drive 2"] == "approved"
    assert stage.states(ca_folder)["CN=Drive 1"] == "pending"


@pytest.mark.parametrize(
    ("key", "shown"), [("/", "filter: Bay n/a 7"), ("n", "Bay n/a 7 (yours, not on record yet)")]
)
def test_what_is_typed_ahead_is_text(ca_folder: CaFolder, key: str, shown: str) -> None:
    """Over a slow line whole words come at once; the `a` of a name does not ask to approve."""
    _three(ca_folder)

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 3")
        for character in f"{key}Bay n/a 7":
            on.app.post_message(events.Key(_KEYS.get(character, character), character))
        on.app.post_message(events.Key("enter", None))
        assert "Approve the request" not in await on.see(shown)

    perform(ca_folder, play)


def test_the_other_panes_decide_nothing(ca_folder: CaFolder) -> None:
    """Tab goes round; `a` and `r` are for what waits."""
    _three(ca_folder)

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 3")
        for title in ("[Decisions]", "[Expiring]", "[Channels]"):
            await on.press("tab", "a", "y", "r", "y", "n", "enter", "escape")
            await on.see(title)
        await on.press("tab")
        await on.see("[Waiting 3]")
        await on.press("shift+tab")
        await on.see("[Channels]")

    perform(ca_folder, play)
    assert set(stage.states(ca_folder).values()) == {"pending"}


def test_details_and_keys(ca_folder: CaFolder) -> None:
    """Whole pages, scrolled, with Tab asleep; each ends with Esc."""
    stage.wait(ca_folder, stage.request(1, sans=stage.names()))

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 1")
        await on.press("enter")
        await on.see("Waiting", "names    none", "more lines)")
        await on.press("pagedown", "tab", "down")
        await on.see(f"id       {1:064x}"[:40])
        await on.press("up", "escape", "question_mark")
        await on.see("cipsec ca watch")
        await on.press(*["pagedown"] * 6)
        await on.see("issues when the device asks next")
        await on.press("enter")
        await on.see("[Waiting 1]")

    perform(ca_folder, play, size=(40, 10))


@pytest.mark.parametrize("key", ["ctrl+c", "ctrl+q"])
def test_interrupted(ca_folder: CaFolder, key: str) -> None:
    """From wherever one is, with the code that says so."""
    _three(ca_folder)

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 3")
        await on.press("slash", key)

    assert perform(ca_folder, play).return_code == exits.INTERRUPTED


def test_a_store_that_is_locked(ca_folder: CaFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said that nothing was decided, and the view goes on."""
    monkeypatch.setattr(database, "_BUSY_TIMEOUT_MS", 200)
    _three(ca_folder)

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 3")
        with closing(sqlite3.connect(ca_folder.store_file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await on.press("a", "y")
            await on.see("nothing was decided: the store cannot be used: database is locked")
        await on.press("a", "y")
        await on.see("approved (approved by anna)")

    perform(ca_folder, play)


def test_a_store_that_fails(ca_folder: CaFolder) -> None:
    """What was read stays on the screen, as old, until the store can be read again."""
    _three(ca_folder)

    def rename(new: str, old: str) -> None:
        with closing(sqlite3.connect(ca_folder.store_file)) as other:
            other.execute(f"ALTER TABLE {old} RENAME TO {new}")

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 3")
        rename("elsewhere", "requests")
        await on.see("CN=Drive 3", "what is shown is old")
        await on.press("a")
        await on.see("the store cannot be used: no such table")
        rename("requests", "elsewhere")
        await on.see("CN=Drive 3", without="what is shown is old")

    perform(ca_folder, play)


def test_resize(ca_folder: CaFolder) -> None:
    """Smaller, much larger, tiny, and back; with a question open too."""
    _three(ca_folder)

    async def play(on: Stage) -> None:
        await on.see("CN=Drive 3")
        for size in ((40, 10), (200, 60), (1, 1), (20, 4), stage.STANDARD):
            await on.pilot.resize_terminal(*size)
            await on.pilot.pause()
        await on.see("[Waiting 3]")
        await on.press("a")
        for size in ((40, 10), (5, 2), (200, 60)):
            await on.pilot.resize_terminal(*size)
            await on.pilot.pause()
        await on.see("y yes, approve  n no", f"id       {1:064x}")
        await on.press("n")
        await on.see("[Waiting 3]")

    perform(ca_folder, play)


def test_hostile_texts(ca_folder: CaFolder) -> None:
    """Shown as they are, never obeyed: no markup, no control, no link; the view can be used."""
    texts = ["\x1b[2K", "[/red]", "[@click=app.quit]x[/]", "\u202eabc", "a\nb", "A" * 65_536]

    def hostile(number: int, text: str) -> RequestRow:
        fields = dict.fromkeys(("subject", "proved", "claimed", "address", "rule", "reason"), text)
        return stage.request(number, sans=json.dumps([text]), device=text, **fields)

    stage.wait(ca_folder, *(hostile(n, text) for n, text in enumerate(texts)))

    async def play(on: Stage) -> None:
        shown = await on.see("\\x1b[2K", "[/red]", "[@click=app.quit]x[/]", "\\u202eabc", "a\\x0ab")
        assert "\x1b" not in shown
        for _ in texts:
            await on.press("enter", "escape", "a", "n", "down")
        await on.press("n", *"[/red]", "enter", "slash", "left_square_bracket", "slash", "enter")
        await on.see("filter: [/", "[@click")
        await on.press("tab", "enter", "escape", "question_mark")
        assert all(line.isprintable() for line in on.screen.splitlines())

    perform(ca_folder, play)
    assert set(stage.states(ca_folder).values()) == {"pending"}


def test_without_colours(ca_folder: CaFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is chosen and what is a warning can be told without them."""
    monkeypatch.setenv("NO_COLOR", "1")
    _three(ca_folder)

    async def play(on: Stage) -> None:
        shown = await on.see("CN=Drive 3", "! no server runs")
        assert on.chosen in shown
        assert on.app.no_color

    perform(ca_folder, play, unicode=False)
