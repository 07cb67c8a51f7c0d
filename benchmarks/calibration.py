"""Simulation-based calibration of every registered law; writes docs/calibration.md and its pictures.

    python benchmarks/calibration.py [--simulations 500] [--processes 1] [--results FOLDER] [--law NAME] [--page-only]
    python benchmarks/calibration.py --further [--simulations 200] [--processes 1] [--results FOLDER]

Simulations are kept in FOLDER, a file a law, as `bayescale calibrate LAW -o FOLDER` writes them; an interrupted
benchmark goes on where it stopped. --page-only writes the page from what is there. --further is the second half of the
page: groups, effects of runs, residuals along runs, and priors at each table's own centre; each half keeps the other.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("agg")

import matplotlib.pyplot as plt
import pandas as pd
from scipy.stats import qmc

import bayescale as bs
from bayescale.plot import style
from bayescale.progress import bar
from bayescale.studies.calibrate import MASS, Calibration, bands, calibrate
from bayescale.studies.calibrate.calibration import MASSES
from bayescale.studies.calibrate.file import read_results
from bayescale.studies.calibrate.plan import RANGES, ROWS, SCHEDULES, STEPS
from bayescale.studies.calibrate.ranks import DRAWS

DOCS = Path(__file__).resolve().parents[1] / "docs"
PICTURES = DOCS / "images" / "calibration"
COLUMNS = 4


def sweeps(rows: int = 14) -> pd.DataFrame:
    """Sweeps of N, of D and of C, each with plenty of the other two."""
    x, plenty = np.linspace(0, 1, rows), np.ones(rows)
    return pd.DataFrame({
        "N": np.r_[10 ** (4 + 5 * x), 1e13 * plenty, 1e13 * plenty],
        "D": np.r_[1e14 * plenty, 10 ** (6 + 5 * x), 1e14 * plenty],
        "C": np.r_[1e26 * plenty, 1e26 * plenty, 10 ** (14 + 6 * x)],
    })  # fmt: skip


def spread(rows: int, **decades: tuple[float, float]) -> pd.DataFrame:
    """Rows that fill a box of powers of ten evenly."""
    places = qmc.Halton(len(decades), scramble=False).random(rows + 1)[1:]
    return pd.DataFrame({n: 10 ** (a + (b - a) * x) for (n, (a, b)), x in zip(decades.items(), places.T, strict=True)})


def along_schedules(rows: int) -> pd.DataFrame:
    """So many rows along each of a few schedules."""
    steps = np.tile(np.geomspace(*STEPS, rows), len(SCHEDULES))
    return pd.DataFrame({"S": steps, "schedule": np.repeat(SCHEDULES, rows)})


DESIGNS = {
    "annealing": along_schedules(15),
    "seed_max": sweeps(),
    "kaplan_e": spread(60, N=(4, 13), D=(6, 15)),
    "error_sigmoid": pd.DataFrame({"loss": np.geomspace(0.5, 8, 60)}),
}
"""Tables of laws that the default design takes hours for: where all of its inputs vary over five decades seed_max has
many modes, kaplan_e hardly tells E from the exponents, and error_sigmoid shows one end of its curve only, so that many
data sets have to be fitted alone; rows of annealing are many along few schedules."""


DESIGN_TEXTS = {
    "annealing": "60 rows along four schedules",
    "seed_max": "sweeps of N, of D and of C, each with plenty of the other two (42 rows)",
    "kaplan_e": "nine decades of N and of D (60 rows)",
    "error_sigmoid": "60 rows from a loss of 0.5 to 8",
}

FEWER = {"isoflops": 250, "joint_moe": 60}
"""Simulations of laws that take long."""

ALONE = ("bnsl", "bnsl_2", "m4", "multi_power")
"""Laws that are left out: most of their tables have to be fitted alone, by modes and ridges, in hours for 500."""


FURTHER = {
    "power_law_n, L_inf of 4 corpora": ("power_law_n", {"pool": {"corpus": ["L_inf"]}}),
    "chinchilla, E and A of 4 corpora": ("chinchilla", {"pool": {"corpus": ["E", "A"]}}),
    "kaplan_n, effects of 8 runs": ("kaplan_n", {"pool": {"run": ["loss"]}}),
    "kaplan_d, ar1 along 8 runs": ("kaplan_d", {"likelihood": "ar1"}),
}
"""What is calibrated besides laws by themselves: its name, the law and options of `calibrate`."""

CENTRED = ("kaplan_n", "chinchilla")
"""Laws of which priors at each table's own centre are compared with priors at a fixed one."""

HEADING = "## Groups, runs, and priors at a table's own centre"
HEADER = [
    "| law | simulations | quantities | outside 95 % | smallest p | adjusted for the law | calibrated "
    "| fitted alone | refused |",
    "|---|---|---|---|---|---|---|---|---|",
]


def shipped() -> list[str]:
    """The laws that ship."""
    return [name for name, cls in bs.laws().items() if cls.__module__.startswith("bayescale.models")]


def finished(name: str, folder: Path, simulations: int) -> bool:
    """Whether a law's file has all its simulations."""
    path = folder / f"{name}.jsonl"
    return path.is_file() and len(read_results(path, {})) >= simulations


def overview(found: dict[str, Calibration]) -> None:
    """One picture: each law's quantities in their band."""
    rows = -(-len(found) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(9, 1.7 * rows), sharex=True, sharey=True, squeeze=False)
    for axis in axes.flat[len(found) :]:
        axis.set_visible(False)
    for axis, (name, one) in zip(axes.flat, found.items(), strict=False):
        band = one.band()
        at = band["at"].to_numpy()
        style.uniform_band(axis, at, band["low"].to_numpy(), band["high"].to_numpy(), "")
        for quantity, row in one.summary.iterrows():
            look = {"color": style.POSTERIOR, "linewidth": 0.7} if row.inside else {"color": style.OPTIMUM, "zorder": 3}
            style.ecdf_difference(axis, at, bands.ecdf(one.ranks[quantity].to_numpy()), **{"linewidth": 1.2, **look})
        axis.set_title(name, fontsize="small")
        axis.tick_params(labelsize="x-small")
    figure.supxlabel("rank of the truth in the posterior", fontsize="small")
    figure.supylabel("ECDF less uniform", fontsize="small")
    figure.tight_layout(pad=0.6)
    figure.savefig(PICTURES / "overview.png", dpi=110)
    plt.close(figure)


def picture(name: str, one: Calibration) -> None:
    """A law's picture, with the names of quantities outside."""
    axis = bs.plot.calibration(one)
    axis.figure.savefig(PICTURES / f"{name}.png", dpi=80, bbox_inches="tight")
    plt.close(axis.figure)


def row(name: str, one: Calibration) -> str:
    """A calibration as a line of the table."""
    summary = one.summary
    by_itself = int((~one.methods.isin(["batch", "none"])).sum())
    return (
        f"| {name} | {one.simulations} | {len(summary)} | {int((~summary['inside']).sum())} | "
        f"{summary['p'].min():.2g} ({summary['p'].idxmin()}) | {summary['adjusted'].min():.2g} "
        f"| {'yes' if one.passed else 'NO'} | {by_itself} | {len(one.failures)} |"
    )


def further(pooled: dict[str, Calibration], centred: dict[str, dict[str, Calibration]], simulations: int) -> str:
    """The second half of the page."""
    lines = [
        HEADING,
        "",
        f"`python benchmarks/calibration.py --further --simulations {simulations}` (one: `bayescale calibrate "
        f"power_law_n --pool corpus=L_inf --simulations {simulations}`).",
        "",
        "Spreads between groups and the constants of each group are drawn from their priors, too, and residuals along "
        "runs with a correlation. Ranked are also each spread, each group's constants, those of a group that no table "
        "has, and the curve and a new run of the first group and of an unseen one.",
        "",
        *HEADER,
        *(row(name, one) for name, one in pooled.items()),
        "",
        "`fit` states priors at the median loss of the table that it is given, which sees the data twice; above, "
        "priors are at a fixed place. Here the same simulated tables have priors at a fixed place and at each table's "
        "own centre (`bayescale calibrate kaplan_n --centre table`): how often central intervals hold the truth, and "
        "*off*, the mean rank less one half.",
        "",
        "| law | quantity | 50 %, fixed | own | 90 %, fixed | own | off, fixed | own |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, both in centred.items():
        fixed, own = both["fixed"].coverage, both["own"].coverage
        for quantity in fixed.index:
            cells = [f"{x.loc[quantity, c]:.1%}" for c in ("held_50", "held_90") for x in (fixed, own)]
            cells += [f"{x.loc[quantity, 'off']:+.3f}" for x in (fixed, own)]
            lines.append(f"| {name} | {quantity} | {' | '.join(cells)} |")
    sizes = [len(one.ranks) for both in centred.values() for one in both.values()]
    errors = [(m * (1 - m) / min(sizes)) ** 0.5 for m in MASSES]
    lines += [
        "",
        f"Standard errors of a share: {errors[0]:.1%} and {errors[1]:.1%}; of *off* {(12 * min(sizes)) ** -0.5:.3f}.",
    ]
    return "\n".join(lines) + "\n"


def halves() -> tuple[str, str]:
    """The page as it is, in front of the second heading and from there on."""
    path = DOCS / "calibration.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    first, heading, second = text.partition(HEADING)
    return first, heading + second


def write(first: str, second: str) -> None:
    """The page of its two halves."""
    (DOCS / "calibration.md").write_text("\n\n".join(x.strip() for x in (first, second) if x) + "\n", encoding="utf-8")


def go_further(arguments: argparse.Namespace) -> None:
    """Calibrate what is in `FURTHER` and `CENTRED`, and write the second half of the page."""

    def one(name: str, law: str, **options: Any) -> Calibration:
        with bar() as progress:
            found = calibrate(
                law,
                simulations=arguments.simulations,
                processes=arguments.processes,
                output=arguments.results / f"{name}.jsonl",
                progress=progress,
                **options,
            )
        print(f"{name}: smallest p {np.min(found.summary['p']):.2g}, {found.seconds:.0f} s", flush=True)
        return found

    pooled = {name: one(name, law, **options) for name, (law, options) in FURTHER.items()}
    centred = {
        law: {"fixed": one(f"{law}, fixed", law), "own": one(f"{law}, own centre", law, centre="table")}
        for law in CENTRED
    }
    write(halves()[0], further(pooled, centred, arguments.simulations))


def page(found: dict[str, Calibration], waiting: list[str], simulations: int) -> str:
    """The results as a page of markdown."""
    p = pd.concat({name: one.summary["p"] for name, one in found.items()})
    adjusted = pd.Series(bands.holm(p.to_numpy()), index=p.index)
    outside, failed = int((p < 1 - MASS).sum()), adjusted[adjusted < 1 - MASS]
    smallest = p.idxmin()
    refused = sum(len(one.failures) for one in found.values())
    alone = sum(int((~one.methods.isin(["batch", "none"])).sum()) for one in found.values())
    total = sum(one.simulations for one in found.values())
    lines = [
        "# Are the posteriors right?",
        "",
        f"`python benchmarks/calibration.py --simulations {simulations}` (one law: `bayescale calibrate chinchilla "
        f"--simulations {simulations}`).",
        "",
        "Simulation-based calibration (Talts et al. 2018, [arXiv:1804.06788](https://arxiv.org/abs/1804.06788)): "
        "constants are drawn from a law's prior, a table of runs is simulated with them, the law is fitted to it, and "
        f"the constants are ranked among {DRAWS} nearly independent draws of the posterior. If the posterior is right, "
        "prior, likelihood, coordinates and sampler together, ranks are uniform. What is ranked: every free constant, "
        "the scatter's scale and tail, the mean curve and a new run at a point ten times beyond each input, N_opt at a "
        "budget far beyond the rows and the tokens per parameter at one within them, and the log likelihood, which "
        "finds posteriors that ignore data (Modrák et al. 2023, [arXiv:2211.02383](https://arxiv.org/abs/2211.02383)).",
        "",
        "Bands hold the whole ECDF of one quantity's ranks with probability 95 % (Säilynoja et al. 2022, "
        "[arXiv:2103.10522](https://arxiv.org/abs/2103.10522)), computed exactly. Of many right quantities one in "
        f"twenty leaves its band. {outside} of {len(p)} did here ({outside / len(p):.1%}). p is the probability that "
        "uniform ranks stray as far; a quantity fails where p is too small for the number of quantities that were "
        f"looked at (Holm 1979). The smallest of all is {p[smallest]:.2g} ({smallest[1]} of {smallest[0]}); among "
        f"{len(p)} the smallest is below that with probability {1 - (1 - p[smallest]) ** len(p):.0%} if all are right. "
        + (
            "No quantity fails, neither within its law nor among all."
            if failed.empty and all(one.summary["passed"].all() for one in found.values())
            else f"Adjusted for all laws, these fail: {', '.join(f'{q} of {n}' for n, q in failed.index) or 'none'}."
        ),
        "",
        "![ECDF of the ranks less the uniform one, each law, with 95 % bands](images/calibration/overview.png)",
        "",
        *HEADER,
        *(row(f"[{name}](images/calibration/{name}.png)", one) for name, one in found.items()),
    ]
    spans = ", ".join(f"{n} {low:g} to {high:g}" for n, (low, high) in RANGES.items())
    lines += [
        "",
        f"Every table has {ROWS} rows spread evenly over {spans} (those of the "
        "law's inputs), but for laws whose posteriors are hard there, so that each table would have to be fitted "
        f"alone: {'; '.join(f'{n} has {what}' for n, what in DESIGN_TEXTS.items())}. The schedules "
        "are a constant rate, a cosine, a jump and a late exponential. Tables have Student-t scatter whose scale "
        "and tail are drawn from their priors. Priors are stated at "
        "a fixed centre: at one taken from the simulated losses they would see the data twice.",
        "",
        "The posteriors of many tables are drawn together: modes, coordinates and the kernel are those of `fit`, with "
        "fewer starts of the search for modes, a higher target acceptance (.95, .99 where that fails) and trajectories "
        "of 255 steps at most, and the draws are held to the checks of a fit (R-hat, ESS, divergences). A table whose "
        f"draws do not pass is fitted alone by the ordinary sampler: {alone} of {total} ({alone / total:.1%}); "
        f"{refused} were refused there, too. Ranks say nothing of such tables, and a fit of one says that it has not "
        "converged.",
    ]
    if waiting:
        alone = [n for n in waiting if n in ALONE]
        lines += [
            "",
            f"Not run: {', '.join(waiting)}."
            + (
                " Most of their tables have posteriors with modes or ridges and would have to be fitted "
                "alone, which takes hours for 500. Each is held to an independent sampler on a table and to forty "
                "simulations by the quick method, bnsl and bnsl_2 to the former alone, in the tests."
                if alone
                else ""
            ),
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--results", type=Path, default=Path("calibration"))
    parser.add_argument("--law", action="append", help="only this one; once for each")
    parser.add_argument("--page-only", action="store_true")
    parser.add_argument("--further", action="store_true", help="groups, runs and centres instead of laws")
    arguments = parser.parse_args()
    arguments.simulations = arguments.simulations or (200 if arguments.further else 500)
    arguments.results.mkdir(parents=True, exist_ok=True)
    PICTURES.mkdir(parents=True, exist_ok=True)
    if arguments.further:
        go_further(arguments)
        return
    found, waiting = {}, []
    for name in arguments.law or shipped():
        simulations = min(arguments.simulations, FEWER.get(name, arguments.simulations))
        if arguments.page_only and not finished(name, arguments.results, simulations):
            waiting.append(name)
            continue
        with bar() as progress:
            one = calibrate(
                name,
                DESIGNS.get(name),
                simulations=simulations,
                processes=arguments.processes,
                output=arguments.results,
                progress=progress,
            )
        print(f"{name}: smallest p {np.min(one.summary['p']):.2g}, {one.seconds:.0f} s", flush=True)
        picture(name, one)
        found[name] = one
    if found:
        overview(found)
        write(page(found, waiting, arguments.simulations), halves()[1])


if __name__ == "__main__":
    main()
