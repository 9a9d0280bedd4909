"""`cipsec policy`: the rules in words, and what the server would say to a request."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from cipsec import safe, shell
from cipsec._cli import exits
from cipsec._cli.options import CaDir, command, group
from cipsec._cli.talk import Talk
from cipsec.errors import LocalState, UsageError
from cipsec.times import show_time

if TYPE_CHECKING:
    from datetime import datetime

    from cipsec.ca_folder import CaFolder
    from cipsec.ra.conditions.held import Held
    from cipsec.ra.hypothesis import Foreseen, Hypothesis
    from cipsec.ra.policy import Rule, Tried

app = group("policy", "Show who may have a certificate; try a request against it.")

_RULE_COLUMNS = ["name", "when", "then", "remark"]
_REPLACEMENTS = {
    "ask": "a known device with another key waits",
    "keep": "a known device with another key is granted, its old certificate stays in force",
    "revoke": "a known device with another key is granted, its old certificate is revoked",
}
# What the server answers where the rules ask and an administrator has decided before.
_STANDING = {
    ("approved", "grant"): ", it gets its certificate when it asks next",
    ("approved", "ask"): ", but not as it is now: it waits again",
    ("rejected", "reject"): ", it is refused",
    ("granted", "grant"): ", it gets the same certificate again until that is due for renewal",
    ("granted", "ask"): ", and its certificate is due for renewal or not in force: it waits again",
}
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
    """Show the rules in words, in order.

    The first that applies decides.
    """
    from cipsec.ca_folder import open_folder
    from cipsec.times import now

    config, at = open_folder(ca_dir).configuration(), now()
    policy = config.policy
    shadowed = policy.shadowed()
    rules = [_rule(rule, shadowed.get(rule.name)) for rule in policy.rules]
    if talk.json:
        talk.document({"rules": rules, "renewal": config.renewals.words()})
    else:
        rows = [
            {**shown, "remark": _remark(rule, shadowed.get(rule.name), at)}
            for shown, rule in zip(rules, policy.rules, strict=True)
        ]
        talk.table("rules", _RULE_COLUMNS, rows)
        talk.say("cipsec: where no rule applies the answer is: reject")
        if said := config.renewals.words():
            talk.say(f"cipsec: a certificate is renewed {', '.join(said)}")
    for later, earlier in shadowed.items():
        talk.warn(f"the rule {safe.text(later)} never decides: {safe.text(earlier)} does before it")
    for rule in policy.global_grants(at):
        talk.warn(f"the rule {safe.text(rule.name)} grants a certificate to everybody")


def _rule(rule: Rule, shadowed_by: str | None) -> dict[str, object]:
    return {
        "name": rule.name,
        "when": [str(condition) for condition in rule.when],
        "then": str(rule.then),
        "shadowed_by": shadowed_by,
        "lab": rule.lab,
        "until": show_time(rule.until) if rule.until else None,
        "replacement": str(rule.replacement) if rule.replacement else None,
        "approvals": rule.approvals,
        "notify": sorted(rule.notify) if rule.notify is not None else None,
    }


def _remark(rule: Rule, shadowed_by: str | None, now: datetime) -> str:
    """Return what is special about a rule, in words."""
    remarks = [
        (shadowed_by is not None, f"never decides: {shadowed_by} does"),
        (rule.is_over(now), "is over"),
        (
            rule.until is not None and not rule.is_over(now),
            f"until {show_time(rule.until) if rule.until else ''}",
        ),
        (rule.grants_to_anyone and not rule.is_over(now), "everybody gets a certificate"),
        (rule.approvals > 1, f"{rule.approvals} administrators have to agree"),
        (rule.replacement is not None, _REPLACEMENTS.get(str(rule.replacement), "")),
        (rule.notify is not None, f"tells {', '.join(sorted(rule.notify or ()))}"),
    ]
    return "; ".join(text for is_so, text in remarks if is_so)


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
    """Say what the server would answer to a request, and why.

    Nothing changes.

    Exit code 0 grant, 11 ask, 12 reject; 6 where it could not decide now.

    For example: cipsec policy check drive.csr --cert vendor-chain.pem
    """
    import asyncio

    from cipsec._cli import given
    from cipsec.ca_folder import open_folder
    from cipsec.pki import load
    from cipsec.ra.hypothesis import Hypothesis

    if csr == "-" and cert == "-":
        raise UsageError("the request and the certificate cannot both come from stdin")
    folder = open_folder(ca_dir)
    hypothesis = Hypothesis(
        der=load.request(*given.read(talk, csr)),
        chain=_chain(talk, cert),
        user=user,
        label=label,
        renewal=renewal,
    )
    foreseen = asyncio.run(_foresee(folder, hypothesis))
    _print(talk, foreseen)
    return _CODES[foreseen.decision.outcome]


async def _foresee(folder: CaFolder, hypothesis: Hypothesis) -> Foreseen:
    """Return what the server would say; programs that were asked end with it."""
    from cipsec import times
    from cipsec.ra.hypothesis import foresee
    from cipsec.serve.certificate import own_names

    config, names = folder.configuration(), own_names(folder)
    with closing(folder.store()) as database:
        sources = folder.sources(database)
        try:
            return await foresee(
                hypothesis,
                sources=sources,
                config=config,
                own_names=names,
                life=folder.life(),
                now=times.now(),
            )
        except LocalState as error:
            place = shell.quote(folder.path)
            raise LocalState(
                f"the server could not decide now: {error.message}",
                hint=error.hint or f"cipsec doctor --ca-dir {place}",
            ) from None
        finally:
            await sources.programs.close()


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
    told = (decision.told or decision.reason) if decision.outcome == "reject" else None
    shown: dict[str, object] = {
        "outcome": str(decision.outcome),
        "rule": decision.rule,
        "reason": decision.reason,
    }
    if talk.json:
        shown["told"] = told
        shown["trace"] = [_trace(tried) for tried in decision.trace]
        shown |= {
            "request": foreseen.request,
            "state": foreseen.state,
            "replaces": foreseen.replaces,
        }
    else:
        shown |= {} if told in (None, decision.reason) else {"told": told}
        shown |= {"replaces": foreseen.replaces} if foreseen.replaces else {}
        tried = [line for one in decision.trace for line in _tried(one)]
        shown |= {"tried": tried} if tried else {}
    talk.fields("decision", shown)
    _say_what_stands(talk, foreseen)


def _say_what_stands(talk: Talk, foreseen: Foreseen) -> None:
    """Say what is known of the request, and what follows where the rules ask."""
    if not foreseen.state:
        return
    outcome = str(foreseen.decision.outcome)
    follows = _STANDING.get((foreseen.state, outcome), "") if foreseen.asks else ""
    stands = foreseen.state + follows
    talk.say(f"cipsec: this request is known here and {stands}: {foreseen.request}")


def _trace(tried: Tried) -> dict[str, object]:
    return {
        "rule": tried.rule,
        "applies": tried.applies,
        "undecided": tried.undecided,
        "conditions": [
            {"condition": h.condition, "holds": h.holds, "broken": h.broken, "why": h.why}
            for h in tried.conditions
        ],
    }


def _tried(tried: Tried) -> list[str]:
    """Return one line a condition: the rule, yes or no, why."""
    return [f"{tried.rule}: {h.condition} {_verdict(h)}: {h.why}" for h in tried.conditions]


def _verdict(held: Held) -> str:
    if held.broken:
        return "cannot be judged"
    return "holds" if held.holds else "does not hold"
