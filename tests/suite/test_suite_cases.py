"""Cases: the product of a suite, its ids, and seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iibench.contract.errors import SuiteError, UsageError
from iibench.suite.cases import derive_seed, full_label
from iibench.suite.collect import collect, with_limit
from iibench.suite.registry import Registry


def test_cases_are_the_product_in_order(load: Any, registry: Registry) -> None:
    cases = collect(load(), registry)
    whole = ["color", "lpips"]
    taps = [f"lpips[{i}]" for i in range(5)]
    tails = []
    for metric in [*whole, *taps]:
        tails.append(f"{metric}/ii")
        if metric in whole:
            tails += [f"{metric}/insilico[difficulty={d}]" for d in ("0", "0.05")]
    tails.append("sparsity")
    assert [case.id for case in cases] == [
        f"digits/net/{layer}/{finder}/{tail}"
        for layer in ("layer1", "layer2", "layer2[pool=max]")
        for finder in ("neurons", "kmeans[k=128]", "kmeans[k=256]")
        for tail in tails
    ]
    assert {case.seed for case in cases} == {5}
    assert [case.metric for case in cases if case.evaluation.name == "sparsity"] == [None] * 9


def test_another_seed_limit_and_dataset(load: Any, registry: Registry) -> None:
    suite = load()
    [first, *_] = collect(suite, registry, seed=9, limit=50, use_fallback=True)
    assert (first.seed, first.dataset.limit) == (9, 50)
    assert first.dataset.label == "patches[n=10,limit=50]"
    [first, *_] = collect(suite, registry, limit=50)
    assert first.dataset.label == "digits[limit=50]"


def test_a_limit_comes_off_its_label_again(load: Any) -> None:
    suite = load()
    for choice in (suite.dataset, suite.fallback):
        assert full_label(with_limit(choice, 3)) == choice.label
        assert with_limit(with_limit(choice, 3), None) == choice


def test_what_cannot_be_collected(
    load: Any, changed: Callable[..., Any], registry: Registry
) -> None:
    with pytest.raises(UsageError, match="limit: found 0; expected at least 1 image"):
        collect(load(), registry, limit=0)
    alone = changed("  fallback: {name: patches, n: 10}\n", "")
    with pytest.raises(SuiteError, match=r"found no dataset\.fallback"):
        collect(alone, registry, use_fallback=True)
    suite = load()
    twice = dataclasses.replace(suite, finders=(*suite.finders, suite.finders[0]))
    with pytest.raises(
        SuiteError, match="two cases have the id digits/net/layer1/neurons/color/ii"
    ):
        collect(twice, registry)


def test_seeds_are_the_same_everywhere() -> None:
    # printf '[0, "a", "b"]' | sha256sum: the first eight bytes, without the lowest bit
    assert derive_seed(0, "a", "b") == 0xE75DC36BC10C048D >> 1


@given(st.integers(0, 2**70), st.lists(st.text(max_size=3), max_size=3))
def test_seeds_are_63_bits_and_tell_parts_apart(seed: int, parts: list[str]) -> None:
    assert 0 <= derive_seed(seed, *parts) < 2**63
    assert derive_seed(seed, *parts) != derive_seed(seed, *parts, "")
    assert derive_seed(seed, *parts) != derive_seed(seed + 1, *parts)
