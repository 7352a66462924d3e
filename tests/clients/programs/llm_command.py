"""The command ``llm`` with its Ollama plugin, run in this process: a question with a tool, and one more."""

import os
import tempfile

from common import KEY, QUESTIONS, URL, run

os.environ |= {"OLLAMA_HOST": URL, "OLLAMA_API_KEY": KEY, "LLM_USER_PATH": tempfile.mkdtemp()}

from click.testing import CliRunner
from llm.cli import cli

TOOL = """
def weather(city: str) -> str:
    "The weather in a city."
    return f"The sky over {city} is blue"
"""


def ask(model: str, way: str) -> list[str]:
    """What is printed for each question."""
    texts = []
    for number, question in enumerate(QUESTIONS):
        words = ["prompt", question, "-m", f"ollama/{model}", "--functions", TOOL, "-s", "Be brief."]
        if number:
            words.append("-c")
        if way == "whole":
            words.append("--no-stream")
        done = CliRunner().invoke(cli, words, catch_exceptions=False)
        if done.exit_code:
            raise RuntimeError(done.output)
        texts.append(done.stdout.strip())
    return texts


run(ask)
