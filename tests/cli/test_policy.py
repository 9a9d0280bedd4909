"""`cipsec policy check`: outcome, reason and trace; and what no rule is asked about."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from cipsec import times
from cipsec.ca_folder import CaFolder
from tests.support import ca

from .conftest import Cipsec
from .policies import rules


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name = ", "ca.toml: this is not TOML"),
        ('name = "a"', "ca.toml: there is no [[rule]]"),
        ('[[rule]]\nname = "a"\nthen = "ask"', "ca.toml: rule 1 (a): there are no conditions"),
        (
            '[[rule]]\nname = "a"\nwhen = { anyone = true }\nthen = "grant"',
            "ca.toml: rule 1 (a): it grants a certificate to everybody",
        ),
        ("\x00\x1b[2K", "ca.toml: this is not TOML"),
    ],
)
def test_broken(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path, text: str, place: str) -> None:
    """A broken ca.toml is exit 6 and names the place, for show and check."""
    ca_folder.config_file.write_text(text)
    request = ca.write_pem(tmp_path / "csr", ca.request())
    for argv in (["show"], ["check", request]):
        ran = on_ca("policy", *argv)
        assert (ran.code, ran.out) == (6, "")
        assert place in ran.err
        assert "\x1b" not in ran.err
    assert on_ca("policy", "show", "--json").json["error"]["kind"] == "malformed"


def _tried(rule: str, condition: str, why: str, *, holds: bool = False) -> dict[str, object]:
    held = {"condition": condition, "holds": holds, "broken": False, "why": why}
    return {"rule": rule, "applies": holds, "undecided": False, "conditions": [held]}


def test_check_asks(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """Exit 11, the whole trace, and nothing changes; a request that waits is recognised."""
    asked = ca.request()
    request = ca.write_pem(tmp_path / "csr", asked)
    ran = on_ca("policy", "check", request, "--json")
    assert ran.code == 11
    decision = ran.json["decision"]
    identifier = decision.pop("request")
    assert decision == {
        "outcome": "ask",
        "rule": "everyone else",
        "reason": "holds for everyone",
        "told": None,
        "trace": [
            _tried("renewal", "own", "no client certificate was presented"),
            _tried("users", "user", "no user name and password were given"),
            _tried("everyone else", "anyone", "holds for everyone", holds=True),
        ],
        "state": None,
        "replaces": None,
    }
    assert on_ca("ca", "log").out == ""
    assert ca.ask(ca_folder, asked) == identifier
    again = on_ca("policy", "check", request)
    assert again.code == 11
    assert again.err == f"cipsec: this request is known here and pending: {identifier}\n"


def test_check_in_words(on_ca: Cipsec, tmp_path: Path) -> None:
    """For people: outcome, rule, reason, and each condition that was tried."""
    ran = on_ca("policy", "check", ca.write_pem(tmp_path / "csr", ca.request()))
    assert ran.out == (
        "outcome  ask\n"
        "rule     everyone else\n"
        "reason   holds for everyone\n"
        "tried    renewal: own does not hold: no client certificate was presented\n"
        "         users: user does not hold: no user name and password were given\n"
        "         everyone else: anyone holds: holds for everyone\n"
    )


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["--user", "mallory"], "there is no user mallory: the login is refused"),
        (["--label", "line-9"], "the label line-9 is not known here"),
        (["--label", "\x1b[2K"], "the label \\x1b[2K is not known here"),
    ],
)
def test_check_what_no_rule_is_asked_about(
    on_ca: Cipsec, tmp_path: Path, argv: list[str], reason: str
) -> None:
    """A user or a label that is not there is refused, as by the server."""
    ran = on_ca("policy", "check", ca.write_pem(tmp_path / "csr", ca.request()), *argv)
    assert ran.code == 12
    assert f"reason   {reason}\n" in ran.out


def test_check_of_an_ended_ca(cipsec: Cipsec, tmp_path: Path) -> None:
    """The rules would grant, and the server could not: exit 6, and who says more."""
    place = tmp_path / "ca"
    folder = ca.make(place, policy="lab", now=times.now() - timedelta(days=7301))
    request = ca.write_pem(tmp_path / "csr", ca.request())
    ran = cipsec("policy", "check", request, "--ca-dir", place)
    ended = times.show_time(folder.ends())
    assert (ran.code, ran.out) == (6, "")
    assert ran.err == (
        f"cipsec: error: the server could not decide now: the CA's own certificate expired at"
        f" {ended}\ncipsec: hint: cipsec doctor --ca-dir {place}\n"
    )


def test_check_needs_files(on_ca: Cipsec, tmp_path: Path) -> None:
    """A request that is missing, none, or a certificate that is none: exit 6, nothing hangs."""
    request = ca.write_pem(tmp_path / "csr", ca.request())
    (tmp_path / "junk").write_bytes(b"\xff" * 1000)
    assert on_ca("policy", "check", tmp_path / "missing").code == 6
    assert on_ca("policy", "check", tmp_path / "junk").code == 6
    assert on_ca("policy", "check", request, "--cert", tmp_path / "junk").code == 6
    assert on_ca("policy", "check", request, "--cert", request).code == 6
    assert on_ca("policy", "check", "-", "--cert", "-").code == 2
    assert on_ca("policy", "check").code == 2


@pytest.mark.parametrize(
    ("verb", "state"),
    [
        (None, "pending"),
        ("approve", "approved, it gets its certificate when it asks next"),
        ("reject", "rejected, it is refused"),
    ],
)
def test_check_known_request(
    on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path, verb: str | None, state: str
) -> None:
    """The rules still ask; what an administrator decided before is the answer, and is said."""
    asked = ca.request()
    request, identifier = ca.write_pem(tmp_path / "csr", asked), ca.ask(ca_folder, asked)
    if verb:
        assert on_ca("ca", verb, identifier).code == 0
    ran = on_ca("policy", "check", request)
    assert ran.code == {None: 11, "approve": 0, "reject": 12}[verb]
    assert ran.err == f"cipsec: this request is known here and {state}: {identifier}\n"
    shown = on_ca("policy", "check", request, "--json").json["decision"]["state"]
    assert shown == state.partition(",")[0]


def test_check_granted_request(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """Who was approved and has received gets the same again, as the server does it."""
    asked = ca.request()
    on_ca("ca", "approve", ca.ask(ca_folder, asked))
    der = ca.receive(ca_folder, asked)
    ran = on_ca("policy", "check", ca.write_pem(tmp_path / "csr", asked))
    assert ran.code == 0
    assert "granted, it gets the same certificate again until that is due for renewal" in ran.err
    assert ca.receive(ca_folder, asked) == der


def test_check_replacement(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """A known device with another key: the certificate it would replace, whatever the rule does."""
    asked = ca.request()
    on_ca("ca", "approve", ca.ask(ca_folder, asked))
    ca.receive(ca_folder, asked)
    [serial] = [row["serial"] for row in on_ca("ca", "list", "--json").json["certificates"]]
    request = ca.write_pem(tmp_path / "csr", ca.request())
    who = f"certificate {serial} of 0001:6040C8F2"
    lab = 'name = "lab"\nwhen = { anyone = true }\nthen = "grant"\nlab = true'
    given = "global grant: holds for everyone"
    for table, code, reason in (
        ('name = "all"\nwhen = { anyone = true }\nthen = "ask"', 11, "holds for everyone"),
        (lab, 0, given),
        (f'{lab}\nreplacement = "keep"', 0, given),
        (
            f'{lab}\nreplacement = "revoke"',
            11,
            f"{given}; but {who}, with another key, is in force",
        ),
        (f'{lab}\nreplacement = "ask"', 11, f"{given}; but {who}, with another key, is in force"),
        ('name = "no"\nwhen = { anyone = true }\nthen = "reject"', 12, "holds for everyone"),
    ):
        rules(ca_folder, table)
        ran = on_ca("policy", "check", request)
        assert ran.code == code
        assert f"reason {reason}" in " ".join(ran.out.split())
        assert (f"replaces  {serial}\n" in ran.out) is (code != 12)
        decision = on_ca("policy", "check", request, "--json").json["decision"]
        assert decision["replaces"] == (None if code == 12 else serial)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (None, "allowlists/line-3.csv: there is no such list"),
        ("", "allowlists/line-3.csv:1: the list is empty: not even a header is there"),
        ("device\n0001:1\n", "allowlists/line-3.csv:2: 0001:1 is to be written 0001:00000001"),
        ("device\n\x1b[2K\n", "allowlists/line-3.csv:2: '\\x1b[2K' is neither VENDOR:SERIAL"),
    ],
)
def test_check_undecided(
    on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path, text: str | None, why: str
) -> None:
    """A list that cannot be used stops the table there: exit 11, with file and line."""
    rules(
        ca_folder,
        'name = "listed"\nwhen = { serial = "line-3" }\nunproved = true\nthen = "reject"',
        'name = "lab"\nwhen = { anyone = true }\nthen = "grant"\nlab = true',
    )
    if text is not None:
        (ca_folder.path / "allowlists" / "line-3.csv").write_text(text)
    request = ca.write_pem(tmp_path / "csr", ca.request())
    ran = on_ca("policy", "check", request)
    assert ran.code == 11
    assert f"reason   the rule cannot be judged: {why}" in ran.out
    assert f"tried    listed: serial cannot be judged: {why}" in ran.out
    assert "lab" not in ran.out
    assert "\x1b" not in ran.out
    [tried] = on_ca("policy", "check", request, "--json").json["decision"]["trace"]
    assert (tried["rule"], tried["applies"], tried["undecided"]) == ("listed", False, True)
    assert [(held["holds"], held["broken"]) for held in tried["conditions"]] == [(False, True)]


def test_check_asks_programs(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """A program is asked, once, with what the server would tell it; or it is not, and why."""
    script = tmp_path / "asked"
    script.write_text('#!/bin/sh\ncat >> "$1"\necho "said so"; exit "$2"\n')
    script.chmod(0o755)
    request, told = ca.write_pem(tmp_path / "csr", ca.request()), tmp_path / "told"

    def check(when: str, status: int) -> tuple[int, str]:
        command = f'exec = ["{script}", "{told}", "{status}"]'
        rules(ca_folder, f'name = "a"\nwhen = {{ {command}{when} }}\nthen = "grant"')
        ran = on_ca("policy", "check", request, "--json")
        [tried] = ran.json["decision"]["trace"]
        return ran.code, str(tried["conditions"][0]["why"])

    assert check("", 0) == (0, f"{script} agrees: said so")
    asked = json.loads(told.read_bytes())
    assert (asked["device"], asked["proved"]) == ("0001:6040C8F2", "nothing")
    assert check("", 1) == (12, f"{script} does not agree: said so")
    assert check("", 3) == (12, f"{script} has no opinion: it ended with exit status 3: said so")
    assert told.read_bytes().count(b"\n") == 3
    assert check(", vendor = true", 0) == (12, f"{script} was not asked")
    assert told.read_bytes().count(b"\n") == 3


def test_check_what_is_told(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """Who is refused is told less than who runs the CA: not which file says so, and where."""
    rules(ca_folder, 'name = "a"\nwhen = { serial = "x" }\nunproved = true\nthen = "grant"')
    text = "device,until\n0001:6040C8F2,2020-01-01\n"
    (ca_folder.path / "allowlists" / "x.csv").write_text(text)
    request = ca.write_pem(tmp_path / "csr", ca.request())
    ran = on_ca("policy", "check", request)
    assert ran.code == 12
    assert (
        "reason   no rule applies: 0001:6040C8F2 was listed at x.csv:2 until 2020-01-01" in ran.out
    )
    [told] = [line for line in ran.out.splitlines() if line.startswith("told")]
    assert "device 0001:6040C8F2" in told
    assert "csv" not in told
    shown = on_ca("policy", "check", request, "--json").json["decision"]
    assert told.split(maxsplit=1)[1] == shown["told"]
