"""Posts JSON to the webhook of a budget."""

from __future__ import annotations

import base64
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import msgspec

from trunkline.transport import Client, Timeouts, TransportError, UpstreamRequest, parse_origin

TIMEOUT_S: Final = 10.0
"""Seconds to connect, and seconds for which the server may be silent."""

INVALID_URL: Final = "InvalidURL"
"""The reason of a failure that another attempt cannot mend."""

_SAFE: Final = "!$%&'()*+,/:;=?@[]~"
"""Characters that stay as they are in a path or query; a ``%`` begins an encoded one."""

_ERROR_NAMES: Final = {
    "connect": "ConnectTimeout",
    "busy": "PoolTimeout",
    "first_byte": "ReadTimeout",
    "idle": "ReadTimeout",
    "system": "ConnectTimeout",
    "proxy": "ProxyError",
    "refused": "ConnectError",
    "dns": "ConnectError",
    "unreachable": "ConnectError",
    "no_files": "ConnectError",
    "certificate": "ConnectError",
    "tls": "ConnectError",
    "encoding": "DecodingError",
}
"""Reasons of the transport → their names in the log, which are those of httpx's errors. All other reasons are
broken responses."""


class WebhookError(Exception):
    """The webhook was not called, or did not answer with a 2xx status. ``reason`` is its name in the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


async def post_json(url: str, payload: dict[str, Any]) -> None:
    """Post ``payload`` to ``url``, through the proxy of the environment if it names one.

    Raises:
        WebhookError: the address is unusable, there is no answer, or its status is not 2xx.
    """
    try:
        request = _request(url, payload)
        client = Client()
    except ValueError:
        raise WebhookError(INVALID_URL) from None
    try:
        response = await client.fetch(request)
    except TransportError as error:
        raise WebhookError(_ERROR_NAMES.get(error.reason, "RemoteProtocolError")) from None
    finally:
        await client.aclose()
    if not 200 <= response.status < 300:
        raise WebhookError("HTTPStatusError")


def _request(url: str, payload: dict[str, Any]) -> UpstreamRequest:
    """The request for ``url``. A user and password in it become ``Authorization: Basic``."""
    parts = urlsplit(url)
    user, _, address = parts.netloc.rpartition("@")
    origin, _ = parse_origin(f"{parts.scheme}://{address}")
    target = quote(parts.path or "/", _SAFE) + (f"?{quote(parts.query, _SAFE)}" if parts.query else "")
    headers = [
        (b"accept", b"*/*"),
        (b"user-agent", b"trunkline"),
        (b"content-type", b"application/json"),
    ]
    if user:
        name, _, password = user.partition(":")
        token = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode())
        headers.append((b"authorization", b"Basic " + token))
    return UpstreamRequest(
        origin,
        b"POST",
        target.encode("ascii"),
        headers,
        msgspec.json.encode(payload),
        Timeouts(connect=TIMEOUT_S, first_byte=TIMEOUT_S, idle=TIMEOUT_S),
    )
