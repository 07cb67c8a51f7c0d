"""`calibrate`: does a law's posterior hold what it says? Simulation-based calibration of the engine and the law."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from bayescale.catalogue import law_from
from bayescale.errors import UsageError
from bayescale.fit import METHODS
from bayescale.law import AnyLaw, Varying, setting_text
from bayescale.likelihood import likelihood_from
from bayescale.progress import Progress, silent
from bayescale.studies.calibrate.calibration import MASS as MASS
from bayescale.studies.calibrate.calibration import Calibration as Calibration
from bayescale.studies.calibrate.design import Design, design_of
from bayescale.studies.calibrate.file import FORMAT, append_results, begin_results, read_results, results_path
from bayescale.studies.calibrate.plan import ROWS
from bayescale.studies.calibrate.ranks import DRAWS, Ranked
from bayescale.studies.calibrate.simulate import BLOCK, Setting
from bayescale.studies.calibrate.work import in_blocks


def calibrate(
    law: Any,
    runs: Any = None,
    *,
    simulations: int = 500,
    rows: int = ROWS,
    likelihood: Any = "student_t",
    method: str = "nuts",
    centre: Mapping[str, float] | Literal["table"] | None = None,
    pool: Mapping[str, Any] | None = None,
    mass: float = MASS,
    seed: int = 0,
    refit: bool = True,
    processes: int = 1,
    output: str | Path | None = None,
    progress: Progress = silent,
) -> Calibration:
    """Check a law's posteriors by simulation (Talts et al. 2018, arXiv:1804.06788).

    Constants are drawn from the prior, runs are simulated with them, the law is fitted to those runs, and the constants
    are ranked among the draws of that posterior. The posteriors of many data sets are drawn together, in the
    coordinates and with the kernel of `fit` and held to its checks; those that do not pass are fitted one by one.

    Parameters
    ----------
    law : str, Law or type
        A law's name, a law with its priors, its class, or ``"file.py:Name"``.
    runs : DataFrame, str or Path, optional
        A table with the law's inputs, whose rows the simulated runs take, with their groups, runs and steps; by default
        `rows` rows spread over the range that each input usually has, in a few groups or along a few runs.
    simulations : int
        How many data sets.
    likelihood : {'student_t', 'normal', 'laplace', 'ar1'} or Likelihood
    method : {'nuts', 'laplace'}
    centre : mapping or 'table', optional
        Where priors are stated (input and metric -> value): by default the centre of the rows, the same for all data
        sets. 'table': constants are drawn so, but each fit has its priors at the median of its own simulated metric, as
        `fit` has them. Such priors see the data twice and ranks need not be uniform: the verdict is on the coverage of
        50 % and 90 % intervals.
    pool : mapping, optional
        Column -> the constants that vary by it, as `fit` takes it; these and their spreads are drawn for each data set.
    mass : float
        Of the simultaneous bands (Säilynoja et al. 2022, arXiv:2103.10522).
    seed : int
        Same seed, same data sets.
    refit : bool
        Fit one by one what the batch cannot do. If not, these count as refused: which ones they are depends on the
        data alone, so that the ranks of the others are uniform all the same.
    processes : int
        Blocks of data sets are done in so many processes.
    output : str or Path, optional
        A file (or a folder, for ``<law>.jsonl`` in it) that results are added to as they come. One that is there is
        continued.
    progress : callable
        Told of (stage, done, total).

    Returns
    -------
    Calibration

    Raises
    ------
    DataError
        The table cannot determine the law, or the prior gives no data.
    UsageError
        An option, name or file is wrong.
    """
    begun = time.perf_counter()
    if isinstance(law, Varying):
        raise UsageError(f"{law!r} is pooled already; give calibrate the law itself, and pool=")
    spec = law_from(law)
    _check(simulations, method, mass, seed, processes)
    if isinstance(centre, str) and centre != "table":
        raise UsageError(f"centre maps the metric and inputs to values, or is 'table', and is not {centre!r}")
    own_centre = isinstance(centre, str)
    scatter = likelihood_from(likelihood)
    design = design_of(
        spec,
        runs,
        rows=rows,
        centre=None if isinstance(centre, str) else centre,
        pool=pool,
        along_runs=scatter.along_runs,
    )
    setting = Setting(design.law(spec), scatter, design, seed, method, refit, own_centre)
    described = _described(setting)
    path = None if output is None else results_path(output, spec.name)
    done: dict[int, Ranked] = {}
    if path is not None:
        if path.exists():
            done = {r.simulation: r for r in read_results(path, described)}
        else:
            begin_results(path, described)
    todo = [i for i in range(simulations) if i not in done]
    finished = simulations - len(todo)
    progress("simulations", finished, simulations)

    def tick(more: int) -> None:
        nonlocal finished
        finished += more
        progress("simulations", finished, simulations)

    # a block for each process at least, and blocks of like size
    count = max(-(-len(todo) // BLOCK), min(processes, len(todo)))
    blocks = [part.tolist() for part in np.array_split(np.array(todo, int), count)] if todo else []
    for results in in_blocks(law, setting, blocks, processes, tick):
        done |= {r.simulation: r for r in results}
        if path is not None:
            append_results(path, results)
    seconds = time.perf_counter() - begun
    return collected(setting.law, design, [done[i] for i in range(simulations)], mass, described, seconds)


def collected(
    law: AnyLaw, design: Design, results: Sequence[Ranked], mass: float, settings: dict[str, Any], seconds: float
) -> Calibration:
    """A `Calibration` from its simulations."""
    good = [r for r in results if not r.failures]
    ranks = pd.DataFrame([r.ranks for r in good], index=pd.Index([r.simulation for r in good], name="simulation"))
    methods = pd.Series([r.method for r in results], index=pd.Index([r.simulation for r in results], name="simulation"))
    failures = {r.simulation: r.failures for r in results if r.failures}
    return Calibration(law, design, ranks, methods, failures, DRAWS, mass, settings, seconds)


def _check(simulations: int, method: str, mass: float, seed: int, processes: int) -> None:
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r}; there are: {', '.join(METHODS)}")
    if not 0 < mass < 1:
        raise UsageError(f"a band's mass is between 0 and 1 (0.95 for 95 %), not {mass}")
    if simulations < 20:
        raise UsageError(f"at least 20 simulations are needed to see anything; not {simulations}")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise UsageError(f"seed is a whole number from 0 up, not {seed!r}")
    if processes < 1:
        raise UsageError(f"processes is at least 1, not {processes}")


def _described(setting: Setting) -> dict[str, Any]:
    """What decides the results; text and numbers only."""
    design = setting.design
    numbers = json.dumps({n: x.tolist() for n, x in design.inputs.items()} | {"centre": design.centre.values})
    for more in (design.log_se, *(design.follows or ())):
        numbers += "" if more is None else json.dumps(more.tolist())
    return {
        "format": FORMAT,
        "version": importlib.metadata.version("bayescale"),
        "law": setting.law.name,
        "formula": setting.law.formula(),
        "priors": {n: setting_text(v) for n, v in setting.law.items()},
        "pool": {c: list(setting.law.varied(c)) for c in setting.law.columns},
        "likelihood": repr(setting.likelihood),
        "rows": design.rows,
        "design": design.source,
        "centre": "table" if setting.own_centre else "fixed",
        "design_hash": hashlib.sha256(numbers.encode()).hexdigest()[:16],
        "method": setting.method,
        "seed": int(setting.seed),
        "refit": setting.refit,
        "draws": DRAWS,
    }
