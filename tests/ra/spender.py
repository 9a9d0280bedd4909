"""A server of its own on a CA folder, which a crowd asks all at once; to be killed at any time.

Run as `python -m tests.ra.spender FOLDER RULES`: says `ready`, reads one line with the applicants
as JSON, and prints number, status and body of each answer as it leaves.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from cipsec.ca_folder import CaFolder
from tests.ra.spending import Ask
from tests.support.est import Server


async def _answer(server: Server, number: int, ask: Ask) -> None:
    response = await server.ask(ask.request())
    body = response.body.decode()
    print(json.dumps({"number": number, "status": response.status, "body": body}), flush=True)


async def _all(server: Server, asks: list[Ask]) -> None:
    await asyncio.gather(*(_answer(server, number, ask) for number, ask in enumerate(asks)))


def main(folder: Path, rules: str) -> None:
    """Serve until the applicants have their answers."""
    server = Server(CaFolder(folder), rules)
    print("ready", flush=True)
    asks = [Ask.from_json(value) for value in json.loads(sys.stdin.readline())]
    asyncio.run(_all(server, asks))
    server.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
