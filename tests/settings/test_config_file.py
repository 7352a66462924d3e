"""Reading ``trunkline.yaml``, and what a running gateway does not take over from it."""

from __future__ import annotations

from pathlib import Path

import pytest

from trunkline.settings import SettingsError
from trunkline.settings.config_file import MAX_BYTES, MAX_NODES, MAX_VALUES, WatchedFile, read_file

FULL = "providers:\n  up: {type: openai, api_key: x}\nlimits:\n  - {concurrent: 1}\nport: 8000\n"


def read(path: Path) -> dict[str, object]:
    return read_file(path, lambda name: None).values


def problem(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        read(path)
    (line,) = caught.value.problems
    return line


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("aliases: &a {x: *a}", "is nested too deeply, or refers to itself"),
        ("aliases: &a\n  x: [*a]", "is nested too deeply, or refers to itself"),
        ("aliases: " + "[" * 5000, "is nested too deeply, or refers to itself"),
        (
            "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
            + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)),
            f"has more than {MAX_VALUES} values",
        ),
        ("x:\n  " + "- " * 20_000, "is nested too deeply"),
        ("x: " + "{a: " * 20_000, "is nested too deeply"),
        ("? " * 20_000, "is nested too deeply"),
        (
            "a0: &a0 {k: 1}\n"
            + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 12)),
            f"has more than {MAX_VALUES} values, what it merges",
        ),
        ("# " + "x" * MAX_BYTES, f"has more than {MAX_BYTES} bytes"),
        ("x: [" + "a, " * MAX_NODES + "]", f"has more than {MAX_NODES} names and values"),
        ("port: " + ":".join(["59"] * 5000), "a number is too large"),
        ("port: " + "9" * 30, "a number is too large"),
        ("x: " + "${A:-" * 50_000, "references without a value"),
        ("port: 2024-99-99", "has a number, date or tag that cannot be read"),
        ("port: !!int x", "has a number, date or tag that cannot be read"),
        ("? [a, b]\n: 1\n? [a, b]\n: 2", "unhashable key"),
        ("port: 1\n---\nport: 2", "expected a single document"),
        ("just text", "must hold settings"),
        ("[1, 2]", "must hold settings"),
        ("42", "must hold settings"),
        ("port: 1\nport: 2", "'port' is given twice"),
        ("port: *nobody", "undefined alias"),
        ("port: !!python/object:os.x {}", "could not determine a constructor"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_problem(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "trunkline.yaml"
    path.write_text(text, encoding="utf-8")
    line = problem(path)
    assert line.startswith(str(path))
    assert told in line


def test_a_folder_in_place_of_the_file_is_told(tmp_path: Path) -> None:
    assert "is a folder and no file; Docker makes a folder" in problem(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.yaml"
    path.write_text("port: 1", encoding="utf-8-sig")
    assert read(path) == {"port": 1}
    path.write_text("port: 1", encoding="utf-16")
    assert "it is not UTF-8 text" in problem(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "the file is not there any more"),
        ("", "the file holds no settings any more"),
        (" \n\n", "the file holds no settings any more"),
        ("# all of it is a comment\n", "the file holds no settings any more"),
        ("---\n...\n", "the file holds no settings any more"),
        ("{}", "the file holds no settings any more"),
        ("providers:\nlimits: []\n", "the file holds no settings any more"),
        (FULL[: FULL.index("ai, api")], "expected ',' or '}'"),
        (FULL[: FULL.index("  - ")], "the file ends where it used to go on"),
        (FULL[: FULL.index("000\n")], "the file ends where it used to go on"),
    ],
)
def test_a_file_that_has_lost_its_settings_is_refused(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "trunkline.yaml"
    path.write_text(FULL, encoding="utf-8")
    file = WatchedFile(path)
    for _ in range(2):  # what was refused is not remembered
        if text is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(text, encoding="utf-8")
        with pytest.raises(SettingsError, match=told), file.read_again():
            pytest.fail("the file was not refused")
    path.write_text(FULL, encoding="utf-8")
    with file.read_again():
        pass


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (FULL, FULL + "host: a\n"),
        (FULL, FULL[: FULL.index("port")]),  # the last setting is taken out
        (FULL, FULL.rstrip()),
        (FULL, FULL.replace("8000", "80")),
        (FULL, "port: 1\n"),
        ("", FULL),
        ("# nothing\n", ""),
        (None, FULL),
        (None, ""),
    ],
)
def test_a_change_that_somebody_can_have_meant_is_accepted(
    tmp_path: Path, before: str | None, after: str
) -> None:
    path = tmp_path / "trunkline.yaml"
    if before is not None:
        path.write_text(before, encoding="utf-8")
    file = WatchedFile(path)
    path.write_text(after, encoding="utf-8")
    with file.read_again():
        pass


def test_a_text_that_could_not_be_used_is_not_remembered(tmp_path: Path) -> None:
    path = tmp_path / "trunkline.yaml"
    path.write_text(FULL, encoding="utf-8")
    file = WatchedFile(path)
    path.write_text("# new", encoding="utf-8")
    path.write_text("port: x\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="mine"), file.read_again():
        raise SettingsError("mine")
    path.write_text(FULL[: FULL.index("  - ")], encoding="utf-8")
    with pytest.raises(SettingsError, match="used to go on"), file.read_again():
        pass
