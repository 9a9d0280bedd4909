"""What has to come of each cell, and why: the specification as tables, no code of `cipsec.ra`.

`OUTCOMES` was filled in by hand. `expected` finds the rule and the reason by reading the model's
rules as the design does: evidence first, then the first rule whose conditions all hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from . import plant
from .credentials import Shown
from .models import Model

NAMES = ("same", "other", "pc")  # what the CSR names: the device, another one, none

# For each model and credential, what comes of a CSR for the same device, another one, none:
#   G granted   A asked   R asked, as a replacement   N no rule applies
#   X CSR and certificate contradict each other   L the login is refused
_MODELS = """
approval vendor vendor,_bound serial serial,_unproved two_proofs password provisioning combined lab
"""
_OUTCOMES = """
none                       AAA AAA AAA AAA GGA AAA NNN AAA AAA GGG
garbage                    AAA AAA AAA AAA GGA AAA NNN AAA AAA GGG
self-signed                AXA AXA AXA AXA GXG AXA NXN AXA AXA GXG
vendor                     AXA GXG GXG GXG GXG AXA NXN AXA GXG GXG
vendor, not listed         AXA GXG GXG AXA AXA AXA NXN AXA AXA GXG
vendor, foreign Vendor ID  AXA GXG AXA GXG GXG AXA NXN AXA GXG GXG
vendor, revoked            AXA AXA AXA AXA GXG AXA NXN AXA AXA GXG
vendor, expired            AXA GXG GXG GXG GXG AXA NXN AXA GXG GXG
vendor, device known       RXR RXR RXR RXR RXR RXR NXN RXR RXR GXG
vendor and password        GXG GXG GXG GXG GXG GXG GXG AXA GXG GXG
unknown vendor             AXA AXA AXA AXA GXG AXA NXN AXA AXA GXG
look-alike vendor          AXA AXA AXA AXA GXG AXA NXN AXA AXA GXG
own                        GXA GXA GXA GXA GXG GXA GXN GXA GXA GXG
own, device claimed        GXA GXA GXA GXA GXG GXA GXN GXA GXA GXG
own, revoked               AXA AXA AXA AXA GXG AXA NXN AXA AXA GXG
own, expired               AXA AXA AXA AXA GXG AXA NXN AXA AXA GXG
own, not on record         AXA AXA AXA AXA GXG AXA NXN AXA AXA GXG
own, the server's          AXA AXA AXA AXA GXG AXA NXN AXA AXA GXG
provisioning               AAA AAA AAA AAA GGA AAA NNN GGG GGG GGG
provisioning, spent        AAA AAA AAA AAA GGA AAA NNN AAA AAA GGG
provisioning, revoked      AAA AAA AAA AAA GGA AAA NNN AAA AAA GGG
provisioning, expired      AAA AAA AAA AAA GGA AAA NNN AAA AAA GGG
password                   AAG AAA AAA AAA GGA AAA NNG AAA AAG GGG
password, ended            LLL LLL LLL LLL LLL LLL LLL LLL LLL LLL
password, used up          AAA AAA AAA AAA GGA AAA NNN AAA AAA GGG
password, wrong            LLL LLL LLL LLL LLL LLL LLL LLL LLL LLL
"""
_WIDTH = 27


def _rows() -> Iterator[tuple[str, str, str]]:
    models = [name.replace("_", " ") for name in _MODELS.split()]
    for row in _OUTCOMES.strip().splitlines():
        for model, letters in zip(models, row[_WIDTH:].split(), strict=True):
            yield model, row[:_WIDTH].strip(), letters


OUTCOMES = {(model, credential): letters for model, credential, letters in _rows()}

# What each credential says to each condition: + it holds, - it does not, ! it does not, and whoever
# is asked has to hear of it. Conditions that are not here ask about the device or the login.
_STRANGER = "-the client certificate is not from a vendor that is known here"
_UNKNOWN_CA = "-the client certificate is issued by an unknown CA"
_NO_CERTIFICATE = "-no client certificate was presented"
_UNREADABLE = "-the client certificate cannot be read"
_BY_VENDOR = "-the client certificate is issued by a vendor"
_SELF_SIGNED = "-the client certificate is self-signed"
_OURS = "-the client certificate is of this CA"
_A_CART = "-the client certificate is a provisioning certificate"
_GENUINE = "+the client certificate was issued to device {device} by vendor acme"

_NOTHING = {"own": _NO_CERTIFICATE, "vendor": _NO_CERTIFICATE, "provisioning": _NO_CERTIFICATE}
_GARBAGE = {"own": _UNREADABLE, "vendor": _UNREADABLE, "provisioning": _UNREADABLE}
_VOUCHED = {"own": _BY_VENDOR, "vendor": _GENUINE, "provisioning": _BY_VENDOR}
_UNVOUCHED = {"own": _UNKNOWN_CA, "vendor": _STRANGER, "provisioning": _UNKNOWN_CA}


def _own(said: str) -> dict[str, str]:
    return {"own": said, "vendor": _OURS, "provisioning": _OURS}


def _cart(said: str) -> dict[str, str]:
    return {"own": _A_CART, "vendor": _A_CART, "provisioning": said}


SAYS = {
    "none": _NOTHING,
    "garbage": _GARBAGE,
    "self-signed": {"own": _SELF_SIGNED, "vendor": _STRANGER, "provisioning": _SELF_SIGNED},
    "vendor": _VOUCHED,
    "vendor, not listed": _VOUCHED,
    "vendor, foreign Vendor ID": _VOUCHED,
    "vendor, revoked": _UNVOUCHED
    | {"vendor": "!the certificate of serialNumber={device},CN=Drive 7,O=Acme is revoked"},
    "vendor, expired": _VOUCHED,  # devices outlive their certificates: no reason to doubt them
    "vendor, device known": _VOUCHED,
    "vendor and password": _VOUCHED,
    "unknown vendor": _UNVOUCHED,
    "look-alike vendor": _UNVOUCHED,
    "own": _own("+renews certificate {serial} of this CA"),
    "own, device claimed": _own("+renews certificate {serial} of this CA"),
    "own, revoked": _own("!certificate {serial} is revoked"),
    "own, expired": _own("!certificate {serial} is expired"),
    "own, not on record": _own("!certificate {serial} is not in this CA's record"),
    "own, the server's": _own("!certificate {serial} is not an endpoint's"),
    "provisioning": _cart("+provisioning certificate {cart} was presented"),
    "provisioning, spent": _cart("!provisioning certificate {cart} is used up: 1 of 1"),
    "provisioning, revoked": _cart("!the provisioning certificate {cart} is revoked"),
    "provisioning, expired": _cart("!the provisioning certificate {cart} is expired"),
    "password": _NOTHING,
    "password, ended": _NOTHING,
    "password, used up": _NOTHING,
    "password, wrong": _NOTHING,
}
_OF = "certificate of serialNumber={device},CN=Drive 7,O=Acme"
# What certificates that prove nothing are called for people who decide.
_CLAIMS = {
    "self-signed": f"self-signed {_OF}",
    "vendor, foreign Vendor ID": f"issued by an unknown CA {_OF}",
    "vendor, revoked": f"issued by an unknown CA {_OF}",
    "unknown vendor": f"issued by an unknown CA {_OF}",
    "look-alike vendor": f"issued by an unknown CA {_OF}",
    "own, revoked": "certificate {serial} of this CA (is revoked)",
    "own, expired": "certificate {serial} of this CA (is expired)",
    "own, not on record": "certificate {serial} of this CA (is not in this CA's record)",
    "own, the server's": "certificate {serial} of this CA (is not an endpoint's)",
    "provisioning, revoked": "provisioning certificate {cart} (revoked)",
    "provisioning, expired": "provisioning certificate {cart} (expired)",
}
_FOREIGN = _UNVOUCHED | {"vendor": "!the vendor's CA does not speak for Vendor ID 0002"}
# The certificate names the device. So it cannot ask for another one; and these prove it.
NAMING = frozenset(c for c in SAYS if c.startswith(("self", "vendor", "own", "unknown", "look")))
_PROVING = (NAMING & {c for c in SAYS if SAYS[c] is _VOUCHED}) | {"own"}
OWN = frozenset({"own", "own, device claimed"})


@dataclass(frozen=True)
class Cell:
    """One place in the table; what the CSR names is one of `NAMES`."""

    model: str
    credential: str
    names: str
    renewal: bool = False
    label: str = ""


@dataclass(frozen=True)
class Expected:
    """What has to come of a cell; `in_vain` is what an applicant who waits reads beside that."""

    outcome: str
    rule: str | None
    reason: str
    in_vain: str = ""


class Oracle:
    """Reads one model's rules for one applicant."""

    def __init__(self, cell: Cell, model: Model, shown: Shown, number: int) -> None:
        self.cell = cell
        self.model = model
        self.shown = shown
        self.asked = {"same": shown.device, "other": plant.other(number), "pc": None}[cell.names]
        unbound = not model.bound or cell.credential != "vendor, foreign Vendor ID"
        self.says = SAYS[cell.credential] if unbound else _FOREIGN
        self.proved = shown.device if unbound and cell.credential in _PROVING else None
        self.named = self.asked or (shown.device if cell.credential in NAMING else None)

    def expected(self) -> Expected:
        """Return outcome, rule and reason, in the order in which the questions are asked."""
        match self.cell:
            case Cell(credential="password, wrong"):
                return Expected("L", None, "the user name or the password is wrong")
            case Cell(credential="password, ended"):
                ended = "the password of bert ended at 2026-11-26T04:59:59Z"
                return Expected("L", None, ended)
            case Cell(credential=credential, names="other") if credential in NAMING:
                what = f"the CSR names device {self.asked}, the certificate {self.shown.device}"
                return Expected("X", "always", what)
            case Cell(credential=credential, names="pc", renewal=True) if credential in OWN:
                what = f"a renewal must keep the names of certificate {self.shown.serial}"
                return Expected("X", "always", what)
        return self._table()

    def _table(self) -> Expected:
        failed: list[str] = []
        for rule, conditions, then in self.model.rules:
            answers = [self._answer(condition) for condition in conditions]
            if all(answer.startswith("+") for answer in answers):
                reason = ", ".join(answer[1:] for answer in answers)
                return self._applied(rule, then, reason, failed)
            failed += [answer for answer in answers if not answer.startswith("+")]
        why = "; ".join(answer[1:] for answer in dict.fromkeys(failed))
        return Expected("N", "none", f"no rule applies: {why}")

    def _applied(self, rule: str, then: str, reason: str, failed: list[str]) -> Expected:
        known = self.cell.credential == "vendor, device known"
        if then == "global grant":
            return Expected("G", rule, f"global grant: {reason}")
        in_force = f"certificate {self.shown.serial} of {self.shown.device}, with another key"
        if then == "grant" and known:
            told = "it would replace a certificate in force, which an administrator decides"
            return Expected("R", rule, f"{reason}; but {in_force}, is in force", told)
        if then == "grant":
            return Expected("G", rule, reason)
        telling = [answer[1:] for answer in dict.fromkeys(failed) if answer.startswith("!")]
        vain = "; ".join(answer for answer in telling if not answer.endswith("is not listed"))
        return Expected("R" if known else "A", rule, "; ".join((reason, *telling)), vain)

    def _answer(self, condition: str) -> str:
        match condition:
            case "anyone":
                return "+holds for everyone"
            case "user":
                return self._user()
            case "serial":
                return self._serial(self.proved)
            case "serial, unproved":
                return self._serial(self.named)
            case "own" if self.cell.credential in OWN and self.cell.names != "same":
                differ = f"the CSR's names differ from those of certificate {self.shown.serial}"
                return f"!{differ}"
        return self._told(self.says[condition])

    def _told(self, sentence: str) -> str:
        shown = self.shown
        return sentence.format(device=shown.device, serial=shown.serial, cart=shown.cart)

    def _serial(self, device: str | None) -> str:
        if device is None:
            only_claimed = f"-device {self.named} is only claimed, not proved"
            return only_claimed if self.named else "-no device is named"
        if device.startswith("0001:4"):
            return f"!device {device} is not listed"
        return f"+{device} is listed at default.csv:{plant.line(device)}"

    def _user(self) -> str:
        if self.shown.login is None:
            return "-no user name and password were given"
        user = self.shown.login[0]
        if self.cell.model == "two proofs" and user != "anna":
            return f"-user {user} is not one of the rule's"
        if self.named and self.proved is None:
            return f"!the password of user {user} does not prove device {self.named}"
        if user == "otto":
            return "!the password of user otto is used up: 1 of 1"
        return f"+user {user} gave the right password"

    def proofs(self) -> str:
        """Return what is proved, in words."""
        found = []
        if self.cell.credential in OWN:
            found.append(f"certificate {self.shown.serial} of this CA")
        elif self.proved is not None:
            found.append(f"device {self.proved} by vendor acme")
        if self.cell.credential in ("provisioning", "provisioning, spent"):
            found.append(f"provisioning certificate {self.shown.cart}")
        if self.shown.login is not None:
            found.append(f"user {self.shown.login[0]}")
        return ", ".join(found) or "nothing"

    def claims(self) -> str:
        """Return what is only claimed, in words."""
        found = [f"device {self.named}"] if self.named and self.proved is None else []
        if self.proved is None and self.cell.credential in _CLAIMS:
            found.append(self._told(_CLAIMS[self.cell.credential]))
        return ", ".join(found) or "nothing"
