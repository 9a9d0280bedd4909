"""What an applicant reads of a refusal, and what stays among those who run the CA."""

from __future__ import annotations

from pathlib import Path

import pytest

from cipsec.ra.conditions.held import UNDECIDED
from tests.support import asking, ca, est, vendor
from tests.support.est import Server

from .replacing import DEVICE, OTHER, drive

LIST = 'serial = "line-3-safety"'


def rule(when: str, then: str = "grant", more: str = "unproved = true\n") -> str:
    """Return the one rule there is."""
    return f'[[rule]]\nname = "secret rule"\nwhen = {{ {when} }}\nthen = "{then}"\n{more}'


def refused(server: Server, *secrets: str) -> tuple[str, str]:
    """Return what the applicant is told, and what is recorded; no secret is in the former."""
    before = len(server.events())
    response = server.enroll(drive())
    assert response.status == 403
    told, event = est.reason(response), server.events(before)[-1]
    assert event.event == "refused"
    recorded = event.reason or ""
    for secret in (*secrets, "secret", ".csv", ".toml", str(server.folder.path)):
        assert secret not in told
    for secret in secrets:
        assert secret in recorded
    return told, recorded


def test_an_entry_that_is_over(server: Server) -> None:
    """That it was listed once; not where, nor until when."""
    server.text = rule(LIST)
    server.allow("line-3-safety", f"{DEVICE},,2020-01-01T00:00:00Z,,")
    told, _ = refused(server, "line-3-safety.csv:2", "2020-01-01")
    assert told == f"no rule applies: device {DEVICE} is not listed any more"


def test_an_entry_that_is_used_up(server: Server) -> None:
    """Not where it stands; that somebody was faster is his to know."""
    server.text = rule(LIST, more='unproved = true\nreplacement = "keep"\n')
    server.allow("line-3-safety", f"{DEVICE},,,1,")
    assert server.enroll(drive()).status == 200
    told, _ = refused(server)
    assert told == f"no rule applies: the entry of device {DEVICE} is used up: 1 of 1"


def test_an_entry_that_rejects(server: Server) -> None:
    """That the device is listed; not which list it is on."""
    server.text = rule(LIST, "reject")
    server.allow("line-3-safety", f"{DEVICE},,,,")
    told, _ = refused(server, "line-3-safety.csv:2")
    assert told == f"device {DEVICE} is listed"


@pytest.mark.parametrize(
    ("does", "then", "told"),
    [
        ("echo user=svc failed; exit 1", "grant", "another system does not agree"),
        ("echo user=svc failed; exit 2", "grant", UNDECIDED),
        ("echo user=svc failed; exit 0", "reject", "another system says so"),
    ],
)
def test_a_program(does: str, then: str, told: str, server: Server, tmp_path: Path) -> None:
    """Neither what it says nor where it lies."""
    folder = tmp_path / "cmdb.internal"
    folder.mkdir()
    [program] = asking.scripts(folder)(does)
    server.text = rule(f'exec = ["{program}"]', then, "")
    found, _ = refused(server, "user=svc", program)
    assert found == (told if then == "reject" else f"no rule applies: {told}")


def test_a_program_that_was_not_asked(server: Server) -> None:
    """Its place is not told either."""
    server.text = rule('vendor = true, exec = ["/opt/cmdb/lookup"]', more="")
    told, _ = refused(server, "/opt/cmdb/lookup")
    assert told == (
        "no rule applies: no client certificate was presented; another system was not asked"
    )


def test_a_list_that_is_broken(server: Server) -> None:
    """Beside a clear no; what is wrong with the file is the operator's."""
    server.text = '[server]\nlabels = ["x"]\n' + rule(f'{LIST}, label = "x"')
    server.allow("line-3-safety", "typo")
    told, _ = refused(server, "line-3-safety.csv:2")
    assert told == f"no rule applies: {UNDECIDED}; the request has no label"


def test_a_vendor_that_is_broken(server: Server) -> None:
    """As with lists."""
    pki = vendor.make()
    vendor.install(server.folder.path / "vendors", "acme", pki.root)
    (server.folder.path / "vendors" / "acme.toml").write_text("???\n")
    server.text = '[server]\nlabels = ["x"]\n' + rule('vendor = true, label = "x"', more="")
    response = server.enroll(ca.request(), chain=pki.chain)
    assert est.reason(response) == f"no rule applies: {UNDECIDED}; the request has no label"
    assert "acme.toml" in (server.events()[-1].reason or "")


_ASK = '[[rule]]\nname = "else"\nwhen = { anyone = true }\nthen = "ask"\n'


@pytest.mark.parametrize(
    ("rules", "listed"),
    [
        (rule(LIST), [f"{DEVICE},,,,", f"{OTHER},,,,", "typo"]),
        (rule(LIST) + _ASK, [f"{DEVICE},,2020-01-01T00:00:00Z,,"]),
    ],
    ids=["broken", "over"],
)
def test_who_waits_is_told_nothing_of_lists(server: Server, rules: str, listed: list[str]) -> None:
    """Why he does not get his certificate at once is for those who decide."""
    server.text = rules
    server.allow("line-3-safety", *listed)
    response = server.enroll(drive())
    assert est.reason(response) == (
        f"request {est.identifier(response)} waits for approval; ask again after"
        f" {est.header(response, 'Retry-After')} s"
    )


def test_who_waits_is_told_of_his_own_credential(server: Server) -> None:
    """That a card is spent, or revoked: he would wait, and have nobody look for another one."""
    carts = '[[rule]]\nname = "carts"\nwhen = { provisioning = true }\nthen = "grant"\n'
    server.text = carts + _ASK
    chain = server.card("card-1")
    assert server.enroll(ca.request("CN=PC 1"), chain=chain).status == 200
    response = server.enroll(ca.request("CN=PC 2"), chain=chain)
    assert response.status == 202
    why = "; provisioning certificate card-1 is used up: 1 of 1"
    assert est.reason(response).endswith(f"{est.header(response, 'Retry-After')} s{why}")
    server.revoke(chain[0])
    again = server.enroll(ca.request("CN=PC 2"), chain=chain)
    assert est.reason(again).endswith("; the provisioning certificate card-1 is revoked")
