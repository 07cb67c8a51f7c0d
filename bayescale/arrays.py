"""What numbers are at the borders: as a user gives them, and inside a formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import jax
    import numpy as np
    import numpy.typing as npt

Numbers: TypeAlias = "npt.ArrayLike"
"""Numbers as a user gives them: one, a list, an array or a column; names of groups and texts of schedules too."""

Values: TypeAlias = "float | np.ndarray | jax.Array"
"""Numbers in a formula: one, or an array, traced or not. What is always traced is a `jax.Array`."""
