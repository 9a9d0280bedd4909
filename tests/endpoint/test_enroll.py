"""Enrollment with a real TLS server on loopback: what is asked, and what is kept of the answer."""

from __future__ import annotations

import shutil
import stat
from datetime import timedelta
from typing import Any

import pytest

from cipsec import times
from cipsec.endpoint.enroll import plan
from cipsec.endpoint.folder import Folder
from cipsec.endpoint.trust import read_anchors
from cipsec.errors import (
    AlreadyExists,
    BadAnswer,
    LocalState,
    Locked,
    Pending,
    Untrusted,
)
from cipsec.pki import keys
from cipsec.pki.device import DeviceId, Mac
from cipsec.pki.names import parse_san, sans_of, show_name
from tests.endpoint.acting import WAIT, Recorder, assert_matches, get, key_of, wish
from tests.support.canned import EstServer, Plant, Seen, certs, named

_DAY = timedelta(days=1)


def test_the_first_certificate(server: EstServer, folder: Folder) -> None:
    """Key, certificate, chain and trust are on disk, and say what was asked."""
    sans = (parse_san("dns:drive7.local"), parse_san("ip:10.0.0.7"))
    subject = named("Drive 7")
    device, mac = DeviceId.parse("0001:6040C8F2"), Mac.parse("00:00:bc:12:34:56")
    person = Recorder()
    identity = get(folder, wish(server, subject=subject, sans=sans, device=device, mac=mac), person)
    assert_matches(identity)
    certificate = identity.issued.certificate
    assert show_name(certificate.subject) == "serialNumber=0001:6040C8F2,CN=Drive 7"
    assert sans_of(certificate) == sans
    assert read_anchors(identity.trust_file) == (server.plant.certificate,)
    assert read_anchors(identity.chain_file) == (server.plant.certificate,)
    (post,) = server.posts()
    assert post.request.identity.mac == mac
    assert not post.headers.get("authorization")
    assert person.warned == person.shown == person.asked == []
    assert folder.draft() is None


def test_the_name_of_this_machine_is_the_default(server: EstServer, folder: Folder) -> None:
    """A software endpoint needs no options for its name."""
    identity = get(folder, wish(server))
    assert show_name(identity.issued.certificate.subject).startswith("CN=")


def test_the_key_is_on_disk_before_it_is_spoken_of(server: EstServer, folder: Folder) -> None:
    """Whatever happens after the request, its key is there: 0600, the same as in the CSR."""
    found: list[tuple[int, bytes, bytes]] = []

    def look(seen: Seen) -> Any:
        path = folder.path / "next" / "key.pem"
        mode = stat.S_IMODE(path.stat().st_mode)
        found.append((mode, key_of(path), seen.request.spki))
        return server.default(seen)

    server.answers["simpleenroll"] = look
    get(folder, wish(server))
    assert [(mode, on_disk == sent) for mode, on_disk, sent in found] == [(0o600, True)]


def test_what_was_granted_and_cannot_be_kept(server: EstServer, folder: Folder) -> None:
    """A full disk, say: which command goes on is said, for a use may be spent; the key stays."""
    place = folder.path / "next" / "chain.pem"

    def fill(seen: Seen) -> Any:
        (place / "in the way").mkdir(parents=True)
        return server.default(seen)

    server.answers["simpleenroll"] = fill
    with pytest.raises(LocalState, match=r"was granted and cannot be kept: .*chain\.pem") as caught:
        get(folder, wish(server, subject=named("Drive 7")))
    assert str(caught.value.hint).endswith(f": cipsec enroll --identity {folder.path}")
    shutil.rmtree(place)
    del server.answers["simpleenroll"]
    assert_matches(get(folder, wish(server)))
    first, second = server.posts()
    assert first.request.spki == second.request.spki


def test_a_certificate_for_another_key(server: EstServer, folder: Folder) -> None:
    """Is not kept."""
    other = keys.generate(keys.KeyType.EC_P256).public_key()
    wrong = server.plant.issue(other, named("x"))
    server.answers["simpleenroll"] = lambda _: certs([wrong])
    with pytest.raises(BadAnswer, match="for another key"):
        get(folder, wish(server))
    assert folder.identity() is None


def test_a_certificate_of_another_ca(server: EstServer, folder: Folder) -> None:
    """Is not kept either, though the server is trusted."""

    def foreign(seen: Seen) -> Any:
        request = seen.request
        return certs([Plant("Foreign").issue(request.public_key, request.subject)])

    server.answers["simpleenroll"] = foreign
    with pytest.raises(Untrusted, match="is not kept: no trusted CA issued"):
        get(folder, wish(server))
    assert folder.identity() is None


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [(-2 * _DAY, -_DAY, "expired at"), (_DAY, 2 * _DAY, "valid only from")],
)
def test_a_certificate_out_of_time(
    server: EstServer, folder: Folder, start: timedelta, end: timedelta, says: str
) -> None:
    """Is not kept; the hint is the clock."""

    def late(seen: Seen) -> Any:
        request = seen.request
        issue = server.plant.issue
        return certs([issue(request.public_key, request.subject, start=start, end=end)])

    server.answers["simpleenroll"] = late
    with pytest.raises(Untrusted, match=says) as caught:
        get(folder, wish(server))
    assert "clock" in (caught.value.hint or "")
    assert folder.identity() is None


def test_changed_names_are_told(server: EstServer, folder: Folder) -> None:
    """The CA decides, and the person learns what it changed."""

    def change(seen: Seen) -> Any:
        return certs([server.plant.issue(seen.request.public_key, named("Something else"))])

    server.answers["simpleenroll"] = change
    person = Recorder()
    get(folder, wish(server, subject=named("Drive 7"), sans=(parse_san("dns:x.local"),)), person)
    assert person.warned == [
        "the CA changed the subject: CN=Something else instead of CN=Drive 7",
        "the CA left out alternative names: dns:x.local",
    ]


def test_a_ca_certificate_is_told(server: EstServer, folder: Folder) -> None:
    """It serves, and whoever gets at the drive's key has a CA of the plant."""

    def promote(seen: Seen) -> Any:
        return certs([server.plant.issue(seen.request.public_key, named("Drive 7"), ca=True)])

    server.answers["simpleenroll"] = promote
    person = Recorder()
    assert_matches(get(folder, wish(server, subject=named("Drive 7")), person))
    assert person.warned == [
        "the CA made this a CA's certificate: whoever has its key can issue others"
    ]


def test_an_answer_with_the_whole_chain(server: EstServer, folder: Folder) -> None:
    """RFC 7030 wants the certificate alone; in whatever order it comes, ours is found."""
    server.answers["simpleenroll"] = lambda s: certs([server.plant.certificate, server.issue(s)])
    assert_matches(get(folder, wish(server)))


def test_a_valid_identity_is_not_replaced_unasked(server: EstServer, folder: Folder) -> None:
    """`renew` is the hint; with force it stays in use until the new one is there."""
    first = get(folder, wish(server))
    with pytest.raises(AlreadyExists) as caught:
        get(folder, wish(server))
    assert "renew" in (caught.value.hint or "")
    server.answers["simpleenroll"] = lambda _: WAIT
    with pytest.raises(Pending):
        get(folder, wish(server), wait=False, force=True)
    kept = folder.identity()
    assert kept
    assert kept.issued.certificate == first.issued.certificate
    assert_matches(kept)


def test_an_expired_identity_is_replaced(
    server: EstServer, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is lost with it."""
    hour = timedelta(hours=1)

    def short(seen: Seen) -> Any:
        request = seen.request
        return certs([server.plant.issue(request.public_key, request.subject, end=hour)])

    server.answers["simpleenroll"] = short
    first = get(folder, wish(server))
    later = first.issued.certificate.not_valid_after_utc + timedelta(seconds=1)
    monkeypatch.setattr(times, "now", lambda: later)
    del server.answers["simpleenroll"]
    assert get(folder, wish(server)).issued.certificate != first.issued.certificate


def test_a_dry_run_leaves_no_trace(server: EstServer, folder: Folder) -> None:
    """It asks for /cacerts at most, and makes no folder."""
    planned = plan(folder, wish(server, user="ada"), force=False, person=Recorder())
    assert planned.anchors == (server.plant.certificate,)
    assert {seen.operation for seen in server.seen} == {"cacerts"}
    assert not folder.path.exists()


def test_one_at_a_time(server: EstServer, folder: Folder) -> None:
    """A second run is told so; it does not wait, and it changes nothing."""
    with folder.locked(), pytest.raises(Locked, match="another cipsec is at work"):
        get(folder, wish(server))
    assert server.seen == []
