"""The evaluations of trials against scikit-learn, SciPy and loops over single answers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve

from iibench.contract.errors import CaseError
from iibench.contract.measures import Measure
from iibench.contract.trials import Stimuli, TrialInputs, TrialScores, TrialSimilarities
from iibench.statistics.observers import margin_two_sided
from iibench_plugins.evaluations import human, human_accuracy, insilico_trials, triplets
from tests.toys.toy_trials import Params, make


def similarities(trials: Stimuli, seed: int = 0) -> TrialSimilarities:
    """Made up: better for query 0, with a lot of noise."""
    rng = np.random.default_rng(seed)
    s, f, g = len(trials), trials.references.shape[1], trials.opposite.shape[1]
    near = rng.normal(0, 1, (s, 2, f)) + np.array([0.8, 0.0])[:, None]
    far = rng.normal(0, 1, (s, 2, g)) + np.array([0.0, 0.8])[:, None]
    return TrialSimilarities(near, far, rng.normal(0, 1, s))


def find(scores: TrialScores, name: str, group: Mapping[str, str] | None = None) -> Measure:
    return next(m for m in scores.measures if m.name == name and m.group == (group or {}))


@pytest.fixture(scope="module")
def trials() -> Stimuli:
    return make(Params(units=20, batches=6, people=4)).trials


@pytest.fixture(scope="module")
def scores(trials: Stimuli) -> TrialScores:
    params = human.Params(resamples=40)
    return human.judge(params, TrialInputs(trials, similarities(trials), 3))


def rows(trials: Stimuli, found: TrialSimilarities) -> tuple[np.ndarray, np.ndarray]:
    """(label, score) of every single answer."""
    margins = margin_two_sided(found.references, found.opposite, "max")
    return trials.answers.first.astype(int), margins[trials.answers.stimulus]


def test_auc_is_scikit_learns(trials: Stimuli, scores: TrialScores) -> None:
    label, score = rows(trials, similarities(trials))
    assert find(scores, "auc").value == pytest.approx(roc_auc_score(label, score), abs=1e-12)
    assert find(scores, "auc").n == len(label)
    for layer in ("layer0", "layer1", "layer2"):
        for confidence in (1, 2, 3):
            chosen = (trials.columns["layers"][trials.answers.stimulus] == layer) & (
                trials.answers.confidence == confidence
            )
            chosen &= trials.columns["model"][trials.answers.stimulus] == "net0"
            group = {"model": "net0", "layers": layer, "confidence": str(confidence)}
            measure = find(scores, "auc", group)
            assert measure.n == chosen.sum()
            expected = roc_auc_score(label[chosen], score[chosen])
            assert measure.value == pytest.approx(expected, abs=1e-12)


def test_the_curve_is_scikit_learns(trials: Stimuli, scores: TrialScores) -> None:
    label, score = rows(trials, similarities(trials))
    fpr, tpr, _ = roc_curve(label, score, drop_intermediate=False)
    curve = next(c for c in scores.curves if not c.group)
    for x, y in zip(curve.x, curve.y, strict=True):
        assert np.min(np.hypot(fpr - x, tpr - y)) < 2e-5


def test_agreement_stands_beside_the_always_right_baseline(
    trials: Stimuli, scores: TrialScores
) -> None:
    """Trap 2: an observer that is always right agrees as often as people are right."""
    label, score = rows(trials, similarities(trials))
    chosen = np.where(score > 0, 1.0, np.where(score == 0, 0.5, 0.0))
    expected = np.mean([c if y else 1 - c for c, y in zip(chosen, label, strict=True)])
    assert find(scores, "agreement").value == pytest.approx(expected, abs=1e-12)
    assert find(scores, "always_right").value == pytest.approx(label.mean(), abs=1e-12)
    assert find(scores, "human_accuracy").value == label.mean()
    margins = scores.margins
    assert find(scores, "insilico_accuracy").value == pytest.approx((margins > 0).mean())
    # every group with an agreement has its baseline too
    with_agreement = [m.group for m in scores.measures if m.name == "agreement"]
    assert [m.group for m in scores.measures if m.name == "always_right"] == with_agreement


def test_units_correlate_as_scipy_says(trials: Stimuli, scores: TrialScores) -> None:
    unit = trials.unit[trials.answers.stimulus]
    accuracy = np.array([trials.answers.first[unit == u].mean() for u in range(20)])
    found = similarities(trials)
    ii = np.array([found.among[trials.unit == u].mean() for u in range(20)])
    np.testing.assert_allclose(scores.per_unit["human_accuracy"], accuracy)
    np.testing.assert_allclose(scores.per_unit["ii"], ii)
    pearson, spearman = stats.pearsonr(ii, accuracy)[0], stats.spearmanr(ii, accuracy)[0]
    assert find(scores, "pearson_ii").value == pytest.approx(pearson, abs=1e-10)
    assert find(scores, "spearman_ii").value == pytest.approx(spearman, abs=1e-10)


@pytest.mark.parametrize(
    "group", [{"model": "net1"}, {"layers": "layer0", "model": "net0"}, {"confidence": "2"}]
)
def test_units_correlate_within_groups_too(
    trials: Stimuli, scores: TrialScores, group: dict[str, str]
) -> None:
    stimulus = trials.answers.stimulus
    stimuli = np.ones(len(trials), bool)
    answers = np.ones(len(stimulus), bool)
    for name, value in group.items():
        if name == "confidence":
            answers &= trials.answers.confidence == int(value)
            stimuli &= np.isin(np.arange(len(trials)), stimulus[answers])
        else:
            stimuli &= trials.columns[name] == value
    answers &= stimuli[stimulus]
    found = similarities(trials)
    unit = trials.unit
    units = np.unique(unit[stimuli])
    accuracy = [trials.answers.first[answers & (unit[stimulus] == u)].mean() for u in units]
    ii = [found.among[stimuli & (unit == u)].mean() for u in units]
    expected = stats.pearsonr(ii, accuracy)[0]
    assert find(scores, "pearson_ii", group).value == pytest.approx(expected, abs=1e-10)
    ceiling = find(scores, "correlation_ceiling", group)
    assert ceiling.value is None or 0 <= ceiling.value <= 1


@pytest.mark.slow
def test_answers_to_stimuli_without_images_count_nowhere(trials: Stimuli) -> None:
    queries = trials.queries.copy()
    queries[:5] = -1
    fewer = dataclasses.replace(trials, queries=queries)
    found = similarities(trials)
    found.references[:5] = np.nan
    scores = human.judge(human.Params(resamples=20), TrialInputs(fewer, found, 0))
    kept = trials.answers.stimulus >= 5
    for name in ("auc", "human_accuracy", "agreement", "always_right", "auc_ceiling"):
        assert find(scores, name).n == kept.sum()
    assert find(scores, "human_accuracy").value == trials.answers.first[kept].mean()
    assert find(scores, "insilico_accuracy").stimuli == len(trials) - 5
    assert "5 of 120 stimuli have no images" in scores.notes[0]
    # what people did is told of all of them where no image is needed
    people = human_accuracy.judge(human_accuracy.Params(resamples=20), TrialInputs(fewer, None, 0))
    assert find(people, "human_accuracy").n == len(trials.answers.stimulus)


def test_one_class_is_undefined_and_said(trials: Stimuli) -> None:
    """Trap 4: not one half, and the group stays on the list."""
    right = make(Params(units=4, batches=3, always_right=True)).trials
    found = human.judge(human.Params(resamples=20), TrialInputs(right, similarities(right), 0))
    auc = find(found, "auc")
    assert (auc.value, auc.reason) == (
        None,
        "all answers are the same, so there is no ROC curve",
    )
    assert auc.n == 36
    assert find(found, "auc_of_ceiling").value is None
    assert find(found, "human_accuracy").value == 1.0
    assert not found.curves


def test_no_answers_is_said(trials: Stimuli) -> None:
    none = dataclasses.replace(
        trials.answers,
        **{
            name: getattr(trials.answers, name)[:0]
            for name in ("stimulus", "first", "count", "confidence", "participant")
        },
    )
    quiet = dataclasses.replace(trials, answers=none)
    found = human.judge(human.Params(resamples=20), TrialInputs(quiet, similarities(quiet), 0))
    assert find(found, "auc").reason == "there are no answers"
    assert find(found, "insilico_accuracy").value is not None


@pytest.mark.parametrize("scale", [None, 0.16])
def test_mis_is_an_accuracy_or_a_mean_of_sigmoids(trials: Stimuli, scale: float | None) -> None:
    """Trap 29: the scale is a multiplier, stated, and None is the share of right trials."""
    params = human.Params(observer="mis", mis_scale=scale, resamples=20, by=())
    found = similarities(trials)
    scores = human.judge(params, TrialInputs(trials, found, 0))
    expected = []
    for u in range(20):
        terms = []
        for s in np.flatnonzero(trials.unit == u):
            near, far = found.references[s].mean(axis=1), found.opposite[s].mean(axis=1)
            delta = (near[0] - far[0]) - (near[1] - far[1])
            terms.append(float(delta > 0) if scale is None else 1 / (1 + np.exp(-scale * delta)))
        expected.append(np.mean(terms))
    np.testing.assert_allclose(scores.per_unit["mis"], expected, atol=1e-12)


def test_metrics_share_their_resamples(trials: Stimuli) -> None:
    params = human.Params(resamples=50, by=())
    a = human.judge(params, TrialInputs(trials, similarities(trials, 1), 3))
    b = human.judge(params, TrialInputs(trials, similarities(trials, 1), 3))
    c = human.judge(params, TrialInputs(trials, similarities(trials, 2), 3))
    np.testing.assert_array_equal(a.resampled, b.resampled)
    assert np.corrcoef(a.resampled, c.resampled)[0, 1] < 0.99
    assert find(a, "auc_ceiling") == find(c, "auc_ceiling")


def test_groups_by_unknown_attributes_are_an_error(trials: Stimuli) -> None:
    params = human.Params(by=("modle",), resamples=20)
    with pytest.raises(CaseError, match="unknown attribute of these trials 'modle'.*model"):
        human.judge(params, TrialInputs(trials, similarities(trials), 0))


def test_observers_that_need_opposite_references_say_so() -> None:
    alone = make(Params(units=3, batches=2), opposite=0).trials
    with pytest.raises(CaseError, match="expected observer: eq2"):
        human.judge(human.Params(), TrialInputs(alone, similarities(alone), 0))


def test_harder_and_synthetic_trials_do_not_enter_a_units_accuracy(trials: Stimuli) -> None:
    """Trap 27: hard conditions judge the same units; a unit's accuracy is that of easy, natural trials."""
    hard = np.where(np.arange(len(trials)) % 2, "hard95", "easy")
    mixed = dataclasses.replace(trials, columns={**trials.columns, "difficulty": hard})
    found = human_accuracy.judge(human_accuracy.Params(resamples=20), TrialInputs(mixed, None, 0))
    easy = np.arange(len(trials)) % 2 == 0
    stimulus = trials.answers.stimulus
    expected = [
        trials.answers.first[(trials.unit[stimulus] == u) & easy[stimulus]].mean()
        for u in range(20)
    ]
    np.testing.assert_allclose(found.per_unit["human_accuracy"], expected)
    assert "difficulty easy" in found.notes[0]
    both = {m.group["difficulty"]: m for m in found.measures if "difficulty" in m.group}
    assert set(both) == {"easy", "hard95"}


def test_human_accuracy_is_a_quotient_of_counts(trials: Stimuli) -> None:
    found = human_accuracy.judge(human_accuracy.Params(resamples=20), TrialInputs(trials, None, 0))
    right = int(trials.answers.first.sum())
    assert find(found, "human_accuracy").value == right / 480
    for confidence in ("1", "2", "3"):
        chosen = trials.answers.confidence == int(confidence)
        measure = find(found, "human_accuracy", {"confidence": confidence})
        assert measure.value == trials.answers.first[chosen].sum() / chosen.sum()
        assert measure.n == chosen.sum()


def test_given_trials_need_no_answers(trials: Stimuli) -> None:
    params = insilico_trials.Params(observer="eq2", resamples=50)
    found = similarities(trials)
    scores = insilico_trials.judge(params, TrialInputs(trials, found, 0))
    expected = [
        float(max(found.references[s, 0]) > max(found.references[s, 1])) for s in range(len(trials))
    ]
    assert find(scores, "insilico_accuracy").value == pytest.approx(np.mean(expected))
    layer = trials.columns["layers"] == "layer1"
    measure = find(scores, "insilico_accuracy", {"layers": "layer1"})
    assert measure.value == pytest.approx(np.array(expected)[layer].mean())
    assert measure.stimuli == layer.sum()


# --------------------------------------------------------------------------------- triplets


@pytest.fixture(scope="module")
def judged() -> Stimuli:
    made = make(Params(units=15, batches=8, people=5), references=1, opposite=0, has_truth=False)
    return made.trials


def test_votes_majorities_and_ceilings(judged: Stimuli) -> None:
    found = similarities(judged)
    found.references[::10] = 0.3  # the metric cannot tell
    scores = triplets.judge(triplets.Params(resamples=50), TrialInputs(judged, found, 0))
    votes = np.zeros((len(judged), 2))
    for s, first in zip(judged.answers.stimulus, judged.answers.first, strict=True):
        votes[s, 0 if first else 1] += 1
    sided, alike = [], 0.0
    for s, (a, b) in enumerate(votes):
        margin = found.references[s, 0, 0] - found.references[s, 1, 0]
        chooses = 1.0 if margin > 0 else 0.5 if margin == 0 else 0.0
        alike += a * chooses + b * (1 - chooses)
        if a != b:
            sided.append(chooses if a > b else 1 - chooses)
    assert find(scores, "vote_agreement").value == pytest.approx(alike / votes.sum())
    assert find(scores, "majority_agreement").value == pytest.approx(np.mean(sided))
    ceiling = votes.max(axis=1).sum() / votes.sum()
    assert find(scores, "vote_ceiling").value == pytest.approx(ceiling)


def test_which_candidate_stands_first_does_not_matter(judged: Stimuli) -> None:
    """The majority's candidate may always be listed first: exchanging some must change nothing."""
    turned = np.arange(len(judged)) % 3 == 0
    found = similarities(judged)
    references = found.references.copy()
    references[turned] = references[turned][:, ::-1]
    first = judged.answers.first ^ turned[judged.answers.stimulus]
    queries = judged.queries.copy()
    queries[turned] = queries[turned][:, ::-1]
    other = dataclasses.replace(
        judged, queries=queries, answers=dataclasses.replace(judged.answers, first=first)
    )
    params = triplets.Params(resamples=20)
    one = triplets.judge(params, TrialInputs(judged, found, 0))
    two = triplets.judge(
        params, TrialInputs(other, dataclasses.replace(found, references=references), 0)
    )
    for a, b in zip(one.measures, two.measures, strict=True):
        assert (a.name, a.n) == (b.name, b.n)
        assert a.value == pytest.approx(b.value, abs=1e-12)
        assert a.low == pytest.approx(b.low, abs=1e-12)


def test_trials_without_a_right_answer_belong_to_triplets(judged: Stimuli) -> None:
    for module in (human, human_accuracy, insilico_trials):
        with pytest.raises(CaseError, match="expected the evaluation triplets"):
            module.judge(module.Params(), TrialInputs(judged, similarities(judged), 0))


# ----------------------------------------------------------------------------- traps of the data


def test_trap_1_the_label_is_whether_people_were_right(
    trials: Stimuli, scores: TrialScores
) -> None:
    """Scoring the side that people chose is another number, and a much higher one."""
    label, score = rows(trials, similarities(trials))
    flipped = np.random.default_rng(0).random(len(label)) < 0.5  # which side is called the first
    chose_first = np.where(flipped, 1 - label, label)
    towards_first = np.where(flipped, -score, score)
    other = roc_auc_score(chose_first, towards_first)
    assert find(scores, "auc").value == pytest.approx(roc_auc_score(label, score))
    assert other > find(scores, "auc").value + 0.05


def test_trap_5_the_two_rules_are_two_numbers(trials: Stimuli) -> None:
    found = similarities(trials)
    by = {
        observer: human.judge(
            human.Params(observer=observer, resamples=20, by=()), TrialInputs(trials, found, 0)
        )
        for observer in ("eq2", "two_sided")
    }
    assert find(by["eq2"], "auc").value != find(by["two_sided"], "auc").value
    # the nearest reference is the one with the largest similarity, not the largest distance
    nearest = (-found.references).min(axis=2)
    np.testing.assert_allclose(by["eq2"].margins, nearest[:, 1] - nearest[:, 0])


def test_trap_7_a_pair_that_is_more_alike_has_the_larger_similarity() -> None:
    """For every first-party metric that needs no file: a changed copy against another image."""
    from iibench.compute.similarity.within_trials import TrialMetric, trial_similarities
    from iibench_plugins.metrics import color

    dataset = make(Params(units=2, batches=2))
    dataset.array[:] = 200
    dataset.array[dataset.trials.queries[:, 0]] = 190  # nearly as the references
    dataset.array[dataset.trials.queries[:, 1]] = 20
    (spec,) = color.iibench_register_metrics()
    metric = spec.load(spec.params(), None)
    (found,) = trial_similarities(TrialMetric(spec, metric, spec.size(spec.params())), dataset)
    assert (found.references[:, 0] > found.references[:, 1]).all()


@pytest.mark.parametrize("scale", [0.2, 5.0])
def test_trap_8_a_sum_or_a_mean_of_taps_gives_one_auc_and_two_scores(
    trials: Stimuli, scale: float
) -> None:
    found = similarities(trials)
    other = TrialSimilarities(found.references * scale, found.opposite * scale, found.among * scale)
    params = human.Params(observer="mis", mis_scale=1.0, resamples=20, by=())
    one = human.judge(params, TrialInputs(trials, found, 0))
    two = human.judge(params, TrialInputs(trials, other, 0))
    assert find(one, "auc").value == pytest.approx(find(two, "auc").value, abs=1e-12)
    likelihoods = [find(scores, "log_likelihood").value for scores in (one, two)]
    assert likelihoods[0] == pytest.approx(likelihoods[1], abs=1e-6)  # the scale is fitted
    assert not np.allclose(one.per_unit["mis"], two.per_unit["mis"])
