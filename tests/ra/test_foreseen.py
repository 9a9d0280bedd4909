"""What `policy check` foresees is what the server then says."""

from __future__ import annotations

from cipsec.pki.csr import CertificateRequest
from cipsec.ra.hypothesis import Foreseen, Hypothesis, foresee
from cipsec.ra.policy import Outcome
from cipsec.store.requests import State
from tests.support import ca, est
from tests.support.est import PASSWORD, Server

from .replacing import DEVICE, LISTED, drive, in_force

ANNA = ("anna", PASSWORD)


def foreseen(server: Server, asked: CertificateRequest, user: str | None = None) -> Foreseen:
    """Return what would come of a request."""
    return est.run(
        foresee(
            Hypothesis(asked.der, user=user),
            sources=server.sources,
            config=server.config(),
            own_names=frozenset(),
            life=server.folder.life(),
            now=server.now,
        )
    )


def test_a_use_that_was_spent_on_a_revoked_certificate(server: Server) -> None:
    """It is spent for good, whoever asks about it."""
    server.text = est.USERS
    server.add_user("anna", uses=1)
    asked = ca.request("CN=pc")
    granted = est.certificate(server.enroll(asked, login=ANNA))
    assert foreseen(server, asked, "anna").decision.outcome is Outcome.GRANT
    assert est.certificate(server.enroll(asked, login=ANNA)) == granted
    server.revoke(granted)
    decision = foreseen(server, asked, "anna").decision
    [row] = server.certificates()
    assert decision.outcome is Outcome.REJECT
    assert decision.reason == (
        f"no rule applies: the password of user anna was spent on certificate {row.serial},"
        " not in force any more"
    )
    refused = server.enroll(asked, login=ANNA)
    assert (refused.status, est.reason(refused)) == (403, decision.told)
    server.text = est.USERS + est.ASK  # the next rule decides, there as here
    assert foreseen(server, asked, "anna").decision.outcome is Outcome.ASK
    assert server.enroll(asked, login=ANNA).status == 202


def test_a_request_that_was_rejected(server: Server) -> None:
    """The rule would grant; what the administrator said stands, in the server's words."""
    asked = drive()
    identifier = est.identifier(server.enroll(asked))
    server.decide(identifier, State.REJECTED)
    server.text = est.LAB
    found = foreseen(server, asked)
    assert (found.request, found.state) == (identifier, State.REJECTED)
    assert found.decision.outcome is Outcome.REJECT
    answer = server.enroll(asked)
    assert (answer.status, est.reason(answer)) == (403, found.decision.reason)


def test_a_replacement(server: Server) -> None:
    """Certificates that it would replace are named as the request will have them."""
    server.text = est.LAB
    server.enroll(drive())
    server.text = LISTED
    server.allow("line", f"{DEVICE},,,,")
    asked = drive()
    found = foreseen(server, asked)
    assert (found.decision.outcome, found.state) == (Outcome.ASK, None)
    assert (found.replaces, found.decision.revokes) == (server.certificates()[0].serial, ())
    assert est.identifier(server.enroll(asked)) == found.request
    assert server.requests()[0].replaces == found.replaces
    assert len(in_force(server)) == 1
