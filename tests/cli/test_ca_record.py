"""`cipsec ca list|log`: what was issued and what happened."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from datetime import timedelta

import pytest

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.store import certificates
from tests.support import ca

from .conftest import Cipsec

_KEYS = [
    *("serial", "kind", "subject", "device", "mac", "not_before", "not_after", "status"),
    *("reason", "rule", "sha256", "revoked_at", "revoked_by", "revocation"),
]
_EVENT_KEYS = [
    *("number", "at", "event", "actor", "address", "request", "serial", "subject", "device"),
    *("rule", "reason", "head"),
]


def _issue(on_ca: Cipsec, folder: CaFolder, subject: str, days_ago: int) -> None:
    """Let the CA issue a certificate (of two years) to a device that asked so long ago."""
    now = times.now() - timedelta(days=days_ago)
    asked = ca.request(subject)
    assert on_ca("ca", "approve", ca.ask(folder, asked, now=now)).code == 0
    ca.receive(folder, asked, now=now)


def test_nothing_issued(on_ca: Cipsec) -> None:
    """An empty record is no error; the keys are there."""
    ran = on_ca("ca", "list")
    assert (ran.code, ran.out, ran.err) == (0, "", "cipsec: no certificate is there\n")
    assert on_ca("ca", "list", "--json").json == {"certificates": []}
    assert on_ca("ca", "log", "--json").json == {"events": []}
    assert on_ca("ca", "log").out == ""


def test_list(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Every key of the contract; in a pipe one line each, oldest first."""
    _issue(on_ca, ca_folder, "CN=old,serialNumber=0001:00000001", 900)
    _issue(on_ca, ca_folder, "CN=new,serialNumber=0001:00000002", 0)
    shown = on_ca("ca", "list", "--json").json["certificates"]
    assert [list(one) for one in shown] == [_KEYS, _KEYS]
    assert [one["status"] for one in shown] == ["expired", "valid"]
    assert shown[0]["device"] == "0001:00000001"
    assert shown[0]["kind"] == "endpoint"
    assert re.fullmatch("[0-9a-f]{64}", shown[0]["sha256"])
    rows = on_ca("ca", "list").rows
    assert [row[1] for row in rows] == [
        "CN=old,serialNumber=0001:00000001",
        "CN=new,serialNumber=0001:00000002",
    ]


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        (["--expired"], {"gone"}),
        (["--expiring", "30d"], {"soon"}),
        (["--expiring", "3000d"], {"soon", "new"}),
        (["--expired", "--expiring", "30d"], {"gone", "soon"}),
        (["--device", "1:2"], {"soon"}),
        (["--device", "0x0001:0x00000002"], {"soon"}),
        (["--device", "1:2", "--expired"], set()),
        (["--match", "NEW"], {"new"}),
        (["--match", "approved by op"], {"gone", "soon", "new"}),
        (["--match", "nobody"], set()),
    ],
)
def test_list_filters(on_ca: Cipsec, ca_folder: CaFolder, argv: list[str], found: set[str]) -> None:
    """Filters of time join, the others narrow."""
    for number, (name, days_ago) in enumerate([("gone", 740), ("soon", 720), ("new", 0)], start=1):
        _issue(on_ca, ca_folder, f"CN={name},serialNumber=0001:{number:08X}", days_ago)
    shown = on_ca("ca", "list", *argv, "--json").json["certificates"]
    assert {re.findall(r"CN=(\w+)", one["subject"])[0] for one in shown} == found


@pytest.mark.parametrize(
    "argv",
    [
        ["list", "--expiring", "soon"],
        ["list", "--device", "Drive 7"],
        ["list", "--device", "0:0"],
        ["log", "--since", "yesterday"],
        ["log", "--since", "99999d"],
        ["log", "--since", ""],
    ],
)
def test_wrong_usage(on_ca: Cipsec, argv: list[str]) -> None:
    """What cannot be read is exit 2 and a hint."""
    ran = on_ca("ca", *argv)
    assert (ran.code, ran.out) == (2, "")
    assert "cipsec: hint: " in ran.err


def test_log(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """One request's whole story, in order, with who and why; every key is present."""
    _issue(on_ca, ca_folder, "CN=Drive 7", 0)
    shown = on_ca("ca", "log", "--json").json["events"]
    assert [list(one) for one in shown] == [_EVENT_KEYS] * 3
    assert [(one["event"], one["actor"]) for one in shown] == [
        ("pending", "endpoint"),
        ("approved", "operator"),
        ("granted", "endpoint"),
    ]
    assert len({one["request"] for one in shown}) == 1
    assert shown[2]["reason"] == "approved by operator"
    assert shown[0]["address"] == "192.0.2.7"
    rows = on_ca("ca", "log").rows
    assert [row[1] for row in rows] == ["pending", "approved", "granted"]
    assert rows[0][4] == shown[0]["request"][:12]


def test_log_since(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Since a time, or for the last hours."""
    now = times.now()
    ca.ask(ca_folder, ca.request("CN=old"), now=now - timedelta(days=3))
    ca.ask(ca_folder, ca.request("CN=new"))
    moment = times.show_time(now - timedelta(days=1))
    for since in ("2d", "1d12h", moment):
        shown = on_ca("ca", "log", "--since", since, "--json").json["events"]
        assert [one["subject"] for one in shown] == ["CN=new"]
    assert len(on_ca("ca", "log", "--since", "2020-01-01").rows) == 2


@pytest.mark.parametrize("as_json", [True, False])
def test_log_follow(ca_folder: CaFolder, *, as_json: bool) -> None:
    """What happens is told when it happens, a line each, until Ctrl-C (exit 130)."""
    ca.ask(ca_folder, ca.request("CN=before"))
    argv = ["ca", "log", "--follow", "--ca-dir", str(ca_folder.path), *["--json"] * as_json]
    with subprocess.Popen(
        [sys.executable, "-m", "cipsec", *argv], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        lines = [running.stdout.readline()]
        ca.ask(ca_folder, ca.request("CN=during"))
        lines.append(running.stdout.readline())
        os.kill(running.pid, signal.SIGINT)
        assert running.wait() == 130
    if as_json:
        assert [json.loads(line)["subject"] for line in lines] == ["CN=before", "CN=during"]
    else:
        assert [line.split("\t")[3] for line in lines] == ["CN=before", "CN=during"]


def test_list_of_many(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Ten thousand certificates are listed, and `| head` does not trouble anybody."""
    _issue(on_ca, ca_folder, "CN=Drive 7", 0)
    database = ca_folder.store()
    columns = ", ".join(certificates.CertificateRow.__slots__)
    others = columns.replace("serial", "printf('%032x', value)", 1)
    database.write(
        lambda db: db.execute(
            f"INSERT INTO certificates ({columns}) SELECT {others} FROM certificates,"
            " (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n"
            " LIMIT 10000) SELECT value FROM n)"
        )
    )
    database.close()
    assert len(on_ca("ca", "list").rows) == 10_001
    command = f"{sys.executable} -m cipsec ca list --ca-dir {ca_folder.path} | head -1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], check=True, capture_output=True
    )
    assert done.stderr == b""
