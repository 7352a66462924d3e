from __future__ import annotations

import pytest

from trunkline.dialects.tool_arguments import as_object, is_object


@pytest.mark.parametrize("arguments", ["{}", ' {"x": 1} ', '{"n":123456789012345678901234567890.10}'])
def test_objects(arguments: str) -> None:
    assert is_object(arguments)


@pytest.mark.parametrize("arguments", ["", "{", "[1]", '"x"', "7", "null", "{'a': 1}", "{}{}", "[" * 100_000])
def test_everything_else(arguments: str) -> None:
    assert not is_object(arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"n":123456789012345678901234567890.10}', '{"n":123456789012345678901234567890.10}'),
        ("", "{}"),
        (" null ", "{}"),
        ("[]", "{}"),
        ('""', "{}"),
        ('"{\\"a\\":1}"', '{"a":1}'),
        ('"\\"{}\\""', "{}"),
        ('{"city": "Ro', '{"arguments":"{\\"city\\": \\"Ro"}'),
        ("[1]", '{"arguments":[1]}'),
        ("7", '{"arguments":7}'),
        ('"Rome"', '{"arguments":"Rome"}'),
        ("{}{}", '{"arguments":"{}{}"}'),
    ],
)
def test_arguments_become_an_object(arguments: str, expected: str) -> None:
    assert as_object(arguments) == expected
    assert as_object(expected) == expected
