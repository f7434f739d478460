"""Suites: what a file means, where overrides go, and that every mistake is named with its place."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from iibench.contract.errors import UsageError
from iibench.suite.choices import layer_of
from iibench.suite.load import shipped_suites

LAYERS = "layers: [early, {path: layer2, pool: [mean, max]}]"


def test_a_suite_is_what_its_file_says(load: Any, suite_text: str, tmp_path: Path) -> None:
    suite = load()
    assert (suite.name, suite.description, suite.seed) == ("tiny", "A suite for tests.", 5)
    assert suite.path == str(tmp_path / "tiny.yaml")
    assert suite.text == suite_text
    assert suite.sha256 == hashlib.sha256(suite_text.encode()).hexdigest()
    assert (suite.dataset.fit, suite.dataset.evaluate) == ("train", "test")
    assert suite.dataset.label == "digits"
    assert suite.fallback.label == "patches[n=10]"
    assert [c.label for c in suite.finders] == ["neurons", "kmeans[k=128]", "kmeans[k=256]"]
    assert suite.finders[1].params.k == 128
    assert [c.label for c in suite.metrics] == [
        "color",
        "lpips",
        *(f"lpips[{i}]" for i in range(5)),
    ]
    assert [(c.name, c.part) for c in suite.metrics[1:3]] == [("lpips", None), ("lpips", "0")]
    assert [(c.label, only) for c, only in suite.evaluations] == [
        ("ii", None),
        ("insilico[difficulty=0]", frozenset({"color", "lpips"})),
        ("insilico[difficulty=0.05]", frozenset({"color", "lpips"})),
        ("sparsity", None),
    ]


def test_layers_resolve_aliases_and_poolings(load: Any, changed: Any) -> None:
    [(model, layers)] = load().models
    assert model.label == "net"
    assert [(x.path, x.pool, x.label) for x in layers] == [
        ("layer1", "mean", "layer1"),
        ("layer2", "mean", "layer2"),
        ("layer2", "max", "layer2[pool=max]"),
    ]
    [(_, layers)] = changed(LAYERS, "layers: ['layer2[pool=max]']").models
    assert [layer.label for layer in layers] == ["layer2[pool=max]"]


def test_layers_say_where_neurons_are_and_which_call_is_meant(changed: Any) -> None:
    written = "layers: [{path: a, layout: channels_last}, {path: b, call: 2, pool: [mean, max]}]"
    [(_, layers)] = changed(LAYERS, written).models
    labels = ["a[layout=channels_last]", "b[call=2]", "b[pool=max,call=2]"]
    assert [layer.label for layer in layers] == labels
    assert [(x.layout, x.call) for x in layers] == [("channels_last", None), (None, 2), (None, 2)]
    [(_, short)] = changed(LAYERS, f"layers: {labels}").models
    assert short == layers
    assert tuple(layer_of(label, {}) for label in labels) == layers


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("a[layout=first]", "unknown layout 'first'; nearest: channels_first"),
        ("a[call=0]", "found call=0 in"),
        ("a[call=x]", "found call=x in"),
        ("a[max]", r"as in a\[pool=max\]"),
        ("a[pol=max]", r"as in a\[pool=max\]"),
    ],
)
def test_labels_of_layers_that_are_wrong(label: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        layer_of(label, {})


def test_splits_and_parameters_show_in_the_dataset_label(changed: Any) -> None:
    suite = changed("name: digits", "name: digits\n  evaluate: train")
    assert suite.dataset.label == "digits[evaluate=train]"
    suite = changed("{name: patches, n: 10}", "{name: patches, fit: evaluate}")
    assert suite.fallback.label == "patches[fit=evaluate]"
    suite = changed("name: digits", 'name: folder\n  path: "../my images"')
    assert suite.dataset.label == 'folder[path="../my images"]'


@pytest.mark.parametrize(
    ("entry", "labels"),
    [
        ("kmeans", ["kmeans[k=256]"]),
        ("'kmeans[k=3,response=projection]'", ["kmeans[k=3,response=projection]"]),
        ("{name: kmeans, k: [1, 2], response: [cosine, projection]}", [
            "kmeans[k=1]",
            "kmeans[k=1,response=projection]",
            "kmeans[k=2]",
            "kmeans[k=2,response=projection]",
        ]),
        ("{name: sae, l1: [1e-3, 1, 0.5]}", [
            "sae[z=512,l1=0.001]", "sae[z=512,l1=1]", "sae[z=512,l1=0.5]",
        ]),
        ("{name: sae, widths: [3, 4]}", ["sae[z=512,l1=0.001,widths=3+4]"]),
        ("{name: sae, widths: [[3, 4], [5]]}", [
            "sae[z=512,l1=0.001,widths=3+4]", "sae[z=512,l1=0.001,widths=5]",
        ]),
        ("'sae[z=8,widths=3+4]'", ["sae[z=8,l1=0.001,widths=3+4]"]),
        ("{name: sae, tied: true, note: on}", ["sae[z=512,l1=0.001,tied=true,note=on]"]),
    ],
)  # fmt: skip
def test_lists_of_parameters_span_a_product(changed: Any, entry: str, labels: list[str]) -> None:
    suite = changed("neurons\n  - name: kmeans\n    k: [128, 256]", entry)
    assert [c.label for c in suite.finders] == labels


@pytest.mark.parametrize(
    ("entry", "labels"),
    [
        ("'lpips[3]'", ["lpips[3]"]),
        ("{name: lpips, parts: 3}", ["lpips[3]"]),
        ("{name: lpips, parts: [sum, 1, '4']}", ["lpips", "lpips[1]", "lpips[4]"]),
        ("{name: lpips, input: paper2310}", ["lpips[input=paper2310]"]),
        ("'lpips[3,input=paper2310]'", ["lpips[3,input=paper2310]"]),
        ("{name: lpips, net: [vgg, alex], parts: 0}", ["lpips[0,net=vgg]", "lpips[0]"]),
    ],
)
def test_parts_of_a_metric(load: Any, entry: str, labels: list[str]) -> None:
    text = """\
        iibench: "1"
        name: t
        dataset: digits
        models: [{name: net, layers: [early]}]
        finders: [neurons]
        metrics: [ENTRY]
        evaluations: [ii]
        """
    assert [c.label for c in load(text.replace("ENTRY", entry)).metrics] == labels


def test_a_model_with_variants(changed: Any) -> None:
    suite = changed("name: net\n", "name: 'hub:resnet18'\n    weights: none\n")
    [(model, _)] = suite.models
    assert (model.name, model.label) == ("hub:resnet18", "hub:resnet18[weights=none]")
    assert model.params.variant == "resnet18"


def test_anchors_and_merge_keys_keep_their_lines(load: Any, problems: Any) -> None:
    text = """\
        iibench: "1"
        name: t
        dataset: digits
        models: [{name: net, layers: [early]}]
        finders:
          - &base
            name: kmeans
            k: 4
          - <<: *base
            k: 8
          - neurons
        evaluations: [sparsity]
        """
    assert [c.label for c in load(text).finders] == ["kmeans[k=4]", "kmeans[k=8]", "neurons"]
    wrong = text.replace("name: kmeans", "name: kmeans\n            response: cosin")
    assert problems(wrong) == [
        'tiny.yaml:8: finders[0].response: found "cosin" (text); '
        "expected cosine | projection | neg_distance; nearest: cosine",
        'tiny.yaml:8: finders[1].response: found "cosin" (text); '
        "expected cosine | projection | neg_distance; nearest: cosine",
    ]


# ------------------------------------------------------------------------------------- overrides


def test_overrides_change_what_the_file_says(load: Any, suite_text: str) -> None:
    suite = load(
        suite_text,
        *("seed=3", "dataset.evaluate=train", "finders.kmeans.k=[64, 32]"),
        *("evaluations.insilico.trials=10", "metrics.0={name: color}"),
    )
    assert suite.seed == 3
    assert suite.dataset.label == "digits[evaluate=train]"
    assert [c.label for c in suite.finders] == ["neurons", "kmeans[k=64]", "kmeans[k=32]"]
    assert suite.evaluations[1][0].label == "insilico[difficulty=0,trials=10]"
    assert suite.metrics[0].label == "color"
    assert suite.overrides[0] == "seed=3"
    assert suite.text == suite_text


def test_an_override_reaches_short_forms_and_every_entry_of_a_name(load: Any) -> None:
    text = """\
        iibench: "1"
        name: t
        dataset: digits
        models: [{name: net, layers: [early]}]
        finders: [neurons, 'sae[z=4]', {name: sae, z: 8}]
        evaluations: [sparsity]
        """
    suite = load(
        text, "finders.sae.l1=1e-2", "dataset.fit=test", "models.net.layers.early.pool=cls"
    )
    assert suite.models[0][1][0].label == "layer1[pool=cls]"
    assert [c.label for c in suite.finders[1:]] == ["sae[z=4,l1=0.01]", "sae[z=8,l1=0.01]"]
    assert suite.dataset.label == "digits[fit=test]"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "--set seed: found no '='; expected KEY=VALUE, such as seed=3"),
        ("seed=[", "--set seed=[: value:1:2: not valid YAML: "),
        ("sed=3", "--set sed=3: sed: unknown key 'sed'; nearest: seed"),
        ("seed=-1", "--set seed=-1: seed: found -1; expected an integer >= 0"),
        ("finders.kmens.k=3", "--set finders.kmens.k=3: found no 'kmens' in the suite; expected a key "
         "of it; nearest: kmeans"),
        ("findrs.kmeans.k=3", "--set findrs.kmeans.k=3: found no 'findrs' in the suite; expected a "
         "key of it; nearest: finders"),
        ("expect=[{on: ii/color, finder: neuron, at_least: 0}]", "--set expect=[{on: ii/color, finder: "
         "neuron, at_least: 0}]: expect[0].finder: found 'neuron'; expected one"),
        ("seed.x=3", "--set seed.x=3: found x below a single value; expected a shorter path"),
        ("finders.neurons.k=3", "--set finders.neurons.k=3: finders[0].k: unknown parameter of "
         "neurons 'k'"),
        ("finders.kmeans.k=0", "--set finders.kmeans.k=0: finders[1].k: found 0; expected integer "
         ">= 1"),
    ],
)  # fmt: skip
def test_wrong_overrides_are_named(
    problems: Any, suite_text: str, override: str, message: str
) -> None:
    assert problems(suite_text, override)[0].startswith(message)


def test_shipped_suites_have_descriptions() -> None:
    assert {"cifar_layer1", "quickstart"} <= set(shipped_suites())
    assert all(shipped_suites().values())
