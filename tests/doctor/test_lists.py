"""The revocation list and where it is published, as doctor sees them."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cipsec import times
from cipsec.ca_folder import CaFolder
from tests.support import ca, listed, serving
from tests.support.listed import Plant

from .looking import ASK, FAIL, OK, WARN, at_ca, brief, rules

_DAY = timedelta(days=1)


@pytest.fixture
def plant(ca_folder: CaFolder) -> Iterator[Plant]:
    """A CA three years old, and its store."""
    with listed.opened(ca_folder) as plant:
        yield plant


def test_before_the_first(ca_folder: CaFolder) -> None:
    """A CA that never served has none, which is no fault."""
    assert brief(at_ca(ca_folder, "revocation list")) == [
        (OK, "there is none yet: the server signs the first")
    ]


def test_current(plant: Plant) -> None:
    """Good; past half its time another is due; past its end it fails."""
    plant.revoke(plant.issue())
    [made] = plant.publish()
    [good] = at_ca(plant.folder, "revocation list")
    assert good.verdict is OK
    assert good.detail.startswith(f"list {made.published.number} names 1 certificate, and is good")
    [half] = at_ca(plant.folder, "revocation list", later=4 * _DAY)
    assert (half.verdict, half.hint) == (WARN, "cipsec ca serve")
    assert half.detail == "another is due: half its time is over"
    [over] = at_ca(plant.folder, "revocation list", later=8 * _DAY)
    assert (over.verdict, over.hint) == (FAIL, "cipsec ca crl -o list.crl")
    assert "who looks at it trusts nobody" in over.detail


def test_revoked_and_not_listed(plant: Plant) -> None:
    """For a minute that is how it goes; then somebody has to sign."""
    plant.publish()
    plant.revoke(plant.issue(), at=times.now())
    [now] = at_ca(plant.folder, "revocation list")
    assert now.verdict is OK
    assert now.detail.endswith("is not on it yet")
    [later] = at_ca(plant.folder, "revocation list", later=timedelta(hours=2))
    assert (later.verdict, later.hint) == (WARN, "cipsec ca crl -o list.crl")


def test_another_list_in_the_folder(plant: Plant) -> None:
    """Not the one that was published."""
    plant.publish()
    plant.folder.crl_file.write_bytes(b"something else")
    [found] = at_ca(plant.folder, "revocation list")
    assert found.verdict is WARN
    assert found.detail.endswith("ca.crl is not the list that was published")


def test_a_server_that_cannot_write_it(ca_folder: CaFolder) -> None:
    """It serves, says so once, and doctor fails."""
    ca_folder.crl_file.mkdir()
    with serving.serving(ca_folder.path) as server:
        found = serving.cipsec("doctor", "--ca-dir", ca_folder.path)
        assert server.process.poll() is None
    log = (ca_folder.path.parent / "ca-serve.log").read_text()
    assert log.count("the revocation list is not renewed: ") == 1
    assert "is not a file that can be replaced" in log
    assert b"is not a file" in found.stdout
    assert found.returncode == 10


def _hand_out(body: bytes, status: int = 200) -> http.server.HTTPServer:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever).start()
    return server


@pytest.mark.parametrize(
    ("kind", "verdict", "says"),
    [
        ("newest", OK, "hands out list"),
        ("old", WARN, "the newest is"),
        ("garbage", FAIL, "something else than a list"),
        ("empty", FAIL, "something else than a list"),
        ("missing", FAIL, "its answer is 404"),
    ],
)
def test_distribution_point(plant: Plant, kind: str, verdict: str, says: str) -> None:
    """What is at the URL is held against what was signed last."""
    [old] = plant.publish()
    [new] = plant.publish(anyway=True)
    body = {"newest": new.der, "old": old.der, "garbage": b"\x30\x03abc"}.get(kind, b"")
    server = _hand_out(body, 404 if kind == "missing" else 200)
    try:
        url = f"http://127.0.0.1:{server.server_port}/ca.crl"
        rules(plant.folder, ASK, head=f'crl.url = "{url}"')
        [found] = at_ca(plant.folder, "distribution point")
    finally:
        server.shutdown()
        server.server_close()
    assert (found.verdict, says in found.detail) == (verdict, True), found


def test_nobody_there(plant: Plant) -> None:
    """A URL at which nothing answers is a fault: certificates name it."""
    rules(plant.folder, ASK, head='crl.url = "http://127.0.0.1:1/ca.crl"')
    [found] = at_ca(plant.folder, "distribution point")
    assert (found.verdict, found.hint) == (FAIL, "curl -v http://127.0.0.1:1/ca.crl")


def test_not_configured(plant: Plant) -> None:
    """Nothing wanted is nothing wrong; an address that no certificate names is half a thing."""
    assert [one.verdict for one in at_ca(plant.folder, "distribution point")] == [OK]
    rules(plant.folder, ASK, head='crl.listen = "127.0.0.1:8080"')
    [found] = at_ca(plant.folder, "distribution point")
    assert (found.verdict, found.hint) == (WARN, "write url into the table [crl] of ca.toml")


def test_a_damaged_store(tmp_path: Path) -> None:
    """Another check says what is wrong with it."""
    folder = ca.make(tmp_path / "broken")
    folder.store_file.write_bytes(b"no store")
    assert [one.verdict for one in at_ca(folder, "revocation list")] == [WARN]
    assert at_ca(folder, "distribution point")[0].verdict is OK
