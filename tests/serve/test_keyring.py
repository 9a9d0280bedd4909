"""The keys in a running server, when the CAs above it are exchanged."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from cipsec import founding, times
from cipsec.pki import keys, names
from cipsec.serve.keyring import Keyring
from tests.support import upper


def test_a_ca_above_whose_certificate_was_renewed(tmp_path: Path) -> None:
    """An intermediate keeps its certificate; what it issues lasts as long as the new one allows."""
    now = times.now()
    old = upper.root(days=(-1, 5))
    wanted = founding.Wanted("Line 4", (), "lab", None)
    key = keys.generate(keys.KeyType.EC_P256)
    subject = names.parse_subject("CN=Line 4")
    folder = founding.request(tmp_path / "ca", wanted, subject=subject, key=key)
    own = old.answer(folder.request_file, days=(-1, 3000))
    founding.install(folder, [own, old.certificate], by="operator", now=now)
    keyring = Keyring(folder, None, now=now)
    assert keyring.current().ends == old.certificate.not_valid_after_utc
    founding.install(folder, [own, upper.root(key=old.key).certificate], by="operator", now=now)
    assert keyring.current().ends == own.not_valid_after_utc
    keyring.current().require_valid(now + timedelta(days=6))
    assert [one.certificate for one in keyring.every(now)] == [own]
