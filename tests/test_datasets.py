"""Data sets: what ships is what was published, what is fetched is what was pinned."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import SHARED, shared_data

from bayescale import datasets
from bayescale.errors import DataError, UsageError
from bayescale.runs import read_runs
from bayescale.runs.delimited import read_exactly

DOWNLOADS = [name for name in datasets.names() if datasets.info(name).kind == "download"]


@pytest.fixture
def originals(monkeypatch: pytest.MonkeyPatch) -> Path:
    shared_data("epoch_chinchilla", "original")
    monkeypatch.setenv("BAYESCALE_DATA", str(SHARED))
    return SHARED


@pytest.mark.parametrize("name", ["palm2", "cerebras_gpt", "simulated_kaplan"])
def test_data_that_ship_load_without_warnings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BAYESCALE_DATA", raising=False)
    runs, entry = datasets.load(name), datasets.info(name)
    assert len(runs) == entry.rows and {"N", "D", "C", "loss"} <= set(runs.columns)
    assert not [note for note in runs.attrs["notes"] if note.startswith("warning: ")]
    assert runs.attrs["source"] == f"{name} ({entry.source})"
    assert read_runs(name).attrs == runs.attrs


def test_palm2_is_on_its_budgets() -> None:
    runs = datasets.load("palm2")
    assert runs["C"].value_counts().to_dict() == {1e22: 4, 1e21: 4, 1e20: 4}
    assert np.allclose(6 * runs["N"] * runs["D"], runs["C"], rtol=0.006)
    optima = runs.groupby("C")[["palm2_optimum_N", "chinchilla_optimum_N"]].first()
    assert optima.to_numpy().tolist() == [[1.04e9, 1e9], [3.35e9, 3e9], [10.7e9, 10e9]]
    assert runs.loc[runs.groupby("C")["loss"].idxmin(), "N"].tolist() == [1.46e9, 3.86e9, 9.5e9]


def test_cerebras_gpt_agrees_with_its_publications() -> None:
    runs = datasets.load("cerebras_gpt")
    assert [f"{tokens / 1e9:.1f}" for tokens in runs["D"]] == "2.2 5.1 11.8 26.3 53.0 133.2 257.1".split()
    assert np.allclose(runs["D"] / runs["N"], 20, rtol=1e-3)
    assert np.allclose(runs["N"], [111e6, 256e6, 590e6, 1.3e9, 2.7e9, 6.7e9, 13e9], rtol=0.02)
    # Eq. 1 of the paper, from which its own models scatter by 0.7 %.
    law = (runs["C"] / 5.984e22) ** -0.0737 + 0.5066
    assert np.abs(np.log(runs["loss"] / law)).max() < 0.015


def test_the_simulated_set_is_what_its_generator_makes() -> None:
    shipped = resources.files("bayescale.runs.datasets") / "simulated_kaplan.csv"
    simulated = datasets.simulate_kaplan(seed=0)
    pd.testing.assert_frame_equal(read_exactly(str(shipped)), simulated, check_exact=True)
    assert len(simulated) == 63 and simulated["N"].nunique() == 9 and simulated["D"].nunique() == 7
    assert not simulated.equals(datasets.simulate_kaplan(seed=1))
    assert "simulated_kaplan is simulated, not measured" in datasets.load("simulated_kaplan").attrs["notes"]


def test_unknown_names_suggest_the_nearest() -> None:
    for ask in (datasets.load, datasets.info, datasets.fetch):
        with pytest.raises(UsageError, match=r"no data set is called 'palm3' \(did you mean 'palm2'\?\); data sets: "):
            ask("palm3")
    with pytest.raises(UsageError, match="palm2 ships with the package"):
        datasets.fetch("palm2")


@pytest.mark.parametrize("name", DOWNLOADS)
def test_downloads_give_the_tidy_table(name: str, originals: Path) -> None:
    runs = datasets.load(name)
    tidy = read_exactly(originals / name / "tidy.csv")
    if name == "gemstones":
        tidy = tidy[tidy["subset"] != "slim_chinchilla"].reset_index(drop=True)  # no plain original
        tidy["run"] = tidy["run_name"]
    if "step" in tidy:
        tidy["S"] = tidy["step"].astype(float)
    if name == "mpl":
        tidy = tidy.drop(columns=["D", "C"])
    if name == "routing":
        tidy["run"] = tidy["run"].astype(str)
    tidy = tidy.astype({column: float for column in ("N", "D", "C") if column in tidy})
    assert len(runs) == datasets.info(name).rows
    common = [column for column in runs.columns if column in tidy.columns]
    assert {"N", "loss"} <= set(common) and not set(runs.columns) - set(common) - {"run"}
    exact = runs[common].drop(columns="C", errors="ignore")
    pd.testing.assert_frame_equal(exact, tidy[exact.columns], check_dtype=False, check_exact=True)
    if "C" in common:
        pd.testing.assert_series_equal(runs["C"], tidy["C"], check_exact=name == "epoch_chinchilla", rtol=1e-15)


def test_epoch_chinchilla_marks_the_rows_that_were_fitted(originals: Path) -> None:
    runs = read_runs("epoch_chinchilla")
    assert runs["epoch_in_fit"].sum() == 240
    assert runs.loc[runs["epoch_in_fit"] == 0, "loss"].min() > runs.loc[runs["epoch_in_fit"] == 1, "loss"].max()


def test_every_pin_is_a_file_of_the_data_folder(originals: Path) -> None:
    assert {name: len(datasets.fetch(name)) for name in DOWNLOADS} == {
        "epoch_chinchilla": 1, "routing": 2, "gemstones": 11, "mpl": 28,
    }  # fmt: skip


def test_a_file_that_is_not_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "epoch_chinchilla" / "original" / "svg_extracted_data.csv"
    file.parent.mkdir(parents=True)
    file.write_text("x,y\n")
    monkeypatch.setenv("BAYESCALE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"svg_extracted_data.csv is not the pinned file: its SHA-256 is [0-9a-f]{64}"):
        datasets.load("epoch_chinchilla")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pooch = pytest.importorskip("pooch")
    monkeypatch.delenv("BAYESCALE_DATA", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    return tmp_path / "bayescale"


def test_no_network_is_one_sentence(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(url: str, **_: object) -> str:
        raise OSError("Failed to resolve\nraw.githubusercontent.com")

    monkeypatch.setattr("pooch.retrieve", unreachable)
    with pytest.raises(
        DataError, match=r"gemstones: could not download https://.*\(Failed to resolve raw.*BAYESCALE_DATA"
    ):
        datasets.fetch("gemstones")


def test_the_cache_is_read_without_network(cache: Path, originals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(originals / "mpl" / "original", cache / "mpl" / "original")
    monkeypatch.delenv("BAYESCALE_DATA")
    paths = datasets.fetch("mpl")
    assert len(paths) == 28 and all(path.is_relative_to(cache) for path in paths)


def test_addresses_are_pinned_and_quoted(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, str] = {}

    def record(url: str, *, known_hash: str, fname: str, path: Path) -> str:
        asked[url] = known_hash
        return str(path / fname)

    monkeypatch.setattr("pooch.retrieve", record)
    datasets.fetch("gemstones")
    url = (
        "https://raw.githubusercontent.com/mcleish7/gemstone-scaling-laws/5f420478f6057b0cbb4d13405fb10ca64675bccb/"
        "wandb_dfs/wandb_df_for_fitting_hot_100b%2B.jsonl"
    )
    assert asked[url] == "sha256:1da97ce3d1394e0223826c8f5ca081cb0fb289ec65d2707fb5430721e92e9659"
