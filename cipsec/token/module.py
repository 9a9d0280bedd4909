"""The library that speaks to tokens, per process: loaded, started again, its errors in words."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cipsec import shell
from cipsec.errors import LocalState, Locked, TokenFailed
from cipsec.token.uri import KeyUri, tool

if TYPE_CHECKING:
    from pkcs11 import Session, Token

_EXTRA = "pip install 'cipsec[pkcs11]'"


class Module:
    """One PKCS#11 library; `generation` counts its starts: sessions end with one."""

    def __init__(self, path: Path) -> None:
        """Load and start the library; raise LocalState."""
        try:
            import pkcs11
        except ImportError:
            raise LocalState("keys on PKCS#11 tokens need an extra", hint=_EXTRA) from None
        self.path = path
        self.generation = 0
        self._pid = os.getpid()
        place = shell.quote(path)
        files_hint = f"install the token's software, or name another module: ls -l {place}"
        try:
            self._library = pkcs11.lib(str(path))
        except (pkcs11.PKCS11Error, OSError) as error:
            text = str(error).rpartition(": ")[2] or type(error).__name__
            message = f"the PKCS#11 module {path} cannot be loaded: {text}"
            raise TokenFailed(message, hint=files_hint) from None

    def ensure_this_process(self) -> None:
        """Start the library again where this is a fork of the process that started it.

        PKCS#11 section 5.4 wants it: what a parent has opened is not its children's.
        """
        if self._pid != os.getpid():
            self.restart()

    def restart(self) -> None:
        """Start anew, so that a token that went and came is seen; ends all sessions."""
        import pkcs11

        self._pid = os.getpid()
        self.generation += 1
        try:
            if self._library.initialized:
                self._library.reinitialize()
            else:
                self._library.initialize()
        except pkcs11.PKCS11Error as error:
            message = f"the PKCS#11 module {self.path} does not start: {type(error).__name__}"
            raise TokenFailed(message, hint=tool(self.path, "-L")) from None

    def token(self, uri: KeyUri) -> Token:
        """Return the token that a URI names; raise TokenFailed when it is not there."""
        import pkcs11

        hint = f"see what is there: {tool(self.path, '-L')}"
        try:
            found = [t for t in self._library.get_tokens() if _fits(t, uri)]
        except pkcs11.PKCS11Error as error:
            message = f"the tokens of {self.path} cannot be listed: {type(error).__name__}"
            raise TokenFailed(message, hint=hint) from None
        if not found:
            raise TokenFailed(f"the token {uri.token} is not there", hint=hint)
        if len(found) > 1:
            raise TokenFailed(
                f"{len(found)} tokens are named {uri.token}", hint="add serial= to the URI"
            )
        return found[0]

    def session(self, uri: KeyUri, pin: str, *, writable: bool = False) -> Session:
        """Return a session that is logged in; raise Locked for the PIN, TokenFailed."""
        import pkcs11

        token = self.token(uri)
        with failing(uri):
            try:
                return token.open(user_pin=pin, rw=writable)
            except pkcs11.UserAlreadyLoggedIn:  # by another session of this process
                return token.open(rw=writable)


@functools.cache
def module(path: Path) -> Module:
    """Return the library at a path: it is one per process, whoever asks; raise LocalState."""
    return Module(path)


@contextmanager
def failing(uri: KeyUri) -> Iterator[None]:
    """Turn the library's errors inside the block into ours."""
    import pkcs11

    try:
        yield
    except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
        raise Locked(
            f"this is not the PIN of the token {uri.token}; each wrong one costs a try",
            hint="add --passphrase-file FILE with the PIN",
        ) from None
    except pkcs11.PinLocked:
        raise Locked(
            f"the PIN of the token {uri.token} is locked",
            hint="unlock it with the token's own program and its SO PIN",
        ) from None
    except (pkcs11.UserPinNotInitialized, pkcs11.PinExpired):
        raise Locked(
            f"the token {uri.token} has no PIN that is good",
            hint=tool(uri.module, "--init-pin"),
        ) from None
    except pkcs11.PKCS11Error as error:
        raise TokenFailed(
            f"the token {uri.token} fails: {type(error).__name__}",
            hint=f"see what is there: {tool(uri.module, '-L')}",
        ) from None


def _fits(token: Token, uri: KeyUri) -> bool:
    pairs = (
        (token.label, uri.token),
        (token.serial.decode("utf-8", "replace"), uri.serial),
        (token.manufacturer_id, uri.manufacturer),
        (token.model, uri.model),
    )
    return all(wanted is None or wanted.strip() == has.strip() for has, wanted in pairs)
