"""The house in order: imports run one way, at module level as well as inside functions and for types."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import bayescale

PACKAGE = Path(bayescale.__file__).parent
ROOT = PACKAGE.parent
MODULES = {
    ".".join(("bayescale", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted([*PACKAGE.rglob("*.py"), *(PACKAGE / "models").glob("*.py")])
}


def imported(path: Path) -> set[str]:
    """The package's modules that a file names in an import, wherever in the file it stands."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written in full"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if name in MODULES else str(node.module) for name in names}
    return found & set(MODULES)


def test_no_module_imports_in_a_circle() -> None:
    """`bayescale` itself only names where its public names are, and no module may ask it for them."""
    graph = {name: imported(path) - {name} for name, path in MODULES.items() if name != "bayescale"}
    needs = {name: others - {"bayescale"} for name, others in graph.items()}
    assert {"bayescale.fit", "bayescale.models.chinchilla", "bayescale.law.law"} <= set(needs)
    TopologicalSorter(needs).prepare()  # raises CycleError, which names the modules of a circle


def test_files_fit_on_a_few_screens() -> None:
    long = {name: n for name, path in MODULES.items() if (n := len(path.read_text("utf-8").splitlines())) > 400}
    assert not long


@pytest.mark.skipif(not (ROOT / "CONTRIBUTING.md").is_file(), reason="installed without its source tree")
def test_contributing_names_every_room() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    folders = {p.parent.relative_to(ROOT).as_posix() for p in PACKAGE.rglob("__init__.py")} - {"bayescale"}
    rooms = {f"{f.removeprefix('bayescale/')}/" for f in folders | {"bayescale/models"}}
    assert not {r for r in rooms if f"`{r}`" not in text}


def parameters_of(tree: ast.AST) -> list[ast.arg]:
    """The parameters of all functions in a file, but for `self` and `cls`."""
    found: list[ast.arg] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            of = node.args
            found += [*of.posonlyargs, *of.args, *of.kwonlyargs, *filter(None, (of.vararg, of.kwarg))]
    return [p for p in found if p.arg not in ("self", "cls")]


def test_parameters_say_what_they_take() -> None:
    """Fewer than 1 in 20 are `Any`: mostly trees of anything for JAX, and options that are handed on to click, pandas
    or matplotlib. Laws (`bayescale.models`) are formulas of whatever a program puts in.
    """
    paths = {name: path for name, path in MODULES.items() if not name.startswith("bayescale.models")}
    parameters = {name: parameters_of(ast.parse(path.read_text(encoding="utf-8"))) for name, path in paths.items()}
    total = sum(map(len, parameters.values()))
    untold = [
        f"{name}:{p.lineno} {p.arg}"
        for name, found in parameters.items()
        for p in found
        if p.annotation is None or ast.unparse(p.annotation) == "Any"
    ]
    assert total > 1000 and len(untold) < 0.05 * total, "\n".join(untold)


def test_public_names_are_where_they_are_said_to_be() -> None:
    """A type checker reads them from imports, a running program from a table."""
    tree = ast.parse(MODULES["bayescale"].read_text(encoding="utf-8"))
    (block,) = (n for n in tree.body if isinstance(n, ast.If))
    of_types = {}
    for node in block.body:
        assert isinstance(node, ast.ImportFrom)
        of_types |= {a.name: f"{node.module}".removeprefix("bayescale").lstrip(".") or a.name for a in node.names}
    assert of_types == bayescale._HOMES
