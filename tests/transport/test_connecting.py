"""TLS and proxies, end to end: a client uses the connections."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from trunkline.transport import Client, Limits, Origin, ProxyConfig, TlsConfig, TransportError

from .upstream import GUARD, OK, Listen, Peer, Recorder, answer_all, get

CA = trustme.CA()


def server_tls(*names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert(*names).configure_cert(context)
    return context


@pytest.fixture
def ca_file(tmp_path: Path) -> str:
    file = tmp_path / "ca.pem"
    CA.cert_pem.write_to_path(file)
    return str(file)


async def fetch_failure(client: Client, origin: Origin) -> TransportError:
    with pytest.raises(TransportError) as caught:
        async with asyncio.timeout(GUARD):
            await client.fetch(get(origin))
    return caught.value


class Proxy:
    """A proxy's script: establishes every tunnel, or answers with ``instead``."""

    def __init__(self, target: Origin, instead: bytes = b"") -> None:
        self.target = target
        self.instead = instead
        self.heads: list[bytes] = []

    async def __call__(self, peer: Peer) -> None:
        self.heads.append(await peer.request())
        if self.instead:
            peer.send(self.instead)
            return
        reader, writer = await asyncio.open_connection(self.target.host, self.target.port)
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(copy(peer.reader, writer))
                group.create_task(copy(reader, peer.writer))
        finally:
            writer.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
    writer.close()


async def test_tls(listen: Listen, ca_file: str) -> None:
    origin = await listen(answer_all, server_tls("localhost", "127.0.0.1"))
    client = Client(tls=TlsConfig(ca_file=ca_file), proxy=ProxyConfig())
    for host in ("127.0.0.1", "localhost"):
        for _ in range(2):
            assert (await client.fetch(get(origin._replace(host=host)))).body == b"hi"
    assert client.stats.idle == 2
    await client.aclose()


async def test_an_untrusted_certificate_is_refused(client: Client, listen: Listen) -> None:
    origin = await listen(answer_all, server_tls("127.0.0.1"))
    failure = await fetch_failure(client, origin)
    assert (failure.code, failure.reason) == ("upstream_tls", "certificate")
    assert failure.address == str(origin)


async def test_the_certificate_must_match_the_host_name(listen: Listen, ca_file: str) -> None:
    origin = await listen(answer_all, server_tls("example.com"))
    client = Client(tls=TlsConfig(ca_file=ca_file), proxy=ProxyConfig())
    assert (await fetch_failure(client, origin)).reason == "certificate"
    await client.aclose()


async def test_a_server_without_tls(client: Client, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(100)
        peer.send(OK)
        await peer.wait_closed()

    origin = await listen(script)
    assert (await fetch_failure(client, origin._replace(scheme="https"))).kind.code == "upstream_tls"


async def test_a_server_that_closes_during_the_handshake(client: Client, listen: Listen) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.read(100)

    origin = await listen(script)
    failure = await fetch_failure(client, origin._replace(scheme="https"))
    assert failure.kind.code in ("upstream_reset", "upstream_tls")


async def test_a_missing_ca_file(listen: Listen) -> None:
    origin = await listen(answer_all, server_tls("127.0.0.1"))
    client = Client(tls=TlsConfig(ca_file="no-such-file.pem"), proxy=ProxyConfig())
    failure = await fetch_failure(client, origin)
    assert (failure.reason, "CA file" in failure.message) == ("tls", True)
    await client.aclose()


async def test_tls_closed_within_a_response(listen: Listen, ca_file: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi")

    origin = await listen(script, server_tls("127.0.0.1"))
    client = Client(tls=TlsConfig(ca_file=ca_file), proxy=ProxyConfig())
    sink = Recorder()
    client.send(get(origin), sink)
    assert (await sink.wait_failure()).reason == "truncated"
    assert sink.body == b"hi"
    await client.aclose()


async def test_http_through_a_proxy(listen: Listen) -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            heads.append(await peer.request())
            peer.send(OK)

    proxy = await listen(script)
    client = Client(proxy=ProxyConfig.explicit(f"http://me:pass@127.0.0.1:{proxy.port}"))
    for _ in range(2):
        assert (await client.fetch(get(Origin("http", "nowhere.invalid", 80), b"/x"))).body == b"hi"
    assert len(heads) == 2
    for head in heads:
        assert head.startswith(b"GET http://nowhere.invalid/x HTTP/1.1\r\nHost: nowhere.invalid\r\n")
        assert b"\r\nProxy-Authorization: Basic bWU6cGFzcw==\r\n" in head
    assert client.stats.open == 1
    await client.aclose()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_https_through_a_tunnel(listen: Listen, ca_file: str, scheme: str) -> None:
    target = await listen(answer_all, server_tls("nowhere.invalid"))
    script = Proxy(target)
    proxy = await listen(script, server_tls("127.0.0.1") if scheme == "https" else None)
    client = Client(
        tls=TlsConfig(ca_file=ca_file),
        proxy=ProxyConfig.explicit(f"{scheme}://me:pass@127.0.0.1:{proxy.port}"),
    )
    for _ in range(2):
        assert (await client.fetch(get(Origin("https", "nowhere.invalid", 443)))).body == b"hi"
    assert script.heads == [
        (
            b"CONNECT nowhere.invalid:443 HTTP/1.1\r\nHost: nowhere.invalid:443\r\n"
            b"Proxy-Authorization: Basic bWU6cGFzcw==\r\n\r\n"
        )
    ]
    await client.aclose()


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n", "refused a tunnel with status 407"),
        (b"HTTP/1.1 502 Bad\r\nContent-Length: 2\r\n\r\nno", "refused a tunnel with status 502"),
        (b"HTTP/1.1 2", "closed the connection"),
        (b"SSH-2.0-x\r\n", "does not answer in HTTP/1.1"),
    ],
)
async def test_a_refused_tunnel(listen: Listen, answer: bytes, text: str) -> None:
    target = Origin("https", "nowhere.invalid", 443)
    proxy = await listen(Proxy(target, instead=answer))
    client = Client(proxy=ProxyConfig.explicit(f"http://me:hunter2@127.0.0.1:{proxy.port}"))
    failure = await fetch_failure(client, target)
    assert (failure.code, failure.reason) == ("upstream_unreachable", "proxy")
    assert failure.message == f"No way to https://nowhere.invalid:443: the proxy {proxy} {text}"
    await client.aclose()


async def test_a_tunnel_to_the_wrong_host(listen: Listen) -> None:
    target = await listen(answer_all, server_tls("example.com"))
    proxy = await listen(Proxy(target))
    client = Client(proxy=ProxyConfig.explicit(f"http://127.0.0.1:{proxy.port}"))
    failure = await fetch_failure(client, Origin("https", "nowhere.invalid", 443))
    assert (failure.reason, failure.address) == ("certificate", "https://nowhere.invalid:443")
    await client.aclose()


async def test_a_proxy_that_refuses_connections(listen: Listen) -> None:
    target = await listen(answer_all)
    client = Client(limits=Limits(), proxy=ProxyConfig.explicit("http://127.0.0.1:1"))
    failure = await fetch_failure(client, target)
    assert failure.message == "Connection refused to the proxy http://127.0.0.1:1"
    await client.aclose()


async def test_cancel_while_a_tunnel_is_requested(listen: Listen) -> None:
    requested, closed = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        requested.set()
        await peer.wait_closed()
        closed.set()

    proxy = await listen(script)
    client = Client(proxy=ProxyConfig.explicit(f"http://127.0.0.1:{proxy.port}"))
    in_flight = client.send(get(Origin("https", "nowhere.invalid", 443)), Recorder())
    async with asyncio.timeout(GUARD):
        await requested.wait()
        in_flight.cancel()
        await closed.wait()
    await client.aclose()


async def test_a_resolver_chooses_the_address(listen: Listen, ca_file: str) -> None:
    heads: list[bytes] = []
    resolved: list[tuple[str, int]] = []

    async def script(peer: Peer) -> None:
        while True:
            heads.append(await peer.request())
            peer.send(OK)

    async def resolve(host: str, port: int) -> str:
        resolved.append((host, port))
        return "127.0.0.1"

    client = Client(tls=TlsConfig(ca_file=ca_file), proxy=ProxyConfig(), resolver=resolve)
    for tls in (None, server_tls("nowhere.invalid")):
        origin = (await listen(script, tls))._replace(host="nowhere.invalid")
        for _ in range(2):
            assert (await client.fetch(get(origin))).body == b"hi"
        assert resolved.pop() == ("nowhere.invalid", origin.port)
        assert f"\r\nHost: nowhere.invalid:{origin.port}\r\n".encode() in heads[-1]
    assert not resolved
    wrong = (await listen(answer_all, server_tls("example.com")))._replace(host="nowhere.invalid")
    assert (await fetch_failure(client, wrong)).reason == "certificate"
    await client.aclose()


async def test_a_host_name_with_a_trailing_dot(listen: Listen, ca_file: str) -> None:
    async def resolve(host: str, port: int) -> str:
        return "127.0.0.1"

    client = Client(tls=TlsConfig(ca_file=ca_file), proxy=ProxyConfig(), resolver=resolve)
    origin = (await listen(answer_all, server_tls("nowhere.invalid")))._replace(host="nowhere.invalid.")
    assert (await client.fetch(get(origin))).body == b"hi"
    await client.aclose()


async def test_an_error_of_the_resolver_is_the_cause_of_the_failure() -> None:
    refusal = PermissionError("not there")

    async def resolve(host: str, port: int) -> str:
        raise refusal

    client = Client(proxy=ProxyConfig(), resolver=resolve)
    failure = await fetch_failure(client, Origin("http", "nowhere.invalid", 80))
    assert failure.__cause__ is refusal
    assert failure.code == "upstream_unreachable"
    await client.aclose()
