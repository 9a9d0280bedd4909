"""Waiting for a decision: polls, interruptions, outages, patience."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from cipsec.endpoint.enroll import Wish
from cipsec.endpoint.folder import Folder
from cipsec.endpoint.server import Server
from cipsec.errors import (
    AlreadyExists,
    BadAnswer,
    CipsecError,
    CredentialsRefused,
    NotFound,
    Pending,
    Rejected,
    Unreachable,
    Untrusted,
)
from cipsec.pki import keys
from cipsec.pki.device import Mac
from cipsec.pki.names import parse_san, parse_subject, show_name
from tests.endpoint.acting import WAIT, Recorder, assert_matches, get, wish
from tests.support.canned import Answerer, EstServer, Plant, certs, named, reply, text
from tests.support.ports import free_port


def test_waiting_for_approval(server: EstServer, folder: Folder) -> None:
    """One line for the change, as many polls as it takes, each as long as told."""
    server.answers["simpleenroll"] = lambda _: WAIT

    def approve() -> None:
        if len(person.waited) == 3:
            del server.answers["simpleenroll"]

    person = Recorder(on_wait=approve)
    assert_matches(get(folder, wish(server), person))
    assert person.waited == [1, 1, 1]
    assert len(person.told) == 1
    assert "0123456789ab" in person.told[0]
    assert len({post.request.spki for post in server.posts()}) == 1
    assert len({post.connection for post in server.posts()}) == 4


def test_not_waiting_and_resuming(server: EstServer, folder: Folder) -> None:
    """`--no-wait` keeps the request; the next run needs no option and uses the same key."""
    server.answers["simpleenroll"] = lambda _: WAIT
    subject = named("Drive 7")
    with pytest.raises(Pending) as caught:
        get(folder, wish(server, subject=subject, user="ada"), wait=False)
    assert (caught.value.retry_after, caught.value.request) == (1, "0123456789ab")
    draft = folder.draft()
    assert draft
    assert draft.state.pending
    del server.answers["simpleenroll"]
    person = Recorder()
    identity = get(folder, Wish(), person)
    assert_matches(identity)
    assert show_name(identity.issued.certificate.subject) == "CN=Drive 7"
    assert person.asked == ["ada"]  # who, is remembered; the password is not
    first, second = server.posts()
    assert first.request.spki == second.request.spki
    assert first.request.der != second.request.der


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        ("899", "the request waits: wait"),
        ("5400", "the request waits: wait; the server wants to be asked again in 1h 30m"),
        ("31536000", "the request waits: wait; the server wants to be asked again in 365d"),
    ],
)
def test_a_long_pause_is_told(server: EstServer, folder: Folder, seconds: str, told: str) -> None:
    """It is kept to, as the server decides, and does not look like a program that hangs."""
    wait = text(202, "wait", ("Retry-After", seconds))
    server.answers["simpleenroll"] = lambda _: wait
    person = Recorder(on_wait=server.answers.clear)
    get(folder, wish(server), person)
    assert person.waited == [int(seconds)]
    assert len(person.told) == 1
    assert person.told[0].removesuffix(", and sooner only by hand") == told


def test_patience_ends(server: EstServer, folder: Folder) -> None:
    """Nobody waits for a poll that would come too late."""
    wait = text(202, "wait", ("Retry-After", "100"))
    server.answers["simpleenroll"] = lambda _: wait
    person = Recorder()
    with pytest.raises(Pending):
        get(folder, wish(server), person, limit=timedelta(seconds=99))
    assert person.waited == []


def test_another_wish_while_one_waits(server: EstServer, folder: Folder) -> None:
    """Is refused, because the first would be lost; `-f` drops it."""
    server.answers["simpleenroll"] = lambda _: WAIT
    with pytest.raises(Pending):
        get(folder, wish(server, subject=named("one")), wait=False)
    for other in (
        wish(server, subject=named("two")),
        wish(server, subject=named("one"), sans=(parse_san("dns:x"),)),
        wish(server, subject=named("one"), mac=Mac.parse("00:00:bc:12:34:56")),
        wish(server, key_type=keys.KeyType.RSA_2048),
        Wish(server=Server.parse("elsewhere")),
        Wish(label="other"),
    ):
        with pytest.raises(AlreadyExists, match="a request for CN=one waits"):
            get(folder, other, wait=False)
    with pytest.raises(Pending):
        get(folder, wish(server, subject=named("one")), wait=False)
    with pytest.raises(Pending):
        get(folder, wish(server, subject=named("two")), wait=False, force=True)
    subjects = [show_name(post.request.subject) for post in server.posts()]
    assert subjects == ["CN=one", "CN=one", "CN=two"]


def test_a_rejection_is_final(server: EstServer, folder: Folder) -> None:
    """The reason is told, and the next run makes a new request with a new key."""
    server.answers["simpleenroll"] = lambda _: WAIT
    refuse = text(403, "rejected by the administrator")
    person = Recorder(on_wait=lambda: server.answers.update(simpleenroll=lambda _: refuse))
    with pytest.raises(Rejected, match="rejected by the administrator"):
        get(folder, wish(server), person)
    assert folder.draft() is None
    del server.answers["simpleenroll"]
    assert_matches(get(folder, wish(server)))
    assert len({post.request.spki for post in server.posts()}) == 2


def test_a_server_that_goes_away_while_waiting(
    plant: Plant, tmp_path: Path, folder: Folder
) -> None:
    """Is said once and tried again; before it had accepted, it is an error at once."""
    first = EstServer(plant, tmp_path, port=free_port())
    first.answers["simpleenroll"] = lambda _: WAIT
    with ExitStack() as stack:
        running = stack.enter_context(ExitStack())
        running.enter_context(first.running())
        waits = iter(range(100))

        def outage() -> None:
            match next(waits):
                case 0:
                    running.close()
                case 2:
                    second = EstServer(plant, tmp_path, port=first.port)
                    stack.enter_context(second.running())

        person = Recorder(on_wait=outage)
        assert_matches(get(folder, wish(first), person))
    assert len(person.told) == 2
    assert "cannot be reached" in person.told[1]
    with pytest.raises(Unreachable):
        get(Folder(tmp_path / "other"), wish(first))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda _: text(404, "gone"), NotFound),
        (lambda _: text(401, "no", ("WWW-Authenticate", "Basic")), CredentialsRefused),
        (lambda s: certs([Plant("Foreign").issue(s.request.public_key, named("x"))]), Untrusted),
        (lambda _: certs([Plant("Foreign").certificate]), BadAnswer),
    ],
)
def test_what_ends_the_waiting(
    server: EstServer, folder: Folder, answer: Answerer, error: type[CipsecError]
) -> None:
    """Is final for this run, not for the request: the same command goes on, and that is said.

    A certificate that is not good is one of them: asked again, the CA would issue at each poll.
    """
    server.answers["simpleenroll"] = lambda _: WAIT

    def once() -> None:
        assert len(person.waited) == 1, "it was asked again"
        server.answers["simpleenroll"] = answer

    person = Recorder(on_wait=once)
    with pytest.raises(error) as caught:
        get(folder, wish(server), person)
    go_on = f"the request is kept, go on with it: cipsec enroll --identity {folder.path}"
    assert (caught.value.hint or "").endswith(go_on)
    assert len(server.posts()) == 2
    server.answers.clear()
    assert_matches(get(folder, Wish()))
    assert len({post.request.spki for post in server.posts()}) == 1


def test_cacerts_that_wait_are_no_request(server: EstServer, folder: Folder) -> None:
    """A 202 to /cacerts accepts nothing: nobody is told that his request waits."""
    server.answers["simpleenroll"] = lambda _: text(503, "starting", ("Retry-After", "1"))

    def wait() -> None:
        assert len(person.waited) == 1, "it was waited for"
        server.answers["cacerts"] = lambda _: WAIT

    person = Recorder(on_wait=wait)
    with pytest.raises(BadAnswer, match="unexpected status 202"):
        get(folder, wish(server), person)
    draft = folder.draft()
    assert draft
    assert not draft.state.pending


def test_a_busy_server_is_waited_for(server: EstServer, folder: Folder) -> None:
    """503 with Retry-After means to come back."""
    busy = text(503, "cannot decide now", ("Retry-After", "9"))
    server.answers["simpleenroll"] = lambda _: busy
    person = Recorder(on_wait=server.answers.clear)
    assert_matches(get(folder, wish(server), person))
    assert person.waited == [9]


def test_a_server_that_wants_a_binding_gets_tls_1_2(server: EstServer, folder: Folder) -> None:
    """challengePassword among the CSR attributes: over TLS 1.3 we could not give one."""
    asks = reply(200, b"MAsGCSqGSIb3DQEJBw==")
    server.answers["csrattrs"] = lambda _: asks
    get(folder, wish(server))
    (post,) = server.posts()
    assert post.binding
    assert post.request.challenge


def test_what_to_type_is_for_this_folder(server: EstServer, tmp_path: Path) -> None:
    """Whatever its name; else -f would replace the identity in the usual place."""
    folder = Folder(tmp_path / "my gateway")
    server.answers["simpleenroll"] = lambda _: WAIT
    with pytest.raises(Pending) as caught:
        get(folder, wish(server), wait=False)
    named = f"--identity '{folder.path}'"
    assert (caught.value.hint or "").endswith(f": cipsec enroll {named}")
    other = parse_subject("CN=another")
    with pytest.raises(AlreadyExists) as kept:
        get(folder, wish(server, subject=other))
    go_on, drop = f"cipsec enroll {named}", f"cipsec enroll -f {named}"
    assert kept.value.hint == f"go on with it: {go_on}; drop it: {drop}"
