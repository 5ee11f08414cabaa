"""What the documents say is what is there."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "covey"


def test_the_architecture_page_names_every_module():
    page = (ROOT / "docs" / "architecture.md").read_text()
    whole = {"bench", "cli", "config", "drafters"}  # described as packages
    names = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if not path.name.startswith("__")]
    missing = [str(n) for n in names if n.parts[0] not in whole and f"{n.name}`" not in page]
    assert not missing


def test_the_architecture_page_names_no_module_that_is_gone():
    page = (ROOT / "docs" / "architecture.md").read_text()
    existing = {path.name for path in PACKAGE.rglob("*.py")} | {path.name for path in (ROOT / "tests").glob("*.py")}
    assert set(re.findall(r"(\w+\.py)`", page)) <= existing


def test_the_readme_says_where_everything_is():
    places = re.search(r"^src/covey/\n(.*?)^tests/", (ROOT / "README.md").read_text(), re.S | re.M).group(1)
    shown = [name for line in places.splitlines() for name in re.split(" {2,}", line.strip())[0].split()]
    parts = [path.stem + "/" * path.is_dir() for path in PACKAGE.iterdir() if not path.name.startswith("__")]
    assert sorted(shown) == sorted(parts)


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))])
def test_links_between_pages_lead_somewhere(page):
    path = ROOT / page
    links = re.findall(r"\]\((?!http)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_readme_example_runs(capsys):
    """With the toy target, which needs no download."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    exec(compile(code.replace('"smollm2"', '"toy"'), "README.md", "exec"), {})
    text, figures = capsys.readouterr().out.rsplit("\n", 2)[:2]
    assert text and float(figures.split()[0]) >= 1


def test_the_example_drafter_runs_and_is_used(capsys):
    runpy.run_path(str(ROOT / "examples" / "my_drafter.py"), run_name="__main__")
    accepted, drafted = re.search(r"(\d+) of (\d+) drafted tokens accepted", capsys.readouterr().out).groups()
    assert 0 < int(accepted) <= int(drafted)
