"""The documentation ``docs/mock.md`` is complete and correct."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from trunkline_mock import AWKWARD, FAULT_KINDS, SHAPES, Fault, MockModel, MockUpstream, Scenario, Script

_TEXT = (Path(__file__).parents[2] / "docs" / "mock.md").read_text()


def section(heading: str) -> str:
    return re.split(r"^#+ ", _TEXT.split(f"# {heading}\n", 1)[1], maxsplit=1, flags=re.MULTILINE)[0]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", _TEXT, flags=re.MULTILINE | re.DOTALL)


def first_cells(text: str) -> list[str]:
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [name for cell in rows for name in re.findall(r"`(\w+)`", cell)]


def test_every_fault_shape_and_field_is_documented() -> None:
    assert first_cells(section("Fault")) == list(FAULT_KINDS)
    assert sorted(first_cells(section("Script"))) == sorted(Script.__struct_fields__)
    assert all(f"`{name}`" in _TEXT for name in SHAPES)
    assert all(name in section("Fault") for name in Fault.__struct_fields__)
    script_file = section("A script file")
    assert all(name in script_file for name in (*Scenario.__struct_fields__, *MockModel.__struct_fields__))


def test_the_script_file_example_is_a_valid_scenario() -> None:
    (text,) = blocks("yaml")
    scenario = msgspec.yaml.decode(text, type=Scenario)
    assert MockUpstream.from_scenario("generic", scenario).require_key == "sk-example"


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_examples_run(code: str) -> None:
    exec(compile(code, "docs/mock.md", "exec"), {"__name__": "example"})


def test_every_awkward_shape_is_documented() -> None:
    rows = [f"| `{shape.name}` | {shape.seen} |" for shape in AWKWARD.values()]
    assert [row for row in section("Awkward answers").splitlines() if row.startswith("| `")] == rows
