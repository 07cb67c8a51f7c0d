"""From the original files of a downloaded data set to one tidy table with the standard column names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bayescale.runs.delimited import read_exactly


def _epoch_chinchilla(paths: list[Path]) -> pd.DataFrame:
    points = read_exactly(paths[0])
    outlying = points["loss"].nlargest(5).index
    return pd.DataFrame(
        {
            "N": points["Model Size"],
            "C": points["Training FLOP"],
            "loss": points["loss"],
            "epoch_in_fit": (~points.index.isin(outlying)).astype(int),
        }
    )


TOKENS_PER_STEP = 524_288.0  # Clark et al. 2022: batches of 256 sequences of 2048 tokens


def _routing(paths: list[Path]) -> pd.DataFrame:
    curves = read_exactly(next(path for path in paths if path.name == "curves.csv.gz"))
    last = curves.loc[curves.groupby("hyper_id", sort=False)["step"].idxmax()]
    return pd.DataFrame(
        {
            "N": last["dense_parameter_count"],
            "D": last["step"] * TOKENS_PER_STEP,
            "loss": last["loss_validation"],
            "run": last["hyper_id"],
            "E": last["num_experts"],
            "P": last["total_parameter_count"],
            "router": last["router_type"],
            **{name: last[name] for name in ("k", "routing_frequency", "flop_increase", "seed", "step", "d_model")},
        }
    )


def _gemstones(paths: list[Path]) -> pd.DataFrame:
    parts = []
    for path in (path for path in paths if path.suffix == ".jsonl"):
        points = pd.read_json(path, lines=True, precise_float=True)
        subset = path.stem.removeprefix("wandb_df_for_fitting_").removesuffix("_losses_combined")
        parts.append(points.assign(subset=subset))
    points = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(
        {
            "N": points["params_active_precise"],
            "D": points["tokens"],
            "loss": points["final_loss"],
            "run": points["run_name"],
            **{name: points[name] for name in ("subset", "width", "depth", "step")},
        }
    )


def _mpl(paths: list[Path]) -> pd.DataFrame:
    parts = []
    for path in (path for path in paths if path.suffix == ".csv"):
        size, schedule = path.parent.name.removeprefix("csv_"), path.stem
        curve = read_exactly(path)
        fitted = schedule in ("cosine_24000", "constant_24000", "wsdcon_9")
        parts.append(
            pd.DataFrame({"N": float(size) * 1e6, "S": curve["step"], "loss": curve["loss"], "lr": curve["lr"]}).assign(
                run=f"{size}M {schedule}", schedule=schedule, split="fit" if fitted else "test"
            )
        )
    return pd.concat(parts, ignore_index=True)


TIDY: dict[str, Callable[[list[Path]], pd.DataFrame]] = {
    "epoch_chinchilla": _epoch_chinchilla,
    "routing": _routing,
    "gemstones": _gemstones,
    "mpl": _mpl,
}
