"""What ca.toml says and what its rules ask: lists, vendors, programs, labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from cipsec import shell
from cipsec.doctor.finding import Remark, fail, many, ok, or_ok, warn
from cipsec.doctor.subject import Ca
from cipsec.errors import Malformed
from cipsec.ra.allowlist import load, place
from cipsec.ra.allowlist.place import Place
from cipsec.ra.allowlist.table import Table
from cipsec.ra.conditions.asked import Label
from cipsec.ra.conditions.listed import Serial
from cipsec.ra.conditions.program import Exec
from cipsec.ra.conditions.proofs import Vendor
from cipsec.ra.policy import Outcome, Policy, Rule
from cipsec.ra.vendors.proving import Vendors
from cipsec.times import show_time

C = TypeVar("C")

_SHOW = "cipsec policy show"
_COUNTED = 100_000  # entries of one list that are looked at one by one: half a second


def configuration(ca: Ca) -> Iterable[Remark]:
    """See that ca.toml can be read; without it nobody is answered."""
    rules = ca.folder.configuration().policy.rules  # raises what is wrong
    return [ok(f"ca.toml is whole, with {many(len(rules), 'rule')}")]


def rules(ca: Ca) -> Iterable[Remark]:
    """See that rules can decide, and that one of them can lead to a certificate."""
    if ca.config is None:
        return ()
    policy = ca.config.policy
    if not _granting(policy, ca.now):
        return [fail("no rule can ever lead to a certificate", _SHOW)]
    return or_ok(_idle(ca, policy), "each rule can decide")


def _granting(policy: Policy, now: datetime) -> list[Rule]:
    shadowed = policy.shadowed()
    deciding = [r for r in policy.rules if r.name not in shadowed and not r.is_over(now)]
    return [rule for rule in deciding if rule.then is not Outcome.REJECT]


def _idle(ca: Ca, policy: Policy) -> Iterator[Remark]:
    for later, earlier in policy.shadowed().items():
        yield warn(f"the rule {later} never decides: {earlier} does before it", _SHOW)
    for rule, condition in asking(policy, Label):
        for label in sorted(condition.labels - ca.server.labels - {""}):
            detail = f"the rule {rule.name} asks for the label {label}, which is not served"
            yield warn(detail, f'labels = ["{label}"] below [server] in ca.toml')


def global_grant(ca: Ca) -> Iterable[Remark]:
    """See that nobody gets a certificate for nothing."""
    if ca.config is None:
        return ()
    granting = ca.config.policy.global_grants(ca.now)
    hint = 'then = "ask" in that [[rule]] of ca.toml'
    remarks = (
        fail(f"the rule {rule.name} grants a certificate to everybody, {_until(rule)}", hint)
        for rule in granting
    )
    return or_ok(remarks, "no rule grants to everybody")


def _until(rule: Rule) -> str:
    return f"until {show_time(rule.until)}" if rule.until else "without an end"


def allowlists(ca: Ca) -> Iterable[Remark]:
    """See that each list is whole, and that each that a rule asks is there."""
    names = _names(ca.lists)
    troubles = [*_broken(ca, names), *_missing(ca, names)]
    return or_ok(troubles, f"{many(len(names), 'list')}: nothing is wrong")


def _names(where: Path) -> list[str]:
    """Return the names of the lists; raise OSError where the folder cannot be read."""
    try:
        with os.scandir(where):
            pass
    except FileNotFoundError:
        return []
    return place.names(where)


def _broken(ca: Ca, names: Iterable[str]) -> Iterator[Remark]:
    for name in names:
        try:
            table = _loaded(ca, name)
        except Malformed as error:
            yield fail(error.message, f"cipsec allowlist check --list {name}")
        else:
            yield from _over(name, table, ca.now)


def _loaded(ca: Ca, name: str) -> Table:
    where = Place(ca.lists, name)
    return load.here(where).table(where)


def _over(name: str, table: Table, now: datetime) -> Iterator[Remark]:
    if len(table) > _COUNTED:
        yield ok(f"{name}: {len(table)} entries, too many to look for those that are over")
        return
    over = sum(row.until is not None and row.until < now for _, row in table)
    if over:
        detail = f"{name}: {over} of {many(len(table), 'entry', 'entries')} are over"
        yield warn(detail, f"cipsec allowlist list --list {name}")


def _missing(ca: Ca, names: Iterable[str]) -> Iterator[Remark]:
    if ca.config is None:
        return
    for rule, condition in asking(ca.config.policy, Serial):
        for name in sorted(condition.lists - set(names)):
            yield fail(
                f"the rule {rule.name} asks the list {name}, and there is none",
                f"cipsec allowlist add DEVICE --list {name}",
            )


def vendors(ca: Ca) -> Iterable[Remark]:
    """See that vendors' files are whole and up to date, and that those of the rules are there."""
    known = Vendors(ca.vendors)
    troubles = [fail(fault, "cipsec vendor list") for fault in known.faults()]
    troubles += [warn(text, "cipsec vendor list") for text in known.warnings(ca.now)]
    names = known.names()
    troubles += _unknown_vendors(ca, set(names))
    return or_ok(troubles, f"{many(len(names), 'vendor')}: nothing is wrong")


def _unknown_vendors(ca: Ca, names: set[str]) -> Iterator[Remark]:
    if ca.config is None:
        return
    for rule, condition in asking(ca.config.policy, Vendor):
        for name in sorted(condition.names - names):
            detail = f"the rule {rule.name} asks for the vendor {name}, and there is none"
            yield warn(detail, f"cipsec vendor add FILE --name {name}")
        if not condition.names and not names:
            detail = f"the rule {rule.name} asks for a vendor, and there is none"
            yield warn(detail, "cipsec vendor add FILE --name NAME")


def programs(ca: Ca) -> Iterable[Remark]:
    """See that the programs that rules ask can be run."""
    if ca.config is None:
        return ()
    asked = list(asking(ca.config.policy, Exec))
    if not asked:
        return ()
    remarks = (
        fail(
            f"the rule {rule.name} asks {path}, which cannot be run",
            shell.command("ls -l", path, windows="icacls"),
        )
        for rule, path in ((rule, Path(condition.command[0])) for rule, condition in asked)
        if not is_program(path)
    )
    return or_ok(remarks, f"{many(len(asked), 'program')}: can be run")


def is_program(path: Path) -> bool:
    """Tell whether a path leads to a program that can be run."""
    return path.is_file() and os.access(path, os.X_OK)


def asking(policy: Policy, kind: type[C]) -> Iterator[tuple[Rule, C]]:
    """Yield the rules with a condition of a kind, each with that condition."""
    for rule in policy.rules:
        for condition in rule.when:
            if isinstance(condition, kind):
                yield rule, condition


CHECKS = {
    "configuration": configuration,
    "rules": rules,
    "global grant": global_grant,
    "allowlists": allowlists,
    "vendors": vendors,
    "programs": programs,
}
