"""What is good for a number of enrollments, and crowds that want it all at once."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cipsec.ca_folder import CaFolder
from cipsec.est.wire import Peer, Request, Response
from cipsec.pki import keys
from cipsec.ra import provisioning
from cipsec.ra.users import hash_password, proof
from cipsec.store import users, uses
from cipsec.store.users import UserRow
from tests.support import ca, est, vendor
from tests.support.est import NOW, Server

DEVICE = "0001:6040C8F2"
PASSWORD = "once and no more"

RULES = {
    "provisioning": '[[rule]]\nname = "carts"\nwhen = { provisioning = true }\nthen = "grant"\n',
    "password": '[[rule]]\nname = "users"\nwhen = { user = true }\nthen = "grant"\n',
    "allowlist": '[[rule]]\nname = "inventory"\nwhen = { vendor = true, serial = "default" }\n'
    'then = "grant"\n',
}


@dataclass(frozen=True)
class Ask:
    """One applicant's request, as often as he sends it."""

    csr: bytes
    chain: tuple[bytes, ...] = ()
    login: tuple[str, str] | None = None

    def request(self) -> Request:
        """Return it as it arrives."""
        return est.post(self.csr, login=self.login, peer=Peer("192.0.2.7", self.chain))

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads."""
        ders = [base64.b64encode(der).decode() for der in (self.csr, *self.chain)]
        return {"ders": ders, "login": self.login}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Ask:
        """Read one."""
        csr, *chain = map(base64.b64decode, value["ders"])
        return cls(csr, tuple(chain), tuple(value["login"]) if value["login"] else None)


@dataclass(frozen=True)
class Scarce:
    """Something that is good for `limit` enrollments, counted under `key`; and who wants it."""

    kind: str
    limit: int
    key: str
    make: Callable[[int], Ask]

    @property
    def rules(self) -> str:
        """The one rule that grants by it; nobody is asked."""
        return RULES[self.kind]

    @property
    def used_up(self) -> str:
        """How refusals end."""
        return f"is used up: {self.limit} of {self.limit}"

    def asks(self, count: int) -> list[Ask]:
        """Return that many applicants, each with a key of its own."""
        return [self.make(number) for number in range(count)]


def pc(number: int) -> bytes:
    """Return the CSR of a PC."""
    return ca.request(f"CN=PC {number}").der


def cart(folder: CaFolder, limit: int = 1, *, validity: timedelta = timedelta(days=7)) -> Scarce:
    """A provisioning certificate."""
    order = provisioning.Order("cart", limit, validity, timedelta(), "carla", None, NOW)
    request = provisioning.request_for("cart", keys.generate(keys.KeyType.EC_P256))
    row = provisioning.sign(order, request, folder.provisioning_authority(None, NOW))
    store = folder.store()
    made = store.write(lambda db: provisioning.keep(db, order, row))
    store.close()
    return Scarce("provisioning", limit, made.key, lambda number: Ask(pc(number), (row.der,)))


def password(folder: CaFolder, limit: int = 1, *, until: int | None = None) -> Scarce:
    """A password."""
    row = UserRow("otto", hash_password(PASSWORD), 0, 0, until=until, uses=limit)
    store = folder.store()
    assert store.write(lambda db: users.insert(db, row))
    store.close()
    login = ("otto", PASSWORD)
    return Scarce("password", limit, proof(row).key, lambda n: Ask(pc(n), login=login))


def entry(folder: CaFolder, limit: int = 1, *, until: str = "") -> Scarce:
    """An entry of an allowlist, for a device that wants a certificate for each of its keys."""
    pki = vendor.make()
    vendor.install(folder.path / "vendors", "acme", pki.root)
    text = f"device,until,uses\n{DEVICE},{until},{limit}\n"
    (folder.path / "allowlists" / "default.csv").write_text(text)
    key = f"allowlist:default:{DEVICE}"
    return Scarce("allowlist", limit, key, lambda _: Ask(ca.request().der, pki.chain))


KINDS: dict[str, Callable[..., Scarce]] = {
    "provisioning": cart,
    "password": password,
    "allowlist": entry,
}


def warm(server: Server, scarce: Scarce) -> None:
    """Let the server see the password once, for a device that it does not prove: no use."""
    if scarce.kind == "password":
        ask = dataclasses.replace(scarce.make(0), csr=ca.request().der)
        assert server.answer(ask.request()).status == 403


def at_once(servers: Sequence[Server], asks: Sequence[Ask]) -> list[Response]:
    """Let all ask at once, in turn at one of the servers."""

    async def all_of_them() -> list[Response]:
        pairs = zip(asks, itertools.cycle(servers), strict=False)
        return await asyncio.gather(*(server.ask(ask.request()) for ask, server in pairs))

    return est.run(all_of_them())


def spent(server: Server, scarce: Scarce) -> int:
    """Return how often it was used."""
    return server.database.read(lambda db: uses.count(db, scarce.key))


def granted(server: Server) -> list[str]:
    """Return the serial numbers of all certificates that endpoints got."""
    return [row.serial for row in server.certificates() if row.kind == "endpoint"]


def dumped(asks: Sequence[Ask]) -> str:
    """Return applicants as JSON."""
    return json.dumps([ask.to_json() for ask in asks])
