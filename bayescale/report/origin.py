"""Where a report comes from: diagnostics, versions, seed, and the commands that make it again."""

from __future__ import annotations

import importlib.metadata
import platform
import shlex
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bayescale.fit import Fit
from bayescale.law import setting_text
from bayescale.posterior.samples import ESS_LIMIT, R_HAT_LIMIT
from bayescale.report.subject import Subject
from bayescale.storage.fit import PACKAGES, data_hash
from bayescale.storage.source import source_hash


def diagnostics(fit: Fit) -> list[tuple[str, str]]:
    """How the draws came about and how good they are, as pairs of label and text."""
    samples = fit.samples
    chains, draws = samples.z.shape[:2]
    worst = {k: [d[k] for d in samples.diagnostics.values()] for k in ("r_hat", "ess_bulk", "ess_tail")}
    said = [
        ("Verdict", "converged" if fit.converged else "NOT CONVERGED"),
        ("Method", f"{samples.method}, {chains} chains of {draws} draws"),
        ("Largest split R-hat", f"{np.max(worst['r_hat']):.4f} (at most {R_HAT_LIMIT})"),
        ("Smallest bulk ESS", f"{np.min(worst['ess_bulk']):.0f} (at least {ESS_LIMIT:.0f})"),
        ("Smallest tail ESS", f"{np.min(worst['ess_tail']):.0f} (at least {ESS_LIMIT:.0f})"),
    ]
    if "diverging" in samples.stats:
        said.append(("Divergent transitions", f"{int(samples.stats['diverging'].sum())} of {chains * draws}"))
    if samples.k_hat is not None and np.isfinite(samples.k_hat):
        said.append(("Pareto k-hat of the Laplace proposal", f"{samples.k_hat:.2f}"))
    said.append(("Posterior modes found", str(len(samples.modes))))
    said.append(("Scatter", f"log {fit.law.metric} about the log of the law: {fit.likelihood.name}"))
    said.append(("Time", f"{fit.seconds.get('total', float('nan')):.1f} s"))
    return said


def origin(subject: Subject, command: str) -> list[tuple[str, str]]:
    """Versions, seed, hashes and commands, as pairs of label and text."""
    fit = subject.lead
    versions = {p: importlib.metadata.version(p) for p in (*PACKAGES, "jinja2")}
    said = [
        ("Made", datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC")),
        ("This page", command),
        ("The fit" if not subject.comparison else "The comparison", again(subject)),
        ("Seed", str(fit.seed)),
        ("Data", fit.runs.source),
        ("SHA-256 of the fitted numbers", data_hash(fit.runs)),
        ("SHA-256 of the law's source", source_hash(type(fit.law.law))),
        ("Versions", ", ".join([f"Python {platform.python_version()}", *(f"{n} {v}" for n, v in versions.items())])),
        ("Pictures", "plotly.js (MIT licence), inside this file"),
    ]
    return said


def again(subject: Subject) -> str:
    """The command that makes such a fit or comparison, as far as the file tells."""
    fit, comparison = subject.lead, subject.comparison
    source = fit.runs.source.split(" (")[0]
    parts = ["bayescale", "compare" if comparison else "fit", *_table(source)]
    laws = [f.law for f in comparison.fits.values()] if comparison else [fit.law]
    for law in laws:
        base = type(law.law)
        parts += ["--law", base.name if base.__module__.startswith("bayescale.models") else f"FILE.py:{base.name}"]
    if not comparison:
        settings = fit.law.law
        for name, value in settings.items():
            if value is not getattr(type(settings), name):
                parts += ["--set", f"{name}={setting_text(value, rounded=False)}"]
        for column in fit.law.columns:
            parts += ["--pool", f"{column}={','.join(fit.law.varied(column))}"]
    parts += [
        "--likelihood",
        fit.likelihood.name,
        "--method",
        fit.samples.method.split(" ")[0],
        "--seed",
        str(fit.seed),
    ]
    return shlex.join(parts).replace("'RUNS'", "RUNS")


def _table(source: str) -> list[str]:
    """The table as an argument: a name or path, its `where` as options, and RUNS for a table that has none."""
    from bayescale import datasets

    name, _, where = source.partition(" where ")
    if name not in datasets.names() and not Path(name).suffix:
        return ["RUNS"]
    options = [x for pair in where.split(", ") if pair for x in ("--where", pair)]
    return [name, *options]
