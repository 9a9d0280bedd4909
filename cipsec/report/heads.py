"""Heads of the log, found again in texts that left the machine: only where cipsec itself puts them.

What a device calls itself stands in mails and in syslog too, and could look like a head.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_HEAD = r"([0-9]{1,18}:[0-9a-f]{64})"
_PATTERNS = tuple(
    re.compile(pattern)
    for pattern in (
        # Alone on its line, quoted or not, or behind its name: mails, handovers, notes. What is
        # indented is a text of somebody's, or a header of a mail that goes on.
        rf"(?:> ?)*(?:(?:chain |log )?head:? +)?{_HEAD}\s*$",
        # What `ca serve` says, behind what a journal puts before it.
        rf"(?:[A-Z][a-z]{{2}} +\d+ [\d:]+|\d{{4}}-\S+) \S+ [\w.-]+\[\d+\]: log head {_HEAD}\s*$",
        # Structured data of syslog; the free text behind it comes later, and does not count.
        rf'<[0-9]+>1 [^\[]*\[cipsec@32473(?: [a-z]+="(?:[^"\\]|\\.)*")*? head="{_HEAD}"',
        # HTML reports.
        rf"<dt>Head of the log</dt><dd><code>{_HEAD}</code>",
    )
)
# Inside a JSON text quotation marks are escaped, so that none of these stands in a value.
_IN_JSON = re.compile(rf'(?<!\\)"(?:chain_)?head": ?"{_HEAD}"')
_BEGINS_JSON = ("{", "[", '"')


def found(lines: Iterable[str]) -> Iterator[str]:
    """Yield the heads in a text, as they are written."""
    goes_on = False
    for line in lines:
        # A line of a mail that was too long goes on where its author has it (RFC 2045 6.7).
        begins, goes_on = not goes_on, line.rstrip().endswith("=")
        if not begins:
            continue
        if line.lstrip().startswith(_BEGINS_JSON):
            yield from _IN_JSON.findall(line)
            continue
        for pattern in _PATTERNS:
            if (match := pattern.match(line)) is not None:
                yield match[1]
                break
