"""Every kind of certificate that we sign, before pkilint: no finding at warning or above."""

from __future__ import annotations

import functools
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cipsec import founding
from cipsec.ca import profile, provisioning
from cipsec.ca.authority import Authority
from cipsec.ca_folder import CaFolder
from cipsec.pki import csr, keys
from cipsec.pki.device import Mac
from cipsec.pki.keys import KeyType
from cipsec.pki.names import parse_san, parse_subject
from cipsec.serve.certificate import ServerCertificate
from tests.support import pkilint

NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
DAY = timedelta(days=1)
MAC = Mac.parse("00:00:bc:12:34:56")
SANS = ("dns:drive-7.plant.example", "ip:192.0.2.7", "ip:2001:db8::7")
LONG = "CN=Drive 7,serialNumber=0001:6040C8F2,OU=Linie 4 \u00e4,O=Werk,L=K\u00f6ln,ST=NRW,C=DE"


@functools.cache
def key(kind: KeyType) -> keys.PrivateKey:
    """One key of each type: those of RSA take their time."""
    return keys.generate(kind)


def folder(path: Path, kind: KeyType, *, subject: str = "CN=Line 4,O=Plant,C=DE") -> CaFolder:
    """Return a CA with a key of this type."""
    return founding.create(
        path / kind,
        name="Line 4",
        subject=parse_subject(subject),
        key_type=kind,
        validity=7300 * DAY,
        passphrase=None,
        hosts=["est.line4.example", "192.0.2.1"],
        policy="approval",
        now=NOW,
    )


def endpoint(
    authority: Authority,
    kind: KeyType,
    *sans: str | x509.GeneralName,
    subject: str = "CN=Drive 7",
    mac: Mac | None = None,
    days: int = 730,
    now: datetime = NOW,
) -> bytes:
    """Return an endpoint's certificate; an empty `subject` is the empty name."""
    name = parse_subject(subject) if subject else x509.Name([])
    made = csr.build(
        key(kind),
        name,
        sans=[parse_san(san) if isinstance(san, str) else san for san in sans],
        mac=mac,
    )
    request = csr.parse(made.public_bytes(Encoding.DER))
    form = profile.endpoint(days * DAY, timedelta(hours=24))
    return authority.issue(request, form, now=now, mac=mac).der


def made_by(ca: CaFolder, kind: KeyType) -> dict[str, bytes]:
    """Return each kind of certificate under one CA, by what it is."""
    authority, of = ca.authority(None), f"{kind} CA, "
    made = {f"{of}{t} endpoint": endpoint(authority, t, *SANS, subject=LONG) for t in KeyType}
    own = functools.partial(endpoint, authority, KeyType.EC_P256)
    made |= {
        f"{of}endpoint without names": own(),
        f"{of}endpoint without a subject": own(*SANS, subject=""),
        f"{of}endpoint with a MAC address": own(mac=MAC),
        f"{of}endpoint with a final dot": own(x509.DNSName("drive-7.plant.example.")),
        f"{of}endpoint until 2049": own(days=8400, now=NOW),
        f"{of}endpoint until the CA's own end": own(days=36500),
        f"{of}endpoint from a leap day on": own(now=datetime(2028, 2, 29, 12, tzinfo=UTC)),
    }
    return made


def of_the_server(ca: CaFolder) -> bytes:
    """Return the EST server's certificate, as it issues it to itself."""
    server = ServerCertificate(ca)
    with closing(ca.store()) as store:
        hosts = ["est.line4.example", "192.0.2.1", "2001:db8::1"]
        assert server.ensure(ca.authority(None), store, hosts, NOW)
    return server.load()[0].public_bytes(Encoding.DER)


def for_provisioning(ca: CaFolder) -> tuple[bytes, bytes]:
    """Return the issuer of provisioning certificates, and one of these."""
    issuing = ca.provisioning_authority(None, NOW)
    asked = csr.build(key(KeyType.EC_P256), provisioning.subject("card-1"))
    request = csr.parse(asked.public_bytes(Encoding.DER))
    form = profile.provisioning(7 * DAY, timedelta(hours=24))
    issued = provisioning.issue(issuing, request, "card-1", form, now=NOW)
    return issuing.certificate.public_bytes(Encoding.DER), issued.der


def test_every_kind_of_certificate(tmp_path: Path) -> None:
    """By itself, and together with the CA that signed it."""
    certificates: dict[str, bytes] = {}
    pairs: dict[str, tuple[bytes, bytes]] = {}
    for kind in KeyType:
        ca = folder(tmp_path, kind)
        root = ca.certificate().public_bytes(Encoding.DER)
        made = made_by(ca, kind) | {f"{kind} CA, EST server": of_the_server(ca)}
        issuer, card = for_provisioning(ca)
        certificates |= made | {
            f"{kind} CA": root,
            f"{kind} CA, provisioning issuer": issuer,
            f"{kind} CA, provisioning": card,
        }
        pairs |= {f"{name}, with its CA": (root, der) for name, der in made.items()}
        pairs |= {f"{kind} CA, provisioning, with its CA": (issuer, card)}
    found = pkilint.findings(certificates=certificates, pairs=pairs)
    assert len(found) == len(certificates) + len(pairs)
    assert {name: list(map(str, said)) for name, said in found.items() if said} == {}


def test_pkilint_finds_something(tmp_path: Path) -> None:
    """Else its silence would mean nothing: no key identifiers; the certificate of another CA."""
    mine = key(KeyType.EC_P256)
    bare = (
        x509.CertificateBuilder(parse_subject("CN=CA"), parse_subject("CN=x"), mine.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + DAY)
        .sign(mine, keys.signing_hash(mine))
    )
    one, other = (folder(tmp_path, kind) for kind in (KeyType.EC_P256, KeyType.EC_P384))
    foreign = endpoint(other.authority(None), KeyType.EC_P256)
    root = one.certificate().public_bytes(Encoding.DER)
    found = pkilint.findings(
        certificates={"bare": bare.public_bytes(Encoding.DER)}, pairs={"foreign": (root, foreign)}
    )
    assert {one.code for one in found["bare"]} >= {"pkix.authority_key_identifier_extension_absent"}
    assert {one.code for one in found["foreign"]} >= {"pkix.signature_verification_failed"}


def test_where_pkilint_is_not_followed(tmp_path: Path) -> None:
    """A name of one label, as machines in plants have them, and devices ask for.

    It is in the preferred syntax (RFC 5280 section 4.2.1.6, RFC 1034 section 3.5), in which a
    subdomain may be a single label; pkilint wants two.
    """
    authority = folder(tmp_path, KeyType.EC_P256).authority(None)
    der = endpoint(authority, KeyType.EC_P256, "dns:drive-7")
    [found] = pkilint.findings(certificates={"it": der})["it"]
    assert found.code == "pkix.invalid_domain_name_syntax"
