"""Renewal: when due, with which key, and what goes on serving meanwhile."""

from __future__ import annotations

import pytest
from cryptography import x509

from cipsec.endpoint.folder import Folder
from cipsec.endpoint.obtain import Patience
from cipsec.errors import (
    AlreadyExists,
    NotFound,
    Pending,
    Rejected,
    UsageError,
)
from cipsec.pki import keys
from cipsec.pki.device import Mac
from cipsec.pki.names import parse_san
from cipsec.times import Due
from tests.endpoint.acting import WAIT, Recorder, again, assert_matches, get, key_of, wish
from tests.support.canned import EstServer, named, text


def test_renewal_presents_the_certificate(server: EstServer, folder: Folder) -> None:
    """Same names, new key, the old certificate as credential (RFC 7030 sections 3.3.2, 4.2.2)."""
    sans = (parse_san("dns:drive7.local"),)
    mac = Mac.parse("00:00:bc:12:34:56")
    first = get(folder, wish(server, subject=named("Drive 7"), sans=sans, mac=mac))
    old = key_of(first.key_file)
    second = again(folder)
    assert_matches(second)
    assert second.key_file == first.key_file
    assert key_of(second.key_file) != old
    post = server.posts()[-1]
    assert post.operation == "simplereenroll"
    assert post.client
    assert x509.load_der_x509_certificate(post.client) == first.issued.certificate
    assert post.request.subject == named("Drive 7")
    assert post.request.sans == sans
    assert post.request.identity.mac == mac


def test_renewal_with_the_same_key(server: EstServer, folder: Folder) -> None:
    """Where something else has pinned the key."""
    first = get(folder, wish(server, key_type=keys.KeyType.EC_P384))
    old = key_of(first.key_file)
    assert key_of(again(folder, rekey=False).key_file) == old
    renewed = again(folder)
    assert key_of(renewed.key_file) != old
    assert keys.type_name(renewed.issued.certificate.public_key()) == "ec-p384"


def test_renewal_when_due(server: EstServer, folder: Folder) -> None:
    """By share of life or by time left; not due is success and asks nobody."""
    get(folder, wish(server))
    asked = len(server.seen)
    person = Recorder()
    for not_due in ("66%", "30d", "100%", "1s"):
        again(folder, person, due=Due.parse(not_due))
    assert len(server.seen) == asked
    assert all(line.startswith("not due before 20") for line in person.told)
    for due in ("0%", "366d"):
        again(folder, due=Due.parse(due))
    assert [p.operation for p in server.posts()].count("simplereenroll") == 2


@pytest.mark.parametrize("wrong", ["101%", "-1%", "30", "soon", "%", "", "1.5%"])
def test_what_due_is_not(wrong: str) -> None:
    """A percentage or a duration."""
    with pytest.raises(UsageError):
        Due.parse(wrong)


def test_a_pending_renewal_resumes(server: EstServer, folder: Folder) -> None:
    """The old pair stays in use and whole, the new key waits beside it and is the one certified."""
    first = get(folder, wish(server))
    server.answers["simplereenroll"] = lambda _: WAIT
    with pytest.raises(Pending) as caught:
        again(folder, patience=Patience(wait=False))
    assert "cipsec renew" in (caught.value.hint or "")
    kept = folder.identity()
    assert kept
    assert kept.issued.certificate == first.issued.certificate
    assert_matches(kept)
    with pytest.raises(AlreadyExists):
        get(folder, wish(server))
    server.answers.clear()
    assert_matches(again(folder, due=Due.parse("66%")))
    reenrolled = [p for p in server.posts() if p.operation == "simplereenroll"]
    assert len({p.request.spki for p in reenrolled}) == 1


def test_renewal_without_an_identity(folder: Folder) -> None:
    """Is said, and leaves nothing behind."""
    with pytest.raises(NotFound):
        again(folder)
    assert not folder.path.exists()


def test_renewal_while_an_enrollment_waits(server: EstServer, folder: Folder) -> None:
    """Would drop it: refused."""
    get(folder, wish(server))
    server.answers["simpleenroll"] = lambda _: WAIT
    with pytest.raises(Pending):
        get(folder, wish(server), wait=False, force=True)
    with pytest.raises(AlreadyExists):
        again(folder)


def test_a_refused_renewal_keeps_the_identity(server: EstServer, folder: Folder) -> None:
    """The old certificate goes on serving."""
    first = get(folder, wish(server))
    server.answers["simplereenroll"] = lambda _: text(403, "revoked")
    with pytest.raises(Rejected, match="revoked"):
        again(folder)
    kept = folder.identity()
    assert kept
    assert kept.issued.certificate == first.issued.certificate
