"""Where the gateway listens, whether it requires keys, and whether it would call itself."""

import socket

import pytest

from trunkline.settings import Exposure, Settings, SettingsError, check_self_loop, exposure
from trunkline.settings.exposure import is_own_host

KEYS_REQUIRED = "keys required"
REFUSED = "refused"


@pytest.mark.parametrize(
    ("auth", "dev", "allow_open", "keys", "host", "access", "expected"),
    [
        (True, False, False, True, None, KEYS_REQUIRED, "0.0.0.0"),
        (True, False, False, True, "10.0.0.1", KEYS_REQUIRED, "10.0.0.1"),
        (True, False, False, False, None, REFUSED, "ALLOWED_API_KEYS must not be empty"),
        (True, False, True, False, None, REFUSED, "ALLOWED_API_KEYS must not be empty"),
        (True, True, False, True, None, KEYS_REQUIRED, "127.0.0.1"),
        (True, True, False, True, "0.0.0.0", REFUSED, "HOST: '0.0.0.0' is not this machine only"),
        (True, True, True, True, "0.0.0.0", KEYS_REQUIRED, "0.0.0.0"),
        (True, True, False, False, None, "open", "127.0.0.1"),
        (True, True, False, False, "localhost", "open", "localhost"),
        (True, True, False, False, "::", REFUSED, "HOST: '::' is not this machine only"),
        (True, True, True, False, "0.0.0.0", "open", "0.0.0.0"),
        (False, True, False, True, None, "open", "127.0.0.1"),
        (False, True, False, False, "::1", "open", "::1"),
        (False, True, False, True, "10.0.0.1", REFUSED, "HOST: '10.0.0.1' is not this machine only"),
        (False, False, False, True, None, REFUSED, "REQUIRE_AUTH=false would let anybody in"),
        (False, False, False, False, "127.0.0.1", REFUSED, "REQUIRE_AUTH=false would let anybody in"),
        (False, False, True, True, None, "open", "0.0.0.0"),
    ],
)
def test_address_and_access_follow_from_the_settings(
    auth: bool, dev: bool, allow_open: bool, keys: bool, host: str | None, access: str, expected: str
) -> None:
    settings = Settings(require_auth=auth, development_mode=dev, allow_open_network=allow_open, host=host)
    if access == REFUSED:
        with pytest.raises(SettingsError) as caught:
            exposure(settings, keys)
        assert str(caught.value).startswith(expected)
        assert "\n" not in str(caught.value)
        return
    where = exposure(settings, keys)
    assert (where.host, where.auth_required) == (expected, access == KEYS_REQUIRED)
    local = expected in ("127.0.0.1", "localhost", "::1")
    assert where.open_network == (access == "open" and not local)
    assert where.summary == (
        ("keys required" if where.auth_required else "open: no key needed")
        + ("; this machine only" if local else "; reachable from the network")
    )


def test_the_error_without_keys_keeps_its_original_text_and_names_a_remedy() -> None:
    with pytest.raises(SettingsError) as caught:
        exposure(Settings(), has_keys=False)
    message = str(caught.value)
    assert "ALLOWED_API_KEYS must not be empty when REQUIRE_AUTH=True and DEVELOPMENT_MODE=False" in message
    assert "trunkline init" in message


def refused_as_loop(upstream: str, *, host: str = "0.0.0.0", port: int = 8000) -> bool:
    settings = Settings(port=port, ollama_base_url=upstream)
    where = Exposure(host, settings.ports, auth_required=True, open_network=False)
    try:
        check_self_loop(settings, where, is_own=lambda name: name in ("me", "192.168.1.5"))
    except SettingsError:
        return True
    return False


@pytest.mark.parametrize(
    ("upstream", "host", "refused"),
    [
        ("http://localhost:8000", "0.0.0.0", True),
        ("http://127.0.0.1:8000", "::", True),
        ("http://[::1]:8000", "127.0.0.1", True),
        ("0.0.0.0:8000", "localhost", True),
        ("http://ME.:8000", "0.0.0.0", True),
        ("http://192.168.1.5:8000", "0.0.0.0", True),
        ("http://192.168.1.5:8000", "192.168.1.5", True),
        ("http://gpu1:8000,http://localhost:8000", "0.0.0.0", True),
        ("http://192.168.1.5:8000", "127.0.0.1", False),
        ("http://127.0.0.1:8000", "192.168.1.5", False),
        ("http://localhost:8001", "0.0.0.0", False),
        ("http://gpu1:8000", "0.0.0.0", False),
    ],
)
def test_an_upstream_that_is_the_gateway_itself_is_refused(upstream: str, host: str, refused: bool) -> None:
    assert refused_as_loop(upstream, host=host) == refused


def test_an_address_without_a_port_has_the_default_port_of_its_scheme() -> None:
    assert refused_as_loop("http://localhost", port=80)
    assert refused_as_loop("https://localhost", port=443)
    assert not refused_as_loop("https://localhost", port=80)


def test_a_loop_on_the_ollama_port_is_refused_unless_the_address_is_the_default() -> None:
    where = Exposure("0.0.0.0", (8000, 11434), auth_required=True, open_network=False)
    check_self_loop(Settings(as_ollama=True), where)
    with pytest.raises(
        SettingsError, match=r"^provider 'ollama': http://localhost:11434 is this gateway itself"
    ):
        check_self_loop(Settings(as_ollama=True, ollama_base_url="localhost"), where)


def test_this_machines_name_and_addresses_are_recognized_without_a_name_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Box.example.com")
    assert is_own_host("box")
    assert is_own_host("box.example.com")
    assert is_own_host("127.0.0.1")
    assert not is_own_host("192.0.2.1")  # reserved for documentation (RFC 5737)
    assert not is_own_host("2001:db8::1")
    assert not is_own_host("some-name.invalid")
