"""The ways of granting: the rule table of each, and once more as the specification reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cipsec.ra import templates
from tests.support import est

LABEL = "line-3"
VENDOR_ID = "0001"

_UNPROVED = """
[[rule]]
name = "inventory"
when = { serial = "default" }
unproved = true
then = "grant"
"""
_TWO_PROOFS = """
[[rule]]
name = "known hands"
when = { vendor = true, user = "anna" }
then = "grant"
"""

# Each rule as it is meant: its name, what must hold, and where it is so, what it does to whom.
Rules = Sequence[tuple[str, tuple[str, ...], str]]

_RENEWAL = ("renewal", ("own",), "grant")
_INVENTORY = ("inventory", ("vendor", "serial"), "grant")
_USERS = ("users", ("user",), "grant")
_CARTS = ("commissioning", ("provisioning",), "grant")
_OTHERS = ("everyone else", ("anyone",), "ask")


@dataclass(frozen=True)
class Model:
    """One way of granting: the text of ca.toml, and what it says.

    `bound` tells that the vendor may speak for one Vendor ID only.
    """

    text: str
    rules: Rules
    bound: bool = False

    @property
    def logins(self) -> bool:
        """Whether a user name and password could make a difference."""
        return any("user" in conditions for _, conditions, _ in self.rules)


def template(policy: str) -> str:
    """Return what `ca init --policy` writes, with one label."""
    text = templates.ca_toml("Line 4", hosts=[], policy=policy)
    assert "labels = []" in text
    return text.replace("labels = []", f'labels = ["{LABEL}"]')


def _written(rules: str) -> str:
    return f'[server]\nlabels = ["{LABEL}"]\n' + est.RENEWAL + rules + est.ASK


# What `ca init` writes, and behind it what people write themselves.
TEMPLATES = {
    "approval": Model(template("approval"), (_RENEWAL, _USERS, _OTHERS)),
    "vendor": Model(
        template("vendor"), (_RENEWAL, ("vendor devices", ("vendor",), "grant"), _OTHERS)
    ),
    "serial": Model(template("serial"), (_RENEWAL, _INVENTORY, _OTHERS)),
    "password": Model(template("password"), (_RENEWAL, _USERS)),
    "provisioning": Model(template("provisioning"), (_RENEWAL, _CARTS, _OTHERS)),
    "combined": Model(template("combined"), (_RENEWAL, _INVENTORY, _USERS, _CARTS, _OTHERS)),
    "lab": Model(template("lab"), (_RENEWAL, ("laboratory", ("anyone",), "global grant"))),
}
EXTRA = {
    "vendor, bound": Model(
        template("vendor"),
        (_RENEWAL, ("vendor devices", ("vendor",), "grant"), _OTHERS),
        bound=True,
    ),
    "serial, unproved": Model(
        _written(_UNPROVED), (_RENEWAL, ("inventory", ("serial, unproved",), "grant"), _OTHERS)
    ),
    "two proofs": Model(
        _written(_TWO_PROOFS), (_RENEWAL, ("known hands", ("vendor", "user"), "grant"), _OTHERS)
    ),
}
MODELS = TEMPLATES | EXTRA
