"""``python -m trunkline.testing``."""

from __future__ import annotations

import sys

from trunkline.testing.command import main

if __name__ == "__main__":
    sys.exit(main())
