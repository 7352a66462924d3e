"""``python -m tests.fidelity`` writes ``docs/fidelity.md``."""

from tests.fidelity.page import PAGE, render

if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
