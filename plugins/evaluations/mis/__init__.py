"""The Machine Interpretability Score (Zimmermann, Klindt & Brendel 2024, arXiv 2410.14709).

A task of a direction: references E+ that activate it strongly, E- weakly, and one query of either kind,
q+ and q-. With a(q, E) the mean similarity of q to the images of E:

    Delta+ = a(q+, E+) - a(q+, E-),   Delta- = a(q-, E+) - a(q-, E-),   Delta = Delta+ - Delta-
    MIS = mean over tasks of sigmoid(Delta / temperature)

0.5 is chance, 1 is reached where every query is far more like its own side. Delta has the metric's unit
and the temperature belongs to one metric: the published 0.16 was fitted to people's answers with
DreamSim's cosine similarity, and scores of different metrics under one temperature do not compare. For
other metrics use the share of tasks with Delta > 0 (temperature: null), which has no unit. The published
code (klindtlab/MachInterp) multiplies Delta by 0.16, with which a Delta of 1 gives only 0.54, and by
default takes the share; whether the paper divides is not known. Here 0.16 divides; to multiply:
{temperature: null, scale: 0.16}.

Like the published score this one takes the top set by rank. A direction that responds to few images
(sparse codes) has ties in its sets, which are drawn from at random, and then scores near chance.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Interval

from iibench import EvaluationSpec, UnitScores, UnitTrials, hookimpl

from ..._shared.bibliography import arxiv, entry
from .tasks import draw_tasks

if TYPE_CHECKING:
    from iibench import DoubleArray, EvaluationInputs

ZIMMERMANN2024 = entry(
    "inproceedings",
    "zimmermann2024measuring",
    author="Roland S. Zimmermann and David Klindt and Wieland Brendel",
    title="Measuring Per-Unit Interpretability at Scale Without Humans",
    booktitle="Advances in Neural Information Processing Systems",
    year=2024,
    **arxiv("2410.14709"),
)


#: Responses whose range is below this count as constant, as in the published analysis.
CONSTANT = 1e-8
#: Similarities that are asked for at once: 32 MiB of float64.
BLOCK = 2**22


@dataclass(frozen=True)
class Params:
    """Parameters of the tasks and of the score."""

    tasks: Annotated[int, Ge(1)] = field(default=20, metadata={"help": "tasks per direction"})
    references: Annotated[int, Ge(1)] = field(
        default=9, metadata={"help": "references on each side of a task"}
    )
    quantile: Annotated[float, Interval(gt=0, le=0.5)] = field(
        default=0.25,
        metadata={"help": "share of all images, at either end, that tasks are drawn from"},
    )
    temperature: Annotated[float, Gt(0)] | None = field(
        default=0.16,
        metadata={
            "help": "score = mean of sigmoid(Delta / temperature), in the metric's unit (0.16: "
            "DreamSim); null: see scale"
        },
    )
    scale: Annotated[float, Gt(0)] | None = field(
        default=None,
        metadata={
            "help": "with temperature null: mean of sigmoid(scale x Delta); null too: the share of "
            "tasks with Delta > 0, a tie one half"
        },
    )

    def __post_init__(self) -> None:
        """Raises `ValueError`, which the suite's reader reports, for a temperature and a scale."""
        if self.temperature is not None and self.scale is not None:
            raise ValueError(
                f"found temperature {self.temperature:g} and scale {self.scale:g}; expected one of "
                "them: a scale needs temperature: null"
            )


def score(params: Params, delta: DoubleArray) -> DoubleArray:
    """(..., T) Delta of each task -> (...) MIS."""
    from scipy.special import expit

    from iibench.statistics.observers import correct

    if params.temperature is not None:
        chosen = expit(delta / params.temperature)
    elif params.scale is not None:
        chosen = expit(params.scale * delta)
    else:
        chosen = correct(delta)
    found: DoubleArray = chosen.mean(axis=-1)
    return found


def evaluate(params: Params, inputs: EvaluationInputs) -> UnitScores:
    """MIS of every direction; one whose responses differ by less than 1e-8 is not scored.

    Raises `CaseError` where there are too few images for the tasks.
    """
    import numpy as np

    from iibench.compute.ranking import ShuffledOrder, images_at, responses_to
    from iibench.statistics.observers import evidence_two_sided

    response = inputs.responses
    order = ShuffledOrder(response, inputs.order, inputs.seed)
    tasks = draw_tasks(order, params.quantile, params.tasks, params.references, inputs.seed)
    most, least = images_at(inputs.order, np.array([0, len(response) - 1]))
    constant = responses_to(response, most) - responses_to(response, least) < CONSTANT
    scored = np.flatnonzero(~constant)
    values = np.full(len(constant), np.nan)
    evidence = np.full((len(constant), params.tasks, 2), np.nan)
    block = max(1, BLOCK // (params.tasks * 4 * params.references))
    for start in range(0, len(scored), block):
        units = scored[start : start + block]
        queries = np.stack([tasks.strong[units], tasks.weak[units]], axis=2).reshape(-1, 2)
        sides = [tasks.strong_references[units], tasks.weak_references[units]]
        references = np.concatenate(sides, axis=2).reshape(len(queries), -1)
        to_strong, to_weak = np.split(inputs.similarity.cross(queries, references), 2, axis=2)
        found = evidence_two_sided(to_strong, to_weak, pool="mean")
        evidence[units] = found.reshape(len(units), params.tasks, 2)
        values[units] = score(params, evidence[units, :, 0] - evidence[units, :, 1])
    reasons = tuple(
        f"constant: its responses to all images differ by less than {CONSTANT:g}" if dead else None
        for dead in constant
    )
    shown = UnitTrials(
        *(tasks.strong, tasks.weak, tasks.strong_references, tasks.weak_references), evidence
    )
    return UnitScores(values, reasons, trials=params.tasks, unit_trials=shown)


@hookimpl
def iibench_register_evaluations() -> Iterable[EvaluationSpec]:
    """Registers `mis`."""
    yield EvaluationSpec(
        name="mis",
        summary="Machine Interpretability Score: are queries more like the references of their side?",
        definition=(
            "A task of a direction has references E+ that activate it strongly, E- weakly, and a "
            "query of either kind, drawn from the top and bottom `quantile` of its responses. "
            "With a(q, E) the mean similarity of q to E: Delta = (a(q+, E+) - a(q+, E-)) - (a(q-, "
            "E+) - a(q-, E-)), in the metric's unit. MIS = the mean over tasks of 1 / (1 + "
            "exp(-Delta / temperature)): 0.5 is chance, larger is better, at most 1. With "
            "`temperature: null` it is the mean of the sigmoid of `scale` x Delta or, without a "
            "scale, the share of tasks with Delta > 0. Scores under different metrics do not "
            "compare at one temperature."
        ),
        params=Params,
        evaluate=evaluate,
        blockwise=True,
        chance=0.5,
        unit="mean probability of the right answer",
        plot="box",
        images=lambda params, n: int(params.tasks * 2 * (params.references + 1)),
        citation="Zimmermann, Klindt & Brendel (2024), Measuring per-unit interpretability at scale "
        "without humans",
        bibtex=ZIMMERMANN2024,
    )
