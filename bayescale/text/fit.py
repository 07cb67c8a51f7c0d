"""What people read: a fit, fits used together, predictions and allocations as a screen of text."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

import pandas as pd

from bayescale import intervals
from bayescale.answers.identifiability import identifiability
from bayescale.answers.summary import cautions, summary
from bayescale.errors import printable
from bayescale.posterior.posterior import Posterior
from bayescale.posterior.samples import R_HAT_HOPELESS, Effort
from bayescale.text.groups import groups_rows
from bayescale.text.layout import WIDTH, aligned, interval_text, wrapped


def fit_text(fit: Posterior, interval: float = intervals.INTERVAL) -> str:
    """A fit on one screen: verdict, constants with intervals, derived quantities, what to distrust."""
    table, told = summary(fit, interval), identifiability(fit)
    lines = [
        f"{fit.law.name}: {fit.law.formula()}",
        *textwrap.wrap(printable(f"{fit.runs.rows} rows of {fit.runs.source}"), WIDTH),
        f"log {fit.law.metric} scatters about the log of the law: {fit.likelihood.name}",
        *([fit.runs.cost.sentence] if fit.runs.cost.sentence else []),
        "",
        *_verdict(fit),
        "",
    ]
    rows = []
    of_groups = groups_rows(fit)
    for name, row in table.iterrows():
        median, span = interval_text(row.to_dict())
        quality = ("", "") if pd.isna(row.r_hat) else (f"{row.r_hat:.3f}", f"{min(row.ess_bulk, row.ess_tail):.0f}")
        if str(name) not in of_groups.hidden:
            rows.append((str(name), median, span, *quality))
    rows.sort(key=lambda row: row[0] in of_groups.names)  # the population's first
    lines += aligned(rows, ("", "median", f"{interval:.0%} interval", "R-hat", "ESS"))
    for sentence in of_groups.sentences:
        lines += textwrap.wrap(printable(sentence), WIDTH)
    free = len(told.table)
    lines += ["", f"Beyond its priors, the rows determine {told.rank:.1f} of the law's {free} constants."]
    rest = cautions(fit, told)[len(fit.failures) :]
    if rest:
        lines += ["", "Mind:", *wrapped(rest)]
    return "\n".join(lines)


def fits_text(fits: Mapping[str, Posterior], warnings: Sequence[str], interval: float = intervals.INTERVAL) -> str:
    """Fits by name: verdict, constants with intervals, what to distrust."""
    lines = []
    for law, one in fits.items():
        lines += [f"{law}: {one.law.formula()}", f"{one.runs.rows} rows of {one.runs.source}"]
    converged = all(one.converged for one in fits.values())
    lines += ["", "Converged." if converged else "NOT CONVERGED: these numbers are no answer."]
    rows = []
    for law, one in fits.items():
        for name, row in summary(one, interval).loc[list(one.constants)].iterrows():
            rows.append((law, str(name), *interval_text(row.to_dict())))
    lines += [*aligned(rows, ("", "", "median", f"{interval:.0%} interval"), left=2)]
    if warnings:
        lines += ["", "Mind:", *wrapped(warnings)]
    return "\n".join(lines)


def _verdict(fit: Posterior) -> list[str]:
    chains, draws = fit.samples.z.shape[:2]
    how = (
        f"{fit.samples.method}, {chains} chains of {draws} draws, seed {fit.seed}, {fit.seconds.get('total', 0):.1f} s"
    )
    if fit.converged:
        return [f"Converged ({how})."]
    return [f"NOT CONVERGED ({how}): these numbers are no answer.", *wrapped((*fit.failures, *_remedy(fit)))]


def _remedy(fit: Posterior) -> tuple[str, ...]:
    """What may still be done where chains only mix slowly."""
    draws, stats = fit.samples.z.shape[1], fit.samples.stats
    lost = max(q["r_hat"] for q in fit.samples.diagnostics.values()) > R_HAT_HOPELESS
    if draws < Effort().limit or lost or "diverging" not in stats or stats["diverging"].any():
        return ()
    return (f"the chains mix slowly: more draws may do, limit={2 * draws} (--limit {2 * draws})",)


def predictions_text(table: pd.DataFrame, interval: float) -> str:
    """A table of `predict` as text."""
    inputs = list(table.columns[: list(table.columns).index("quantity")])
    rows = []
    for _, row in table.iterrows():
        median, span = interval_text(row.to_dict())
        place = (_value(row[n]) for n in inputs)
        rows.append((*place, str(row.quantity).replace("_", " "), median, span, _outside(row)))
    header = (*inputs, "", "median", f"{interval:.0%} interval", "decades beyond data")
    return "\n".join(aligned(rows, header))


def allocations_text(table: pd.DataFrame, interval: float) -> str:
    """A table of `allocate` or `penalty` as text, a block for each budget."""
    points = list(table.columns[: list(table.columns).index("quantity")])
    blocks = []
    for _, part in table.groupby(points, sort=False):
        title = ", ".join(f"{n} = {_value(part[n].iloc[0])}" for n in points)
        share = part.probability.min()
        if share == 0:
            blocks.append(f"{title}: out of reach in every draw")
            continue
        if "target_loss" in points:
            title += f" (reachable in {share:.0%} of draws)"
        elif share < 1:
            title += f" (with an optimum in {share:.1%} of draws, over which the rest is)"
        if (outside := _outside(part.iloc[0])) not in ("", "inside"):
            title += f"; decades beyond data: {outside}"
        rows = []
        for _, row in part.iterrows():
            median, span = _short(row)
            rows.append((f"  {str(row.quantity).replace('_', ' ')}", median, span))
        blocks.append("\n".join([title, *aligned(rows, ("", "median", f"{interval:.0%} interval"))]))
    return "\n\n".join(blocks)


def _value(value: float | str) -> str:
    """An input's number, or a group's name."""
    return value if isinstance(value, str) else f"{value:.4g}"


def _outside(row: pd.Series) -> str:
    """How far a point lies beyond the data: the most decades and of what; nothing where the table does not say."""
    decades = [(float(x), str(c).removeprefix("decades_")) for c, x in row.items() if str(c).startswith("decades_")]
    if not decades:
        return ""
    most, name = max(decades)
    return f"{most:.1f} in {name}" if most > 0 else "inside"


def _short(row: pd.Series) -> tuple[str, str]:
    if row.quantity in ("N", "D", "C", "tokens_per_parameter"):
        return f"{row['median']:.4g}", f"{row['low']:.4g} to {row['high']:.4g}"
    return interval_text(row.to_dict())
