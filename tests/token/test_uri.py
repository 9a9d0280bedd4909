"""PKCS#11 URIs as RFC 7512 has them; a PIN in one is refused and not repeated."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import LocalState, UsageError
from cipsec.token.uri import KeyUri

_MODULE = "?module-path=/usr/lib/m.so"


def test_everything_that_is_known() -> None:
    """Each attribute is read, percent-encoding undone; the id is bytes."""
    text = (
        "pkcs11:token=The%20plant%3B;manufacturer=Acme;model=X;serial=01ab;object=line%204;"
        "id=%01%FF%41;type=private?module-path=/usr/lib/m%20x.so&pin-source=file:/etc/pin"
    )
    uri = KeyUri.parse(text)
    assert uri == KeyUri(
        token="The plant;",
        module=Path("/usr/lib/m x.so"),
        object="line 4",
        id=b"\x01\xffA",
        serial="01ab",
        manufacturer="Acme",
        model="X",
        pin_source=Path("/etc/pin"),
    )
    assert KeyUri.parse(str(uri)) == uri


@given(
    token=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    label=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    identifier=st.none() | st.binary(min_size=1),
)
def test_written_and_read(token: str, label: str, identifier: bytes | None) -> None:
    """What is written is read as it was, whatever the names are; and stands on one line."""
    uri = KeyUri(token=token, module=Path("/m.so"), object=label, id=identifier)
    assert KeyUri.parse(str(uri)) == uri
    assert str(uri).isascii()
    assert len(str(uri).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a PKCS#11 URI"),
        ("file:/etc/key", "is not a PKCS#11 URI"),
        ("pkcs11:", "names no token"),
        ("pkcs11:token=a" + _MODULE, "no key on it"),
        ("pkcs11:object=a" + _MODULE, "names no token"),
        ("pkcs11:token=a;object=b", "which library"),
        ("pkcs11:token=a;object=b?module-path=m.so", "which library"),
        ("pkcs11:token=a;object=b;type=cert" + _MODULE, "not the URI of a private key"),
        ("pkcs11:token=a;object=b;slot-id=7" + _MODULE, "'slot-id' in a PKCS#11 URI"),
        ("pkcs11:token=a;token=b;object=c" + _MODULE, "is not a PKCS#11 URI"),
        ("pkcs11:token=a;object" + _MODULE, "is not a PKCS#11 URI"),
        ("pkcs11:token=a;object=l%ff" + _MODULE, "octets that are not UTF-8"),
        ("pkcs11:token=a;object=b" + _MODULE + "&pin-source=|rm", "pin-source names a file"),
        ("pkcs11:token=a;object=b" + _MODULE + "&x=y", "'x' in a PKCS#11 URI"),
    ],
)
def test_what_is_refused(text: str, said: str) -> None:
    """One sentence each, and an example to type."""
    with pytest.raises(UsageError, match=said) as error:
        KeyUri.parse(text)
    assert error.value.hint


@pytest.mark.parametrize("also", ["", "&pin-value=1", ";;&&"])
def test_a_pin_is_not_repeated(also: str) -> None:
    """Whatever else is wrong with a URI, the PIN in it appears nowhere."""
    with pytest.raises(UsageError) as error:
        KeyUri.parse(f"pkcs11:token=a;object=b{_MODULE}&pin-value=geheim{also}")
    assert "geheim" not in error.value.message + str(error.value.hint)


def test_where_the_pin_is(tmp_path: Path) -> None:
    """The first line of the file; an empty one or none is said."""
    file = tmp_path / "pin"
    uri = KeyUri.parse(f"pkcs11:token=a;object=b{_MODULE}&pin-source={file}")
    with pytest.raises(LocalState, match="there is no file"):
        uri.pin()
    file.write_text("\n1234\n")
    with pytest.raises(LocalState, match="there is no PIN in"):
        uri.pin()
    file.write_text("1234\r\nmore\n")
    assert uri.pin() == "1234"
