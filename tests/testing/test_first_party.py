"""iibench's own plugins, and the plugins that `iibench plugin new` writes, keep what the kit demands."""

from __future__ import annotations

import importlib

import pytest

from iibench.assets.local import LocalResources, default_cache_dir, default_data_dir
from iibench.hooks.loading import load_plugins
from iibench.suite.labels import read_label
from iibench.suite.params import label_values, parse_params, split_variant
from iibench.testing import check_spec, run_reference_suite, toy_harness

#: Where the user keeps weights: tests see folders of their own, so this is asked beforehand.
DATA, CACHE = default_data_dir(), default_cache_dir()

LABELS = {
    "metric": (
        "color",
        "color_lab",
        "label",
        "human_label",
        "pixel",
        "ssim",
        "shuffled",
        "embedding[model=reference_net,layer=late]",
        "lpips",
        "lpips[input=paper2310]",
        "stlpips",
        "dists",
    ),
    "finder": ("neurons", "pca", "kmeans", "random", "sae[z=64]", "planted"),
    "model": ("reference_net", "resnet50_cifar10", "torchvision:resnet18[weights=none]", "planted"),
    "dataset": ("photo_patches[n=500]", "planted[n=200]", "reference_trials"),
    "evaluation": ("ii", "insilico", "insilico_trials", "triplets"),
}


@pytest.fixture(scope="module")
def harness():
    resources = LocalResources(DATA, CACHE, offline=True)
    return toy_harness(load_plugins(environ="", entry_points=False), resources=resources)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "label"), [(kind, label) for kind, labels in LABELS.items() for label in labels]
)
def test_first_party(harness, kind, label) -> None:
    written = read_label(label)
    spec = getattr(harness.inputs.registry, f"{kind}s")[written.name].spec
    variant = split_variant(spec, written.name)
    params = parse_params(spec, label_values(spec, written.params), variant)
    report = check_spec(spec, params, harness, label=label)
    if report["load"].status == "skipped":
        pytest.skip(report["load"].seen)
    report.raise_if_failed()
    assert len(report.passed) >= 8


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["metric", "finder", "model", "dataset", "evaluation"])
def test_a_new_plugin_passes_and_runs(kind, tmp_path, monkeypatch) -> None:
    from iibench.cli.plugin_new import write_plugin

    folder = write_plugin(f"mine{kind}", kind, tmp_path / "plugin")
    monkeypatch.syspath_prepend(folder)
    name = f"iibench_mine{kind}"
    module = importlib.import_module(name)
    harness = toy_harness(load_plugins([name], environ=""))
    check_spec(module.SPEC, harness=harness).raise_if_failed()
    run = run_reference_suite(**{kind: f"mine{kind}"}, plugins=[name])
    assert {report.status for report in run.reports} == {"passed"}
