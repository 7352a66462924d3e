"""Scripts, and the scenario files that contain them."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline_mock import Fault, MockModel, Scenario, Script, ToolCall, load_scenario
from trunkline_mock.script import as_models, decode_script

_YAML = """
script:
  text: [Hello, " world"]
  fault: {kind: stall_after, after: 2}
scripts:
  - {tool_calls: [{name: f, arguments: {a: 1}}]}
rules:
  - {model: "gpt-4*", times: 1, script: {usage: null}}
models: [one, {name: two, capabilities: [embedding]}]
require_key: k
quirks: {usage: never}
"""


def test_a_scenario_in_yaml(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(_YAML)
    scenario = load_scenario(path)
    assert scenario.script == Script(text=("Hello", " world"), fault=Fault("stall_after", after=2))
    assert scenario.scripts == (Script(tool_calls=(ToolCall("f", {"a": 1}),)),)
    assert scenario.rules[0].script.usage is None
    assert scenario.models == ("one", MockModel("two", ("embedding",)))


def test_a_scenario_in_json(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    path.write_text('{"script": {"text": "hi"}}')
    assert load_scenario(path) == Scenario(script=Script(text="hi"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("script: {txet: hi}", "txet"),
        ("script: {fault: {kind: explode}}", "explode"),
        ("script: {repeat: 0}", "repeat"),
        ("script: [", "s.yaml"),
    ],
)
def test_an_invalid_scenario_names_the_mistake(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        load_scenario(path)


def test_an_invalid_value_in_code_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown fault 'stall'"):
        Fault("stall")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="chunk_size"):
        Script(chunk_size=0)


def test_a_script_in_a_header() -> None:
    assert decode_script(b'{"fault":{"kind":"status","status":429}}').fault == Fault("status", status=429)
    with pytest.raises(ValueError, match="unknown"):
        decode_script(b'{"unknown":1}')


def test_a_plain_name_is_a_model_with_the_default_capabilities() -> None:
    assert as_models(["a", MockModel("b")]) == (MockModel("a"), MockModel("b"))
    assert "tools" in MockModel("a").capabilities
