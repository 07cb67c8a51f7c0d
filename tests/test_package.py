"""The package as a whole: its names, what importing it costs, what the laws may import."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest

import bayescale

ROOT = Path(bayescale.__file__).resolve().parents[1]
TREE = (ROOT / "pyproject.toml").is_file()
LAWS = sorted((ROOT / "models").glob("*.py")) if TREE else []


def test_public_names() -> None:
    assert bayescale.__all__ == sorted(bayescale.__all__) == dir(bayescale)
    assert set(bayescale.__all__) >= {
        "BayescaleError", "DataError", "Fit", "Law", "Param", "UsageError", "datasets", "derived", "evaluate", "fit",
        "law_from", "laws", "load", "models", "plot", "read_runs", "stated",
    }  # fmt: skip
    for name in bayescale.__all__:
        assert getattr(bayescale, name) is not None
    with pytest.raises(AttributeError, match="module 'bayescale' has no attribute 'fitt'"):
        _ = bayescale.fitt


def test_submodules_do_not_hide_functions(python: Any) -> None:
    """`bayescale.fit` is the function, whatever was imported before."""
    script = (
        "import bayescale.storage.fit, bayescale.fit, bayescale as bs\n"
        "from bayescale.fit import Fit\n"
        "print(callable(bs.load), bs.fit.__module__, callable(bs.fit))"
    )
    assert python(script).stdout.split() == ["True", "bayescale.fit", "True"]


@pytest.mark.parametrize("statement", ["import bayescale", "from bayescale.cli import main"])
def test_importing_is_light(python: Any, statement: str) -> None:
    heavy = "jax numpyro matplotlib scipy xarray pandas arviz_stats".split()
    done = python(f"import sys; {statement}; print([m for m in {heavy} if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr


PLAIN = "import sys; sys.modules.update(dict.fromkeys(['matplotlib', 'arviz_plots', 'pyarrow'])); "
"""Puts a fresh interpreter into the state of a plain install: importing what the extras bring fails."""


def test_a_plain_install_says_which_extra_a_plot_needs(python: Any, saved: Path, tmp_path: Path) -> None:
    command = PLAIN + "from bayescale.cli import main; main(sys.argv[1:])"
    drawn = python(command, "plot", "loss", str(saved), "-o", str(tmp_path / "loss.png"))
    assert drawn.returncode == 2 and drawn.stderr.splitlines() == [
        "bayescale: plots need matplotlib and arviz-plots, which a plain install leaves out: "
        "pip install 'bayescale[plot]'"
    ]
    written = python(command, "report", str(saved), "-o", str(tmp_path / "fit.html"))
    assert written.returncode == 0 and (tmp_path / "fit.html").stat().st_size > 10_000, written.stderr


def test_a_plain_install_says_which_extra_parquet_needs(python: Any, tmp_path: Path) -> None:
    (tmp_path / "runs.parquet").write_bytes(b"PAR1")
    command = PLAIN + "from bayescale.cli import main; main(sys.argv[1:])"
    done = python(command, "fit", str(tmp_path / "runs.parquet"), "-o", str(tmp_path / "fit.nc"))
    assert done.returncode == 2 and done.stderr.endswith(
        "runs.parquet: Parquet files need pyarrow, which a plain install leaves out: pip install 'bayescale[parquet]'\n"
    )


def test_every_name_imports_in_a_plain_install(python: Any) -> None:
    """Those that need an extra say so when they are used."""
    script = PLAIN + (
        "from bayescale import *; import bayescale as bs; help(bs.plot)\n"
        "try: bs.plot.loss\n"
        "except bs.UsageError as error: print(error)"
    )
    done = python(script)
    assert done.returncode == 0 and done.stdout.strip().endswith("pip install 'bayescale[plot]'"), done.stderr


def test_fitting_imports_neither_plots_nor_arviz(python: Any) -> None:
    script = (
        "import sys, bayescale as bs\n"
        "bs.fit, bs.load, bs.laws()\n"
        "print([m for m in ('matplotlib', 'arviz_stats', 'scipy.stats') if m in sys.modules])"
    )
    done = python(script)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.skipif(not TREE, reason="installed without its source tree")
def test_pyproject_names_every_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    declared = settings["tool"]["setuptools"]["packages"]
    inside = {".".join(p.parent.relative_to(ROOT).parts) for p in (ROOT / "bayescale").rglob("__init__.py")}
    assert set(declared) - {"bayescale.models"} == inside - {"bayescale.models"} and "bayescale.models" in declared
    assert not (ROOT / "tests" / "__init__.py").exists()


@pytest.mark.skipif(not TREE, reason="installed without its source tree")
@pytest.mark.parametrize("path", LAWS, ids=lambda p: p.name)
def test_laws_are_short_and_import_little(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 160
    allowed = (
        "math",
        "jax",
        "numpyro",
        *(f"bayescale.{m}" for m in ("law", "models", "rootfind", "kaplan", "runs.embeddings")),
    )
    for node in ast.walk(ast.parse(text)):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            base = str(node.module)
            names = [f"{base}.{a.name}" for a in node.names] if base == "bayescale" else [base]
        for name in names:
            assert any(name == a or name.startswith(f"{a}.") for a in allowed), f"{path.name} imports {name}"


def test_laws_are_not_imported_as_a_top_level_package(python: Any) -> None:
    done = python("import sys; sys.path.insert(0, sys.argv[1]); import models", str(ROOT))
    assert done.returncode == 1 and "ImportError: import bayescale.models, not models" in done.stderr
