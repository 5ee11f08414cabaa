"""The reference of the command line is current and whole."""

from __future__ import annotations

from pathlib import Path

from covey.cli.reference import markdown
from covey.config import all_options

DOCS = Path(__file__).parents[2] / "docs"


def test_reference_in_the_documentation_is_current() -> None:
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == markdown(), "docs/cli.md is out of date: run `make docs`"


def test_reference_names_every_setting() -> None:
    text = markdown()
    assert [option.flag for option in all_options().values() if f"`{option.flag}`" not in text] == []
