"""FLOPs as GPU-hours and money."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayescale.arrays import Numbers
from bayescale.errors import UsageError


@dataclass(frozen=True)
class Hardware:
    """What a GPU does in an hour, and what the hour costs.

    Parameters
    ----------
    peak : float
        FLOP/s of one GPU at the precision trained in, from its data sheet.
    mfu : float
        Model FLOP utilisation: the share of the peak that 6ND FLOPs over the time taken amount to.
    price : float, optional
        Of a GPU-hour, in any currency.

    Raises
    ------
    UsageError
        A number is not positive, or the utilisation is above 1.
    """

    peak: float
    mfu: float
    price: float | None = None

    def __post_init__(self) -> None:
        for name in ("peak", "mfu", "price"):
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise UsageError(f"{name} must be a positive number, not {value!r}")
        if self.mfu > 1:
            raise UsageError(f"mfu is a share of the peak, such as 0.4; found {self.mfu:g}")

    @property
    def flops_per_hour(self) -> float:
        """Useful FLOPs of one GPU-hour."""
        return 3600.0 * self.peak * self.mfu

    def flops(self, *, gpu_hours: Numbers | None = None, money: Numbers | None = None) -> np.ndarray:
        """The budget in FLOPs that GPU-hours or money buy."""
        if (gpu_hours is None) == (money is None):
            raise UsageError("give either gpu_hours or money")
        hours = np.asarray(gpu_hours, float) if money is None else np.asarray(money, float) / self._price()
        return hours * self.flops_per_hour

    def priced(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table of `allocate` with what its budgets are in GPU-hours and, where a price is given, in money.

        Budgets gain the columns gpu_hours and money before 'quantity'; target losses gain them as quantities
        beside C.
        """
        units = {"gpu_hours": self.flops_per_hour}
        if self.price is not None:
            units["money"] = self.flops_per_hour / self.price
        if "C" in table:
            for place, (name, flops) in enumerate(units.items(), start=1):
                table = table.assign(**{name: table["C"] / flops})
                table.insert(place, name, table.pop(name))
            return table
        scaled = [c for c in ("median", "mean", "sd", "low", "high", "sd_within", "sd_between") if c in table]
        parts = []
        for _, block in table.groupby("target_loss", sort=False):
            need = block[block["quantity"] == "C"]
            extra = [need.assign(quantity=n, **{c: need[c] / flops for c in scaled}) for n, flops in units.items()]
            parts += [need, *extra, block[block["quantity"] != "C"]]
        return pd.concat(parts, ignore_index=True)

    def _price(self) -> float:
        if self.price is None:
            raise UsageError("money needs the price of a GPU-hour (price)")
        return self.price
