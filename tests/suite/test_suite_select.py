"""Selection: the expressions of -k against Python's own boolean evaluation, and wrong ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iibench.contract.errors import UsageError
from iibench.suite.collect import collect
from iibench.suite.registry import Registry
from iibench.suite.select import compile_expression, select

WORDS = ("kmeans[k=256]", "difficulty=0.05", "LPIPS", "ii", "neurons", "layer1", "x")
IDS = (
    "cifar10/net/layer1/kmeans[k=256]/lpips/ii",
    "cifar10/net/layer1/neurons/lpips[3]/insilico[difficulty=0.05]",
    "x/net/layer2/kmeans[k=128]/color/ii",
)

TREES = st.recursive(
    st.sampled_from(WORDS),
    lambda inner: st.one_of(
        st.tuples(st.just("not"), inner),
        st.tuples(st.sampled_from(["and", "or"]), inner, inner),
    ),
    max_leaves=12,
)


def written(tree: Any, space: str) -> str:
    """The tree as an expression of -k, parenthesised as little as its reader needs to be."""
    if isinstance(tree, str):
        return tree
    pieces = [written(inner, space) for inner in tree[1:]]
    pieces = [
        f"({piece})" if not isinstance(inner, str) else piece
        for inner, piece in zip(tree[1:], pieces, strict=True)
    ]
    return f"not{space}{pieces[0]}" if tree[0] == "not" else f"{space}{tree[0]}{space}".join(pieces)


@given(TREES, st.sampled_from([" ", "  ", "\t"]), st.sampled_from(IDS))
def test_expressions_mean_what_they_mean_in_python(tree: Any, space: str, text: str) -> None:
    expression = written(tree, space)
    names = {word: f"w{i}" for i, word in enumerate(WORDS)}
    tokens = expression.replace("(", " ( ").replace(")", " ) ").split()
    python = " ".join(names.get(token, token) for token in tokens)
    values = {name: word.lower() in text.lower() for word, name in names.items()}
    assert compile_expression(expression)(text) == eval(python, {}, values)


FLAT = st.lists(st.tuples(st.booleans(), st.sampled_from(WORDS)), min_size=1, max_size=8)


@given(FLAT, st.lists(st.sampled_from(["and", "or"]), min_size=8, max_size=8), st.sampled_from(IDS))
def test_precedence_is_pythons(terms: list[tuple[bool, str]], joints: list[str], text: str) -> None:
    ours: list[str] = []
    python: list[str] = []
    for number, ((negated, word), joint) in enumerate(zip(terms, joints, strict=False)):
        between = [joint] if number else []
        ours += [*between, *(["not"] if negated else []), word]
        python += [*between, *(["not"] if negated else []), str(word.lower() in text.lower())]
    assert compile_expression(" ".join(ours))(text) == eval(" ".join(python))


def test_select_keeps_order_and_ids(load: Any, registry: Registry) -> None:
    cases = collect(load(), registry)
    assert select(cases, "") == select(cases, "  ") == cases
    found = select(cases, "kmeans[k=256] and (difficulty=0.05 or sparsity) and not layer2")
    assert [case.id for case in found] == [
        "digits/net/layer1/kmeans[k=256]/color/insilico[difficulty=0.05]",
        "digits/net/layer1/kmeans[k=256]/lpips/insilico[difficulty=0.05]",
        "digits/net/layer1/kmeans[k=256]/sparsity",
    ]
    assert select(cases, "nothing-like-this") == []


def test_quotes_keep_words_together() -> None:
    assert compile_expression("'a (b) and c'")("x a (B) and c y")
    assert not compile_expression('"a  b"')("a b")
    assert compile_expression("'and' or \"'\"")("band")


@pytest.mark.parametrize(
    ("expression", "problem", "caret"),
    [
        ("a and", "expected a word, 'not' or '(', found the end", 5),
        ("and a", "expected a word, 'not' or '(', found 'and'", 0),
        ("a b", "expected 'and', 'or' or the end, found 'b'", 2),
        ("(a or b", "expected ')', found the end", 7),
        ("a)", "expected 'and', 'or' or the end, found ')'", 1),
        ("()", "expected a word, 'not' or '(', found ')'", 1),
        ("a or 'b", "expected a closing ', found the end", 5),
        ("not", "expected a word, 'not' or '(', found the end", 3),
        ("(" * 300 + "a", "expected at most 200 levels", 200),
    ],
)
def test_wrong_expressions_show_where(expression: str, problem: str, caret: int) -> None:
    with pytest.raises(UsageError) as caught:
        compile_expression(expression)
    first, shown, mark = str(caught.value).splitlines()
    assert first == f"-k: {problem}"
    assert (shown, mark) == (f"  {expression}", f"  {' ' * caret}^")
