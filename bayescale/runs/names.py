"""Names of columns: the standard ones, the aliases they go by, paths before them and units after them."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, replace

import numpy as np

from bayescale.runs.numbers import KINDS, quantity

COLUMNS = {
    "N": "parameters",
    "D": "training tokens",
    "C": "training FLOPs",
    "S": "optimiser steps",
    "B": "tokens a batch",
    "U": "unique tokens",
    "E": "experts a routed layer, 1 of a dense model",
    "loss": "nats per token",
    "loss_se": "standard error of the loss, nats per token",
    "error": "error rate of tasks, 0 to 1",
    "accuracy": "accuracy on tasks, 0 to 1",
    "group": "what the run belongs to: a corpus, a family, a set-up",
    "run": "name of the training run; rows of one run are correlated",
}
LABELS = ("group", "run")
EVALUATIONS = ("error", "accuracy")

ALIASES = {
    "N": "params, parameters, n_params, num_params, num_parameters, n_parameters, model_size, model_params, "
    "model_parameters, total_params, total_parameters, trainable_params, param_count, parameter_count, #params, "
    "#parameters, nparams, non_embedding_params, n_params_non_embedding, num_non_embedding_params, non_emb_params",
    "D": "tokens, n_tokens, num_tokens, train_tokens, training_tokens, dataset_size, tokens_seen, seen_tokens, "
    "n_tokens_seen, num_tokens_seen, num_input_tokens_seen, train_tokens_seen, consumed_tokens, total_tokens, "
    "training_dataset_size, trained_tokens, tokens_trained, processed_tokens, #tokens, ntokens, dataset_tokens, "
    "token_count",
    "C": "flops, flop, compute, train_flops, training_flops, training_flop, train_compute, training_compute, "
    "total_flops, total_compute, total_flos, compute_budget, flop_budget, flops_budget, compute_flops, train_flop",
    "S": "steps, n_steps, num_steps, training_steps, train_steps, optimizer_steps, optimiser_steps",
    "B": "batch, batch_size, batch_tokens, tokens_per_batch, batch_size_tokens",
    "U": "unique_tokens, n_unique_tokens, num_unique_tokens",
    "E": "experts, n_experts, num_experts",
    "loss": "val_loss, valid_loss, validation_loss, eval_loss, test_loss, dev_loss, heldout_loss, nll, lm_loss, ce, "
    "val_nll, eval_nll, test_nll, loss_val, loss_eval, loss_test, ce_loss, cross_entropy, cross_entropy_loss, xent, "
    "val_ce, log_perplexity, log_ppl, loss_validation, valid_nll, neg_log_likelihood, negative_log_likelihood",
    "loss_se": "se, stderr, std_err, loss_stderr, loss_std_err, loss_sem",
    "error": "error_rate, err, top1_error, val_error, test_error, eval_error, valid_error, validation_error",
    "accuracy": "acc, top1_accuracy, top1_acc, val_acc, test_acc, eval_acc, valid_acc, val_accuracy, test_accuracy, "
    "eval_accuracy, valid_accuracy, validation_accuracy",
    "group": "family, corpus",
    "run": "run_name, run_id",
}
WEAK = {"S": "step, global_step, iteration, iterations, iter"}
"""Names that trackers give to a count of their own: a column only where every cell can be used."""

TRAINING = "train_loss, training_loss, loss_train, train_nll, train_ce, train_cross_entropy, train_lm_loss"
PERPLEXITY = (
    "perplexity, ppl, val_ppl, valid_ppl, validation_ppl, eval_ppl, test_ppl, val_perplexity, valid_perplexity, "
    "validation_perplexity, eval_perplexity, test_perplexity, token_perplexity, word_perplexity, byte_perplexity, "
    "lm_loss_ppl, heldout_perplexity, train_ppl, train_perplexity"
)
BITS = (
    "bpb, bpc, bpd, bits_per_byte, bits_per_character, bits_per_char, bits_per_dim, bits_per_token, bits_per_word, "
    "val_bpb, valid_bpb, eval_bpb, test_bpb, val_bpc, valid_bpc, eval_bpc, test_bpc, val_bits_per_byte, "
    "eval_bits_per_byte, test_bits_per_byte, bits_byte, bits_token, bits_char, train_bpb, train_bpc"
)
QUALIFIERS = r"^(?:final|last|best)[\s_-]*(?=\w)"
HARMLESS = (
    r"(?:(?:non|without|w/?o|excl\.?|with|incl\.?)[\s_-]*)?emb(?:ed|edding)?s?|total|active|val(?:id(?:ation)?)?|eval|"
    r"test|dev|held[\s-]?out|final|last|mean|trainable|seen|training|cross[\s-]?entropy|all"
)
"""What may stand in brackets after a name and is no unit."""


@dataclass(frozen=True)
class Meaning:
    """What a column's own name says of it.

    Attributes
    ----------
    name : str
        The standard column.
    factor : float
        Of a cell in the column's units: 1e6 of "params (M)".
    unit : str
        The unit as it is written, or ''.
    form : {'', 'log', 'bits'}
        What else makes a loss of it: the logarithm of a perplexity, bits that become nats.
    training : bool
        A loss on the training data, which gives way to one that is held out.
    weak : bool
        See `WEAK`.
    """

    name: str
    factor: float = 1.0
    unit: str = ""
    form: str = ""
    training: bool = False
    weak: bool = False


def _plain(name: object) -> str:
    return re.sub(r"[\s_-]+", "", str(name)).lower()


def _each(names: str, **of: object) -> dict[str, Meaning]:
    standard = str(of.pop("name"))
    return {_plain(n): replace(Meaning(standard), **of) for n in names.split(",")}  # type: ignore[arg-type]


_MEANING = (
    _each(BITS, name="loss", form="bits")
    | _each(PERPLEXITY, name="loss", form="log")
    | _each(TRAINING, name="loss", training=True)
    | {plain: m for name, text in WEAK.items() for plain, m in _each(text, name=name, weak=True).items()}
    | {plain: m for name, text in ALIASES.items() for plain, m in _each(f"{name},{text}", name=name).items()}
)


def standard_name(column: str) -> str:
    """The standard name of a column that goes by one of its aliases, else its own."""
    found = _MEANING.get(_plain(column))
    return found.name if found and not (found.weak or found.form or found.training) else column


@functools.lru_cache(maxsize=4096)
def meaning(label: str) -> Meaning | None:
    """What a column is by its name: of a path such as ``eval/loss`` the last part says it; a unit may follow.

    Returns
    -------
    Meaning or None
        None where the name is not known, or its unit is not one of that column.
    """
    if label in COLUMNS:
        return Meaning(label)
    text, bracket = label.strip(), ""
    if found := re.fullmatch(r"(.*?)\s*[(\[]\s*([^()\[\]]*?)\s*[)\]]\s*", text):
        text, bracket = found[1], found[2]
    parts = [part for part in re.split(r"/|\.|::|\||\s-\s|\s[–—]\s", text) if part]  # noqa: RUF001
    spellings = [text, *(["_".join(parts[-2:]), parts[-1]] if len(parts) > 1 else [])]
    for spelled in spellings:
        if (known := _named(spelled)) and (spelled is text or len(_plain(spelled)) > 1 or spelled in COLUMNS):
            training = known.name == "loss" and bool(re.search(r"(?:^|[^a-z])train(?:ing)?(?![a-z])", label.lower()))
            known = replace(known, training=known.training or training)
            return _in_units(known, bracket) if bracket else known
    return None


def _named(text: str) -> Meaning | None:
    """The meaning of a name without a path, with a unit perhaps."""
    bare = re.sub(QUALIFIERS, "", text.strip(), flags=re.I)
    for name in (text, bare):
        if found := _MEANING.get(_plain(name)):
            return found
    for pattern in (r"(.+?)[\s_-]+in[\s_-]+(.+)", r"(.+?)\s*[,:/]\s*(.+)", r"(.+)[\s_-]([^\s_-]+)"):
        if (split := re.fullmatch(pattern, bare, re.I)) and (found := _MEANING.get(_plain(split[1]))):
            read = _in_units(found, split[2].replace("_", " "))
            plain = re.fullmatch(rf"{HARMLESS}|[0-9]+", split[2], re.I)
            if read is not None and not plain:
                return read
    return None


def _power_of_ten(value: float) -> bool:
    return bool(np.isfinite(value)) and value >= 1e3 and float(f"1e{round(np.log10(value))}") == value


def _in_units(known: Meaning, unit: str) -> Meaning | None:
    """A meaning in the units that a header names; None where they are none of that column."""
    if re.fullmatch(HARMLESS, unit, re.I):
        return known
    bare = re.sub(r"^[x×*]\s*(?=[0-9])", "", unit.strip())  # noqa: RUF001
    bare = re.sub(r"^per cent$|^(?:in )?%$", "%", bare)
    found = quantity(f"1 {bare}")
    if found is None and (found := quantity(bare)) and not _power_of_ten(found.value):
        return None
    if found is None or not found.value > 0:
        return None
    if found.unit and (found.unit not in KINDS.get(known.name, ()) or known.form):
        return known if known.form == found.unit == "bits" else None
    if known.name in ("run", "group"):
        return None
    return replace(known, factor=found.value, unit=unit, form="bits" if found.unit == "bits" else known.form)
