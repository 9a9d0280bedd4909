"""PKCS#12 opened by a process of its own: the same as without, and never without end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

from cipsec.archive import child, opening
from cipsec.errors import LocalState, Locked, Malformed, WeakKey
from cipsec.pki import keys
from tests.support import der
from tests.support.waiting import children, is_dead, until

from .hidden import archive

LEAF = x509.load_der_x509_certificate(der.certificate())
ISSUER = x509.load_der_x509_certificate(der.certificate(serial=b"\x06"))
WORD = "s\u00e9cret\n"
_LOCKED = BestAvailableEncryption(WORD.encode())
SEALED = pkcs12.serialize_key_and_certificates(b"x", der.KEY, LEAF, [ISSUER], _LOCKED)
FOREVER = 0x7FFFFFFF  # half an hour
_WEAK = ec.generate_private_key(ec.SECP192R1())


def test_what_is_in_it_comes_out() -> None:
    """Certificates in their order, and the key where it is asked for; any passphrase."""
    found = opening.certificates(SEALED, "x.p12", WORD)
    assert (found.certificates, found.has_key) == ((LEAF, ISSUER), True)
    bundle = opening.key(SEALED, "x.p12", WORD)
    assert bundle.certificates == (LEAF, ISSUER)
    assert keys.spki(bundle.key.public_key()) == keys.spki(der.KEY.public_key())


def test_a_key_in_pem_needs_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rounds are nobody's secret; nor is it PKCS#12."""
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    assert opening.key(keys.to_pem(der.KEY), "x.pem").certificates == ()


def test_errors_come_out_as_they_are() -> None:
    """Of their class, with their hint."""
    with pytest.raises(Locked, match="needs its passphrase") as caught:
        opening.certificates(SEALED, "x.p12", None)
    assert caught.value.hint == "add --passphrase-file FILE"
    with pytest.raises(Locked, match=r"the passphrase does not open x\.p12"):
        opening.key(SEALED, "x.p12", "wrong")
    with pytest.raises(Malformed, match="damaged"):
        opening.certificates(SEALED[:-60], "x.p12", None)
    weak = pkcs12.serialize_key_and_certificates(b"x", _WEAK, None, None, _LOCKED)
    with pytest.raises(WeakKey, match=r"the key in x\.p12 cannot be used"):
        opening.key(weak, "x.p12", WORD)


def test_what_is_hidden_is_opened() -> None:
    """Encrypted twice, each 2,048 times."""
    assert opening.certificates(archive(b"secret", 2048), "x.p12", "secret").has_key
    made = opening.key(archive(b"secret", 2048), "x.p12", "secret")
    assert keys.spki(made.key.public_key()) == keys.spki(der.KEY.public_key())


def test_what_takes_forever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rounds stand where nobody sees them without the passphrase."""
    monkeypatch.setattr(child, "SECONDS", 2)
    made = archive(b"secret", FOREVER)
    for opened in (opening.certificates, opening.key):
        with pytest.raises(Malformed, match=r"x\.p12 takes more than 2 seconds") as caught:
            opened(made, "x.p12", "secret")
        assert caught.value.hint == "if you made it: openssl pkcs12 -in x.p12 -out FILE"


def test_a_process_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As is one that cannot be started."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Malformed, match=r"x\.p12 cannot be opened: who tried ended with 1"):
        opening.certificates(SEALED, "x.p12", None)
    monkeypatch.setattr(sys, "executable", "/nonexistent")
    with pytest.raises(LocalState, match=r"no process could be started to open x\.p12"):
        opening.certificates(SEALED, "x.p12", None)


def test_the_passphrase_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands neither in the arguments nor in the environment of who tries."""
    script, told = tmp_path / "python", tmp_path / "told"
    script.write_text(f'#!/bin/sh\n{{ echo "$@"; env; }} > {told}\nexec {sys.executable} "$@"\n')
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    assert opening.certificates(SEALED, "x.p12", WORD).has_key
    assert "cipsec.archive.child" in told.read_text()
    assert WORD.strip() not in told.read_text()


def test_ctrl_c_ends_it(tmp_path: Path) -> None:
    """And the process that tries: within a computation of OpenSSL's no signal is heard."""
    path = tmp_path / "x.p12"
    path.write_bytes(archive(b"", FOREVER))
    with subprocess.Popen([sys.executable, "-m", "cipsec", "cert", "show", path]) as ran:
        until(lambda: children(ran.pid))
        [trying] = children(ran.pid)
        ran.send_signal(signal.SIGINT)
        assert ran.wait() == 130
    until(lambda: is_dead(trying))
