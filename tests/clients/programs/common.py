"""What the programs of this folder share: each is run with models and ways, and prints what it was answered.

A program runs in the clients' own Python, without anything of Trunkline. Its only argument is JSON:
``{"models": [...], "ways": [...]}``. Every model is asked in every way, one after the other.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

URL = os.environ["TRUNKLINE_URL"]
KEY = os.environ["TRUNKLINE_KEY"]

QUESTIONS = ("Weather in Rome and Oslo?", "And tomorrow in Rome?")
"""The turns of every conversation about the weather."""


def sky(city: str) -> str:
    """What the tool ``weather`` says."""
    return f"The sky over {city} is blue"


def run(ask: Callable[[str, str], Any]) -> None:
    """Print what each model answers in each way, or the traceback of what went wrong."""
    given = json.loads(sys.argv[1])
    found: dict[str, dict[str, Any]] = {}
    for model in given["models"]:
        answers = found[model] = {}
        for way in given["ways"]:
            try:
                answers[way] = ask(model, way)
            except Exception:
                answers[way] = {"error": traceback.format_exc()}
    print(json.dumps(found))
