"""The JSON Schema, and the examples in the documentation that must match it."""

import json
import re
import warnings
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from trunkline.cli.template import CONFIG_TEMPLATE
from trunkline.settings import Settings, load_settings
from trunkline.settings.model import FILE_ONLY
from trunkline.settings.schema import file_schema, schema_text

ROOT = Path(__file__).parents[2]
NAMES = sorted(name.upper() for name in Settings.model_fields if name not in FILE_ONLY)


def uncommented(text: str) -> str:
    """The settings of an example without the comment signs before them."""
    return "\n".join(line[2:] for line in text.splitlines() if re.match(r"# [A-Z0-9_]+=", line))


def test_the_schema_in_the_documentation_is_current() -> None:
    assert (ROOT / "docs/trunkline.schema.json").read_text(encoding="utf-8") == schema_text()
    jsonschema.Draft202012Validator.check_schema(file_schema())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("document", [".env.example", "docs/configuration.md"])
def test_every_setting_is_documented(document: str, name: str) -> None:
    assert re.search(rf"\b{name}\b", (ROOT / document).read_text(encoding="utf-8"))


def test_every_section_of_the_file_is_documented() -> None:
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    for definition in ("ProviderConfig", "Timeouts", "Route", "Target", "ModelDefaults", "Server", "Tls"):
        for key in file_schema()["$defs"][definition]["properties"]:
            assert f"`{key}`" in text


def test_the_example_environment_is_all_comments_and_each_line_is_valid(tmp_path: Path) -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert all(line.startswith("#") or not line for line in text.splitlines())
    example = tmp_path / "example.env"
    example.write_text(uncommented(text), encoding="utf-8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        settings = load_settings(env={}, env_file=example)
    assert settings.model_fields_set == {name.lower() for name in NAMES}


def test_the_example_environment_shows_the_defaults(tmp_path: Path) -> None:
    default = Settings()
    lines = uncommented((ROOT / ".env.example").read_text(encoding="utf-8"))
    example = tmp_path / "example.env"
    example.write_text(lines, encoding="utf-8")
    settings = load_settings(env={}, env_file=example)
    shown = {name for name in settings.model_fields_set if getattr(default, name) not in (None, ())}
    assert {name: getattr(settings, name) for name in shown} == {
        name: getattr(default, name) for name in shown
    }


def yaml_examples() -> list[str]:
    text = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    return re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("number", range(len(yaml_examples())))
def test_the_yaml_examples_are_valid(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = yaml_examples()[number]
    monkeypatch.chdir(tmp_path)
    for name in ("cert.pem", "key.pem"):
        Path(name).touch()
    config = tmp_path / "trunkline.yaml"
    config.write_text(text, encoding="utf-8")
    load_settings(config, env={"OPENROUTER_API_KEY": "k"}, env_file=None)
    jsonschema.validate(yaml.safe_load(text) or {}, file_schema())


def test_the_template_is_valid_with_and_without_its_comment_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("cert.pem", "key.pem"):
        Path(name).touch()
    config = tmp_path / "trunkline.yaml"
    config.write_text(CONFIG_TEMPLATE, encoding="utf-8")
    assert load_settings(config, env={}, env_file=None) == Settings()
    examples = (line[2:] for line in CONFIG_TEMPLATE.splitlines() if not re.match(r"# [A-Z`$]", line))
    text = "\n".join(examples)
    config.write_text(text, encoding="utf-8")
    settings = load_settings(config, env={"OPENROUTER_API_KEY": "k"}, env_file=None)
    assert settings.model_fields_set >= {"port", "providers", "routes", "aliases", "models", "server"}


@pytest.mark.parametrize(
    ("content", "valid"),
    [
        ({"port": "${PORT:-1}", "require_auth": "${A}", "allowed_api_keys": "a,b"}, True),
        ({"providers": {"x": {"type": "y", "api_key": "k", "timeouts": {"idle": "${T}"}}}}, True),
        ({"providers": {"x": {"type": "y", "api_key": ["k"]}}}, True),
        ({"port": "eight"}, False),
        ({"prot": 1}, False),
        ({"providers": {"x": {"typ": "y"}}}, False),
        ({"routes": {"x": {"targets": []}}}, False),
    ],
)
def test_the_schema_accepts_valid_files_and_references_only(content: dict[str, Any], valid: bool) -> None:
    found = list(jsonschema.Draft202012Validator(file_schema()).iter_errors(content))
    assert (not found) == valid
    assert json.loads(schema_text()) == file_schema()
