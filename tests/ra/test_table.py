"""Every way of granting × every credential × every way in: outcome, rule and reason of each."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest

from cipsec.est.wire import Response
from cipsec.pki.csr import CertificateRequest
from cipsec.pki.names import show_serial
from cipsec.ra import templates
from cipsec.store.events import Event
from tests.support import ca, est

from .table import plant
from .table.credentials import CREDENTIALS, Shown, subject
from .table.expected import NAMES, OUTCOMES, OWN, SAYS, Cell, Expected, Oracle
from .table.models import LABEL, MODELS, TEMPLATES
from .table.plant import MINUTES, Plant

WAYS_IN = {"enroll": (False, ""), "re-enroll": (True, ""), "labelled": (False, LABEL)}
APPLICANTS = list(itertools.product(CREDENTIALS, WAYS_IN, NAMES))
STATUS = {"G": 200, "A": 202, "R": 202, "N": 403, "X": 403, "L": 401}
EVENTS = {"G": "granted", "A": "pending", "R": "replacement"}


def test_every_model_is_in_the_table() -> None:
    """What `ca init` offers has its rules here, and each model says what each credential gets."""
    assert set(TEMPLATES) == set(templates.MODELS)
    assert set(OUTCOMES) == set(itertools.product(MODELS, CREDENTIALS))
    assert set(SAYS) == set(CREDENTIALS)


@pytest.fixture(scope="module", params=MODELS)
def here(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Plant]]:
    """One model's name and its plant, for all its cells."""
    with plant.running(tmp_path_factory.mktemp("table"), MODELS[request.param]) as running:
        yield request.param, running


@pytest.mark.parametrize(
    ("number", "credential", "way", "names"),
    [(number, *applicant) for number, applicant in enumerate(APPLICANTS)],
    ids=["-".join(applicant) for applicant in APPLICANTS],
)
def test_cell(here: tuple[str, Plant], number: int, credential: str, way: str, names: str) -> None:
    """One cell: what the applicant is answered, what is recorded of it, and what he got."""
    model, there = here
    there.server.now += MINUTES  # else a refusal like an earlier one would be no news
    cell = Cell(model, credential, names, *WAYS_IN[way])
    shown = CREDENTIALS[credential](there, number)
    oracle = Oracle(cell, MODELS[model], shown, number)
    wanted = oracle.expected()
    letters = OUTCOMES[model, credential]
    if not (cell.renewal and credential in OWN and names == "pc"):  # a renewal keeps the names
        assert wanted.outcome == letters[NAMES.index(names)]
    asked = ca.request(f"CN=PC {number}" if oracle.asked is None else subject(oracle.asked))
    before = len(there.server.events())
    response = there.server.enroll(
        asked,
        login=shown.login,
        chain=shown.chain,
        label=cell.label,
        renewal=cell.renewal,
        address=shown.address,
    )
    check_answer(response, wanted, could_log_in=MODELS[model].logins and shown.login is None)
    [event] = there.server.events(before)
    check_event(event, wanted, shown)
    if wanted.outcome == "G":
        check_grant(there, response, event, asked, oracle)
    if wanted.outcome in "AR":
        check_request(there, response, event, oracle)


def check_answer(response: Response, wanted: Expected, *, could_log_in: bool) -> None:
    """The status, whether a login could help, and the words for the applicant."""
    status = 401 if wanted.outcome == "N" and could_log_in else STATUS[wanted.outcome]
    assert response.status == status, (response.body, wanted)
    challenge = 'Basic realm="EST"' if status == 401 else None
    assert est.header(response, "WWW-Authenticate") == challenge
    if status in (401, 403):
        assert est.reason(response) == wanted.reason
    if status == 202:
        waits = r"request ([0-9a-f]{64}) waits for approval; ask again after (\d+) s"
        vain = re.escape(f"; {wanted.in_vain}" if wanted.in_vain else "")
        found = re.fullmatch(waits + vain, est.reason(response))
        assert found
        assert found[2] == est.header(response, "Retry-After")


def check_event(event: Event, wanted: Expected, shown: Shown) -> None:
    """What is recorded: the outcome, and the reason that everybody else is told."""
    reason = wanted.reason
    if wanted.outcome == "R":
        reason += f"; would replace certificate {shown.serial}"
    found = (event.event, event.rule, event.reason, event.address)
    assert found == (EVENTS.get(wanted.outcome, "refused"), wanted.rule, reason, shown.address)
    assert (event.serial is not None) is (wanted.outcome == "G")


def check_grant(
    there: Plant, response: Response, event: Event, asked: CertificateRequest, oracle: Oracle
) -> None:
    """The certificate is for the key and the names asked for, and on record with its reason."""
    certificate = est.certificate(response)
    assert certificate.public_key() == asked.public_key
    assert certificate.subject.public_bytes() == asked.subject.public_bytes()
    assert event.serial == show_serial(certificate.serial_number)
    row = there.row(event.serial)
    wanted = oracle.expected()
    assert (row.rule, row.reason, row.proved) == (wanted.rule, wanted.reason, oracle.proofs())
    assert (row.device, row.der) == (oracle.named, plant.der(certificate))


def check_request(there: Plant, response: Response, event: Event, oracle: Oracle) -> None:
    """Who decides is shown what is proved and what is not, and what would be replaced."""
    row = there.request(est.identifier(response))
    wanted = oracle.expected()
    assert event.request == row.id
    assert (row.state, row.rule, row.reason) == ("pending", wanted.rule, wanted.reason)
    shown = (oracle.named, oracle.proofs(), oracle.claims())
    assert (row.device, row.proved, row.claimed) == shown
    assert row.replaces == (oracle.shown.serial if wanted.outcome == "R" else None)
