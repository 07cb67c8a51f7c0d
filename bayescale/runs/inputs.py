"""Inputs by name, as a person gives them, checked: positive numbers or arrays of them that go together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bayescale.errors import UsageError, did_you_mean
from bayescale.runs.features import feature_of


def checked_inputs(law: str, names: tuple[str, ...], inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """`inputs` as float64 arrays in the order of `names`, or an error that says which one is wrong."""
    for name in inputs:
        if name not in names:
            raise UsageError(
                f"law {law} has no input {name!r}{did_you_mean(name, names)}; its inputs are {', '.join(names)}"
            )
    arrays = {}
    for name in names:
        if name not in inputs:
            raise UsageError(f"law {law} needs {name}; its inputs are {', '.join(names)}")
        arrays[name] = feature_of(name).read(name, inputs[name])
    try:
        np.broadcast_shapes(*(a.shape for a in arrays.values()))
    except ValueError:
        sizes = ", ".join(f"{n} has {a.size}" for n, a in arrays.items())
        raise UsageError(f"the inputs must have one length, or be single numbers: {sizes}") from None
    return arrays
