"""Webhooks: the document posted as JSON, signed by the Standard Webhooks scheme.

https://github.com/standard-webhooks/standard-webhooks, version 1: HMAC-SHA256 over id, time and
body, so that a receiver knows who sent it, that it is whole, and that it is not an old one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult

from cipsec import __version__, shell, times
from cipsec.errors import Malformed, Unreachable
from cipsec.ra.notify import network
from cipsec.ra.notify.blocking import Aside
from cipsec.ra.notify.channels import Webhook
from cipsec.ra.notify.config import checked_url
from cipsec.ra.notify.message import Message, document
from cipsec.ra.notify.network import Address

_PORTS = {"http": 80, "https": 443}
_ANSWER_SECONDS = 10.0
_PREFIX = "whsec_"


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What was read from the files of a webhook."""

    url: SplitResult
    key: bytes | None
    context: ssl.SSLContext

    @property
    def host(self) -> str:
        return self.url.hostname or ""

    @property
    def port(self) -> int:
        return self.url.port or _PORTS[self.url.scheme]


async def deliver(webhook: Webhook, message: Message, folder: Path, aside: Aside) -> None:
    """Post the message; raise Unreachable unless the answer is 2xx, LocalState for the files."""
    prepared = await aside.run(lambda: _prepare(webhook, folder))
    body = json.dumps(document(message)).encode()
    headers = _headers(prepared, message.id, body)
    found = await network.addresses(prepared.host, prepared.port, aside)
    status = await _post_to_first(prepared, found, headers, body)
    if not 200 <= status < 300:
        more = ", and redirects are not followed" if 300 <= status < 400 else ""
        raise Unreachable(f"{prepared.host} answers {status}{more}")


def _prepare(webhook: Webhook, folder: Path) -> _Prepared:
    import httpx  # noqa: F401  # 150 ms, spent here and not in the loop that serves requests

    url = webhook.url or network.secret(folder / (webhook.url_file or ""))
    key = signing_key(folder / webhook.secret_file) if webhook.secret_file else None
    parts = checked_url(url)
    context = network.tls_context(network.within(folder, webhook.ca_file))
    return _Prepared(parts, key, context)


def signing_key(path: Path) -> bytes:
    """Return the key in a secret's file, `whsec_` and Base64; raise Malformed."""
    text = network.secret(path).removeprefix(_PREFIX)
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 24 <= len(key) <= 64:  # as the scheme has it
        place = shell.quote(path)
        raise Malformed(
            f"{path} holds no webhook secret: whsec_ and 24 to 64 bytes in Base64",
            hint=f"make one with: (printf whsec_; openssl rand -base64 32) > {place}",
        )
    return key


def signature(key: bytes, identifier: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`."""
    signed = f"{identifier}.{timestamp}.".encode() + body
    mac = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(mac).decode()}"


def _headers(prepared: _Prepared, identifier: str, body: bytes) -> dict[str, str]:
    at = int(times.now().timestamp())
    headers = {
        "host": prepared.url.netloc,
        "content-type": "application/json",
        "content-length": str(len(body)),
        "user-agent": f"cipsec/{__version__}",
        "webhook-id": identifier,
        "webhook-timestamp": str(at),
    }
    if prepared.key is not None:
        headers["webhook-signature"] = signature(prepared.key, identifier, at, body)
    return headers


async def _post_to_first(
    prepared: _Prepared, found: list[Address], headers: Mapping[str, str], body: bytes
) -> int:
    """Return the status from the first address that can be reached."""
    import httpx

    failed: Exception | None = None
    for address in found:
        try:
            return await _post(prepared, address, headers, body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            failed = error
        except httpx.HTTPError as error:
            raise Unreachable(f"{prepared.host}: {_said(error)}") from None
    why = _said(failed) if failed else "it has no address"
    raise Unreachable(f"{prepared.host} port {prepared.port} cannot be reached: {why}")


async def _post(
    prepared: _Prepared, address: Address, headers: Mapping[str, str], body: bytes
) -> int:
    """Post to one address.

    By the transport, not by a client: a client follows the environment's proxies and writes the
    URL, which may be a secret, into the log.
    """
    import httpx

    numeric = str(ipaddress.ip_address(address.sockaddr[0].partition("%")[0]))
    request = httpx.Request(
        "POST",
        _at_address(prepared, numeric),
        headers=dict(headers),
        content=body,
        extensions={
            "timeout": httpx.Timeout(_ANSWER_SECONDS, connect=network.CONNECT_SECONDS).as_dict(),
            "sni_hostname": prepared.host,
        },
    )
    transport = httpx.AsyncHTTPTransport(verify=prepared.context, trust_env=False)
    async with transport:
        response = await transport.handle_async_request(request)
        await response.aclose()
        return response.status_code


def _at_address(prepared: _Prepared, numeric: str) -> str:
    host = f"[{numeric}]" if ":" in numeric else numeric
    query = f"?{prepared.url.query}" if prepared.url.query else ""
    return f"{prepared.url.scheme}://{host}:{prepared.port}{prepared.url.path or '/'}{query}"


def _said(error: Exception) -> str:
    """Return why a connection failed: what lies at the bottom of the libraries' own words."""
    import httpx

    if isinstance(error, httpx.TimeoutException):
        return "no answer"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            return network.said(cause)
        cause = cause.__cause__ or cause.__context__
    return "it does not speak HTTP"
