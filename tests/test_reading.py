"""Tables as people have them, read through the command line; nothing is sampled here."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from conftest import shared_case
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import bayescale as bs
from bayescale.cli import main
from bayescale.errors import CODES, BayescaleError, DataError, UsageError
from bayescale.runs import COLUMNS, Observations, read_runs, select
from bayescale.runs.names import meaning
from bayescale.runs.numbers import decimal_mark, quantity, read_cells, size_in

GRID = pd.DataFrame(
    {
        "N": np.repeat([1e8, 4e8, 16e8], 3),
        "D": np.tile([2e9, 8e9, 32e9], 3),
        "loss": [3.52, 3.31, 3.2, 3.21, 2.95, 2.8, 3.05, 2.75, 2.55],
    }
)


class Read(NamedTuple):
    status: int
    seen: Observations | None
    err: str
    error: dict[str, str]


Fit = Callable[..., Read]


@pytest.fixture
def cli_fit(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    """`bayescale fit` up to where sampling would begin: what was read, and what was said."""
    module = sys.modules["bayescale.fit"] if "bayescale.fit" in sys.modules else __import__("bayescale.fit")
    seen: list[Observations] = []
    take = module.observations

    def observations(*arguments: Any, **options: Any) -> Any:
        seen.append(take(*arguments, **options))
        raise DataError("nothing is sampled here")

    monkeypatch.setattr(module, "observations", observations)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BAYESCALE_DEBUG", raising=False)

    def run(content: str | bytes | Path, *arguments: str, name: str = "runs.csv") -> Read:
        if isinstance(content, Path):
            path = content
        else:
            path = tmp_path / name
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        seen.clear()
        with pytest.raises(SystemExit, match=r"^\d+$") as stopped:
            main(["fit", str(path), *arguments, "--json"])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err and "this should not happen" not in captured.err, captured.err
        error = json.loads(captured.out)["error"]
        assert set(error) == {"code", "message"} and error["code"] in CODES
        return Read(int(stopped.value.code or 0), seen[0] if seen else None, captured.err, error)

    return run


def check(read: Read, N: list[float], D: list[float], loss: list[float]) -> None:
    assert read.seen is not None, read.err
    np.testing.assert_allclose(read.seen.inputs["N"], N, rtol=1e-12)
    np.testing.assert_allclose(read.seen.inputs["D"], D, rtol=1e-12)
    np.testing.assert_allclose(read.seen.observed, loss, rtol=1e-12)


# --- the cases ----------------------------------------------------------------------------------------------------

SIX = (
    [1e8, 4e8, 1e8, 4e8, 1.6e9, 1.6e9],
    [2e9, 2e9, 8e9, 8e9, 8e9, 3.2e10],
    [3.521, 3.212, 3.304, 2.951, 2.748, 2.552],
)


def test_european(cli_fit: Fit) -> None:
    text = "N;D;loss\n1e8;2e9;3,521\n4e8;2e9;3,212\n1e8;8e9;3,304\n4e8;8e9;2,951\n1,6e9;8e9;2,748\n1,6e9;3,2e10;2,552\n"
    read = cli_fit(text)
    check(read, *SIX)
    assert "commas in numbers read as decimal marks" in read.err
    check(cli_fit(text.encode("cp1252")), *SIX)
    check(cli_fit(text.replace("1e8", "100.000.000").replace("2e9", "2 000 000 000")), *SIX)
    no_evidence = "\n".join(line for line in text.splitlines() if "1,6" not in line)
    assert read_runs_text(no_evidence)["loss"].tolist() == [3.521, 3.212, 3.304, 2.951]
    tabs = text.replace(";", "\t")
    check(cli_fit(tabs.encode("utf-16"), name="runs.txt"), *SIX)


def read_runs_text(text: str, **options: Any) -> pd.DataFrame:
    path = Path("text.csv")
    path.write_text(text)
    return read_runs(path, **options)


def test_suffixes(cli_fit: Fit) -> None:
    text = (
        "model_size,tokens,loss\n70M,3B,2.927\n160M,3 billion,2.731\n410M,3B,2.604\n70M,30B,2.762\n"
        "160M,30B tokens,2.553\n"
        "1.4B,30B,2.216\n1.4B,0.3T,2.079\n6.9B,1.4T,1.882\n"
    )
    N = [7e7, 1.6e8, 4.1e8, 7e7, 1.6e8, 1.4e9, 1.4e9, 6.9e9]
    loss = [2.927, 2.731, 2.604, 2.762, 2.553, 2.216, 2.079, 1.882]
    check(cli_fit(text), N, [3e9, 3e9, 3e9, 3e10, 3e10, 3e10, 3e11, 1.4e12], loss)


def test_array(cli_fit: Fit) -> None:
    rows = [{"parameters": n, "compute_budget": c, "final_loss": y}
            for n, c, y in [(1e8, 6e17, 3.7), (1e8, 2.4e18, 3.33), (2e8, 2.4e18, 3.34), (2e8, 9.6e18, 3.03),
                            (4e8, 9.6e18, 3.04), (4e8, 3.84e19, 2.79), (8e8, 3.84e19, 2.81)]]  # fmt: skip
    text = json.dumps(rows, indent=1)
    first = cli_fit(text, name="array.json")
    D = [r["compute_budget"] / 6 / r["parameters"] for r in rows]
    expected = ([r["parameters"] for r in rows], D, [r["final_loss"] for r in rows])
    check(first, *expected)
    frame = pd.DataFrame(rows)
    for name, content in (
        ("a.json.gz", gzip.compress(text.encode())),
        ("a.csv.bz2", bz2.compress(frame.to_csv(index=False).encode())),
        ("a.jsonl.xz", lzma.compress(frame.to_json(orient="records", lines=True).encode())),
        ("a.tsv.gz", gzip.compress(frame.to_csv(sep="\t", index=False).encode())),
        ("columns.json", frame.to_json()),
        ("index.json", frame.to_json(orient="index")),
        ("split.json", frame.to_json(orient="split")),
        ("lists.json", json.dumps(frame.to_dict("list"))),
        ("wrapped.json", json.dumps({"project": "scaling", "runs": rows})),
        ("values.json", json.dumps([list(frame.columns), *frame.to_numpy().tolist()])),
        ("lines.json", frame.to_json(orient="records", lines=True)),
        ("one_line.jsonl", json.dumps(rows)),
    ):
        check(cli_fit(content, name=name), *expected)
    with zipfile.ZipFile("a.csv.zip", "w") as archive:
        archive.writestr("runs.csv", frame.to_csv(index=False))
        archive.writestr("__MACOSX/._runs.csv", "x")
    check(cli_fit(Path("a.csv.zip")), *expected)
    with zipfile.ZipFile("two.zip", "w") as archive:
        archive.writestr("a.csv", "N\n")
        archive.writestr("b.csv", "N\n")
    refused = cli_fit(Path("two.zip"))
    assert refused.error["code"] == "unreadable" and "it holds a.csv, b.csv" in refused.error["message"]
    for source in (rows, frame.to_dict("list"), {f"run {i}": row for i, row in enumerate(rows)}, frame):
        assert read_runs(source)["N"].tolist() == expected[0]


def test_excel(cli_fit: Fit) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["Pilot runs, spring"])
    sheet.append([])
    sheet.append(["run", "Params (M)", "Tokens (B)", "Val loss", None])
    for i, row in GRID.iterrows():
        sheet.append([f"r{i}", row["N"] / 1e6, f"{row['D'] / 1e9:g}", row["loss"], None])
    book.create_sheet("other").append(["N", "x"])
    book["other"].append([1, 2])
    book.save("runs.xlsx")
    read = cli_fit(Path("runs.xlsx"))
    check(read, *(GRID[n].tolist() for n in ("N", "D", "loss")))
    assert "the sheet 'Sheet' was read; runs.xlsx:other reads another" in read.err
    assert cli_fit(Path("runs.xlsx:other")).error["code"] == "missing_column"
    assert cli_fit(Path("runs.xlsx:Other")).error["message"].endswith("(did you mean 'other'?); it has Sheet, other")
    sheet["B6"] = "many"
    book.save("runs.xlsx")
    assert "row 6, column 'Params (M)' (N): 'many' is not a number" in cli_fit(Path("runs.xlsx")).err
    assert cli_fit(b"PK\x03\x04 no", name="broken.xlsx").error["code"] == "unreadable"


def test_excel_without_its_package(cli_fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    read = cli_fit(b"PK", name="runs.xlsx")
    assert read.status == 2 and read.error["code"] == "missing_package"
    assert "pip install 'bayescale[excel]'" in read.err


def test_crashed_runs_are_filtered_before_cells_are_checked(cli_fit: Fit) -> None:
    text = (
        "Name,State,N,D,loss\na,finished,1e8,2e9,3.521\nb,crashed,2e8,,\nc,finished,4e8,2e9,3.212\n"
        "d,finished,1e8,8e9,3.304\ne,finished,4e8,8e9,2.951\nf,finished,1.6e9,8e9,2.748\n"
        "g,finished,1.6e9,3.2e10,2.552\nh,crashed,1.6e9,3.2e10,NaN\n"
    )
    for where in ("State=finished", "State = finished", "State!=crashed", "State == 'finished'", "Name <= g|Name!=b"):
        options = [x for part in where.split("|") for x in ("--where", part)]
        check(cli_fit(text, *options), *SIX)
    read = cli_fit(text, "--drop-bad")
    check(read, *SIX)
    assert "dropped: 2 of 8 rows have cells that cannot be used and were left out: line 3, column D" in read.err
    assert read.seen is not None and read.seen.warnings[0].startswith("2 of 8 rows have cells that cannot be used")
    refused = cli_fit(text)
    assert refused.error["code"] == "bad_cells" and "--drop-bad leaves them out" in refused.err
    with pytest.raises(DataError, match=r"read_runs\(..., drop_bad=True\) leaves them out"):
        read_runs_text(text)
    for condition in ("State=finished", ["State=finished"], {"State": "finished"}):
        runs = read_runs_text(text, where=condition)
        assert len(runs) == 6 and runs.attrs["source"] == "text.csv where State=finished"
    assert cli_fit(text.replace("1e8", "x").replace("e9", "").replace("e8", ""), "--drop-bad").status == 1


def test_units_in_headers(cli_fit: Fit) -> None:
    loss = [3.521, 3.212, 3.304, 2.951, 2.748, 2.552]
    rows = list(zip([100, 400, 100, 400, 1600, 1600], [2, 2, 8, 8, 8, 32], loss, strict=True))

    def written(header: str) -> str:
        return "\n".join([header, *(",".join(map(str, row)) for row in rows)])

    for header in ("params (M),tokens (B),final_val_loss", "params_m,tokens_in_billions,loss [nats]",
                   "#params [million],Tokens (1e9),loss (nats/token)", "N (millions),D_B,val loss",
                   "params/1e6,tokens_billions,loss"):  # fmt: skip
        read = cli_fit(written(header))
        check(read, *SIX)
        assert "as its name says" in read.err
    told = cli_fit(written("m,t,y"), "--column", "N=m*1e6", "--column", "D = t * 1e9", "--column", "loss=y")
    check(told, *SIX)
    over = cli_fit(
        written("params (M),tokens (B),loss"), "--column", "N=params (M)*1e6", "--column", "D=tokens (B)*1e9"
    )
    check(over, *SIX)
    check(cli_fit(written("params (M),tokens (B),loss").replace("\n1600,", "\n1.6B,")), *SIX)
    compute = read_runs_text("N,compute (PF-days),loss\n1e9,2,3\n1e9,1e1,2.9\n")
    assert compute["C"].tolist() == pytest.approx([2 * 8.64e19, 8.64e20])
    hours = read_runs_text("N,compute (GPU-hours),loss\n1e9,2,3\n")
    assert "C" not in hours
    bits = read_runs_text("N,D,loss (bits)\n1e9,2e9,3\n")
    assert bits["loss"].tolist() == pytest.approx([3 * np.log(2)])


def test_millions(cli_fit: Fit) -> None:
    read = cli_fit(shared_case("millions.csv"))
    assert read.seen is not None and read.seen.rows == 40
    assert read.seen.inputs["N"].min() == 2e7 and read.seen.inputs["D"].min() == pytest.approx(1e8)


def test_billions_are_warned_of_with_what_mends_them(cli_fit: Fit) -> None:
    text = "N,D,loss\n.125,300,2.83\n.356,300,2.55\n.76,300,2.41\n.125,30,2.98\n.356,30,2.70\n1.32,30,2.6\n"
    read = cli_fit(text)
    assert "are these billions? N counts parameters (--column 'N=N*1e9' multiplies)" in read.err
    mended = cli_fit(text, "--column", "N=N*1e9", "--column", "D=D*1e9")
    assert mended.seen is not None and mended.seen.inputs["N"].tolist()[:2] == [1.25e8, 3.56e8]
    assert mended.seen.inputs["D"].max() == 3e11 and "billions" not in mended.err


def test_a_tracker_export(cli_fit: Fit) -> None:
    path = shared_case("tracker_export.csv")
    read = cli_fit(path, "--where", "State=finished", "--drop-bad")
    assert read.seen is not None and read.seen.rows == 186, read.err  # the last row of each run
    assert "dropped: 6 of 744 rows" in read.err and "column 'eval/loss' read as loss" in read.err
    assert "'train/loss' is a loss on the training data and is not used" in read.err
    web = cli_fit(path, "--where", "State=finished", "--where", "mix=web", "--where", "D > 1e9", "--drop-bad")
    assert web.seen is not None and 0 < web.seen.rows < 186 and web.seen.inputs["D"].min() > 1e9


# --- metrics ------------------------------------------------------------------------------------------------------


def test_perplexity(cli_fit: Fit) -> None:
    text = "num_params,perplexity\n124635456,11.96\n345355200,8.98\n603188352,7.98\n1005461760,7.17\n"
    read = cli_fit(text, "--law", "kaplan_n")
    assert read.seen is not None
    np.testing.assert_allclose(read.seen.observed, np.log([11.96, 8.98, 7.98, 7.17]))
    assert "column 'perplexity' read as loss: its logarithm" in read.err
    told = cli_fit(text.replace("perplexity", "p"), "--law", "kaplan_n", "--column", "loss=log(p)")
    assert told.seen is not None and told.seen.observed.tolist() == read.seen.observed.tolist()
    both = read_runs({"N": [1e8], "ppl": [12.0], "val_loss": [2.5]})
    assert both["loss"].tolist() == [2.5] and both["ppl"].tolist() == [12.0]
    for name in ("bpb", "eval/bpb", "bits_per_byte", "bits per character"):
        found = read_runs({"N": [1e8, 1e9], name: [1.0, 0.9]})
        assert found["loss"].tolist() == pytest.approx([np.log(2), 0.9 * np.log(2)])
    errors = read_runs({"N": [1e8], "ppl": [10.0], "se": [0.1]})
    assert errors["loss_se"].tolist() == pytest.approx([0.01])
    with pytest.raises(DataError, match="is a perplexity of 1 or less"):
        read_runs({"N": [1e8], "ppl": [0.9]})


def test_accuracy(cli_fit: Fit) -> None:
    text = "n,accuracy\n507,0.7169\n1015,0.8181\n2030,0.8693\n4059,0.8992\n"
    error = [0.2831, 0.1819, 0.1307, 0.1008]
    options = ("--law", "power_law_d", "--column", "D=n", "--metric", "error")
    for spelled in (text, re.sub(r"0\.(\d\d)(\d\d)", r"\1.\2", text), re.sub(r"0\.(\d\d)(\d\d)", r"\1.\2 %", text)):
        read = cli_fit(spelled, *options)
        assert read.seen is not None, read.err
        np.testing.assert_allclose(read.seen.observed, error)
        assert "what power_law_d calls loss is the table's error" in read.seen.warnings
        assert "error derived as 1 - accuracy" in read.err and "billions" not in read.err
    refused = cli_fit(text, "--law", "power_law_d", "--column", "D=n")
    assert refused.error["code"] == "missing_column"
    assert "the law can be fitted to the error rates: --metric error" in refused.err
    two = cli_fit(
        "N,D,acc (%)\n1e8,1e9,60\n2e8,1e9,66\n4e8,4e9,71\n8e8,4e9,75\n8e8,8e9,78\n1e9,1e10,80\n", "--metric", "error"
    )
    assert two.seen is not None and two.seen.observed.tolist() == pytest.approx([0.4, 0.34, 0.29, 0.25, 0.22, 0.2])
    holes = "N,D,accuracy\n1e8,1e9,.6\n2e8,1e9,\n4e8,4e9,.71\n8e8,4e9,.75\n8e8,8e9,.78\n1e9,1e10,.8\n2e9,1e10,.83\n"
    assert cli_fit(holes, "--metric", "error").error["code"] == "bad_cells"
    dropped = cli_fit(holes, "--metric", "error", "--drop-bad")
    assert dropped.seen is not None and dropped.seen.rows == 6


@pytest.mark.slow
def test_the_data_that_an_error_rate_needs() -> None:
    """About 1.3e4 rows for an error of .08, by four accuracies and a power law."""
    table = {"D": [507, 1015, 2030, 4059], "accuracy": [0.7169, 0.8181, 0.8693, 0.8992]}
    found = bs.fit("power_law_d", table, metric="error", method="nuts")
    assert found.converged
    at = found.predict(D=np.geomspace(4e3, 1e6, 200)).query("quantity == 'mean_curve'")
    reached = at[at["median"] <= 0.08]
    assert reached.empty or 8e3 < reached["D"].min() < 3e4


def test_a_metric_that_rises_is_refused(cli_fit: Fit) -> None:
    text = "N,score\n1e7,0.312\n3e7,0.389\n1e8,0.461\n3e8,0.524\n1e9,0.598\n3e9,0.649\n1e10,0.703\n3e10,0.744\n"
    law = ("--law", "kaplan_n")
    missing = cli_fit(text, *law)
    assert missing.error["code"] == "missing_column" and "--column 'loss=its name in the table'" in missing.err
    for options in (("--column", "loss=score"), ("--metric", "score")):
        read = cli_fit(text, *law, *options)
        assert read.status == 1 and read.error["code"] == "metric_rises"
        assert "score rises with N (rank correlation 1 over 8 rows), and kaplan_n falls" in read.err
        assert "--column 'accuracy=score' --metric error" in read.err
    turned = cli_fit(text, *law, "--column", "accuracy=score", "--metric", "error")
    assert turned.seen is not None and turned.seen.observed[0] == pytest.approx(0.688)
    assert cli_fit(text, *law, "--column", "error=1 - score", "--metric", "error").seen is not None
    assert cli_fit(text, *law, "--column", "loss=1 - score").seen is not None
    rewards = text.replace("0.", "2000.")
    assert "--column 'loss=K - score'" in cli_fit(rewards, *law, "--column", "loss=score").err
    with pytest.raises(DataError, match="metric='error'"):
        bs.fit("kaplan_n", {"N": np.geomspace(1e7, 1e9, 8), "loss": np.linspace(0.3, 0.7, 8)})


def test_a_valley_is_no_rise(cli_fit: Fit) -> None:
    """At one budget the loss falls with N and rises; noise among a few rows is none either."""
    N = np.geomspace(5e7, 2e9, 9)
    D = 1e19 / 6 / N
    loss = 1.8 + 400 * N**-0.34 + 410 * D**-0.28
    frame = pd.concat([pd.DataFrame({"N": N, "D": f * D, "loss": loss - 0.01 * f}) for f in (1, 2)])
    assert cli_fit(frame.to_csv(index=False)).seen is not None
    rng = np.random.default_rng(0)
    level = pd.DataFrame({"N": 10 ** rng.uniform(7, 9, 40), "D": 10 ** rng.uniform(9, 10, 40)})
    assert cli_fit(level.assign(loss=2.5 + 0.01 * rng.normal(size=40)).to_csv(index=False)).seen is not None


def test_negative_losses_get_advice(cli_fit: Fit) -> None:
    text = GRID.assign(nll=GRID["loss"] - 3.5).drop(columns="loss").to_csv(index=False)
    read = cli_fit(text)
    assert read.error["code"] == "bad_cells" and "A loss below zero (-0.95) is that of a density" in read.err
    assert "any K above 0.95: --column 'loss=nll + K'" in read.err
    check(cli_fit(text, "--column", "loss=nll + 3.5"), *(GRID[n].tolist() for n in ("N", "D", "loss")))


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        ({4: 10.8}, "loss is 10.8 at row 4, above log V"),
        (
            {2: 5.9},
            r"the loss of row 2 (5.9, against 3.31) is far above that of a smaller model on less data: diverged?",
        ),
        (dict.fromkeys(range(9), 2.5), "loss is 2.5 in every row: runs that learn nothing"),
    ],
)
def test_runs_that_failed_are_named(change: dict[int, float], warning: str) -> None:
    runs = read_runs(GRID.assign(loss=GRID["loss"].to_dict() | change))
    assert any(warning in note for note in runs.attrs["notes"]), runs.attrs["notes"]


def test_curves_that_died_or_diverged_are_named() -> None:
    curve = [5.0, 4.0, 3.5, 3.2, 3.1]
    parts = {"good": curve, "risen": [5.0, 4.0, 3.5, 6.5, 7.0], "dead": [3.3] * 5}
    rows = [
        {"run": run, "N": 1e8, "D": (i + 1) * 1e9, "loss": y} for run, ys in parts.items() for i, y in enumerate(ys)
    ]
    notes = " ".join(read_runs(rows).attrs["notes"])
    assert "the loss of risen (from 3.5 to 7) rose again: diverged?" in notes
    assert "the loss of dead (from row 10) never moves: a dead run" in notes and "good (" not in notes


# --- numbers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("70M", 7e7), ("1.4T", 1.4e12), ("7b", 7e9), ("350k", 3.5e5), ("1e21 FLOPs", 1e21), ("1.3 billion", 1.3e9),
        ("2 million params", 2e6), ("10^21", 1e21), ("1.2×10²¹", 1.2e21), ("3.1·10^20", 3.1e20), ("2^20", 2.0**20),  # noqa: RUF001
      
        (r"$1.2 \times 10^{21}$", 1.2e21), ("1.2 x 10**21", 1.2e21), ("40,000,000", 4e7), ("40.000.000", 4e7),
        ("40 000 000", 4e7), ("40\u202f000", 4e4), ("40'000'000", 4e7), ("1_000", 1e3), ("1,234.5", 1234.5),
        ("1.234,5", 1234.5), ("0,52", 0.52), ("1,6e9", 1.6e9), ("3,521", 3521.0), ("8 %", 0.08), ("71.7 percent",
        0.717),
        ("0.5 PF-days", 4.32e19), ("3 petaflop/s-days", 2.592e20), ("5 EFLOPs", 5e18), ("~7B", 7e9), ("−3", -3.0),  # noqa: RUF001
      
    ],
)  # fmt: skip
def test_numbers_as_people_write_them(text: str, value: float) -> None:
    read = quantity(text)
    assert read is not None and read.value == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    "text", ["", "x", "7B-chat", "1e", "12_34", "1,2,3", "1..2", "1 2", "B", "--1", "1" * 90, "٣M"]
)
def test_text_that_is_no_number(text: str) -> None:
    assert quantity(text) is None


def test_a_mark_that_could_be_either_is_decided_by_the_column() -> None:
    def read(*cells: str, name: str = "") -> list[float]:
        return read_cells(pd.Series(cells), name)[0].tolist()

    assert read("3,521", "2,9") == [3.521, 2.9]
    assert read("3,521", "40,000,000") == [3521, 4e7]
    assert read("3,521", name="loss") == [3.521] and read("3,521", name="N") == [3521]
    assert read("3.521", "2.9") == [3.521, 2.9] and read("40.000", "3,5") == [40000, 3.5]
    assert np.isnan(read("3,521", "2,9", "40,000,000")[0])
    assert decimal_mark(["3,521"]) is None and decimal_mark(["1.5", "1,5"]) == "?"
    with pytest.raises(DataError, match=r"'3,521' could be 3521 or 3\.521"):
        read_runs({"N": ["3,521", "2,9", "40,000,000"], "D": [1e9] * 3, "loss": [3.0] * 3})


def test_sizes_in_names() -> None:
    assert size_in("pythia-70m") == 7e7 and size_in("w-1.4B-4tpp") == 1.4e9 and size_in("opt_1p3b") == 1.3e9
    assert np.isnan(size_in("gpt2")) and np.isnan(size_in("7b-1T"))


@pytest.mark.parametrize(
    ("label", "name", "factor"),
    [
        ("config.model.n_params", "N", 1), ("train/tokens_seen", "D", 1), ("eval/loss", "loss", 1), ("n", "N", 1),
        ("summary.val_loss", "loss", 1), ("Training compute (FLOP)", "C", 1), ("compute (×10^18 FLOPs)", "C", 1e18),  # noqa: RUF001
      
        ("params (non-embedding)", "N", 1), ("Tokens, B", "D", 1e9), ("acc_pct", "accuracy", 0.01), ("model/N", "N", 1),
        ("compute (GPU-hours)", None, 1), ("config.d", None, 1), ("loss_2", None, 1), ("n_layers", None, 1),
        ("train_runtime", None, 1), ("params (5)", None, 1), ("group (B)", None, 1), ("size", None, 1),
    ],
)  # fmt: skip
def test_names_of_columns(label: str, name: str | None, factor: float) -> None:
    found = meaning(label)
    assert (found and found.name) == name
    assert found is None or found.factor == pytest.approx(factor)


# --- columns and conditions ---------------------------------------------------------------------------------------


def test_names_that_could_be_two_are_refused_with_what_mends_it(cli_fit: Fit) -> None:
    text = GRID.rename(columns={"loss": "eval/c4/loss"}).assign(**{"eval/pile/loss": 3.0}).to_csv(index=False)
    read = cli_fit(text)
    assert read.error["code"] == "ambiguous_column"
    assert "'eval/c4/loss' and 'eval/pile/loss' both read as loss" in read.err
    assert "--column 'loss=eval/c4/loss'" in read.err
    assert cli_fit(text, "--column", "loss=eval/c4/loss").seen is not None
    assert cli_fit(text, "--column", "loss=c4/loss").seen is not None
    two = read_runs(GRID.assign(**{"config.batch_size": 1, "train/batch_size": 2}))
    assert "B" not in two and any("could both be B and neither" in note for note in two.attrs["notes"])
    same = read_runs(GRID.rename(columns={"N": "config.n_params"}).assign(**{"summary.n_params": GRID["N"]}))
    assert same["N"].tolist() == GRID["N"].tolist()
    both = read_runs(GRID.assign(eval_loss=3.0))
    assert "column 'loss' is the loss; 'eval_loss' is not used" in both.attrs["notes"]


def test_missing_columns_are_explained_where_the_user_stands(cli_fit: Fit) -> None:
    text = GRID.rename(columns={"N": "size"}).to_csv(index=False)
    assert "--column 'N=its name in the table'" in cli_fit(text).err
    with pytest.raises(DataError, match=r"columns=\{'N': 'its name in the table'\}"):
        bs.fit("chinchilla", GRID.rename(columns={"N": "size"}))


@pytest.mark.parametrize(
    ("expression", "value"),
    [("a b*1e6", 2e6), ("1 - a b/100", 0.98), ("log(a b)", np.log(2)), ("-a b + 5", 3), ("a b^2*c", 12), ("8", 8),
     ("sqrt(a b)**2", 2), ("size(name)", 7e7), ("(a b + c)*2", 10), ("log2(a b)", 1)],
)  # fmt: skip
def test_expressions_of_columns(expression: str, value: float) -> None:
    frame = pd.DataFrame({"a": [1.0], "a b": ["2"], "c": [3], "name": ["m-70M"]})
    runs = read_runs(frame, columns={"loss": expression})
    assert runs["loss"].tolist() == pytest.approx([value])
    assert f"loss is {expression!r}" in runs.attrs["notes"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [("log(b)", "no column 'b'"), ("a.real*2", "neither a column"), ("__import__('os')*a", "function"), ("a*",
     "cannot"),
     ("sin(a)*1", "no function sin"), ("a if a else 1-a", "neither"), ("a*'x'", "'x' is not a number"), ("(a)(a)",
     "no function a"),
     ("log(a, a)", "neither"), ("a*" * 300 + "a", "too long"), ("10**400*a**9", "out of range")],
)  # fmt: skip
def test_what_is_no_expression(expression: str, message: str) -> None:
    with pytest.raises(BayescaleError, match=message):
        read_runs({"a": [1.0], "D": [1e9]}, columns={"loss": expression})


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("D > 2e9", 6), ("D>=2B", 9), ("N = 400M", 3), ("N!=4e8", 6), ("loss < 3", 4), ("C > 1e20", 1),
        ("note = a = b", 3),
        ("note != a = b", 6), ("flag = true", 5), ("path/xs <= 3", 4), ("xs>5", 3),
    ],
)  # fmt: skip
def test_conditions(condition: str, rows: int) -> None:
    frame = GRID.assign(**{"note": ["a = b", "c", None] * 3, "flag": [True, False] * 4 + [True], "path/xs": range(9)})
    assert len(read_runs(frame, where=condition)) == rows
    assert len(select(read_runs(frame), [condition])) == rows


def test_conditions_that_cannot_be(cli_fit: Fit) -> None:
    text = GRID.to_csv(index=False)
    for condition, code in (("State", "bad_condition"), ("= 3", "bad_condition"), ("D >", "bad_condition"),
                            ("State = x", "unknown_column"), ("D < 0", "nothing_selected")):  # fmt: skip
        read = cli_fit(text, "--where", condition)
        assert read.status == 2 and read.error["code"] == code, condition
    assert "it has N, D, loss" in cli_fit(text, "--where", "State = x").err


def test_selecting_leaves_the_frame_as_it_is() -> None:
    runs = read_runs(GRID)
    before = dict(runs.attrs)
    for where in ({}, (), {"N": "1e8"}):
        chosen = select(runs, where)
        chosen.attrs["source"] = "mine"
        chosen["new"] = 1
        assert runs.attrs == before and "new" not in runs
    frame = GRID.copy()
    select(frame, {})
    assert not frame.attrs


# --- Python -------------------------------------------------------------------------------------------------------


class Foreign:
    """A frame of another library."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame

    def to_pandas(self) -> pd.DataFrame:
        return self.frame


def test_frames_of_other_libraries() -> None:
    import pyarrow

    expected = read_runs(GRID)
    arrow = pyarrow.Table.from_pandas(GRID)

    class Stream:
        def __arrow_c_stream__(self, requested: Any = None) -> Any:
            return arrow.__arrow_c_stream__(requested)

    class Exchange:
        def __dataframe__(self, **options: Any) -> Any:
            return arrow.__dataframe__(**options)

    for source in (Foreign(GRID), arrow, Stream(), Exchange(), GRID.to_dict("records"), GRID.to_dict("list"),
                   {n: GRID[n].to_numpy() for n in GRID}, GRID.to_dict("index")):  # fmt: skip
        pd.testing.assert_frame_equal(read_runs(source)[["N", "D", "C", "loss"]], expected)
    with pytest.raises(DataError, match="holds what is of type int"):
        read_runs(3)  # type: ignore[arg-type]


def test_polars() -> None:
    polars = pytest.importorskip("polars")
    pd.testing.assert_frame_equal(read_runs(polars.DataFrame(GRID.to_dict("list"))), read_runs(GRID))


def test_a_fit_of_records(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["bayescale.fit"] if "bayescale.fit" in sys.modules else __import__("bayescale.fit")

    def stop(*_: Any, **__: Any) -> None:
        raise DataError("nothing is sampled here")

    monkeypatch.setattr(module, "sample", stop)
    for runs in (GRID.to_dict("records"), GRID.to_dict("list"), Foreign(GRID)):
        with pytest.raises(DataError, match="nothing is sampled here"):
            bs.fit("chinchilla", runs)


# --- fuzzed -------------------------------------------------------------------------------------------------------

HEADERS = ("N", "D", "loss", "params (M)", "tokens (B)", "eval/loss", "train/loss", "ppl", "bpb", "acc (%)", "error",
    "run",
           "Step", "run1 - eval/loss", "run1 - eval/loss__MAX", "70M", "160M", "metric", "value", "config", "_step",
           "E",
           "State", "compute (PF-days)", "batch_size", "loss_se", "a;b", '"', "", "N=1B", "x", "#params",
           "Unnamed: 0")  # fmt: skip
CELLS = ("", "1e9", "70M", "3,5", "3.521", "1,234", "40,000,000", "2.5", "nan", "NaN", "inf", "-1", "0", "8 %", "x",
    "{}",
         '{"a": 1}', "{'n_params': 1e9, 'loss': nan}", "1e400", "10^21", "True", "2026-08-01T10:00:00Z", "eval/loss",
         "\t",
         "0.5", "٣", "1e-320", "'", "1;2", "\x1b[31m", "\ufeff", "99", "10^9999", "9^9999")  # fmt: skip
CONDITIONS = ("State=finished", "D>1e9", "N<1B", "loss!=nan", "=", "x", "C>0", "a<=b", "ppl<10%")
EXPRESSIONS = (
    "N=params (M)*1e6",
    "loss=log(ppl)",
    "D=70M",
    "N=1",
    "loss=1/x",
    "loss=x**x",
    "N=size(run)",
    "E=(",
    "N=N*1e9",
)
fuzzed = settings(
    max_examples=150, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip


def sound(source: Any, **options: Any) -> None:
    """A table is read, or refused in one sentence with a code."""
    try:
        runs = read_runs(source, **options)
    except BayescaleError as error:
        assert "\n" not in str(error) and error.code in CODES
        assert isinstance(error, DataError | UsageError)
        return
    for name in ("N", "D", "C", "loss"):
        if name in runs:
            assert np.isfinite(runs[name]).all() and (runs[name] > 0).all()
    first = [n for n in runs.columns if n in ("N", "D", "C", "loss")]
    assert first == [n for n in COLUMNS if n in first]
    if runs.empty:  # every column was, and was left out
        return
    if any("is empty and was left out" in str(note) for note in runs.attrs["notes"]):
        return  # what it stood for is then taken from another column, if there is one
    again = read_runs(runs)
    common = [n for n in ("N", "D", "C", "loss") if n in runs]
    pd.testing.assert_frame_equal(again[common], runs[common])


@fuzzed
@given(data=st.data())
@example(data=None)
def test_a_fuzzed_table_is_read_or_refused(tmp_path: Path, data: Any) -> None:
    if data is None:
        return
    header = data.draw(st.lists(st.sampled_from(HEADERS), min_size=1, max_size=6, unique=True))
    rows = data.draw(
        st.lists(st.lists(st.sampled_from(CELLS), min_size=len(header), max_size=len(header)), min_size=0, max_size=6)
    )
    options = {
        "where": data.draw(st.lists(st.sampled_from(CONDITIONS), max_size=1)),
        "drop_bad": data.draw(st.booleans()),
        "columns": dict(x.split("=", 1) for x in data.draw(st.lists(st.sampled_from(EXPRESSIONS), max_size=1))),
    }
    frame = pd.DataFrame(rows, columns=header)
    mark = data.draw(st.sampled_from(",;\t|"))
    path = tmp_path / "a.csv"
    frame.to_csv(path, sep=mark, index=False)
    (tmp_path / "a.json").write_text(json.dumps(frame.to_dict("records")))
    for source in (path, tmp_path / "a.json", frame, frame.to_dict("list")):
        sound(source, **options)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.sampled_from(CELLS), st.integers()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(HEADERS), inner, max_size=4)),
    max_leaves=15,
)


@fuzzed
@given(content=json_values, raw=st.binary(max_size=60), ending=st.sampled_from(
    ["csv", "tsv", "txt", "json", "jsonl", "parquet", "xlsx", "csv.gz", "csv.zip", "json.bz2", "csv.xz",
    "dat"]))  # fmt: skip
def test_any_file_is_read_or_refused(tmp_path: Path, content: Any, raw: bytes, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    path.write_bytes(raw)
    sound(path)
    (tmp_path / "a.json").write_text(json.dumps(content))
    sound(tmp_path / "a.json")
    if isinstance(content, list | dict):
        sound(content)


@fuzzed
@given(text=st.one_of(st.text(max_size=20), st.text("0123456789.,eE+-×^*kMBT% '_", max_size=15)))  # noqa: RUF001
def test_any_text_is_a_number_or_none(text: str) -> None:
    for mark in (".", ",", "?"):
        read = quantity(text, mark)
        assert read is None or isinstance(read.value, float)
    meaning(text)


# --- codes --------------------------------------------------------------------------------------------------------


def test_codes_are_those_that_are_documented() -> None:
    root = Path(bs.__file__).parents[1]
    page = (root / "docs" / "howto" / "table.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.M)[-len(CODES) :] == list(CODES.items())
    used = set()
    for path in (root / "bayescale").rglob("*.py"):
        used |= set(re.findall(r'code="(\w+)"', path.read_text(encoding="utf-8")))
    assert used <= set(CODES)
