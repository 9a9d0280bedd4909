"""The CIP identity: written in many ways, meaning one thing."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cipsec.errors import UsageError
from cipsec.pki.device import DeviceId, Identity, Mac, mac_attributes, mac_texts

DEVICE = DeviceId(0x0001, 0x6040C8F2)
MAC = Mac(0x0000BC123456)

devices = st.builds(DeviceId, st.integers(1, 0xFFFF), st.integers(1, 0xFFFFFFFF))
macs = st.builds(Mac, st.integers(1, (1 << 48) - 1).filter(lambda n: not n >> 40 & 1))


@given(devices)
def test_devices_survive_being_written(device: DeviceId) -> None:
    """The canonical form, and the forms that other tools print."""
    assert DeviceId.parse(str(device)) == device
    assert DeviceId.parse(f"0x{device.vendor:x}:0x{device.serial:08x}") == device
    assert len(str(device)) == 13


@given(macs)
def test_mac_addresses_survive_being_written(mac: Mac) -> None:
    """In the four ways of domain and network people."""
    shown = str(mac)
    bare = shown.replace(":", "")
    dotted = ".".join((bare[:4], bare[4:8], bare[8:]))
    for text in (shown, shown.upper(), shown.replace(":", "-"), bare, dotted):
        assert Mac.parse(text) == mac


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "6040C8F2",
        "0000:6040C8F2",
        "0001:00000000",
        "10000:1",
        "1:100000000",
        "1:2:3",
        "g:1",
    ],
)
def test_other_devices_are_refused(text: str) -> None:
    """Zero means not set, in both numbers; only the pair is unique."""
    with pytest.raises(UsageError):
        DeviceId.parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "00:00:bc:12:34",
        "00:00:bc-12:34:56",
        "000:0bc.1234.56",
        "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
        "01:00:5e:00:00:fb",
        "00:00:bc:12:34:5g",
    ],
)
def test_other_mac_addresses_are_refused(text: str) -> None:
    """Zero, broadcast and group addresses belong to no single device."""
    with pytest.raises(UsageError):
        Mac.parse(text)


@given(st.text(max_size=30))
def test_any_text_is_a_value_or_a_usage_error(text: str) -> None:
    """Both readers."""
    for read in (DeviceId.parse, Mac.parse):
        with contextlib.suppress(UsageError):
            read(text)


@given(macs)
def test_the_mac_extension_is_read_as_written(mac: Mac) -> None:
    """subjectDirectoryAttributes with one macAddress."""
    assert mac_texts(mac_attributes(mac)) == (str(mac),)


@given(st.binary(max_size=60))
def test_any_other_extension_is_some_texts_or_none(der: bytes) -> None:
    """Whatever bytes stand there, also behind the right beginning."""
    for data in (der, mac_attributes(MAC)[:-17] + der, mac_attributes(MAC) + der):
        assert all(isinstance(text, str) for text in mac_texts(data))


def test_addresses_made_up_where_they_are_used_are_told() -> None:
    """The second bit of the first octet (IEEE 802): no vendor answers for them."""
    assert Mac.parse("02:00:00:00:00:01").is_local
    assert Mac.parse("fe:00:00:00:00:01").is_local
    assert not MAC.is_local


def test_identities_agree_where_nothing_differs() -> None:
    """What one of them does not say is no contradiction."""
    assert Identity(DEVICE).agrees(Identity(mac=MAC))
    assert Identity(DEVICE, MAC).agrees(Identity(DEVICE))
    assert not Identity(DEVICE).agrees(Identity(DeviceId(1, 1)))


def test_an_identity_in_words() -> None:
    """Empty is false, and shown as a dash."""
    assert (str(Identity(DEVICE, MAC)), str(Identity())) == ("0001:6040C8F2 00:00:bc:12:34:56", "-")
    assert not Identity()
    assert Identity(mac=MAC)
