"""The real server, two workers, real TLS: fifty tools with one provisioning certificate."""

from __future__ import annotations

import base64
import http.client
import os
import signal
import ssl
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cipsec.ca_folder import CaFolder
from cipsec.store import uses
from cipsec.store.credentials import by_name
from tests.support import ca, serving
from tests.support.serving import Serving
from tests.support.waiting import children

from .spending import RULES, pc

CROWD = 50
PATH = "/.well-known/est/simpleenroll"


@pytest.fixture
def folder(tmp_path: Path) -> CaFolder:
    """A CA that grants to provisioning certificates and to nobody else."""
    made = ca.make(tmp_path / "ca", policy="provisioning")
    made.config_file.write_text(RULES["provisioning"])
    return made


def provision(folder: CaFolder, uses: int) -> Path:
    """Make the provisioning certificate `cart`, and return its folder."""
    target = folder.path.parent / "cart"
    order = ["ca", "provision", "cart", "--uses", str(uses)]
    serving.result(*order, "--ca-dir", folder.path, "-o", target)
    return target


def enroll(server: Serving, cart: Path, csr: bytes) -> tuple[int, str]:
    """Ask once over a connection of its own; status 0 where the server went away."""
    context = ssl.create_default_context(cafile=cart / "ca.pem")
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.load_cert_chain(cart / "certificate.pem", cart / "key.pem")
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=60, context=context)
    headers = {"Content-Type": "application/pkcs10"}
    try:
        connection.request("POST", PATH, base64.b64encode(csr), headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def crowd(server: Serving, cart: Path, csrs: Sequence[bytes]) -> list[tuple[int, str]]:
    """Let all ask at once."""
    with ThreadPoolExecutor(CROWD) as pool:
        return list(pool.map(lambda csr: enroll(server, cart, csr), csrs))


def recorded(folder: CaFolder) -> tuple[int, int]:
    """Return how many certificates endpoints have, and how often the cart was used."""
    store = folder.store()
    [cart] = store.read(lambda db: by_name(db, "cart"))
    used = store.read(lambda db: uses.count(db, cart.key))
    store.close()
    listed = serving.result("ca", "list", "--ca-dir", folder.path)["certificates"]
    return len([one for one in listed if one["kind"] == "endpoint"]), used


def test_fifty_at_two_workers(folder: CaFolder) -> None:
    """One gets the certificate, over and over; the others read that it is used up."""
    cart = provision(folder, 1)
    csrs = [pc(number) for number in range(CROWD)]
    with serving.serving(folder.path, "--workers", "2") as server:
        first = crowd(server, cart, csrs)
        second = crowd(server, cart, csrs)
    assert Counter(status for status, _ in first) == {200: 1, 403: CROWD - 1}
    assert all(body.endswith("is used up: 1 of 1\n") for status, body in first if status == 403)
    assert [answer for answer in first if answer[0] == 200] == [
        answer for answer in second if answer[0] == 200
    ]
    assert recorded(folder) == (1, 1)


def test_a_worker_is_killed_in_the_middle(folder: CaFolder) -> None:
    """The server ends, is started again, and the crowd that lost answers gets what was granted."""
    limit = 20
    cart = provision(folder, limit)
    csrs = [pc(number) for number in range(CROWD)]
    server = serving.start(folder.path, "--workers", "2")
    with ThreadPoolExecutor(CROWD) as pool:
        asking = [pool.submit(enroll, server, cart, csr) for csr in csrs]
        asking[0].result()
        os.kill(children(server.process.pid)[0], signal.SIGKILL)
        first = [one.result() for one in asking]
    assert server.process.wait(60) != -signal.SIGKILL
    with serving.serving(folder.path) as again:
        second = crowd(again, cart, csrs)
    assert Counter(status for status, _ in second) == {200: limit, 403: CROWD - limit}
    for before, after in zip(first, second, strict=True):
        assert before[0] != 200 or before == after
    assert recorded(folder) == (limit, limit)
