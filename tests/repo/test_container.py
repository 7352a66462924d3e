"""What a container is given of the environment, by ``make docker-run`` and by the compose file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copy, which
from typing import NamedTuple

import pytest
import yaml

from trunkline.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
KEYS = [
    name.upper()
    for name in Settings.model_fields
    if name.endswith("_api_key") or name.startswith("allowed_api_keys")
]
"""The names of all keys in the environment."""

DOCKER = """#!/bin/sh
printf '%s\\n' "$@" > words
while [ $# -gt 0 ]; do
  if [ "$1" = --env ]; then
    case "$2" in *=*) echo "$2" ;; *) printenv "$2" | sed "s/^/$2=/" ;; esac
  fi
  shift
done > environment
"""
"""A ``docker`` that writes down how it was called, and the variables that a container would have."""


class Called(NamedTuple):
    """How docker was called."""

    words: list[str]
    environment: dict[str, str]


def docker_run(folder: Path, **env: str) -> Called:
    """``make docker-run`` in a folder."""
    if which("make") is None:
        pytest.skip("make is not installed")
    copy(ROOT / "Makefile", folder)
    docker = folder / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    path = f"{docker.parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["make", "docker-run"],
        cwd=folder,
        env={"PATH": path, **env},
        check=True,
        capture_output=True,
        timeout=60,
    )
    lines = (folder / "environment").read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines)
    return Called((folder / "words").read_text().splitlines(), environment)


def test_the_image_is_built_only_on_an_optimised_python() -> None:
    """All stages have the base image whose configuration the first step of the build looks at."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"(?m)^FROM (\S+)", dockerfile)
    assert len(bases) == 2
    assert len(set(bases)) == 1
    [step] = re.findall(r'(?m)^RUN python -c "(import sys, sysconfig; .*)"$', dockerfile)
    check = step.replace("sysconfig.get_config_var('CONFIG_ARGS')", "sys.argv[1]")
    for arguments, code in (("'--enable-shared' '--enable-optimizations'", 0), ("'--enable-shared'", 1)):
        assert subprocess.run([sys.executable, "-c", check, arguments], check=False).returncode == code


def test_there_are_keys() -> None:
    assert {"OPENROUTER_API_KEY", "ALLOWED_API_KEYS"} <= set(KEYS)


def test_exported_keys_reach_the_container(tmp_path: Path) -> None:
    given = {name: f"sk-$(of) ${{{name}}} 'x'" for name in KEYS} | {"OLLAMA_BASE_URL": "http://ollama:11434"}
    called = docker_run(tmp_path, **given)
    assert called.environment == given | {"HOST": "0.0.0.0", "PORT": "8000"}
    assert not any("sk-" in word for word in called.words)


@pytest.mark.parametrize("env", [{}, dict.fromkeys(KEYS, "")])
def test_a_key_that_is_not_exported_is_left_to_the_env_file(tmp_path: Path, env: dict[str, str]) -> None:
    (tmp_path / ".env").write_text("OPENROUTER_API_KEY=sk-or-in-the-file\n")
    called = docker_run(tmp_path, **env)
    assert called.words[called.words.index("--env-file") + 1] == ".env"
    assert called.environment == {"HOST": "0.0.0.0", "PORT": "8000"}


def test_compose_passes_the_same_on() -> None:
    gateway = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["gateway"]
    passed_on = {name for name, value in gateway["environment"].items() if value is None}
    assert passed_on == {*KEYS, "OLLAMA_BASE_URL"}
