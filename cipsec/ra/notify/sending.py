"""The process that sends through Apprise: URLs and text on stdin, one verdict a URL on stdout.

It is run as a file and imports nothing of cipsec, so that it needs nothing but apprise.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

SENT, UNKNOWN, FAILED = "was sent", "is no Apprise URL", "was not taken"


def _send(url: str, title: str, body: str) -> str:
    import apprise

    sender = apprise.Apprise()
    if not sender.add(url):
        return UNKNOWN
    sent = sender.notify(title=title, body=body, body_format=apprise.NotifyFormat.TEXT)
    return SENT if sent else FAILED


def main() -> None:
    """Send what stdin says."""
    logging.disable(logging.CRITICAL)  # it would tell the URLs
    given: dict[str, Any] = json.load(sys.stdin)
    verdicts = [_send(url, given["title"], given["body"]) for url in given["urls"]]
    sys.stdout.write("\n" + json.dumps(verdicts) + "\n")


if __name__ == "__main__":
    main()
