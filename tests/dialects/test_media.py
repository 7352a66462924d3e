"""What is shown as text, and what is said to be left out."""

from __future__ import annotations

from trunkline.dialects.cost import read_cost
from trunkline.dialects.media import add_name, notice, shown_as_text, split_data_url
from trunkline.events import Media


def test_data_urls() -> None:
    assert split_data_url("data:image/webp;base64,AA==") == ("image/webp", "AA==")
    assert split_data_url("data:;base64,AA==") == ("image/png", "AA==")
    assert split_data_url("https://x.test/a.png") is None
    assert split_data_url(None) is None


def test_what_is_shown() -> None:
    not_shown: list[str] = []
    assert (
        shown_as_text(Media("image", url="https://x.test/a.png"), not_shown, follows_text=False)
        == "![image](https://x.test/a.png)"
    )
    assert shown_as_text(Media("audio", audio={"transcript": "Hi"}), not_shown, follows_text=True) == "Hi"
    assert not_shown == []
    picture = Media("image", url="data:image/png;base64,AA==")
    assert "image" in shown_as_text(picture, not_shown, follows_text=False)
    assert shown_as_text(picture, not_shown, follows_text=True).startswith("\n\n[")
    assert shown_as_text(Media("audio", audio={"data": "AA=="}), not_shown, follows_text=True) == ""
    assert not_shown == ["image", "audio"]
    assert "image, audio" in notice(not_shown)


def test_names_fit_a_header() -> None:
    not_shown: list[str] = []
    add_name(not_shown, "a\r\nb: é" + "x" * 100)
    add_name(not_shown, not_shown[0])
    assert not_shown == ["a__b_ _" + "x" * 53]


def test_costs() -> None:
    assert read_cost({"total_cost": 1, "input": 2}) == 1.0
    assert read_cost({"input": 2}) is None
    assert read_cost({"total": True}) is None
