"""Fits as xarray trees in ArviZ's schema, and as NetCDF files that hold numbers and text, never code."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote

import numpy as np

from bayescale.answers.predict import filled_blocks
from bayescale.answers.scores.predictive import pointwise_log_likelihood
from bayescale.catalogue import LawLike, law_from, laws
from bayescale.errors import UsageError, did_you_mean
from bayescale.law import Centre, setting_text
from bayescale.law.fields import Field
from bayescale.law.pool import Grouping, pooled
from bayescale.law.prior_text import parse_setting
from bayescale.law.varying import AnyLaw
from bayescale.likelihood import LIKELIHOODS, Likelihood
from bayescale.posterior.mode import Mode
from bayescale.posterior.posterior import Posterior
from bayescale.posterior.samples import Samples, quality
from bayescale.runs import Observations
from bayescale.runs.cost import Cost
from bayescale.runs.taken import Checkpoints
from bayescale.storage.netcdf import check_seal, read_tree
from bayescale.storage.source import source_hash

if TYPE_CHECKING:
    import xarray

Built = TypeVar("Built")

FORMAT = 2
"""Of the files: raised when an older reader would misread them."""

ROWWISE_LIMIT = 2**23
"""Numbers in a group of draws by rows: 64 MB, of which saving holds several copies."""

NEEDED = ("posterior", "unconstrained_posterior", "sample_stats", "observed_data", "constant_data")
"""Groups of a fit's tree that suffice to rebuild it; the others follow from them."""

PACKAGES = ("bayescale", "jax", "numpyro", "numpy")


def data_tree(fit: Posterior) -> xarray.DataTree:
    """A fit as an xarray DataTree with ArviZ's groups.

    Groups: posterior, unconstrained_posterior, sample_stats, posterior_predictive, log_likelihood, prior,
    prior_predictive, observed_data, constant_data. Dimensions chain, draw and run. Log likelihoods are of
    the metric on its own scale (the Jacobian of the logarithm included). The attribute ``bayescale`` is a
    JSON text that suffices, with the groups, to rebuild the fit.
    """
    import xarray

    chains, draws = fit.samples.z.shape[:2]
    # a large table's row-wise groups keep every so many draws; their coordinate says which
    step = -(-chains * draws * fit.runs.rows // ROWWISE_LIMIT)
    metric, runs = fit.law.metric, fit.runs.rows
    axes = {"chain": np.arange(chains), "draw": np.arange(draws)}
    rows = {"run": np.arange(runs)}

    def of_draws(values: Mapping[str, np.ndarray], axes: Mapping[str, np.ndarray]) -> xarray.Dataset:
        members = {member_dimension(f): ("member", f) for f in fit.law.vectors.values()}
        dimensions = {n: (member_dimension(f),) for n, f in fit.law.vectors.items()}
        named = {stored_name(n): (("chain", "draw", *dimensions.get(n, ())), x) for n, x in values.items()}
        coords = {d: list(f.members) for d, (_, f) in members.items() if any(d in dims for dims, _ in named.values())}
        return xarray.Dataset(named, coords={**axes, **coords})

    def of_rows(values: np.ndarray, along: dict[str, np.ndarray]) -> xarray.Dataset:
        shape = (*(len(x) for x in along.values()), runs)
        return xarray.Dataset({metric: ((*along, "run"), values.reshape(shape))}, coords={**along, **rows})

    prior = fit.target.constants_at(fit.samples.prior, fit.padded)
    prior_axes = {"chain": np.arange(1), "draw": np.arange(len(fit.samples.prior))}
    some_axes = {"chain": np.arange(chains), "draw": np.arange(0, draws, step)}
    some = {n: x[:, ::step].reshape(-1, *x.shape[2:]) for n, x in fit.samples.constants.items()}
    some_prior_axes = {"chain": np.arange(1), "draw": prior_axes["draw"][::step]}
    seen = {metric: ("run", fit.runs.observed)}
    given = {
        row_name(fit.law, n): ("run", x.astype(str) if x.dtype == object else x) for n, x in fit.runs.inputs.items()
    }
    if fit.runs.se is not None:
        given[f"{metric}_se"] = ("run", fit.runs.se)
    for label in ("group", "run"):
        if getattr(fit.runs, label) is not None:
            given[f"{label}_label"] = ("run", np.asarray(getattr(fit.runs, label), dtype=str))
    groups = {
        "posterior": of_draws(fit.samples.constants, axes),
        "unconstrained_posterior": xarray.Dataset(
            {"z": (("chain", "draw", "site"), fit.samples.z)}, coords={**axes, "site": fit.target.coordinates}
        ),
        "sample_stats": of_draws(fit.samples.stats, axes),
        "posterior_predictive": of_rows(_predictive(fit, some, 2), some_axes),
        "log_likelihood": of_rows(pointwise_log_likelihood(fit, step), some_axes),
        "prior": of_draws({n: x[None] for n, x in prior.items()}, prior_axes),
        "prior_predictive": of_rows(_predictive(fit, {n: x[::step] for n, x in prior.items()}, 3), some_prior_axes),
        "observed_data": xarray.Dataset(seen, coords=rows),
        "constant_data": xarray.Dataset(given, coords=rows),
    }
    for dataset in groups.values():
        dataset.attrs = {
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "inference_library": "bayescale",
            "inference_library_version": importlib.metadata.version("bayescale"),
        }
    tree = xarray.DataTree.from_dict(groups)
    tree.attrs = {"bayescale": json.dumps(_spec(fit), sort_keys=True), "bayescale_format": FORMAT}
    return tree


def _predictive(fit: Posterior, constants: Mapping[str, np.ndarray], stream: int) -> np.ndarray:
    rng = np.random.default_rng((fit.seed, stream))
    draws, parts = len(next(iter(constants.values()))), []
    for filled, size in filled_blocks(dict(fit.runs.inputs)):
        mean = fit.target.curve(constants, filled)
        keys = rng.integers(0, 2**32, (draws, 2), dtype=np.uint32)
        parts.append(np.asarray(fit.target.new_run(constants, mean, keys))[:, :size])
    return np.concatenate(parts, axis=1)


def tree_of(fits: Iterable[xarray.DataTree], content: Mapping[str, Any]) -> xarray.DataTree:
    """Several fits as one tree, a child each that suffices to rebuild it; `content` says what they are together."""
    import xarray

    children = {}
    for i, whole in enumerate(fits):
        children[f"fit{i}"] = xarray.DataTree.from_dict({g: whole[g].to_dataset() for g in NEEDED})
        children[f"fit{i}"].attrs = dict(whole.attrs)
    tree = xarray.DataTree(children=children)
    tree.attrs = {"bayescale": json.dumps(content, allow_nan=False), "bayescale_format": FORMAT}
    return tree


def fits_of(tree: xarray.DataTree, given: LawLike | None) -> list[Posterior]:
    """The fits of `tree_of`, in their order; `given` is the law, where one of them does not ship."""
    law = None if given is None else law_from(given)
    found = []
    for i in range(len(tree.children)):
        child = tree.children[f"fit{i}"]
        spec = json.loads(child.attrs["bayescale"])
        found.append(rebuild_fit(child, spec, law if law is not None and law.name == spec["law"] else None))
    return found


def rebuilt(path: str | Path, build: Callable[[xarray.DataTree, dict[str, Any]], Built]) -> Built:
    """What `build` makes of the tree in a file and of the text that describes it. Nothing in the file is executed.

    Raises
    ------
    UsageError
        The file is missing, not a fit, damaged, of a newer format, or its law is not at hand or has changed.
    """
    file = Path(path)
    if not os.path.isfile(file):  # unlike Path.is_file, False for a name that no file can have
        raise UsageError(f"there is no file {str(file)!r}")
    tree = read_tree(file)
    if "bayescale" not in tree.attrs or "bayescale_format" not in tree.attrs:
        raise UsageError(f"{file} is not a fit saved by bayescale: it lacks the attribute 'bayescale'")
    try:
        if int(tree.attrs["bayescale_format"]) > FORMAT:
            raise UsageError(
                f"{file} was written by a newer bayescale "
                f"(format {tree.attrs['bayescale_format']}, this one reads {FORMAT})"
            )
        found = build(tree, json.loads(tree.attrs["bayescale"]))
    except UsageError:
        raise
    except Exception as error:  # whatever a tampered file lacks
        raise UsageError(f"{file} is damaged: {type(error).__name__}: {error}") from None
    # last, so that what is wrong has a name where it can be given one
    check_seal(tree, file)
    return found


def _spec(fit: Posterior) -> dict[str, Any]:
    samples = fit.samples
    law = fit.law.law
    base = type(law)
    return {
        "law": base.name,
        "law_source": source_hash(base),
        "law_ships": base.__module__.startswith("bayescale.models"),
        "constants": {n: _setting_text(v, getattr(base, n)) for n, v in law.items()},
        "pool": [[c, list(labels), list(fit.law.varied(c))] for c, labels in fit.law.columns.items()],
        "spreads": {n: _setting_text(prior, None) for n, prior in fit.law.spreads.items()},
        "likelihood": fit.likelihood.name,
        "noise": {f.name: _setting_text(getattr(fit.likelihood, f.name), None) for f in fields(fit.likelihood)},
        "centre": fit.centre.values,
        "centre_given": fit.centre_given,
        "seed": int(fit.seed),
        "seconds": dict(fit.seconds),
        "source": fit.runs.source,
        "rows": [str(x) for x in fit.runs.labels],
        "run_warnings": list(fit.runs.warnings),
        "checkpoints": fit.runs.checkpoints and fit.runs.checkpoints.entry,
        "cost": asdict(fit.runs.cost),
        "has_group": fit.runs.group is not None,
        "has_run": fit.runs.run is not None,
        "data_sha256": data_hash(fit.runs),
        "converged": fit.converged,
        "failures": list(samples.failures),
        "notes": list(samples.notes),
        "method": samples.method,
        "k_hat": samples.k_hat,
        "log_evidence": [samples.log_evidence, samples.log_evidence_se],
        "modes": [
            {
                "z": m.z.tolist(),
                "log_density": m.log_density,
                "hessian": m.hessian.tolist(),
                "covariance": m.covariance.tolist(),
                "log_evidence": m.log_evidence,
            }
            for m in samples.modes
        ],
        "sampling_seconds": dict(samples.seconds),
        "prior_z": samples.prior.tolist(),
        "versions": {p: importlib.metadata.version(p) for p in PACKAGES},
    }


def rebuild_fit(tree: xarray.DataTree, spec: dict[str, Any], given: LawLike | None) -> Posterior:
    """A fit from the tree that `data_tree` makes and the JSON text of its attribute, read."""
    law = _rebuild_law(spec, given)
    noise = {n: _read_setting(t, n) for n, t in spec["noise"].items()}
    likelihood: Likelihood = LIKELIHOODS[spec["likelihood"]](**noise)
    metric, rows = law.metric, tree["constant_data"]
    runs = Observations(
        inputs={n: _stored(rows, row_name(law, n)) for n in (*law.inputs, *law.columns)},
        metric=metric,
        observed=tree["observed_data"][metric].to_numpy(),
        se=rows[f"{metric}_se"].to_numpy() if f"{metric}_se" in rows else None,
        labels=np.array(spec["rows"]),
        group=rows["group_label"].to_numpy().astype(str) if spec["has_group"] else None,
        run=rows["run_label"].to_numpy().astype(str) if spec["has_run"] else None,
        warnings=tuple(spec["run_warnings"]),
        source=spec["source"],
        cost=Cost(**spec.get("cost", {})),
        checkpoints=Checkpoints(**taken) if (taken := spec.get("checkpoints")) else None,
    )
    if data_hash(runs) != spec["data_sha256"]:
        raise UsageError(
            "the rows in the file are not those that were fitted (their hash differs); the file was changed"
        )
    constants = {unquote(str(n)): x.to_numpy() for n, x in tree["posterior"].data_vars.items()}
    samples = Samples(
        z=tree["unconstrained_posterior"]["z"].to_numpy(),
        constants=constants,
        stats={str(n): x.to_numpy() for n, x in tree["sample_stats"].data_vars.items()},
        prior=np.array(spec["prior_z"]),
        diagnostics=quality(law, constants),
        failures=tuple(spec["failures"]),
        notes=tuple(spec["notes"]),
        method=spec["method"],
        k_hat=spec["k_hat"],
        log_evidence=spec["log_evidence"][0],
        log_evidence_se=spec["log_evidence"][1],
        modes=tuple(
            Mode(
                np.array(m["z"]), m["log_density"], np.array(m["hessian"]), np.array(m["covariance"]), m["log_evidence"]
            )
            for m in spec["modes"]
        ),
        seconds=spec["sampling_seconds"],
    )
    centre, stated = Centre(spec["centre"]), spec.get("centre_given", False)
    return Posterior(law, likelihood, runs, centre, samples, spec["seed"], spec["seconds"], stated)


def _stored(rows: xarray.DataTree | xarray.DataArray, name: str) -> np.ndarray:
    """A column of the fitted rows; text as the object array that it was."""
    values: np.ndarray = rows[name].to_numpy()
    return values if values.dtype.kind == "f" else values.astype(str).astype(object)


def _rebuild_law(spec: dict[str, Any], given: LawLike | None) -> AnyLaw:
    if given is None and spec["law"] not in laws():
        hint = (
            "" if spec["law_ships"] else f"; it is not one that ships: give it as law='file.py:{spec['law']}' (--law)"
        )
        raise UsageError(
            f"the fit is of law {spec['law']!r}, which is not known here{did_you_mean(spec['law'], laws())}{hint}"
        )
    law = law_from(spec["law"] if given is None else given)
    if law.name != spec["law"]:
        raise UsageError(f"the fit is of law {spec['law']!r}, not of {law.name!r}")
    if source_hash(type(law)) != spec["law_source"]:
        raise UsageError(
            f"law {law.name!r} has changed since the fit was saved; fit again, or use the law that made it"
        )
    texts = spec["constants"]
    read = {n: _read_setting(t, n) for n, t in texts.items() if t != "default"}
    law = type(law)(**{n: read.get(n, getattr(type(law), n)) for n in texts})
    if not spec["pool"]:
        return law
    groupings = [Grouping(column, tuple(labels), tuple(varying)) for column, labels, varying in spec["pool"]]
    return pooled(law, groupings, {n: _read_setting(t, n) for n, t in spec["spreads"].items()})


def row_name(law: AnyLaw, name: str) -> str:
    """What an input is called beside the rows: the codes of groups are an index, as ArviZ's users call it."""
    return f"{stored_name(name)}_idx" if name in law.columns else stored_name(name)


def member_dimension(of: Field) -> str:
    """The dimension of what a field gives: the column of its groups, unless that is the name of another dimension."""
    return f"{of.dimension}_group" if of.dimension in ("chain", "draw", "run", "site") else stored_name(of.dimension)


def stored_name(name: str) -> str:
    """A constant's name as NetCDF allows it: those of groups are as free as the table's labels."""
    return name if name.isidentifier() else quote(name, safe=" []")


def data_hash(runs: Observations) -> str:
    """SHA-256 of the fitted numbers."""
    digest = hashlib.sha256()
    for values in (
        *(runs.inputs[n] for n in sorted(runs.inputs)),
        runs.observed,
        *([] if runs.se is None else [runs.se]),
    ):
        text = values.dtype.kind in "OU"
        digest.update(repr(values.tolist()).encode() if text else np.ascontiguousarray(values, dtype="<f8").tobytes())
    return digest.hexdigest()


def check_writable(fits: Iterable[Posterior]) -> None:
    """That files can hold these fits; what cannot be written can be looked at all the same.

    Raises
    ------
    UsageError
        A prior was given that no text makes.
    """
    for fit in fits:
        if fit.unwritable:
            raise UsageError(f"this fit of {fit.law.name} cannot be saved: {fit.unwritable}")


def _setting_text(value: Any, default: object) -> str:
    if value is default:
        return "default"
    return setting_text(value, rounded=False) if not isinstance(value, float) else f"{value:.17g}"


def _read_setting(text: str, name: str) -> Any:
    return parse_setting(text, (), name) if not text.isidentifier() else text
