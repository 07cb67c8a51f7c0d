"""Parameters with and without embeddings (Pearce & Song 2024, arXiv:2406.12907).

Laws count one or the other: Kaplan et al. 2020 without, Hoffmann et al. 2022 with. Small models are mostly embeddings,
so the same runs have another exponent of N in the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bayescale.arrays import Numbers, Values
from bayescale.runs.inputs import checked_inputs

OMEGA = 47491.0
"""Pearce & Song's, fitted to the models of Hoffmann et al. 2022."""

OWNER = "of Pearce & Song 2024"


def total(N: Values, omega: Values) -> Any:
    """Parameters with embeddings, unchecked: for laws."""
    return N + omega * N ** (1 / 3)


def total_parameters(N: Numbers, *, omega: Numbers = OMEGA) -> Any:
    """Parameters with embeddings, ``N + omega N^(1/3)``, of N without.

    Parameters
    ----------
    N : array_like
        Parameters without embeddings.
    omega : array_like
        See `embedding_scale`.

    Raises
    ------
    UsageError
        A number is not positive and finite.

    Examples
    --------
    >>> f"{total_parameters(1e8):.4g}"
    '1.22e+08'
    """
    N, omega = checked_inputs(OWNER, ("N", "omega"), {"N": N, "omega": omega}, positive=True).values()
    return total(N, omega)[()]


def non_embedding_parameters(N_total: Numbers, *, omega: Numbers = OMEGA) -> Any:
    """Parameters without embeddings of `N_total` with: the inverse of `total_parameters`.

    Parameters
    ----------
    N_total : array_like
        Parameters with embeddings.
    omega : array_like
        See `embedding_scale`.

    Raises
    ------
    UsageError
        A number is not positive and finite.

    Examples
    --------
    >>> f"{non_embedding_parameters(total_parameters(1e8)):.4g}"
    '1e+08'
    """
    N, omega = checked_inputs(OWNER, ("N_total", "omega"), {"N_total": N_total, "omega": omega}, positive=True).values()
    # x = N^(1/3) is the one real root of x^3 + omega x = N_total, here without cancellation
    x = 2 * np.sqrt(omega / 3) * np.sinh(np.arcsinh(1.5 * N / omega * np.sqrt(3 / omega)) / 3)
    return (x**3)[()]


def embedding_scale(vocabulary: Numbers, aspect_ratio: Numbers = 39.2) -> Any:
    """The omega of a family of models: ``vocabulary (aspect_ratio / 12)^(1/3)``.

    Embeddings are vocabulary times width; of 12 layers width^2 parameters without them the width is
    (aspect_ratio N / 12)^(1/3).

    Parameters
    ----------
    vocabulary : array_like
        Tokens of the vocabulary; twice that where the output has embeddings of its own.
    aspect_ratio : array_like
        Width over number of layers.

    Raises
    ------
    UsageError
        A number is not positive and finite.

    Examples
    --------
    >>> f"{embedding_scale(32000):.5g}"
    '47481'
    """
    given = {"vocabulary": vocabulary, "aspect_ratio": aspect_ratio}
    V, A = checked_inputs(OWNER, tuple(given), given, positive=True).values()
    return (V * np.cbrt(A / 12))[()]
