"""`cipsec ca revoke`: by serial number, by device, by credential; asked first, all or nothing."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from cipsec import times
from cipsec.ca_folder import CaFolder
from cipsec.serve.certificate import ServerCertificate
from tests.support import ca
from tests.support.terminal import at_terminal

from .conftest import Cipsec

_KEYS = [
    *("serial", "kind", "subject", "device", "reason", "revoked_at", "revoked_by", "changed"),
]
_TOLD = (
    "cipsec: this CA takes what is revoked no more\n"
    "cipsec: the revocation list does not name it until another is signed\n"
    "cipsec: hint: sign one: cipsec ca crl -o list.crl, or cipsec ca serve\n"
)


def _issue(on_ca: Cipsec, tmp_path: Path, subject: str = "CN=Drive 7", days: int = 700) -> str:
    """Let the operator sign a certificate and return its serial number."""
    asked = ca.write_pem(tmp_path / "csr", ca.request(subject))
    ran = on_ca("ca", "issue", asked, "--days", days, "--json")
    return str(ran.json["certificate"]["serial"])


def _enrolled_with(folder: CaFolder, credential: str, *serials: str) -> None:
    """Put on record that the certificates were granted to the credential's holder."""
    with closing(folder.store()) as database:
        for serial in serials:
            database.write(
                lambda db, s=serial: db.execute(  # type: ignore[misc]  # inferred
                    "UPDATE certificates SET credential = ? WHERE serial = ?", (credential, s)
                )
            )


@pytest.fixture
def card(on_ca: Cipsec, tmp_path: Path) -> str:
    """The serial number of the provisioning certificate `card-1`."""
    argv = ["ca", "provision", "card-1", "--uses", 50, "-o", tmp_path / "card", "--json"]
    return str(on_ca(*argv).json["credential"]["serial"])


def test_revoke(on_ca: Cipsec, tmp_path: Path) -> None:
    """Recorded with time, who, why and note; shown by every command; the rest stays."""
    first, second = _issue(on_ca, tmp_path), _issue(on_ca, tmp_path, "CN=Drive 8")
    argv = ["ca", "revoke", first[:12].upper(), "--reason", "keycompromise", "--note", "stolen"]
    ran = on_ca(*argv, "-y", "--json")
    assert ran.code == 0
    [shown] = ran.json["revoked"]
    assert list(shown) == _KEYS
    assert (shown["serial"], shown["subject"], shown["reason"]) == (
        first,
        "CN=Drive 7",
        "keyCompromise",
    )
    assert (shown["revoked_by"], shown["changed"]) == ("operator", True)
    assert ran.err == _TOLD
    both = on_ca("ca", "list", "--json").json["certificates"]
    assert {one["serial"]: one["status"] for one in both} == {first: "revoked", second: "valid"}
    assert [one["revoked_at"] for one in both] == [shown["revoked_at"], None]
    assert [one["revocation"] for one in both] == ["keyCompromise", None]
    described = on_ca("ca", "show", first, "--json").json["certificate"]
    assert (described["status"], described["revocation"]) == ("revoked", "keyCompromise")
    event = on_ca("ca", "log", "--json").json["events"][-1]
    assert (event["event"], event["actor"], event["serial"], event["reason"]) == (
        "revoked",
        "operator",
        first,
        "keyCompromise: stolen",
    )


def test_revoked_before(on_ca: Cipsec, tmp_path: Path) -> None:
    """Exit 0, no change, the first time and reason; nobody is asked."""
    serial = _issue(on_ca, tmp_path)
    on_ca("ca", "revoke", serial, "--reason", "superseded", "-y")
    ran = on_ca("ca", "revoke", serial, "--reason", "keyCompromise", "--json")
    assert (ran.code, ran.err) == (0, "")
    [shown] = ran.json["revoked"]
    assert (shown["reason"], shown["changed"]) == ("superseded", False)
    assert [row[1] for row in on_ca("ca", "log").rows].count("revoked") == 1


def test_all_or_nothing(on_ca: Cipsec, tmp_path: Path) -> None:
    """One that is not there, and none is revoked."""
    serial = _issue(on_ca, tmp_path)
    ran = on_ca("ca", "revoke", serial, "f" * 32, "-y")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith(f"cipsec: error: there is no certificate {'f' * 32}\n")
    assert on_ca("ca", "list", "--revoked").out == ""


def test_by_device(on_ca: Cipsec, tmp_path: Path) -> None:
    """All that the device has in force, and no other's."""
    mine = [_issue(on_ca, tmp_path, "CN=Drive 7,serialNumber=0001:00000007") for _ in range(2)]
    _issue(on_ca, tmp_path, "CN=Drive 8,serialNumber=0001:00000008")
    ran = on_ca("ca", "revoke", "--device", "1:7", "-y", "--json")
    assert ran.code == 0
    assert {one["serial"] for one in ran.json["revoked"]} == set(mine)
    assert {one["device"] for one in ran.json["revoked"]} == {"0001:00000007"}
    assert {row[0] for row in on_ca("ca", "list", "--revoked").rows} == {s[:16] for s in mine}
    nobody = on_ca("ca", "revoke", "--device", "1:9", "-y")
    assert nobody.code == 3
    assert "the device 0001:00000009 has no certificate in force" in nobody.err


def test_a_device_that_was_approved_by_mistake(
    on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path
) -> None:
    """Revoking what it has, or has not yet, does not take back what it is about to get."""
    identifier = ca.ask(ca_folder, ca.request("CN=Drive 7,serialNumber=0001:00000007"))
    assert on_ca("ca", "approve", identifier).code == 0
    take_back = f"cipsec ca reject -f {identifier[:12]}"
    early = on_ca("ca", "revoke", "--device", "1:7", "-y")
    assert early.code == 3
    assert early.err == (
        "cipsec: error: the device 0001:00000007 has no certificate in force yet, "
        f"but a request is approved\ncipsec: hint: {take_back}\n"
    )
    _issue(on_ca, tmp_path, "CN=Drive 7,serialNumber=0001:00000007")
    ran = on_ca("ca", "revoke", "--device", "1:7", "-y")
    assert ran.code == 0
    assert f"cipsec: hint: to take that back: {take_back}\n" in ran.err
    assert on_ca(*take_back.split()[1:]).code == 0
    assert on_ca("ca", "revoke", "--device", "1:7", "-y").err.count("approved") == 0


def test_by_credential(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path, card: str) -> None:
    """The card ends; what it enrolled is named, and stays until that is wanted too."""
    serials = [_issue(on_ca, tmp_path, f"CN=Drive {n}") for n in range(22)]
    _enrolled_with(ca_folder, card, *serials)
    ran = on_ca("ca", "revoke", "--credential", "card-1", "-y")
    assert ran.code == 0
    assert [row[:2] for row in ran.rows] == [[card[:16], "CN=card-1"]]
    lines = ran.err.splitlines()
    assert lines[0] == "cipsec: what was enrolled with it stays in force:"
    assert len(lines) == 24
    assert lines[21:23] == ["  … and 2 more", "cipsec: hint: to revoke that too: --with-enrolled"]
    [credential] = on_ca("ca", "credentials", "--json").json["credentials"]
    assert credential["status"] == "revoked"
    both = on_ca("ca", "revoke", "--credential", "card-1", "--with-enrolled", "-y", "--json")
    assert both.code == 0
    assert {one["serial"]: one["changed"] for one in both.json["revoked"]} == (
        {card: False} | dict.fromkeys(serials, True)
    )
    assert {one["serial"] for one in both.json["enrolled"]} == set(serials)
    assert {one["status"] for one in both.json["enrolled"]} == {"revoked"}
    assert both.err == _TOLD


def test_a_card_by_its_serial(on_ca: Cipsec, card: str) -> None:
    """As a certificate like any other: the credential ends with it."""
    assert on_ca("ca", "revoke", card[:10], "-y").code == 0
    [credential] = on_ca("ca", "credentials", "--json").json["credentials"]
    assert credential["status"] == "revoked"


def test_an_expired_card(on_ca: Cipsec, ca_folder: CaFolder, card: str) -> None:
    """Nothing is left to revoke, which is no error."""
    with closing(ca_folder.store()) as database:
        database.write(lambda db: db.execute("UPDATE certificates SET not_after = 1"))
    ran = on_ca("ca", "revoke", "--credential", "card-1", "--json")
    assert (ran.code, ran.json) == (0, {"revoked": [], "enrolled": []})
    assert card
    assert ran.err == "cipsec: it has expired: there is nothing to revoke\n"


def test_unknown_credential(on_ca: Cipsec) -> None:
    """Exit 3; what is no name cannot be one either."""
    for name in ("card-9", "../x", "\x1b[2K", ""):
        ran = on_ca("ca", "revoke", "--credential", name, "-y")
        assert (ran.code, ran.out) == (3, "")
        assert "\x1b" not in ran.err


def test_dry_run(on_ca: Cipsec, tmp_path: Path) -> None:
    """What would be revoked and why; nothing is, and nobody is asked."""
    serial = _issue(on_ca, tmp_path)
    ran = on_ca("ca", "revoke", serial, "-n", "--reason", "superseded", "--json")
    assert (ran.code, ran.err) == (0, "cipsec: nothing was changed\n")
    [shown] = ran.json["revoked"]
    assert (shown["reason"], shown["revoked_at"], shown["changed"]) == ("superseded", None, False)
    assert on_ca("ca", "list", "--revoked", "--json").json == {"certificates": []}


def test_nobody_to_ask(on_ca: Cipsec, tmp_path: Path) -> None:
    """Without a terminal -y has to say yes."""
    serial = _issue(on_ca, tmp_path)
    ran = on_ca("ca", "revoke", serial)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "cipsec: error: Revoke this certificate for good? Nobody can be asked\n"
        "cipsec: hint: add -y\n"
    )
    assert on_ca("ca", "list", "--revoked").out == ""


def test_a_person_is_asked(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path, card: str) -> None:
    """Everything is named before the question, twenty at most; no is no."""
    serials = [_issue(on_ca, tmp_path, f"CN=Drive {n}") for n in range(21)]
    _enrolled_with(ca_folder, card, *serials)
    argv = ["ca", "revoke", "--credential", "card-1", "--with-enrolled"]
    argv += ["--ca-dir", str(ca_folder.path)]
    no = at_terminal(argv, ("Revoke these 22 certificates for good? [y/N] ", "\n"))
    assert no.code == 10
    assert no.screen.startswith(f"  {card[:16]} CN=card-1 (provisioning)\n  {serials[0][:16]} CN=")
    assert "  … and 2 more\n" in no.screen
    assert no.screen.endswith("cipsec: nothing was revoked\n")
    assert on_ca("ca", "list", "--revoked").out == ""
    yes = at_terminal(argv, ("Revoke these 22 certificates for good? [y/N] ", "y\n"))
    assert yes.code == 0
    assert len(on_ca("ca", "list", "--revoked").rows) == 22


def test_others_meanwhile(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path, card: str) -> None:
    """What was not shown is not revoked: the card enrolls one more while a person thinks."""
    first = _issue(on_ca, tmp_path)
    _enrolled_with(ca_folder, card, first)
    argv = ["ca", "revoke", "--credential", "card-1", "--with-enrolled"]
    argv += ["--ca-dir", str(ca_folder.path)]

    class _Typed(str):
        """An answer that is typed after one more was enrolled."""

        def encode(self, *_: str) -> bytes:
            _enrolled_with(ca_folder, card, _issue(on_ca, tmp_path))
            return b"y\n"

    ran = at_terminal(argv, ("Revoke these 2 certificates for good? [y/N] ", _Typed()))
    assert ran.code == 6
    assert ran.screen.endswith(
        "cipsec: error: meanwhile there are others to revoke\ncipsec: hint: run it again\n"
    )
    assert on_ca("ca", "list", "--revoked").out == ""


def test_the_servers_own(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """Not while the server speaks under it; its predecessor like any other."""
    server = ServerCertificate(ca_folder)
    with closing(ca_folder.store()) as database:
        for days in (400, 0):
            now = times.now() - timedelta(days=days)
            assert server.ensure(ca_folder.authority(None), database, ["est.plant"], now)
    old, new = (one["serial"] for one in on_ca("ca", "list", "--json").json["certificates"])
    ran = on_ca("ca", "revoke", old, new, "-y")
    assert (ran.code, ran.out) == (2, "")
    assert f"the EST server speaks under the certificate {new}" in ran.err
    assert re.search("hint: remove .*server.key and .*server.pem: the server makes others", ran.err)
    assert on_ca("ca", "revoke", old, "-y").code == 0
    ca_folder.server_key_file.unlink()
    ca_folder.server_certificate_file.unlink()
    assert on_ca("ca", "revoke", new, "-y").code == 0


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["01a2b3c4d5", "--device", "1:7"],
        ["--device", "1:7", "--credential", "card-1"],
        ["01a2b3c4d5", "--with-enrolled"],
        ["--device", "Drive 7"],
        ["--device", ""],
        ["01a2b3c"],
        [""],
        ["Drive 7 \u202e"],
        ["01a2b3c4d5", "--reason", "lost"],
        ["01a2b3c4d5", "--reason", "certificateHold"],
        ["01a2b3c4d5", "--note", "\udc80"],
    ],
)
def test_wrong_usage(on_ca: Cipsec, argv: list[str]) -> None:
    """Exit 2 with a sentence; nothing is revoked, as nothing could be meant."""
    ran = on_ca("ca", "revoke", *argv, "-y")
    assert (ran.code, ran.out) == (2, "")
    assert re.match("cipsec: error: [ -~…]+\n", ran.err)


def test_list_filters(on_ca: Cipsec, ca_folder: CaFolder, tmp_path: Path) -> None:
    """A revoked certificate is neither expiring nor expired; two states list what is in either."""
    gone, soon, later = (_issue(on_ca, tmp_path, f"CN=Drive {n}") for n in range(3))
    with closing(ca_folder.store()) as database:
        database.write(
            lambda db: db.execute(
                "UPDATE certificates SET not_after = 1 WHERE serial = ?", (later,)
            )
        )
    on_ca("ca", "revoke", gone, "-y", "--reason", "superseded")

    def listed(*argv: object) -> set[str]:
        shown = on_ca("ca", "list", *argv, "--json").json["certificates"]
        return {one["serial"] for one in shown}

    assert listed("--revoked") == {gone}
    assert listed("--expiring", "3000d") == {soon}
    assert listed("--expired") == {later}
    assert listed("--expired", "--revoked") == {gone, later}
    assert listed("--match", "superseded") == {gone}
    assert listed() == {gone, soon, later}
    [row] = on_ca("ca", "list", "--revoked").rows
    assert row[4] == "revoked"
    assert row[6] == "superseded"


def test_by_device_reaches_what_may_be_renewed_late(on_ca: Cipsec, ca_folder: CaFolder) -> None:
    """With a grace, what has ended is worth something still: revoking a device takes it, too."""
    asked, then = ca.request(), times.now() - timedelta(days=740)
    assert on_ca("ca", "approve", ca.ask(ca_folder, asked, now=then)).code == 0
    ca.receive(ca_folder, asked, now=then)
    assert on_ca("ca", "revoke", "--device", "0001:6040C8F2", "-y").code == 3
    with ca_folder.config_file.open("a") as config:
        config.write("\n[broken\n")
    assert on_ca("ca", "revoke", "--device", "0001:6040C8F2", "-y").code == 3
    text = ca_folder.config_file.read_text().replace("[broken", "").replace('"0s"', '"30d"')
    ca_folder.config_file.write_text(text)
    assert on_ca("ca", "revoke", "--device", "0001:6040C8F2", "-y").code == 0
