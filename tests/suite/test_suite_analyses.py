"""Analyses in suites: with which finders they run, what is expected of their measures, statements."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from iibench.contract.evaluations import EvaluationSpec
from iibench.contract.measures import Measure
from iibench.contract.reports import CaseReport, Named
from iibench.results.verdicts import judge, sentence
from iibench.suite.collect import collect
from iibench.suite.jsonschema import suite_schema
from iibench.suite.load import load_suite
from iibench.suite.registry import Registry
from iibench.suite.schema import Expectation
from iibench.suite.yaml_lines import parse
from tests.suite.conftest import never, small_registry

SUITE = """\
iibench: "1"
name: tiny
dataset: {name: digits, fallback: {name: patches, n: 10}}
models: [{name: net, layers: [early]}]
finders:
  - neurons
  - {name: kmeans, k: [128, 256]}
metrics:
  - color
evaluations:
  - ii
  - sparsity
  - {name: spectrum, finders: [neurons]}
  - name: halves
    finder: kmeans[k=3]
    finders: [neurons]
expect:
  - {on: spectrum, finder: neurons, measure: excess, at_least: 0}
"""
EXPECTED = "  - {on: spectrum, finder: neurons, measure: excess, at_least: 0}"
STATEMENT = """  - text: People do better on features
    figure: Fig. 4
    published: 0.8 against 0.7
    not_testable: it takes people"""


@dataclasses.dataclass(frozen=True)
class HalvesParams:
    finder: str = "kmeans"
    m: int = 5


@pytest.fixture
def registry() -> Registry:
    found = small_registry()
    analysis: dict[str, Any] = {"summary": "", "evaluate": never, "plot": "none"}
    found.add(EvaluationSpec(name="spectrum", needs_metric=False, **analysis), "tests")
    found.add(
        EvaluationSpec(
            name="halves", params=HalvesParams, finders=lambda p: (p.finder,), **analysis
        ),
        "tests",
    )
    return found


def schema_accepts(registry: Registry, text: str) -> bool:
    return Draft202012Validator(suite_schema(registry)).is_valid(parse(text, "t").value)


# ------------------------------------------------------------------------------------- finders


def test_an_evaluation_runs_with_its_finders_alone(load, registry) -> None:
    suite = load(SUITE)
    assert suite.evaluation_finders == {
        "spectrum": frozenset({"neurons"}),
        'halves[finder="kmeans[k=3]"]': frozenset({"neurons"}),
    }
    found: dict[str, list[str]] = {}
    for case in collect(suite, registry):
        found.setdefault(case.evaluation.name, []).append(case.finder.label)
    everything = ["neurons", "kmeans[k=128]", "kmeans[k=256]"]
    assert found == {
        "ii": everything,
        "sparsity": everything,
        "spectrum": ["neurons"],
        "halves": ["neurons"],
    }


def test_finders_are_named_as_elsewhere(load) -> None:
    """A name alone is the one with its defaults, as in statements."""
    suite = load(
        SUITE.replace("spectrum, finders: [neurons]", "spectrum, finders: [kmeans, neurons]")
    )
    assert suite.evaluation_finders["spectrum"] == {"kmeans[k=256]", "neurons"}


# ------------------------------------------------------------------------------------ mistakes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("spectrum, finders: [neurons]", "spectrum, finders: [neurones]",
         "tiny.yaml:13: evaluations[2].finders[0]: found 'neurones'; expected one of "
         "this suite's finders; nearest: neurons"),
        ("spectrum, finders: [neurons]", "spectrum, finders: []",
         "tiny.yaml:13: evaluations[2].finders: found an empty list; expected at least one entry"),
        ("spectrum, finders: [neurons]", "spectrum, finders: neurons",
         'tiny.yaml:13: evaluations[2].finders: found "neurons" (text); expected a list'),
        ("spectrum, finders: [neurons]", "spectrum, finders: [3]",
         "tiny.yaml:13: evaluations[2].finders[0]: found 3; expected text (write it in quotes)"),
        ("spectrum, finders: [neurons]", "spectrum, finder: [neurons]",
         "tiny.yaml:13: evaluations[2].finder: unknown parameter of spectrum 'finder'; "
         "nearest: finders, name"),
        ("finder: kmeans[k=3]", "finder: kmeens[k=3]",
         "tiny.yaml:15: evaluations[3].finder: unknown finder 'kmeens'; nearest: kmeans, neurons (all of "
         "them: iibench ls finders)"),
        ("finder: kmeans[k=3]", "finder: 'kmeans[k=0]'",
         "tiny.yaml:15: evaluations[3].finder: k: found \"0\" (text); expected integer >= 1"),
        ("finder: kmeans[k=3]", "finder: 'kmeans[z=0]'",
         "tiny.yaml:15: evaluations[3].finder: z: unknown parameter of kmeans 'z'; known: k, "
         "response"),
        ("finder: neurons, measure", "finder: kmeans[k=128], measure",
         None),
        ("measure: excess, at_least: 0", "measure: excess, above: kmeans[k=128]", None),
        ("measure: excess, at_least: 0", "measure: excess",
         "tiny.yaml:18: expect[0]: found neither; expected either above or at_least / at_most"),
        ("measure: excess, at_least: 0", "measure: 3, at_least: 0",
         "tiny.yaml:18: expect[0].measure: found 3; expected text (write it in quotes)"),
        ("measure: excess, at_least: 0", "mesure: excess, at_least: 0",
         "tiny.yaml:18: expect[0].mesure: unknown key 'mesure'; nearest: measure, figure, test"),
        ("measure: excess, at_least: 0", "interval: 95, at_least: 0",
         "tiny.yaml:18: expect[0].interval: found 95; expected true or false"),
        ("measure: excess, at_least: 0", "published: -0.4, at_least: 0",
         "tiny.yaml:18: expect[0].published: found -0.4; expected text (write it in quotes)"),
        ("measure: excess, at_least: 0", "figure: 11, at_least: 0",
         "tiny.yaml:18: expect[0].figure: found 11; expected text (write it in quotes)"),
        ("measure: excess, at_least: 0", "at_least: 1, at_most: 0",
         "tiny.yaml:18: expect[0].at_most: found 0; expected no less than at_least, which is 1"),
        ("on: spectrum, finder: neurons", "on: ii/color, finder: neurons",
         "tiny.yaml:18: expect[0].measure: found measure and ii is none; expected it with an "
         "analysis only"),
        ("on: spectrum, finder: neurons", "on: spectrum/color, finder: neurons",
         "tiny.yaml:18: expect[0].on: found 'spectrum/color'; expected spectrum alone, which needs "
         "no metric"),
    ],
)  # fmt: skip
def test_a_mistake_gives_one_line(problems, old: str, new: str, message: str | None) -> None:
    assert SUITE.count(old) == 1
    found = problems(SUITE.replace(old, new.replace("kmeans[k=128]", "'kmeans[k=128]'")))
    if message is not None:
        assert found == [message]


def test_a_statement_about_a_finder_that_the_evaluation_has_not(problems) -> None:
    found = problems(SUITE.replace("finder: neurons, measure", "finder: 'kmeans[k=128]', measure"))
    assert found == [
        "tiny.yaml:18: expect[0].finder: found kmeans[k=128]; expected a finder of spectrum: neurons"
    ]


def test_analyses_are_bounded_and_not_compared(problems) -> None:
    text = SUITE.replace("{name: spectrum, finders: [neurons]}", "spectrum")
    compared = EXPECTED.replace("measure: excess, at_least: 0", "above: 'kmeans[k=128]'")
    assert problems(text.replace(EXPECTED, compared)) == [
        "tiny.yaml:18: expect[0].above: found above and spectrum is an analysis; expected "
        "at_least / at_most"
    ]
    both = EXPECTED.replace("at_least: 0", "above: 'kmeans[k=128]'")
    assert problems(text.replace(EXPECTED, both)) == [
        "tiny.yaml:18: expect[0].above: found above and spectrum is an analysis; expected "
        "at_least / at_most"
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("published: 0.8 against 0.7", "on: ii/color",
         "tiny.yaml:20: expect[0].on: found on beside not_testable; expected text, figure, "
         "published and not_testable alone"),
        ("published: 0.8 against 0.7", "at_least: 0.7",
         "tiny.yaml:20: expect[0].at_least: found at_least beside not_testable; expected text, "
         "figure, published and not_testable alone"),
        ("published: 0.8 against 0.7", "publish: x",
         "tiny.yaml:20: expect[0].publish: unknown key 'publish'; nearest: published"),
        ("published: 0.8 against 0.7", "published: 0.8",
         "tiny.yaml:20: expect[0].published: found 0.8; expected text (write it in quotes)"),
        ("not_testable: it takes people", "not_testable: true",
         "tiny.yaml:21: expect[0].not_testable: found true; expected text (write it in quotes)"),
        ("not_testable: it takes people", 'not_testable: ""',
         'tiny.yaml:21: expect[0].not_testable: found "" (text); expected text'),
        ("    figure: Fig. 4\n", "",
         "tiny.yaml:18: expect[0]: found no key 'figure'; expected it beside the others"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_statement_gives_one_line(problems, old, new, message) -> None:
    assert STATEMENT.count(old) == 1
    assert problems(SUITE.replace(EXPECTED, STATEMENT.replace(old, new))) == [message]


def test_trials_have_no_finders(problems, registry) -> None:
    from iibench.contract.trials import TrialDatasetSpec, TrialEvaluationSpec

    registry.add(TrialDatasetSpec(name="people", summary="", load=never), "tests")
    registry.add(
        TrialEvaluationSpec(name="human", summary="", judge=never, headline_measure="auc"), "tests"
    )
    text = 'iibench: "1"\nname: t\ndataset: people\nmetrics: [color]\nevaluations:\n'
    assert problems(text + "  - {name: human, finders: [neurons]}\n") == [
        "tiny.yaml:6: evaluations[0].finders: found finders for human; expected no key: trials "
        "have none"
    ]


# -------------------------------------------------------------------------------------- schema


@pytest.mark.parametrize(
    ("new", "loads", "accepted"),
    [
        ("measure: excess, at_least: 0", True, True),
        ("measure: excess, interval: true, at_least: 0, at_most: 3.5", True, True),
        ("figure: Fig. 3, published: '1.2', text: words, at_most: 0", True, True),
        ("measure: excess, above: 'kmeans[k=128]'", False, False),
        ("interval: true, above: 'kmeans[k=128]'", False, False),
        ("interval: 1, at_most: 0", False, False),
        ("published: 1.2, at_most: 0", False, False),
        ("measure: excess", False, False),
    ],
)
def test_the_schema_and_the_reader_agree(
    load, problems, registry, new: str, loads: bool, accepted: bool
) -> None:
    text = SUITE.replace("measure: excess, at_least: 0", new)
    assert schema_accepts(registry, text) == accepted
    if loads:
        load(text)
    else:
        problems(text)


@pytest.mark.parametrize(
    ("old", "new", "right"),
    [
        ("", "", True),
        ("    published: 0.8 against 0.7\n", "", True),
        ("    figure: Fig. 4\n", "", False),
        ("not_testable: it takes people", "not_testable: true", False),
        ("published: 0.8 against 0.7", "on: ii/color", False),
    ],
)
def test_the_schema_knows_statements(load, problems, registry, old, new, right) -> None:
    text = SUITE.replace(EXPECTED, STATEMENT.replace(old, new))
    assert schema_accepts(registry, text) == right
    (load if right else problems)(text)


def test_the_schema_knows_finders_of_evaluations(registry) -> None:
    assert schema_accepts(registry, SUITE)
    assert not schema_accepts(registry, SUITE.replace("finders: [neurons]}", "finders: 3}"))


# ------------------------------------------------------------------------------------- reading


def test_what_is_read(load) -> None:
    text = SUITE + STATEMENT + "\n"
    measured, stated = load(text).expectations
    assert measured == Expectation(
        "spectrum", None, "neurons", "digits", analysis=True, measure="excess", at_least=0.0
    )
    assert stated == Expectation(
        *("", None, "", "digits"),
        text="People do better on features",
        figure="Fig. 4",
        published="0.8 against 0.7",
        not_testable="it takes people",
    )


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ("measure: excess, at_least: 0", "excess of neurons on spectrum is at least 0"),
        ("at_most: 2", "the main measure of neurons on spectrum is at most 2"),
        (
            "measure: excess, at_least: 0, at_most: 2.5, interval: true",
            "excess of neurons on spectrum is at least 0 and at most 2.5, with its whole interval",
        ),
        ("at_most: 2, text: In words", "In words"),
    ],
)
def test_sentences(load, new: str, words: str) -> None:
    suite = load(SUITE.replace("measure: excess, at_least: 0", new))
    assert sentence(suite.expectations[0]) == words


# ------------------------------------------------------------------------------------ verdicts

MEASURES = (
    Measure("excess", 0.4, low=-0.1, high=0.9, n=400),
    Measure("excess", -9.0, {"class": "a"}),
    Measure("bare", 2.0, n=3),
    Measure("gone", None, reason="too few images"),
)


def verdict(**stated: Any):
    expectation = Expectation("spectrum", None, "neurons", "digits", analysis=True, **stated)
    return verdicts(expectation)[0]


def verdicts(expectation: Expectation, **changes: Any):
    from iibench.suite.cases import DatasetChoice

    case = CaseReport(
        id="digits/net/layer1/neurons/spectrum",
        dataset="digits",
        metric=None,
        evaluation=Named("spectrum", "spectrum"),
        status="passed",
        seed=0,
        model=Named("net", "net"),
        layer="layer1",
        finder=Named("neurons", "neurons"),
        is_analysis=True,
        headline="excess",
        measures=MEASURES,
    )
    case = dataclasses.replace(case, **changes)
    return judge([expectation], [case], DatasetChoice("digits", None, "fit", "test", "digits"))


@pytest.mark.parametrize(
    ("stated", "status", "words"),
    [
        ({"at_least": 0.3}, "passed", "excess 0.4 [-0.1, 0.9], n = 400; expected at least 0.3"),
        ({"at_least": 0.4, "at_most": 0.4}, "passed", "expected at least 0.4 and at most 0.4"),
        ({"at_least": 0.5}, "failed", "excess 0.4 [-0.1, 0.9], n = 400; expected at least 0.5"),
        ({"at_most": 0.3, "measure": "excess"}, "failed", "expected at most 0.3"),
        ({"at_least": 0, "interval": True}, "failed", "expected at least 0, the whole interval"),
        ({"at_least": -0.1, "at_most": 0.9, "interval": True}, "passed", "the whole interval"),
        ({"at_most": 0.8, "interval": True}, "failed", "expected at most 0.8, the whole interval"),
        ({"at_least": 1, "measure": "bare"}, "passed", "bare 2, n = 3; expected at least 1"),
        ({"at_least": 1, "measure": "bare", "interval": True}, "skipped", "bare 2 has no interval"),
        ({"at_least": 1, "measure": "gone"}, "skipped", "gone is undefined: too few images"),
        ({"at_least": 1, "measure": "excss"}, "failed", "unknown measure 'excss'; nearest: excess; "
         "there are excess, bare, gone"),
    ],
)  # fmt: skip
def test_verdicts(stated: dict[str, Any], status: str, words: str) -> None:
    found = verdict(**stated)
    assert found.status == status
    assert found.detail.endswith(words)
    assert found.case == "digits/net/layer1/neurons/spectrum"


def test_what_a_paper_states_goes_with_the_verdict() -> None:
    found = verdict(at_least=0, figure="Fig. 11", published="1.3")
    assert (found.figure, found.published, found.not_testable) == ("Fig. 11", "1.3", False)


def test_a_case_that_failed_or_was_not_run_skips_its_statement() -> None:
    stated = Expectation("spectrum", None, "neurons", "digits", analysis=True, at_least=0.0)
    (error,) = verdicts(stated, status="error", reason="too few", headline="", measures=())
    assert (error.status, error.detail) == (
        "skipped",
        "neurons on spectrum ended in an error: too few",
    )
    (absent,) = verdicts(stated, finder=Named("pca", "pca"))
    assert absent.status == "skipped"
    assert absent.case is None


def test_a_statement_is_shown_and_never_tested() -> None:
    stated = Expectation(
        *("", None, "", "digits"), text="People", figure="Fig. 4", not_testable="it takes people"
    )
    (found,) = verdicts(stated)
    assert (found.text, found.status, found.case) == ("People", "skipped", None)
    assert found.detail == "not testable here: it takes people"
    assert found.not_testable


def test_a_round_trip_of_the_file(registry, tmp_path) -> None:
    """What a run folder keeps, the text and the overrides, gives the same suite."""
    file = tmp_path / "tiny.yaml"
    file.write_text(SUITE + STATEMENT)
    overrides = ("evaluations.3.m=7", "expect.0.at_least=-1")
    first = load_suite(str(file), registry, overrides)
    assert first.expectations[0].at_least == -1
    (tmp_path / "copy.yaml").write_text(first.text)
    second = load_suite(str(tmp_path / "copy.yaml"), registry, first.overrides)
    assert dataclasses.replace(second, path=first.path) == first
