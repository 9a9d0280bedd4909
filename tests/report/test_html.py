"""HTML: one file that runs nothing and fetches nothing, whatever devices are called."""

from __future__ import annotations

import base64
import hashlib
import re
from contextlib import closing
from html.parser import HTMLParser

import pytest

from cipsec.ca_folder import CaFolder
from cipsec.report import as_html, contents
from cipsec.store.chain import Head
from tests.ra.harmless import HOSTILE, live

from . import plant
from .plant import NOW, SOON

HOSTILE_HTML = {
    "script": "<script>alert(1)</script>",
    "attribute": '" onmouseover="alert(1)" x=\'',
    "end": "</td></table></style><style>*{display:none}</style><img src=x onerror=alert(1)>",
    "comment": "<!-- --> <!-->",
    "entity": "&lt;b&gt;&#x3C;script&#x3E;&copy",
    "link": "<a href=https://evil.example>Drive 7</a>",
    "meta": '<meta http-equiv="refresh" content="0;url=//evil.example">',
}
_TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "p", "ul", "li", "b"),
    *("span", "dl", "dt", "dd", "code", "section", "div", "table", "colgroup", "col", "thead"),
    *("tbody", "tr", "th", "td", "small", "wbr", "footer"),
}
_ATTRIBUTES = {"lang", "charset", "name", "content", "http-equiv", "class", "scope", "width"}
_EMPTY = {"meta", "col", "wbr"}


class Page(HTMLParser):
    """The elements of a page, which must be closed in order, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.cells: list[str] = []
        self.meta: list[dict[str, str | None]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Admit what a report is made of."""
        assert tag in _TAGS, tag
        assert {name for name, _ in attrs} <= _ATTRIBUTES, attrs
        if tag == "meta":
            self.meta.append(dict(attrs))
        if tag == "td":
            self.cells.append("")
        if tag not in _EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close what was opened last."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep what stands in cells."""
        if "td" in self.open:
            self.cells[-1] += data


def html(folder: CaFolder) -> str:
    """Return the report of a CA."""
    with closing(folder.store()) as database, database.snapshot() as db:
        made = contents.report(folder, db, now=NOW, soon=SOON)
        return b"".join(as_html.pieces(made)).decode()


@pytest.mark.parametrize("name", [*HOSTILE, *HOSTILE_HTML])
def test_hostile_names(ca_folder: CaFolder, name: str) -> None:
    """They are shown as what they are, in the cells where they belong."""
    text = {**HOSTILE, **HOSTILE_HTML}[name]
    plant.fill(ca_folder, text)
    ca_folder.config_file.write_text(
        'name = """<script>\\u001b[2K</script>"""\n[[rule]]\nname = "<b>\\u202e</b>"\n'
        'when = { anyone = true }\nthen = "ask"\n'
    )
    whole = html(ca_folder)
    page = Page(whole)
    assert not live(whole.replace("\n", ""))
    assert "evil.example" not in "".join(re.findall("<[^>]+>", whole))
    assert any(text[:9] in cell for cell in page.cells) or not text[:9].isprintable()
    assert max(map(len, page.cells)) < 1500


def test_the_document_allows_its_style_and_nothing_else(ca_folder: CaFolder) -> None:
    """As a browser would judge it."""
    whole = html(ca_folder)
    [policy] = [m["content"] for m in Page(whole).meta if "http-equiv" in m]
    style = re.search(r"<style>(.*?)</style>", whole, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'"
    assert not re.findall(r"url\(|@import|https?:|src=|href=| style=", whole)


def test_what_it_says(ca_folder: CaFolder) -> None:
    """The facts that people compare, a head that verification finds, a word for empty tables."""
    whole = html(ca_folder)
    assert "No certificate is in force." in whole
    head = re.search(r"<code>(\d+:[0-9a-f]{64})</code>", whole)
    assert head
    assert Head.parse(head[1]).number == 0
    sha256 = hashlib.sha256(ca_folder.config_file.read_bytes()).hexdigest()
    assert f"<code>{sha256}</code>" in whole
    assert "everyone else" in whole
    plant.fill(ca_folder)
    page = Page(html(ca_folder))
    for cell in ("0001:00000001", "renewalanna", "1 of 5", "line-3", "keyCompromise", "by anna"):
        assert any(cell in one for one in page.cells), cell


def test_heads_of_tables_are_repeated_in_print(ca_folder: CaFolder) -> None:
    """Paper of A4, no row torn apart."""
    whole = html(ca_folder)
    for rule in ("@page { size: A4", "display: table-header-group", "tr { break-inside: avoid; }"):
        assert rule in whole
