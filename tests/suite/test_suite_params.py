"""Parameters and labels: what is accepted, how it is shown, and that a label can be read back."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, MinLen
from hypothesis import given
from hypothesis import strategies as st

from iibench.contract.errors import PluginError, UsageError
from iibench.contract.specs import FinderSpec
from iibench.suite.cases import Choice
from iibench.suite.labels import format_value, read_label, resolve, split_outside
from iibench.suite.params import (
    ParamError,
    describe,
    expand,
    label,
    label_values,
    parse_params,
    to_json,
)
from iibench.suite.registry import Registry


@dataclass(frozen=True)
class Params:
    path: str
    k: Annotated[int, Ge(1)] = 4
    rate: Annotated[float, Gt(0)] = 0.1
    size: Annotated[int, Ge(8)] | None = None
    sizes: tuple[int, ...] = (1, 2)
    pairs: tuple[tuple[int, int], ...] = ()
    names: Annotated[tuple[str, ...], MinLen(1)] = ("a",)
    flag: bool = False
    mode: Literal["one", "two"] = "one"


def finder(params: type = Params, headline: tuple[str, ...] = ()) -> FinderSpec:
    return FinderSpec(
        name="f", summary="", fit=print, encode=print, params=params, headline=headline
    )


def test_values_become_the_dataclass() -> None:
    made = parse_params(finder(), {"path": "p", "rate": 2, "sizes": [3], "pairs": [[1, 2]]})
    assert made == Params("p", rate=2.0, sizes=(3,), pairs=((1, 2),))
    assert isinstance(made.rate, float)
    assert to_json(made)["pairs"] == [[1, 2]]
    assert parse_params(finder(), to_json(made)) == made


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"k": "256"}, ("k", 'found "256" (text); expected integer >= 1')),
        ({"k": True}, ("k", "found true; expected integer >= 1")),
        ({"k": 1.0}, ("k", "found 1.0; expected integer >= 1")),
        ({"flag": 1}, ("flag", "found 1; expected true | false")),
        ({"rate": 0}, ("rate", "found 0; expected number > 0")),
        ({"rate": math.inf}, ("rate", "found Infinity; expected finite numbers")),
        ({"size": 7}, ("size", "found 7; expected integer >= 8 or none")),
        ({"sizes": 3}, ("sizes", "found 3; expected list of integer")),
        ({"sizes": [1, "2"]}, ("sizes", 'found [1, "2"]; expected list of integer')),
        ({"pairs": [[1]]}, ("pairs", "found [[1]]; expected list of list of 2 integer")),
        ({"names": []}, ("names", "found []; expected list of text with at least 1 items")),
        ({"mode": "too"}, ("mode", 'found "too" (text); expected one | two; nearest: two')),
        ({"kk": 1}, ("kk", "unknown parameter of f 'kk'; nearest: k")),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], problem: tuple[str, str]) -> None:
    with pytest.raises(ParamError) as caught:
        parse_params(finder(), {"path": "p", **values})
    assert caught.value.problems == (problem,)


def test_missing_parameters_and_the_dataclass_own_checks(registry: Registry) -> None:
    with pytest.raises(ParamError, match="path: missing; expected text"):
        parse_params(finder(), {})
    sae = registry.finders["sae"].spec
    with pytest.raises(ParamError, match="^tied weights and widths exclude each other$"):
        parse_params(sae, {"tied": True, "widths": [1]})


def test_annotations_that_cannot_be_resolved_name_the_plugin() -> None:
    broken = dataclasses.make_dataclass("Broken", [("k", "Missing", 1)], frozen=True)
    with pytest.raises(PluginError, match=r"f: the annotations of its parameters \(Broken\)"):
        parse_params(finder(broken), {})


def test_lists_span_a_product_last_key_fastest() -> None:
    found = list(expand(finder(), {"k": [1, 2], "sizes": [3, 4], "flag": [True, False]}))
    assert found == [
        {"k": k, "sizes": [3, 4], "flag": flag} for k in (1, 2) for flag in (True, False)
    ]
    assert list(expand(finder(), {"pairs": [[1, 2], [3, 4]]})) == [{"pairs": [[1, 2], [3, 4]]}]
    assert [v["pairs"] for v in expand(finder(), {"pairs": [[[1, 2]], [[3, 4]]]})] == [
        [[1, 2]],
        [[3, 4]],
    ]
    assert list(expand(finder(), {"sizes": []})) == [{"sizes": []}]
    with pytest.raises(ParamError, match="k: found an empty list"):
        list(expand(finder(), {"k": []}))


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ({}, "f[path=p,k=4]"),
        ({"k": 9, "rate": 1}, "f[path=p,k=9,rate=1]"),
        ({"rate": 1e-5, "flag": True}, "f[path=p,k=4,rate=1e-05,flag=true]"),
        ({"sizes": [3, 4, 5]}, "f[path=p,k=4,sizes=3+4+5]"),
        ({"sizes": [1, 2]}, "f[path=p,k=4]"),
        ({"size": 8}, "f[path=p,k=4,size=8]"),
        ({"path": "a b/c"}, 'f[path="a b/c",k=4]'),
        ({"path": ""}, 'f[path="",k=4]'),
        ({"path": "x+y", "names": ["x+y", "z"]}, 'f[path=x+y,k=4,names="x+y"+z]'),
    ],
)
def test_labels(values: dict[str, Any], shown: str) -> None:
    spec = finder(headline=("k",))
    assert label(spec, parse_params(spec, {"path": "p", **values})) == shown


def test_labels_of_parts_and_of_plain_values(registry: Registry) -> None:
    lpips = registry.metrics["lpips"].spec
    assert label(lpips, parse_params(lpips, {}), "3") == "lpips[3]"
    assert label(lpips, parse_params(lpips, {"input": "paper2310"}), "3") == (
        "lpips[3,input=paper2310]"
    )
    insilico = registry.evaluations["insilico"].spec
    assert label(insilico, parse_params(insilico, {"difficulty": -0.0})) == "insilico[difficulty=0]"
    assert [format_value(v) for v in (None, True, 0.05, 1e20, 3)] == (
        ["none", "true", "0.05", "1e+20", "3"]
    )


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=8)


@pytest.mark.slow
@given(
    TEXT,
    st.integers(1, 10**9),
    st.floats(1e-9, 1e9),
    st.lists(st.integers(-9, 9)),
    st.lists(TEXT, min_size=1, max_size=3),
    st.booleans(),
    st.sampled_from([None, 8, 99]),
)
def test_a_label_says_all_there_is(
    path: str,
    k: int,
    rate: float,
    sizes: list[int],
    names: list[str],
    flag: bool,
    size: int | None,
) -> None:
    spec = finder(headline=("k",))
    params = Params(path, k, rate, size, tuple(sizes), (), tuple(names), flag)
    shown = label(spec, params)
    written = read_label(shown)
    assert written.name == "f"
    assert parse_params(spec, label_values(spec, written.params)) == params


def test_describe_lists_type_default_and_help(registry: Registry) -> None:
    docs = {doc.name: doc for doc in describe(finder())}
    assert (docs["path"].required, docs["path"].default) == (True, None)
    assert (docs["size"].type, docs["size"].default) == ("integer >= 8 or none", "none")
    assert (docs["sizes"].type, docs["sizes"].default) == ("list of integer", "1+2")
    assert docs["mode"].type == "one | two"
    [k, _] = describe(registry.finders["kmeans"].spec)
    assert (k.name, k.default, k.help) == ("k", "256", "number of clusters")
    assert [doc.name for doc in describe(registry.models["hub"].spec)] == ["weights"]
    assert describe(registry.finders["neurons"].spec) == []


def test_splitting_leaves_quotes_and_brackets_alone() -> None:
    assert split_outside('a[x/y]/"b/\\"c"/d', "/") == ["a[x/y]", '"b/\\"c"', "d"]


def test_references_name_one_choice(registry: Registry) -> None:
    spec = registry.finders["sae"].spec

    def choice(**values: Any) -> Choice:
        params = parse_params(spec, values)
        return Choice("sae", params, label(spec, params))

    small, plain, tied = choice(z=8), choice(), choice(tied=True)
    pool = [small, plain, tied]
    assert resolve("finder", "sae[z=8,l1=0.001]", pool) is small  # a label
    assert resolve("finder", "sae[z=8]", pool) is small  # the only one with z = 8
    assert resolve("finder", "sae", pool) is plain  # what is left out is at its default
    assert resolve("finder", "sae[l1=1e-3]", pool) is plain
    assert resolve("finder", "sae", [tied]) is tied  # the only one there is
    with pytest.raises(UsageError, match=r"'sae' is any of sae\[z=8,.* expected one finder"):
        resolve("finder", "sae", [small, tied])
    with pytest.raises(
        UsageError, match=r"found 'sea'; expected one of this suite's finders; nearest:"
    ):
        resolve("finder", "sea", pool)


def test_text_that_looks_like_something_else_stays_text() -> None:
    spec = finder()
    for odd in ("none", "1", "true", "1e3", "null", "~", "a: b", "{x}"):
        params = Params(odd, names=(odd, "b"))
        written = read_label(label(spec, params)).params
        assert parse_params(spec, label_values(spec, written)) == params
