"""simple-scaling-laws on tables from standard input, a JSON line each; run by peers.py under Python 3.12 or newer."""

import json
import sys

import numpy as np
import polars as pl
from simple_scaling_laws import cost_model, fit

N_STAR, D_STAR, BUDGET = map(float, sys.argv[1:])
LOSS = "test_loss__nll"
QUANTILES = [0.025, 0.5, 0.975]


def main() -> None:
    cost = cost_model("power", k=6.0, a=1.0, b=1.0)
    for line in sys.stdin:
        table = json.loads(line)
        runs = pl.DataFrame({
            "training_run_id": [f"run{i}" for i in range(len(table["N"]))],
            "model_size__N": table["N"], "dataset_size__D": table["D"], LOSS: table["loss"],
        })  # fmt: skip
        model = fit(runs, law="separable-power", seed=table["seed"])
        center, spans = model.params(LOSS), model.conf_int(LOSS, 0.95)
        found = {n: [center[n], *map(float, spans[n])] for n in ("E", "alpha", "beta")}
        best = model.optimal_allocation([BUDGET], cost, quantiles=QUANTILES).row(0, named=True)
        found["N_opt"] = chosen(best, "model_size__N")
        point = {"model_size__N": [N_STAR], "dataset_size__D": [D_STAR]}
        for name, kind in (("L", "mean"), ("new_run", "new-run")):
            row = model.predict(point, kind=kind, quantiles=QUANTILES, seed=table["seed"]).row(0, named=True)
            found[name] = [row[f"{LOSS}__median"], row[f"{LOSS}__q025"], row[f"{LOSS}__q975"]]
        assert all(np.isfinite(x) for values in found.values() for x in values), found
        print(json.dumps({"intervals": found, "notes": [note.code for note in model.warnings]}), flush=True)


def chosen(row: dict[str, float], name: str) -> list[float]:
    """Median and interval of the optimal model size."""
    names = [next(c for c in row if name in c and c.endswith(end)) for end in ("median", "q025", "q975")]
    return [float(row[c]) for c in names]


if __name__ == "__main__":
    main()
