"""Partial pooling: the density written out again, shrinkage, effects of runs, predictions of groups, files, errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
from conftest import shared_data
from scipy import special, stats

import bayescale as bs
from bayescale.cli import main
from bayescale.fit import Fit, fit
from bayescale.law.labels import by_groups, coded
from bayescale.law.law import REGISTRY
from bayescale.law.pool import Grouping, pooled
from bayescale.likelihood import StudentT
from bayescale.loading import load
from bayescale.models import Chinchilla, ChinchillaTied
from bayescale.posterior.data import centre_of, padded
from bayescale.posterior.density import Target, target_of
from bayescale.posterior.fields import conditioning
from bayescale.runs import observations
from bayescale.studies.compare.comparable import same_question, same_rows

FLOORS = {"books/en": 1.6, "code": 1.2, "web 50%": 1.9}


def families(rows: int = 12, *, few: int = 3, seed: int = 0, sigma: float = 0.005) -> pd.DataFrame:
    """Runs of power laws in N whose floors differ by corpus; the last corpus has `few` rows."""
    rng = np.random.default_rng(seed)
    parts = []
    for i, (name, floor) in enumerate(FLOORS.items()):
        N = np.geomspace(1e7, 1e10, rows)[:: 1 if i < 2 else rows // few]
        loss = floor + (2e10 / N) ** 0.2
        parts.append(pd.DataFrame({"corpus": name, "N": N, "loss": loss * np.exp(sigma * rng.standard_normal(len(N)))}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return families()


@pytest.fixture(scope="module")
def pool_fit(table: pd.DataFrame) -> Fit:
    """Floors by corpus."""
    return fit("power_law_n", table, pool={"corpus": ["L_inf"]})


def scale_of(law: Any, constant: str) -> Any:
    """The prior of a spread."""
    return next(f.prior for f in law.latent if f.constant == constant)


def target_for(law: Any, table: pd.DataFrame, pool: dict[str, Any]) -> tuple[Target, Any, Any]:
    found = observations(table, inputs=law.inputs, metric=law.metric, constants=len(law.free), law=law.name)
    spec, rows = by_groups(law, found, table, pool)
    target = target_of(spec, StudentT())
    at = centre_of(found.inputs, law.metric, found.observed)
    return target, padded(rows.inputs, rows.observed, rows.se, at, law.metric), at


def test_the_density_is_the_model_written_out(simulate: Any) -> None:
    table = simulate(18)
    table["corpus"] = np.tile(["a", "b", "c"], 6)
    table["run"] = np.repeat([f"r{i}" for i in range(6)], 3)
    target, data, at = target_for(Chinchilla(), table, {"corpus": ["E", "A", "alpha"], "run": ["loss"]})
    sites = {n: size for n, (_, size) in target.sites.items()}
    z = 0.3 * np.random.default_rng(3).standard_normal(target.dimension)
    ends = np.cumsum([0, *sites.values()])
    u = {n: z[a:b] for n, a, b in zip(sites, ends[:-1], ends[1:], strict=True)}
    assert set(sites) == {
        "alpha", "beta", "E_stated", "A_stated", "B_stated", "tau_E", "tau_A", "tau_alpha", "tau_loss",
        "E by corpus", "A by corpus", "alpha by corpus", "loss by run", "sigma", "nu",
    }  # fmt: skip

    def one(name: str) -> float:
        return float(u[name][0])

    law = Chinchilla()
    log_prior = 0.0
    for name, (loc, scale) in {
        "alpha": (np.log(0.34), 0.6), "beta": (np.log(0.28), 0.6), "sigma": (np.log(0.01), 1.0), "nu": (np.log(5), 1.0),
    }.items():  # fmt: skip
        prior = getattr(law, name, None)
        if prior is not None:
            loc, scale = float(prior.loc), float(prior.scale)
        log_prior += stats.norm(loc, scale).logpdf(one(name))
    for name in ("A", "B"):
        prior = getattr(law, name).prior
        log_prior += stats.norm(float(prior.loc), float(prior.scale)).logpdf(one(f"{name}_stated"))
    share = special.expit(one("E_stated"))
    beta = law.E.prior
    log_prior += stats.beta(float(beta.concentration1), float(beta.concentration0)).logpdf(share) + np.log(
        share * (1 - share)
    )
    for name in ("E", "A", "alpha", "loss"):
        tau = np.exp(one(f"tau_{name}"))
        scale = float(scale_of(target.law, name).scale)
        log_prior += stats.halfnorm(scale=scale).logpdf(tau) + np.log(tau)
        log_prior += stats.norm.logpdf(u[f"{name} by {'run' if name == 'loss' else 'corpus'}"]).sum()

    corpus = np.tile([0, 1, 2], 6)
    run = np.repeat(range(6), 3)
    floor = at.loss * special.expit(one("E_stated") + np.exp(one("tau_E")) * u["E by corpus"][corpus])
    alpha = np.exp(one("alpha") + np.exp(one("tau_alpha")) * u["alpha by corpus"][corpus])
    A = np.exp(one("A_stated") + np.exp(one("tau_A")) * u["A by corpus"][corpus]) * at.loss * at.N**alpha
    b = np.exp(one("beta"))
    B = np.exp(one("B_stated")) * at.loss * at.D**b
    mean = floor + A * table["N"] ** -alpha + B * table["D"] ** -b
    mean *= np.exp(np.exp(one("tau_loss")) * u["loss by run"][run])
    residual = (np.log(table["loss"]) - np.log(mean)) / np.exp(one("sigma"))
    log_likelihood = (stats.t(np.exp(one("nu"))).logpdf(residual) - one("sigma") - np.log(table["loss"])).sum()
    assert target.evaluate(z[None], data)[0][0] == pytest.approx(log_prior + log_likelihood, rel=1e-7)


def test_coordinates_keep_the_density(pool_fit: Fit) -> None:
    target, data = pool_fit.target, pool_fit.padded
    z = pool_fit.samples.z[0, :5]
    line = conditioning(target, z[0], pool_fit.samples.prior, data)
    y = np.asarray(target.straighten(z, data, line))
    back, log_det = (np.asarray(x) for x in target.bend(y, data, line))
    assert back == pytest.approx(z, rel=1e-7)
    assert target.evaluate(y, data, line)[0] == pytest.approx(target.evaluate(z, data)[0] + log_det, rel=1e-7)


def test_without_pool_nothing_changes(table: pd.DataFrame) -> None:
    plain = fit("power_law_n", table, method="laplace")
    assert type(plain.law) is type(bs.law_from("power_law_n")) and not plain.law.latent
    assert not any("[" in n for n in plain.constants)


def test_groups_are_found_and_shrunk(table: pd.DataFrame, pool_fit: Fit) -> None:
    assert pool_fit.converged
    summary = pool_fit.summary()
    for name, floor in FLOORS.items():
        row = summary.loc[f"L_inf[{name}]"]
        assert abs(row["median"] - floor) < 4 * row["sd"]
    few, many = summary.loc["L_inf[web 50%]"], summary.loc["L_inf[code]"]
    assert few["sd"] > 0.8 * many["sd"]
    assert summary.loc["L_inf[unseen]", "sd"] > 4 * many["sd"]
    assert summary.loc["tau_L_inf", "low"] > 0.1


@pytest.mark.slow
def test_a_small_spread_is_complete_pooling(table: pd.DataFrame) -> None:
    """With the spread pinned near zero groups are alike; with a wide one they are their own."""
    tight = fit("power_law_n", table, pool={"corpus": {"L_inf": 1e-6}}, draws=250, limit=1000)
    same = [np.median(tight.constants[f"L_inf[{n}]"]) for n in FLOORS]
    assert np.ptp(same) < 1e-3
    wide = fit("power_law_n", table, pool={"corpus": {"L_inf": "HalfNormal(5)"}}, draws=250, limit=4000)
    own = [np.median(wide.constants[f"L_inf[{n}]"]) for n in FLOORS]
    assert own == pytest.approx(list(FLOORS.values()), abs=0.12)


def test_predictions_of_a_known_group_and_a_new_one(pool_fit: Fit) -> None:
    known = pool_fit.predict(N=1e11, corpus=["code", "web 50%", None])
    assert known["corpus"].tolist() == ["code"] * 2 + ["web 50%"] * 2 + ["unseen"] * 2
    curve = known[known["quantity"] == "mean_curve"].set_index("corpus")
    assert curve.loc["code", "median"] == pytest.approx(1.2 + 0.2**0.2, abs=0.05)
    assert curve.loc["unseen", "sd"] > 4 * curve.loc["code", "sd"]
    every = pool_fit.predict(N=[1e10, 1e11])
    assert every["corpus"].tolist() == [n for _ in range(2) for n in sorted(FLOORS) for _ in range(2)]
    assert every["N"].tolist() == [1e10] * 6 + [1e11] * 6
    at = every[(every["N"] == 1e11) & (every["quantity"] == "mean_curve")].set_index("corpus")
    assert at.loc["code", "median"] == curve.loc["code", "median"]
    pd.testing.assert_frame_equal(every, pool_fit.predict(N=[1e10, 1e11]))
    in_table = pool_fit.predict(pd.DataFrame({"corpus": ["code", "unheard of"], "N": 1e11}))
    assert in_table["corpus"].tolist() == ["code"] * 2 + ["unseen"] * 2
    drawn = pool_fit.predict_draws(N=[1e10, 1e11], corpus="code")
    assert drawn["corpus"].values.tolist() == ["code", "code"]
    with pytest.raises(
        bs.UsageError, match=r"no corpus 'cod' \(did you mean 'code'\?\); it has .*is one that the table lacks"
    ):
        pool_fit.predict(N=1e11, corpus="cod")


def test_files_keep_groups(pool_fit: Fit, tmp_path: Path) -> None:
    pool_fit.save(tmp_path / "fit.nc")
    again = load(tmp_path / "fit.nc")
    assert isinstance(again, Fit) and again.law.columns == pool_fit.law.columns
    assert list(again.constants) == list(pool_fit.constants) and repr(again) == repr(pool_fit)
    pd.testing.assert_frame_equal(again.summary(), pool_fit.summary())
    for groups in ({}, {"corpus": "books/en"}):
        pd.testing.assert_frame_equal(again.predict(N=1e11, **groups), pool_fit.predict(N=1e11, **groups))
    assert again.runs.inputs["corpus"].tolist() == pool_fit.runs.inputs["corpus"].tolist()
    with pytest.raises(bs.UsageError, match="is pooled already"):
        fit(again.law, families())
    with pytest.raises(bs.UsageError, match="pooled already; give calibrate the law itself"):
        bs.calibrate(again.law, families())


def test_constants_of_groups_have_a_dimension_named_by_their_column(pool_fit: Fit, tmp_path: Path) -> None:
    posterior = pool_fit.data["posterior"]
    assert posterior["L_inf by corpus"].dims == ("chain", "draw", "corpus")
    code = posterior["L_inf by corpus"].sel(corpus="code").to_numpy()
    assert np.array_equal(code, pool_fit.constants["L_inf[code]"])
    assert posterior["corpus"].values.tolist() == [*sorted(FLOORS), "unseen"]
    runs = families().assign(run=lambda t: t["corpus"]).drop(columns="corpus")  # a name that rows have already
    by_run = fit("power_law_n", runs, pool={"run": ["L_inf"]}, draws=250, limit=1000)
    by_run.save(tmp_path / "run.nc")
    again = load(tmp_path / "run.nc")
    assert isinstance(again, Fit) and again.data["posterior"]["L_inf by run"].dims == ("chain", "draw", "run_group")
    pd.testing.assert_frame_equal(again.summary(), by_run.summary())


def test_what_the_table_lacks_is_the_prior_of_a_group_given_the_population(pool_fit: Fit) -> None:
    """An unseen group's offset is standard normal in units of the spread, draw by draw."""
    flat = {n: x.reshape(-1, *x.shape[2:]) for n, x in pool_fit.samples.constants.items()}
    at = pool_fit.centre.loss
    offset = special.logit(flat["L_inf by corpus"][:, -1] / at) - special.logit(flat["L_inf"] / at)
    unit = offset / flat["tau_L_inf"]
    assert stats.kstest(unit, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(np.abs(unit), flat["tau_L_inf"])[0, 1]) < 5 / np.sqrt(len(unit))


def test_the_printed_fit(pool_fit: Fit) -> None:
    text = str(pool_fit)
    assert text.startswith("power_law_n by corpus: L(N)")
    order = [text.index(f"\n{n} ") for n in ("L_inf", "tau_L_inf", "sigma", "L_inf[books/en]", "L_inf[unseen]")]
    assert order == sorted(order)


def effects_table(runs: int = 10, rows: int = 4, seed: int = 0, *, shared: float = 0.02) -> pd.DataFrame:
    """Checkpoints of runs of a power law in C, each run with an offset of its own."""
    rng = np.random.default_rng(seed)
    N = np.repeat(np.geomspace(1e7, 1e10, runs), rows)
    D = np.tile(np.geomspace(1e9, 1e11, rows), runs)
    luck = np.repeat(shared * rng.standard_normal(runs), rows)
    loss = (1.8 + (1e9 / N) ** 0.35 * 0.5 + (1e9 / D) ** 0.4) * np.exp(luck + 0.003 * rng.standard_normal(len(N)))
    return pd.DataFrame({"run_name": np.repeat([f"r{i}" for i in range(runs)], rows), "N": N, "D": D, "loss": loss})


@pytest.fixture(scope="module")
def effects() -> Fit:
    return fit(bs.models.Chinchilla(E=1.8), effects_table(), pool={"run_name": "loss"})


def test_effects_of_runs(effects: Fit) -> None:
    assert effects.converged
    table = effects.summary()
    for constant, truth in {"alpha": 0.35, "beta": 0.4}.items():
        assert abs(table.loc[constant, "median"] - truth) < 4 * table.loc[constant, "sd"], constant
    # ten runs: their own spread is known to 1/sqrt(2 * 9), and 0.02 / 2 is three of that below
    assert 0.01 < table.loc["tau_loss", "median"] < 0.04
    new = effects.predict(N=1e10, D=1e11).set_index("quantity")
    old = effects.predict(N=1e10, D=1e11, run_name="r9").set_index("quantity")
    spread_of = {n: x.loc["new_run", "high"] - x.loc["new_run", "low"] for n, x in (("new", new), ("old", old))}
    assert spread_of["new"] > 1.2 * spread_of["old"]
    assert "run_name" in old and effects.law.effects == ("run_name",)
    assert "loss of 10 groups by run_name: medians from" in str(effects)
    assert "\nloss[r0]" not in str(effects) and "loss[r0]" in effects.summary().index


def test_allocation_and_derived_quantities(effects: Fit, simulate: Any) -> None:
    table = simulate(30)
    table["corpus"] = np.tile(["a", "b", "c"], 10)
    table.loc[table["corpus"] == "a", "loss"] *= 1.1
    found = fit("chinchilla", table, pool={"corpus": ["A", "alpha"]})
    known = found.allocate(1e22, corpus="a").set_index("quantity")
    every = found.allocate([1e21, 1e22])
    assert every.drop_duplicates(["C", "corpus"])["corpus"].tolist() == ["a", "b", "c"] * 2
    assert known.loc["N", "median"] == every[every["C"] == 1e22].set_index("quantity")["median"]["N"].iloc[0]
    new = found.allocate(1e22, corpus="unseen").set_index("quantity")
    assert new.loc["N", "sd"] > known.loc["N", "sd"]
    assert found.allocate(1e22, N=1e9, corpus="a").shape[0] == 6
    closed = found.allocate_draws(1e22, corpus="a")
    limited = found.allocate_draws(1e22, corpus="a", max_N=1e15)
    assert limited["N"].values == pytest.approx(closed["N"].values, rel=1e-4)
    of_group = found.derive("a", corpus=["a", "b"])
    assert of_group["corpus"].tolist() == ["a", "b"]
    summary = found.summary()
    assert summary.loc["a[a]", "median"] == pytest.approx(of_group["median"].iloc[0])
    assert {"a", "a[b]", "a[unseen]"} <= set(summary.index)
    assert "a[r0]" not in effects.summary().index
    with pytest.raises(bs.UsageError, match="no corpus 'z'"):
        found.allocate(1e22, corpus="z")


def test_a_tied_constant_follows() -> None:
    grouping = Grouping("corpus", ("a", "b"), ("alpha",))
    law = pooled(ChinchillaTied(), [grouping])
    assert {"tau_alpha", "alpha by corpus", "beta by corpus"} <= set(law.fields) and "tau_beta" not in law.fields
    assert law.inputs == ("N", "D") and law.name == "chinchilla_tied by corpus"
    assert law.name not in bs.laws() and REGISTRY["chinchilla_tied"] is ChinchillaTied
    groups = {f"{n} by corpus": np.array([0.3, 0.4, 0.5]) for n in ("alpha", "beta")}
    drawn = law.drawn({**dict.fromkeys(ChinchillaTied.fields, 0.5), "tau_alpha": 0.1, **groups})
    with jax.enable_x64(True):
        value = float(drawn.at(N=1e8, D=1e9, corpus=np.float64(1.0)))
        unseen = float(drawn.at(N=1e8, D=1e9))
    assert value == pytest.approx(0.5 + 0.5 * 1e8**-0.3 + 0.5 * 1e9**-0.3)
    assert unseen == pytest.approx(0.5 + 0.5 * 1e8**-0.5 + 0.5 * 1e9**-0.5)
    assert coded(law, {"N": 1.0, "corpus": ["b", None, "unseen"]})[1]["corpus"].tolist() == [2.0, 4.0, 4.0]
    assert coded(ChinchillaTied(), {"N": 1.0, "corpus": "b"}) == ({"N": 1.0, "corpus": "b"}, {})


def test_the_prior_of_a_spread() -> None:
    grouping = Grouping("corpus", ("a", "b"), ("alpha", "loss"))
    law = pooled(Chinchilla(alpha=dist.LogNormal(-1.0, 0.5)), [grouping])
    assert float(scale_of(law, "alpha").scale) == 0.25 and float(scale_of(law, "loss").scale) == pytest.approx(0.1)
    assert scale_of(pooled(Chinchilla(), [grouping], {"alpha": 0.3}), "alpha") == 0.3
    for wrong in ("Normal(0, 1)", -1.0, True):
        with pytest.raises(bs.UsageError, match=r"tau_alpha: (its|give a) prior"):
            pooled(Chinchilla(), [grouping], {"alpha": wrong})


def test_an_exact_name_of_a_group_comes_before_an_equal_number() -> None:
    law = pooled(Chinchilla(), [Grouping("seed", ("01", "1", "2.0"), ("E",))])
    assert coded(law, {"seed": ["1", "01", 1, 2, "2"]})[1]["seed"].tolist() == [2.0, 1.0, 2.0, 3.0, 3.0]


@pytest.mark.parametrize(
    ("law", "pool", "message"),
    [
        ("chinchilla", {"corpus": ["G"]}, r"no constant 'G'.*what can vary by group: E, A, alpha, B, beta, loss"),
        (Chinchilla(E=1.7), {"corpus": ["E"]}, r"E of law chinchilla is pinned at 1.7; what can vary"),
        ("chinchilla_tied", {"corpus": ["beta"]}, r"beta of law chinchilla_tied is tied to alpha and follows it"),
        ("chinchilla", {"grup": ["E"]}, r"no column 'grup' \(did you mean 'group'\?\)"),
        ("chinchilla", {"corpus": ["E"], "run": ["E"]}, r"E is given twice, by corpus and by run"),
        ("chinchilla", {"N": ["E"]}, r"N is an input of law chinchilla"),
        ("chinchilla", {"loss": ["E"]}, r"loss is what is predicted by law chinchilla"),
        ("chinchilla", {"corpus": []}, r"name what varies by 'corpus'"),
        ("chinchilla", {}, r"pool maps columns"),
        ("chinchilla", ["corpus"], r"pool maps columns"),
    ],
)
def test_wrong_poolings(simulate: Any, law: Any, pool: Any, message: str) -> None:
    table = simulate(12).assign(corpus=["a", "b"] * 6, run=["x", "x", "y", "y"] * 3)
    with pytest.raises(bs.UsageError, match=message):
        fit(law, table, pool=pool)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 12, "recipe is 'a' in every row; one group does not tell"),
        ([f"g{i}" for i in range(12)], "every row has a recipe of its own"),
        (["a", None] * 6, "6 rows have no recipe"),
    ],
)
def test_tables_without_groups(simulate: Any, labels: list[Any], message: str) -> None:
    with pytest.raises(bs.DataError, match=message):
        fit("chinchilla", simulate(12).assign(recipe=labels), pool={"recipe": ["E"]})


def test_evidence_and_comparison(table: pd.DataFrame, pool_fit: Fit) -> None:
    plain = fit("power_law_n", table, draws=250, limit=1000)
    assert pool_fit.evidence().log_evidence > plain.evidence().log_evidence + 5
    assert pool_fit.loo().elpd > plain.loo().elpd
    same_question({"plain": plain.law, "pooled": pool_fit.law})
    same_rows({"plain": plain.runs, "pooled": pool_fit.runs})


def test_command_line(table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    table.to_csv("runs.csv", index=False)

    def run(*arguments: str, status: int = 0) -> Any:
        with pytest.raises(SystemExit, match=f"^{status}$"):
            main(list(arguments))
        return capsys.readouterr()

    found = json.loads(
        run("fit", "runs.csv", "--law", "power_law_n", "--pool", "corpus=L_inf", "-o", "fit.nc", "--json").out
    )
    assert found["pool"] == {"corpus": ["L_inf"]} and "L_inf[code]" in found["parameters"]
    (entry,) = json.loads(run("predict", "fit.nc", "--N", "1e11", "--at", "corpus=code", "--json").out)["predictions"]
    assert entry["corpus"] == "code" and entry["mean_curve"]["median"] == pytest.approx(1.2 + 0.2**0.2, abs=0.05)
    assert "web 50%" in run("predict", "fit.nc", "--N", "1e11", "--at", "corpus=code,web 50%").out
    assert "did you mean 'code'" in run("predict", "fit.nc", "--N", "1e11", "--at", "corpus=cod", status=2).err
    run("fit", "runs.csv", "--law", "power_law_n", "--pool", "corpus=L", status=2)


def checkpoints(seed: int, runs: int = 14, rows: int = 6) -> pd.DataFrame:
    """Checkpoints along runs: each run has an offset of 1.5 % that stays, and neighbours share some of their noise."""
    rng = np.random.default_rng(seed)
    N, D = 10 ** rng.uniform(7, 10, runs), np.geomspace(1e9, 1e12, rows)
    noise = np.zeros((runs, rows))
    for i in range(rows):
        before = 0.3 * noise[:, i - 1] if i else 0.0
        noise[:, i] = before + 0.002 * rng.standard_normal(runs)
    luck = 0.015 * rng.standard_normal((runs, 1))
    loss = (1.8172 + 482.01 * N[:, None] ** -0.3478 + 2085.43 * D**-0.3658) * np.exp(luck + noise)
    return pd.DataFrame(
        {"run": np.repeat([f"r{i:02}" for i in range(runs)], rows), "N": np.repeat(N, rows), "D": np.tile(D, runs),
         "loss": loss.ravel()}
    )  # fmt: skip


@pytest.mark.study
def test_effects_of_runs_give_intervals_that_hold() -> None:
    """Of 20 tables, 90 % intervals of E and alpha: 18 of 20 are expected to hold the truth, 14 or more with 99.8 %."""
    held: dict[tuple[str, bool], int] = {}
    for seed in range(20):
        for pooling in (True, False):
            found = fit("chinchilla", checkpoints(seed), seed=seed, pool={"run": ["loss"]} if pooling else None)
            summary = found.summary()
            for name, truth in (("E", 1.8172), ("alpha", 0.3478)):
                inside = found.converged and summary.loc[name, "low"] < truth < summary.loc[name, "high"]
                held[name, pooling] = held.get((name, pooling), 0) + bool(inside)
    print(held)
    assert held["E", True] >= 14 and held["alpha", True] >= 14
    assert held["E", False] < held["E", True] and held["alpha", False] < held["alpha", True]
    assert held["E", False] + held["alpha", False] <= 28


def measured(name: str, column: str, value: str) -> pd.DataFrame:
    raw = pd.read_csv(shared_data(name, "tidy.csv"))
    return raw[raw[column] == value].reset_index(drop=True)


@pytest.mark.study
def test_gemstones_know_less_than_their_rows() -> None:
    rows = measured("gemstones", "subset", "hot")
    plain = fit("coupled", rows)
    runs = fit("coupled", rows, pool={"run_name": ["loss"]})
    assert plain.converged and runs.converged
    assert 0.01 < np.median(runs.constants["tau_loss"]) < 0.03

    def width(found: Fit) -> dict[str, float]:
        best = found.allocate(1e22).set_index("quantity")
        whole = {"E": found.summary().loc["E"], "loss at 1e22": best.loc["loss"], "N at 1e22": best.loc["N"]}
        return {n: float(x["high"] - x["low"]) for n, x in whole.items()}

    before, after = width(plain), width(runs)
    ratios = {n: after[n] / before[n] for n in before}
    print(ratios)
    assert min(ratios.values()) > 2
    wrong = fit("chinchilla", rows, pool={"run_name": ["loss"]})
    assert any("effects of run_name spread by" in w for w in wrong.warnings)


@pytest.mark.slow
def test_gadre_corpora() -> None:
    """The three training sets on one evaluation set, with the measurement error of every loss."""
    found = fit("chinchilla", measured("gadre", "eval_set", "c4_val"), pool={"train_set": ["E", "A"]})
    assert found.converged and found.runs.se is not None
    summary = found.summary()
    same = summary.loc["E[c4_original]", "median"]  # evaluated on its own corpus
    assert same < summary.loc["E[rpj]", "median"] and same < summary.loc["E[rw_original]", "median"]
    assert summary.loc["E[unseen]", "sd"] > 1.5 * summary.loc["E[rpj]", "sd"]
