"""The card through real PC/SC: pyscard, pcscd, a virtual reader."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from cipsec.card import keys, pcsc
from cipsec.card.choice import Reader
from cipsec.card.pins import DEFAULT_MANAGEMENT_KEY
from cipsec.card.piv import Piv
from cipsec.card.slots import AUTHENTICATION
from cipsec.errors import (
    CardError,
    CardRefused,
    NoCard,
    NoPcsc,
    NoReader,
    UsageError,
    WrongCard,
    WrongPin,
)
from cipsec.pki.keys import KeyType
from tests.card import flows
from tests.card.cards import PIN, WRONG_PIN, certificate, provision
from tests.card.flows import Flow
from tests.support import vpcd
from tests.support.pivcard import PivCard
from tests.support.vpcd import READERS, Pcscd

pytestmark = pytest.mark.programs


def _signs() -> bytes:
    """Sign with the card, in a session of its own."""
    with pcsc.connected() as transport:
        signature = flows.sign(transport)
    assert isinstance(signature, bytes)
    return signature


def test_no_reader() -> None:
    """PC/SC runs, and nothing is plugged in."""
    with vpcd.pcscd(readers=False):
        assert pcsc.readers() == ()
        with pytest.raises(NoReader, match="there is no smartcard reader"):
            _signs()


def test_empty_readers(daemon: Pcscd) -> None:
    """They are listed, and connecting names them."""
    assert pcsc.readers() == tuple(Reader(name=name, has_card=False) for name in READERS)
    with pytest.raises(NoCard, match=f"there is no card in {READERS[0]}, {READERS[1]}"):
        _signs()
    with pytest.raises(NoReader, match="no reader's name contains"), pcsc.connected("acme"):
        pass


def test_provision_and_sign(daemon: Pcscd) -> None:
    """Key, CSR and certificate on a new card, then a signature in a second session."""
    daemon.insert(PivCard())
    with pcsc.connected() as transport:
        piv = Piv.select(transport)
        piv.authenticate(DEFAULT_MANAGEMENT_KEY)
        public_key = piv.generate(AUTHENTICATION, KeyType.EC_P384)
        piv.verify(PIN)
        key = keys.on_card(piv, AUTHENTICATION, public_key)
        builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
        assert builder.sign(key, hashes.SHA384()).is_signature_valid
        piv.write_certificate(AUTHENTICATION, certificate(key))
        assert transport.reader == READERS[0]
    assert _signs()


@pytest.mark.parametrize("flow", flows.ALL)
def test_every_flow(daemon: Pcscd, card: PivCard, flow: Flow) -> None:
    """What runs in process runs over PC/SC, with the extension and without."""
    daemon.insert(card)
    with pcsc.connected() as transport:
        if flow is flows.empty:
            with pytest.raises(CardRefused, match="cannot be reset"):
                flow(transport)
            card.extensions = True
        flow(transport)


def test_the_pin_ends_with_the_session(daemon: Pcscd, card: PivCard) -> None:
    """The card is without power afterwards: the next program must ask again."""
    daemon.insert(card)
    with pcsc.connected() as transport:
        piv = Piv.select(transport)
        piv.verify(PIN)
        assert piv.tries_left() is None
    with pcsc.connected() as transport:
        assert Piv.select(transport).tries_left() == card.manners.tries


def test_a_wrong_pin(daemon: Pcscd, card: PivCard) -> None:
    """One try is spent, on the card."""
    daemon.insert(card)
    with pcsc.connected() as transport, pytest.raises(WrongPin):
        Piv.select(transport).verify(WRONG_PIN)
    assert card.secrets[0x80].tries == card.manners.tries - 1


def test_two_cards(daemon: Pcscd, card: PivCard) -> None:
    """One is to be named; a part of the name does."""
    daemon.insert(card)
    daemon.insert(PivCard(), reader=1)
    with pytest.raises(UsageError, match="there are 2 cards"), pcsc.connected():
        pass
    with pcsc.connected("00 01") as transport:
        assert transport.reader == READERS[1]
        assert Piv.select(transport).certificate(AUTHENTICATION) is None


def test_another_kind_of_card(daemon: Pcscd, card: PivCard) -> None:
    """Connecting does; there is no PIV application."""
    card.faults.not_piv = True
    daemon.insert(card)
    with pcsc.connected() as transport, pytest.raises(WrongCard):
        Piv.select(transport)


@pytest.mark.parametrize("answered", range(6))
def test_pulled_in_the_middle(daemon: Pcscd, answered: int) -> None:
    """At each APDU of a signature: NoCard, no try spent, the connection put away cleanly."""
    card = PivCard()
    provision(card)
    daemon.insert(card)
    card.faults.pulled_after = answered
    with pytest.raises(NoCard, match="pulled"):
        _signs()
    assert card.secrets[0x80].tries == card.manners.tries


def test_pulled_and_put_in_again(daemon: Pcscd, card: PivCard) -> None:
    """A new connection finds it."""
    inserted = daemon.insert(card)
    assert _signs()
    for _ in "idle", "in use":
        inserted.pull()
        daemon.wait_until_empty()
        with pytest.raises(NoCard):
            _signs()
        inserted = daemon.insert(card)
        with pcsc.connected() as transport:
            assert Piv.select(transport).tries_left()
            inserted.pull()
            with pytest.raises(NoCard):
                Piv.select(transport)


def test_the_service_killed_in_the_middle(daemon: Pcscd, card: PivCard) -> None:
    """It is said, and nothing is left behind to complain."""
    daemon.insert(card)
    with pcsc.connected() as transport:
        piv = Piv.select(transport)
        daemon.kill()
        with pytest.raises(NoPcsc):
            piv.tries_left()
    with pytest.raises(NoPcsc):
        pcsc.readers()


def test_beside_another_program(daemon: Pcscd, card: PivCard) -> None:
    """One that shares is joined, one that does not is named as the cause; none is stopped."""
    scard = pytest.importorskip("smartcard.scard")
    daemon.insert(card)
    for mode in (scard.SCARD_SHARE_SHARED, scard.SCARD_SHARE_EXCLUSIVE):
        _, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        result, other, _ = scard.SCardConnect(context, READERS[0], mode, protocols)
        assert result == 0
        if mode == scard.SCARD_SHARE_SHARED:
            assert _signs()
        else:
            with pytest.raises(CardError, match="another program has the card"):
                _signs()
        scard.SCardDisconnect(other, scard.SCARD_LEAVE_CARD)
        scard.SCardReleaseContext(context)


def test_a_card_that_waits_for_a_finger(daemon: Pcscd, card: PivCard) -> None:
    """The signature comes late, and comes."""
    daemon.insert(card)
    card.faults.touch = 0.3
    assert _signs()
