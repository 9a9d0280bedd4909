"""A PIV card to test with: the commands of SP 800-73-5 part 2, and what can be wrong with a card.

In process it is a `Transport`; `vpcd` puts it into a reader. Two real cards differ in their status
words: `CARD_A` and `CARD_B` are their readings. Its keys are in `pivkeys`.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from cipsec.errors import NoCard
from tests.support import pivkeys
from tests.support.pivkeys import Refused, parts, tlv

AID = bytes.fromhex("A000000308000010000100")
# "cipsec" as historical bytes: OpenSC takes 3B80800101 for a product that has no elliptic curves.
ATR = bytes.fromhex("3B86800163697073656308")
CHUID, DISCOVERY = 0x5FC102, 0x7E
OK = 0x9000
PIN, PUK, MANAGEMENT = 0x80, 0x81, 0x9B
WIDTH = 8


@dataclass(frozen=True, slots=True)
class Manners:
    """How a card reads the standard where it leaves room; a status word, or None: accepted."""

    no_key: int
    wrong_management_key: int
    last_wrong_pin: int
    unpadded_pin: int
    short_new_pin: int | None
    wide_digest: int | None
    deleted_object: int
    unknown: int
    rsa_3072: int | None
    tries: int
    largest_object: int


CARD_A = Manners(no_key=0x6985, wrong_management_key=0x6982, last_wrong_pin=0x6983,
                 unpadded_pin=0x6700, short_new_pin=None, wide_digest=0x6700, deleted_object=OK,
                 unknown=0x6A86, rsa_3072=None, tries=3, largest_object=3000)  # fmt: skip
CARD_B = Manners(no_key=0x6982, wrong_management_key=0x6A80, last_wrong_pin=0x63C0,
                 unpadded_pin=0x6A80, short_new_pin=0x6A80, wide_digest=None, deleted_object=0x6A82,
                 unknown=0x6D00, rsa_3072=0x6A80, tries=5, largest_object=16000)  # fmt: skip


@dataclass(slots=True)
class Faults:
    """What goes wrong, set by a test before or between commands."""

    pulled_after: int | None = None  # APDUs that are still answered
    other_length: bool = False  # 6Cxx to every Le that is not exact
    piece: int = 256  # bytes of an answer before 61xx
    endless: bool = False  # 61xx for ever
    touch: float = 0.0  # seconds until the finger comes
    untouched: bool = False  # it never does
    wrong_signature: bool = False
    not_piv: bool = False
    scripted: list[bytes] = field(default_factory=list)  # whole responses, given instead of its own


@dataclass(frozen=True, slots=True)
class Secret:
    """A PIN or PUK and its tries."""

    value: bytes
    tries: int
    most: int

    @property
    def is_default(self) -> bool:
        """Whether it is as sold."""
        return self.value in (b"123456\xff\xff", b"12345678")


@dataclass(frozen=True, slots=True)
class Asked:
    """One command as the card sees it, its chain joined."""

    ins: int
    p1: int
    p2: int
    data: bytes


class PivCard:
    """The card: PIN 123456, PUK 12345678, the management key everybody knows, and no keys."""

    def __init__(self, manners: Manners = CARD_A, *, extensions: bool = False) -> None:
        self.manners, self.extensions = manners, extensions
        self.faults = Faults()
        self.log: list[bytes] = []  # every APDU that arrived
        self.management = pivkeys.Management(0x03, bytes.fromhex("0102030405060708" * 3))
        self._personalise()
        self.power_up()

    def _personalise(self) -> None:
        most = self.manners.tries
        self.secrets = {PIN: Secret(b"123456\xff\xff", most, most),
                        PUK: Secret(b"12345678", most, most)}  # fmt: skip
        self.keys: dict[int, pivkeys.Key] = {}
        chuid = tlv(0x30, bytes(25)) + tlv(0x34, os.urandom(16)) + tlv(0x35, b"20500101")
        self.objects = {CHUID: tlv(0x53, chuid + tlv(0x3E, b"") + tlv(0xFE, b"")),
                        DISCOVERY: tlv(0x7E, tlv(0x4F, AID) + tlv(0x5F2F, b"\x40\0"))}  # fmt: skip

    def power_up(self) -> None:
        """Forget what was shown and begun, as a card without power does."""
        self.verified = self.managed = self.selected = False
        self._chain, self._rest, self._witness = b"", b"", b""

    # Transmission: ISO/IEC 7816-4 section 5.

    def transmit(self, apdu: bytes) -> tuple[bytes, int]:
        """Answer one command APDU; raise NoCard once the card is pulled."""
        if self.faults.pulled_after is not None:
            if self.faults.pulled_after <= 0:
                raise NoCard("the card was pulled")
            self.faults.pulled_after -= 1
        self.log.append(apdu)
        if self.faults.scripted:
            scripted = self.faults.scripted.pop(0)
            return scripted[:-2], int.from_bytes(scripted[-2:], "big")
        try:
            return self._received(apdu)
        except Refused as refused:
            self._chain = b""
            return b"", refused.sw

    def _received(self, apdu: bytes) -> tuple[bytes, int]:
        if len(apdu) < 4 or (len(apdu) > 5 and len(apdu) - 5 - apdu[4] not in (0, 1)):
            raise Refused(0x6700)
        cla, ins, p1, p2, *_ = apdu
        data = apdu[5 : 5 + apdu[4]] if len(apdu) > 5 else b""
        has_le = len(apdu) == 5 or len(apdu) == 6 + len(data)
        le = (apdu[-1] or 256) if has_le else 256
        if ins == 0xC0:
            return self._sent(self._rest, le)
        self._rest = b""
        if cla == 0x10:
            self._chain += data
            return b"", OK
        if cla != 0:
            raise Refused(0x6E00)
        asked, self._chain = Asked(ins, p1, p2, self._chain + data), b""
        if self.faults.other_length and le == 256 and (size := self._foreseen(asked)):
            self._chain = asked.data[: -len(data)] if data else b""
            return b"", 0x6C00 | size
        return self._sent(self._answer(asked), le)

    def _foreseen(self, asked: Asked) -> int:
        """Return how long the answer to a reading command will be; 0 for all others."""
        return len(self._answer(asked)) % 256 if asked.ins in (0xCB, 0xA4) else 0

    def _sent(self, answer: bytes, le: int) -> tuple[bytes, int]:
        size = min(le, self.faults.piece)
        piece, self._rest = answer[:size], answer[size:]
        if self.faults.endless:
            return piece or b"\0", 0x6100
        if self._rest:
            return piece, 0x6100 | (len(self._rest) if len(self._rest) < 256 else 0)
        return piece, OK

    def _answer(self, asked: Asked) -> bytes:
        commands: dict[int, Callable[[Asked], bytes]] = {
            0x20: self._verify, 0x24: self._change, 0x2C: self._unblock, 0xCB: self._get,
            0xDB: self._put, 0x47: self._generate, 0x87: self._authenticate,
        }  # fmt: skip
        if self.extensions:
            commands |= {0xFD: self._version, 0xF7: self._metadata, 0xFB: self._reset,
                         0xFE: self._import, 0xFF: self._set_management_key}  # fmt: skip
        if asked.ins == 0xA4:
            return self._select(asked)
        if not self.selected or asked.ins not in commands:
            raise Refused(self.manners.unknown)
        return commands[asked.ins](asked)

    def _select(self, asked: Asked) -> bytes:
        full = AID.startswith(asked.data) and len(asked.data) >= 5
        if self.faults.not_piv or asked.p1 != 4 or not full:
            raise Refused(0x6A82)
        self.selected = True
        return tlv(0x61, tlv(0x4F, AID[5:]) + tlv(0x79, tlv(0x4F, AID[:5])))

    # PIN and PUK: sections 3.2.1 to 3.2.3.

    def _verify(self, asked: Asked) -> bytes:
        if asked.p2 != PIN:
            raise Refused(0x6A88)
        if asked.p1 == 0xFF and not asked.data:
            self.verified = False
            return b""
        if not asked.data:
            if self.verified:
                return b""
            tries = self.secrets[PIN].tries
            raise Refused(0x63C0 | tries if tries else 0x6983)
        self.verified = False
        if len(asked.data) != WIDTH:
            raise Refused(self.manners.unpadded_pin)
        self._compare(PIN, asked.data)
        self.verified = True
        return b""

    def _compare(self, which: int, value: bytes) -> None:
        secret = self.secrets[which]
        if secret.tries == 0:
            raise Refused(0x6983)
        right = value == secret.value
        left = secret.most if right else secret.tries - 1
        self.secrets[which] = Secret(secret.value, left, secret.most)
        if not right:
            raise Refused(0x63C0 | left if left else self.manners.last_wrong_pin)

    def _change(self, asked: Asked) -> bytes:
        if asked.p2 not in self.secrets or len(asked.data) != 2 * WIDTH:
            raise Refused(0x6A88 if asked.p2 not in self.secrets else self.manners.unpadded_pin)
        self._compare(asked.p2, asked.data[:WIDTH])
        self._store(asked.p2, asked.data[WIDTH:])
        return b""

    def _unblock(self, asked: Asked) -> bytes:
        if asked.p2 != PIN or len(asked.data) != 2 * WIDTH:
            raise Refused(self.manners.unpadded_pin)
        self._compare(PUK, asked.data[:WIDTH])
        self._store(PIN, asked.data[WIDTH:])
        return b""

    def _store(self, which: int, value: bytes) -> None:
        digits = value.rstrip(b"\xff")
        if len(digits) < 6 and self.manners.short_new_pin:
            raise Refused(self.manners.short_new_pin)
        most = self.secrets[which].most
        self.secrets[which] = Secret(value, most, most)

    def block(self, which: int = PIN, *, left: int = 0) -> None:
        """Leave a PIN or PUK so many tries."""
        secret = self.secrets[which]
        self.secrets[which] = Secret(secret.value, left, secret.most)

    # Data objects: sections 3.1.2 and 3.3.2.

    def _get(self, asked: Asked) -> bytes:
        tag = int.from_bytes(parts(asked.data).get(0x5C, b""), "big")
        if (asked.p1, asked.p2) != (0x3F, 0xFF) or tag not in self.objects:
            raise Refused(0x6A82)
        held = self.objects[tag]
        if held == b"\x53\0":  # deleted
            if self.manners.deleted_object != OK:
                raise Refused(self.manners.deleted_object)
            return b""
        return held

    def _put(self, asked: Asked) -> bytes:
        self._need_management()
        found = parts(asked.data)
        if 0x5C not in found or 0x53 not in found:
            raise Refused(0x6A80)
        if len(found[0x53]) > self.manners.largest_object:
            raise Refused(0x6700)
        self.objects[int.from_bytes(found[0x5C], "big")] = tlv(0x53, found[0x53])
        return b""

    # Keys: sections 3.2.4 and 3.3.1.

    def _need_management(self) -> None:
        if not self.managed:
            raise Refused(0x6982)

    def _generate(self, asked: Asked) -> bytes:
        self._need_management()
        number = parts(parts(asked.data).get(0xAC, b"")).get(0x80, b"\0")[0]
        if number == 0x05 and self.manners.rsa_3072:
            raise Refused(self.manners.rsa_3072)
        key = pivkeys.generate(number)
        self.keys[asked.p2] = key
        return tlv(0x7F49, pivkeys.public_parts(key))

    def _authenticate(self, asked: Asked) -> bytes:
        template = parts(parts(asked.data).get(0x7C, b""))
        if asked.p2 == MANAGEMENT:
            return tlv(0x7C, self._mutual(asked.p1, template))
        return tlv(0x7C, tlv(0x82, self._signed(asked, template.get(0x81, b""))))

    def _mutual(self, number: int, template: dict[int, bytes]) -> bytes:
        if number != self.management.number:
            raise Refused(0x6A86)
        if template == {0x80: b""}:
            self._witness = secrets.token_bytes(self.management.block)
            return tlv(0x80, self.management.encrypted(self._witness))
        witness, self._witness = self._witness, b""
        if not witness or template.get(0x80) != witness:
            self.managed = False
            raise Refused(self.manners.wrong_management_key)
        self.managed = True
        return tlv(0x82, self.management.encrypted(template.get(0x81, b"")))

    def _signed(self, asked: Asked, block: bytes) -> bytes:
        if asked.p2 not in self.keys:
            raise Refused(self.manners.no_key)
        if not self.verified and asked.p2 != 0x9E:
            raise Refused(0x6982)
        if asked.p2 == 0x9C:
            self.verified = False  # the PIN counts for one signature
        time.sleep(self.faults.touch)
        if self.faults.untouched:
            raise Refused(0x6982)
        key = self.keys[asked.p2]
        if pivkeys.number_of(key) != asked.p1:
            raise Refused(0x6A80)
        if isinstance(key, rsa.RSAPrivateKey):
            return pivkeys.rsa_signature(key, block)
        size = key.key_size // 8
        if len(block) > size and self.manners.wide_digest:
            raise Refused(self.manners.wide_digest)
        if self.faults.wrong_signature:
            key = ec.generate_private_key(key.curve)
        return pivkeys.ec_signature(key, block[:size].rjust(size, b"\0"))

    # Yubico's extensions.

    def _version(self, asked: Asked) -> bytes:  # it is asked for nothing
        return bytes([5, 4, 3])

    def _metadata(self, asked: Asked) -> bytes:
        if asked.p2 in self.secrets:
            secret = self.secrets[asked.p2]
            default = tlv(0x05, bytes([secret.is_default]))
            return default + tlv(0x06, bytes([secret.most, secret.tries]))
        if asked.p2 not in self.keys:
            raise Refused(0x6A88)
        key = self.keys[asked.p2]
        return tlv(0x01, bytes([pivkeys.number_of(key)])) + tlv(0x04, pivkeys.public_parts(key))

    def _import(self, asked: Asked) -> bytes:
        self._need_management()
        self.keys[asked.p2] = pivkeys.imported(asked.p1, parts(asked.data))
        return b""

    def _set_management_key(self, asked: Asked) -> bytes:
        self._need_management()
        number, key = asked.data[0], parts(asked.data[1:]).get(MANAGEMENT, b"")
        self.management = pivkeys.Management(number, key)
        return b""

    def _reset(self, asked: Asked) -> bytes:  # it is asked for nothing
        if any(secret.tries for secret in self.secrets.values()):
            raise Refused(0x6985)
        self.management = pivkeys.Management(0x03, bytes.fromhex("0102030405060708" * 3))
        self._personalise()
        self.power_up()
        self.selected = True
        return b""
