"""bayescale plot: a picture on disk, whole, or a sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.image
import matplotlib.pyplot as plt
import pytest

from bayescale.cli import main


class Done(NamedTuple):
    status: int
    out: str
    err: str


Cli = Callable[..., Done]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run `bayescale plot` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Done:
        with pytest.raises(SystemExit, match=r"^\d+$") as stopped:
            main(["plot", *map(str, arguments)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err and "this should not happen" not in err
        return Done(int(stopped.value.code or 0), out, err)

    return run


STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("form", STARTS)
def test_a_file_of_each_format(cli: Cli, saved: Path, form: str) -> None:
    done = cli("loss", saved, "-o", f"x.{form}", "--json", "--width", 6, "--height", 4, "--dpi", 50)
    found = json.loads(done.out)
    assert done.status == 0 and found == {
        "kind": "loss", "file": f"x.{form}", "format": form, "law": "chinchilla", "width": 6.0, "height": 4.0,
        "warnings": [],
    }  # fmt: skip
    assert Path(f"x.{form}").read_bytes().startswith(STARTS[form])
    assert [p.name for p in Path().iterdir()] == [f"x.{form}"]
    if form == "png":
        assert matplotlib.image.imread("x.png").shape[:2] == (200, 300)
    assert plt.get_fignums() == []


def test_the_same_fit_gives_the_same_bytes(cli: Cli, saved: Path) -> None:
    for name in ("a.svg", "b.svg"):
        assert cli("allocation", saved, "-o", name, "--reference", "all", "--beyond", 2).status == 0
    assert Path("a.svg").read_bytes() == Path("b.svg").read_bytes()


def test_options_reach_the_plot(cli: Cli, saved: Path) -> None:
    assert cli("loss", saved, "-o", "x.svg", "--against", "N", "--D", "1e10,1e11", "--interval", "0.8").status == 0
    assert cli("isoflop", saved, "-o", "y.pdf", "--C", "1e20,1e22").status == 0
    assert cli("priors", saved, "-o", "z.png", "--constant", "E", "--constant", "alpha").status == 0
    assert cli("trace", saved, "-o", "t.png", "--constant", "E").status == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("los", "{}", "-o", "x.png"), r"there is no plot 'los' (did you mean 'loss'?)"),
        (("loss", "{}", "-o", "x.jpg"), "cannot write x.jpg: the name of a plot ends with .png, .svg, .pdf"),
        (("loss", "{}", "-o", "none/x.png"), "there is no folder 'none'"),
        (("loss", "{}"), "Missing option '-o'"),
        (
            ("residuals", "{}", "-o", "x.png", "--against", "N"),
            "does not take --against; it takes --interval",
        ),
        (("comparison", "{}", "-o", "x.png"), "of a comparison (bayescale.studies.compare), not of a fit"),
        (("loss", "{}", "-o", "x.png", "--of", "a"), "--of names a law of a file of several"),
        (("loss", "{}", "-o", "x.png", "--against", "B"), "no input 'B'; against what: N, D, C"),
        (("loss", "none.nc", "-o", "x.png"), "there is no file 'none.nc'"),
        (("allocation", "{}", "-o", "x.png", "--reference", "all2"), "there is no published recipe 'all2'"),
        (("calibration", "none.jsonl", "-o", "x.png"), "cannot read none.jsonl"),
    ],
)
def test_what_is_refused(cli: Cli, saved: Path, arguments: tuple[str, ...], message: str) -> None:
    done = cli(*(a.format(saved) for a in arguments))
    assert done.status == 2 and message in " ".join(done.err.split()) and done.out == ""
    assert not list(Path().iterdir())


def test_a_failure_leaves_the_old_file(cli: Cli, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("x.png").write_bytes(b"old")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", full)
    done = cli("loss", saved, "-o", "x.png")
    assert done.status == 2 and "cannot write x.png: No space left on device" in done.err
    assert Path("x.png").read_bytes() == b"old" and [p.name for p in Path().iterdir()] == ["x.png"]
    assert plt.get_fignums() == []


def test_help_lists_the_kinds_and_loads_no_jax(python: Any) -> None:
    done = python(
        "import sys\nfrom bayescale.cli import main\n"
        "try: main(['plot', '--help'])\n"
        "except SystemExit: print([m for m in ('jax', 'matplotlib') if m in sys.modules])"
    )
    assert "isoflop" in done.stdout and done.stdout.strip().endswith("[]"), done.stderr
