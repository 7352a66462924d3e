"""The repository itself: what is in it, what must not be in it, and that its parts agree with each other."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from shutil import which

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENDORED = ROOT / "src/trunkline/server/admin/swagger_ui"
"""Other people's files, as they are."""
PACKAGE = ROOT / "src" / "trunkline"
MODULES = sorted((ROOT / "src").rglob("*.py"))
ROOMS = sorted(
    path.parent
    for path in (ROOT / "src").rglob("__init__.py")
    if path.parent != PACKAGE and "migrations" not in path.parts
)

MAX_LINES = 600
"""A guard only: a module is split where its purpose is, not where it reaches a number."""

MAKE_TARGETS = (
    *(
        "run",
        "dev",
        "install",
        "install-dev",
        "test",
        "test-cov",
        "test-clients",
        "lint",
        "format",
        "type-check",
        "check-all",
    ),
    *("bench", "bench-peers", "docker-build", "docker-run", "lock", "help"),
)

FOREIGN = re.compile(
    r"""
    (?<![\w./$}-]) / (?:work|root|home/\w+|Users/\w+|opt/wheels|tmp/\w+) (?![\w-])   # somebody's machine
    | \b pypi \. (?:python \. )? org | \b pythonhosted \. org | \b registry \. (?:npmjs|yarnpkg) \.
    | --(?:extra-)?index-url
    """,
    re.VERBOSE,
)

CLIENT_SETS = sorted(path.stem for path in (ROOT / "requirements" / "clients").glob("*.in"))
"""The sets of clients that ``make test-clients`` installs."""

PIN = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^\s;]+)(?P<rest>.*)")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


@cache
def tracked() -> tuple[Path, ...]:
    """Files under version control that are there."""
    if which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a clone")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = [
        f"{shown(path)}:{number}: {match[0]}"
        for path in tracked()
        if path.parent != VENDORED and b"\0" not in (content := path.read_bytes())
        for number, line in enumerate(content.decode().splitlines(), 1)
        if (match := FOREIGN.search(line))
    ]
    assert found == []


# ------------------------------------------------------------------------------------------------ pins


def pins(name: str) -> dict[tuple[str, str], str]:
    """(package, version) → markers and hashes, of ``requirements/<name>.txt``."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    lines = re.sub(r"(?m)^\s*#.*\n?", "", text).replace("\\\n", " ").splitlines()
    matches = [(line, PIN.fullmatch(line)) for line in lines if line.strip()]
    assert [line for line, match in matches if match is None] == []
    return {(match["name"], match["version"]): match["rest"] for _, match in matches if match}


def wanted(*groups: str) -> set[str]:
    """Names that pyproject.toml asks for: the package's own and those of the groups."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    requirements: list[str] = list(project["project"]["dependencies"])
    for group in groups:
        requirements += project["dependency-groups"][group]
    names = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
    return {re.sub(r"[-_.]+", "-", name[0]).lower() for name in names if name}


@pytest.mark.parametrize("name", ["build", "runtime", "test", "dev"])
def test_every_pin_has_its_hashes_and_is_the_same_everywhere(name: str) -> None:
    mine, widest = pins(name), pins("dev")
    assert [pin for pin, rest in mine.items() if not HASH.search(rest)] == []
    assert set(mine) <= set(widest)


@pytest.mark.parametrize("name", CLIENT_SETS)
def test_every_pin_of_a_client_has_its_hashes(name: str) -> None:
    found = pins(f"clients/{name}")
    assert [pin for pin, rest in found.items() if not HASH.search(rest)] == []
    asked = (ROOT / "requirements" / "clients" / f"{name}.in").read_text().splitlines()
    names = {line.partition("[")[0] for line in asked if line and not line.startswith("#")}
    assert names - {package for package, _ in found} == set()


@pytest.mark.parametrize(
    ("name", "groups"),
    [("runtime", ()), ("test", ("test", "engine")), ("dev", ("test", "engine", "lint"))],
)
def test_pins_follow_the_project_file(name: str, groups: tuple[str, ...]) -> None:
    assert wanted(*groups) - {package for package, _ in pins(name)} == set()


# -------------------------------------------------------------------------------------- ways of working


@pytest.mark.parametrize("target", MAKE_TARGETS)
def test_make_has_the_target_and_says_what_it_does(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"(?m)^\.PHONY: {target}$", makefile)
    assert re.search(rf"(?m)^{target}:.* ## \S", makefile)


def test_imports_point_down() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    if not command.exists():
        pytest.skip("needs import-linter (make install-dev)")
    result = subprocess.run(
        [command, "--no-cache", "--no-logo"], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr


# ------------------------------------------------------------------------------------------- documents

CODE_BLOCK = re.compile(r"(?ms)^ *(`{3,}|~{3,}).*?^ *\1")
LINK = re.compile(r"\]\((?P<target>[^)\s]+)(?: \"[^\"]*\")?\)")
HEADING = re.compile(r"(?m)^#{1,6} +(.+?) *$")


def anchors(document: Path) -> set[str]:
    """Fragments that lead to the document's headings, as code hosts make them."""
    headings = HEADING.findall(CODE_BLOCK.sub("", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_somewhere(document: Path, target: str) -> bool:
    name, _, fragment = target.partition("#")
    path = document.parent / name if name else document
    if not path.exists():
        return False
    return not fragment or path.suffix != ".md" or fragment in anchors(path)


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{shown(document)}: {target}"
        for document in tracked()
        if document.suffix == ".md"
        for target in LINK.findall(CODE_BLOCK.sub("", document.read_text()))
        if "://" not in target and not target.startswith("mailto:") and not leads_somewhere(document, target)
    ]
    assert broken == []


# ---------------------------------------------------------------------------------------------- modules


@pytest.mark.parametrize("module", MODULES, ids=shown)
def test_a_module_says_what_it_is_and_can_be_seen_at_a_glance(module: Path) -> None:
    source = module.read_text()
    assert ast.get_docstring(ast.parse(source)), "opens without a docstring"
    assert source.count("\n") <= MAX_LINES


@pytest.mark.parametrize("room", ROOMS, ids=shown)
def test_a_room_says_what_each_of_its_modules_is_for(room: Path) -> None:
    docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    inside = {path.stem for path in room.glob("*.py")} | {
        path.parent.name for path in room.glob("*/__init__.py")
    }
    modules = sorted(name for name in inside if not name.startswith("__"))
    named = set(re.findall(r"`(\w+)`", docstring))
    assert [name for name in modules if not {name, f"_{name.rpartition('_')[2]}"} & named] == []


def test_the_map_of_the_house_has_every_room() -> None:
    rooms = [path for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    document = ROOT / "docs" / "architecture.md"
    links = {target.removeprefix("../") for target in LINK.findall(document.read_text())}
    missing = [shown(room) for room in rooms if not room.name.startswith("__") and shown(room) not in links]
    assert missing == []


def test_test_modules_of_the_same_name_do_not_collide() -> None:
    directories = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert [shown(each) for each in sorted(directories) if not (each / "__init__.py").exists()] == []
