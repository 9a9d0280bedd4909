"""`cipsec policy`: the rules in words, and what the server would say to a request."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import safe
from cipsec._cli import exits
from cipsec._cli.options import CaDir, command, group
from cipsec._cli.talk import Talk
from cipsec.errors import UsageError

if TYPE_CHECKING:
    from cipsec.ra.hypothesis import Foreseen
    from cipsec.ra.policy import Rule, Tried

app = group("policy", "Show who may have a certificate; try a request against it.")

_RULE_COLUMNS = ["name", "when", "then", "remark"]
_CODES = {"grant": exits.OK, "ask": exits.PENDING, "reject": exits.REJECTED}

Csr = Annotated[str, typer.Argument(metavar="CSR", help="A request, or - for stdin.")]
Cert = Annotated[
    str | None,
    typer.Option("--cert", metavar="FILE", help="What the TLS client presents, leaf first."),
]
User = Annotated[
    str | None, typer.Option("--user", metavar="NAME", help="As if with the right password.")
]
Label = Annotated[str, typer.Option("--label", metavar="LABEL", help="The EST label.")]
Renewal = Annotated[bool, typer.Option("--renewal", help="As sent to /simplereenroll.")]


@command(app, "show")
def show(talk: Talk, *, ca_dir: CaDir = None) -> None:
    """Show the rules in words, in order; the first that applies decides."""
    from cipsec.ca_folder import open_folder

    policy = open_folder(ca_dir).configuration().policy
    shadowed = policy.shadowed()
    rules = [_rule(rule, shadowed.get(rule.name)) for rule in policy.rules]
    if talk.json:
        talk.document({"rules": rules})
    else:
        talk.table("rules", _RULE_COLUMNS, [{**rule, "remark": _remark(rule)} for rule in rules])
        talk.say("cipsec: where no rule applies the answer is: reject")
    for later, earlier in shadowed.items():
        talk.warn(f"the rule {safe.text(later)} never decides: {safe.text(earlier)} does before it")


def _rule(rule: Rule, shadowed_by: str | None) -> dict[str, object]:
    return {
        "name": rule.name,
        "when": [str(condition) for condition in rule.when],
        "then": str(rule.then),
        "shadowed_by": shadowed_by,
        "lab": rule.lab,
    }


def _remark(rule: dict[str, object]) -> str:
    shadow = f"never decides: {rule['shadowed_by']} does" if rule["shadowed_by"] else ""
    return shadow or ("everybody gets a certificate" if rule["lab"] else "")


@command(app, "check")
def check(
    talk: Talk,
    csr: Csr,
    *,
    cert: Cert = None,
    user: User = None,
    label: Label = "",
    renewal: Renewal = False,
    ca_dir: CaDir = None,
) -> int:
    """Say what the server would answer to a request, and why; nothing changes.

    Exit code 0 grant, 11 ask, 12 reject.
    """
    from cipsec import times
    from cipsec._cli import given
    from cipsec.ca_folder import open_folder
    from cipsec.pki import csr as requests
    from cipsec.pki import load
    from cipsec.ra.hypothesis import Hypothesis, foresee
    from cipsec.serve.certificate import own_names

    if csr == "-" and cert == "-":
        raise UsageError("the request and the certificate cannot both come from stdin")
    folder = open_folder(ca_dir)
    hypothesis = Hypothesis(
        request=requests.parse(load.request(*given.read(talk, csr))),
        chain=_chain(talk, cert),
        user=user,
        label=label,
        renewal=renewal,
    )
    config, ca, names = folder.configuration(), folder.certificate(), own_names(folder)
    with closing(folder.store()) as database:
        foreseen = database.read(
            lambda db: foresee(
                db, hypothesis, ca=ca, config=config, own_names=names, now=times.now()
            )
        )
    _print(talk, foreseen)
    return _CODES[foreseen.decision.outcome]


def _chain(talk: Talk, cert: str | None) -> tuple[bytes, ...]:
    from cryptography.hazmat.primitives.serialization import Encoding

    from cipsec._cli import given
    from cipsec.pki import load

    if cert is None:
        return ()
    found = load.certificates(*given.read(talk, cert))
    return tuple(certificate.public_bytes(Encoding.DER) for certificate in found)


def _print(talk: Talk, foreseen: Foreseen) -> None:
    decision = foreseen.decision
    shown: dict[str, object] = {
        "outcome": str(decision.outcome),
        "rule": decision.rule,
        "reason": decision.reason,
    }
    if talk.json:
        shown["trace"] = [asdict(tried) for tried in decision.trace]
        shown |= {"request": foreseen.request, "state": foreseen.state}
    elif decision.trace:
        shown["tried"] = [line for tried in decision.trace for line in _tried(tried)]
    talk.fields("decision", shown)
    if foreseen.state:
        talk.say(f"cipsec: this request is known here and {foreseen.state}: {foreseen.request}")


def _tried(tried: Tried) -> list[str]:
    """Return one line a condition: the rule, yes or no, why."""
    return [
        f"{tried.rule}: {held.condition} {'holds' if held.holds else 'does not hold'}: {held.why}"
        for held in tried.conditions
    ]
