"""``trunkline doctor`` against scripted servers: each thing that can be wrong is named, with its fix."""

from __future__ import annotations

import json
import socket
import ssl
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest
import trustme

from tests.cli.conftest import Run
from tests.cli.doctor.conftest import Diagnose
from tests.cli.doctor.scripted import Pages, Reply, listing, scripted, tags
from tests.gateways import make_settings, serving
from tests.services import free_port
from trunkline_mock import MockUpstream

KEY = "sk-planted-secret-of-the-provider"
UP = "providers: {{up: {{type: openai-compatible, url: '{url}', api_key: " + KEY + "}}}}"
BARE = "providers: {{up: {{type: openai-compatible, url: '{url}'}}}}"
ANTHROPIC = "providers: {{up: {{type: anthropic, url: '{url}', api_key: " + KEY + "}}}}"
ROUTER = "providers: {{up: {{type: openrouter, url: '{url}', api_key: " + KEY + "}}}}"
OLLAMA = "providers: {{up: {{type: ollama, url: '{url}'}}}}"
ECHO = {"error": {"message": f"Incorrect API key provided: {KEY}"}}


def dated(seconds: float) -> str:
    """The ``Date`` of a server whose clock is ahead by so much."""
    return formatdate(time() + seconds, usegmt=True)


def dated_now(pages: Pages) -> Pages:
    """``pages`` with their dates, which the cases give as seconds from when they are used."""
    return {
        path: page._replace(
            headers={
                name: dated(float(value)) if name == "Date" else value for name, value in page.headers.items()
            }
        )
        for path, page in pages.items()
    }


CASES: list[tuple[str, str, str, Pages, str, str]] = [
    ("all is well", UP, "/v1", {"/v1/models": listing("m1")}, "", ""),
    ("key refused", UP, "/v1", {"/v1/models": Reply(401, ECHO)}, "key_refused", "providers.up.api_key"),
    ("key not permitted", UP, "/v1", {"/v1/models": Reply(403, ECHO)}, "key_refused", "permission"),
    ("no key", BARE, "/v1", {"/v1/models": Reply(401, ECHO)}, "key_missing", "set providers.up.api_key"),
    (
        "a key that only the vendor's other page judges",
        ROUTER,
        "/api/v1",
        {"/api/v1/models": listing("a/b"), "/api/v1/key": Reply(401, ECHO)},
        "key_refused",
        "providers.up.api_key",
    ),
    (
        "a key that is spent",
        ROUTER,
        "/api/v1",
        {"/api/v1/models": listing("a/b"), "/api/v1/key": Reply(200, {"data": {"limit_remaining": 0}})},
        "no_credit",
        "credit",
    ),
    (
        "a key without a limit",
        ROUTER,
        "/api/v1",
        {"/api/v1/models": listing("a/b"), "/api/v1/key": Reply(200, {"data": {"limit_remaining": None}})},
        "",
        "",
    ),
    ("/v1 missing", UP, "", {"/v1/models": listing("m1")}, "v1_missing", "to {url}/v1"),
    ("/v1 missing, a web page instead", UP, "",
     {"/v1/models": listing("m1"), "*": Reply(200, b"<html>chat</html>")}, "v1_missing", "to {url}/v1"),
    ("/v1 missing, key refused", UP, "", {"/v1/models": Reply(401, ECHO)}, "v1_missing", "{url}/v1"),
    ("/v1 twice", UP, "/v1/v1", {"/v1/models": listing("m1")}, "v1_doubled", "to {url}/v1"),
    ("/v1 twice at Anthropic's", ANTHROPIC, "/v1", {"/v1/models": listing("m1")}, "v1_doubled", "to {url}"),
    ("a whole path", UP, "/v1/chat/completions", {"/v1/models": listing("m1")}, "wrong_path", "to {url}/v1"),
    ("an API elsewhere", UP, "/v1", {"/openai/v1/models": listing("m1")}, "wrong_path", "{url}/openai/v1"),
    ("a server without /v1", UP, "/v1", {"/models": listing("m1")}, "wrong_path", "to {url}"),
    ("no API at all", UP, "/v1", {}, "no_list", "providers.up.url"),
    ("Ollama", OLLAMA, "", {"/api/tags": tags("m1:latest")}, "", ""),
    ("not Ollama", OLLAMA, "", {"/v1/models": listing("m1")}, "not_ollama", "url: {url}/v1"),
    ("no API where Ollama should be", OLLAMA, "", {}, "no_list", "Ollama server"),
    ("no model pulled", OLLAMA, "", {"/api/tags": tags()}, "no_models", "ollama pull"),
    (
        "points elsewhere",
        UP,
        "/v1",
        {"*": Reply(308, b"", {"Location": "https://user:pw@other.example/v1/models?key=secret99"})},
        "redirected",
        "to https://other.example/v1",
    ),
    ("no credit", UP, "/v1", {"*": Reply(402, ECHO)}, "no_credit", "credit"),
    ("limited", UP, "/v1", {"*": Reply(429, ECHO)}, "rate_limited", "wait"),
    ("failing", UP, "/v1", {"*": Reply(503, ECHO)}, "server_error", "log"),
    ("a proxy before it", UP, "/v1", {"*": Reply(407, b"")}, "proxy_failed", "HTTPS_PROXY"),
    ("refused for another reason", UP, "/v1", {"*": Reply(418, ECHO)}, "refused_request", "providers.up.url"),
    (
        "a clock that is fast",
        UP,
        "/v1",
        {"*": listing("m1")._replace(headers={"Date": "-7200"})},
        "clock_off",
        "clock",
    ),
    (
        "a clock that is slow",
        UP,
        "/v1",
        {"*": listing("m1")._replace(headers={"Date": "7200"})},
        "clock_off",
        "timedatectl",
    ),
    (
        "an old answer out of a cache",
        UP,
        "/v1",
        {"*": listing("m1")._replace(headers={"Date": "-7200", "Age": "7200"})},
        "",
        "",
    ),
]  # fmt: skip
NOTES = ("no_models", "rate_limited")
"""What alone does not make the command fail."""


@pytest.mark.parametrize(
    ("config", "path", "pages", "code", "fix"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_a_server_answers(
    diagnose: Diagnose, config: str, path: str, pages: Pages, code: str, fix: str
) -> None:
    with scripted(dated_now(pages)) as server:
        done = diagnose(config.format(url=server.url + path))
        assert done.codes() == ([code] if code else [])
        assert done.code == int(bool(code) and code not in NOTES)
        assert done.report["ok"] == (done.code == 0)
        if code:
            assert fix.format(url=server.url) in done.only()["fix"]
        for secret in (KEY, "user:pw", "secret99"):
            assert secret not in done.output
        assert {method for method, _, _ in server.requests} == {"GET"}, "a POST may cost money"


def test_the_fix_of_a_doubled_path_names_no_more_than_is_needed(diagnose: Diagnose) -> None:
    with scripted({"/v1/models": listing("m1")}) as server:
        done = diagnose(ANTHROPIC.format(url=f"{server.url}/v1"))
        assert done.only()["fix"] == f"set providers.up.url to {server.url}"


# Beside HTTP


def test_tls_to_a_plain_port(diagnose: Diagnose) -> None:
    with scripted({"/v1/models": listing("m1")}) as server:
        done = diagnose(UP.format(url=f"https://127.0.0.1:{server.port}/v1"))
        found = done.only()
        assert found["code"] == "tls_to_plain_port"
        assert found["fix"] == f"set providers.up.url to http://127.0.0.1:{server.port}/v1"
        assert not any("authorization" in headers for _, _, headers in server.requests)


def test_plain_to_a_tls_port(diagnose: Diagnose, tls: ssl.SSLContext) -> None:
    with scripted({"/v1/models": listing("m1")}, tls) as server:
        found = diagnose(UP.format(url=f"http://127.0.0.1:{server.port}/v1")).only()
    assert found["code"] == "plain_to_tls_port"
    assert found["fix"] == f"set providers.up.url to https://127.0.0.1:{server.port}/v1"


def test_a_certificate_of_an_unknown_authority(
    diagnose: Diagnose, tls: ssl.SSLContext, authority: trustme.CA, tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    with scripted({"/v1/models": listing("m1")}, tls) as server:
        config = UP.format(url=f"{server.url}/v1")
        found = diagnose(config).only()
        assert diagnose(config.replace("api_key", "ca_file: authority.pem, api_key")).codes() == []
    assert found["code"] == "certificate"
    assert "ca_file" in found["fix"]


def test_a_certificate_with_another_name(diagnose: Diagnose, authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("other.example").configure_cert(context)
    with scripted({}, context) as server:
        config = UP.format(url=f"{server.url}/v1").replace("api_key", "ca_file: authority.pem, api_key")
        found = diagnose(config).only()
    assert found["code"] == "certificate"
    assert "write the name" in found["fix"]


def test_a_certificate_that_is_not_valid_yet_by_a_slow_clock(
    diagnose: Diagnose, authority: trustme.CA
) -> None:
    """The certificate cannot be checked, but the server's date tells why."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    date = {"Date": dated(90 * 86400)}
    with scripted({"*": Reply(404, b"", date)}, context) as server:
        found = diagnose(UP.format(url=f"{server.url}/v1")).only()
    assert found["code"] == "clock_off"
    assert "90 days behind" in found["problem"]


@pytest.mark.parametrize(
    ("config", "container", "code", "fix"),
    [
        (UP, False, "refused", "start the server"),
        (OLLAMA, False, "ollama_not_running", "`ollama serve`"),
        (UP, True, "loopback_in_container", "http://host.docker.internal:{port}/v1"),
        (OLLAMA, True, "loopback_in_container", "OLLAMA_HOST=0.0.0.0"),
    ],
)
def test_nothing_listens(
    diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch, config: str, container: bool, code: str, fix: str
) -> None:
    monkeypatch.setattr("trunkline.cli.doctor.peek.in_container", lambda: container)
    port = free_port()
    path = "/v1" if config is UP else ""
    done = diagnose(config.format(url=f"http://127.0.0.1:{port}{path}"))
    assert done.code == 1
    assert done.only()["code"] == code
    assert fix.format(port=port) in done.only()["fix"]


def test_an_unknown_host(diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr("trunkline.cli.doctor.peek.socket.getaddrinfo", unknown)
    config = "openai_api_key: sk-some-secret-key\nopenai_base_url: https://api.opnai.com/v1"
    found = diagnose(config).only("openai")
    assert found["code"] == "unknown_host"
    assert "OPENAI_BASE_URL" in found["fix"]
    assert "https://api.openai.com/v1" in found["fix"]


def test_all_are_asked_at_once_and_none_for_longer_than_the_limit(
    diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten servers that take the connection and say nothing: one after the other they would take ten times as
    long, and the last would not be asked before the first has ended."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        names = [f"p{number}" for number in range(10)]
        config = "providers:\n" + "".join(
            f"  {name}: {{type: openai-compatible, url: '{url}', api_key: k}}\n" for name in names
        )
        done = diagnose(config, "--timeout", "0.5")
        silent.setblocking(False)
        accepted = 0
        try:
            while True:
                silent.accept()[0].close()
                accepted += 1
        except BlockingIOError:
            pass
    assert accepted == 10
    assert [done.codes(name) for name in names] == [["no_answer"]] * 10
    assert done.code == 1


def test_a_name_server_that_says_nothing_is_not_waited_for(
    diagnose: Diagnose, monkeypatch: pytest.MonkeyPatch
) -> None:
    from threading import Event

    over = Event()
    monkeypatch.setattr("trunkline.cli.doctor.peek.socket.getaddrinfo", lambda *_, **__: over.wait(60))
    try:
        found = diagnose(UP.format(url="http://some.example/v1"), "--timeout", "0.3").only()
    finally:
        over.set()
    assert found["code"] == "unknown_host"


# Models


MODELS = """
providers:
  up: {{type: openai-compatible, url: '{url}/v1', api_key: x}}
  gpu: {{type: ollama, urls: ['{url}', '{other}']}}
routes: {{grp: {{targets: [{{provider: up, model: m1}}, {{provider: up, model: mistrall}}]}}}}
aliases: {{fast: up/m1, slow: up/tuned, gone: 'gpu/qwen3:8b', there: gpu/llama3.2, elsewhere: gpu/second}}
models: {{'gpu/*': {{max_concurrent: 4}}, 'gpu/phi4': {{max_concurrent: 1}}}}
"""


def test_configured_models_that_are_missing(diagnose: Diagnose) -> None:
    pages = {
        "/v1/models": listing("m1", "mistral"),
        "/v1/models/tuned": Reply(200, {"id": "tuned", "object": "model"}),
        "/api/tags": tags("llama3.2:latest"),
    }
    with scripted(pages) as server, scripted({"/api/tags": tags("second:latest")}) as other:
        done = diagnose(MODELS.format(url=server.url, other=other.url))
    (missing,) = done.findings()
    assert missing["code"] == "model_missing"
    assert "'mistrall'" in missing["problem"]
    assert missing["fix"] == "correct routes.grp.targets.1; did you mean 'mistral'?"
    pulls = done.findings("gpu")
    assert [each["code"] for each in pulls] == ["model_missing"] * 2
    assert "`ollama pull qwen3:8b`" in pulls[0]["fix"]
    assert "aliases.gone" in pulls[0]["fix"]
    assert "`ollama pull phi4`" in pulls[1]["fix"]


def test_models_are_not_called_missing_while_a_server_is_away(diagnose: Diagnose) -> None:
    with scripted({"/v1/models": listing("m1")}) as one, scripted({"*": Reply(503)}) as two:
        config = f"providers: {{up: {{type: openai-compatible, urls: ['{one.url}/v1', '{two.url}/v1']}}}}"
        done = diagnose(config + "\naliases: {a: up/m2}")
    assert done.codes() == ["server_error"]


def test_a_server_without_a_list_whose_models_the_settings_name(diagnose: Diagnose) -> None:
    with scripted({}) as server:
        done = diagnose(BARE.format(url=f"{server.url}/v1").replace("url:", "models: [m1], url:"))
    assert (done.code, done.codes()) == (0, ["no_list"])


def test_variants_of_models_are_not_in_a_list(diagnose: Diagnose) -> None:
    with scripted({"/api/v1/models": listing("a/b")}) as server:
        config = ROUTER.format(url=f"{server.url}/api/v1")
        done = diagnose(f"{config}\naliases: {{x: 'up/a/b:nitro', y: 'up/a/c:nitro'}}")
    assert "a/c:nitro" in done.only()["problem"]


# The whole


def test_every_key_is_asked_for_by_itself(diagnose: Diagnose) -> None:
    with MockUpstream.in_thread("openai") as mock:
        config = (
            f"providers: {{up: {{type: openai, url: '{mock.base_url}', api_key: [sk-one-key, sk-two-key]}}}}"
        )
        done = diagnose(config)
        sent = {call.headers["authorization"] for call in mock.requests}
    assert sent == {"Bearer sk-one-key", "Bearer sk-two-key"}
    assert [each["key"] for each in done.report["providers"][0]["upstreams"]] == [1, 2]
    assert done.code == 0


@pytest.mark.parametrize("shape", ["openai", "openrouter", "cerebras", "anthropic"])
def test_vendors_that_are_well(diagnose: Diagnose, shape: str) -> None:
    with MockUpstream.in_thread(shape) as mock:
        done = diagnose(f"{shape}_api_key: sk-of-this-test\n{shape}_base_url: '{mock.base_url}'")
    assert (done.code, done.codes(shape)) == (0, [])
    assert done.report["providers"][0]["upstreams"][0]["models"] > 0


def test_an_ollama_that_nobody_configured_need_not_run(diagnose: Diagnose, run: Run) -> None:
    port = str(free_port())
    with scripted({"/v1/models": listing("m1")}) as server:
        default = {"OLLAMA_ENABLED": "true"}
        config = BARE.format(url=f"{server.url}/v1")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("trunkline.settings.model.DEFAULT_OLLAMA_URL", f"http://127.0.0.1:{port}")
            beside_another = diagnose(config, **default)
            alone = diagnose("{}", **default)
    assert beside_another.only("ollama")["code"] == alone.only("ollama")["code"] == "ollama_not_running"
    assert (beside_another.code, alone.code) == (0, 1)
    assert "OLLAMA_ENABLED=false" in beside_another.only("ollama")["fix"]


def test_a_class_that_fails_to_list_its_models(diagnose: Diagnose, tmp_path: Path) -> None:
    (tmp_path / "listing_that_fails.py").write_text(
        "class Mine:\n"
        "    async def chat_completions(self, req): ...\n"
        "    async def list_models(self): raise RuntimeError('sk-secret-in-a-text')\n"
    )
    done = diagnose("providers: {up: {python: 'listing_that_fails:Mine'}}")
    assert (done.code, done.codes()) == (1, ["list_failed"])
    assert "sk-secret" not in done.output


def test_lines_for_people(run: Run) -> None:
    port = free_port()
    with scripted({"/v1/models": Reply(401, ECHO)}) as server:
        Path("trunkline.yaml").write_text(UP.format(url=f"{server.url}/v1"))
        done = run("doctor", OLLAMA_ENABLED="false", DEVELOPMENT_MODE="true", PORT=str(port))
    assert done.code == 1
    assert done.out.splitlines() == [
        f"gateway    127.0.0.1:{port}",
        f"provider   up: {server.url}/v1",
        "  PROBLEM: provider 'up' answered 401: it refuses the key",
        "  fix: put a valid key into providers.up.api_key; it may be mistyped, revoked, or another vendor's",
        "provider   custom: runs in the gateway",
        "1 problem found.",
    ]
    assert KEY not in done.out + done.err


def test_nothing_is_wrong(run: Run) -> None:
    done = run("doctor", OLLAMA_ENABLED="false", DEVELOPMENT_MODE="true", PORT=str(free_port()))
    assert (done.code, done.out.splitlines()[-1]) == (0, "Nothing is wrong.")


def test_settings_with_which_no_gateway_starts(diagnose: Diagnose) -> None:
    done = diagnose("{}", DEVELOPMENT_MODE="false")
    (found,) = done.report["gateway"]["findings"]
    assert (done.code, found["code"]) == (1, "settings")
    assert "trunkline init" in found["fix"]


def test_a_store_that_cannot_be_opened(diagnose: Diagnose) -> None:
    done = diagnose("{}", DATABASE_URL="sqlite:///trunkline.yaml")
    (found,) = done.report["gateway"]["findings"]
    assert (done.code, found["code"]) == (1, "store_unavailable")


def test_check_online(run: Run) -> None:
    with scripted({"/v1/models": Reply(401, ECHO)}) as server:
        Path("trunkline.yaml").write_text(UP.format(url=f"{server.url}/v1"))
        env = {"OLLAMA_ENABLED": "false", "DEVELOPMENT_MODE": "true", "PORT": str(free_port())}
        offline, online = run("check", **env), run("check", "--online", **env)
        as_json = run("check", "--online", "--json", **env)
    assert (offline.code, online.code, as_json.code) == (0, 1, 1)
    assert online.out.startswith(offline.out)
    assert "it refuses the key" in online.out
    assert json.loads(as_json.out)["providers"][0]["upstreams"][0]["findings"][0]["code"] == "key_refused"
    assert KEY not in offline.out + online.out + as_json.out


def test_check_prints_json_only_of_what_it_asks(run: Run) -> None:
    done = run("check", "--json")
    assert done.code == 2
    assert "--online" in done.err


# The gateway's own port


def test_a_port_that_is_taken(diagnose: Diagnose) -> None:
    with scripted({"*": Reply(200, b"another program")}) as other:
        done = diagnose("{}", PORT=str(other.port))
    (found,) = done.report["gateway"]["findings"]
    assert (done.code, found["code"]) == (1, "port_taken")
    assert "PORT" in found["fix"]


async def test_a_gateway_that_runs_there_is_no_problem() -> None:
    from trunkline.cli.doctor.listening import check_address

    async with serving(make_settings()) as running:
        assert await check_address("127.0.0.1", make_settings(port=running.port), 5) == []
