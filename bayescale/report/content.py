"""What a report says in words and tables: verdict, constants, forecasts, what to distrust, where it comes from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayescale.answers.predict import evaluate_draws
from bayescale.fit import Fit
from bayescale.law import setting_text
from bayescale.law.labels import labelled
from bayescale.report import words
from bayescale.report.subject import Subject
from bayescale.text.layout import interval_text

MOST_ROWS = 500
"""Rows of the data that a report lists."""

SHOWN = 6
"""Groups that the verdict speaks of."""

MOST_POINTS = 2000
"""Runs drawn in a picture."""

QUANTITIES = {
    "N": "Parameters N",
    "D": "Training tokens D",
    "tokens_per_parameter": "Tokens per parameter",
    "loss": "Loss, nats/token",
    "C": "Compute, FLOPs",
}


def verdict(subject: Subject) -> list[str]:
    """The first paragraph, as sentences: what was fitted to what, whether it can be used, and the headline."""
    lead = subject.lead
    runs = f"{lead.runs.rows} runs of {lead.runs.source.split(' (')[0]}"
    if subject.comparison:
        said = [
            f"{len(subject.comparison.table)} laws were compared on {runs}.",
            subject.comparison.verdict.replace("+-", "±"),
        ]
    else:
        said = [f"The law {lead.law.name}, {lead.law.formula()}, was fitted to {runs}."]
        if lead.converged:
            said.append("The fit converged: its draws passed every check.")
    if not subject.converged:
        return [*said, "It did not converge: no number below is an answer."]
    return [*said, *_headline(subject)]


def _headline(subject: Subject) -> list[str]:
    mass = words.percent(subject.interval)
    said = []
    exponents = subject.lead.law.quantities()
    if not subject.no_allocation and exponents.get("a") == () and not subject.comparison:
        found = subject.lead.summary(subject.interval).loc["a"]
        median, span = interval_text(found.to_dict())
        said.append(f"Compute-optimal parameters grow as C to the power {median} ({mass} interval {span}).")
    told = _at_the_end if subject.no_allocation else _at_the_next_budget
    said += [told(subject, group, mass) for group in subject.groups[:SHOWN]]
    if len(subject.groups) > SHOWN:
        said.append(f"The other {len(subject.groups) - SHOWN} groups are in the tables and in the planner.")
    return said


def _at_the_end(subject: Subject, group: dict[str, str], mass: str) -> str:
    at = furthest(subject)
    rows = subject.predict(**at, **group).set_index("quantity")
    metric = "loss" if subject.metric == "loss" else subject.metric
    place = words.listed([words.value_of(n, x) for n, x in at.items()])
    curve, new = (words.median_and_span(metric, rows.loc[q].to_dict()) for q in ("mean_curve", "new_run"))
    return (
        f"{_of(group)}At {place}, just beyond the runs, the mean curve gives a {metric} of "
        f"{curve[0]} ({mass} interval {curve[1]}), and a new run would come out at {new[0]} ({new[1]})."
    )


def _at_the_next_budget(subject: Subject, group: dict[str, str], mass: str) -> str:
    budget = next_budget(subject)
    rows = subject.allocate([budget], group).set_index("quantity")
    (N, N_span), (D, D_span), (loss, loss_span) = (
        words.median_and_span(q, rows.loc[q].to_dict()) for q in ("N", "D", "loss")
    )
    return (
        f"{_of(group)}With {words.power(budget)} FLOPs, {_distance(subject, budget)}{_held(subject)}, "
        f"the optimum has {N} parameters ({mass} interval {N_span}) trained on {D} tokens ({D_span}), "
        f"and the mean curve puts its loss at {loss} ({loss_span})."
    )


def _of(group: dict[str, str]) -> str:
    return f"{words.group(group)}: " if group else ""


def next_budget(subject: Subject) -> float:
    """About ten times the largest run's compute, a power of ten."""
    return float(10.0 ** (round(np.log10(subject.seen["C"][1])) + 1))


def furthest(subject: Subject) -> dict[str, float]:
    """The point that a report of a law without an allocation speaks of: the end of the runs where the metric is least,
    taken a little further.
    """
    lead = subject.lead
    best = int(np.argmin(lead.runs.observed))
    place = {}
    for name in subject.inputs:
        x = lead.runs.inputs[name]
        upward = x[best] >= np.exp(np.mean(np.log(x)))
        reach = 0.25 * np.log10(x.max() / x.min())
        raw = np.log10(x.max()) + reach if upward else np.log10(x.min()) - reach
        place[name] = float(f"{10**raw:.1e}")
    return place


def _distance(subject: Subject, budget: float) -> str:
    beyond = np.log10(budget / subject.seen["C"][1])
    times = f"{10**beyond:.2g} times"
    return f"{times} the compute of the largest run"


def _held(subject: Subject) -> str:
    """What an allocation holds still."""
    others = [f"{n} held at {words.bare(n, x)}" for n, x in subject.others.items()]
    return f", with {words.listed(others)}" if others else ""


def distrust(subject: Subject) -> list[str]:
    """Why the numbers may mislead, a sentence each: failures first, extrapolation last."""
    comparison = subject.comparison
    said = list(comparison.warnings if comparison else subject.lead.warnings)
    for fit in subject.fits.values():
        said += [f"{fit.law.name}: {fit.law.law.caution}"] if fit.law.law.caution else []
    ranges = [words.span_of(n, low, high) for n, (low, high) in subject.seen.items()]
    said.append(
        f"The runs cover {words.listed(ranges)}. Outside that every number is "
        "an extrapolation: its interval covers what the law leaves open, not the chance that the law stops holding."
    )
    for fit in subject.fits.values():
        said += [f"{fit.law.name}: {remark}" for remark in fit.law.law.remarks()]
    laws = {f.law.law.name for f in subject.fits.values()}
    names = {*subject.fits, *laws, *subject.lead.constants, *(comparison.table.index if comparison else ())}
    return list(dict.fromkeys(_sentence(s, names) for s in said))


def _sentence(text: str, names: set[str]) -> str:
    """With a capital, unless it begins with a name, and a full stop."""
    if text.replace(":", " ").replace(",", " ").split(" ")[0] not in names:
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def constants(fit: Fit, interval: float) -> dict[str, Any]:
    """The table of constants and derived quantities."""
    table = fit.summary(interval)
    settings = dict(fit.law.items())
    told = fit.identifiability
    contraction = {str(n): float(x) for n, x in told.table["contraction"].items()}
    rows = []
    for name, row in table.iterrows():
        median, span = interval_text(row.to_dict())
        derived = name not in fit.constants
        where = (
            "derived" if derived else setting_text(settings[str(name)]) if name in settings else _noise(fit, str(name))
        )
        quality = ["", ""] if derived else [f"{row.r_hat:.3f}", f"{min(row.ess_bulk, row.ess_tail):.0f}"]
        learnt = f"{max(contraction[str(name)], 0):.0%}" if name in contraction else ""
        rows.append([str(name), median, span, *quality, learnt, where])
    pinned = [f"{n} = {setting_text(v)}" for n, v in settings.items() if n not in fit.constants]
    header = ["", "median", f"{words.percent(interval)} interval", "R-hat", "ESS", "learnt", "prior"]
    rank = {"rank": f"{told.rank:.1f}", "free": len(told.table)}
    return {"header": header, "rows": rows, "pinned": pinned, "quantities": _documented(fit), **rank}


def _noise(fit: Fit, name: str) -> str:
    value = getattr(fit.likelihood, name, None)
    return setting_text(value) if value is not None else ""


def _documented(fit: Fit) -> list[tuple[str, str]]:
    """What derived quantities and noise constants mean."""
    law = type(fit.law.law)
    said = [
        (n, " ".join((getattr(law, n).__doc__ or "").split())) for n, needs in law.quantities().items() if not needs
    ]
    if "sigma" in fit.constants:
        said.append(("sigma", f"scale of a run's scatter about the law, on log {fit.law.metric}"))
    if "nu" in fit.constants:
        said.append(("nu", "degrees of freedom of that scatter: small means heavy tails"))
    return [(n, text.rstrip(".")) for n, text in said if text]


def forecasts(subject: Subject) -> dict[str, Any] | None:
    """The optimum at round budgets, or predictions at round inputs."""
    if not subject.converged:
        return None
    mass = words.percent(subject.interval)
    if subject.no_allocation:
        return _points(subject, mass)
    budgets = next_budget(subject) * 10.0 ** np.arange(-2, 3)
    rows = []
    for group in subject.groups:
        table = subject.allocate(budgets, group)
        for C in budgets:
            found = table[table["C"] == C].set_index("quantity")
            beyond = max(np.log10(C / subject.seen["C"][1]), np.log10(subject.seen["C"][0] / C), 0.0)
            quantities = ("N", "D", "tokens_per_parameter", "loss")
            cells = [words.median_and_span(q, found.loc[q].to_dict()) for q in quantities]
            names = [(name, "") for name in group.values()]
            rows.append([*names, (words.power(C), ""), *cells, (words.decades(beyond), "")])
    header = [
        *subject.groups[0],
        "FLOPs",
        "parameters N",
        "tokens D",
        "tokens per parameter",
        "loss, nats/token",
        "compute, from the runs",
    ]
    return {
        "caption": f"Compute-optimal models at C = {subject.cost.text}{_held(subject)}: median and {mass} interval.",
        "header": header,
        "rows": rows,
    }


def _points(subject: Subject, mass: str) -> dict[str, Any]:
    low, high = (
        {n: subject.lead.centre.values[n] for n in subject.inputs},
        furthest(subject),
    )
    steps = [0.0, 0.5, 1.0, 1.5]
    points = {n: [float(f"{low[n] * (high[n] / low[n]) ** t:.2g}") for t in steps] for n in subject.inputs}
    rows = []
    for group in subject.groups:
        table = subject.predict(**points, **group)
        for start in range(0, len(table), 2):
            pair = table.iloc[start : start + 2].set_index("quantity")
            beyond = max(float(pair.iloc[0][f"decades_{n}"]) for n in subject.inputs)
            place = [(words.bare(n, float(pair.iloc[0][n])), "") for n in subject.inputs]
            cells = [words.median_and_span(subject.metric, pair.loc[q].to_dict()) for q in ("mean_curve", "new_run")]
            names = [(name, "") for name in group.values()]
            rows.append([*names, *place, *cells, (words.decades(beyond), "")])
    units = [f"{n}, {words.UNITS[n]}" if n in words.UNITS else n for n in subject.inputs]
    header = [
        *subject.groups[0],
        *units,
        f"{subject.metric}, mean curve",
        f"{subject.metric}, a new run",
        "from the runs",
    ]
    caption = f"Predictions from the centre of the runs outwards: median and {mass} interval."
    return {"caption": caption, "header": header, "rows": rows}


def fitted(fit: Fit, rows: np.ndarray) -> pd.DataFrame:
    """Some of the runs, with the law's median there and the residual of each, in percent."""
    runs = fit.runs
    inputs = {n: x[rows] for n, x in runs.inputs.items()}
    curve = np.median(evaluate_draws(fit, fit.law.metric, inputs), axis=0)
    names = labelled(fit.law, {c: inputs.pop(c) for c in fit.law.columns})
    table = pd.DataFrame({"the row": [str(x) for x in runs.labels[rows]], **inputs, **names})
    if {"N", "D"} <= set(runs.inputs) and "C" not in runs.inputs:
        table["C"] = runs.cost.flops(table["N"], table["D"])
    table[runs.metric] = runs.observed[rows]
    if runs.se is not None:
        table[f"{runs.metric}_se"] = runs.se[rows]
    table["the law"] = curve
    table["off by"] = 100 * np.log(runs.observed[rows] / curve)
    for label in ("group", "run"):
        if getattr(runs, label) is not None:
            table[label] = [str(x) for x in getattr(runs, label)[rows]]
    return table


def spread_out(fit: Fit) -> np.ndarray:
    """Evenly spaced rows, at most `MOST_POINTS`: what pictures show."""
    return np.arange(0, fit.runs.rows, -(-fit.runs.rows // MOST_POINTS))


def data_table(subject: Subject) -> dict[str, Any]:
    """The first runs as text, at most `MOST_ROWS` of them."""
    table = fitted(subject.lead, np.arange(min(subject.lead.runs.rows, MOST_ROWS)))
    labels = ("the row", "group", "run", *subject.lead.law.columns)
    special = {"off by": "{:+.2f} %".format, "the law": "{:#.4g}".format, "C": "{:.4g}".format}
    write = [str if c in labels else special.get(str(c), "{:.6g}".format) for c in table]
    rows = [[w(x) for w, x in zip(write, row, strict=True)] for row in table.itertuples(index=False)]
    names = {"the row": "row", "the law": f"{subject.metric} by the law"}
    header = [names.get(str(c), str(c)) for c in table]
    text = [c in labels for c in table]
    return {"header": header, "text": text, "rows": rows, "shown": len(rows), "total": subject.lead.runs.rows}
