"""A report made: in one form, of one moment of the store, signed if wanted; whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from cipsec import files
from cipsec.ca.authority import Authority
from cipsec.ca_folder import CaFolder
from cipsec.report import as_csv, as_html, as_json, contents, signing
from cipsec.report.contents import Report
from cipsec.store.database import Database

SIGNATURE = ".p7s"


class Format(StrEnum):
    """How a report is written."""

    JSON = "json"
    CSV = "csv"
    HTML = "html"


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted: in which form, of csv which table, as of when, and who wants it."""

    folder: CaFolder
    database: Database
    form: Format
    table: str
    now: datetime
    soon: timedelta
    by: str


@dataclass(frozen=True, slots=True)
class Made:
    """What was made: hash and log head of the report, and the serial number of what signed it."""

    sha256: bytes
    chain_head: str
    signer: str | None = None


def write(order: Order, file: BinaryIO) -> Made:
    """Write the report, all of it of one moment, a row at a time; raise LocalState."""
    digest = hashlib.sha256()
    with order.database.snapshot() as db:
        made = contents.report(order.folder, db, now=order.now, soon=order.soon)
        for piece in _pieces(order, made):
            digest.update(piece)
            file.write(piece)
    return Made(digest.digest(), str(made.head["chain_head"]))


def _pieces(order: Order, made: Report) -> Iterator[bytes]:
    match order.form:
        case Format.JSON:
            return as_json.pieces(made)
        case Format.HTML:
            return as_html.pieces(made)
        case Format.CSV:
            return as_csv.pieces(next(t for t in made.tables if t.name == order.table))


def signature_of(path: Path) -> Path:
    """Return where the signature of a report goes."""
    return path.with_name(path.name + SIGNATURE)


def to_file(order: Order, path: Path, authority: Authority | None, *, overwrite: bool) -> Made:
    """Write the report to a file, with an authority also its signature; raise as `files` does.

    The signer is recorded before anybody has the signature, and the signature is there before the
    report has its name.
    """
    with files.writing(path, overwrite=overwrite) as file:
        made = write(order, file)
        if authority is None:
            return made
        signed = signing.sign(
            made.sha256,
            authority,
            by=order.by,
            now=order.now,
            chain=order.folder.cacerts(order.now),
        )
        order.database.write(lambda db: signing.keep(db, signed, by=order.by))
        put = files.replace if overwrite else files.create
        put(signature_of(path), signed.signature)
    return Made(made.sha256, made.chain_head, signed.row.serial)
