"""The revocation list in the CA's folder: when one is signed, what it names, and its number."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import rollover, times
from cipsec.ca import profile
from cipsec.ca.profile import PROVISIONING
from cipsec.ca_folder import CaFolder
from cipsec.errors import LocalState
from cipsec.pki import keys
from cipsec.rollover import Step
from tests.store import rows
from tests.support import ca, listed, programs
from tests.support.listed import Plant

NOW, WEEK, HOUR = listed.NOW, listed.WEEK, listed.HOUR


@pytest.fixture
def plant(ca_folder: CaFolder) -> Iterator[Plant]:
    """A CA three years old, and its store."""
    with listed.opened(ca_folder) as plant:
        yield plant


def test_the_first_is_empty(plant: Plant) -> None:
    """Anybody may read it; the second time nothing is due."""
    assert plant.due() == "there is none yet"
    [made] = plant.publish()
    assert made.der == plant.folder.crl_file.read_bytes()
    assert stat.S_IMODE(plant.folder.crl_file.stat().st_mode) == 0o644
    assert (plant.listed(), plant.number()) == (set(), int(NOW.timestamp()))
    assert plant.list().last_update_utc == NOW
    assert plant.list().next_update_utc == NOW + WEEK
    assert plant.due() is None
    assert plant.publish() == []


def test_signed_on_each_change(plant: Plant) -> None:
    """What was revoked together is listed together; the reason and the time are those on record."""
    plant.publish()
    first, second, third = plant.issue(), plant.issue(), plant.issue()
    plant.revoke(first, reason="keyCompromise")
    plant.revoke(second, reason="unspecified", at=NOW - HOUR)
    assert plant.due() == "something was revoked since"
    [made] = plant.publish()
    assert (made.published.entries, made.published.number) == (2, int(NOW.timestamp()) + 1)
    assert plant.listed() == {first, second}
    entries = {f"{one.serial_number:032x}": one for one in plant.list()}
    [reason] = entries[first].extensions
    assert reason.value == x509.CRLReason(x509.ReasonFlags.key_compromise)
    assert list(entries[second].extensions) == []
    assert entries[second].revocation_date_utc == NOW - HOUR
    assert third not in plant.listed()
    assert plant.publish() == []


def test_signed_before_it_ends(plant: Plant) -> None:
    """At half its time; also where ca.toml gives less time than the list was signed for."""
    plant.publish()
    assert plant.publish(NOW + WEEK / 2 - timedelta(seconds=1)) == []
    assert plant.due(NOW + HOUR, 2 * HOUR) == "half its time is over"
    assert plant.due(NOW + WEEK / 2) == "half its time is over"
    [made] = plant.publish(NOW + WEEK / 2)
    assert made.published.number == int((NOW + WEEK / 2).timestamp())


def test_back_dated(plant: Plant) -> None:
    """For a clock that is behind; how long it is good for, and when it is due, is as without."""
    day = timedelta(days=1)
    plant.publish(backdate=day)
    assert (plant.list().last_update_utc, plant.list().next_update_utc) == (NOW - day, NOW + WEEK)
    assert plant.due(NOW + WEEK / 2 - timedelta(seconds=1)) is None
    assert plant.due(NOW + WEEK / 2) == "half its time is over"
    assert plant.due(NOW - HOUR) == "it was signed in the future, as a clock that was ahead had it"
    plant.publish(validity=HOUR, backdate=day, anyway=True)  # shorter than it is back-dated
    assert plant.due(NOW + HOUR / 4) is None
    assert plant.due(NOW + HOUR / 2) == "half its time is over"


def test_each_list_begins_later(plant: Plant) -> None:
    """Than the one before: also where lists were back-dated less, and within one second."""
    day, second = timedelta(days=1), timedelta(seconds=1)
    begins = []
    for at, backdate in ((0, 0 * day), (1, day), (1, day), (2, 100 * day), (3, 0 * day), (4, day)):
        plant.publish(NOW + at * HOUR, backdate=backdate, anyway=True)
        begins.append(plant.list().last_update_utc - NOW)
    assert begins == [0 * second, second, 2 * second, 3 * second, 3 * HOUR, 3 * HOUR + second]


def test_a_clock_that_was_ahead_is_not_followed(plant: Plant) -> None:
    """The next list begins as if there had been none."""
    plant.publish(NOW + WEEK, backdate=HOUR)
    plant.publish(backdate=HOUR)
    assert plant.list().last_update_utc == NOW - HOUR


def test_what_a_slow_clock_holds_for_good_is_listed(plant: Plant) -> None:
    """Expired, and not yet for those who take the list only because it is back-dated."""
    plant.revoke(plant.issue(ends=NOW + HOUR))
    for hours, count in ((0, 1), (20, 1), (26, 1), (27, 0)):
        [made] = plant.publish(NOW + hours * HOUR, backdate=24 * HOUR, anyway=True)
        assert made.published.entries == count, hours


def test_a_provisioning_certificate_is_not_listed(plant: Plant) -> None:
    """Its issuer is another one, which no device trusts."""
    plant.publish()
    plant.revoke(plant.issue(kind=PROVISIONING))
    assert plant.publish() == []
    assert plant.listed() == set()


def test_what_expired_is_listed_once_more(plant: Plant) -> None:
    """On at least one list signed after its end (RFC 5280 section 3.3), and then no longer."""
    short, long = plant.issue(ends=NOW + HOUR), plant.issue()
    plant.revoke(short)
    plant.revoke(long)
    plant.publish()
    for hours, names in ((1, {short, long}), (2, {short, long}), (3, {long}), (4, {long})):
        plant.publish(NOW + hours * HOUR, anyway=True)
        assert plant.listed() == names, hours


def test_a_clock_that_was_ahead_hides_nobody(plant: Plant) -> None:
    """Dropped as expired by a clock a year ahead, back when it is right; numbers go on."""
    serial = plant.issue(ends=NOW + WEEK)
    plant.revoke(serial)
    year = timedelta(days=365)
    for day in range(2):
        plant.publish(NOW + year + timedelta(days=day), anyway=True)
    assert plant.listed() == set()
    ahead = plant.number()
    assert plant.due() == "it was signed in the future, as a clock that was ahead had it"
    plant.publish()
    assert plant.listed() == {serial}
    assert plant.list().last_update_utc == NOW
    assert plant.number() == ahead + 1


def test_a_clock_before_the_ca_signs_nothing(plant: Plant) -> None:
    """Nor after its end; the list that is there remains, and no number is used up."""
    plant.publish()
    before = plant.folder.crl_file.read_bytes()
    for now in (datetime(1970, 1, 2, tzinfo=UTC), NOW + 7300 * timedelta(days=1)):
        with pytest.raises(LocalState, match="the CA's own certificate"):
            plant.publish(now, anyway=True)
    assert plant.folder.crl_file.read_bytes() == before
    plant.publish(anyway=True)
    assert plant.number() == int(NOW.timestamp()) + 1


def test_the_last_one_ends_with_the_ca(plant: Plant) -> None:
    """It is not signed again and again as the end comes nearer."""
    end = plant.folder.certificate().not_valid_after_utc
    plant.publish(end - 2 * HOUR)
    assert plant.list().next_update_utc == end
    assert plant.due(end - timedelta(minutes=1)) is None


@pytest.mark.programs
@pytest.mark.parametrize("behind", [0 * HOUR, 23 * HOUR])
def test_openssl_refuses_what_is_revoked(plant: Plant, tmp_path: Path, behind: timedelta) -> None:
    """`openssl verify -crl_check` with the list: one is refused, the other is good.

    Also by a clock that is behind, by less than both are back-dated.
    """
    programs.need("openssl")
    authority, paths = plant.folder.authority(None), {}
    clock = str(int((NOW - behind).timestamp()))
    for name in ("good", "gone"):
        form = profile.endpoint(WEEK, 24 * HOUR)
        issued = authority.issue(ca.request(f"CN={name}"), form, now=NOW)
        made = rows.certificate(issued.serial, not_after=int(issued.not_after.timestamp()))
        plant.insert(made)
        paths[name] = tmp_path / f"{name}.pem"
        parsed = x509.load_der_x509_certificate(issued.der)
        paths[name].write_bytes(parsed.public_bytes(Encoding.PEM))
        if name == "gone":
            plant.revoke(issued.serial, reason="keyCompromise")
    plant.publish(backdate=24 * HOUR)
    pem = tmp_path / "ca.crl.pem"
    pem.write_bytes(plant.list().public_bytes(Encoding.PEM))
    answers = {
        name: programs.run("openssl", "verify", "-x509_strict", "-crl_check", "-attime", clock,
                           "-CAfile", plant.folder.certificate_file, "-CRLfile", pem, path)
        for name, path in paths.items()
    }  # fmt: skip
    assert answers["good"].returncode == 0, answers
    assert answers["gone"].returncode != 0
    assert b"certificate revoked" in answers["gone"].stderr


def test_a_former_root_has_a_list_too(plant: Plant) -> None:
    """After a roll-over that is due as well, until the root has ended."""
    now = times.now()
    step = Step(plant.folder, plant.store, "operator", now)
    life = timedelta(days=9000)
    rollover.prepare(step, None, key_type=keys.KeyType.EC_P256, validity=life)
    rollover.activate(step, None)
    assert len(plant.publish(now)) == 2
    assert plant.due(now) is None
    [former] = plant.folder.previous()
    former.crl_file.unlink()
    assert "of the former root" in str(plant.due(now))
    assert len(plant.publish(now)) == 1
    assert plant.due(now) is None
