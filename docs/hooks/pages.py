"""Pages that are kept elsewhere in the repository: notebooks, benchmarks, changelog, and the reference."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

import bayescale as bs
from bayescale import cli

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BENCHMARKS = sorted(p for p in (ROOT / "benchmarks").glob("*.md") if p.stem != "README")
COPIED = {"changelog.md": ROOT / "CHANGELOG.md", "contributing.md": ROOT / "CONTRIBUTING.md"}
MODULES = (
    "answers.allocate answers.design_effect answers.predict answers.scores.evidence datasets hardware kaplan plot "
    "posterior.posterior report runs.curves runs.logged_rates runs.schedule studies.calibrate studies.compare.compared "
    "studies.multiplier studies.separate"
).split()
"""Those that users call by name."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add what was found to its section; pages of docs/ that the navigation does not name are measurements."""
    named = re.findall(r"[\w/-]+\.md", str(config.nav))
    docs = Path(config.docs_dir)
    rest = [p for p in sorted(docs.rglob("*.md")) if p.relative_to(docs).as_posix() not in named]
    found = {
        "Notebooks": [{_title(_markdown(p)): f"notebooks/{p.stem}.md"} for p in NOTEBOOKS],
        "Measurements": [{_title(p.read_text("utf-8")): p.relative_to(docs).as_posix()} for p in rest]
        + [{_title(p.read_text("utf-8")): f"benchmarks/{p.name}"} for p in BENCHMARKS],
        "Reference": [
            {"The command line": "reference/command-line.md"},
            *({f"bayescale.{name}": f"reference/{name}.md"} for name in _modules()),
        ],
    }
    for entry in config.nav or []:
        for section, pages in found.items():
            if section in entry:
                entry[section] += pages
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make the pages."""
    made: dict[str, str | bytes] = {name: path.read_text("utf-8") for name, path in COPIED.items()}
    made |= {f"benchmarks/{p.name}": p.read_text("utf-8") for p in BENCHMARKS}
    listed = []
    for path in NOTEBOOKS:
        text, resources = MarkdownExporter().from_filename(str(path), resources={"unique_key": path.stem})
        listed.append(f"- [{_title(text)}]({path.stem}.md)")
        made[f"notebooks/{path.stem}.md"] = f"{text}\n*Run it yourself: `notebooks/{path.name}` in the repository.*\n"
        made |= {f"notebooks/{name}": data for name, data in resources["outputs"].items()}
    made["notebooks/index.md"] = (
        "# Notebooks\n\nShort and plain, executed by the tests, on data that ship or are simulated in place.\n\n"
        + "\n".join(listed)
        + "\n"
    )
    made["reference/index.md"] = _package()
    made["reference/command-line.md"] = _command_line()
    made |= {f"reference/{name}.md": _module(module) for name, module in _modules().items()}
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def _markdown(path: Path) -> str:
    return str(MarkdownExporter().from_filename(str(path))[0])


def _title(text: str) -> str:
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    assert found, "a page begins with a heading"
    return found[1].replace("*", "")


def _modules() -> dict[str, ModuleType]:
    return {name: importlib.import_module(f"bayescale.{name}") for name in MODULES}


def _offered() -> dict[str, object]:
    """What the package itself offers, by name, without its submodules and plain values."""
    named = {n: getattr(bs, n) for n in bs.__all__}
    return {n: x for n, x in named.items() if str(getattr(x, "__module__", "")).startswith("bayescale.")}


def _package() -> str:
    modules = [f"`bs.{n}`" for n in bs.__all__ if isinstance(getattr(bs, n), ModuleType)]
    lines = [
        "# bayescale",
        "",
        "`import bayescale as bs` gives these names; each loads what it needs when it is first used. "
        f"Submodules: {', '.join(modules)}.",
        "",
    ]
    return "\n".join([*lines, *(f"::: {x.__module__}.{n}\n" for n, x in _offered().items())])


def _command_line() -> str:
    """What `--help` says, command by command."""
    group = click.Context(cli.bayescale, info_name="bayescale", terminal_width=84)
    lines = ["# The command line", "", "```text", group.get_help(), "```"]
    for name in cli.bayescale.list_commands(group):
        command = cli.bayescale.get_command(group, name)
        assert command is not None
        help_text = click.Context(command, group, name, terminal_width=84).get_help()
        lines += ["", f"## {name}", "", "```text", help_text, "```"]
    return "\n".join(lines) + "\n"


def _module(module: ModuleType) -> str:
    """The module's own functions and classes, and those of its submodules that it offers as its own."""
    own = {
        n: thing
        for n, thing in vars(module).items()
        if not n.startswith("_") and (inspect.isfunction(thing) or inspect.isclass(thing)) and _within(thing, module)
    }
    elsewhere = [n for n, thing in own.items() if _offered().get(n) is thing]
    lines = [f"# {module.__name__}", "", inspect.getdoc(module) or "", ""]
    if elsewhere:
        lines += [f"See also {', '.join(f'[{n}](index.md#{own[n].__module__}.{n})' for n in elsewhere)}.", ""]
    return "\n".join([*lines, *(f"::: {x.__module__}.{n}\n" for n, x in own.items() if n not in elsewhere)])


def _within(thing: object, module: ModuleType) -> bool:
    """Whether something is the module's own, one that it names as such, or a submodule's where it is a package."""
    home, named = str(getattr(thing, "__module__", "")), getattr(module, "__all__", ())
    below = hasattr(module, "__path__") and home.startswith(f"{module.__name__}.")
    return home == module.__name__ or below or getattr(thing, "__name__", "") in named
