"""`cipsec policy`: the rules in words, and that `check` says what the server says."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.pki import keys
from cipsec.pki.csr import CertificateRequest
from cipsec.ra import users
from cipsec.ra.authority import Granted, Queued, Refused
from cipsec.ra.enrollment import Login
from cipsec.store import users as rows
from cipsec.store.users import UserRow
from tests.support import ca
from tests.support.canned import named

from .conftest import Cipsec

_PASSWORD = "correct horse"


def _rules(folder: CaFolder, *tables: str, head: str = "") -> None:
    """Replace ca.toml by one with these rules."""
    text = f'name = "Line 4"\n{head}\n' + "\n".join(f"[[rule]]\n{table}" for table in tables)
    folder.config_file.write_text(text)


def _user(folder: CaFolder, name: str) -> None:
    database = folder.store()
    row = UserRow(name, users.hash_password(_PASSWORD), created_at=0, changed_at=0)
    database.write(lambda db: rows.insert(db, row))
    database.close()


def test_show(on_ca: Cipsec) -> None:
    """The rules of a new CA, one line each, in order."""
    ran = on_ca("policy", "show")
    assert ran.code == 0
    assert ran.out == (
        "renewal\tholds a certificate of this CA and asks for the same names\tgrant\t-\n"
        "users\tany user with a password\tgrant\t-\n"
        "everyone else\tanyone\task\t-\n"
    )
    assert ran.err == "cipsec: where no rule applies the answer is: reject\n"


def test_show_json(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Every key of the contract; a rule that an earlier one covers names it."""
    _rules(
        ca_folder,
        'name = "known"\nwhen = { user = ["bob", "alice"], label = "line-3" }\nthen = "grant"',
        'name = "all"\nwhen = { anyone = true }\nthen = "grant"\nlab = true',
        'name = "late"\nwhen = { user = true }\nthen = "reject"',
    )
    ran = on_ca("policy", "show", "--json")
    assert ran.json == {
        "rules": [
            {
                "name": "known",
                "when": ["user alice, bob", "label line-3"],
                "then": "grant",
                "shadowed_by": None,
                "lab": False,
            },
            {
                "name": "all",
                "when": ["anyone"],
                "then": "grant",
                "shadowed_by": None,
                "lab": True,
            },
            {
                "name": "late",
                "when": ["any user with a password"],
                "then": "reject",
                "shadowed_by": "all",
                "lab": False,
            },
        ]
    }
    assert ran.err == "cipsec: warning: the rule late never decides: all does before it\n"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("name = ", "ca.toml: this is not TOML"),
        ('name = "a"', "ca.toml: there is no [[rule]]"),
        ('[[rule]]\nname = "a"\nthen = "ask"', "ca.toml: rule 1 (a) has no conditions"),
        (
            '[[rule]]\nname = "a"\nwhen = { anyone = true }\nthen = "grant"',
            "ca.toml: rule 1 (a) grants a certificate to everybody",
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
        "trace": [
            {
                "rule": "renewal",
                "applies": False,
                "conditions": [
                    {
                        "condition": "own",
                        "holds": False,
                        "why": "no client certificate was presented",
                    }
                ],
            },
            {
                "rule": "users",
                "applies": False,
                "conditions": [
                    {
                        "condition": "user",
                        "holds": False,
                        "why": "no user name and password were given",
                    }
                ],
            },
            {
                "rule": "everyone else",
                "applies": True,
                "conditions": [{"condition": "anyone", "holds": True, "why": "holds for everyone"}],
            },
        ],
        "state": None,
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


def _self_signed(name: str) -> bytes:
    key = keys.generate(keys.KeyType.EC_P256)
    start = datetime(2020, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(name))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=36500))
        .sign(key, keys.signing_hash(key))
        .public_bytes(Encoding.DER)
    )


def _issued(on_ca: Cipsec, folder: CaFolder, asked: CertificateRequest, days_ago: int) -> bytes:
    now = times.now() - timedelta(days=days_ago)
    on_ca("ca", "approve", ca.ask(folder, asked, now=now))
    return ca.receive(folder, asked, now=now)


_TABLES = {
    "as made": None,
    "labels": (
        'name = "line"\nwhen = { label = "line-3", user = "alice" }\nthen = "grant"',
        'name = "rest"\nwhen = { label = "", own = true }\nthen = "ask"',
    ),
}
_REQUESTS = {
    "plain": ca.request("CN=Drive 7"),
    "same names": ca.request("CN=Old"),
    "server's name": ca.request("CN=Drive 7", sans=["dns:est.plant"]),
    "bound": ca.request("CN=Drive 7", challenge=b"AAAA"),
}


@pytest.mark.parametrize("table", _TABLES)
def test_check_says_what_the_server_says(on_ca: Cipsec, ca_folder: CaFolder, table: str) -> None:
    """For requests, certificates, users and labels in every combination, in word and exit code."""
    _user(ca_folder, "alice")
    work = ca_folder.path.parent
    chains = {
        "none": b"",
        "self-signed": _self_signed("Drive 7"),
        "own": _issued(on_ca, ca_folder, ca.request("CN=Old"), 0),
        "expired": _issued(on_ca, ca_folder, ca.request("CN=Gone"), 900),
    }
    head = '[server]\nlabels = ["line-3"]\nhosts = ["est.plant"]'
    tables = _TABLES[table] or (
        'name = "renewal"\nwhen = { own = true }\nthen = "grant"',
        'name = "users"\nwhen = { user = true }\nthen = "grant"',
        'name = "else"\nwhen = { anyone = true }\nthen = "ask"',
    )
    _rules(ca_folder, *tables, head=head)
    for chain, der in chains.items():
        (work / chain).write_bytes(der)
    for name, chain, user, label, renewal in itertools.product(
        _REQUESTS, chains, (None, "alice"), ("", "line-3"), (False, True)
    ):
        asked = _REQUESTS[name]
        argv = ["policy", "check", ca.write_pem(work / "csr", asked), "--json"]
        argv += ["--cert", work / chain] * bool(chains[chain])
        argv += ["--user", user] * bool(user) + ["--label", label] * bool(label)
        ran = on_ca(*argv, *["--renewal"] * renewal)
        answer = ca.enroll(
            ca_folder,
            asked,
            chain=[chains[chain]] if chains[chain] else [],
            login=Login(user, _PASSWORD) if user else None,
            label=label,
            renewal=renewal,
        )
        decision = ran.json["decision"]
        match answer:
            case Granted():
                assert (ran.code, decision["outcome"]) == (0, "grant")
            case Queued(id=identifier):
                assert (ran.code, decision["outcome"]) == (11, "ask")
                assert decision["request"] == identifier
            case Refused(reason=reason):
                assert (ran.code, decision["outcome"]) == (12, "reject")
                assert decision["reason"] == reason


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
