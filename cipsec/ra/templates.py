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
# Certificates begin this long ago, for devices whose clock is behind.
backdate = "24h"

# Who may have a certificate: the first rule whose conditions all hold decides, and when none
# does, the answer is no. Conditions: own, user, label, anyone. Outcomes: grant, ask, reject.
# Look at the table in words with `cipsec policy show`, try it with `cipsec policy check CSR`.
"""

_RENEWAL = """
[[rule]]
name = "renewal"               # a valid certificate of this CA, asking for the same names
when = { own = true }
then = "grant"
"""

_LOGIN = """
[[rule]]
name = "users"                 # user name and password: cipsec user add NAME
when = { user = true }
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
    "password": (_RENEWAL, _LOGIN),
    "lab": (_RENEWAL, _LAB),
}


def ca_toml(name: str, *, hosts: list[str], policy: str) -> str:
    """Return the text of a new ca.toml with the rules of one approval model; raise UsageError."""
    if policy not in _RULES:
        raise UsageError(
            f"{policy!r} is not a policy of this version", hint=f"choose {', '.join(_RULES)}"
        )
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
