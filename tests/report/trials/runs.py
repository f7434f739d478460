"""Runs on made-up trials, judged by the real evaluations, written to a folder and read back."""

from __future__ import annotations

import base64
import dataclasses
import io
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from iibench.contract.measures import Curve, Measure, Section
from iibench.contract.reports import Named, TrialReport, Verdict
from iibench.contract.trials import Answers, Stimuli, TrialInputs, TrialScores, TrialSimilarities
from iibench.hooks.loading import load_plugins
from iibench.report.trials.choice import images_of_trials
from iibench.results.run import Run, load_run, write_leaderboard, write_results
from iibench.results.trial_tables import write_stimuli
from iibench.results.unit_tables import UnitTables, write_unit_tables
from iibench.runner.case_reports import reported
from iibench.stages.trials import TrialResult
from iibench.suite.params import parse_params, to_json
from iibench_plugins.evaluations import human, human_accuracy, insilico_trials, triplets

if TYPE_CHECKING:
    from iibench.contract.evaluations import EvaluationBase
    from iibench.suite.registry import Table
    from tests.report.directions.test_page import Page

#: Metric label -> weights of red, green and blue in the distance of flat colours.
METRICS = {"colour": (1.0, 1.0, 1.0), "colour[r]": (1.0, 0.0, 0.0), "blue": (0.0, 0.0, 1.0)}
OBSERVERS = ("human[observer=two_sided]", "human[observer=eq2]")
HEADLINES = {
    "human": "auc",
    "human_accuracy": "human_accuracy",
    "insilico_trials": "insilico_accuracy",
    "triplets": "vote_agreement",
}
MODULES: dict[str, Any] = {
    "human": human,
    "human_accuracy": human_accuracy,
    "insilico_trials": insilico_trials,
    "triplets": triplets,
}


@dataclasses.dataclass(frozen=True)
class Data:
    """Flat colours: `colours` (n, 3) in [0, 255], one per image, and the trials made of them."""

    colours: np.ndarray
    trials: Stimuli


def make_data(
    units: int = 12,
    batches: int = 5,
    people: int = 3,
    references: int = 9,
    opposite: int = 9,
    has_truth: bool = True,
    seed: int = 0,
    name: Callable[[int], str] = lambda u: f"unit{u}",
) -> Data:
    """Units whose references share a colour: the nearer a query is to it, the more people see it.

    Confidence 3 in layer0 of net0 is always right, so that it has one class of answers.
    """
    rng = np.random.default_rng(seed)
    s, per = units * batches, 2 + references + opposite
    unit = np.repeat(np.arange(units), batches)
    own, other = (rng.integers(40, 210, (units, 3))[unit] for _ in range(2))
    spread = rng.uniform(5, 90, (s, 1))
    flat = np.empty((s, per, 3))
    flat[:, 0] = own + rng.normal(0, 1, (s, 3)) * spread
    flat[:, 1] = other + rng.normal(0, 1, (s, 3)) * spread
    flat[:, 2 : 2 + references] = own[:, None] + rng.normal(0, 12, (s, references, 3))
    flat[:, 2 + references :] = other[:, None] + rng.normal(0, 12, (s, opposite, 3))
    number = np.arange(s * per).reshape(s, per)
    stimulus = np.repeat(np.arange(s), people)
    confidence = rng.integers(1, 4, s * people)
    columns = {
        "model": np.array([f"net{u % 2}" for u in unit]),
        "layers": np.array([f"layer{u % 3}" for u in unit]),
    }
    first = rng.random(s * people) < np.clip(1.05 - spread[stimulus, 0] / 120, 0.3, 0.98)
    sure = (columns["model"] == "net0") & (columns["layers"] == "layer0")
    first |= sure[stimulus] & (confidence == 3)
    answers = Answers(
        stimulus, first, np.ones(len(stimulus), np.int64), confidence, np.tile(np.arange(people), s)
    )
    trials = Stimuli(
        names=np.array([f"{name(u)}/{i}" for i, u in enumerate(unit)]),
        queries=number[:, :2],
        references=number[:, 2 : 2 + references],
        opposite=number[:, 2 + references :],
        unit=unit,
        units=tuple(map(name, range(units))),
        answers=answers,
        columns=columns,
        has_truth=has_truth,
    )
    return Data(np.clip(flat, 0, 255).astype(np.uint8).reshape(-1, 3), trials)


def without_answers(data: Data) -> Data:
    """The same stimuli, and nobody asked."""
    none = np.zeros(0, np.int64)
    answers = Answers(none, none.astype(bool), none, none, none)
    return Data(data.colours, dataclasses.replace(data.trials, answers=answers))


def similarities(data: Data, weights: Sequence[float]) -> TrialSimilarities:
    """Minus the weighted distance of the colours."""
    trials, colour = data.trials, data.colours / 255 * np.asarray(weights)

    def alike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return -np.linalg.norm(colour[a][:, :, None] - colour[b][:, None], axis=-1)

    return TrialSimilarities(
        alike(trials.queries, trials.references),
        alike(trials.queries, trials.opposite),
        alike(trials.references, trials.references).mean(axis=(1, 2)),
    )


def named(label: str) -> Named:
    """A metric's or evaluation's label as its name, parameters and part."""
    name, _, rest = label.partition("[")
    rest = rest.removesuffix("]")
    part = next((item for item in rest.split(",") if item and "=" not in item), None)
    params = dict(item.split("=", 1) for item in rest.split(",") if "=" in item)
    return Named(name, label, params, part)


def judged(
    data: Data, label: str, metrics: Mapping[str, Sequence[float]], dataset: str = "toy"
) -> list[TrialReport]:
    """A report per metric (one without, where the evaluation needs none) of a real evaluation."""
    evaluation = named(label)
    module = MODULES[evaluation.name]
    params = module.Params(resamples=24, **evaluation.params)
    evaluation = dataclasses.replace(evaluation, params=to_json(params))
    alone = evaluation.name == "human_accuracy"
    found = []
    for metric, weights in {"": ()}.items() if alone else metrics.items():
        seen = None if alone else similarities(data, weights)
        scores = module.judge(params, TrialInputs(data.trials, seen, 0))
        found.append(report(dataset, metric, evaluation, scores, HEADLINES[evaluation.name]))
    return found


def report(
    dataset: str, metric: str, evaluation: Named, scores: TrialScores, headline: str, **changes: Any
) -> TrialReport:
    """A passed case with these scores."""
    bare = TrialReport(
        id="/".join(filter(None, [dataset, metric, evaluation.label])),
        dataset=dataset,
        metric=named(metric) if metric else None,
        evaluation=evaluation,
        status="passed",
        seed=0,
        seconds={"evaluation": 0.25},
        headline=headline,
    )
    return dataclasses.replace(reported(TrialResult(scores, False), bare), **changes)


def unscored(dataset: str, metric: str, label: str, status: str, reason: str) -> TrialReport:
    """A case without any number."""
    evaluation = named(label)
    return TrialReport(
        id=f"{dataset}/{metric}/{label}",
        dataset=dataset,
        metric=named(metric),
        evaluation=evaluation,
        status=status,  # type: ignore[arg-type]
        seed=0,
        reason=reason,
        headline=HEADLINES.get(evaluation.name, "score"),
    )


@cache
def evaluations() -> Table[EvaluationBase]:
    """All that are registered."""
    return load_plugins(entry_points=False).registry.evaluations


def described(evaluation: Named) -> dict[str, Any]:
    """What the evaluation says for the page, as a run records it."""
    if evaluation.name not in evaluations():
        return {"sentence": "", "measures": {}, "unit_numbers": {}}
    spec = evaluations()[evaluation.name].spec
    params = parse_params(spec, evaluation.params)
    return {
        "sentence": spec.sentence(params) if spec.sentence else "",
        **{
            kind: {name: dataclasses.asdict(info) for name, info in getattr(spec, kind).items()}
            for kind in ("measures", "unit_numbers")
        },
    }


def make_meta(reports: Sequence[TrialReport], data: Data | None, **changes: Any) -> dict[str, Any]:
    split: dict[str, Any] = {"split": "all", "n": 0, "image_size": [1, 1], "fingerprint": "d" * 64}
    if data is not None:
        split |= {
            "n": len(data.colours),
            "image_size": [8, 8],
            "notes": ["made of flat colours"],
            "stimuli": len(data.trials),
            "units": len(data.trials.units),
            "answers": int(data.trials.answers.count.sum()),
            "has_truth": data.trials.has_truth,
            "sections": [
                dataclasses.asdict(
                    Section("Counts", ("A paragraph.",), ((("kind", "n"), (("main", "180"),)),))
                )
            ],
        }
    meta = {
        "schema_version": "1",
        "name": "trials",
        "started": "2026-11-23T14:05:00+00:00",
        "seconds": 7.3,
        "interrupted": False,
        "suite": {"name": "trials", "description": "Flat colours.", "path": "t.yaml", "text": "x"},
        "seed": 0,
        "device": "cpu",
        "dtype": "float32",
        "command": "iibench run t.yaml",
        "versions": {"iibench": "0.1.0"},
        "plugins": [],
        "datasets": {r.dataset: {"n": split["n"], "splits": {"evaluate": split}} for r in reports},
        "models": {},
        "metrics": {
            r.metric.label: {
                "name": r.metric.name,
                "part": r.metric.part,
                "summary": f"minus the distance {r.metric.name}",
                "params": {},
                "level": "low",
                "range": "(-inf, 0]",
                "fingerprint": "f" * 64,
            }
            for r in reports
            if r.metric
        },
        "evaluations": {
            r.evaluation.label: {
                "name": r.evaluation.name,
                "params": r.evaluation.params,
                "summary": f"What {r.evaluation.name} measures",
                "unit": "share",
                "chance": 0.5,
                "headline_measure": r.headline,
                **described(r.evaluation),
            }
            for r in reports
        },
        "assets": {},
        "references": [],
        "notes": [],
    }
    return {**meta, **changes}


def write(
    folder: Path,
    reports: Sequence[TrialReport],
    data: Data | None,
    verdicts: Sequence[Verdict] = (),
    size: int = 8,
    **meta: Any,
) -> Run:
    """The run in `folder`, read back; images are those that the program would keep, `size` pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    images: dict[tuple[str, int], bytes] = {}
    units: Sequence[str] | None = None
    if any(r.scored for r in reports):  # as the program does
        some = data or make_data(units=1, batches=1)
        units = some.trials.units
        write_stimuli(folder, some.trials)
    if data is not None:
        for index in images_of_trials(reports, data.trials):
            if index >= 0:
                images[reports[0].dataset, index] = png(data.colours[index], size)
    record = make_meta(reports, data, **meta)
    run = write_results(folder, record, reports, verdicts, units)
    write_unit_tables(folder, UnitTables(images=images))
    write_leaderboard(folder, run)
    return load_run(folder)


def png(colour: np.ndarray, size: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (size, size), tuple(int(c) for c in colour)).save(buffer, "PNG")
    return buffer.getvalue()


def third_party(dataset: str, metric: str, value: float, n: int = 40) -> TrialReport:
    """A case of an evaluation that the page has never met."""
    measures = (
        Measure("closeness", value, {}, value - 0.1, value + 0.1, n, 20, 10),
        Measure("closeness_ceiling", 0.9, {}, 0.85, 0.95, n, 20, 10),
        Measure("oddness", 2 * value, {}, None, None, n, 20, 10),
        Measure("closeness", value / 2, {"colour of eyes": "green"}, None, None, 7, 5, 4),
        Measure("closeness", None, {"colour of eyes": "blue"}, n=3, reason="nobody has them"),
    )
    scores = TrialScores(measures, resampled=np.full(60, value))
    return report(dataset, metric, Named("closeness_test", "closeness_test"), scores, "closeness")


def full_run(folder: Path, data: Data) -> Run:
    """Two observers, a part, groups of one class, a skipped and a failed case, published values."""
    reports = [r for label in OBSERVERS for r in judged(data, label, METRICS)]
    reports += judged(data, "human_accuracy", {})
    reports.append(unscored("toy", "far", OBSERVERS[0], "skipped", "no weights\nput them there"))
    reports[1] = dataclasses.replace(reports[1], status="failed", reason="expectation not met: x")
    on = {"evaluation": OBSERVERS[0], "metric": "colour", "measure": None, "value": 0.5}
    one_class = [["model", "net0"], ["layers", "layer0"], ["confidence", "3"]]
    references = [
        {**on, "where": [["model", "net0"]], "value": 0.7, "n": 90, "source": "A"},
        {**on, "measure": "agreement", "where": [], "value": 0.6, "n": None, "source": "B"},
        {**on, "metric": "dreams", "where": [], "source": "B"},
        {**on, "where": [["model", "net7"]], "source": "B"},
        {**on, "metric": "far", "where": [], "source": "B"},
        {**on, "where": one_class, "source": "B"},
        {"evaluation": "human_accuracy", "metric": None, "where": [], "value": 0.8, "source": "A"},
    ]
    verdicts = [Verdict("colour follows people", "passed", "0.6; expected at least 0.5")]
    return write(folder, reports, data, verdicts, references=references)


def big_run(folder: Path) -> Run:
    """Three observers, fourteen metrics with parts, nine networks: a release's size."""
    rng = np.random.default_rng(0)
    x = tuple(np.linspace(0, 1, 200))
    groups: list[dict[str, str]] = [{}]
    groups += [{"confidence": str(c)} for c in (1, 2, 3)]
    for m in range(9):
        groups += [{"model": f"network_{m}", "layers": f"layer{g}"} for g in range(4)]
        groups += [
            {"model": f"network_{m}", "layers": f"layer{g}", "confidence": str(c)}
            for g in range(4)
            for c in (1, 2, 3)
        ]
    names = [f"lpips[{part},input=paper2310]" for part in range(5)] + [f"m{i}" for i in range(9)]
    reports = []
    for label in ("human[observer=two_sided]", "human[observer=eq2]", "human[observer=mis]"):
        for name in names:
            measures = [
                Measure(kind, rng.random(), group, 0.4123, 0.6789, 1234, 321, 80)
                for group in groups
                for kind in ("auc", "auc_ceiling", "human_accuracy", "agreement", "always_right")
            ]
            curves = [Curve("roc", x, tuple(np.sort(rng.random(200))), g) for g in groups]
            scores = TrialScores(tuple(measures), curves=tuple(curves), resampled=rng.random(60))
            reports.append(report("imi", name, named(label), scores, "auc"))
    return write(folder, reports, None)


def evil_run(folder: Path, evil: str) -> Run:
    """Markup in every text that comes from a suite, a plugin or the data."""
    data = make_data(units=6, name=lambda u: f"{evil}{u}")
    columns = {evil: np.array([evil] * len(data.trials)), **data.trials.columns}
    trials = dataclasses.replace(data.trials, columns=columns)
    data = Data(data.colours, trials)
    weights = {f"colour-{evil}": (1.0, 1.0, 1.0), f"blue-{evil}": (0.0, 0.0, 1.0)}
    module = MODULES["human"]
    reports = []
    for label, w in weights.items():
        params = module.Params(resamples=24, by=(evil, "model+layers"))
        inputs = TrialInputs(data.trials, similarities(data, w), 0)
        scores = module.judge(params, inputs)
        scores = dataclasses.replace(
            scores,
            measures=(
                *scores.measures,
                Measure(f"odd {evil}", 1.0),
                Measure("odd", None, {evil: evil}, reason=evil),
            ),
            curves=(*scores.curves, Curve(f"odd {evil}", (0, 1), (0, 1))),
            notes=(evil,),
        )
        metric = Named(label, label)
        found = report(evil, label, Named("human", f"human-{evil}"), scores, "auc")
        reports.append(dataclasses.replace(found, metric=metric))
    error = unscored(evil, f"far-{evil}", f"human-{evil}", "error", f"{evil}\n{evil}")
    reports.append(
        dataclasses.replace(error, traceback=evil, headline="auc", evaluation=reports[0].evaluation)
    )
    reference = {"evaluation": f"human-{evil}", "metric": f"blue-{evil}", "measure": evil}
    run = write(
        folder,
        reports,
        data,
        [Verdict(evil, "failed", evil)],
        name=evil,
        command=evil,
        device=evil,
        suite={"name": evil, "description": evil, "path": evil, "text": evil},
        versions={evil: evil},
        plugins=[{"name": evil, "source": evil, "reason": evil}],
        assets={evil: {"filename": evil, "sha256": evil}},
        notes=[{"level": "warning", "text": evil}, {"level": "info", "text": evil}],
        references=[{**reference, "where": [[evil, evil]], "value": 0.5, "n": 3, "source": evil}],
    )
    split = run.meta["datasets"][evil]["splits"]["evaluate"]
    split["notes"] = [f"SYNTHETIC {evil}", evil]
    split["sections"] = [{"title": evil, "paragraphs": [evil], "tables": [[[evil], [[evil]]]]}]
    run.meta["evaluations"][f"human-{evil}"] |= {"summary": evil, "unit": evil, "citation": evil}
    for record in run.meta["metrics"].values():
        record |= {"summary": evil, "range": evil, "citation": evil, "fingerprint": evil}
    return run


# ------------------------------------------------------------------------- reading a page


def report_of(run: Run, evaluation: str, metric: str | None) -> TrialReport:
    return next(
        r
        for r in run.trial_cases
        if r.evaluation.label == evaluation and (r.metric.label if r.metric else None) == metric
    )


def value(report: TrialReport, name: str, group: Mapping[str, str] | None = None) -> Measure:
    return next(m for m in report.measures if m.name == name and m.group == (group or {}))


def shown(x: float | None, decimals: int = 3) -> str:
    return f"{x:.{decimals}f}".replace("-", "−")


def rows_of(page: Page, caption: str) -> dict[str, list[str]]:
    """Rows of the table whose caption starts so, by their first cell."""
    at = next(i for i, text in enumerate(page.captions) if text.startswith(caption))
    return {
        " ".join(row[0].split()): [" ".join(cell.split()) for cell in row]
        for row in page.tables[at]
    }


def articles(html: str) -> list[str]:
    return re.findall(r'<article class="trial.*?</article>', html, re.DOTALL)


def colours(html: str) -> list[tuple[int, ...]]:
    """The colour of every flat picture, in order."""
    found = []
    for uri in re.findall(r'src="data:image/\w+;base64,([^"]+)"', html):
        image = Image.open(io.BytesIO(base64.b64decode(uri))).convert("RGB")
        found.append(tuple(image.getpixel((0, 0))))  # type: ignore[arg-type]
    return found
