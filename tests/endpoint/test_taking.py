"""A new certificate is tried before the old one goes; where it does not serve the old one stays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import times
from cipsec.endpoint.enroll import Wish
from cipsec.endpoint.folder import Folder, Identity
from cipsec.endpoint.taking import Taking
from cipsec.errors import (
    AlreadyExists,
    Busy,
    CipsecError,
    CredentialsRefused,
    Malformed,
    NotFound,
    Pending,
    Rejected,
    Unreachable,
)
from tests.endpoint.acting import WAIT, Recorder, again, assert_matches, get, wish
from tests.support.canned import EstServer, Plant, Reply, Seen, certs, text


def newest(server: EstServer) -> bytes:
    """Return the certificate issued last, in DER."""
    return server.issued[-1].public_bytes(Encoding.DER)


def refusing(server: EstServer, answer: Callable[[], Reply]) -> None:
    """Have /cacerts answer so whoever presents a certificate of a renewal."""
    first = newest(server)

    def cacerts(seen: Seen) -> Reply:
        return server.default(seen) if seen.client in {None, first} else answer()

    server.answers["cacerts"] = cacerts


def in_use(folder: Folder) -> Identity:
    """Return the identity on disk, which is whole."""
    identity = folder.identity()
    assert identity
    assert_matches(identity)
    return identity


def test_it_is_tried(server: EstServer, folder: Folder) -> None:
    """In a connection of its own, with the new certificate; then it is in use."""
    get(folder, wish(server))
    tried = [seen for seen in server.seen if seen.client]
    assert not tried  # there was no old one to keep
    identity = again(folder)
    last = server.seen[-1]
    assert (last.operation, last.client) == ("cacerts", newest(server))
    assert last.connection not in {seen.connection for seen in server.seen[:-1]}
    assert identity.issued.certificate == server.issued[-1]
    assert folder.draft() is None
    assert not list(folder.path.rglob("untried.pem"))


def test_it_need_not_be_tried(server: EstServer, folder: Folder) -> None:
    """If so wished: some servers learn late what they issued."""
    get(folder, wish(server))
    refusing(server, lambda: text(403, "who are you"))
    identity = again(folder, taking=Taking(tries=False))
    assert identity.issued.certificate == server.issued[-1]


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (lambda: text(403, "who are you"), Rejected, "refuses the request: who are you"),
        (lambda: text(401, "no"), CredentialsRefused, "does not accept the credentials: no"),
        (lambda: text(400, "SSL certificate error"), Rejected, "SSL certificate error"),
        (lambda: text(404, ""), NotFound, "has no such EST service"),
        (lambda: text(500, "oops"), Unreachable, "reports an error of its own (500): oops"),
        (lambda: text(503, "busy"), Unreachable, "cannot answer now: busy"),
        (lambda: Reply([b""], close=True), Unreachable, ""),
    ],
)
def test_where_it_does_not_serve(
    server: EstServer,
    folder: Folder,
    answer: Callable[[], Reply],
    error: type[CipsecError],
    told: str,
) -> None:
    """Three tries with a pause; then the old one stays, and it is said why and what to type."""
    old = get(folder, wish(server)).issued.certificate
    refusing(server, answer)
    person = Recorder()
    with pytest.raises(error) as caught:
        again(folder, person)
    assert not isinstance(caught.value, Busy)  # it was waited for already
    assert person.waited == [2.0, 2.0]
    end = old.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert caught.value.message.startswith("the new certificate was tried and does not serve: ")
    assert told in caught.value.message
    assert caught.value.message.endswith(f"; the old one stays in use, until {end}")
    assert "--no-try" in (caught.value.hint or "")
    assert in_use(folder).issued.certificate == old
    waits = folder.draft()
    assert waits
    assert waits.state.reason == caught.value.message


def test_a_server_that_needs_a_moment(server: EstServer, folder: Folder) -> None:
    """Has it: the second try succeeds."""
    get(folder, wish(server))
    refusing(server, lambda: text(403, "not yet"))
    person = Recorder(on_wait=server.answers.clear)
    assert again(folder, person).issued.certificate == server.issued[-1]
    assert person.waited == [2.0]


def test_the_next_run_tries_it_again(server: EstServer, folder: Folder) -> None:
    """No other is asked for, whether renewal is due or not."""
    get(folder, wish(server))
    refusing(server, lambda: text(500, "oops"))
    for _ in range(2):
        with pytest.raises(Unreachable):
            again(folder)
    server.answers.clear()
    identity = again(folder, due=times.Due.parse("100%"))
    assert len(server.issued) == 2
    assert identity.issued.certificate == server.issued[-1]
    assert in_use(folder).issued.certificate == server.issued[-1]


def test_what_is_refused_twice_is_replaced(server: EstServer, folder: Folder) -> None:
    """The next run asks for another one: perhaps the server forgot the first."""
    get(folder, wish(server))
    refusing(server, lambda: text(403, "who are you"))
    with pytest.raises(Rejected):
        again(folder)
    lost = newest(server)

    def cacerts(seen: Seen) -> Reply:
        return text(403, "who are you") if seen.client == lost else server.default(seen)

    server.answers["cacerts"] = cacerts
    identity = again(folder)
    assert len(server.issued) == 3
    assert identity.issued.certificate == server.issued[-1]


def test_refused_in_the_handshake(server: EstServer, folder: Folder) -> None:
    """The TLS end of a server does not know the CA that its own CA has moved to."""
    old = get(folder, wish(server)).issued.certificate
    other = Plant()
    link = server.plant.issue(other.key.public_key(), other.certificate.subject, ca=True)

    def moved(seen: Seen) -> Reply:
        request = seen.request
        return certs([other.issue(request.public_key, request.subject, sans=request.sans)])

    roots = [server.plant.certificate, other.certificate, link]
    server.answers |= {"simplereenroll": moved, "cacerts": lambda _: certs(roots)}
    with pytest.raises(CredentialsRefused, match="refuses the client certificate"):
        again(folder)
    assert in_use(folder).issued.certificate == old


def test_nothing_is_kept_for_the_sake_of_what_has_ended(
    server: EstServer, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old certificate that is over is no reason to wait."""
    hour = timedelta(hours=1)

    def short(seen: Seen) -> Reply:
        request = seen.request
        server.issued.append(server.plant.issue(request.public_key, request.subject, end=hour))
        return certs(server.issued)

    server.answers["simpleenroll"] = short
    get(folder, wish(server))
    refusing(server, lambda: text(500, "oops"))
    with pytest.raises(Unreachable):
        again(folder)
    later = times.now() + hour
    monkeypatch.setattr(times, "now", lambda: later)
    assert again(folder).issued.certificate == server.issued[-1]
    assert len(server.issued) == 2


def test_a_damaged_one_is_not_waited_for(server: EstServer, folder: Folder) -> None:
    """`enroll -f` over an identity that cannot be read takes the new one at once."""
    get(folder, wish(server))
    (folder.path / "1" / "chain.pem").write_text("no certificate")
    server.answers["cacerts"] = lambda seen: (
        text(403, "no") if seen.client else server.default(seen)
    )
    identity = get(folder, wish(server), force=True)
    assert identity.issued.certificate == server.issued[-1]


def test_enrolling_anew_is_tried_too(server: EstServer, folder: Folder, tmp_path: Path) -> None:
    """Where an identity in force is to be replaced."""
    old = get(folder, wish(server)).issued.certificate
    refusing(server, lambda: text(403, "who are you"))
    with pytest.raises(Rejected):
        get(folder, wish(server), force=True)
    assert in_use(folder).issued.certificate == old
    held = folder.held()
    assert held
    assert isinstance(held.certificate, x509.Certificate)


def test_a_new_identity_is_tried_again(server: EstServer, folder: Folder) -> None:
    """By `enroll` as the hint has it; `renew`, which would drop it, says so too."""
    get(folder, wish(server))
    refusing(server, lambda: text(500, "oops"))
    with pytest.raises(Unreachable) as caught:
        get(folder, wish(server), force=True)
    command = f"cipsec enroll --identity {folder.path}"
    assert (caught.value.hint or "").startswith(f"`{command}` tries it again")
    with pytest.raises(AlreadyExists, match="waits to be tried") as kept:
        again(folder)
    assert kept.value.hint == f"go on with it: {command}"
    server.answers.clear()
    identity = get(folder, Wish())
    assert len(server.issued) == 2
    assert identity.issued.certificate == server.issued[-1]


def test_a_new_identity_that_waits_is_gone_on_with(server: EstServer, folder: Folder) -> None:
    """As the hint has it: that there is one in force was known when it was asked for."""
    old = get(folder, wish(server)).issued.certificate
    server.answers["simpleenroll"] = lambda _: WAIT
    with pytest.raises(Pending) as caught:
        get(folder, wish(server), force=True, wait=False)
    assert (caught.value.hint or "").endswith(f": cipsec enroll --identity {folder.path}")
    assert in_use(folder).issued.certificate == old
    server.answers.clear()
    identity = get(folder, Wish())
    assert identity.issued.certificate == server.issued[-1] != old


def test_without_force_what_failed_is_not_begun_again(server: EstServer, folder: Folder) -> None:
    """A server that was away has accepted nothing: the identity in force stays."""
    old = get(folder, wish(server)).issued.certificate
    server.answers["simpleenroll"] = lambda _: text(500, "oops")
    with pytest.raises(Unreachable):
        get(folder, wish(server), force=True)
    with pytest.raises(AlreadyExists, match="holds an identity"):
        get(folder, Wish())
    assert in_use(folder).issued.certificate == old


def test_a_damaged_one_that_is_held_can_be_given_up(server: EstServer, folder: Folder) -> None:
    """By what the hint says."""
    get(folder, wish(server))
    refusing(server, lambda: text(500, "oops"))
    with pytest.raises(Unreachable):
        get(folder, wish(server), force=True)
    (folder.path / "next" / "untried.pem").write_text("no certificate")
    with pytest.raises(Malformed, match="holds no certificates in PEM") as caught:
        get(folder, Wish())
    assert "cipsec enroll -f" in (caught.value.hint or "")
    server.answers.clear()
    assert get(folder, wish(server), force=True).issued.certificate == server.issued[-1]
