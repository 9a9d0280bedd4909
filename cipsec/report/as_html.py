"""A report as one HTML file: no script, nothing fetched, every text escaped; how it looks: `style`.

What devices call themselves stands in it, and it is opened in browsers: the policy of the document
allows its own style sheet and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping

from cipsec.report.contents import Report
from cipsec.report.html_columns import (
    RULES,
    SECTIONS,
    Column,
    Section,
    grouped,
    mapping,
    number,
    text,
    time,
)
from cipsec.report.style import STYLE
from cipsec.report.tables import Row


def pieces(report: Report) -> Iterator[bytes]:
    """Yield the document, a row at a time."""
    yield from (text.encode() for text in _document(report))


def _document(report: Report) -> Iterator[str]:
    head = report.head
    rows = {table.name: table.rows for table in report.tables}
    yield _begin(head)
    yield _tiles(head)
    yield _facts(head)
    for section in SECTIONS:
        yield from _section(section, rows[section.table]())
    yield from _policy(mapping(head["policy"]))
    yield _end(head)


def _begin(head: Mapping[str, object]) -> str:
    ca = mapping(head["ca"])
    name = text(ca["name"] or ca["subject"])
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy"'
        f" content=\"default-src 'none'; style-src 'sha256-{digest}'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{name}: certificates, {time(head['made_at'])}</title>\n"
        f"<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<header><h1>{name}</h1>\n"
        f"<p>Certificates as of {time(head['made_at'])} UTC</p></header>\n"
    )


def _tiles(head: Mapping[str, object]) -> str:
    counts = mapping(head["counts"])
    tiles = (
        ("in_force", "certificates in force", False),
        ("expiring", f"end within {text(head['expiring_within'])}, not renewed", True),
        ("waiting", "requests waiting", True),
        ("revoked", "revoked", False),
        ("expired", "expired", False),
    )
    listed = "".join(
        f"<li{' class=look' if look and counts[key] else ''}>"
        f"<b>{number(counts[key])}</b><span>{title}</span></li>\n"
        for key, title, look in tiles
    )
    return f'<ul class="tiles">\n{listed}</ul>\n'


def _facts(head: Mapping[str, object]) -> str:
    ca, policy = mapping(head["ca"]), mapping(head["policy"])
    facts = (
        ("Certificate authority", text(ca["subject"])),
        ("Fingerprint (SHA-256)", f"<code>{grouped(ca['sha256'])}</code>"),
        ("Ends", f"{time(ca['not_after'])} UTC"),
        ("Policy, ca.toml (SHA-256)", f"<code>{text(policy['sha256'])}</code>"),
        ("Head of the log", f"<code>{text(head['chain_head'])}</code>"),
    )
    return "<dl>\n" + "".join(f"<dt>{k}</dt><dd>{v}</dd>\n" for k, v in facts) + "</dl>\n"


def _section(section: Section, rows: Iterator[Row]) -> Iterator[str]:
    yield f"<section>\n<h2>{section.title}</h2>\n"
    first = next(rows, None)
    if first is None:
        yield f'<p class="none">{section.empty}</p>\n</section>\n'
        return
    if section.text:
        yield f"<p>{section.text}</p>\n"
    yield _table_begin(section.columns)
    yield _row(section.columns, first)
    for row in rows:
        yield _row(section.columns, row)
    yield "</tbody></table></div>\n</section>\n"


def _table_begin(columns: tuple[Column, ...]) -> str:
    titles = "".join(f'<th scope="col">{column.title}</th>' for column in columns)
    # Widths by class would need a style for each; `width` of <col> is plain and prints alike.
    widths = "".join(f'<col width="{column.width}%">' for column in columns)
    return (
        f'<div class="wide"><table><colgroup>{widths}</colgroup>'
        f"<thead><tr>{titles}</tr></thead><tbody>\n"
    )


def _row(columns: tuple[Column, ...], row: Row) -> str:
    return f"<tr>{''.join(f'<td>{column.cell(row)}</td>' for column in columns)}</tr>\n"


def _policy(policy: Mapping[str, object]) -> Iterator[str]:
    yield "<section>\n<h2>Policy in force</h2>\n"
    if policy["error"]:
        yield f'<p class="alert">ca.toml cannot be used: {text(policy["error"])}</p>\n'
    rules = policy["rules"]
    if isinstance(rules, list) and rules:
        yield "<p>The first rule that applies decides; where none applies: reject.</p>\n"
        yield _table_begin(RULES)
        for rule in rules:
            yield _row(RULES, rule)
        yield "</tbody></table></div>\n"
    yield "</section>\n"


def _end(head: Mapping[str, object]) -> str:
    return (
        f"<footer>Made by cipsec {text(head['cipsec'])} at {time(head['made_at'])} UTC. "
        "Keep the head of the log: <code>cipsec ca log verify --head</code> compares the log with "
        "it, and finds what was changed or taken out before.</footer>\n</body>\n</html>\n"
    )
