"""``python -m trunkline_mock``."""

from __future__ import annotations

import sys

from trunkline_mock.cli import main

if __name__ == "__main__":
    sys.exit(main())
