"""Requests to a gateway that runs, for commands about what only it knows."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final

from trunkline.settings import SettingsError

if TYPE_CHECKING:
    from trunkline.settings import Settings

_TIMEOUT_S: Final = 30.0


class GatewayRefusedError(Exception):
    """A running gateway did not do what was asked of it. The text says why, and names the fix."""


def gateway_url(settings: Settings) -> str:
    """The address at which a gateway with these settings is reached from its own machine."""
    host = settings.host or "127.0.0.1"
    if host in ("0.0.0.0", "::", ""):  # listens on every address; this one reaches it
        host = "127.0.0.1"
    scheme = "http" if settings.server.tls is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


def ask_gateway(url: str, key: str | None, method: str, path: str) -> Any:
    """Send one request to the admin API, and return the answer's JSON.

    Args:
        url: the gateway's address, without a path.
        key: an admin's key; None sends none.
        method: ``GET`` or ``POST``.
        path: the path, percent-encoded.

    Raises:
        GatewayRefusedError: no gateway answers there, or it refuses.
        SettingsError: the address is no HTTP URL.
    """
    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"{url!r} is no gateway's address; it begins with http:// or https://")
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    request = urllib.request.Request(f"{url.rstrip('/')}{path}", None, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise GatewayRefusedError(_refusal(error.code, error.read())) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise GatewayRefusedError(
            f"no gateway answers at {url} ({reason}); start one, or name its address with --url"
        ) from None


def _refusal(status: int, body: bytes) -> str:
    """The gateway's own words; for a refused key, what to do."""
    try:
        text = str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        text = f"it answers {status}, and is no Trunkline gateway"
    if status in (401, 403):
        text += ". Give an admin's key in TRUNKLINE_KEY; `trunkline keys create NAME --role admin` makes one"
    return text
