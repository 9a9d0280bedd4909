"""All tests of NIST's PKITS: our verdict, and openssl's."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec.errors import Malformed
from cipsec.pki import verify
from tests.support import programs

from . import reading
from .table import DIFFERS, OPENSSL_DIFFERS, TESTS

# cryptography warns of serial numbers that are not positive.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

each = pytest.mark.parametrize(("number", "name", "valid"), TESTS, ids=[one[0] for one in TESTS])


def _accepted(name: str) -> bool:
    """Judge as `cert verify --trust --intermediates --crl` does; a warning is no acceptance.

    But for those about lists that are not used: all tests' lists are given at once.
    """
    expected = verify.Expected([reading.root()], reading.authorities(), reading.lists())
    try:
        found = verify.certificate(reading.certificate(name), expected, reading.AT)
    except Malformed:
        return False
    judged = [one for one in found if one.check != "revocation list"]
    assert {one.check for one in judged} == {"validity", "path", "revocation"}
    return all(one.verdict == "ok" for one in judged)


@each
def test_verdict(number: str, name: str, valid: bool) -> None:
    """As NIST has it, but where a reason is given."""
    assert _accepted(name) == (valid != (number in DIFFERS))


@pytest.fixture(scope="session")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files for openssl: all CAs, all revocation lists, the anchor."""
    folder = tmp_path_factory.mktemp("pkits")
    (folder / "root.pem").write_bytes(reading.root().public_bytes(Encoding.PEM))
    (folder / "cas.pem").write_bytes(reading.pem_of_authorities())
    (folder / "crls.pem").write_bytes(reading.pem_of_lists())
    return folder


@pytest.mark.programs
@each
def test_openssl(number: str, name: str, valid: bool, pooled: Path) -> None:
    """A second opinion; where it is known to differ from NIST's, it still does."""
    programs.need("openssl")
    ran = programs.run(
        *("openssl", "verify", "-attime", str(int(reading.AT.timestamp()))),
        *("-no-CApath", "-no-CAstore", "-CAfile", pooled / "root.pem"),
        *("-untrusted", pooled / "cas.pem", "-policy", "anyPolicy"),
        *("-CRLfile", pooled / "crls.pem", "-crl_check_all", "-extended_crl"),
        reading.FILES / "certs" / f"{name}EE.crt",
    )
    assert (ran.returncode == 0) == (valid != (number in OPENSSL_DIFFERS)), ran.stderr


def test_the_table() -> None:
    """Every certificate of an end entity is there once, under a number of its own."""
    files = {path.stem for path in (reading.FILES / "certs").iterdir()}
    assert {f"{name}EE" for _, name, _ in TESTS} == {one for one in files if one.endswith("EE")}
    numbers = [number for number, _, _ in TESTS]
    assert len(set(numbers)) == len(numbers) == 223
    assert {*DIFFERS, *OPENSSL_DIFFERS} <= set(numbers)


@pytest.mark.parametrize("number", [n for n, reason in DIFFERS.items() if "say so" in reason])
def test_lists_that_are_not_used_say_so(number: str) -> None:
    """Where nothing is known of a revocation for that, a finding says which list, and why."""
    unused = [
        str(one) if isinstance(one, Malformed) else one.lacks or "" for one in reading.lists()
    ]
    kind = {
        "indirect": "of other CAs",
        "lists of only": "only some",
        "lists of what": "what changed",
    }
    [words] = [said for start, said in kind.items() if DIFFERS[number].startswith(start)]
    assert any(words in one for one in unused)
