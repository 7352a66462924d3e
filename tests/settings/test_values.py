"""Parsing of single values of settings."""

import pytest

from trunkline.settings import values


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://localhost:11434", "http://localhost:11434"),
        ("http://localhost:11434/", "http://localhost:11434"),
        ("localhost", "http://localhost:11434"),
        ("gpu1:8080", "http://gpu1:8080"),
        ("gpu1/ollama", "http://gpu1:11434/ollama"),
        (":11435", "http://127.0.0.1:11435"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:80", "http://127.0.0.1:80"),
        ("http://0.0.0.0", "http://127.0.0.1"),
        ("[::]:9", "http://[::1]:9"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("https://ollama.example.com", "https://ollama.example.com"),
        (" http://gpu1 ", "http://gpu1"),
    ],
)
def test_ollama_addresses_are_read_as_ollamas_own_tools_read_them(text: str, url: str) -> None:
    assert values.ollama_url(text) == url


@pytest.mark.parametrize(
    ("text", "urls"),
    [
        ("gpu1,gpu2", "http://gpu1:11434,http://gpu2:11434"),
        ("gpu1, http://gpu1:11434 ,", "http://gpu1:11434"),
    ],
)
def test_a_comma_list_of_ollama_addresses_is_a_fleet(text: str, urls: str) -> None:
    assert values.ollama_fleet(text) == urls


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("http://h:11434/v1", "ends in /v1"),
        ("http://h:11434/api/", "ends in /v1 or /api"),
        ("ftp://h", "must begin with http"),
        (",", "names no server"),
        ("", "names no server"),
        ("/x", "has no host"),
        ("http://", "has no host"),
        ("http://h:port", "is not an address"),
        ("http://[::1", "is not an address"),
        ("http://h:0", "has port 0"),
        ("http://a b", "has a space"),
        ("http://h?x=1", "query or fragment"),
        ("http://user:secret@h", "holds credentials"),
        ("user:secret@h", "holds credentials"),
    ],
)
def test_an_invalid_address_is_explained_without_its_credentials(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        values.ollama_fleet(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "loopback", "wildcard"),
    [
        ("localhost", True, False),
        ("LOCALHOST.", True, False),
        ("127.8.9.1", True, False),
        ("[::1]", True, False),
        ("0.0.0.0", False, True),
        ("::", False, True),
        ("10.0.0.1", False, False),
        ("example.com", False, False),
    ],
)
def test_loopback_and_wildcard_addresses_are_recognized(host: str, loopback: bool, wildcard: bool) -> None:
    assert (values.is_loopback(host), values.is_wildcard(host)) == (loopback, wildcard)


@pytest.mark.parametrize(
    ("value", "items"),
    [
        (None, ()),
        ("a, b ,,c", ["a", "b", "c"]),
        ('["a","b"]', ["a", "b"]),
        (["a"], ["a"]),
        (7, 7),
    ],
)
def test_lists_are_parsed_from_csv_and_json(value: object, items: object) -> None:
    assert values.split_list(value) == items


def test_broken_json_in_a_list_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="is not a JSON list") as caught:
        values.split_list('["hunter2"')
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "items"), [(None, ()), ("a", ("a",)), (["a", ""], ("a",)), ("", ()), (5, 5)]
)
def test_one_text_or_a_list_becomes_a_tuple(value: object, items: object) -> None:
    assert values.one_or_more(value) == items


@pytest.mark.parametrize(("text", "origin"), [("*", "*"), ("https://A.example/", "https://a.example")])
def test_origins_are_normalized(text: str, origin: str) -> None:
    assert values.origin(text) == origin


@pytest.mark.parametrize("text", ["example.com", "https://a.example/path", "https://a.example?x"])
def test_an_invalid_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no origin"):
        values.origin(text)


@pytest.mark.parametrize(
    ("text", "level"), [("debug", "DEBUG"), ("Warn", "WARNING"), ("fatal", "CRITICAL"), (3, 3)]
)
def test_log_levels_may_be_in_any_case(text: object, level: object) -> None:
    assert values.log_level(text) == level


@pytest.mark.parametrize("name", [*sorted(values.RESERVED_NAMES), "UPPER", "a/b", "a:b", "", "-a", "ä"])
def test_reserved_and_malformed_provider_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be a provider's name"):
        values.provider_name(name)


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (values.python_path, "my_package.sub:Name", "my_package.Name"),
        (values.network, "10.0.0.0/8", "10.0.0.0/99"),
        (values.network, "*", "proxy"),
        (values.database_url, "postgresql://u@h/d", "mysql://u@h/d"),
        (values.database_url, "sqlite:///x.db", "x.db"),
        (values.redis_url, "rediss://h:1/0", "http://h"),
        (values.key_text, "gw_abc", "two words"),
        (values.key_text, "x", " "),
        (values.key_text, "x", "schlüssel"),
    ],
)
def test_paths_networks_urls_and_keys_are_validated(check: object, good: str, bad: str) -> None:
    assert callable(check)
    assert check(good) == good
    with pytest.raises(ValueError, match=r"is|must|holds"):
        check(bad)


def test_suggestions_ignore_case_and_fall_back_to_the_whole_list() -> None:
    assert values.suggest("PROT", ["port", "host"]) == "did you mean 'port'?"
    assert values.suggest("zzz", ["port", "host"]) == "valid: host, port"
