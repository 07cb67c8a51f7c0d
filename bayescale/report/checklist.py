"""The reporting checklist of Li, Kudugunta & Zettlemoyer 2025, as far as a fit knows the answers.

"(Mis)Fitting: A Survey of Scaling Laws" (arXiv:2502.18969) asks authors to state four groups of facts. The questions
here follow its groups in our words.
"""

from __future__ import annotations

from typing import NamedTuple

from bayescale.report import words
from bayescale.report.subject import Subject

SOURCE = "Li, Kudugunta & Zettlemoyer 2025, (Mis)Fitting: A Survey of Scaling Laws, arXiv:2502.18969"
OPEN = "not recorded: for the authors to state"


class Item(NamedTuple):
    """A question and its answer; `answered` is false where the authors must state it."""

    question: str
    answer: str
    answered: bool


class Group(NamedTuple):
    """A group of the checklist."""

    title: str
    items: list[Item]


def checklist(subject: Subject, residual_sd: float) -> list[Group]:
    """Every item, answered from the fit or left to the authors.

    Parameters
    ----------
    subject : Subject
    residual_sd : float
        Spread of the residuals, percent.
    """
    return [
        Group("The law", _law(subject)),
        Group("How the models were trained", _training(subject)),
        Group("How the data were collected", _data(subject)),
        Group("How the law was fitted", _fitting(subject, residual_sd)),
    ]


def _law(subject: Subject) -> list[Item]:
    fit = subject.lead
    laws = [f.law for f in subject.comparison.fits.values()] if subject.comparison else [fit.law]
    forms = "; ".join(f"{law.name}: {law.formula()}" for law in laws)
    return [
        _item("What is the form of the law?", forms),
        _item("Which variables does it relate?", f"{subject.metric} to {words.listed(list(subject.inputs))}"),
        _item(
            "Which parameters are fitted?",
            "; ".join(f"{law.name}: {', '.join(law.free)}" for law in laws) + f"; of the scatter: {_noise(subject)}",
        ),
        _item(
            "Where does the form come from?",
            "; ".join(dict.fromkeys(law.law.source() for law in laws if law.law.source())),
        ),
        _item("What does it assume?", " ".join(dict.fromkeys(r for law in laws for r in law.law.remarks()))),
    ]


def _training(subject: Subject) -> list[Item]:
    runs = subject.lead.runs
    ranges = "; ".join(words.span_of(n, low, high) for n, (low, high) in subject.seen.items())
    models = f"{runs.rows} runs"
    if "N" in runs.inputs:
        models += f" of {len(set(runs.inputs['N'].tolist()))} sizes"
    counted = "C = 6ND, two FLOPs forward and four backward a parameter and token" if "C" in subject.seen else ""
    if not runs.cost.usual:
        counted = runs.cost.sentence
    if "C" in runs.inputs:
        counted = ""
    return [
        _item("How many models, of which sizes, on how much data?", f"{models}: {ranges}"),
        _item("What data were they trained on, and is any of it repeated?", ""),
        _item("Do parameter counts include embeddings, and how are tokens counted?", ""),
        _item("How is compute counted?", counted),
        _item("Which architecture, optimiser, batch size and learning-rate schedule, and how were they tuned?", ""),
        _item("Is the training code available?", ""),
    ]


def _data(subject: Subject) -> list[Item]:
    runs = subject.lead.runs
    curves = ""
    if runs.run is not None:
        curves = f"{runs.rows} rows of {len(set(runs.run.tolist()))} runs: several points a run were used"
    error = (
        f"measurement errors ({subject.metric}_se) were given and added to the scatter" if runs.se is not None else ""
    )
    return [
        _item("What is the metric measured on, and how?", ""),
        _item("Are intermediate checkpoints used, or one point a run?", curves),
        _item("Were losses smoothed, checkpoints averaged or otherwise changed?", ""),
        _item("Are errors of measurement known?", error),
        _item("Were runs dropped?", f"{runs.rows} rows were fitted; what was left out before", True),
        _item("Are the data and the checkpoints available?", "the fitted rows are in this page"),
    ]


def _fitting(subject: Subject, residual_sd: float) -> list[Item]:
    fit = subject.lead
    samples = fit.samples
    chains, draws = samples.z.shape[:2]
    extrapolation = (
        "the largest budgets were held out and predicted from the others (table of laws)" if subject.comparison else ""
    )
    mass = words.percent(subject.interval)
    return [
        _item(
            "What is the objective?",
            f"the posterior density, with {fit.likelihood.name} scatter of log {subject.metric}",
        ),
        _item("Which priors?", "in the table of constants"),
        _item("What algorithm fits it?", f"{samples.method}, {chains} chains of {draws} draws, seed {fit.seed}"),
        _item(
            "How is it initialised?",
            f"by climbing from prior draws; {len(samples.modes)} mode{'s' if len(samples.modes) != 1 else ''} found",
        ),
        _item("Are all points used, and are outliers dropped?", f"all {fit.runs.rows}; {_tails(subject)}"),
        _item("How good is the fit?", f"residuals have a standard deviation of {residual_sd:.2g} %"),
        _item("How sure are the constants?", f"{mass} equal-tailed posterior intervals, in the table of constants"),
        _item("Was extrapolation tested?", extrapolation),
    ]


def _noise(subject: Subject) -> str:
    fit = subject.lead
    return ", ".join(n for n in fit.constants if n not in fit.law.fields) or "none"


def _tails(subject: Subject) -> str:
    return "heavy tails are learned instead" if "nu" in subject.lead.constants else "none was given less weight"


def _item(question: str, answer: str, partly: bool = False) -> Item:
    if partly:
        return Item(question, f"{answer}: {OPEN}", False)
    return Item(question, answer or OPEN, bool(answer))
