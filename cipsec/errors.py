"""The one error tree: errors carry data and one sentence; status codes are chosen elsewhere.

    CipsecError
    ├── UsageError            the caller asked for something that makes no sense
    ├── NotFound              no such server, request, certificate, user, identity
    ├── Unreachable           a peer did not answer, or not in the protocol
    │   ├── BadAnswer         it answered, and the answer cannot be used
    │   └── Busy              it answered that it cannot now: ask again later
    ├── Untrusted             the peer's certificate is not trusted
    │   └── NoIssuer          the certificate of a CA above it is not there
    ├── LocalState            a file or folder of ours is not as it must be
    │   ├── AlreadyExists     it exists and is not overwritten unasked
    │   ├── Locked            another process holds it, or the passphrase is wrong
    │   ├── StoreFailed       the store cannot be read or written now
    │   ├── HookFailed        the operator's program did not end well
    │   ├── TokenFailed       the PKCS#11 token that holds a key of ours cannot be used now
    │   └── Malformed         bytes that are not what they claim to be
    │       ├── WeakKey       well-formed, and too weak or of an unsupported kind
    │       └── Unfit         a certificate that cannot be this CA's, with every objection
    ├── CardError             a smartcard, its reader or PC/SC could not do what was asked
    │   ├── NoPcsc            no PC/SC: the extra is not installed, or its service does not run
    │   ├── NotPermitted      PC/SC runs, and does not let this user at the cards
    │   ├── NoReader          no reader, or none of that name
    │   ├── NoCard            no card in the reader, or it was pulled
    │   ├── WrongCard         no PIV card, or its answers cannot be used
    │   ├── CardRefused       the card answered no, by a status word
    │   ├── WrongPin          not the PIN (or PUK); says how many tries are left
    │   ├── PinBlocked        no try of the PIN (or PUK) is left
    │   ├── LastTry           one try is left, and is not spent unasked
    │   └── WrongManagementKey    not the key that protects the card's content
    ├── Pending               accepted, not decided: ask again later
    ├── Rejected              refused by policy or by an administrator
    └── CredentialsRefused    user name, password or client certificate not accepted

`_cli.exits` maps the classes to exit codes, `est.server` to HTTP status; nothing else does.
"""

from __future__ import annotations


class CipsecError(Exception):
    """Base of every error this package raises on purpose: one sentence, and a hint to type."""

    kind = "unexpected"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(CipsecError):
    """The caller asked for something that makes no sense; nothing was tried."""

    kind = "usage"


class NotFound(CipsecError):
    """No such server, request, certificate, user or identity."""

    kind = "not_found"


class Unreachable(CipsecError):
    """A peer did not answer, or not in the protocol."""

    kind = "unreachable"


class BadAnswer(Unreachable):
    """A peer answered, and the answer cannot be used."""

    kind = "bad_answer"


class Busy(Unreachable):
    """A peer cannot answer now; ask again after `retry_after` seconds."""

    kind = "busy"

    def __init__(self, message: str, *, retry_after: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Untrusted(CipsecError):
    """The peer's certificate is not trusted."""

    kind = "untrusted"


class NoIssuer(Untrusted):
    """The certificate of a CA above it is not among those that were given."""


class LocalState(CipsecError):
    """A file or folder of ours is missing, damaged or not permitted."""

    kind = "local_state"


class AlreadyExists(LocalState):
    """Something exists and is not overwritten unasked."""

    kind = "already_exists"


class Locked(LocalState):
    """Another process holds it, or the passphrase does not open it."""

    kind = "locked"


class StoreFailed(LocalState):
    """The store cannot be read or written now."""

    kind = "store_failed"


class HookFailed(LocalState):
    """The operator's program that was to be run did not end well."""

    kind = "hook_failed"


class TokenFailed(LocalState):
    """The PKCS#11 token that holds a key of ours cannot be used now."""

    kind = "token_failed"


class Malformed(LocalState):
    """Bytes that are not what they claim to be."""

    kind = "malformed"


class WeakKey(Malformed):
    """A key that is well-formed, and too weak or of a kind this package does not serve."""

    kind = "weak_key"


class Unfit(Malformed):
    """A certificate that cannot be this CA's; `objections` are pairs of why and what to do."""

    kind = "unfit"

    def __init__(self, message: str, *, objections: tuple[tuple[str, str], ...]) -> None:
        super().__init__(message, hint=objections[0][1] if objections else None)
        self.objections = objections


class CardError(CipsecError):
    """A smartcard, its reader or PC/SC could not do what was asked."""

    kind = "smartcard"


class NoPcsc(CardError):
    """There is no PC/SC: the extra is not installed, or its service does not run."""

    kind = "no_pcsc"


class NotPermitted(CardError):
    """PC/SC runs, and does not let this user at the cards."""

    kind = "not_permitted"


class NoReader(CardError):
    """There is no reader, or none of that name."""

    kind = "no_reader"


class NoCard(CardError):
    """There is no card in the reader, or it was pulled."""

    kind = "no_card"


class WrongCard(CardError):
    """This is no PIV card, or its answers cannot be used."""

    kind = "wrong_card"


class CardRefused(CardError):
    """The card answered no: `sw` is the status word of ISO/IEC 7816-4."""

    kind = "card_refused"

    def __init__(self, message: str, *, sw: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.sw = sw


class WrongPin(CardError):
    """This is not the PIN (or PUK); `tries` are left, None when the card does not say."""

    kind = "wrong_pin"

    def __init__(self, message: str, *, tries: int | None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.tries = tries


class PinBlocked(CardError):
    """No try of the PIN (or PUK) is left."""

    kind = "pin_blocked"


class LastTry(CardError):
    """One try of the PIN (or PUK) is left, and is not spent unasked."""

    kind = "last_try"


class WrongManagementKey(CardError):
    """This is not the key that protects the card's content; a wrong one costs no try."""

    kind = "wrong_management_key"


class Pending(CipsecError):
    """The request is accepted and not decided; ask again after `retry_after` seconds."""

    kind = "pending"

    def __init__(
        self,
        message: str,
        *,
        retry_after: int,
        request: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        self.request = request


class Rejected(CipsecError):
    """The request was refused by policy or by an administrator."""

    kind = "rejected"


class CredentialsRefused(CipsecError):
    """The user name, password or client certificate was not accepted."""

    kind = "credentials_refused"
