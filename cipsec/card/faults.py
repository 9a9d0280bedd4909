"""What PC/SC's result codes mean to people, by operating system (MS "Smart Card Return Values")."""

from __future__ import annotations

from cipsec.errors import CardError, NoCard, NoPcsc, NoReader, NotPermitted
from cipsec.safe import text

# The oldest Python for which pyscard 2.3 has no wheel.
_WITHOUT_WHEEL = (3, 14)

_REMOVED = frozenset(
    {
        0x8010000C,  # SCARD_E_NO_SMARTCARD
        0x80100069,  # SCARD_W_REMOVED_CARD
        0x80100016,  # SCARD_E_NOT_TRANSACTED: pcscd's answer when the card goes in the middle
        0x8010002F,  # SCARD_E_COMM_DATA_LOST
        0x80100067,  # SCARD_W_UNPOWERED_CARD
    }
)
_SILENT = frozenset({0x80100066, 0x8010000F})  # SCARD_W_UNRESPONSIVE_CARD, SCARD_E_PROTO_MISMATCH
_NO_READER = frozenset({0x80100009, 0x80100017, 0x8010002E})  # unknown, unavailable, none
# SCARD_F_COMM_ERROR and SCARD_E_INVALID_HANDLE: the service ended under the connection.
_SERVICE_ENDED = frozenset({0x80100013, 0x80100003})

_START = {
    "linux": "systemctl start pcscd.socket",
    "darwin": "log out and in again",
    "win32": "plug the reader in, and start the service “Smart Card” (SCardSvr)",
}


def error(result: int, reader: str, platform: str) -> CardError:
    """Return the error of a PC/SC call that failed; `reader` may be empty."""
    where = f"in {text(reader)}" if reader else "in the reader"
    start = _START.get(platform, _START["linux"])
    if result in _REMOVED:
        return NoCard(f"the card {where} is not there, or was pulled", hint="put the card in again")
    if result in _SILENT:
        return NoCard(f"the card {where} does not answer", hint="put it in the right way round")
    if result in _NO_READER:
        return NoReader("the smartcard reader is gone", hint="plug it in again")
    if result in _SERVICE_ENDED:
        return NoPcsc("the PC/SC service ended meanwhile", hint=start)
    match result:
        case 0x8010001D:  # SCARD_E_NO_SERVICE
            return NoPcsc("the PC/SC service does not run", hint=start)
        case 0x8010001E if platform == "linux":  # SCARD_E_SERVICE_STOPPED
            return NoPcsc(
                "the PC/SC service stopped, or is older than its library",
                hint="systemctl restart pcscd",
            )
        case 0x8010001E:
            return NoPcsc("the PC/SC service stopped", hint=start)
        case 0x8010006A:  # SCARD_W_SECURITY_VIOLATION: polkit said no
            return NotPermitted(
                "this user may not use smartcards here",
                hint="work at the machine itself (polkit refuses by SSH), or use sudo",
            )
        case 0x8010000B:  # SCARD_E_SHARING_VIOLATION
            return CardError(
                f"another program has the card {where} for itself", hint="end that program"
            )
        case 0x80100068:  # SCARD_W_RESET_CARD
            return CardError(f"another program reset the card {where}", hint="try again")
    return CardError(f"PC/SC failed {where} ({result:08X})")


def install_hint(platform: str, python: tuple[int, int]) -> str:
    """Return how the extra is installed on an operating system."""
    install = "pip install 'cipsec[smartcard]'"
    if platform == "linux":
        return f"apt install pcscd libpcsclite-dev python3-dev gcc && {install}"
    if python >= _WITHOUT_WHEEL:
        return f"{install}, by Python 3.13: there is no ready pyscard for newer ones"
    return install
