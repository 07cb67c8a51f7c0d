"""Parameters and FLOPs of a Transformer from its shape (Kaplan et al. 2020, section 2.1)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bayescale.arrays import Numbers
from bayescale.errors import UsageError
from bayescale.law import FLOPS_PER_PARAMETER_TOKEN, PF_DAY
from bayescale.runs.inputs import checked_inputs

OWNER = "of Kaplan et al. 2020"


def parameters(
    n_layer: Numbers, d_model: Numbers, *, d_attn: Numbers | None = None, d_ff: Numbers | None = None
) -> Any:
    """Parameters without embeddings: ``2 d_model n_layer (2 d_attn + d_ff)`` (eq. 2.1).

    Parameters
    ----------
    n_layer, d_model : array_like
        Layers and width of the residual stream.
    d_attn, d_ff : array_like, optional
        Widths of the attention output (default d_model) and of the feed-forward layer (default 4 d_model).

    Raises
    ------
    UsageError
        A size is not positive.
    """
    n_layer, d_model, d_attn, d_ff = _sizes(n_layer, d_model, d_attn, d_ff)
    return 2 * d_model * n_layer * (2 * d_attn + d_ff)


def forward_flops(
    n_layer: Numbers, d_model: Numbers, n_ctx: Numbers, *, d_attn: Numbers | None = None, d_ff: Numbers | None = None
) -> Any:
    """FLOPs a token of one forward pass: ``2 N + 2 n_layer n_ctx d_attn`` (eq. 2.2, Table 1).

    A backward pass costs twice that. The second term, of the context, is small where d_model is well above n_ctx / 12.
    """
    N = parameters(n_layer, d_model, d_attn=d_attn, d_ff=d_ff)
    n_layer, _, d_attn, _ = _sizes(n_layer, d_model, d_attn, d_ff)
    (n_ctx,) = checked_inputs(OWNER, ("n_ctx",), {"n_ctx": n_ctx}, positive=True).values()
    return 2 * N + 2 * n_layer * n_ctx * d_attn


def operations(
    n_layer: float,
    d_model: float,
    *,
    n_ctx: float = 1024,
    n_vocab: float = 50257,
    d_attn: float | None = None,
    d_ff: float | None = None,
) -> pd.DataFrame:
    """Parameters and forward FLOPs a token of each operation (Table 1).

    Returns
    -------
    DataFrame
        Index: embed, attention_qkv, attention_mask, attention_project, feedforward, de_embed, and
        total_without_embeddings. Columns: parameters, flops_per_token.
    """
    sizes = _sizes(n_layer, d_model, d_attn, d_ff)
    layers, width, attention, inner = (float(x) for x in sizes)
    context, vocabulary = (
        float(x)
        for x in checked_inputs(
            OWNER, ("n_ctx", "n_vocab"), {"n_ctx": n_ctx, "n_vocab": n_vocab}, positive=True
        ).values()
    )
    qkv, project, feed = layers * width * 3 * attention, layers * attention * width, layers * 2 * width * inner
    mask = 2 * layers * context * attention
    rows = {
        "embed": ((vocabulary + context) * width, 4 * width),
        "attention_qkv": (qkv, 2 * qkv),
        "attention_mask": (0.0, mask),
        "attention_project": (project, 2 * project),
        "feedforward": (feed, 2 * feed),
        "de_embed": (0.0, 2 * width * vocabulary),
        "total_without_embeddings": (qkv + project + feed, 2 * (qkv + project + feed) + mask),
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["parameters", "flops_per_token"])


def training_flops(N: Numbers, D: Numbers) -> Any:
    """``C = 6 N D``, FLOPs, for D = B S tokens processed: two forward and four backward (section 2.1)."""
    N, D = checked_inputs(OWNER, ("N", "D"), {"N": N, "D": D}, positive=True).values()
    return FLOPS_PER_PARAMETER_TOKEN * N * D


def pf_days(C: Numbers) -> Any:
    """FLOPs to PF-days; one is 8.64e19 FLOPs."""
    return np.asarray(C, float)[()] / PF_DAY


def flops(pf_days: Numbers) -> Any:
    """PF-days to FLOPs."""
    return np.asarray(pf_days, float)[()] * PF_DAY


def learning_rate(N: Numbers) -> Any:
    """The paper's rule for Adam's peak learning rate, ``0.003239 - 0.0001395 ln N`` (appendix D.6).

    Raises
    ------
    UsageError
        N is above 1e10, where the rule breaks down: it reaches zero.
    """
    (N,) = checked_inputs(OWNER, ("N",), {"N": N}, positive=True).values()
    if np.any(N > 1e10):
        raise UsageError(
            f"the paper's learning rate holds up to N = 1e10, near which it reaches zero; found N = {np.max(N):g}"
        )
    return 0.003239 - 0.0001395 * np.log(N)


def _sizes(n_layer: Numbers, d_model: Numbers, d_attn: Numbers | None, d_ff: Numbers | None) -> tuple[np.ndarray, ...]:
    given = {"n_layer": n_layer, "d_model": d_model}
    given["d_attn"] = d_model if d_attn is None else d_attn
    given["d_ff"] = 4 * np.asarray(d_model, float) if d_ff is None else d_ff
    return tuple(checked_inputs(OWNER, tuple(given), given, positive=True).values())
