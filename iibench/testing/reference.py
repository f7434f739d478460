"""A harness and a small suite over the toys, so that a plugin is tried in the surroundings of a run."""

from __future__ import annotations

import copy
import dataclasses
import json
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iibench.assets.local import LocalResources, default_cache_dir, default_data_dir
from iibench.cache.entries import Cache
from iibench.contract.errors import UsageError
from iibench.contract.trials import TrialDatasetSpec, TrialEvaluationSpec
from iibench.hooks.loaded import Plugins
from iibench.hooks.loading import load_plugins
from iibench.stages.harness import LocalHarness
from iibench.suite.labels import read_label
from iibench.suite.registry import Registry
from iibench.testing import toy_methods, toys

if TYPE_CHECKING:
    from iibench.results.run import Run

#: What `-p` calls the toys.
TOYS = "iibench.testing.toys"
#: Images (stimuli, of a dataset of trials) that the reference suite uses at most.
LIMIT = 480


def toy_harness(
    plugins: Plugins | None = None,
    folder: Path | None = None,
    *,
    resources: LocalResources | None = None,
    device: str = "cpu",
) -> LocalHarness:
    """The harness of a run, over all registered things and the toys.

    `plugins`: None loads those that are installed. `folder`: where values are cached; None makes one
    that goes with the harness. `resources`: the user's folders and the device; None takes the default
    folders, where assets lie, and `device`.

    >>> harness = toy_harness()
    >>> images = harness.images("reference_images")
    >>> images.images([0]).dtype.name, images.image_size
    ('uint8', (32, 32))
    """
    if resources is None:
        resources = LocalResources(default_data_dir(), default_cache_dir(), device)
    loaded = load_plugins() if plugins is None else plugins
    return local_harness(loaded.registry, resources, folder)


def local_harness(
    registry: Registry, resources: LocalResources, folder: Path | None = None
) -> LocalHarness:
    """The harness of a run over a registry and the toys; `folder` as in `toy_harness`.

    >>> import tempfile
    >>> from iibench.suite.registry import Registry
    >>> folder = Path(tempfile.gettempdir())
    >>> harness = local_harness(Registry(), LocalResources(folder, folder))  # the toys alone
    >>> sorted(harness.inputs.registry.datasets.entries)
    ['reference_images', 'reference_trials']
    """
    made = Path(tempfile.mkdtemp(prefix="iibench-testing-")) if folder is None else folder
    # checks work in a folder of their own, where relative paths would lead elsewhere
    places = {name: getattr(resources, name).absolute() for name in ("data_dir", "cache_dir")}
    resources = dataclasses.replace(resources, base_dir=resources.base_dir.absolute(), **places)
    harness = LocalHarness(with_toys(registry), resources, Cache(made))
    if folder is None:
        weakref.finalize(harness, shutil.rmtree, made, ignore_errors=True)
    return harness


def with_toys(registry: Registry) -> Registry:
    """The registry and, where they are not in it, the toys; the one given stays as it is."""
    tables = ("datasets", "models", "finders", "metrics", "evaluations")
    more = copy.copy(registry)
    for name in tables:
        table = copy.copy(getattr(registry, name))
        table.entries = dict(table.entries)
        setattr(more, name, table)
    more.layers = dict(registry.layers)
    for dataset in (toys.IMAGES, toys.TRIALS):
        if dataset.name not in more.datasets:
            more.add(dataset, TOYS)
    if toys.NET.name not in more.models:
        more.add(toys.NET, TOYS)
    more.layers.setdefault(toys.NET.name, list(toys.LAYERS))
    return more


# ---------------------------------------------------------------------------- reference suite


def reference_suite(
    *,
    metric: str | None = None,
    finder: str | None = None,
    model: str | None = None,
    dataset: str | None = None,
    evaluation: str | None = None,
    layers: Sequence[str] = (),
    trials: bool = False,
) -> str:
    """The text of a small suite on the toys in which the named things take the place of the usual ones.

    Each is a label as suites write it (`lpips[net=vgg]`). The usual ones are toys (`iibench.testing.toys`):
    `reference_images`, `reference_net` at `middle`, `reference_finder`, `reference_metric`,
    `reference_evaluation`. `layers`: of `model`, whose layers must be given. `trials`: a suite on
    `reference_trials` (or `dataset`) with the evaluation `reference_judgement`.

    >>> print(reference_suite(metric="lpips[net=vgg]", trials=True))
    iibench: "1"
    name: "reference"
    description: "A plugin tried on toys; the numbers mean nothing."
    seed: 0
    dataset: "reference_trials"
    metrics: ["lpips[net=vgg]"]
    evaluations: ["reference_judgement"]
    <BLANKLINE>
    """
    usual = toy_methods.JUDGEMENT if trials else toy_methods.EVALUATION
    shown: dict[str, Any] = {
        "iibench": "1",
        "name": "reference",
        "description": "A plugin tried on toys; the numbers mean nothing.",
        "seed": 0,
        "dataset": dataset or (toys.TRIALS.name if trials else toys.IMAGES.name),
        "models": [{"name": model or toys.NET.name, "layers": list(layers) or ["middle"]}],
        "finders": [finder or toy_methods.FINDER.name],
        "metrics": [metric or toy_methods.METRIC.name],
        "evaluations": [evaluation or usual.name],
    }
    if trials:
        del shown["models"], shown["finders"]
    # JSON is YAML, and quotes every label
    lines = (f"{key}: {json.dumps(value)}" for key, value in shown.items())
    return "\n".join(lines) + "\n"


def run_reference_suite(
    *,
    metric: str | None = None,
    finder: str | None = None,
    model: str | None = None,
    dataset: str | None = None,
    evaluation: str | None = None,
    layers: Sequence[str] = (),
    plugins: Sequence[str] = (),
    plugins_dirs: Sequence[str | Path] = (),
    folder: Path | None = None,
    device: str = "cpu",
) -> Run:
    """Runs the reference suite with one's own plugin in it, through the program's own runner.

    Labels are as in `reference_suite`; a dataset of trials, or an evaluation of them, makes it a suite
    on trials. `layers`: of `model`; the first alias registered for it, where they are left out.
    `plugins`, `plugins_dirs`: as `-p` and `--plugins-dir`, for what is not installed. `folder`: where
    the suite, the cache and the results go; None makes one that goes with the run. At most
    `LIMIT` images are used; data and assets are sought where they always are.

    Raises `UsageError` where a name is unknown.

    >>> run = run_reference_suite(finder="neurons")
    >>> [case.finder.name for case in run.cases], run.cases[0].scored
    (['neurons'], True)
    """
    loaded = load_plugins([*plugins, TOYS], plugins_dirs)
    chosen = loaded.registry
    trials = (
        dataset is not None and isinstance(_spec(chosen.datasets, dataset), TrialDatasetSpec)
    ) or (
        evaluation is not None
        and isinstance(_spec(chosen.evaluations, evaluation), TrialEvaluationSpec)
    )
    if model is not None and not layers:
        name = read_label(model).name.partition(":")[0]
        known = chosen.layers.get(name, [])
        if not known:
            raise UsageError(f"{model} registers no layer; expected layers=[...]")
        layers = [known[0].name]
    text = reference_suite(
        metric=metric,
        finder=finder,
        model=model,
        dataset=dataset,
        evaluation=evaluation,
        layers=layers,
        trials=trials,
    )
    if folder is not None:
        return _run(text, loaded, folder, device)
    made = Path(tempfile.mkdtemp(prefix="iibench-testing-"))
    try:
        run = _run(text, loaded, made, device)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    weakref.finalize(run, shutil.rmtree, made, ignore_errors=True)
    return run


def _run(text: str, plugins: Plugins, folder: Path, device: str) -> Run:
    """Runs the suite; its file, values and results go into the folder."""
    from iibench.runner.execute import execute
    from iibench.runner.options import run_config
    from iibench.runner.session import prepare

    folder.mkdir(parents=True, exist_ok=True)
    suite = folder / "reference.yaml"
    suite.write_text(text, encoding="utf-8")
    config = run_config(
        suite,
        device=device,
        output=folder / "run",
        limit=LIMIT,
        fresh=True,  # assets come from the user's cache; values are computed anew and not left there
    )
    return execute(prepare(config, plugins))


def _spec(table: Any, label: str) -> Any:
    return table[read_label(label).name].spec
