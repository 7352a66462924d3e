"""Ollama's API besides its requests to models."""

from __future__ import annotations

import json

from tests.gateways import BEARER, make_settings, post, serving


async def test_signing_out_is_refused() -> None:
    async with serving(make_settings()) as node:
        me = await node.ask(post({}, BEARER, path="/api/me"))
        out = await node.ask(post({}, BEARER, path="/api/signout"))
    assert (me.status, out.status) == (200, 400)
    assert "keys revoke" in json.loads(out.body)["error"]
