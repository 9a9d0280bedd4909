"""What people give where a certificate or a request is wanted: named, with something to type."""

from __future__ import annotations

from cipsec import shell
from cipsec.errors import Malformed
from cipsec.pki.faults import UNREADABLE

STDIN = "stdin"  # the `source` of bytes that have no path

CERTIFICATE = "certificate"
REQUEST = "certificate signing request"
CRL = "CRL"
PKCS7 = "PKCS#7"
PKCS12 = "PKCS#12"
PRIVATE_KEY = "private key"
_SSH_KEY = "private key of SSH"
_PUBLIC_KEY = "public key"
_TRUSTED = "certificate in OpenSSL's trusted form"
_LABELS = {
    "CERTIFICATE": CERTIFICATE,
    "X509 CERTIFICATE": CERTIFICATE,
    "CERTIFICATE REQUEST": REQUEST,
    "NEW CERTIFICATE REQUEST": REQUEST,
    "X509 CRL": CRL,
    "PKCS7": PKCS7,
    "CMS": PKCS7,
    "PKCS12": PKCS12,
    "TRUSTED CERTIFICATE": _TRUSTED,
    "OPENSSH PRIVATE KEY": _SSH_KEY,
}
_SSH_PUBLIC = (b"ssh-", b"ecdsa-sha2-", b"sk-ssh-", b"sk-ecdsa-", b"---- BEGIN SSH2 ")
_BEGINNINGS = {
    b"\xfe\xed\xfe\xed": "a Java keystore",
    b"\xce\xce\xce\xce": "a Java keystore",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"%PDF-": "a PDF document",
    b"\xd0\xcf\x11\xe0": "a document of Microsoft Office",
    b"PuTTY-User-Key-File-": "a private key of SSH, in PuTTY's form",
}
_KEYSTORE = "keytool -importkeystore -deststoretype PKCS12 -srckeystore {} -destkeystore FILE"


def of_label(label: str) -> str:
    """Return what an object with this PEM label is to be."""
    kind = _LABELS.get(label)
    return kind or (PRIVATE_KEY if label.endswith("PRIVATE KEY") else label.lower())


def refuse_text(data: bytes, source: str) -> None:
    """Raise Malformed for what neither DER, PEM nor base64 can be, and people give by mistake."""
    text = data[:4096].lstrip()
    if not text:
        raise Malformed(f"{source} is empty", hint=_hint_of_nothing(source))
    if text.startswith((b"\xff\xfe", b"\xfe\xff")) or b"-\0-\0-\0" in text:
        raise Malformed(
            f"{source} is UTF-16 text, as PowerShell writes with >",
            hint=f"iconv -f UTF-16 -t ASCII {typed(source)} -o FILE",
        )
    if text.startswith(b"<"):
        raise Malformed(
            f"{source} is HTML or XML, perhaps an error or login page",
            hint=f"look at it: head {typed(source)}",
        )
    if text.startswith(_SSH_PUBLIC):
        raise Malformed(
            f"{source} is a public key of SSH, which is no certificate",
            hint=f"ssh-keygen -l -f {typed(source)}",
        )
    refuse_beginning(data, source)


def refuse_beginning(data: bytes, source: str) -> None:
    """Raise Malformed for archives, documents and keys of others, by how they begin."""
    for beginning, what in _BEGINNINGS.items():
        if data.startswith(beginning):
            is_keystore = "keystore" in what and source != STDIN
            hint = _KEYSTORE.format(typed(source)) if is_keystore else see(source)
            raise Malformed(f"{source} is {what}", hint=hint)


def other_der(der: bytes) -> str | None:
    """Return the name of DER that is given by mistake; None for what is nothing known."""
    from cryptography.hazmat.primitives import serialization

    from cipsec.pki import pkcs7

    if kind := pkcs7.other_kind(der):
        return kind
    try:
        serialization.load_der_private_key(der, None)
    except TypeError:
        return PRIVATE_KEY  # it asks for its passphrase
    except UNREADABLE:
        pass
    else:
        return PRIVATE_KEY
    try:
        serialization.load_der_public_key(der)
    except UNREADABLE:
        return None
    return _PUBLIC_KEY


def instead(kinds: list[str], wanted: str, source: str) -> Malformed:
    """Return the error that says what is there in place of what was wanted."""
    return Malformed(
        f"there is no {wanted} in {source}, only: {', '.join(kinds)}",
        hint=_hint(kinds[0], source) if kinds else see(source),
    )


def _hint(kind: str, source: str) -> str | None:
    given = typed(source)
    return {
        CERTIFICATE: f"cipsec cert show {given}",
        CRL: f"cipsec cert show {given}",
        REQUEST: f"cipsec csr show {given}",
        PRIVATE_KEY: f"keep it private; cipsec csr create --key {given} makes a request with it",
        _SSH_KEY: "keep it private; SSH has no use for certificates of this kind",
        PKCS12: f"openssl pkcs12 -in {given} -nokeys -out FILE",
        _TRUSTED: f"openssl x509 -in {given} -out FILE",
    }.get(kind, see(source))


def see(source: str) -> str | None:
    """Return the hint to look what a file is; None for stdin, which is gone."""
    return (
        None
        if source == STDIN
        else f"see what it is: {shell.command('file', source, windows='dir')}"
    )


def _hint_of_nothing(source: str) -> str | None:
    return None if source == STDIN else shell.command("ls -l", source, windows="dir")


def typed(source: str) -> str:
    """Return the source as one types it in a shell."""
    return "-" if source == STDIN else shell.quote(source)
