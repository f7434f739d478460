"""Keys of the stages: everything that decides a stage's value, as plain JSON, and its hash.

Keys chain (a finder's key holds the key of the activations it was fitted on), so that a case's scores
can be looked up without computing anything before them. They name contents, never names alone: image
bytes, weights, parameters, plugin source, the source of the stage itself, library versions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from iibench.cache.entries import key_of
from iibench.cache.source import core_sha256
from iibench.compute.images import names_of
from iibench.contract.errors import PluginError
from iibench.contract.evaluations import EvaluationSpec
from iibench.contract.specs import ImageDataset, MetricSpec
from iibench.stages.inputs import Inputs
from iibench.suite.cases import AnyCase, Case, Choice, Tap, TrialCase, derive_seed
from iibench.suite.choices import choice_of
from iibench.suite.params import to_json
from iibench.suite.registry import Entry

#: Library versions that may change a stage's numbers.
LIBRARIES = {name: version(name) for name in ("numpy", "scikit-learn", "scipy", "torch")}


@dataclass(frozen=True)
class Key:
    """A description and its hash."""

    hash: str
    description: Mapping[str, Any]


class Keys:
    """The key of every stage of a case; each is made once."""

    def __init__(self, inputs: Inputs, dtype: str = "float32") -> None:
        self._inputs = inputs
        self._dtype = dtype

    def activations(self, tap: Tap, split: str) -> Key:
        """Of the activations of one split at the case's layer."""

        def describe() -> dict[str, Any]:
            loaded, weights = self._inputs.model(tap)
            registry = self._inputs.registry
            return {
                "stage": "activations",
                "code": core_sha256("iibench.stages.activations"),
                "dataset": self._inputs.dataset(tap.dataset, split, tap.seed).fingerprint,
                "model": _plugin(registry.models[tap.model.name], tap.model),
                "weights": weights,
                "network": loaded.fingerprint,
                "preprocess": dataclasses.asdict(loaded.preprocess),
                "layer": tap.layer.path,
                "pool": tap.layer.pool,
                "layout": tap.layer.layout,
                "call": tap.layer.call,
                "device": self._inputs.resources.device,
                "dtype": self._dtype,
            }

        labels = (tap.dataset.label, tap.model.label, tap.layer.label)
        return self._once(f"activations/{split}/{'/'.join(labels)}/{tap.seed}", describe)

    def fit_split(self, case: Case) -> str:
        """The split whose activations the finder is given: the evaluated one if it trains on nothing."""
        spec = self._inputs.registry.finders[case.finder.name].spec
        return case.dataset.fit if spec.trains_on else case.dataset.evaluate

    def directions(self, case: Case) -> Key:
        """Of the fitted directions."""
        registry = self._inputs.registry
        return self._once(
            f"directions/{case.stem}/{case.seed}",
            lambda: {
                "stage": "directions",
                "code": core_sha256("iibench.stages.directions"),
                "activations": self.activations(case.tap, self.fit_split(case)).hash,
                "finder": _plugin(registry.finders[case.finder.name], case.finder),
                "files": registry.finders[case.finder.name].spec.inputs(
                    case.finder.params, self._inputs.resources.base_dir
                ),
                "seed": finder_seed(case),
                "device": self._inputs.resources.device,
            },
        )

    def responses(self, case: Case) -> Key:
        """Of the evaluated images' responses to the directions."""
        return self._once(
            f"responses/{case.stem}/{case.seed}",
            lambda: {
                "stage": "responses",
                "code": core_sha256("iibench.stages.responses"),
                "directions": self.directions(case).hash,
                "activations": self.activations(case.tap, case.dataset.evaluate).hash,
            },
        )

    def order(self, case: Case) -> Key:
        """Of the images' order by response."""
        return self._once(
            f"order/{case.stem}/{case.seed}",
            lambda: {
                "stage": "order",
                "code": core_sha256("iibench.stages.responses"),
                "responses": self.responses(case).hash,
            },
        )

    def embeddings(self, case: Case) -> Key:
        """Of the evaluated images' embeddings under the case's metric, all parts together."""
        choice = metric_of(case)
        entry = self._inputs.registry.metrics[choice.name]
        return self._once(
            f"embeddings/{case.dataset.label}/{choice.label}/{case.seed}",
            lambda: {
                "stage": "embeddings",
                "code": core_sha256("iibench.compute.similarity.embeddings"),
                "dataset": self._inputs.evaluated(case).fingerprint,
                "metric": _plugin(entry, choice),
                "fingerprint": self._inputs.metric(choice).fingerprint,
                "names": self._names(entry.spec, self._inputs.evaluated(case)),
                "size": entry.spec.size(choice.params),
                "device": self._inputs.resources.device,
                "dtype": self._dtype,
            },
        )

    def scores(self, case: Case) -> Key:
        """Of the case's scores."""
        entry = self._inputs.registry.evaluations[case.evaluation.name]
        return self._once(
            f"scores/{case.id}/{case.seed}",
            lambda: {
                "stage": "scores",
                "code": core_sha256("iibench.stages.scores", "iibench.stages.similarities"),
                "responses": self.responses(case).hash,
                "embeddings": self.embeddings(case).hash if case.metric else None,
                "part": case.metric.part if case.metric else None,
                "evaluation": _plugin(entry, case.evaluation),
                "seed": evaluation_seed(case),
                "analysis": self._analysis(case, entry.spec),
            },
        )

    def _analysis(self, case: Case, spec: Any) -> Any:
        """What an analysis may depend on besides: code, and finders that it fits itself."""
        if not isinstance(spec, EvaluationSpec) or not spec.is_analysis:
            return None
        finders = self._inputs.registry.finders
        asked = [choice_of(label, finders) for label in spec.finders(case.evaluation.params)]
        return {
            "code": core_sha256("iibench.stages.analysis_context"),
            "fitted": self.activations(case.tap, case.dataset.fit).hash if asked else None,
            "finders": [_plugin(finders[choice.name], choice) for choice in asked],
            "files": [
                finders[choice.name].spec.inputs(choice.params, self._inputs.resources.base_dir)
                for choice in asked
            ],
        }

    def trial_rows(self, case: TrialCase) -> Key:
        """Of the similarities within the stimuli, all parts of the case's metric together."""
        choice = metric_of(case)
        entry = self._inputs.registry.metrics[choice.name]
        params = to_json(choice.params)
        return self._once(
            f"trials/{case.dataset.label}/{choice.name}/{params}/{case.seed}",
            lambda: {
                "stage": "similarities within trials",
                "code": core_sha256("iibench.compute.similarity.within_trials"),
                "dataset": self._inputs.trials(case).fingerprint,
                "metric": _plugin(entry, choice),
                "fingerprint": self._inputs.metric(choice).fingerprint,
                "names": self._names(entry.spec, self._inputs.trials(case)),
                "size": entry.spec.size(choice.params),
                "device": self._inputs.resources.device,
                "dtype": self._dtype,
            },
        )

    def trial_scores(self, case: TrialCase) -> Key:
        """Of what the case found."""
        entry = self._inputs.registry.evaluations[case.evaluation.name]
        return self._once(
            f"trial scores/{case.id}/{case.seed}",
            lambda: {
                "stage": "scores of trials",
                "code": core_sha256("iibench.stages.trials"),
                "dataset": self._inputs.trials(case).fingerprint,
                "similarities": self.trial_rows(case).hash if case.metric else None,
                "part": case.metric.part if case.metric else None,
                "evaluation": _plugin(entry, case.evaluation),
                "seed": trial_seed(case),
            },
        )

    @staticmethod
    def _names(spec: MetricSpec, dataset: ImageDataset) -> str:
        """Which names people gave, for a metric that looks at them; raises `Skip` where none are known."""
        return names_of(dataset).sha256 if spec.input == "names" else ""

    def _once(self, name: str, describe: Any) -> Key:
        def make() -> Key:
            description = describe() | {"libraries": LIBRARIES}
            return Key(key_of(description), description)

        return self._inputs.memo.once(f"key/{name}", make)


def finder_seed(case: Case) -> int:
    """The seed of the case's finder: the suite's, the dataset, model, layer and finder decide it."""
    return derive_seed(case.seed, case.stem)


def evaluation_seed(case: Case) -> int:
    """The seed of the case's draws; without the metric, so that metrics are asked about the same ones."""
    return derive_seed(case.seed, case.stem, case.evaluation.label)


def trial_seed(case: TrialCase) -> int:
    """The seed of a trial case's draws, the same for every metric and evaluation of the dataset."""
    return derive_seed(case.seed, case.dataset.label)


def metric_of(case: AnyCase) -> Choice:
    """The case's metric; only asked of cases that have one."""
    if case.metric is None:
        raise PluginError(f"{case.id} has no metric")
    return case.metric


def _plugin(entry: Entry[Any], choice: Choice) -> dict[str, Any]:
    """What identifies a plugin's computation: name, version, parameters, source."""
    return {
        "name": choice.name,
        "version": entry.spec.version,
        "params": to_json(choice.params),
        "source": entry.source_sha256,
    }
