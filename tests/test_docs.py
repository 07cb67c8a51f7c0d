"""The documentation's code runs: the Python blocks of each page, one after the other, in an empty folder."""

from __future__ import annotations

import pkgutil
import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from bayescale import cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
NAME = re.compile(r"`(bayescale(?:\.\w+)+)`")
COMMAND = re.compile(r"^    (?:\.venv/bin/)?bayescale (.*)$", re.MULTILINE)
SLOW = {
    "downstream.md",
    "kaplan2020.md",
    "README.md",
    "concepts.md",
    "compare.md",
    "experts.md",
    "groups.md",
    "priors.md",
    "recipes.md",
    "shapes.md",
}
"""Several fits of small tables, or comparisons."""


def blocks(page: Path) -> list[tuple[str, int]]:
    """The page's Python blocks with the number of lines before each."""
    text = page.read_text(encoding="utf-8")
    return [(found[1], text[: found.start(1)].count("\n")) for found in BLOCK.finditer(text)]


def parameter(page: Path) -> Any:
    return pytest.param(page, id=page.stem, marks=[pytest.mark.slow] if page.name in SLOW else [])


@pytest.mark.parametrize("page", [parameter(p) for p in PAGES if blocks(p)])
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: Any) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for code, before in blocks(page):
        exec(compile("\n" * before + code, str(page), "exec"), names)
    fits = [x for x in names.values() if type(x).__name__ in ("Fit", "Comparison")]
    assert all(x.converged for x in fits)


def test_what_is_named_exists() -> None:
    """Every `bayescale.module.name` of the pages and of the package's own docstrings."""
    sources = [*PAGES, ROOT / "CONTRIBUTING.md", *(ROOT / "bayescale").rglob("*.py"), *(ROOT / "models").glob("*.py")]
    named = {name for path in sources for name in NAME.findall(path.read_text(encoding="utf-8"))}
    assert "bayescale.answers.predict.predict" in named
    assert not {name for name in named if not exists(name)}


def exists(name: str) -> bool:
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def test_pages_with_code_are_found() -> None:
    assert {p.stem for p in PAGES if blocks(p)} >= {"README", "index", "kaplan2020", "own-law"}


@pytest.mark.parametrize("page", [pytest.param(p, id=p.stem) for p in PAGES if COMMAND.search(p.read_text("utf-8"))])
def test_commands_and_options_exist(page: Path) -> None:
    for line in COMMAND.findall(page.read_text(encoding="utf-8")):
        name, *arguments = shlex.split(line, comments=True)
        command = cli.bayescale.get_command(click.Context(cli.bayescale), name)
        assert command is not None, line
        command.make_parser(click.Context(command)).parse_args(arguments)
