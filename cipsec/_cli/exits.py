"""Exit codes: below ten the tool could not; from ten on it could, and the answer was not yes."""

from __future__ import annotations

from cipsec import errors

OK = 0
UNEXPECTED = 1
USAGE = 2
NOT_FOUND = 3
UNREACHABLE = 4
UNTRUSTED = 5
LOCAL_STATE = 6
SMARTCARD = 7
NO = 10
PENDING = 11
REJECTED = 12
CREDENTIALS = 13
INTERRUPTED = 130

_BY_ERROR: dict[type[errors.CipsecError], int] = {
    errors.UsageError: USAGE,
    errors.NotFound: NOT_FOUND,
    errors.Unreachable: UNREACHABLE,
    errors.Untrusted: UNTRUSTED,
    errors.LocalState: LOCAL_STATE,
    errors.CardError: SMARTCARD,
    errors.Pending: PENDING,
    errors.Rejected: REJECTED,
    errors.CredentialsRefused: CREDENTIALS,
}


def code_of(error: errors.CipsecError) -> int:
    """Return the exit code of an error: that of its nearest class in the table."""
    return next((_BY_ERROR[c] for c in type(error).__mro__ if c in _BY_ERROR), UNEXPECTED)
