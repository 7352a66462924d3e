"""Loading settings from all layers, and the error texts of invalid ones."""

import warnings
from pathlib import Path
from typing import Any

import pytest

from trunkline.settings import Settings, SettingsError, SettingsWarning, load_settings


def load_from(
    tmp_path: Path,
    *,
    file: str | None = None,
    env: dict[str, str] | None = None,
    dotenv: str | None = None,
    **overrides: Any,
) -> Settings:
    config = env_file = None
    if file is not None:
        config = tmp_path / "trunkline.yaml"
        config.write_text(file, encoding="utf-8")
    if dotenv is not None:
        env_file = tmp_path / "test.env"
        env_file.write_text(dotenv, encoding="utf-8")
    return load_settings(config, overrides, env or {}, env_file)


def error_text(tmp_path: Path, **given: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load_from(tmp_path, **given)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return str(caught.value)


def test_layers_override_each_other_in_the_documented_order(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "file": "port: 1\nlog_level: error\nhost: a\nopenai_base_url: http://file",
        "dotenv": "PORT=2\nLOG_LEVEL=warning\nHOST=b\n",
        "env": {"PORT": "3", "LOG_LEVEL": "debug"},
        "port": 4,
        "workers": None,
    }
    settings = load_from(tmp_path, **given)
    loaded = (settings.port, settings.log_level, settings.host, settings.openai_base_url, settings.workers)
    assert loaded == (4, "DEBUG", "b", "http://file", 1)


def test_an_error_names_the_layer_whose_value_was_used(tmp_path: Path) -> None:
    text = error_text(
        tmp_path, file="port: x\nlog_format: x\nworkers: x", port="y", env={"LOG_FORMAT": "y"}, dotenv=""
    )
    assert {line.partition(":")[0]: line.rpartition(" (from ")[2] for line in text.splitlines()} == {
        "PORT": "the command line)",
        "LOG_FORMAT": "the environment)",
        "workers": f"{tmp_path / 'trunkline.yaml'})",
    }


def test_the_arguments_decide_which_layers_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "1")
    Path(".env").write_text("PORT=2", encoding="utf-8")
    Path("trunkline.yaml").write_text("port: 3", encoding="utf-8")
    assert Settings().port == 8000
    assert load_settings().port == 1
    assert load_settings(env={}).port == 2
    assert load_settings(env={}, env_file=None).port == 3


def test_settings_without_any_file_are_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(env={}) == Settings()


def test_empty_values_count_as_not_set(tmp_path: Path) -> None:
    settings = load_from(
        tmp_path,
        file="openai_api_key: ''\nopenai_base_url:\n",
        env={"OLLAMA_MAX_TOKENS": "", "OLLAMA_TEMPERATURE": "  ", "PORT": ""},
        dotenv="PORT=9\nLOG_FORMAT=\n",
    )
    assert (settings.ollama_max_tokens, settings.ollama_temperature, settings.port) == (None, None, 9)
    assert settings.openai_api_key is None


def test_sections_of_the_file_are_not_read_from_the_environment(tmp_path: Path) -> None:
    assert (
        load_from(tmp_path, env={"MODELS": "x", "SERVER": "y", "PROVIDERS": "z", "UNRELATED": "1"})
        == Settings()
    )


@pytest.mark.parametrize(
    "text", ["a,b", " a , b ,", '["a", "b"]', "a,b,a"], ids=["csv", "spaces", "json", "twice"]
)
def test_keys_may_be_csv_or_json(tmp_path: Path, text: str) -> None:
    for name in ("ALLOWED_API_KEYS", "ALLOWED_API_KEYS_RAW"):
        settings = load_from(tmp_path, env={name: text})
        assert [key.get_secret_value() for key in settings.api_keys] == ["a", "b"]


def test_both_settings_of_keys_are_merged(tmp_path: Path) -> None:
    settings = load_from(tmp_path, file="allowed_api_keys: [a]", env={"ALLOWED_API_KEYS_RAW": "b,a"})
    assert [key.get_secret_value() for key in settings.api_keys] == ["a", "b"]


def test_references_in_the_file_are_replaced(tmp_path: Path) -> None:
    settings = load_from(
        tmp_path,
        file=(
            "port: ${P}\nhost: ${H:-127.0.0.1}\nmodels_filter: ${EMPTY:-}\n"
            "aliases: {a: '$${P}', b: 'x-${P}-${D}'}\n"
            "allowed_api_keys: ['${K}', k2]"
        ),
        env={"P": "9", "K": "k1", "EMPTY": ""},
        dotenv="D=d\n",
    )
    assert (settings.port, settings.host, settings.models_filter) == (9, "127.0.0.1", None)
    assert settings.aliases == {"a": "${P}", "b": "x-9-d"}
    assert [key.get_secret_value() for key in settings.api_keys] == ["k1", "k2"]


def test_a_value_from_the_environment_is_not_expanded(tmp_path: Path) -> None:
    settings = load_from(tmp_path, dotenv="OPENAI_API_KEY='a${HOME}b'", env={"CEREBRAS_API_KEY": "c${X}"})
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "a${HOME}b"
    assert settings.cerebras_api_key is not None
    assert settings.cerebras_api_key.get_secret_value() == "c${X}"


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({"env": {"PORT": "abc"}}, ["PORT: 'abc' is not a whole number (from the environment)"]),
        ({"port": 70000}, ["PORT: 70000 is too large; it must be at most 65535 (from the command line)"]),
        ({"env": {"REQUIRE_AUTH": "perhaps"}}, ["REQUIRE_AUTH: 'perhaps' is neither true nor false"]),
        ({"env": {"REQUEST_TIMEOUT_S": "soon"}}, ["REQUEST_TIMEOUT_S: 'soon' is not a number"]),
        ({"env": {"REQUEST_TIMEOUT_S": "inf"}}, ["REQUEST_TIMEOUT_S: 'inf' is not a finite number"]),
        (
            {"env": {"REQUEST_TIMEOUT_S": "0"}},
            ["REQUEST_TIMEOUT_S: '0' is too small; it must be more than 0"],
        ),
        ({"env": {"OLLAMA_MAX_TOKENS": "0"}}, ["OLLAMA_MAX_TOKENS: '0' is too small; it must be at least 1"]),
        ({"env": {"LOG_FORMAT": "xml"}}, ["LOG_FORMAT: 'xml' is not one of 'json' or 'console'"]),
        ({"env": {"WORKERS": "2"}}, ["WORKERS: 2 workers must share limits and budgets; set REDIS_URL"]),
        ({"file": "prot: 1"}, ["prot: is no setting (from", "did you mean 'port'?"]),
        ({"file": "PORT: 1"}, ["PORT: is no setting", "did you mean 'port'?"]),
        ({"file": "port: [1]"}, ["port: is not a whole number"]),
        ({"file": "host: 1"}, ["host: 1 is not text; put it in quotes"]),
        ({"file": "providers: 1"}, ["providers: 1 must hold further settings"]),
        ({"file": "providers: {x: 1}"}, ["providers.x: 1 must hold further settings"]),
        (
            {"file": "providers: {x: {typ: openai}}"},
            ["providers.x.typ: is no setting", "did you mean 'type'?"],
        ),
        ({"file": "providers: {v1: {type: openai}}"}, ["providers.v1: 'v1' cannot be a provider's name"]),
        ({"file": "providers: {x: {}}"}, ["providers.x: has no type; write type: openai-compatible"]),
        (
            {"file": "providers: {openruter: {api_key: hunter2}}"},
            ["providers.openruter: has no type; did you mean 'openrouter'? If not, write type:"],
        ),
        ({"file": "providers: {Olama: {}}"}, ["providers.Olama: 'Olama' cannot be a provider's name"]),
        ({"file": "providers: {x: {type: openai-compatible}}"}, ["providers.x: has no address"]),
        ({"file": "providers: {x: {url: x}}"}, ["providers.x.url: 'x' must begin with http"]),
        (
            {"file": "providers: {ollama: {url: 'http://h/v1'}}"},
            ["providers.ollama: 'http://h/v1' ends in /v1"],
        ),
        ({"file": "providers: {x: {python: a.b}}"}, ["providers.x.python: 'a.b' is not a dotted path"]),
        ({"file": "providers: {x: {python: 'a:B', type: y}}"}, ["providers.x: has python and also"]),
        ({"file": "providers: {x: {type: ollama, api: chat}}"}, ["providers.x: has an api, which is for"]),
        ({"file": "providers: {x: {python: 'a:B', api: auto}}"}, ["providers.x: has an api, which is for"]),
        ({"file": "providers: {x: {type: y, options: {a: 1}}}"}, ["providers.x: has options but no python"]),
        (
            {"file": "providers: {x: {url: 'http://a', urls: ['http://b']}}"},
            ["providers.x: has both url and urls"],
        ),
        ({"file": "providers: {x: {ca_file: /nowhere}}"}, ["providers.x.ca_file: '/nowhere' is no file"]),
        ({"file": "providers: {x: {urls: 'http://a'}}"}, ["providers.x.urls: 'http://a' is not a list"]),
        ({"file": "providers: {x: {timeouts: {conect: 1}}}"}, ["did you mean 'connect'?"]),
        ({"file": "routes: {a: {targets: []}}"}, ["routes.a.targets: is empty"]),
        ({"file": "routes: {a: {targets: [{provider: ollama}]}}"}, ["routes.a.targets.0.model: is missing"]),
        (
            {"file": "routes: {a: {targets: [{provider: olama, model: m}]}}"},
            ["routes.a.targets.0.provider: 'olama' is no provider; did you mean 'ollama'?"],
        ),
        ({"file": "routes: {a: {targets: [{provider: ollama, model: ''}]}}"}, ["model: '' is empty"]),
        ({"file": "models: {a: {keep_alive: true}}"}, ["models.a: has a keep_alive that is no duration"]),
        ({"file": "models: {a: {option: {}}}"}, ["models.a.option: is no setting", "'options'"]),
        ({"file": "limits: [{rpm: 60}]"}, ["limits.0.rpm: is no setting", "valid: concurrent, key, model, "]),
        (
            {"file": "limits: [{key: a, model: b, concurrent: 1}]"},
            ["limits.0: names more than one of key, team and model; write one limit for each"],
        ),
        ({"file": "budgets: [{period: day, usd: 1}]"}, ["budgets.0.period: is no setting", "did you mean"]),
        ({"file": "budgets: [{model: a, usd: 1}]"}, ["budgets.0.model: is no setting", "valid: hard, key, "]),
        ({"file": "prices: {a: {inputs: 1}}"}, ["prices.a.inputs: is no setting", "'input'"]),
        ({"file": "cache: {ttl: 1}"}, ["cache.ttl: is no setting", "'ttl_s'"]),
        ({"file": "responses: {stor: true}"}, ["responses.stor: is no setting", "'store'"]),
        (
            {"file": "server: {tls: {cert: /nowhere}}"},
            ["server.tls.cert: '/nowhere'", "server.tls.key: is missing"],
        ),
        (
            {"file": "server: {trusted_proxies: [x]}"},
            ["server.trusted_proxies.0: 'x' is no address or network"],
        ),
        (
            {"env": {"PREFERRED_PROVIDER": "olama"}},
            ["PREFERRED_PROVIDER: 'olama' is no provider; did you mean"],
        ),
        ({"file": "port: ${P}"}, ["port: P is not set; set it, or write ${P:-default}"]),
        ({"file": "aliases: {a: 'x${'}"}, ["aliases.a: has a '${' that names no variable"]),
        ({"file": "port: 1\nport: 2"}, ["trunkline.yaml:2: 'port' is given twice"]),
        ({"file": "port: [1\n"}, ["trunkline.yaml:2: expected"]),
        ({"file": "port: \x00"}, ["trunkline.yaml: unacceptable character"]),
        ({"file": "- port"}, ["trunkline.yaml: must hold settings"]),
        ({"env": {"DATABASE_URL": "mysql://u:hunter2@h/d"}}, ["DATABASE_URL: must begin with sqlite:///"]),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, dict) else "",
)
def test_an_error_names_the_setting_and_the_problem(
    tmp_path: Path, given: dict[str, Any], lines: list[str]
) -> None:
    text = error_text(tmp_path, **given)
    for line in lines:
        assert line in text
    assert "hunter2" not in text


def test_every_error_has_a_line_and_its_consequences_have_none(tmp_path: Path) -> None:
    text = error_text(tmp_path, env={"PORT": "x", "REQUEST_TIMEOUT_S": "y"})
    assert [line.partition(":")[0] for line in text.splitlines()] == ["PORT", "REQUEST_TIMEOUT_S"]


def test_problems_of_different_kinds_are_told_at_once(tmp_path: Path) -> None:
    file = """
prot: 1
host: ${MISSING}
providers:
  openruter: {api_key: x}
  bad: {type: openai-compatible, url: "${ALSO_MISSING}", nonsense: 1}
  no_url: {type: openai-compatible}
  ollama: {url: "http://h/v1"}
routes:
  r: {targets: [{provider: bad}, {provider: olama, model: m}, {provider: bad, model: m}]}
limits: [{}, {concurrent: 0}]
"""
    lines = error_text(tmp_path, file=file, env={"PORT": "x", "WORKERS": "2"}).splitlines()
    beginnings = [
        "host: MISSING is not set",
        "providers.bad.url: ALSO_MISSING is not set",
        "PORT: 'x' is not a whole number",
        "providers.bad.nonsense: is no setting",
        "routes.r.targets.0.model: is missing",
        "limits.0: limits nothing",
        "limits.1.concurrent: 0 is too small",
        "prot: is no setting",
        "routes.r.targets.1.provider: 'olama' is no provider; did you mean 'ollama'?",
        "providers.openruter: has no type; did you mean 'openrouter'?",
        "providers.no_url: has no address",
        "providers.ollama: 'http://h/v1' ends in /v1",
        "WORKERS: 2 workers must share limits",
    ]
    told = [line.removeprefix(f"{tmp_path / 'trunkline.yaml'}: ") for line in lines]
    assert len(told) == len(beginnings), told
    for beginning in beginnings:
        assert any(line.startswith(beginning) for line in told), beginning


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        ({"file": "port: [1", "env": {"HOST": "", "LOG_FORMAT": "x", "PREFERRED_PROVIDER": "vllm"}}, 2),
        ({"file": "providers: 1", "env": {"PREFERRED_PROVIDER": "vllm"}}, 1),
        ({"file": "providers: {vllm: {url: x}}\npreferred_provider: vllm"}, 1),
        ({"file": "budgets: [{usd: '${X}'}]"}, 1),
        ({"file": "routes: {r: {targets: [{provider: custom, model: '${X}'}]}}"}, 1),
        ({"file": "providers: {vllm: {type: '${X}'}}"}, 1),
        ({"file": "redis_url: '${X}'\nworkers: 2"}, 2),
    ],
)
def test_a_consequence_of_a_problem_is_not_told(tmp_path: Path, given: dict[str, Any], lines: int) -> None:
    assert len(error_text(tmp_path, **given).splitlines()) == lines


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_around_values_fall_away(tmp_path: Path, quote: str) -> None:
    """``docker run --env-file`` takes quotes as a part of the value."""
    settings = load_from(
        tmp_path,
        env={
            name: f" {quote}{value}{quote} "
            for name, value in {
                "ALLOWED_API_KEYS": "k1,k2",
                "ALLOWED_API_KEYS_RAW": f"{quote},{quote}k3",
                "OPENAI_API_KEY": "sk-1",
                "PORT": "9",
                "LOG_LEVEL": "debug",
                "OLLAMA_BASE_URL": "http://h",
                "REQUIRE_AUTH": "false",
                "CEREBRAS_API_KEY": "",
                "K": "k4",
            }.items()
        },
        file="anthropic_api_key: ${K}\nopenrouter_api_key: '\"k5\"'",
    )
    keys = [key.get_secret_value() for key in settings.api_keys]
    assert keys == ["k1", "k2", "k3"]
    assert (settings.port, settings.log_level, settings.ollama_base_url) == (9, "DEBUG", "http://h")
    assert (settings.require_auth, settings.cerebras_api_key) == (False, None)
    found = (settings.openai_api_key, settings.anthropic_api_key, settings.openrouter_api_key)
    assert [key and key.get_secret_value() for key in found] == ["sk-1", "k4", "k5"]


@pytest.mark.parametrize("key", ['"hunter2', "hunter2'", '"hunter2"x"'])
def test_a_key_with_a_quote_that_is_left_is_refused(tmp_path: Path, key: str) -> None:
    text = error_text(tmp_path, env={"OPENAI_API_KEY": key})
    assert text.startswith("OPENAI_API_KEY: holds a key that begins or ends with a quote")
    assert "hunter2" not in text


@pytest.mark.parametrize("text", ['["a", "b"]', '"["a", "b"]"', r'"[\"a\", \"b\"]"', '\'["a","b"]\''])
def test_a_json_list_in_quotes_is_a_list(tmp_path: Path, text: str) -> None:
    settings = load_from(tmp_path, env={"ALLOWED_API_KEYS": text})
    assert [key.get_secret_value() for key in settings.api_keys] == ["a", "b"]


@pytest.mark.parametrize(
    "given",
    [
        {"env": {"ALLOWED_API_KEYS": '["hunter2"'}},
        {"env": {"OPENAI_API_KEY": "hunter2 hunter2"}},
        {"env": {"OPENAI_BASE_URL": "http://user:hunter2@h"}},
        {"env": {"OPENAI_BASE_URL": "http://user:hun/hunter2@h:x"}},
        {"env": {"OLLAMA_HOST": "user:hunter2@h"}},
        {"env": {"REDIS_URL": "http://:hunter2@h"}},
        {"file": "providers: {x: {type: y, api_key: [hunter2 x]}}"},
        {"file": "providers: {x: {type: y, headers: {a: [hunter2]}}}"},
        {"file": "providers: {x: {type: y, proxy: [hunter2]}}"},
        {"file": "providers: {x: {type: y, api_keys: hunter2}}"},
        {"env": {"PORT": "sk-hunter2hunter2"}},
    ],
)
def test_no_error_shows_a_secret(tmp_path: Path, given: dict[str, Any]) -> None:
    assert "hunter2" not in error_text(tmp_path, **given)


def test_dumps_of_settings_contain_no_secret(tmp_path: Path) -> None:
    settings = load_from(
        tmp_path,
        env={
            "ALLOWED_API_KEYS": "hunter2",
            "OPENAI_API_KEY": "hunter2",
            "DATABASE_URL": "postgresql://u:hunter2@h/d",
            "REDIS_URL": "redis://:hunter2@h",
        },
        file="providers: {x: {type: y, api_key: hunter2, headers: {a: hunter2}, proxy: 'http://u:hunter2@h'}}",
    )
    for text in (repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()):
        assert "hunter2" not in text


def test_an_unknown_name_in_dotenv_causes_a_warning(tmp_path: Path) -> None:
    with pytest.warns(SettingsWarning) as caught:
        settings = load_from(
            tmp_path, dotenv="PROT=1\nCOMPOSE_PROJECT_NAME=x\nPORT=9\nUSED=1\nBARE\n", file="host: '${USED}'"
        )
    assert settings.port == 9
    texts = [str(warning.message) for warning in caught]
    assert [text.partition(": ")[2] for text in texts] == [
        "PROT is no setting and was ignored; did you mean 'PORT'?",
        "COMPOSE_PROJECT_NAME is no setting and was ignored",
        "BARE is no setting and was ignored",
    ]


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file; `trunkline init` writes one"):
        load_settings(tmp_path / "no.yaml", env={}, env_file=None)
    with pytest.raises(SettingsError, match="no such file"):
        load_settings(env={}, env_file=tmp_path / "no.env")


@pytest.mark.parametrize("name", ["config", "env_file"])
def test_files_must_be_utf8(tmp_path: Path, name: str) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"host: \xe4")
    with pytest.raises(SettingsError, match="cannot be read: it is not UTF-8 text"):
        load_settings(
            path if name == "config" else None, env={}, env_file=path if name == "env_file" else None
        )


def test_an_empty_file_is_valid(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert load_from(tmp_path, file="# nothing\n", dotenv="# nothing\n") == Settings()
