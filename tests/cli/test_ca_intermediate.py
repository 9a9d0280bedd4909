"""`cipsec ca init --intermediate`: a request, a wait that survives, a certificate judged whole."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from cipsec import times
from cipsec.ca_folder import CaFolder, fingerprint, open_folder
from tests.report.test_signing import verified
from tests.support import ca, upper
from tests.support.upper import Ca

from .conftest import Cipsec, Ran

_THEN = "cipsec ca init --intermediate --certificate FILE --chain FILE"


@pytest.fixture
def root() -> Ca:
    """The company's root."""
    return upper.root()


@pytest.fixture
def place(cipsec: Cipsec, tmp_path: Path) -> Path:
    """The folder of the CA "Line 4" that waits for its certificate."""
    argv = ["ca", "init", "--intermediate", "--name", "Line 4", "--no-passphrase"]
    assert cipsec(*argv, "--ca-dir", tmp_path / "ca").code == 0
    return tmp_path / "ca"


Install = Callable[..., Ran]


@pytest.fixture
def install(cipsec: Cipsec, place: Path, tmp_path: Path) -> Install:
    """Take a certificate in, with the CAs above it."""

    def run(own: x509.Certificate, *above: x509.Certificate, more: tuple[str, ...] = ()) -> Ran:
        given = upper.write(tmp_path / "given.pem", own)
        chain = ("--chain", upper.write(tmp_path / "above.pem", *above)) if above else ()
        argv = ["ca", "init", "--intermediate", "--certificate", given, *chain]
        return cipsec(*argv, "--ca-dir", place, *more)

    return run


def test_first_a_request(cipsec: Cipsec, tmp_path: Path) -> None:
    """It asks for a CA that issues leafs; a copy goes where -o says; the next steps are said."""
    place, copy = tmp_path / "ca", tmp_path / "line4.csr"
    argv = ["ca", "init", "--intermediate", "--name", "Line 4", "--no-passphrase", "-o", copy]
    ran = cipsec(*argv, "--ca-dir", place, "--json")
    assert ran.code == 0
    made = ran.json["ca"]
    assert (made["state"], made["csr"]) == ("waiting", str(place / "ca.csr"))
    assert (made["sha256"], made["not_after"], made["subject"]) == (None, None, "CN=Line 4")
    assert copy.read_bytes() == (place / "ca.csr").read_bytes() == made["pem"].encode()
    assert (place / "ca.key").stat().st_mode & 0o777 == 0o600
    request = x509.load_pem_x509_csr(copy.read_bytes())
    assert request.is_signature_valid
    basic = request.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.critical, basic.value) == (True, x509.BasicConstraints(True, 0))
    usage = request.extensions.get_extension_for_class(x509.KeyUsage)
    assert (usage.critical, usage.value) == (True, upper.usage())
    assert ran.err.splitlines()[-1] == f"cipsec: then: {_THEN} --ca-dir {place}"


def test_the_request_on_stdout(cipsec: Cipsec, tmp_path: Path) -> None:
    """-o - prints the request and nothing else."""
    argv = ["ca", "init", "--intermediate", "--name", "Line 4", "--no-passphrase", "-o", "-"]
    ran = cipsec(*argv, "--ca-dir", tmp_path / "ca")
    assert ran.out == (tmp_path / "ca" / "ca.csr").read_text()


def test_a_copy_that_cannot_be_written(cipsec: Cipsec, tmp_path: Path) -> None:
    """It is refused before anything is made."""
    (tmp_path / "there").write_text("mine")
    argv = ["ca", "init", "--intermediate", "--name", "Line 4", "--no-passphrase"]
    for target in ("there", "no/such/folder"):
        ran = cipsec(*argv, "-o", tmp_path / target, "--ca-dir", tmp_path / "ca")
        assert ran.code == 6
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize(
    "argv",
    [
        ["ca", "serve"],
        ["ca", "show"],
        ["ca", "pending"],
        ["ca", "list"],
        ["ca", "log"],
        ["ca", "provision", "card-1", "-o", "card-1"],
        ["policy", "show"],
        ["user", "list"],
        ["vendor", "list"],
        ["allowlist", "list"],
    ],
    ids=" ".join,
)
def test_until_then_every_command_says_what_to_type(
    cipsec: Cipsec, place: Path, argv: list[str]
) -> None:
    """The folder waits; nothing is tried with half a CA."""
    ran = cipsec(*argv, "--ca-dir", place)
    assert ran.code == 6
    assert ran.err == (
        f"cipsec: error: the CA in {place} waits for its certificate:"
        f" have {place / 'ca.csr'} signed\n"
        f"cipsec: hint: {_THEN} --ca-dir {place}\n"
    )


def test_doctor_and_a_second_init(cipsec: Cipsec, place: Path) -> None:
    """Both say that it waits; the key and the request stay as they are."""
    before = {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}
    ran = cipsec("doctor", "--ca-dir", place, "--json")
    assert ran.code == 10
    [found] = [one for one in ran.json["checks"] if one["check"] == "ca certificate"]
    assert (found["verdict"], found["hint"]) == ("fail", f"{_THEN} --ca-dir {place}")
    for more in ([], ["--intermediate"]):
        again = cipsec("ca", "init", "--name", "X", "--no-passphrase", "--ca-dir", place, *more)
        assert again.code == 6
        assert again.err.splitlines()[-1] == f"cipsec: hint: {_THEN} --ca-dir {place}"
    assert before == {path.name: path.read_bytes() for path in place.iterdir() if path.is_file()}


def test_then_the_certificate(install: Install, cipsec: Cipsec, place: Path, root: Ca) -> None:
    """The folder is whole; what is shown, announced and handed out leads to the root."""
    own = root.answer(place / "ca.csr", days=(-1, 400))
    ran = install(own, root.certificate, more=("--json",))
    assert ran.code == 0
    made = ran.json["ca"]
    assert (made["state"], made["sha256"]) == ("ready", fingerprint(own))
    assert (made["root"], made["root_sha256"]) == (upper.ROOT, fingerprint(root.certificate))
    folder = open_folder(place)
    assert folder.cacerts(times.now()) == [own, root.certificate]
    shown = cipsec("ca", "show", "--ca-dir", place, "--json").json["ca"]
    assert shown["root_sha256"] == fingerprint(root.certificate)
    assert shown["issues_until"] == made["not_after"]
    log = cipsec("ca", "log", "--ca-dir", place, "--json").json["events"]
    assert [(one["event"], one["actor"]) for one in log] == [("ca-certificate", "operator")]
    found = cipsec("doctor", "--ca-dir", place, "--json").json["checks"]
    mine = [one["verdict"] for one in found if one["check"] in ("ca key", "ca certificate")]
    assert mine == ["ok", "ok", "ok"]


def test_its_reports_are_verified_from_the_root(
    install: Install, cipsec: Cipsec, place: Path, tmp_path: Path, root: Ca
) -> None:
    """With the file that the command names: openssl does not stop at an intermediate."""
    install(root.answer(place / "ca.csr"), root.certificate)
    path = tmp_path / "june.html"
    ran = cipsec("ca", "report", "--ca-dir", place, "--sign", "-o", path)
    assert f"-in {path.name}.p7s -content {path.name} -CAfile chain.pem" in ran.err
    signature = path.with_name("june.html.p7s").read_bytes()
    assert verified(tmp_path, place / "chain.pem", signature, path.read_bytes())


def test_a_bundle_in_any_order(install: Install, place: Path, root: Ca) -> None:
    """Everything may stand in one file, others' certificates too; the path is found."""
    middle = root.below("CN=Works Issuing", pathlen=1)
    own = middle.answer(place / "ca.csr")
    stranger = upper.root("CN=Stranger").certificate
    assert install(stranger, root.certificate, own, middle.certificate).code == 0
    assert open_folder(place).cacerts(times.now()) == [own, middle.certificate, root.certificate]
    assert (place / "chain.pem").read_text().count("BEGIN") == 2


def test_the_first_of_all_ends_is_the_end(place: Path, install: Install, root: Ca) -> None:
    """What is issued ends with the root where that ends first."""
    short = upper.root(key=root.key, days=(-1, 30))
    assert install(short.answer(place / "ca.csr"), short.certificate).code == 0
    folder = open_folder(place)
    end = short.certificate.not_valid_after_utc
    assert folder.ends() == folder.authority(None).ends == end
    text = (place / "ca.toml").read_text().replace('then = "ask"', 'then = "grant"\nlab = true')
    (place / "ca.toml").write_text(text)
    issued = x509.load_der_x509_certificate(ca.receive(folder, ca.request()))
    assert issued.not_valid_after_utc == end
    provisioning = folder.provisioning_authority(None, times.now())
    assert provisioning.certificate.not_valid_after_utc == end
    assert times.now() + timedelta(days=29) < end


_CRITICAL = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
_CODE_SIGNING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
_WITHIN = x509.NameConstraints(
    [x509.DNSName("plant.example"), x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))], None
)
_OTHER = x509.AuthorityKeyIdentifier(b"\x01" * 20, None, None)


@pytest.mark.parametrize(
    ("wish", "objection"),
    [
        ({"is_ca": False}, "CN=Line 4 is not the certificate of a CA"),
        ({"usage": upper.usage(sign=False)}, "CN=Line 4 may not sign certificates"),
        ({"usage": upper.usage(crl=False)}, "CN=Line 4 may not sign CRLs"),
        ({"days": (-9, -2)}, "CN=Line 4 expired at"),
        ({"days": (2, 9)}, "CN=Line 4 is valid only from"),
        ({"more": [(_CRITICAL, True)]}, "has the critical extension 1.3.6.1.4.1.99999.1"),
        ({"more": [(_CODE_SIGNING, False)]}, "and not to serverAuth and clientAuth"),
        ({"more": [(_WITHIN, True)]}, "permits only names within plant.example, 10.0.0.0/8"),
        ({"authority": _OTHER}, "CN=Line 4 names another key of its issuer"),
    ],
)
def test_objections(
    install: Install, place: Path, root: Ca, wish: dict[str, Any], objection: str
) -> None:
    """Each is said with what to do about it, and the folder goes on waiting."""
    ran = install(root.answer(place / "ca.csr", **wish), root.certificate)
    assert ran.code == 6
    first, *pairs = ran.err.splitlines()
    assert first == "cipsec: error: the certificate of CN=Line 4 cannot be this CA's: 1 objection"
    assert pairs[0].startswith("cipsec: objection: ")
    assert objection in pairs[0]
    assert pairs[1].startswith("cipsec: hint: ")
    assert CaFolder(place).is_waiting()
    assert not (place / "chain.pem").exists()


def test_all_objections_at_once(install: Install, place: Path, root: Ca) -> None:
    """Another key, another purpose, over, and from nowhere: said in one go, as JSON too."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    wrong = root.sign("CN=Other", key, is_ca=False, usage=upper.usage(sign=False), days=(-9, -2))
    ran = install(wrong, more=("--json",))
    assert ran.code == 6
    error = ran.json["error"]
    assert (error["kind"], len(error["objections"])) == ("unfit", 5)
    assert error["hint"] == error["objections"][0]["hint"]
    said = " / ".join(one["message"] for one in error["objections"])
    for part in ("another key", f"its issuer, {upper.ROOT}, is missing", "expired", "CA", "sign"):
        assert part in said


def test_objections_to_the_cas_above(install: Install, place: Path) -> None:
    """A path that its devices would refuse is refused here: length, hash, key."""
    odd = hashes.SHA3_256()
    root = upper.root(pathlen=1, hash=odd)  # nobody verifies a root's own signature
    middle = root.below("CN=Works Issuing", pathlen=1, hash=odd, kind=upper.rsa_key(1024))
    own = middle.answer(place / "ca.csr")
    ran = install(own, middle.certificate, root.certificate)
    said = [line for line in ran.err.splitlines() if line.startswith("cipsec: objection")]
    assert [line.removeprefix("cipsec: objection: ") for line in said] == [
        "devices do not verify the rsa-1024 key of CN=Works Issuing",
        "CN=Works Issuing is signed with sha3-256, which devices refuse",
        f"{upper.ROOT} may have 1 CAs below it, not 2 (pathLenConstraint)",
    ]


def test_a_root_of_another_kind(install: Install, place: Path) -> None:
    """An Ed25519 root cannot be verified by devices that know ECDSA and RSA."""
    key = ed25519.Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Modern")])
    wish = upper.Wish(pathlen=None, hash=None)
    modern = Ca(key, upper.make(name, key.public_key(), name, key, wish))
    ran = install(modern.answer(place / "ca.csr", hash=None), modern.certificate)
    assert ran.code == 6
    assert "do not verify the ed25519 key of CN=Modern" in ran.err
    assert "CN=Line 4 is signed with no hash" in ran.err


def test_cautions(install: Install, place: Path, root: Ca) -> None:
    """What is no objection is said once it is taken in."""
    excluded = x509.NameConstraints(None, [x509.DNSName("office.example")])
    wish: dict[str, Any] = {"more": [(excluded, True)], "identifier": False}
    ran = install(root.answer(place / "ca.csr", **wish), root.certificate)
    assert ran.code == 0
    warnings = [line for line in ran.err.splitlines() if line.startswith("cipsec: warning: ")]
    assert "CN=Line 4: has no subjectKeyIdentifier" in warnings[0]
    assert "CN=Line 4: excludes names within office.example" in warnings[1]


def test_renewed_under_another_root(
    install: Install, cipsec: Cipsec, place: Path, root: Ca
) -> None:
    """The same request, signed again elsewhere, takes the place; another subject does not."""
    assert install(root.answer(place / "ca.csr"), root.certificate).code == 0
    other = upper.root("CN=New Root")
    renamed = other.answer(place / "ca.csr", subject="CN=Line 5")
    refused = install(renamed, other.certificate)
    assert "this CA has issued as CN=Line 4" in refused.err
    assert open_folder(place).root() == root.certificate
    again = other.answer(place / "ca.csr")
    assert install(again, other.certificate).code == 0
    assert open_folder(place).cacerts(times.now()) == [again, other.certificate]
    assert (place / "chain.pem").read_text().count("BEGIN") == 1


def test_the_provisioning_issuer_is_renewed_too(install: Install, place: Path, root: Ca) -> None:
    """It ends with the CA's certificate; after that was renewed it goes on under its old key."""
    folder = CaFolder(place)
    assert install(root.answer(place / "ca.csr", days=(-1, 30)), root.certificate).code == 0
    before = folder.provisioning_authority(None, times.now()).certificate
    assert install(root.answer(place / "ca.csr", days=(-1, 400)), root.certificate).code == 0
    after = folder.provisioning_authority(None, times.now()).certificate
    assert after.not_valid_after_utc == folder.ends() > before.not_valid_after_utc
    assert (after.public_key(), after.subject) == (before.public_key(), before.subject)
    assert folder.provisioning_certificate() == after
    assert folder.provisioning_authority(None, times.now()).certificate == after


def test_whichever_file_is_new_the_path_is_whole(place: Path, install: Install, root: Ca) -> None:
    """While certificate and chain are exchanged, chain.pem leads up from either."""
    old = root.answer(place / "ca.csr")
    assert install(old, root.certificate).code == 0
    other = upper.root("CN=New Root")
    new = other.answer(place / "ca.csr")
    upper.write(place / "chain.pem", other.certificate, root.certificate)
    assert CaFolder(place).path_to_root() == [old, root.certificate]
    upper.write(place / "ca.pem", new)
    assert CaFolder(place).path_to_root() == [new, other.certificate]


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["--days", "30"], 2, "says how long this one lives"),
        (["--name", "L", "--subject", "CN=L"], 2, "a name or a subject"),
        (["--name", "L", "--certificate", "x.pem"], 2, "--name has no effect"),
        (["--certificate", "x.pem", "--passphrase-file", "x"], 2, "--passphrase-file has no"),
        (["--certificate", "x.pem", "-o", "x"], 2, "only a request is written with -o"),
        (["--certificate", "x.pem"], 3, "there is no CA in"),
    ],
)
def test_options_that_do_not_fit(
    cipsec: Cipsec, tmp_path: Path, argv: list[str], code: int, said: str
) -> None:
    """One clear line, and nothing is made."""
    ran = cipsec("ca", "init", "--intermediate", *argv, "--ca-dir", tmp_path / "ca")
    assert (ran.code, said in ran.err) == (code, True), ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_root_takes_no_certificate(cipsec: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """A CA that is a root stays one; without --intermediate there is nothing to take in."""
    given = upper.write(tmp_path / "x.pem", upper.root().certificate)
    argv = ["ca", "init", "--certificate", given, "--ca-dir", ca_folder.path]
    assert cipsec(*argv).code == 2
    ran = cipsec(*argv, "--intermediate")
    assert (ran.code, "is a root" in ran.err) == (6, True)


@pytest.mark.parametrize("data", [b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n", b"\x30"])
def test_files_given_by_mistake(cipsec: Cipsec, place: Path, tmp_path: Path, data: bytes) -> None:
    """Whatever is given in place of a certificate gets one line, and the folder waits on."""
    (tmp_path / "x").write_bytes(data)
    argv = ["ca", "init", "--intermediate", "--certificate", tmp_path / "x"]
    ran = cipsec(*argv, "--ca-dir", place)
    assert ran.code == 6
    assert ran.err.startswith(f"cipsec: error: {tmp_path / 'x'} ")
    assert CaFolder(place).is_waiting()
