"""Images by URL, fetched for upstreams that take them by value only.

Fetching what a stranger names is a way into our own network, so every fetch is guarded: http(s) only, a size
and type limit, and no address that is not public, checked on the very address that is dialled (no second
look-up that could answer otherwise) and again on every redirect.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any, Final, NamedTuple
from urllib.parse import urljoin, urlsplit

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.media import is_remote
from trunkline.errors import INVALID_REQUEST, TOO_LARGE, UPSTREAM_TOO_LARGE, CallerError, ProviderError
from trunkline.transport import Client, Limits, ProxyConfig, Response, Timeouts, UpstreamRequest, parse_origin

MAX_REDIRECTS: Final = 4
TYPES: Final = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})

AT_ONCE: Final = 16
"""Requests whose images are fetched at the same time; more wait."""
TOTAL_S: Final = 60.0
"""Seconds in which all images of a request must be there."""

Resolver = Callable[[str, int], Awaitable[list[str]]]


def mentions_image_url(body: bytes) -> bool:
    """Whether the body may hold an image by http(s) URL; cheap, and never wrongly False."""
    return b"http" in body and (b'"image_url"' in body or b'"image"' in body)


_SPECIAL: Final = tuple(
    ip_network(each)
    for each in (
        # IPv4, besides what the standard library knows
        "192.0.0.0/24",  # protocol assignments
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # relays of 6to4
        "192.175.48.0/24",  # AS112
        # IPv6
        "2001::/23",  # protocol assignments, Teredo and ORCHID among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
"""Networks of IANA's special-purpose registries within what is assigned to the internet."""
_GLOBAL_UNICAST: Final = ip_network("2000::/3")
"""What of IPv6 is assigned to the internet. What stands for an address of IPv4 is outside, but for 6to4 and
Teredo: NAT64, compatible, mapped and translated addresses."""


def is_public(address: str) -> bool:
    """Whether an IP address is the open internet's, and in none of IANA's special-purpose registries."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        elif ip not in _GLOBAL_UNICAST:
            return False
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    return not any(ip in network for network in _SPECIAL)


async def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of ``host``, as the system resolves them."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class _Place(NamedTuple):
    """Where an image by URL stands in a request."""

    holder: dict[str, Any]
    field: str
    url: str
    param: str

    def fill(self, image: str) -> None:
        """Put the image there by value; ``image`` is a ``data:`` URL."""
        if self.field == "source":
            kind, _, data = image.removeprefix("data:").partition(";base64,")
            self.holder["source"] = {"type": "base64", "media_type": kind, "data": data}
        elif self.field == "image_url" and self.holder.get("type") != "input_image":
            self.holder["image_url"] = {"url": image}
        else:
            self.holder[self.field] = image


def _places(value: Any, param: str) -> Iterator[_Place]:
    """Look for images by URL in a message, its parts, and what is in them."""
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from _places(each, f"{param}[{number}]")
    if not isinstance(value, dict):
        return
    for name in ("content", "output"):
        yield from _places(value.get(name), f"{param}.{name}")
    image, source = value.get("image_url"), value.get("source")
    if isinstance(image, dict) and is_remote(image.get("url")):
        yield _Place(image, "url", image["url"], f"{param}.image_url.url")
    elif is_remote(image):  # the Responses API's part has no more than that
        yield _Place(value, "image_url", str(image), f"{param}.image_url")
    elif value.get("type") == "image" and isinstance(source, dict) and is_remote(source.get("url")):
        yield _Place(value, "source", source["url"], f"{param}.source.url")


class ImageFetcher:
    """Replaces images by URL with images by value."""

    def __init__(
        self,
        *,
        max_bytes: int,
        max_count: int = 20,
        max_total: int = 40_000_000,
        timeout: float = 30.0,
        total: float = TOTAL_S,
        resolver: Resolver = resolve,
        allowed: Callable[[str], bool] = is_public,
    ) -> None:
        """
        Args:
            max_bytes: of one image.
            max_count: the maximum number of images of one request.
            max_total: the maximum number of bytes of all images of one request.
            timeout: seconds in which an image must be there.
            total: seconds in which all images of a request must be there, a wait for others included.
            resolver: looks names up.
            allowed: whether an address may be dialled.
        """
        self._max_bytes = max_bytes
        self._max_count, self._max_total, self._total_s = max_count, max_total, total
        self._turns = asyncio.Semaphore(AT_ONCE)
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
        places = [place for name in ("messages", "input") for place in _places(request.get(name), name)]
        if not places:
            return body
        if len(places) > self._max_count:
            text = f"The request has more than {self._max_count} images by address (IMAGES_MAX_COUNT)"
            raise CallerError(text, INVALID_REQUEST, param=places[self._max_count].param)
        try:
            async with asyncio.timeout(self._total_s), self._turns:
                await self._fetch_all(places)
        except TimeoutError:
            text = f"The request's images could not be fetched within {self._total_s:g} seconds"
            raise CallerError(text, INVALID_REQUEST, param=places[0].param) from None
        return msgspec.json.encode(request)

    async def _fetch_all(self, places: Sequence[_Place]) -> None:
        """Fetch images one after another, each address once."""
        found: dict[str, str] = {}
        total = 0
        for place in places:
            if place.url not in found:
                found[place.url] = await self.fetch(place.url, place.param)
            total += len(found[place.url]) * 3 // 4
            if total > self._max_total:
                text = f"The request's images have more than {self._max_total} bytes (IMAGES_MAX_BYTES)"
                raise CallerError(text, TOO_LARGE, param=place.param)
            place.fill(found[place.url])

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
