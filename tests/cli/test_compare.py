"""`iibench compare`: what changed between two runs, conditions on it, exit codes, the page."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import permutation_test

import iibench as package
from iibench.contract.errors import UsageError
from iibench.results.comparison.conditions import judge_conditions, read_condition
from iibench.results.comparison.runs import compare_runs
from iibench.results.comparison.settings import setting_changes, settings
from tests.conftest import SUITE, TOYS, Done, alter_run, run_json

Program = Callable[..., Done]


@pytest.fixture
def compare(iibench: Program) -> Program:
    """Runs `iibench compare`, which takes no plugins."""
    return lambda *arguments: iibench("compare", *arguments, toys=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the toy suite."""
    folder = tmp_path_factory.mktemp("made")
    suite = folder / "toy.yaml"
    suite.write_text(SUITE)
    places = {"output": folder / "run", "cache_dir": folder / "cache", "device": "cpu"}
    return package.run(suite, plugins_dirs=[TOYS], **places).folder


@pytest.fixture
def before(iibench: Program, made: Path) -> Path:
    """The run, in folder `a` below the current one."""
    return Path(shutil.copytree(made, "a"))


def altered(before: Path, changes: Callable[[pd.DataFrame], None], name: str = "b") -> Path:
    """A copy of the run whose scores are changed in place."""
    after = Path(name)
    shutil.copytree(before, after)
    units = pd.read_parquet(after / "results.parquet")
    changes(units)
    units.to_parquet(after / "results.parquet", index=False)
    alter_run(after, run_json(after))
    return after


def rows(units: pd.DataFrame, case: str) -> pd.Series:
    return units["case"] == case


NEURONS = "toy/toynet/tap/neurons/toycolour/ii"


def test_a_run_against_itself_has_no_change(compare: Program, before: Path) -> None:
    done = compare(before, before, "--fail-if", "|*/*| > 0")
    assert done.code == 0
    assert "settings: no difference" in done.out
    assert "0 cases changed, 27 the same to the last digit" in done.out
    assert "CHANGED" not in done.out


def test_changed_cases_are_named_with_difference_and_unit(compare: Program, before: Path) -> None:
    def change(units: pd.DataFrame) -> None:
        at = rows(units, NEURONS)
        units.loc[at, "score"] += [0.01, -0.2, 0, 0.03, 0.01, 0.02]

    after = altered(before, change)
    done = compare(before, after)
    assert done.code == 0
    line = next(line for line in done.out.splitlines() if line.startswith("CHANGED"))
    assert NEURONS in line
    assert "5/6 units" in line and "unit 1: -0.2" in line
    assert f"{-0.13 / 6:+.4g}" in line
    assert "1 case changed, 26 the same" in done.out
    every = compare(before, after, "--all")
    assert every.out.count("SAME   ") == 26


def test_the_numbers_are_those_of_a_naive_paired_comparison(before: Path) -> None:
    steps = np.array([0.01, 0.02, 0.03, 0.05, 0.04, -0.02])

    def change(units: pd.DataFrame) -> None:
        units.loc[rows(units, NEURONS), "score"] += steps

    found = compare_runs(package.load_run(before), package.load_run(altered(before, change)))
    case = next(case for case in found.cases if case.id == NEURONS)
    x, y = case.scores
    assert case.difference == pytest.approx(np.mean(y - x))
    reference = permutation_test(
        (x, y), lambda a, b: np.mean(b - a), permutation_type="samples", n_resamples=np.inf
    )
    assert case.p == pytest.approx(reference.pvalue)
    assert case.p_holm == pytest.approx(min(1, case.p * len(found.cases)))
    assert case.low is not None and case.high is not None
    assert case.low < case.difference < case.high
    assert case.changes[0].unit == 3
    assert case.largest is not None and case.largest.change == pytest.approx(0.05)
    others = [other for other in found.cases if other.id != NEURONS]
    assert all(other.p == 1 and other.difference == 0 for other in others)


def test_a_unit_scored_in_one_run_only_is_named_with_its_reason(before: Path) -> None:
    def change(units: pd.DataFrame) -> None:
        at = rows(units, NEURONS) & (units["unit"] == 2)
        units.loc[at, "score"] = np.nan
        units.loc[at, "reason"] = "dead: no response"

    found = compare_runs(package.load_run(before), package.load_run(altered(before, change)))
    case = found.changed[0]
    assert [c.unit for c in case.changes] == [2]
    one = case.changes[0]
    assert (one.b, one.change, one.reason) == (None, None, "dead: no response")
    assert one.a is not None
    assert case.difference == 0  # of the units that are scored in both
    assert case.mean_a != case.mean_b
    assert case.largest is None


def test_other_weights_make_independent_samples(compare: Program, before: Path) -> None:
    after = Path("b")
    shutil.copytree(before, after)
    record = run_json(after)
    for weights in record["models"]["toynet"]["weights"].values():
        weights["sha256"] = "0" * 64
    alter_run(after, record)
    found = compare_runs(package.load_run(before), package.load_run(after))
    assert {case.different for case in found.cases} == {"the network's weights differ"}
    assert all(case.test.startswith("Mann-Whitney") for case in found.cases)
    assert not found.changed and all(not case.changes for case in found.cases)
    assert any(c.name.endswith("weights") and c.group == "models" for c in found.settings)
    assert "weights" in compare(before, after, "--all").out


@pytest.mark.parametrize(
    ("where", "key", "value", "why"),
    [
        ("datasets", "fingerprint", "1", "the images of the dataset differ"),
        ("finders", "version", "9", "the finder's version is 1 in A and 9 in B"),
        ("cases", "seeds", {"finder": 1}, "the finder's seed differs"),
    ],
)
def test_why_units_are_not_the_same(
    before: Path, where: str, key: str, value: object, why: str
) -> None:
    shutil.copytree(before, "b")
    record = run_json(Path("b"))
    if where == "datasets":
        record["datasets"]["toy"]["splits"]["evaluate"][key] = value
    elif where == "finders":
        record["finders"]["neurons"][key] = value
    else:
        for case in record["cases"]:
            case[key] = value
    alter_run(Path("b"), record)
    found = compare_runs(package.load_run(before), package.load_run("b"))
    case = next(case for case in found.cases if case.id == NEURONS)
    assert case.different == why


def test_an_older_run_without_derived_seeds_and_new_parameters_is_paired(before: Path) -> None:
    shutil.copytree(before, "b")
    record = run_json(Path("b"))
    for case in record["cases"]:
        del case["seeds"]
        case["finder"]["params"].pop("sign", None)
    alter_run(Path("b"), record)
    found = compare_runs(package.load_run("b"), package.load_run(before))
    assert {case.different for case in found.cases} == {""}
    for case in record["cases"]:
        case["seed"] += 1
    alter_run(Path("b"), record)
    found = compare_runs(package.load_run("b"), package.load_run(before))
    assert {case.different for case in found.cases} == {"the finder's seed differs"}


def test_settings_that_differ_are_named(
    iibench: Program, compare: Program, suite: Callable[..., Path], before: Path
) -> None:
    other = suite(("k: [1, 2]", "k: [1, 3]"), ("toybright", "toyown"), name="other.yaml")
    iibench("run", other, "-q", "-o", "b", "--seed", "7", "--limit", "100", "--set", "name=mine")
    changes = {
        (c.group, c.name): (c.a, c.b)
        for c in setting_changes(package.load_run(before).meta, package.load_run("b").meta)
    }
    assert changes["suite", "finders.pick.k"] == ("[1, 2]", "[1, 3]")
    assert changes["suite", "metrics.toybright"] == ("there", None)
    assert changes["suite", "metrics.toyown"] == (None, "there")
    assert changes["run", "seed"] == ("5", "7")
    assert changes["run", "limit"] == (None, "100")
    assert changes["run", "--set name"] == (None, "mine")
    done = compare(before, "b")
    assert "SETTING suite: finders.pick.k: [1, 2] -> [1, 3]" in done.out
    assert "no case is in both runs: dataset toy in A, toy[limit=100] in B" in done.out
    assert "ONLY IN A" in done.out and "ONLY IN B" in done.out
    assert done.code == 0


def test_entries_of_a_suite_are_told_apart_by_their_names() -> None:
    text = "finders: [neurons, {name: kmeans, k: [1, 2]}]\nexpect: [{on: ii, at_least: 0}]"
    found = settings({"suite": {"text": text}})
    assert found == {
        ("suite", "finders.neurons"): "there",
        ("suite", "finders.kmeans"): "there",
        ("suite", "finders.kmeans.k"): "[1, 2]",
        ("suite", "expect.1.on"): "ii",
        ("suite", "expect.1.at_least"): "0",
    }
    assert settings({"suite": {"text": "a: [1"}}) == {("suite", "text"): "a: [1"}
    assert settings({}) == {}


# ------------------------------------------------------------------------------ --fail-if


def lower(units: pd.DataFrame) -> None:
    units.loc[rows(units, NEURONS), "score"] -= 0.003


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("ii/toycolour < -0.002", 1),
        ("ii/toycolour/neurons<-0.002", 1),
        ("|ii/toycolour| > 0.001", 1),
        ("ii < -0.002", 1),
        ("*/*/neurons <= -0.0029", 1),
        ("ii/toycol* != 0", 1),
        ("ii/toycolour < -0.004", 0),
        ("ii/toycolour > 0", 0),
        ("ii/toycolour[r] < 0", 0),
        ("ii/toycolour/pick < 0", 0),
        ("ii/toycolour/pick[k=2] != 0", 0),
        ("insilico < 0", 0),
        ("insilico[difficulty=0]/toycolour < 0", 0),
        ("activity == 1", 0),
    ],
)
def test_conditions_decide_the_exit_code(
    compare: Program, before: Path, condition: str, code: int
) -> None:
    done = compare(before, altered(before, lower), "--fail-if", condition)
    assert done.code == code, done.out + done.err
    assert ("HOLDS" in done.out) == (code == 1)
    if code:
        assert f"  {NEURONS}: -0.003" in done.out


def test_a_name_stands_for_its_labels(iibench: Program, before: Path) -> None:
    found = compare_runs(*[package.load_run(before)] * 2)

    def looked_at(text: str) -> int:
        return judge_conditions([read_condition(f"{text} > 1")], found)[0].looked_at

    assert looked_at("ii") == 12  # four metrics with their parts, three finders
    assert looked_at("ii/toycolour") == 3  # not its part r
    assert looked_at("ii/toycolour/pick") == 2
    assert looked_at("insilico") == 12
    assert looked_at("insilico[difficulty=0.2]") == 6
    assert looked_at("insilico[difficulty=0.20]/*/neurons") == 2
    assert looked_at("*") == len(found.cases) == 27


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("ij/toycolour < 0", "it names no case of both runs; nearest: ii/toycolour"),
        ("ii/toycolor < 0", "nearest: ii/toycolour"),
        ("ii/toycolour/pik < 0", "nearest: ii/toycolour/pick"),
        ("ii/toycolour", "found no operator"),
        ("ii/toycolour = 0", "found no operator"),
        ("ii/toycolour < much", "found 'much' after <; expected a number"),
        ("ii/toycolour < nan", "expected a number"),
        ("|ii/toycolour < 1", "found one bar"),
        ("a/b/c/d < 1", "found 'a/b/c/d' before <"),
        (" < 1", "found '' before <"),
        ("ii//neurons < 1", "found 'ii//neurons' before <"),
        ("insilico[difficulty=0 < 1", "found no operator"),
        ("ii[a]b < 1", "expected a name or a label"),
    ],
)
def test_wrong_conditions_are_usage_errors(
    compare: Program, before: Path, condition: str, message: str
) -> None:
    done = compare(before, before, "--fail-if", condition, "-o", "page")
    assert done.code == 4
    assert message in done.err and "Traceback" not in done.err
    assert not Path("page").exists()


def test_a_case_that_is_gone_fails_every_condition_that_names_it(
    iibench: Program, compare: Program, suite: Callable[..., Path], before: Path
) -> None:
    iibench("run", suite(name="less.yaml"), "-q", "-o", "b", "-k", "not toycolour")
    done = compare(before, "b", "--fail-if", "ii/toycolour > 99")
    assert done.code == 1
    assert f"{NEURONS}: scored in A, not in B" in done.out
    other = compare(before, "b", "--fail-if", "ii/toylabel > 99")
    assert other.code == 0
    # what is new in B has nothing to be held against
    new = compare("b", before, "--fail-if", "ii/toycolour > 99")
    assert new.code == 4 and "in B alone" in new.err


def test_a_case_that_lost_its_score_fails_too(compare: Program, before: Path) -> None:
    after = Path("b")
    shutil.copytree(before, after)
    record = run_json(after)
    for case in record["cases"]:
        if case["id"] == NEURONS:
            case |= {"status": "error", "reason": "it broke", "summary": None}
    alter_run(after, record)
    units = pd.read_parquet(after / "results.parquet")
    units[units["case"] != NEURONS].to_parquet(after / "results.parquet", index=False)
    done = compare(before, after, "--fail-if", "ii/toycolour > 99")
    assert done.code == 1
    assert f"{NEURONS}: scored in A, error in B" in done.out
    assert "-> error" in done.out
    back = compare(after, before, "--fail-if", "ii/toycolour/neurons > 99")
    assert back.code == 4 and "no case that it names has a score in A" in back.err


# ------------------------------------------------------------------------------ bad inputs


def test_what_is_no_run_is_a_usage_error(compare: Program, before: Path) -> None:
    for a, b in (("nowhere", before), (before, "nowhere")):
        done = compare(a, b)
        assert done.code == 4 and "no run folder" in done.err


def test_the_page_takes_no_folder_that_holds_something_else(compare: Program, before: Path) -> None:
    done = compare(before, before, "-o", before)
    assert done.code == 4 and "this is a run folder" in done.err
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("text")
    done = compare(before, before, "-o", "mine")
    assert done.code == 4 and "files that iibench did not make (thesis.tex)" in done.err
    assert [p.name for p in Path("mine").iterdir()] == ["thesis.tex"]
    done = compare(before, before, "-o", "mine/thesis.tex")
    assert done.code == 4 and "a folder is expected" in done.err


def test_the_page_is_written_and_replaced(compare: Program, before: Path) -> None:
    after = altered(before, lower)
    done = compare(before, after, "-o", "page", "--fail-if", "ii < -1")
    assert done.code == 0
    page = Path("page/index.html")
    assert done.out.rstrip().endswith(f"page: {page}")
    assert "neurons" in page.read_text()
    assert (Path("page") / "data" / "plots-0.js").is_file()
    again = compare(before, before, "-o", "page")
    assert again.code == 0
    assert not (Path("page") / "data").exists()
    assert not [p for p in Path("page").iterdir() if p.name.startswith(".")]


def test_a_page_that_cannot_be_made_leaves_the_old_one(
    compare: Program, before: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compare(before, before, "-o", "page")
    old = Path("page/index.html").read_text()

    def broken(*arguments: object) -> None:
        raise UsageError("interrupted")

    monkeypatch.setattr("iibench.report.comparison.page._rendered", broken)
    assert compare(before, altered(before, lower), "-o", "page").code == 4
    assert Path("page/index.html").read_text() == old
    assert not [p for p in Path("page").iterdir() if p.name.startswith(".")]


# ---------------------------------------------------------------------------------- trials


TRIALS = """
iibench: "1"
name: toyhuman
seed: 2
dataset: toytrials
metrics: [toycolour, toybright]
evaluations:
  - {name: human, observer: [eq2], resamples: 60}
"""


@pytest.mark.slow
def test_runs_on_trials_are_compared_by_shared_resamples(
    iibench: Program, compare: Program
) -> None:
    Path("trials.yaml").write_text(TRIALS)
    assert iibench("run", "trials.yaml", "-q", "-o", "a").code == 0
    same = compare("a", "a", "-o", "page")
    assert same.code == 0 and "0 cases changed, 2 the same" in same.out
    run = package.load_run("a")
    first, second = run.trial_cases
    other = dataclasses.replace(
        second, id=first.id, metric=first.metric, margins=second.margins, seeds=first.seeds
    )
    found = compare_runs(run, dataclasses.replace(run, trial_cases=(other, second)))
    case = found.changed[0]
    assert case.measure == "auc" and case.different == ""
    assert case.mean_a is not None and case.mean_b is not None
    assert case.difference == pytest.approx(case.mean_b - case.mean_a)
    drawn = np.array(second.resampled, float) - np.array(first.resampled, float)
    assert [case.low, case.high] == pytest.approx(np.nanpercentile(drawn, [2.5, 97.5]))
    assert case.item == "stimulus" and case.changes
    agreement = next(m for m in case.measures if m.name == "agreement")
    assert agreement.a is not None and agreement.change is not None
    # other draws: no interval, and the page says why
    apart = dataclasses.replace(other, seeds={"draws": 1})
    found = compare_runs(run, dataclasses.replace(run, trial_cases=(apart, second)))
    assert found.changed[0].different == "the seed of the draws differs"
    assert found.changed[0].low is None
    outcome = judge_conditions([read_condition("human/toycolour != 0")], found)[0]
    assert len(outcome.holds) == 1


def test_a_terminal_gets_tables(before: Path) -> None:
    import io

    from rich.console import Console

    from iibench.cli.terminal.comparison import print_comparison

    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=160, no_color=True)
    found = compare_runs(package.load_run(before), package.load_run(altered(before, lower)))
    print_comparison(console, found)
    assert "B − A [95 %]" in text.getvalue() and "toy/toynet" in text.getvalue()
