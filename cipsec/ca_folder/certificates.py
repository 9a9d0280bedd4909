"""The CA's certificates as its folder has them: its own, those above, before and after it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from cipsec import files
from cipsec.ca import issuers
from cipsec.ca.life import Life
from cipsec.ca_folder.generation import Generation, certificates_in, load
from cipsec.ca_folder.paths import Paths
from cipsec.errors import LocalState


@dataclass(frozen=True, slots=True)
class Certificates(Paths):
    """The certificates in a CA's folder, and where their revocation lists lie; no key is opened."""

    def certificate(self) -> x509.Certificate:
        """Return the CA's certificate; raise Malformed."""
        return load(self.certificate_file)

    def next(self) -> Generation | None:
        """Return the next root or CA, None where no roll-over is prepared; raise LocalState.

        One that has taken over already, and was interrupted, is not the next any more.
        """
        upcoming = self.successor
        is_next = upcoming.exists() and upcoming.certificate() != self.certificate()
        return upcoming if is_next else None

    def previous(self) -> list[Generation]:
        """Return what was before the one that issues, the latest first; raise LocalState."""
        own = self.predecessor(self.certificate())
        others = ((one.certificate().not_valid_after_utc, one) for one in self._kept())
        ordered = sorted(others, key=lambda pair: pair[0], reverse=True)
        return [one for _, one in ordered if one != own]

    def _kept(self) -> list[Generation]:
        """Return the roots that are kept, that which issues too where a roll-over has just begun.

        No certificate is read: the CA issues without one that is damaged.
        """
        where = self.predecessors_folder
        try:
            found = [Generation(path) for path in where.iterdir()] if files.exists(where) else []
        except OSError as error:
            raise LocalState(f"{where} cannot be read: {files.reason(error)}") from None
        return [one for one in found if not one.path.name.startswith(".") and one.exists()]

    def roots(self) -> tuple[x509.Certificate, ...]:
        """Return the certificate of every key of this CA, the one that issues first.

        What any of these keys signed is this CA's. Raises LocalState.
        """
        upcoming = self.next()
        others = [*([upcoming] if upcoming else []), *self.previous()]
        return (self.certificate(), *(other.certificate() for other in others))

    def links(self, now: datetime) -> list[x509.Certificate]:
        """Return what leads from the root that issues back to those before it, for TLS to send."""
        every = (link for one in self.previous() for link in one.links()[:1])
        return [link for link in every if link.not_valid_after_utc > now]

    def cacerts(self, now: datetime) -> list[x509.Certificate]:
        """Return what /cacerts hands out; raise Malformed.

        The CA that issues and those above it; and those before and after it, with what joins roots,
        NewWithOld and OldWithNew (RFC 7030 section 4.1.3). What has ended is left out of these.
        """
        upcoming = self.next()
        others = [*([upcoming] if upcoming else []), *self.previous()]
        joined = (c for one in others for c in one.handed_out() if c.not_valid_after_utc > now)
        return list(dict.fromkeys([*self.path_to_root(), *joined]))

    def path_to_root(self) -> list[x509.Certificate]:
        """Return the CA's certificate and those above it, the root last; raise Malformed.

        chain.pem may hold more than these while a certificate is exchanged; a signature check for
        each CA above, 0.1 ms.
        """
        own = self.certificate()
        return [own, *issuers.above(own, certificates_in(self.chain_file))]

    def root(self) -> x509.Certificate:
        """Return the certificate that endpoints are to trust, and people compare; raise Malformed.

        The CA's own where there is none above it.
        """
        return self.path_to_root()[-1]

    def ends(self) -> datetime:
        """Return when the first of the CA's and those certificates ends; raise Malformed."""
        return self.life().ends

    def life(self) -> Life:
        """Return from when on and until when this CA can sign; raise Malformed."""
        return Life.of(self.path_to_root())

    def is_waiting(self) -> bool:
        """Tell whether an intermediate CA waits for its certificate; raise LocalState."""
        return files.exists(self.request_file) and not files.exists(self.certificate_file)

    def crl_files(self) -> tuple[Path, ...]:
        """Return where the lists of `crl_issuers` lie; raise LocalState."""
        return (self.crl_file, *(one.crl_file for one in self.previous()))

    def crl_mark(self) -> str:
        """Return what stands in the URL of the list of the root that issues (`ca.crl.place`).

        Empty where no root before it is kept. Raises LocalState.
        """
        own = self.predecessor(self.certificate()).path
        return own.name if any(one.path != own for one in self._kept()) else ""

    def crl_marks(self) -> dict[str, Path]:
        """Return where each root's list lies, by what stands in its URL; raise LocalState.

        The eldest's is in the plain URL too: it issued before there was another. The one that
        issues is none of them while others are kept, whenever a CA above lets it begin.
        """
        before = [(one.certificate(), one.crl_file) for one in self.previous()]
        roots = [(self.certificate(), self.crl_file), *before]
        eldest = min(before or roots, key=lambda root: root[0].not_valid_before_utc)
        marks = {self.predecessor(root).path.name: file for root, file in roots}
        return {"": eldest[1]} | marks

    def provisioning_certificate(self) -> x509.Certificate | None:
        """Return the issuer of provisioning certificates, None before the first; raise Malformed.

        Reads the file each time: 0.1 ms.
        """
        if not files.exists(self.provisioning_certificate_file):
            return None
        return load(self.provisioning_certificate_file)
