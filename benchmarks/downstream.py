"""Over-trained models and their downstream error, on the runs of Gadre et al. 2024 (arXiv:2403.08540).

    python benchmarks/downstream.py WIDE.csv [--seed 0]

WIDE.csv has a row a model, from the files under exp_data of https://github.com/mlfoundations/scaling: name, train_set,
arch, N, D, chinchilla_multiplier (M = D/N over 20), loss_c4_val, loss_se_c4_val and acc_<task> of 46 tasks. Prints the
tables of docs/howto/overtraining.md and docs/howto/downstream.md.

The authors' configuration: the loss is fitted to five runs of a corpus, four sizes at M = 20 and the smallest at
M = 320; the error to these and the 1.4B run at M = 20. The larger runs are held out.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

import bayescale as bs

CORPORA = {"c4_original": "C4", "rpj": "RedPajama", "rw_original": "RefinedWeb"}
PUBLISHED = {"C4": (1.51, 0.121), "RedPajama": (1.84, 0.136), "RefinedWeb": (1.73, 0.127)}
"""E and eta of the authors' five-point fits."""
SMALL = ("d=96_l=8_h=4", "d=512_l=8_h=4", "d=576_l=24_h=8", "d=1024_l=24_h=8")
HELD_OUT = {"1.4B, M = 640": ("open_lm_1b", 32.0), "6.9B, M = 20": ("open_lm_7b", 1.0)}
TASKS = (
    "bigbench_operators", "pubmed_qa_labeled", "hellaswag_zeroshot", "boolq", "arc_easy", "coqa",
    "bigbench_dyck_languages", "lambada_openai", "bigbench_novel_concepts", "winograd", "bigbench_cs_algorithms",
    "commonsense_qa", "bigbench_qa_wikidata", "hellaswag", "copa", "squad", "piqa",
)  # fmt: skip
"""The 17 tasks of the authors' subset: those on which a small model is above chance."""


def gadre(path: str | Path) -> pd.DataFrame:
    """The 104 models: corpus, arch, multiplier, N, D, loss and loss_se on C4, error (17 tasks) and error_46."""
    wide = pd.read_csv(path)
    tasks = [f"acc_{t}" for t in TASKS]
    every = [c for c in wide if c.startswith("acc_")]
    return pd.DataFrame({
        "corpus": wide["train_set"].map(CORPORA), "arch": wide["arch"], "multiplier": wide["chinchilla_multiplier"],
        "N": wide["N"], "D": wide["D"], "loss": wide["loss_c4_val"], "loss_se": wide["loss_se_c4_val"],
        "error": 1 - wide[tasks].mean(axis=1), "error_46": 1 - wide[every].mean(axis=1),
    })  # fmt: skip


def chosen(runs: pd.DataFrame, corpus: str) -> pd.DataFrame:
    """The authors' six runs: five with N, D and loss, and the 1.4B run, for the error alone."""
    of_corpus = runs[runs["corpus"] == corpus]
    at_20 = of_corpus["multiplier"] == 1.0
    smallest = (of_corpus["arch"] == SMALL[0]) & (of_corpus["multiplier"] == 16.0)
    five = of_corpus[(at_20 & of_corpus["arch"].isin(SMALL)) | smallest]
    larger = of_corpus[at_20 & (of_corpus["arch"] == "open_lm_1b")].assign(N=np.nan, D=np.nan)
    return pd.concat([five, larger], ignore_index=True)


def all_small(runs: pd.DataFrame, corpus: str) -> pd.DataFrame:
    """Every run of a corpus but those of 1.4B and 6.9B parameters; the 1.4B run at M = 20 for the error alone."""
    of_corpus = runs[runs["corpus"] == corpus]
    larger = of_corpus[(of_corpus["multiplier"] == 1.0) & (of_corpus["arch"] == "open_lm_1b")]
    return pd.concat([of_corpus[of_corpus["arch"].isin(SMALL)], larger.assign(N=np.nan, D=np.nan)], ignore_index=True)


def held_out(runs: pd.DataFrame, corpus: str) -> pd.DataFrame:
    """The larger runs that the corpus has, indexed by what to call them."""
    rows = {}
    for name, (arch, multiplier) in HELD_OUT.items():
        found = runs[(runs["corpus"] == corpus) & (runs["arch"] == arch) & (runs["multiplier"] == multiplier)]
        if len(found):
            rows[name] = found.iloc[0]
    return pd.DataFrame(rows).T


def tied_and_error(rows: pd.DataFrame, seed: int = 0) -> bs.Downstream:
    """The authors' two laws on rows of `chosen` or `all_small`."""
    return bs.fit_downstream("chinchilla_tied", "error_exponential", rows.drop(columns=["error_46"]), seed=seed)


def span(row: pd.Series, digits: int) -> str:
    """A median and its interval."""
    return f"{row['median']:.{digits}f} ({row.low:.{digits}f} to {row.high:.{digits}f})"


def main() -> None:
    """Fit, predict, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wide", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    runs = gadre(arguments.wide)
    constants, predictions = [], []
    for corpus in CORPORA.values():
        for title, rows in (("5", chosen(runs, corpus)), ("all small", all_small(runs, corpus))):
            begun = time.perf_counter()
            found = tied_and_error(rows, arguments.seed)
            summary = found.loss.summary()
            E, alpha = summary.loc["E"], summary.loc["alpha"] / 2
            sigma = np.median(found.loss.constants["sigma"])
            constants.append(
                f"| {corpus} | {found.loss.runs.rows} | {span(E, 2)} | {PUBLISHED[corpus][0]} | {span(alpha, 3)} | "
                f"{PUBLISHED[corpus][1]} | {sigma:.2%} |"
            )
            for name, run in held_out(runs, corpus).iterrows():
                table = found.predict(N=float(run.N), D=float(run.D)).set_index(["metric", "quantity"])
                for metric in ("loss", "error"):
                    one, seen = table.loc[(metric, "new_run")], float(run[metric])
                    predictions.append(
                        f"| {corpus} {name} | {metric} | {title} | {span(one, 3)} | {seen:.3f} | "
                        f"{abs(one['median'] / seen - 1):.2%} |"
                    )
            print(f"{corpus}, {title}: {time.perf_counter() - begun:.0f} s; {found.warnings}", file=sys.stderr)
    print("| corpus | runs | E | published | eta = alpha/2 | published | sigma |\n|---|---|---|---|---|---|---|")
    print("\n".join(constants))
    print("\n| held out | | fitted to | new run, 90 % | observed | median off by |\n|---|---|---|---|---|---|")
    print("\n".join(predictions))


if __name__ == "__main__":
    main()
