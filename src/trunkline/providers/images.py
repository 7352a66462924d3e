"""Images by URL, fetched for upstreams that take them by value only.

Fetching what a stranger names is a way into our own network, so every fetch is guarded: http(s) only, a size
and type limit, and no address that is not public, checked on the very address that is dialled (no second
look-up that could answer otherwise) and again on every redirect.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.media import is_remote
from trunkline.errors import INVALID_REQUEST, TOO_LARGE, UPSTREAM_TOO_LARGE, CallerError, ProviderError
from trunkline.transport import Client, Limits, ProxyConfig, Response, Timeouts, UpstreamRequest, parse_origin

MAX_REDIRECTS: Final = 4
TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})

Resolver = Callable[[str, int], Awaitable[list[str]]]


def mentions_image_url(body: bytes) -> bool:
    """Whether the body may hold an image by http(s) URL; cheap, and never wrongly False."""
    return b"http" in body and (b'"image_url"' in body or b'"image"' in body)


def is_public(address: str) -> bool:
    """Whether an IP address is one of the open internet's (IANA's special-purpose registries)."""
    ip = ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None) or ip
    return mapped.is_global and not mapped.is_multicast


async def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of ``host``, as the system resolves them."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class ImageFetcher:
    """Replaces images by URL with images by value."""

    def __init__(
        self,
        *,
        max_bytes: int,
        timeout: float = 30.0,
        resolver: Resolver = resolve,
        allowed: Callable[[str], bool] = is_public,
    ) -> None:
        """``max_bytes`` bounds one image; ``timeout`` its whole fetch, in seconds."""
        self._max_bytes = max_bytes
        self._timeouts = Timeouts(connect=timeout, first_byte=timeout, idle=timeout, total=timeout)
        self._resolver = resolver
        self._allowed = allowed
        # No proxy: it would do the look-up itself, and the guard would check an address nobody dials.
        self._client = Client(
            limits=Limits(per_origin=8), proxy=ProxyConfig(), resolver=self._guarded_address
        )

    async def inline(self, body: bytes) -> bytes:
        """A chat's body, in any dialect, with every http(s) image replaced by one by value.

        Raises:
            CallerError: an image cannot be had, naming the field.
        """
        try:
            request = msgspec.json.decode(body)
        except UNREADABLE:
            return body  # the dialect's own parser says what is wrong with it
        if not isinstance(request, dict):
            return body
        for name in ("messages", "input"):
            await self._inline(request.get(name), name)
        return msgspec.json.encode(request)

    async def _inline(self, value: Any, param: str) -> None:
        """Look for images in a message, its parts, and what is in them."""
        if isinstance(value, list):
            for number, each in enumerate(value):
                await self._inline(each, f"{param}[{number}]")
        if not isinstance(value, dict):
            return
        for name in ("content", "output"):
            await self._inline(value.get(name), f"{param}.{name}")
        image, source = value.get("image_url"), value.get("source")
        if isinstance(image, dict) and is_remote(image.get("url")):
            image["url"] = await self.fetch(image["url"], f"{param}.image_url.url")
        elif is_remote(image):  # the Responses API's part has no more than that
            found = await self.fetch(str(image), f"{param}.image_url")
            value["image_url"] = found if value.get("type") == "input_image" else {"url": found}
        elif value.get("type") == "image" and isinstance(source, dict) and is_remote(source.get("url")):
            found = await self.fetch(source["url"], f"{param}.source.url")
            kind, _, data = found.removeprefix("data:").partition(";base64,")
            value["source"] = {"type": "base64", "media_type": kind, "data": data}

    async def fetch(self, url: str, param: str | None = None) -> str:
        """The image at ``url`` as a ``data:`` URL.

        Raises:
            CallerError: it is not there, not public, too large, or no image.
        """
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._get(url, param)
            location = _header(answer, b"location") if 300 <= answer.status < 400 else None
            if location is None:
                return self._data_url(answer, param)
            url = urljoin(url, location)
        raise _refused("redirects too often", param)

    async def _get(self, url: str, param: str | None) -> Response:
        try:
            parts = urlsplit(url)
            origin, _ = parse_origin(f"{parts.scheme}://{parts.netloc}")
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            request = UpstreamRequest(
                origin,
                b"GET",
                target.encode("ascii"),
                ((b"accept", b"image/*"), (b"user-agent", b"trunkline")),
                timeouts=self._timeouts,
                max_body=self._max_bytes,
            )
            return await self._client.fetch(request)
        except ValueError:
            raise _refused("is not an http(s) address", param) from None
        except ProviderError as error:
            if error.kind is UPSTREAM_TOO_LARGE:
                text = f"The image at '{param}' is larger than {self._max_bytes} bytes"
                raise CallerError(text, TOO_LARGE, param=param) from None
            if isinstance(error.__cause__, _NotPublicError):
                raise _refused("is not at a public address", param) from None
            raise _refused(f"cannot be fetched ({error.kind.code})", param) from None

    def _data_url(self, answer: Response, param: str | None) -> str:
        if answer.status != 200:
            raise _refused(f"cannot be fetched (status {answer.status})", param)
        media_type = (_header(answer, b"content-type") or "").partition(";")[0].strip().lower()
        if media_type not in TYPES:
            raise _refused("is not a PNG, JPEG, GIF or WebP image", param)
        return f"data:{media_type};base64,{base64.b64encode(answer.body).decode()}"

    async def _guarded_address(self, host: str, port: int) -> str:
        addresses = await self._resolver(host, port)
        if not addresses or not all(self._allowed(address) for address in addresses):
            raise _NotPublicError(f"{host} is not at a public address")
        return addresses[0]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


class _NotPublicError(OSError):
    """The guard's refusal, on its way through the transport."""


def _refused(why: str, param: str | None) -> CallerError:
    return CallerError(f"The image at '{param}' {why}", INVALID_REQUEST, param=param)


def _header(answer: Response, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in answer.headers if key == name), None)
