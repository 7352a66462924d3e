"""Model names that stand for a script."""

from __future__ import annotations

import pytest

from trunkline_mock import FAULT_KINDS, Fault, Script
from trunkline_mock.scripted_names import example_names, script_for_name


@pytest.mark.parametrize(
    ("name", "script"),
    [
        ("mock-fault-stall_after", Script(fault=Fault("stall_after"))),
        ("mock-fault-stall_after-3", Script(fault=Fault("stall_after", after=3))),
        ("vendor/Mock-Fault-huge:latest", Script(fault=Fault("huge"))),
        ("mock-status-503", Script(fault=Fault("status", status=503))),
        ("mock-status-429-7", Script(fault=Fault("status", status=429, retry_after=7))),
        ("mock-tools", Script(call_tools=1)),
        ("mock-tools-2", Script(call_tools=2)),
        ("mock-thinking", Script(thinking="Let me think about that. ")),
        ("mock-words-5", Script(text="word ", repeat=5)),
        ("mock-slow-20", Script(delay_chunk_s=0.02)),
        ("mock-slow", Script(delay_chunk_s=0.05)),
        ("mock-no-usage", Script(usage=None)),
        ("mock-fault-nonsense", None),
        ("mock-status-x", None),
        ("mock-words-many", None),
        ("mock-model", None),
        ("llama3.2:latest", None),
    ],
)
def test_the_script_of_a_name(name: str, script: Script | None) -> None:
    assert script_for_name(name) == script


def test_every_example_name_has_a_script_and_every_fault_has_a_name() -> None:
    assert all(script_for_name(name) for name in example_names())
    assert {f"mock-fault-{kind}" for kind in FAULT_KINDS} <= set(example_names())
