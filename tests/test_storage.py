"""Saved fits: what is read back is what was written, and nothing else is read."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
import xarray

import bayescale
from bayescale.answers.predict import predict
from bayescale.catalogue import law_from
from bayescale.errors import UsageError
from bayescale.fit import Fit, fit
from bayescale.law.law import REGISTRY
from bayescale.likelihood import StudentT
from bayescale.loading import load
from bayescale.posterior.data import RESOLUTION
from bayescale.storage import fit as storage
from bayescale.storage.source import source_hash


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    path = tmp_path / "copy.nc"
    path.write_bytes(saved.read_bytes())
    return path


def edit(path: Path, **changes: Any) -> None:
    with h5py.File(path, "r+") as file:
        spec = json.loads(file.attrs["bayescale"])
        file.attrs["bayescale"] = json.dumps({**spec, **changes})


def test_a_fit_comes_back(small_fit: Fit, saved: Path) -> None:
    found = load(saved)
    for name, draws in small_fit.constants.items():
        assert np.array_equal(found.constants[name], draws)
    assert np.array_equal(found.samples.z, small_fit.samples.z)
    assert np.array_equal(found.samples.prior, small_fit.samples.prior)
    pd.testing.assert_frame_equal(found.summary(), small_fit.summary())
    pd.testing.assert_frame_equal(found.predict(N=7e10, D=1.4e12), small_fit.predict(N=7e10, D=1.4e12))
    pd.testing.assert_frame_equal(found.allocate([1e21, 1e24]), small_fit.allocate([1e21, 1e24]))
    assert str(found) == str(small_fit) and found.seconds == small_fit.seconds
    assert found.warnings == small_fit.warnings and found.converged
    assert found.samples.log_evidence == small_fit.samples.log_evidence
    assert [m.log_evidence for m in found.samples.modes] == [m.log_evidence for m in small_fit.samples.modes]


def test_what_was_set_by_hand_comes_back(table: pd.DataFrame, tmp_path: Path) -> None:
    law = bayescale.models.Chinchilla(E=1.8, alpha="LogNormal(-1.1, 0.3)", beta="alpha")
    rows = table.assign(loss_se=0.01, group="a", run=[f"r{i}" for i in range(30)])
    first = fit(law, rows, likelihood="normal", method="laplace", centre={"N": 1e8})
    first.save(tmp_path / "f.nc")
    again = load(str(tmp_path / "f.nc"))
    assert repr(again.law) == repr(law) and repr(again.likelihood) == repr(first.likelihood)
    assert again.centre.values == first.centre.values
    assert np.array_equal(again.runs.se, rows["loss_se"]) and again.runs.run is not None and again.runs.run[3] == "r3"
    pd.testing.assert_frame_equal(predict(again, N=1e9, D=1e10), predict(first, N=1e9, D=1e10))
    again.save(tmp_path / "g.nc")
    assert load(tmp_path / "g.nc").constants.keys() == first.constants.keys()


def test_wrapped_priors_come_back(table: pd.DataFrame, tmp_path: Path) -> None:
    law = bayescale.models.Chinchilla(
        alpha=dist.TruncatedNormal(0.3, 0.1, low=0.0), beta="FoldedDistribution(Normal(0.3, 0.1))"
    )
    first = fit(law, table, likelihood=StudentT(nu=dist.TruncatedCauchy(3.0, 1.0, low=1.0)), method="laplace")
    first.save(tmp_path / "f.nc")
    again = load(tmp_path / "f.nc")
    assert repr(again.law) == repr(law) and repr(again.likelihood) == repr(first.likelihood)
    assert again.target is first.target


class Own(dist.LogNormal):  # type: ignore[misc]
    """A prior of a user's."""


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"law": {"alpha": Own(-1.2, 0.5)}}, r"alpha, Own\(loc=-1.2, scale=0.5, ...\)"),
        ({"nu": Own(1.0, 1.0)}, r"nu, Own\(loc=1, scale=1, ...\)"),
        (
            {"law": {"A": bayescale.stated("A", dist.LogNormal(6.0, 1.0), lambda q, law, at: q)}},
            r"A, A ~ LogNormal\(loc=6, scale=1\)",
        ),
    ],
)
def test_what_cannot_be_saved_says_so_and_can_be_looked_at(
    table: pd.DataFrame, tmp_path: Path, changes: dict[str, Any], text: str
) -> None:
    law = bayescale.models.Chinchilla(**changes.get("law", {}))
    noise = {n: v for n, v in changes.items() if n == "nu"}
    found = fit(law, table, likelihood=StudentT(**noise), method="laplace")
    reason = (
        rf"this fit( of chinchilla)? cannot be saved: the prior of {text}, has no text that makes it again: declare it"
    )
    assert re.match(reason, found.warnings[-1])
    with pytest.raises(UsageError, match=reason):
        found.save(tmp_path / "f.nc")
    assert not list(tmp_path.iterdir()) and found.data["posterior"].sizes["chain"] == 4


CELL = """
import sys
import jax.numpy as jnp, numpy as np, numpyro.distributions as dist, pandas as pd
import bayescale as bs
from bayescale.law import Law, Param

class Cell(Law):
    k: Param = dist.LogNormal(0.0, 1.0)
    m: Param = dist.LogNormal(0.0, 1.0)

    def loss(self, N):
        return self.k + self.m / jnp.log(N)

if sys.argv[2] == "save":
    N = np.geomspace(1e7, 1e10, 12)
    bs.fit(Cell, pd.DataFrame({"N": N, "loss": 2 + 9 / np.log(N)}), method="laplace").save(sys.argv[1])
print(len(bs.load(sys.argv[1], law=Cell).constants["k"]))
"""


def test_a_law_of_a_notebook_is_saved_and_recognised(python: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "f.nc")
    assert python(CELL, path, "save").stdout == "4\n"
    assert python(CELL, path, "load").stdout == "4\n"
    changed = python(CELL.replace("/ jnp.log(N)", "* N**-0.1"), path, "load")
    assert "law 'cell' has changed since the fit was saved" in changed.stderr


def test_the_tree_is_arvizs(small_fit: Fit) -> None:
    import arviz_stats

    tree = small_fit.data
    assert set(tree.children) >= {
        "posterior", "posterior_predictive", "log_likelihood", "prior", "prior_predictive", "sample_stats",
        "observed_data", "constant_data",
    }  # fmt: skip
    assert tree["posterior"]["E"].dims == ("chain", "draw") and tree["log_likelihood"]["loss"].dims == (
        "chain",
        "draw",
        "run",
    )
    table = arviz_stats.summary(tree, var_names=list(small_fit.constants), round_to=8)
    ours = small_fit.summary()
    for theirs, name in (
        ("mean", "mean"),
        ("sd", "sd"),
        ("ess_bulk", "ess_bulk"),
        ("r_hat", "r_hat"),
    ):
        found = table[theirs].astype(float).to_numpy()
        assert found == pytest.approx(ours.loc[table.index, name].to_numpy(), rel=2e-4), name  # its sd divides by n
    loo = arviz_stats.loo(tree)
    assert np.isfinite(loo.elpd) and 4 < loo.p < 12
    mean = tree["log_likelihood"]["loss"].mean(("chain", "draw")).to_numpy()
    assert loo.elpd == pytest.approx(mean.sum(), abs=loo.p + 2)


def test_the_log_likelihood_is_of_the_loss_itself(small_fit: Fit, table: pd.DataFrame) -> None:
    from scipy import stats

    c = {n: x[1, 7] for n, x in small_fit.constants.items()}
    mean = c["E"] + c["A"] * table["N"] ** -c["alpha"] + c["B"] * table["D"] ** -c["beta"]
    scale = np.hypot(c["sigma"], RESOLUTION)
    expected = stats.t(c["nu"]).logpdf(np.log(table["loss"] / mean) / scale) - np.log(scale) - np.log(table["loss"])
    found = small_fit.data["log_likelihood"]["loss"].sel(chain=1, draw=7).to_numpy()
    assert found == pytest.approx(expected.to_numpy(), rel=1e-9)


def test_predictive_draws_cover_the_rows(small_fit: Fit, table: pd.DataFrame) -> None:
    drawn = small_fit.data["posterior_predictive"]["loss"].to_numpy().reshape(-1, 30)
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    inside = ((table["loss"] > low) & (table["loss"] < high)).mean()
    assert inside > 0.7  # of 90 %: 30 rows
    prior = small_fit.data["prior_predictive"]["loss"].to_numpy().reshape(-1, 30)
    assert np.median(np.ptp(prior, axis=0)) > 10 * np.median(np.ptp(drawn, axis=0))


def test_files_hold_numbers_and_text_only(saved: Path) -> None:
    with h5py.File(saved) as file:
        kinds = set()
        file.visititems(lambda _, item: kinds.add(item.dtype.kind) if isinstance(item, h5py.Dataset) else None)
        assert kinds <= set("fiubOSU"), kinds  # O: variable-length text
        spec = json.loads(file.attrs["bayescale"])
    assert spec["law"] == "chinchilla" and spec["converged"] is True and spec["seed"] == load(saved).seed
    assert set(spec["versions"]) >= {"bayescale", "jax", "numpyro", "numpy"}
    tree = xarray.open_datatree(saved, engine="h5netcdf")
    assert tree["posterior"].attrs["inference_library"] == "bayescale"
    tree.close()


def test_missing_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*nothing.nc"):
        load(tmp_path / "nothing.nc")
    (tmp_path / "random.nc").write_bytes(np.random.default_rng(0).bytes(5000))
    with pytest.raises(UsageError, match=r"random.nc is not a fit saved by bayescale, or it is damaged"):
        load(tmp_path / "random.nc")
    (tmp_path / "empty.nc").touch()
    with pytest.raises(UsageError, match=r"empty.nc is not a fit saved by bayescale, or it is damaged"):
        load(tmp_path / "empty.nc")
    xarray.Dataset({"x": ("i", [1.0, 2.0])}).to_netcdf(tmp_path / "foreign.nc", engine="h5netcdf")
    with pytest.raises(
        UsageError, match=r"foreign.nc is not a fit saved by bayescale: it lacks the attribute 'bayescale'"
    ):
        load(tmp_path / "foreign.nc")


@pytest.mark.parametrize("share", [0.2, 0.7, 0.99])
def test_truncated_files_are_refused(copy: Path, share: float) -> None:
    whole = copy.read_bytes()
    copy.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UsageError, match=r"copy.nc is not a fit saved by bayescale, or it is damaged"):
        load(copy)


def test_changed_rows_are_refused(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        file["constant_data/N"][3] *= 1.001
    with pytest.raises(UsageError, match=r"the rows in the file are not those that were fitted \(their hash differs\)"):
        load(copy)


def test_changed_losses_are_refused(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        file["observed_data/loss"][0] += 1e-9
    with pytest.raises(UsageError, match="the file was changed"):
        load(copy)


def test_a_missing_group_is_refused(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        del file["unconstrained_posterior"]
    with pytest.raises(UsageError, match=r"copy.nc is damaged: KeyError"):
        load(copy)


def test_newer_files_are_refused(copy: Path) -> None:
    with h5py.File(copy, "r+") as file:
        file.attrs["bayescale_format"] = storage.FORMAT + 1
    with pytest.raises(
        UsageError,
        match=rf"written by a newer bayescale \(format {storage.FORMAT + 1}, this one reads {storage.FORMAT}\)",
    ):
        load(copy)


def test_a_law_that_changed_is_refused(copy: Path) -> None:
    edit(copy, law_source="0" * 64)
    with pytest.raises(UsageError, match="law 'chinchilla' has changed since the fit was saved; fit again"):
        load(copy)
    edit(copy, law="chinchila")
    with pytest.raises(
        UsageError, match=r"of law 'chinchila', which is not known here \(did you mean 'chinchilla'\?\)"
    ):
        load(copy)
    with pytest.raises(UsageError, match="the fit is of law 'chinchila', not of 'kaplan_nd'"):
        load(copy, law="kaplan_nd")


INHERITED = """
import numpyro.distributions as dist

from bayescale.law import Law, Param

FLOOR = dist.LogNormal(0.0, 1.0)


class Base(Law, register=False):
    E: Param = FLOOR

    def loss(self, N):
        return self.E + self.A / N


class Child(Base, register=False):
    A: Param = dist.LogNormal(0.0, 1.0)
"""


def test_a_law_changes_with_what_it_inherits_and_with_its_priors(tmp_path: Path) -> None:
    def hashed(name: str, text: str) -> str:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return source_hash(type(law_from(f"{path}:Child")))

    texts = (INHERITED, INHERITED, INHERITED.replace("/ N", "/ N**2"), INHERITED.replace("(0.0, 1.0)", "(0.0, 2.0)", 1))
    first, same, formula, prior = (hashed(f"law{i}.py", text) for i, text in enumerate(texts))
    assert first == same and len({first, formula, prior}) == 3


def test_what_a_file_says_is_never_executed(copy: Path, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    edit(copy, constants={n: f"open('{mark}', 'w')" for n in ("E", "A", "alpha", "B", "beta")})
    with pytest.raises(UsageError, match="open"):
        load(copy)
    assert not mark.exists()


def test_a_users_law_is_given_again(own_law: Path, table: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "line.nc"
    found = fit(f"{own_law}:Line", table, method="laplace")
    found.save(path)
    REGISTRY.pop("line")  # another process, which has not read the file
    with pytest.raises(
        UsageError, match=r"'line', which is not known here; it is not one that ships: give it as law='file.py:line'"
    ):
        load(path)
    again = load(path, law=f"{own_law}:Line")
    assert np.array_equal(again.constants["k"], found.constants["k"])
    own_law.write_text(own_law.read_text().replace("self.m / log(N)", "self.m / log(N) ** 2"), encoding="utf-8")
    with pytest.raises(UsageError, match="law 'line' has changed since the fit was saved"):
        load(path, law=f"{own_law}:Line")


def test_a_failed_write_leaves_what_was_there(small_fit: Fit, copy: Path, full_disk: Callable[[Path], None]) -> None:
    before = copy.read_bytes()
    full_disk(copy.parent)
    with pytest.raises(UsageError, match=r"cannot write .*copy.nc: No space left on device"):
        small_fit.save(copy)
    assert copy.read_bytes() == before and os.listdir(copy.parent) == ["copy.nc"]


def test_a_folder_that_is_not_there(small_fit: Fit, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write .*f.nc: No such file or directory"):
        small_fit.save(tmp_path / "nowhere" / "f.nc")


def test_saving_replaces_whole(small_fit: Fit, tmp_path: Path) -> None:
    path = tmp_path / "f.nc"
    path.write_text("something else")
    small_fit.save(path)
    assert load(path).converged and os.listdir(tmp_path) == ["f.nc"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
