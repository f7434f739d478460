"""Mistakes in suites: each is named with its file, line and key, what was found and what is expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iibench.contract.errors import PluginError, SuiteError
from iibench.contract.specs import FinderSpec
from iibench.suite.collect import collect
from iibench.suite.load import load_suite
from iibench.suite.registry import Registry
from iibench.suite.yaml_lines import parse

LAYERS = "layers: [early, {path: layer2, pool: [mean, max]}]"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"1"', "1", 'tiny.yaml:1: iibench: found 1; expected the format version "1" in quotes '
         '(iibench: "1")'),
        ('"1"', '"2"', 'tiny.yaml:1: iibench: found "2" (text); expected the format version "1"'),
        ("name: tiny", "name: a/b", 'tiny.yaml:2: name: found "a/b" (text); expected letters, '
         "digits, '.', '_' and '-'"),
        ("name: tiny", "name: 7", "tiny.yaml:2: name: found 7; expected text (write it in quotes)"),
        ("seed: 5", "seed: -5", "tiny.yaml:4: seed: found -5; expected an integer >= 0"),
        ("seed: 5", "seed: true", "tiny.yaml:4: seed: found true; expected an integer >= 0"),
        ("seed: 5", "sead: 5", "tiny.yaml:4: sead: unknown key 'sead'; nearest: seed"),
        ("seed: 5", "seed: 5\nseed: 6", "tiny.yaml:5: seed: duplicate key; it stands on line 4 "
         "already"),
        ("k: [128, 256]", "k: 1\n    k: 2", "tiny.yaml:15: finders[1].k: duplicate key; it stands "
         "on line 14 already"),
        ("  - neurons", "  - neuron", "tiny.yaml:12: finders[0]: unknown finder 'neuron'; nearest: "
         "neurons (all of them: iibench ls finders)"),
        ("  - color", "  - colour", "tiny.yaml:16: metrics[0]: unknown metric 'colour'; nearest: "
         "color (all of them: iibench ls metrics)"),
        ("  - ii", "  - iii", "tiny.yaml:19: evaluations[0]: unknown evaluation 'iii'; nearest: "
         "ii, insilico (all of them: iibench ls evaluations)"),
        ("name: digits", "name: digit", "tiny.yaml:6: dataset.name: unknown dataset 'digit'; "
         "nearest: digits (all of them: iibench ls datasets)"),
        ("name: net", "name: nets", "tiny.yaml:9: models[0].name: unknown model 'nets'; nearest: "
         "net (all of them: iibench ls models)"),
        ("name: net", "name: net:x", "tiny.yaml:9: models[0].name: found 'net:x', but net has no "
         "variants; expected 'net'"),
        ("name: net", "name: hub", "tiny.yaml:9: models[0].name: found 'hub'; expected "
         "hub:VARIANT, such as hub:resnet18"),
        ("name: net", "name: hub:resnet81", "tiny.yaml:9: models[0].name: unknown variant of hub "
         "'resnet81'; nearest: resnet18, resnet50"),
        ("name: net", "name: hub:resnet18\n    variant: resnet50", "tiny.yaml:10: "
         "models[0].variant: is given with the name, as in hub:VARIANT"),
        ("k: [128, 256]", "kk: 3", "tiny.yaml:14: finders[1].kk: unknown parameter of kmeans 'kk'; "
         "nearest: k"),
        ("k: [128, 256]", 'k: "256"', 'tiny.yaml:14: finders[1].k: found "256" (text); expected '
         "integer >= 1"),
        ("k: [128, 256]", "k: true", "tiny.yaml:14: finders[1].k: found true; expected integer "
         ">= 1"),
        ("k: [128, 256]", "k: [128, 0]", "tiny.yaml:14: finders[1].k: found 0; expected integer "
         ">= 1"),
        ("k: [128, 256]", "k: 2.5", "tiny.yaml:14: finders[1].k: found 2.5; expected integer >= 1"),
        ("k: [128, 256]", "k: []", "tiny.yaml:14: finders[1].k: found an empty list; expected a "
         "value or a list of values"),
        ("k: [128, 256]", "k:", "tiny.yaml:14: finders[1].k: found null; expected integer >= 1"),
        ("k: [128, 256]", "response: cosin", 'tiny.yaml:14: finders[1].response: found "cosin" '
         "(text); expected cosine | projection | neg_distance; nearest: cosine"),
        ("[0, 0.05]", "0.5", "tiny.yaml:20: evaluations[1].difficulty: found 0.5; expected number "
         ">= 0 and < 0.5"),
        ("[0, 0.05]", ".nan", "tiny.yaml:20: evaluations[1].difficulty: found NaN; expected finite "
         "numbers"),
        ("name: digits", "name: digits\n  fit: trian", 'tiny.yaml:7: dataset.fit: found "trian" '
         "(text); expected a split of digits: train, test"),
        ("name: digits", "name: folder", "tiny.yaml:5: dataset.path: missing; expected text"),
        ("n: 10", "n: [10]", "tiny.yaml:7: dataset.fallback.n: found [10]; expected integer >= 1"),
        ("n: 10", "fallback: digits", "tiny.yaml:7: dataset.fallback.fallback: found a fallback of "
         "a fallback; expected one only"),
        ("parts: all", "parts: 7", "tiny.yaml:17: metrics[1].parts: found 7; expected sum, all, or "
         "of its parts: 0, 1, 2, 3, 4"),
        ("parts: all", "parts: []", "tiny.yaml:17: metrics[1].parts: found an empty list; expected "
         "sum, all or names of parts"),
        ("  - color", "  - color[0]", 'tiny.yaml:16: metrics[0].parts: found "0" (text); expected '
         "sum, all, or of its parts: (it has none)"),
        ("  - neurons", "  - neurons[0]", "tiny.yaml:12: finders[0]: found the part '0'; a finder "
         "has no parts"),
        ("  - neurons", "  - kmeans[k=128", "tiny.yaml:12: finders[0]: found 'kmeans[k=128'; "
         "expected a name or a label such as name[key=value]"),
        ("  - neurons", "  - kmeans[k=128,k=3]", "tiny.yaml:12: finders[0]: found 'k=3' in "
         "'kmeans[k=128,k=3]'; expected key=value, each key once"),
        ("  - neurons", "  - 3", "tiny.yaml:12: finders[0]: found 3; expected the name of a finder"),
        ("  - neurons", "  - {k: 3}", "tiny.yaml:12: finders[0]: found no key 'name'; expected the "
         "name of a finder"),
        ("  - neurons", "  - kmeans", "tiny.yaml:13: finders[1]: found kmeans[k=256] again (first "
         "on line 12); expected once"),
        ("[128, 256]", "[128, 128]", "tiny.yaml:13: finders[1]: found kmeans[k=128] again (first "
         "on line 13); expected once"),
        ("[mean, max]", "[mean, min]", 'tiny.yaml:10: models[0].layers[1].pool: found "min" (text); '
         "expected mean | max | center | flatten | cls"),
        ("pool: [mean, max]", "layout: last", 'tiny.yaml:10: models[0].layers[1].layout: found "last" '
         "(text); expected channels_first | channels_last"),
        ("pool: [mean, max]", "call: 0", "tiny.yaml:10: models[0].layers[1].call: found 0; expected a "
         "whole number from 1: which call of the module"),
        ("pool: [mean, max]", "call: true", "tiny.yaml:10: models[0].layers[1].call: found true; expected "
         "a whole number from 1: which call of the module"),
        ("[early,", "['early[call=x]',", "tiny.yaml:10: models[0].layers[0].call: found \"x\" (text); "
         "expected a whole number from 1: which call of the module"),
        ("[early,", "[early, layer1,", "tiny.yaml:10: models[0].layers[1]: found layer1 again; "
         "expected each layer once"),
        ("[early,", "[early, 3,", "tiny.yaml:10: models[0].layers[1]: found 3; expected a module path, "
         'written in quotes: "3"'),
        ("[early,", "['early[max]',", "tiny.yaml:10: models[0].layers[0]: found 'early[max]'; "
         "expected a module path, as in early[pool=max]"),
        (LAYERS, "layers: []", "tiny.yaml:10: models[0].layers: found an empty list; expected "
         "at least one entry"),
        (LAYERS, "", "tiny.yaml:9: models[0]: found no key 'layers'; expected the layers to "
         "look at"),
        ("metrics: [color, lpips]", "metrics: [colr]", "tiny.yaml:20: evaluations[1].metrics[0]: "
         "found 'colr'; expected one of this suite's metrics; nearest: color"),
        ("metrics: [color, lpips]", "metrics: []", "tiny.yaml:20: evaluations[1].metrics: found an "
         "empty list; expected at least one entry"),
        ("- sparsity", "- {name: sparsity, metrics: [color]}", "tiny.yaml:21: "
         "evaluations[2].metrics: found metrics for sparsity, which needs none; expected no key"),
        ("metrics:\n  - color\n  - {name: lpips, parts: all}\n", "", "tiny.yaml:16: "
         "evaluations[0]: found no metrics in the suite; expected some for ii"),
        ("evaluations:", "evaluation:", "tiny.yaml:1: found no key 'evaluations'; expected it "
         "beside the others"),
    ],
)  # fmt: skip
def test_mistakes_are_named_with_file_line_key_and_expectation(
    problems: Any, suite_text: str, old: str, new: str, message: str
) -> None:
    assert old in suite_text
    assert message in problems(suite_text.replace(old, new, 1))


def test_every_mistake_of_a_file_is_reported_in_its_order(problems: Any, suite_text: str) -> None:
    wrong = suite_text.replace("seed: 5", "seed: x").replace("- neurons", "- neuron")
    found = problems(wrong.replace("parts: all", "partz: all").replace('"1"', "1.0"))
    assert [line.split(": ")[0] for line in found] == [f"tiny.yaml:{n}" for n in (1, 4, 12, 17)]


@pytest.mark.parametrize("number", ["1", "2.5", "true"])
def test_a_layer_that_is_no_text_is_to_be_quoted(
    problems: Any, suite_text: str, number: str
) -> None:
    found = problems(suite_text.replace(LAYERS, f"layers: [{number}]"))
    assert any(
        f'layers[0]: found {number}; expected a module path, written in quotes: "{number}"' in line
        for line in found
    )


@pytest.mark.parametrize(
    "label", ["kmeans[k=4]", "kmeans[k=[4,8]]", "lpips[net=vgg][3]", "torchvision:vgg16[size=64]"]
)
@pytest.mark.parametrize("around", ["[{}]", "[neurons, {}]", "[{}, neurons]", "{{name: {}}}"])
def test_a_name_with_brackets_within_brackets_is_to_be_quoted(label: str, around: str) -> None:
    with pytest.raises(SuiteError, match="not valid YAML") as caught:
        parse("a: 1\nfinders: " + around.format(label), "mine.yaml")
    assert str(caught.value).endswith(f"is written in quotes: '{label}'")
    parse("finders: " + around.format(f"'{label}'"), "mine.yaml").raise_problems()


@pytest.mark.parametrize("section", ["finders", "metrics", "evaluations", "models"])
@pytest.mark.parametrize(("value", "found"), [("[]", "an empty list"), ("3", "3"), ("", "null")])
def test_sections_are_lists_with_entries(
    problems: Any, suite_text: str, section: str, value: str, found: str
) -> None:
    lines = suite_text.splitlines()
    start = lines.index(f"{section}:")
    end = next((i for i in range(start + 1, len(lines)) if lines[i][0] != " "), len(lines))
    text = "\n".join([*lines[:start], f"{section}: {value}", *lines[end:]])
    assert problems(text)[0].startswith(
        f"tiny.yaml:{start + 1}: {section}: found {found}; expected"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "tiny.yaml:1: found an empty file; expected a mapping with the key 'iibench'"),
        ("- a\n", 'tiny.yaml:1: found ["a"]; expected a mapping with the key'),
        ("name: [a\nb: c\n", "tiny.yaml:2:2: not valid YAML: while parsing a flow sequence"),
        ("name: a\n\tb: c\n", "tiny.yaml:2:1: not valid YAML: "),
        ("a: 1\n---\nb: 2\n", "tiny.yaml:2:1: not valid YAML: expected a single document"),
        (
            "name: !!python/name:os.system x\n",
            "tiny.yaml:1:7: not valid YAML: the tag tag:yaml.org,2002:py",
        ),
        ("name: !!set {a, b}\n", "tiny.yaml:1:7: not valid YAML: the tag tag:yaml.org,2002:set"),
        ("name: !!int abc\n", "tiny.yaml:1:7: not valid YAML: 'abc' is no int"),
        ("name: !!bool abc\n", "tiny.yaml:1:7: not valid YAML: 'abc' is no bool"),
        (f"seed: {'9' * 5000}\n", "tiny.yaml:1:7: not valid YAML: '9999"),
        ("name: " + "[" * 5000, "tiny.yaml: not valid YAML: brackets or indents nest too deep"),
        ("name: !!binary aGk=\n", "tiny.yaml:1:7: not valid YAML: the tag"),
        ("name: &a [*a]\n", "tiny.yaml:1:7: not valid YAML: an alias stands inside"),
        ("? [a, b]\n: c\n", "tiny.yaml:1:3: not valid YAML: a key must be text"),
        ("<<: 3\n", "tiny.yaml:1:5: not valid YAML: << must name a mapping"),
        ("name: a\x07b\n", "tiny.yaml:1: not valid YAML: special characters are not allowed"),
    ],
)
def test_text_that_is_no_suite(problems: Any, text: str, message: str) -> None:
    assert problems(text)[0].startswith(message)


def test_aliases_cannot_unfold_without_end(problems: Any) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "aliases unfold to more than 100000 values" in problems("\n".join(levels))[0]


def test_files_that_cannot_be_read(registry: Registry, tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b'iibench: "1"\nname: caf\xe9\n')
    with pytest.raises(
        SuiteError, match=r"latin\.yaml:2: found the byte 0xe9; expected UTF-8 text"
    ):
        load_suite(str(path), registry)
    with pytest.raises(SuiteError, match="found a folder; expected a suite file or the name of"):
        load_suite(str(tmp_path), registry)
    with pytest.raises(SuiteError, match="found no such file; .* nearest: cifar_layer1"):
        load_suite("cifar_layer", registry)


def test_a_byte_order_mark_is_no_mistake(
    registry: Registry, tmp_path: Path, suite_text: str
) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + suite_text.encode())
    assert load_suite(str(path), registry).name == "tiny"


def test_a_plugin_whose_parameter_is_a_key_of_the_format_is_refused(
    load: Any, registry: Registry, suite_text: str
) -> None:
    from dataclasses import make_dataclass

    params = make_dataclass("Params", [("name", str, "x")], frozen=True)
    spec = FinderSpec(name="odd", summary="", fit=print, encode=print, params=params)
    registry.add(spec, "tests")
    with pytest.raises(PluginError, match="odd: its parameter 'name' is a key of the suite format"):
        load(suite_text.replace("- neurons", "- odd"))


def test_a_mistake_is_not_reported_again_where_its_name_is_used(
    problems: Any, suite_text: str
) -> None:
    text = suite_text.replace("- color", "- colour").replace("- neurons", "- neuron")
    text += "expect: [{on: ii/color, finder: neurons, at_least: 0}]\n"
    assert [line.split(": ")[1] for line in problems(text)] == ["finders[0]", "metrics[0]"]


ODD = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 3),
        st.floats(),
        st.sampled_from(["kmeans", "lpips[3]", "x[", "hub:", "a/b", "", "sae[z=]", "all", "[,]"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["name", "k", "path", "layers", "on", "z"]), inner),
    ),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path in a structure of mappings and lists."""
    inner: Any = ()
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
    return [path, *(p for key, item in inner for p in places(item, (*path, key)))]


@pytest.mark.slow
@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None
)
@given(st.data())
def test_whatever_stands_in_a_suite_is_read_or_named_a_mistake(
    tmp_path_factory: pytest.TempPathFactory, suite_text: str, registry: Registry, data: Any
) -> None:
    value = parse(suite_text, "suite").value
    value["expect"] = [{"on": "ii/color", "finder": "kmeans", "above": "neurons"}]
    *path, last = data.draw(st.sampled_from(places(value)[1:]))
    inside = value
    for key in path:
        inside = inside[key]
    inside[last] = data.draw(ODD)
    file = tmp_path_factory.mktemp("odd") / "odd.yaml"
    file.write_text(yaml.safe_dump(value, sort_keys=False), encoding="utf-8")
    try:
        suite = load_suite(str(file), registry)
    except SuiteError as error:
        assert all(line.startswith(f"{file}:") for line in str(error).splitlines())
    else:
        assert collect(suite, registry)
