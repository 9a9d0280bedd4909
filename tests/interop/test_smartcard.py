"""A card's key in TLS client authentication, judged by `openssl s_server`, by way of real PC/SC."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cipsec.card import keys, pcsc
from cipsec.card.pins import Pin
from cipsec.card.piv import Piv
from cipsec.card.slots import AUTHENTICATION
from cipsec.pki.keys import KeyType
from cipsec.tls.client import SignerCredential, client_context
from tests.support import ports, programs, provisioned, vpcd
from tests.support.canned import LOCALHOST, Plant
from tests.support.provisioned import of_plant
from tests.support.waiting import LONG

pytestmark = pytest.mark.programs


def _judge(plant: Plant, folder: Path, port: int, version: str) -> subprocess.Popen[bytes]:
    """Start a server that insists on a client certificate of the plant, for one connection."""
    certificate, key = plant.credential(folder, "s_server", sans=LOCALHOST)
    words = ["-accept", f"127.0.0.1:{port}", "-cert", certificate, "-key", key, f"-{version}",
             "-CAfile", plant.pem(folder), "-Verify", "3", "-verify_return_error",
             "-naccept", "1", "-brief"]  # fmt: skip
    command = ["openssl", "s_server", *map(str, words)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.mark.parametrize("version", ["tls1_2", "tls1_3"])
@pytest.mark.parametrize("key_type", [KeyType.EC_P256, KeyType.EC_P384, KeyType.RSA_2048])
def test_openssl_accepts_the_card(tmp_path: Path, key_type: KeyType, version: str) -> None:
    """It verifies the chain and the signature, and names the card."""
    programs.need("openssl")
    plant, port = Plant(), ports.free_port()
    card = of_plant(plant, key_type=key_type)
    with vpcd.pcscd() as daemon, _judge(plant, tmp_path, port, version) as judge:
        daemon.insert(card)
        with pcsc.connected() as transport, ports.connected(port) as link:
            piv = Piv.select(transport)
            own = piv.certificate(AUTHENTICATION)
            assert own is not None
            piv.verify(Pin(provisioned.PIN))
            key = keys.on_card(piv, AUTHENTICATION, own.public_key())
            context = client_context(
                [plant.certificate], by_name=True, credential=SignerCredential(own, key)
            )
            with context.wrap_socket(link, server_hostname="localhost") as secured:
                secured.unwrap()  # under TLS 1.3 the server has then judged what we sent
        said, _ = judge.communicate(timeout=LONG)
    assert b"Peer certificate: CN = card-1" in said or b"Peer certificate: CN=card-1" in said
    assert b"Verification: OK" in said
    assert version.replace("tls", "TLSv").replace("_", ".").encode() in said
