"""PKCS#11 URIs (RFC 7512): which key on which token, by which module, and where its PIN is.

A PIN itself never stands in one here: command lines and files with URIs can be read by others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote, unquote_to_bytes

from cipsec import files, shell
from cipsec.errors import LocalState, Malformed, UsageError

SCHEME = "pkcs11:"
_EXAMPLE = "pkcs11:token=plant;object=line-4?module-path=/usr/lib/softhsm/libsofthsm2.so"
_PATH = ("token", "manufacturer", "serial", "model", "object", "id", "type")
_SAFE = ":[]@!$'()*+,=&/-._~ "  # pk11-pchar less what separates here
_PIN_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class KeyUri:
    """A key on a token; what is None is not asked for. `module` is the library's path."""

    token: str
    module: Path
    object: str | None = None
    id: bytes | None = None
    serial: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    pin_source: Path | None = None

    @classmethod
    def parse(cls, text: str) -> KeyUri:
        """Read a URI that names a token, a key on it and a module; raise UsageError."""
        if not text.startswith(SCHEME):
            raise UsageError(f"{text!r} is not a PKCS#11 URI", hint=_EXAMPLE)
        path, _, query = text.removeprefix(SCHEME).partition("?")
        where, how = _attributes(path, ";", text), _attributes(query, "&", text)
        _check(where, how, text)
        identifier = unquote_to_bytes(where["id"]) if "id" in where else None
        return cls(
            token=_plain(where["token"]),
            module=Path(_plain(how["module-path"])),
            object=_text(where, "object"),
            id=identifier,
            serial=_text(where, "serial"),
            manufacturer=_text(where, "manufacturer"),
            model=_text(where, "model"),
            pin_source=_pin_source(how.get("pin-source")),
        )

    @classmethod
    def read(cls, file: Path) -> KeyUri:
        """Read the line with a URI in a file; raise LocalState, Malformed."""
        lines = files.read(file).decode("utf-8", "replace").splitlines()
        try:
            return cls.parse(next((line for line in lines if line.startswith(SCHEME)), ""))
        except UsageError as error:
            message = f"{file} does not say where the key is: {error.message}"
            raise Malformed(message, hint=error.hint) from None

    def found_as(self, label: str | None, identifier: bytes | None) -> KeyUri:
        """Return the URI of a key that was found, by both of its names."""
        return replace(self, object=label or self.object, id=identifier or self.id)

    @property
    def key(self) -> str:
        """What people call the key."""
        return self.object or (self.id or b"").hex()

    def pin(self) -> str | None:
        """Return the PIN from where the URI says it is, None without; raise LocalState."""
        if self.pin_source is None:
            return None
        first = files.read(self.pin_source, limit=_PIN_LIMIT).split(b"\n", 1)[0].rstrip(b"\r")
        if not first:
            raise LocalState(f"there is no PIN in {self.pin_source}")
        return first.decode("utf-8", "replace")

    def __str__(self) -> str:
        texts = {
            "token": self.token,
            "manufacturer": self.manufacturer,
            "serial": self.serial,
            "model": self.model,
            "object": self.object,
        }
        path = [f"{name}={_quoted(value)}" for name, value in texts.items() if value is not None]
        if self.id is not None:
            path.append("id=" + "".join(f"%{byte:02X}" for byte in self.id))
        query = [f"module-path={_quoted(str(self.module))}"]
        if self.pin_source is not None:
            query.append(f"pin-source=file:{_quoted(str(self.pin_source))}")
        return f"{SCHEME}{';'.join(path)};type=private?{'&'.join(query)}"


def _attributes(text: str, separator: str, whole: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if not equals or name in found:
            raise UsageError(f"{_shown(whole)!r} is not a PKCS#11 URI", hint=_EXAMPLE)
        found[name] = value
    return found


def _check(where: dict[str, str], how: dict[str, str], text: str) -> None:
    if "pin-value" in how:
        raise UsageError(
            "a PIN in a URI can be read by others",
            hint="put it into a file: pin-source=file:/etc/cipsec/pin, or be asked for it",
        )
    strange = [*(n for n in where if n not in _PATH)]
    strange += [n for n in how if n not in ("module-path", "pin-source")]
    if strange:
        raise UsageError(f"{strange[0]!r} in a PKCS#11 URI is not known here", hint=_EXAMPLE)
    if not where.get("token") or not ("object" in where or "id" in where):
        raise UsageError(f"{text!r} names no token, or no key on it", hint=_EXAMPLE)
    if where.get("type", "private") != "private":
        raise UsageError(f"{text!r} is not the URI of a private key", hint=_EXAMPLE)
    module = _plain(how.get("module-path", ""))
    if not Path(module).is_absolute():
        raise UsageError(
            f"{text!r} does not say which library speaks to the token",
            hint="add ?module-path= and the path of its PKCS#11 module",
        )


def _text(found: dict[str, str], name: str) -> str | None:
    return _plain(found[name]) if name in found else None


def _plain(text: str) -> str:
    """Return what an attribute says; raise UsageError where it is no text (RFC 7512 section 2.3).

    Another name put in its place would name another key, or be given to a new one.
    """
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise UsageError("a PKCS#11 URI has octets that are not UTF-8", hint=_EXAMPLE) from None


def _pin_source(value: str | None) -> Path | None:
    if value is None:
        return None
    path = Path(_plain(value).removeprefix("file:"))
    if not path.is_absolute():
        raise UsageError("pin-source names a file", hint="pin-source=file:/etc/cipsec/pin")
    return path


def _quoted(text: str) -> str:
    return quote(text, safe=_SAFE.replace(" ", ""))


def _shown(text: str) -> str:
    """Return a URI without what may be a PIN."""
    return text.partition("?")[0]


def tool(module: Path, options: str) -> str:
    """Return how OpenSC's program is told, in a shell, to look at the tokens of a module."""
    return f"pkcs11-tool --module {shell.quote(module)} {options}"
