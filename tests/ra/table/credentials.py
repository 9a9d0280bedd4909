"""Every kind of applicant as he really is: what he shows, made anew for each cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from cipsec.ca import profile
from cipsec.ra import revocation
from cipsec.store.certificates import CertificateRow
from tests.support import ca, vendor
from tests.support.est import PASSWORD
from tests.support.vendor import Party

from .plant import DAY, ONE_TIME, REVOKED, Plant, foreign, listed, unlisted


@dataclass(frozen=True)
class Shown:
    """What one applicant shows.

    `device` is what his certificate names, or would; `serial` and `cart` are what reasons tell of
    the certificates of this CA that are his, or in his way.
    """

    device: str
    chain: tuple[bytes, ...] = ()
    login: tuple[str, str] | None = None
    address: str = "192.0.2.7"
    serial: str = ""
    cart: str = ""


def subject(device: str) -> str:
    """Return what a device's CSR asks for."""
    return f"CN=Drive {device[-3:]},serialNumber={device}"


def _nothing(plant: Plant, number: int) -> Shown:
    return Shown(listed(number))


def _self_signed(plant: Plant, number: int) -> Shown:
    return Shown(listed(number), (vendor.device(None, listed(number)).der,))


def _by(issuing: Party, device: str) -> Shown:
    return Shown(device, (vendor.device(issuing, device).der, issuing.der))


def _revoked_by_vendor(plant: Plant, number: int) -> Shown:
    device, issuing = listed(number), plant.pki.issuing
    name = f"serialNumber={device},CN=Drive 7,O=Acme"
    made = vendor.issue(name, issuing, serial=REVOKED + number)
    return Shown(device, (made.der, issuing.der))


def _expired_by_vendor(plant: Plant, number: int) -> Shown:
    device, issuing = listed(number), plant.pki.issuing
    made = vendor.device(issuing, device, end=plant.server.now - DAY)
    return Shown(device, (made.der, issuing.der))


def _known(plant: Plant, number: int) -> Shown:
    shown = _by(plant.pki.issuing, listed(number))
    earlier = plant.certificate(ca.request(subject(shown.device)), shown.device)
    return replace(shown, serial=earlier.serial)


def _two_proofs(plant: Plant, number: int) -> Shown:
    return replace(_by(plant.pki.issuing, listed(number)), login=("anna", PASSWORD))


def _as_own(number: int, row: CertificateRow) -> Shown:
    return Shown(listed(number), (row.der,), serial=row.serial)


def _own(plant: Plant, number: int) -> Shown:
    device = listed(number)
    return _as_own(number, plant.certificate(ca.request(subject(device)), device))


def _own_by_its_word(plant: Plant, number: int) -> Shown:
    device = listed(number)
    asked = ca.request(subject(device))
    return _as_own(number, plant.certificate(asked, device, proved=False))


def _own_revoked(plant: Plant, number: int) -> Shown:
    device = listed(number)
    row = plant.certificate(ca.request(subject(device)), device)
    _revoke(plant, row)
    return _as_own(number, row)


def _own_expired(plant: Plant, number: int) -> Shown:
    device, asked = listed(number), ca.request(subject(listed(number)))
    return _as_own(number, plant.certificate(asked, device, age=2 * DAY, validity=DAY))


def _own_lost(plant: Plant, number: int) -> Shown:
    device, asked = listed(number), ca.request(subject(listed(number)))
    return _as_own(number, plant.certificate(asked, device, known=False))


def _of_the_server(plant: Plant, number: int) -> Shown:
    device, asked = listed(number), ca.request(subject(listed(number)))
    return _as_own(number, plant.certificate(asked, device, kind=profile.SERVER))


def _cart(plant: Plant, number: int) -> Shown:
    name = f"cart-{number}"
    return Shown(listed(number), (plant.provision(name)[1],), cart=name)


def _spent_cart(plant: Plant, number: int) -> Shown:
    name = f"cart-{number}"
    row, der = plant.provision(name)
    plant.spend(row.key)
    return Shown(listed(number), (der,), cart=name)


def _revoked_cart(plant: Plant, number: int) -> Shown:
    name = f"cart-{number}"
    row, der = plant.provision(name)
    database = plant.server.database
    [found] = database.read(lambda db: revocation.by_serials(db, [row.serial])).rows
    _revoke(plant, found)
    return Shown(listed(number), (der,), cart=name)


def _expired_cart(plant: Plant, number: int) -> Shown:
    name = f"cart-{number}"
    der = plant.provision(name, age=2 * DAY, validity=DAY)[1]
    return Shown(listed(number), (der,), cart=name)


def _revoke(plant: Plant, row: CertificateRow) -> None:
    at = int(plant.server.now.timestamp())
    plant.server.database.write(
        lambda db: revocation.revoke(db, row, by="carla", reason="unspecified", note=None, at=at)
    )


def _login(user: str, password: str, address: str = "192.0.2.7") -> Callable[[Plant, int], Shown]:
    return lambda _, number: Shown(listed(number), login=(user, password), address=address)


CREDENTIALS: dict[str, Callable[[Plant, int], Shown]] = {
    "none": _nothing,
    "garbage": lambda _, number: Shown(listed(number), (b"garbage",)),
    "self-signed": _self_signed,
    "vendor": lambda plant, number: _by(plant.pki.issuing, listed(number)),
    "vendor, not listed": lambda plant, number: _by(plant.pki.issuing, unlisted(number)),
    "vendor, foreign Vendor ID": lambda plant, number: _by(plant.pki.issuing, foreign(number)),
    "vendor, revoked": _revoked_by_vendor,
    "vendor, expired": _expired_by_vendor,
    "vendor, device known": _known,
    "vendor and password": _two_proofs,
    "unknown vendor": lambda plant, number: _by(plant.stranger.issuing, listed(number)),
    "look-alike vendor": lambda plant, number: _by(plant.look_alike.issuing, listed(number)),
    "own": _own,
    "own, device claimed": _own_by_its_word,
    "own, revoked": _own_revoked,
    "own, expired": _own_expired,
    "own, not on record": _own_lost,
    "own, the server's": _of_the_server,
    "provisioning": _cart,
    "provisioning, spent": _spent_cart,
    "provisioning, revoked": _revoked_cart,
    "provisioning, expired": _expired_cart,
    "password": _login("anna", PASSWORD),
    "password, ended": _login("bert", PASSWORD),
    "password, used up": _login("otto", ONE_TIME),
    "password, wrong": _login("anna", "wrong horse", address="192.0.2.9"),
}
