"""A calibration as a screen of text, and as JSON."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from bayescale import intervals
from bayescale.text.fit import WIDTH

if TYPE_CHECKING:
    from bayescale.studies.calibrate import Calibration


def calibration_text(found: Calibration) -> str:
    """The verdict, each quantity against its band, and how the posteriors were drawn."""
    header = ("", "deviation", "of band", "p", "")
    rows = []
    for name, row in found.summary.iterrows():
        mark = "" if row.inside else "outside the band" if row.passed else "FAILED"
        rows.append((str(name), f"{row.deviation:+.3f}", f"{row.excess:.2f}", f"{row.p:.2g}", mark))
    table = [line.rstrip() for line in intervals.aligned(rows, header)]
    return "\n".join(
        [
            f"{found.law.name}: {found.law.formula()}",
            *textwrap.wrap(f"{found.simulations} simulations, {found.design.source}", WIDTH),
            "",
            *textwrap.wrap(verdict(found), WIDTH),
            "",
            *table,
            "",
            *textwrap.wrap(_meaning(found), WIDTH),
            *textwrap.wrap(how(found), WIDTH),
        ]
    )


def verdict(found: Calibration) -> str:
    """One sentence, two where posteriors were refused."""
    size, summary = len(found.ranks.columns), found.summary
    bad = [str(n) for n in summary.index[~summary["passed"]]]
    outside = int((~summary["inside"]).sum())
    if bad:
        text = f"NOT CALIBRATED: the ranks of {', '.join(bad)} are not uniform."
    elif not found.passed:
        text = "NOT CALIBRATED: too many posteriors were refused for the ranks of the rest to say enough."
    else:
        text = f"Calibrated: the ranks of all {size} quantities are uniform, as far as their number can show."
    if outside and not bad:
        text += f" {outside} of {size} left the {found.mass:.0%} band, which happens to a right engine too."
    return text


def how(found: Calibration) -> str:
    """How the posteriors were drawn, in a sentence."""
    counts = found.methods.value_counts()
    alone = int(counts.drop(["batch", "none"], errors="ignore").sum())
    refused = len(found.failures)
    text = f"{int(counts.get('batch', 0))} posteriors were drawn in batches and {alone} alone; {refused} were refused"
    if refused:
        first = next(iter(found.failures.items()))
        text += f", the first being number {first[0]}: {'; '.join(first[1])}"
    return f"{text}. {found.seconds:.0f} s."


def _meaning(found: Calibration) -> str:
    return (
        f"Deviation: the largest difference between the ECDF of the ranks and the uniform one; of band: in units of "
        f"the half width of the simultaneous {found.mass:.0%} band. A quantity fails where p, multiplied by how many "
        f"quantities there are (Holm), is below {1 - found.mass:.2g}. A rank is out of {found.draws} draws."
    )


def as_json(found: Calibration) -> dict[str, Any]:
    """A calibration as the command line's JSON writes it."""
    return {
        "law": found.law.name,
        "simulations": found.simulations,
        "refused": len(found.failures),
        "methods": {str(n): int(x) for n, x in found.methods.value_counts().items()},
        "band_mass": found.mass,
        "draws": found.draws,
        "passed": found.passed,
        "verdict": verdict(found),
        "quantities": [{"quantity": str(n), **row.to_dict()} for n, row in found.summary.iterrows()],
        "settings": found.settings,
        "seconds": found.seconds,
    }
