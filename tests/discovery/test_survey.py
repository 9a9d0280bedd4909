"""Asking what was found: whose server it is, and never for long."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from cipsec import survey
from cipsec.discovery.browse import Change, Event
from cipsec.discovery.server import Server

from .peers import est_server, new_authority


def at(port: int, name: str = "Line 4", **txt: str) -> Server:
    return Server(name, "est.local", port, ("127.0.0.1",), "lo", txt)


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What answers has time to, on a machine that is busy."""
    monkeypatch.setattr(survey, "_TIMEOUT", 60.0)


def asked(server: Server, fingerprint: str | None = None) -> survey.Answer:
    """Ask with patience."""
    return survey.ask(server, fingerprint=fingerprint, timeout=180.0)


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])


@pytest.fixture
def dripping() -> Iterator[int]:
    """A port that sends one byte of a TLS record ten times a second, for ever."""
    listening = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def drip() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"\x16\x03\x03\x3f\xff")
            while not done.wait(0.1):
                try:
                    connection.send(b"\x02")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    yield int(listening.getsockname()[1])
    done.set()
    listening.close()
    thread.join()


def test_reachable(tmp_path: Path) -> None:
    """A server that hands out its CA's certificate is reachable; nothing is said about trust."""
    authority = new_authority("Plant")
    with est_server(authority.server(tmp_path), [authority.certificate]) as port:
        assert asked(at(port)) == survey.Answer(
            reachable=True, ca_sha256=authority.sha256, trusted=None
        )


def test_label_is_part_of_the_path(tmp_path: Path) -> None:
    """A server that announces a label is asked under it."""
    authority = new_authority("Plant")
    with est_server(authority.server(tmp_path), [authority.certificate]) as port:
        assert asked(at(port, label="line4")).reachable
        assert not asked(at(port, label="line5")).reachable


def test_root_is_told_wherever_it_stands(tmp_path: Path) -> None:
    """Of several certificates the self-signed one counts."""
    authority = new_authority("Plant")
    leaf = authority.server(tmp_path)
    other = x509.load_pem_x509_certificate(leaf.read_bytes())
    with est_server(leaf, [other, authority.certificate]) as port:
        assert asked(at(port)).ca_sha256 == authority.sha256


def test_fingerprint_of_its_ca(tmp_path: Path) -> None:
    """The wanted CA vouches for its server and for no other's."""
    ours, theirs = new_authority("Plant"), new_authority("Rogue")
    with est_server(ours.server(tmp_path), [ours.certificate]) as port:
        assert asked(at(port), ours.sha256).trusted is True
        refused = asked(at(port), theirs.sha256)
    assert (refused.reachable, refused.trusted) == (True, False)
    assert refused.problem == "it belongs to another CA"


def test_handing_out_a_certificate_proves_nothing(tmp_path: Path) -> None:
    """A rogue that copies the plant's CA certificate is not trusted for it."""
    ours, theirs = new_authority("Plant"), new_authority("Rogue")
    with est_server(theirs.server(tmp_path), [ours.certificate]) as port:
        answer = asked(at(port), ours.sha256)
    assert (answer.ca_sha256, answer.trusted) == (ours.sha256, False)
    assert answer.problem
    assert "is not of this CA" in answer.problem


def test_a_device_of_the_ca_is_no_server(tmp_path: Path) -> None:
    """A device's certificate of the same CA, without id-kp-cmcRA, does not make an EST server."""
    ours = new_authority("Plant")
    with est_server(ours.server(tmp_path, registration=False), [ours.certificate]) as port:
        assert asked(at(port), ours.sha256).trusted is False


def test_silence_is_bounded(silent: int, dripping: int) -> None:
    """A port that says nothing, or something for ever, is given up in time."""
    for port in (silent, dripping):
        answer = survey.ask(at(port), timeout=0.5)
        assert (answer.reachable, answer.ca_sha256) == (False, None)
        assert answer.problem


def test_many_silent_servers_do_not_add_up() -> None:
    """Servers are asked at the same time: a dozen of them all wait for an answer at once."""
    left: list[object] = []

    def hold() -> None:
        links = [listening.accept()[0] for _ in range(12)]
        poll = select.poll()
        for link in links:
            poll.register(link, select.POLLRDHUP)
        left.extend(poll.poll(0))
        for link in links:
            link.close()

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        holding = threading.Thread(target=hold)
        holding.start()
        port = int(listening.getsockname()[1])
        heard = [[Event(Change.FOUND, at(port, str(i))) for i in range(12)]]
        told = [s for batch in survey.survey(heard) for s in batch]
        holding.join()
    assert [s.answer.reachable for s in told] == [False] * 12
    assert left == []


def test_each_change_is_told(tmp_path: Path) -> None:
    """Found when asked, updated without asking again, gone; what was never told of never goes."""
    authority = new_authority("Plant")
    told: list[survey.Sighting] = []

    def heard(port: int) -> Iterator[list[Event]]:
        yield [Event(Change.FOUND, at(port))]
        while not told:
            time.sleep(0.05)
            yield []
        yield [Event(Change.UPDATED, at(port, note="moved"))]
        yield [Event(Change.FOUND, at(port, "short")), Event(Change.GONE, at(port, "short"))]
        yield [Event(Change.GONE, at(port))]

    with est_server(authority.server(tmp_path), [authority.certificate]) as port:
        for batch in survey.survey(heard(port)):
            told += batch
    assert [(str(s.change), s.server.name, s.answer.reachable) for s in told] == [
        ("found", "Line 4", True),
        ("updated", "Line 4", True),
        ("gone", "Line 4", None),
    ]


def test_without_probing() -> None:
    """Nobody is asked, and everything is told as it was heard."""
    event = Event(Change.FOUND, at(9))
    assert list(survey.survey([[event]], probe=False)) == [
        [survey.Sighting(Change.FOUND, event.server, survey.Answer())]
    ]


def test_no_address_is_not_asked() -> None:
    """A server that announces no address cannot be reached."""
    lost = Server("lost", "x.local", 1, (), "lo", {})
    assert survey.ask(lost) == survey.Answer(reachable=False, problem="it announces no address")
