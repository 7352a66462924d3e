"""The client's address behind proxies."""

from __future__ import annotations

import pytest

from trunkline.server.http.forwarded import Proxies

NEAR = ("10.0.0.0/8", "127.0.0.1")

WAYS = {
    "no header": (NEAR, "10.0.0.1", [], "10.0.0.1"),
    "the peer is no proxy of ours": (NEAR, "9.9.9.9", ["1.2.3.4"], "9.9.9.9"),
    "no proxy is trusted": ((), "127.0.0.1", ["1.2.3.4"], "127.0.0.1"),
    "one proxy": (NEAR, "127.0.0.1", ["1.2.3.4"], "1.2.3.4"),
    "a forged address before the client's own": (
        NEAR,
        "127.0.0.1",
        ["6.6.6.6, 1.2.3.4"],
        "1.2.3.4",
    ),
    "two proxies": (NEAR, "127.0.0.1", ["1.2.3.4, 10.2.2.2"], "1.2.3.4"),
    "two headers": (NEAR, "127.0.0.1", ["1.2.3.4", "10.2.2.2"], "1.2.3.4"),
    "the client is in our network": (NEAR, "127.0.0.1", ["10.7.7.7"], "10.7.7.7"),
    "everybody": (("*",), "4.4.4.4", ["1.2.3.4, 5.5.5.5"], "1.2.3.4"),
    "with ports": (NEAR, "127.0.0.1", ["1.2.3.4:99"], "1.2.3.4"),
    "IPv6": (("::1",), "::1", ["[2001:db8::1]:443"], "2001:db8::1"),
    "an IPv4 address written as IPv6": (NEAR, "::ffff:10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
    "no address": (NEAR, "127.0.0.1", ["unknown"], "127.0.0.1"),
    "a line to forge the log with": (NEAR, "127.0.0.1", ["x\\n{}, 10.1.1.1"], "10.1.1.1"),
    "empty": (NEAR, "127.0.0.1", [""], "127.0.0.1"),
    "a socket of the machine": (NEAR, "", ["1.2.3.4"], ""),
}


@pytest.mark.parametrize(("trusted", "peer", "forwarded_for", "client"), WAYS.values(), ids=WAYS)
def test_the_client_is_whom_trusted_proxies_name(
    trusted: tuple[str, ...], peer: str, forwarded_for: list[str], client: str
) -> None:
    headers = [(b"host", b"h"), *((b"x-forwarded-for", each.encode()) for each in forwarded_for)]
    assert Proxies(trusted).client(peer, headers) == client
