"""Whom an endpoint believes, and that nothing of value is sent before."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from cipsec.discovery import browse
from cipsec.discovery import server as discovery
from cipsec.endpoint import trust
from cipsec.endpoint.enroll import plan
from cipsec.endpoint.folder import Folder
from cipsec.endpoint.server import Server
from cipsec.endpoint.trust import Trust, read_anchors
from cipsec.errors import (
    CredentialsRefused,
    LocalState,
    Malformed,
    Unreachable,
    Untrusted,
)
from cipsec.pki import keys
from cipsec.pki.fingerprint import sha256
from cipsec.pki.names import show_name
from cipsec.tls.client import Credential
from tests.endpoint.acting import Recorder, assert_matches, get, wish
from tests.support import der
from tests.support.canned import EstServer, Plant, certs, named, text


def test_a_rogue_server_gets_nothing(plant: Plant, tmp_path: Path, folder: Folder) -> None:
    """It hands out the right CA's certificate, its own is another's: nothing more is sent."""
    with EstServer(Plant("Rogue"), tmp_path).running() as rogue:
        rogue.answers["cacerts"] = lambda _: certs([plant.certificate])
        person = Recorder()
        wished = wish(rogue, trust=Trust(fingerprint=plant.sha256), user="ada")
        with pytest.raises(Untrusted, match="is not trusted") as raised:
            get(folder, wished, person)
        assert f"cipsec cert show {rogue.address};" in (raised.value.hint or "")
        assert [seen.operation for seen in rogue.seen] == ["cacerts"]
        assert person.asked == []
        assert not any("authorization" in seen.headers for seen in rogue.seen)
    assert not (folder.path / "next").exists()


def test_a_wrong_fingerprint(server: EstServer, folder: Folder) -> None:
    """What the server offers is told, and nobody is asked for a password."""
    person = Recorder()
    wished = wish(server, trust=Trust(fingerprint="0" * 64), user="ada")
    with pytest.raises(Untrusted, match=server.plant.sha256):
        get(folder, wished, person)
    assert person.asked == []
    assert [seen.operation for seen in server.seen] == ["cacerts"]


def test_the_fingerprint_of_no_ca(server: EstServer, folder: Folder) -> None:
    """A device's certificate among /cacerts is not an anchor, whatever fingerprint is given."""
    key = keys.generate(keys.KeyType.EC_P256)
    device = server.plant.issue(key.public_key(), named("device"))
    server.answers["cacerts"] = lambda _: certs([server.plant.certificate, device])
    with pytest.raises(Untrusted, match="no CA of"):
        get(folder, wish(server, trust=Trust(fingerprint=sha256(device))))


def test_trust_by_file(server: EstServer, folder: Folder, tmp_path: Path) -> None:
    """Then the server is never spoken to unverified."""
    anchors = read_anchors(server.plant.pem(tmp_path))
    get(folder, wish(server, trust=Trust(anchors)))
    assert server.connections == 2  # to see whether it proves itself, and to enroll
    with pytest.raises(Untrusted):
        get(Folder(tmp_path / "other"), wish(server, trust=Trust((Plant().certificate,))))


def test_trust_files_that_are_none(plant: Plant, tmp_path: Path) -> None:
    """A device's certificate or no certificate at all."""
    certificate, key = plant.credential(tmp_path, "device")
    for path in (certificate, key):
        with pytest.raises(Malformed):
            read_anchors(path)


def test_a_trust_file_with_a_damaged_certificate(plant: Plant, tmp_path: Path) -> None:
    """It is named, before anything is asked of a server; left out, nobody would learn of it."""
    good = plant.certificate.public_bytes(Encoding.DER)
    [common] = plant.certificate.issuer
    name = bytes([len(common.value)]) + str(common.value).encode()
    damaged = good.replace(b"\x0c" + name, b"\x68" + name, 1)  # the issuer's, no type of string
    file = tmp_path / "ca.pem"
    file.write_bytes(der.pem("CERTIFICATE", good) + der.pem("CERTIFICATE", damaged))
    with pytest.raises(Malformed, match=f"certificate 2 in {file} cannot be read"):
        read_anchors(file)


def test_a_person_confirms(server: EstServer, folder: Folder) -> None:
    """Shown the CA and asked once; no means that nothing was sent."""
    no, yes = Recorder(), Recorder(yes=True)
    with pytest.raises(Untrusted, match="not confirmed"):
        get(folder, wish(server, trust=Trust()), no)
    assert no.shown == [server.plant.certificate]
    assert len(server.seen) == 1
    get(folder, wish(server, trust=Trust()), yes)
    assert yes.shown == [server.plant.certificate]


def test_a_rogue_hands_out_the_right_ca_beside_its_own(
    plant: Plant, tmp_path: Path, folder: Folder
) -> None:
    """Whoever recognizes the plant's CA has not said yes to the other; nothing more is sent."""
    with EstServer(Plant("Rogue"), tmp_path).running() as rogue:
        theirs = rogue.plant.certificate
        rogue.answers["cacerts"] = lambda _: certs([plant.certificate, theirs])
        person = Recorder(yes=True, strangers=(theirs,))
        with pytest.raises(Untrusted, match="is not trusted"):
            get(folder, wish(rogue, trust=Trust(), user="ada"), person)
        assert set(person.shown) == {plant.certificate, theirs}
        assert person.asked == []
    assert not (folder.path / "next").exists()


def test_more_cas_than_anybody_compares(server: EstServer, folder: Folder) -> None:
    """Nobody is asked about them one by one until he says yes to all."""
    offered = [server.plant.certificate, *(Plant(f"CA {n}").certificate for n in range(8))]
    server.answers["cacerts"] = lambda _: certs(offered)
    person = Recorder(yes=True)
    with pytest.raises(Untrusted, match="offers 9 CA certificates"):
        get(folder, wish(server, trust=Trust()), person)
    assert person.shown == []


def test_an_identity_remembers_its_trust(server: EstServer, folder: Folder) -> None:
    """A new identity in the same folder asks nobody about the CA again."""
    get(folder, wish(server))
    person = Recorder()
    get(folder, wish(server, trust=Trust()), person, force=True)
    assert person.shown == []


def test_a_root_without_a_link_is_not_taken_up(server: EstServer, folder: Folder) -> None:
    """The server's key is in use all day: it alone must not bring a CA that is trusted for ever."""
    other = Plant("Next root").certificate
    server.answers["cacerts"] = lambda _: certs([server.plant.certificate, other])
    person = Recorder()
    identity = get(folder, wish(server), person)
    assert set(read_anchors(identity.trust_file)) == {server.plant.certificate}
    [said] = person.warned
    assert "no certificate joins it with a CA that is trusted" in said
    assert sha256(other) in said


def test_intermediates(tmp_path: Path, folder: Folder) -> None:
    """A root pinned, an issuing CA in between: the chain on disk leads from one to the other."""
    root = Plant("Root")
    issuing = Plant("Issuing", issuer=root)
    with EstServer(issuing, tmp_path).running() as server:
        both = [issuing.certificate, root.certificate]
        server.answers["cacerts"] = lambda _: certs(both)
        # The server's TLS chain lacks the issuing CA here, hence that CA's own fingerprint.
        identity = get(folder, wish(server))
    assert read_anchors(identity.chain_file)[0] == issuing.certificate
    assert set(read_anchors(identity.trust_file)) == set(both)


def test_the_password_waits_for_trust(server: EstServer, folder: Folder) -> None:
    """It is asked for after the server has proved itself, and sent with the enrollment alone."""
    person = Recorder()
    get(folder, wish(server, user="ada"), person)
    assert person.asked == ["ada"]
    with_login = [s.operation for s in server.seen if "authorization" in s.headers]
    assert with_login == ["simpleenroll"]


def test_a_refused_password(server: EstServer, folder: Folder) -> None:
    """Is said; the next run may try another one."""
    server.answers["simpleenroll"] = lambda _: text(401, "no", ("WWW-Authenticate", "Basic x"))
    with pytest.raises(CredentialsRefused):
        get(folder, wish(server, user="ada"))
    del server.answers["simpleenroll"]
    assert_matches(get(folder, wish(server, user="ada")))
    assert len({seen.request.spki for seen in server.posts()}) == 1


def test_a_client_certificate(server: EstServer, folder: Folder, tmp_path: Path) -> None:
    """Is presented with the enrollment; wrong files are found before the network."""
    certificate, key = server.plant.credential(tmp_path, "engineer")
    get(folder, wish(server, credential=Credential(certificate, key)))
    (post,) = server.posts()
    assert post.client
    assert show_name(x509.load_der_x509_certificate(post.client).subject) == "CN=engineer"


def test_a_server_that_was_named_is_not_looked_for_elsewhere(plant: Plant) -> None:
    """Who is down is down: another that answers on the network is not the one that was meant."""
    person = Recorder()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        server = Server.parse(f"127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(Unreachable):
            trust.reach(server, Trust((plant.certificate,)), (), person)
    assert person.told == []


def heard(name: str, address: str, **txt: str) -> discovery.Server:
    """A server as it was announced; without an address there is nothing to connect to."""
    return discovery.Server(name, "est.local", 8443, (address,) if address else (), "lo", txt)


@pytest.mark.parametrize(("label", "labels"), [(None, ("/line4", "")), ("x", ("/x", "/x"))])
def test_servers_that_were_discovered(
    monkeypatch: pytest.MonkeyPatch, label: str | None, labels: tuple[str, str]
) -> None:
    """Under the label asked for, else the one announced; the first address of each name."""
    line4 = [heard("Line 4", address, label="line4") for address in ("", "192.0.2.1", "192.0.2.2")]
    found = [*line4, heard("Line 5", "192.0.2.5")]
    monkeypatch.setattr(browse, "browse", lambda **_: found)
    est = "8443/.well-known/est"
    assert trust.discover(label, ()) == [
        ("Line 4", Server(f"https://192.0.2.1:{est}{labels[0]}", named=False)),
        ("Line 5", Server(f"https://192.0.2.5:{est}{labels[1]}", named=False)),
    ]


@pytest.fixture
def engineer(plant: Plant, tmp_path: Path) -> Path:
    """A folder with a credential, its key encrypted as well, and the CA's certificate."""
    _, key = plant.credential(tmp_path, "engineer")
    plant.pem(tmp_path)
    sealed = BestAvailableEncryption(b"secret")
    pem = keys.from_pem(key.read_bytes()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed)
    (tmp_path / "sealed.key").write_bytes(pem)
    return tmp_path


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("ca.pem", "engineer.key"), "is not the key of the first certificate in"),
        (("engineer.pem", "sealed.key"), "sealed.key is encrypted"),
        (("engineer.pem", "none.key"), "there is no file"),
        (("engineer.key", "engineer.pem"), "are not a certificate and a key in PEM"),
    ],
)
def test_files_that_cannot_be_presented(
    server: EstServer, folder: Folder, engineer: Path, names: tuple[str, str], says: str
) -> None:
    """Are found before anybody is asked anything, and by a dry run; no key is left behind."""
    credential = Credential(*(engineer / name for name in names))
    wished, person = wish(server, credential=credential, user="ada", trust=Trust()), Recorder()
    with pytest.raises(LocalState, match=says):
        get(folder, wished, person)
    with pytest.raises(LocalState, match=says):
        plan(folder, wished, force=False, person=person)
    assert (person.shown, person.asked, server.seen, folder.draft()) == ([], [], [], None)
