"""The ca.toml that `ca init` writes: commented, and its rules ready to be edited."""

from __future__ import annotations

import json

from cipsec.errors import UsageError

_HEAD = """\
# The configuration of this CA. It takes effect when it is saved, while the server runs.

name = {name}

[server]
# Names and addresses under which devices reach this server, besides this machine's own.
hosts = {hosts}
# EST labels, /.well-known/est/LABEL/…; a rule can ask for one.
labels = []
# How soon a waiting device is told to ask again; longer when many wait or it waits long.
retry_after = "5s"
# "legacy" adds ECDHE-ECDSA with AES-CBC for old firmware.
tls = "default"
# A challengePassword in a CSR is the TLS channel binding and is verified; or "ignore".
challenge_password = "binding"

[certificate]
validity = "730d"
# Certificates and revocation lists begin this long ago, for devices whose clock is behind.
backdate = "24h"

[renewal]
# A certificate renews until this long after its end, for a line that stood still: say "30d". So
# long a stolen key serves, too; a revoked certificate never renews.
grace = "0s"
# May the same key be certified again? "allow", or "refuse": a renewal makes a new key.
same_key = "allow"

[crl]
# How long a revocation list is good for; another is signed at half of that, and on each revoking.
validity = "7d"
# Where certificates say that the list is, and where the server hands it out by plain HTTP.
# url = "http://est.plant.example:8080/ca.crl"
# listen = ":8080"

# Who may have a certificate: the first rule whose conditions all hold decides, and when none
# does, the answer is no. Outcomes: grant, ask, reject. Conditions: own, vendor, serial, user,
# provisioning, label, names, exec, anyone.
# Look at the table in words with `cipsec policy show`, try it with `cipsec policy check CSR`.
"""

_RENEWAL = """
[[rule]]
name = "renewal"               # a valid certificate of this CA, asking for the same names
when = { own = true }
then = "grant"
"""

_INVENTORY = """
[[rule]]
name = "inventory"             # proved by a vendor's certificate and listed: cipsec allowlist add
when = { vendor = true, serial = "default" }
then = "grant"
"""

_VENDOR = """
[[rule]]
name = "vendor devices"        # any genuine device of a trusted vendor: cipsec vendor add FILE
when = { vendor = true }
then = "grant"
"""

_LOGIN = """
[[rule]]
name = "users"                 # user name and password: cipsec user add NAME
when = { user = true }
then = "grant"
"""

_PROVISIONING = """
[[rule]]
name = "commissioning"         # spent on use: cipsec ca provision NAME -o DIR
when = { provisioning = true }
then = "grant"
"""

_APPROVAL = """
[[rule]]
name = "everyone else"         # waits for: cipsec ca approve ID
when = { anyone = true }
then = "ask"
"""

_LAB = """
[[rule]]
name = "laboratory"            # the global grant: everybody gets a certificate, impostors too
when = { anyone = true }
then = "grant"
lab = true
"""

_RULES = {
    "approval": (_RENEWAL, _LOGIN, _APPROVAL),
    "vendor": (_RENEWAL, _VENDOR, _APPROVAL),
    "serial": (_RENEWAL, _INVENTORY, _APPROVAL),
    "password": (_RENEWAL, _LOGIN),
    "provisioning": (_RENEWAL, _PROVISIONING, _APPROVAL),
    "combined": (_RENEWAL, _INVENTORY, _LOGIN, _PROVISIONING, _APPROVAL),
    "lab": (_RENEWAL, _LAB),
}
MODELS = tuple(_RULES)

# The list that the rule "inventory" asks, empty: a rule whose list is missing cannot be judged.
ALLOWLIST = """\
# Devices that may have a certificate: VENDOR:SERIAL in hexadecimal, or a MAC address.
device,name,until,uses,note
"""


def ca_toml(name: str, *, hosts: list[str], policy: str) -> str:
    """Return the text of a new ca.toml with the rules of one approval model; raise UsageError."""
    if policy not in _RULES:
        raise UsageError(f"{policy!r} is not a policy", hint=f"choose {', '.join(MODELS)}")
    if not _is_unicode(name):
        raise UsageError("the CA's name holds bytes that are not UTF-8")
    # A JSON string is a TOML basic string, but for DEL, which JSON leaves bare, and for the
    # surrogate pairs that it would make of an emoji.
    quoted = json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")
    return _HEAD.format(name=quoted, hosts=json.dumps(hosts)) + "".join(_RULES[policy])


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
