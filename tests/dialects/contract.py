"""What the contract suites run over: each dialect's module of cases, and a parametrization over its tables.

Every dialect has a module ``cases`` with tables of the same names. A contract suite runs one test over the
cases of a table in all dialects, so that what is true of a role is asserted once. A dialect without a role,
or without a case of some kind, has no such table.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

import pytest

from tests.dialects.anthropic import cases as anthropic
from tests.dialects.ollama import cases as ollama
from tests.dialects.openai import cases as openai
from tests.dialects.responses import cases as responses
from trunkline.errors import CallerError, GatewayError, Kind

DIALECTS: Final[dict[str, ModuleType]] = {
    "openai": openai,
    "ollama": ollama,
    "anthropic": anthropic,
    "responses": responses,
}
every_dialect = pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS.keys())


def every_case(*names: str, of: str) -> pytest.MarkDecorator:
    """Parametrize a test with ``dialect``, and with ``names`` from each case of the table ``of``.

    A table maps the name of a case to its values.
    """
    return pytest.mark.parametrize(
        ("dialect", *names),
        [
            pytest.param(module, *values, id=f"{dialect}-{case}")
            for dialect, module in DIALECTS.items()
            for case, values in getattr(module, of, {}).items()
        ],
    )


def check_error(error: GatewayError | None, kind: Kind, message: str = "") -> None:
    """Assert that ``error`` is of this kind, and that its text begins with ``message``."""
    assert error is not None
    assert error.kind is kind
    assert error.message.startswith(message)
    assert isinstance(error, CallerError if kind.type == "invalid_request_error" else GatewayError)
