"""The CA's roll-over as doctor sees it: due, half done, interrupted, over."""

from __future__ import annotations

import shutil
from contextlib import closing
from datetime import timedelta

import pytest

from cipsec import rollover, times
from cipsec.ca_folder import CaFolder
from cipsec.pki import keys
from cipsec.rollover import Step

from .looking import FAIL, OK, WARN, at_ca

_CHECK = "ca rollover"


@pytest.fixture
def prepared(ca_folder: CaFolder) -> CaFolder:
    """A CA with a next root."""
    with closing(ca_folder.store()) as database:
        step = Step(ca_folder, database, "operator", times.now())
        kind = keys.KeyType.EC_P256
        rollover.prepare(step, None, key_type=kind, validity=timedelta(days=9000))
    return ca_folder


def _activate(folder: CaFolder) -> None:
    with closing(folder.store()) as database:
        rollover.activate(Step(folder, database, "operator", times.now()), None)


def test_due(ca_folder: CaFolder) -> None:
    """From when on certificates are cut short: what is left is less than what they are to last."""
    left = ca_folder.certificate().not_valid_after_utc - times.now()
    [found] = at_ca(ca_folder, _CHECK, later=left - timedelta(days=731))
    assert found.verdict is OK
    [found] = at_ca(ca_folder, _CHECK, later=left - timedelta(days=729))
    assert (found.verdict, found.hint) == (WARN, "cipsec ca rollover")
    assert "cut short" in found.detail


def test_due_and_prepared(prepared: CaFolder) -> None:
    """Then what is to be done is to activate it."""
    left = prepared.certificate().not_valid_after_utc - times.now()
    found = at_ca(prepared, _CHECK, later=left - timedelta(days=100))
    assert [one.verdict for one in found] == [OK, WARN]
    assert {one.hint for one in found} == {"cipsec ca rollover --activate"}


def test_interrupted(prepared: CaFolder) -> None:
    """The new root has taken over, ca.key has not followed: a warning, and no other alarm."""
    shutil.copy(prepared.successor.certificate_file, prepared.certificate_file)
    [found] = at_ca(prepared, _CHECK)
    assert (found.verdict, found.hint) == (WARN, "cipsec ca rollover --activate")
    assert FAIL not in {one.verdict for one in at_ca(prepared, "ca key")}
    _activate(prepared)
    assert OK in {one.verdict for one in at_ca(prepared, _CHECK)}


def test_over(prepared: CaFolder) -> None:
    """The former root's key can go once its certificate has ended."""
    end = prepared.certificate().not_valid_after_utc - times.now()
    _activate(prepared)
    [found] = at_ca(prepared, _CHECK, later=timedelta(days=1))
    assert (found.verdict, "is kept until" in found.detail) == (OK, True)
    [found] = at_ca(prepared, _CHECK, later=end + timedelta(days=1))
    assert (found.verdict, found.hint) == (WARN, "cipsec ca rollover --retire")


def test_keys_of_all_roots(prepared: CaFolder) -> None:
    """A next key that is another's, or that others may read, is found before it issues."""
    shutil.copy(prepared.key_file, prepared.successor.key_file)
    assert [one.verdict for one in at_ca(prepared, "ca key")] == [OK, FAIL]
    prepared.successor.key_file.chmod(0o644)
    [found] = at_ca(prepared, "ca secrets")
    assert found.verdict is FAIL
