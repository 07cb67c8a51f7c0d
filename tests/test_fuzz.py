"""Fuzzed: every command line, from each command's own declaration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import bayescale.cli
from bayescale.errors import DataError

quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]

# --- the command line -------------------------------------------------------------------------------------------------

FILES = (
    "good.csv", "fit.nc", "missing.csv", "folder", "empty.csv", "garbage.csv", "garbage.nc", "words.csv", "short.csv",
    "half.nc", "ragged.tsv", "list.jsonl", "fake.parquet", "law.py", "law.py:Nothing", "broken.py:Law", "palm2",
    "palm3",
)  # fmt: skip
OUTPUTS = (
    "out.nc",
    "out.csv",
    "out.png",
    "out.html",
    "nowhere/out.nc",
    "folder",
    ".",
    "out",
    "o\x1b[2Jut.svg",
    "a\nb.pdf",
)
WORDS = (
    "", " ", "0", "-1", "1e9", "1e9,7e9", "1e400", "nan", "inf", "1e-320", "1,,2", "0.9", "1", "0x10", "½", "E=1.69",
    "beta=alpha", "alpha=LogNormal(-1,0.5)", "alpha=Normal(0,-1)", "E=__import__('os')", "N=params", "=", "x=", "=x",
    "loss=loss", "group=1", "chinchilla", "kaplan_nd", "chinchila", "nuts", "laplace", "normal", "student_t", "N",
    "a" * 5000, "\x1b[31m", "--", "-", "\udcff", "%s%n", "../..", "NaN=NaN", "evidence", "stacking", "equal", "1e24",
    "loss,N",
)  # fmt: skip
GOOD = {"fit": "fit.nc", "fits": "fit.nc", "data": "good.csv", "kind": "loss", "law": "chinchilla", "laws": "kaplan_nd",
        "name": "chinchilla", "N": "1e9", "D": "1e10,2e11", "C": "1e21", "loss": "2.3", "interval": "0.5"}  # fmt: skip
"""What a parameter of that name takes: half of the values that are drawn."""
TEXT = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), max_size=12)


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with arguments drawn from its own parameters: mostly of the right kind, sometimes not."""
    name = draw(st.sampled_from([*bayescale.cli.COMMANDS, "frobnicate"]))
    if name not in bayescale.cli.COMMANDS:
        return [name, *draw(st.lists(st.sampled_from(WORDS), max_size=2))]
    command = bayescale.cli.bayescale.get_command(click.Context(bayescale.cli.bayescale), name)
    assert command is not None
    line = [name]
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            count = 1 if draw(st.integers(0, 19)) else draw(st.integers(0, 3))
            choices = getattr(parameter.type, "choices", None) or (*FILES, *WORDS)
            kinds = [
                st.sampled_from(list(choices)),
                st.sampled_from(FILES),
                TEXT.filter(lambda t: not t.startswith("-")),
            ]
            good = GOOD.get(str(parameter.name))
            if parameter.nargs == -1 and draw(st.booleans()):
                continue
            if good and draw(st.integers(0, 9)):
                line.append(good)
            else:
                line += [draw(draw(st.sampled_from(kinds))) for _ in range(count)]
        elif isinstance(parameter, click.Option) and (draw(st.integers(0, 3)) == 0 or parameter.required):
            line.append(draw(st.sampled_from(parameter.opts)))
            if not parameter.is_flag and parameter.name in GOOD and draw(st.booleans()):
                line.append(GOOD[parameter.name])
            elif not parameter.is_flag:
                output = isinstance(parameter.type, click.Path)
                line.append(draw(st.sampled_from(OUTPUTS) if output else st.one_of(st.sampled_from(WORDS), TEXT)))
    if draw(st.integers(0, 15)) == 0:
        line.insert(draw(st.integers(1, len(line))), draw(st.sampled_from(WORDS)))
    return line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, saved: Path, table: pd.DataFrame) -> Iterator[Path]:
    """A folder of good and bad files, in which commands run."""
    path = tmp_path_factory.mktemp("fuzz")
    whole = saved.read_bytes()
    table.to_csv(path / "good.csv", index=False)
    (path / "folder").mkdir()
    for name, content in {
        "fit.nc": whole,
        "half.nc": whole[: len(whole) // 2],
        "empty.csv": b"",
        "garbage.csv": bytes(range(256)) * 9,
        "garbage.nc": b"\x89HDF\r\n\x1a\n" + bytes(range(256)) * 9,
        "words.csv": b"N,D,loss\none,two,three\n",
        "short.csv": b"N,D,loss\n1e9,1e10,2.5\n2e9,3e10,2.4\n",
        "ragged.tsv": b"N\tD\tloss\n1\t2\n1\t2\t3\t4\n",
        "list.jsonl": b"[1, 2]\n",
        "fake.parquet": b"PAR1 not really PAR1",
        "law.py": b"x = 1\n",
        "broken.py": b"def (:\n",
    }.items():
        (path / name).write_bytes(content)
    before = os.getcwd()
    os.chdir(path)
    yield path
    os.chdir(before)


def check(line: list[str], capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    kept = {p.name: p.stat().st_size for p in folder.iterdir()}
    with pytest.raises(SystemExit, match=r"^\d+$") as stopped:
        bayescale.cli.main(line)
    captured = capsys.readouterr()
    status = int(stopped.value.code or 0)
    assert status in (0, 1, 2), (line, status)
    for bad in ("Traceback", "this should not happen", "\x1b", "\x07"):
        assert bad not in captured.err + captured.out, (line, captured.err[-500:])
    if status:
        assert captured.err.strip(), (line, "a failure must say why")
    for path in folder.iterdir():
        if path.name not in kept:
            assert not path.name.endswith(".part"), line
            path.unlink()
        elif path.name != "folder" and path.name in FILES:
            assert path.stat().st_size == kept[path.name], (line, path.name)


@pytest.fixture
def no_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits and figures end where the work would begin: what is fuzzed is everything before."""

    def stop(*_: Any, **__: Any) -> None:
        raise DataError("nothing is sampled here")

    import sys

    monkeypatch.setattr(sys.modules["bayescale.fit"], "sample", stop)
    monkeypatch.delenv("BAYESCALE_DEBUG", raising=False)


@settings(max_examples=40, deadline=None, suppress_health_check=quiet)
@given(line=command_lines())
@example(line=["predict", "fit.nc", "--at", "N=1e9", "--N", "1e9", "--D", "1e10"])
@example(line=["allocate", "fit.nc", "--C", "1e-300"])
@example(line=["allocate", "fit.nc", "--C", "1e300"])
@example(line=["predict", "fit.nc", "--N", "1e-300", "--D", "1e300", "--json"])
@example(line=["kaplan", "--N", "1e-300", "--D", "1e300"])
def test_a_command_line_is_answered(
    line: list[str], capsys: pytest.CaptureFixture[str], folder: Path, no_sampling: None
) -> None:
    check(line, capsys, folder)


@pytest.mark.study
@settings(max_examples=800, deadline=None, suppress_health_check=quiet)
@given(line=command_lines())
def test_many_command_lines_are_answered(
    line: list[str], capsys: pytest.CaptureFixture[str], folder: Path, no_sampling: None
) -> None:
    check(line, capsys, folder)
