"""What a fit made of rows that share a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Checkpoints:
    """What a fit makes of rows that share a run.

    Attributes
    ----------
    how : {'last', 'along', 'effects', 'all'}
        The last row of each run; rows along each run, whose residuals follow one another; an effect of each run on the
        law; or all rows, as if each were a run.
    column : str
        What names the runs.
    runs, rows, kept : int
        How many there are, and how many rows are fitted.
    sentence : str
        What was done, and how to do otherwise.
    unit : float or None
        Of D or S, in which rows along a run forget; None where they forget by powers of it.
    """

    how: str
    column: str
    runs: int
    rows: int
    kept: int
    sentence: str
    unit: float | None = None

    @property
    def entry(self) -> dict[str, object]:
        """As JSON holds it."""
        return asdict(self)
