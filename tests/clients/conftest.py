"""What ``make test-clients`` has not installed is not collected."""

from __future__ import annotations

from tests.clients.house import INSTALLED

_NEEDS = {
    "test_python_clients.py": ("most", "instructor"),
    "test_coding_agents.py": ("node",),
}
"""Files of tests, and the sets of clients that each of them needs."""

collect_ignore = [
    file
    for file, sets in _NEEDS.items()
    if not all((INSTALLED / name / ".installed").exists() for name in sets)
]
