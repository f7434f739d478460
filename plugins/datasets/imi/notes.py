"""What is told about an IMI release that was read: its version, what was kept, what was left out, why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from iibench import Section, Stimuli

from .choice import Selection
from .images import Images, Stimulus
from .names import version_of
from .responses import Responses

Table = tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]

#: PIL's modes of grey images.
_GREY = frozenset({"1", "L", "LA", "La", "I", "I;16", "F"})


@dataclass(frozen=True)
class Account:
    """What became of a release's rows.

    `left_out`: reason -> main rows; `stimuli_left_out`: reason -> stimuli. `stimuli`: the kept ones, as
    in `trials`. `modes`: PIL's colour mode -> image files.
    """

    responses: Responses
    selection: Selection
    left_out: Counter[str]
    stimuli_left_out: Counter[str]
    stimuli: tuple[Stimulus, ...]
    images: Images
    modes: Counter[str]
    trials: Stimuli


def notes(account: Account) -> tuple[str, ...]:
    """Sentences for the report."""
    return (
        *_about_rows(account),
        *_about_people(account),
        *_about_experiments(account),
        *_about_images(account),
    )


def _about_rows(account: Account) -> Iterator[str]:
    responses, trials = account.responses, account.trials
    counts = responses.counts
    yield version_of(responses.experiments)
    yield (
        f"{responses.path.name} has {responses.rows:,} rows: {counts['main']:,} answers to stimuli, "
        f"{counts['catch']:,} to catch trials and {counts['practice']:,} of practice"
    )
    yield (
        f"kept are {len(trials.answers.stimulus):,} answers to {len(trials):,} stimuli of "
        f"{len(trials.units):,} units"
    )
    for reason, n in account.left_out.items():
        of = account.stimuli_left_out.get(reason)
        yield f"left out are {n:,} answers{f' to {of:,} stimuli' if of else ''}: {reason}"


def _about_people(account: Account) -> Iterator[str]:
    if account.responses.path.stem != "responses_main":
        yield (
            "the answers include people who failed the checks of their work or took part more often "
            "than allowed; published results rest on responses_main"
        )
    if (account.trials.answers.participant < 0).all():
        yield "all rows have one participant_id: people cannot be told apart"


def _about_experiments(account: Account) -> Iterator[str]:
    experiments = {stimulus.experiment for stimulus in account.stimuli}
    by_model: dict[str, set[str]] = {}
    for experiment in experiments:
        by_model.setdefault(experiment.model, set()).add(experiment.difficulty)
    for model, difficulties in sorted(by_model.items()):
        if len(difficulties) > 1:
            yield (
                f"the {', '.join(sorted(difficulties))} experiments of {model} judge the same units "
                "with other queries: averages over all of them count these units more than once"
            )
    for name, model, _, _, agrees in account.selection.cross:
        for experiment in experiments:
            if agrees and experiment.name == name and model != experiment.key:
                yield (
                    f"rows of {name} say model {model}, as published; their queries are taken from "
                    f"the file map's {experiment.key}"
                )


def _about_images(account: Account) -> Iterator[str]:
    images = account.images
    found = len(images.files) - len(images.missing)
    optimized, finished = len(images.optimized), len(images.finished)
    yield (
        f"{found:,} distinct images: {found - optimized - finished:,} ImageNet photographs, resized "
        f"and cut as the stimuli were, {finished:,} finished stimuli of the release and "
        f"{optimized:,} optimized images"
    )
    grey = sum(n for mode, n in account.modes.items() if mode in _GREY)
    cmyk = account.modes["CMYK"]
    other = account.modes.total() - account.modes["RGB"] - grey - cmyk
    if grey or cmyk or other:
        yield (
            f"converted to RGB were {grey:,} grey images, {cmyk:,} CMYK images and {other:,} images "
            "of other modes"
        )
    if images.missing:
        hidden = ~account.trials.shown
        answers = int(hidden[account.trials.answers.stimulus].sum())
        yield (
            f"{len(images.missing):,} images are missing: {int(hidden.sum()):,} stimuli with "
            f"{answers:,} answers have no similarities"
        )


def sections(account: Account) -> tuple[Section, ...]:
    """The same counts in tables."""
    return (
        Section(
            "Answers of the IMI release",
            (
                "An answer's experiment is what its task_id says; its columns model and mode must "
                "agree with that. Of stimuli whose images are missing the answers are kept.",
            ),
            (_rows_table(account), _cross_table(account), _experiment_table(account)),
        ),
    )


def _rows_table(account: Account) -> Table:
    counts = account.responses.counts
    rows = [
        ("all", account.responses.rows),
        ("practice", counts["practice"]),
        ("catch trials", counts["catch"]),
        ("answers to stimuli", counts["main"]),
        *((f"left out: {reason}", n) for reason, n in account.left_out.items()),
        ("kept", len(account.trials.answers.stimulus)),
    ]
    return ("rows", "count"), tuple((name, f"{n:,}") for name, n in rows)


def _cross_table(account: Account) -> Table:
    header = ("experiment (task_id)", "column model", "column mode", "answers", "agree")
    return header, tuple(
        (name, model, mode, f"{n:,}", "yes" if agrees else "no")
        for name, model, mode, n, agrees in account.selection.cross
    )


def _experiment_table(account: Account) -> Table:
    trials = account.trials
    answers = Counter(trials.columns["experiment"][trials.answers.stimulus].tolist())
    rows = []
    for experiment in sorted({s.experiment for s in account.stimuli}, key=lambda e: e.name):
        stimuli = [s for s in account.stimuli if s.experiment == experiment]
        rows.append(
            (
                experiment.name,
                experiment.model,
                experiment.difficulty,
                experiment.condition,
                f"{len({stimulus.unit for stimulus in stimuli}):,}",
                f"{len(stimuli):,}",
                f"{answers[experiment.name]:,}",
            )
        )
    header = ("kept experiment", "model", "difficulty", "condition", "units", "stimuli", "answers")
    return header, tuple(rows)
