"""Sentences of the page that are built from numbers: the first answers, and how things were computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from iibench.leaderboard import BASELINE
from iibench.report.numbers import interval, number, p_value, signed
from iibench.report.tables import Place, View
from iibench.statistics import RESAMPLES

if TYPE_CHECKING:
    from iibench.results import Run

#: Below this many pixels a side LPIPS has not been validated by its authors.
VALIDATED_SIZE = 64
#: With more places than this, only the first metric of each is summed up in words.
FEW_PLACES = 3

BACKBONES = {
    "alex": ("AlexNet", "five"),
    "vgg": ("VGG16", "five"),
    "squeeze": ("SqueezeNet", "seven"),
}
MEANS = {
    "all": "the mean over all M·M ordered pairs, the M self-pairs included, as in the paper's "
    "released code",
    "eq1": "the sum over all ordered pairs divided by M, as Eq. 1 is printed (M times the mean "
    "over all M·M pairs)",
    "off_diagonal": "the mean over pairs of two different images",
}
OBSERVERS = {
    "eq2": "the observer picks the query whose distance to the nearest of the strongly activating "
    "references is smaller (Eq. 2)",
    "two_sided": "the observer weighs the similarity of both queries to the strongly and to the "
    "weakly activating references, as in the paper's released code",
}


def headlines(places: Sequence[Place]) -> list[Markup]:
    """Which method is best under each main metric and whether that is certain, a sentence or two each."""
    found = []
    for place in places:
        family = next(iter(place.families), None)
        if family is None:
            continue
        views = family.whole or family.parts
        for view in views if len(places) <= FEW_PLACES else views[:1]:
            where = Markup("")
            if len(places) > 1:
                where = Markup(" ({}, {}, {})").format(*place.key)
            found.append(_headline(view, where))
    return found


def _headline(view: View, where: Markup) -> Markup:
    title = Markup("<b>{}</b> under <b>{}</b>{}: ").format(view.evaluation, view.metric, where)
    ranked = [row for row in view.rows if row.mean is not None]
    if not ranked:
        return title + "no method has a score."
    best, d = ranked[0], view.decimals
    bounds = interval(best.low, best.high, d)
    text = title + Markup("<b>{}</b> has the highest mean, {} ({}{} units)").format(
        best.finder,
        number(best.mean, d),
        f"95 % interval {bounds}, " if bounds else "",
        best.scored,
    )
    if best.diff is not None:
        text += Markup("; {} against neurons {}, {}").format(
            signed(best.diff, d), interval(best.diff_low, best.diff_high, d), _p(best.p)
        )
    elif best.case.finder.name == BASELINE and len(ranked) > 1:
        text += "; no other method exceeds the neurons in the mean"
    return text + ". " + _certainty(view)


def _certainty(view: View) -> Markup:
    ranked = [row for row in view.rows if row.mean is not None]
    if len(ranked) == 1:
        return Markup("It is the only method with a score: there is nothing to rank.")
    rivals = [row.finder for row in ranked[1:] if row.rank_low == 1]
    if ranked[0].rank_low != 1:
        return Markup(
            "<b>Not certain:</b> unit by unit, at least one method with a lower mean scores higher "
            "(its ranks are in the table)."
        )
    if not rivals:
        return Markup(
            "<b>Certain</b> within this run: every other method is separably lower (5 %, all pairs)."
        )
    listed = Markup(", ").join(rivals)
    return Markup("<b>Not certain:</b> {} may be first as well (not separable at 5 %).").format(
        listed
    )


def _p(p: float | None) -> str:
    text = p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def alternatives(places: Sequence[Place]) -> str:
    """The best method that is not the baseline on the main table, for pictures beside the neurons."""
    for place in places:
        for family in place.families:
            for view in family.whole:
                for row in view.rows:
                    if row.mean is not None and row.case.finder.name != BASELINE:
                        return row.finder
    return ""


# --------------------------------------------------------------------------------- definitions


def definitions(run: Run, places: Sequence[Place]) -> list[tuple[str, str]]:
    """(term, sentence) for everything on the page that was computed."""
    found = [_evaluation(label, record) for label, record in _evaluations(run, places)]
    found += list(metric_definitions(run))
    b = f"{RESAMPLES:,}"
    found += [
        (
            "Interval [ , ]",
            f"95 % percentile bootstrap of the mean, {b} resamples with a fixed seed. The resampling "
            "unit is the unit (one direction of a method): it says how the mean would vary over "
            "other units, not over other images, networks or seeds.",
        ),
        (
            "Difference to neurons",
            "Mean minus the mean of the neurons in the same table; both sets of units are resampled "
            "independently. p: two-sided Mann-Whitney test of the units' scores, Holm-corrected over "
            "the methods of the table. Effect: chance that a random unit of the method scores above "
            "a random neuron, ties counting one half (0.5: no difference).",
        ),
        (
            "Rank",
            "The best and worst rank that Mann-Whitney tests of all pairs of methods in the table, "
            "Holm-corrected at 5 %, leave open. Methods that cannot be told apart share "
            "ranks. The tests compare units, the intervals means: on skewed scores they can disagree.",
        ),
        (
            "Unscored",
            "A unit for which a score has no meaning has none; it is counted and its reason given, "
            "never taken as 0. Means are over scored units.",
        ),
        (
            "Seconds",
            "Time that this case had to wait for; stages that cases share are counted for the first "
            "that needed them, and a case from the cache shows what reading it took.",
        ),
    ]
    return found


def _evaluations(run: Run, places: Sequence[Place]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each family once: its title and the record of its first label."""
    seen = set()
    for place in places:
        for family in place.families:
            if family.title not in seen:
                seen.add(family.title)
                yield family.title, {"name": family.name, **family.record}


def _evaluation(title: str, record: Mapping[str, Any]) -> tuple[str, str]:
    params = record.get("params", {})
    if record["name"] == "ii" and "mean" in params:
        return title, (
            f"Interpretability Index of a unit: how alike its M = {params.get('m', 5)} most "
            f"activating images (MEIs) are, {MEANS.get(params['mean'], params['mean'])}. "
            "Larger is better. The MEIs of two methods are chosen from the same images."
        )
    if record["name"] == "insilico" and "observer" in params:
        return title, (
            "Accuracy of a simulated observer in a two-alternative task, over "
            f"{params.get('trials')} trials per unit with {params.get('references')} references on a "
            f"side: {OBSERVERS.get(params['observer'], params['observer'])}. A tie counts one half, "
            "chance is 0.5. Difficulty d takes queries and references only from images between the "
            "d and 1 − d quantiles of the unit's responses. Every metric sees the same trials."
        )
    return title, str(record.get("summary") or "No description.")


def metric_definitions(run: Run) -> Iterator[tuple[str, str]]:
    """(label, sentences) of every metric of the run."""
    for label, record in run.meta.get("metrics", {}).items():
        if record.get("part") is not None:
            continue
        if record.get("name") == "lpips":
            yield label, _lpips(run, record)
        else:
            summary = str(record.get("summary") or "no description")
            spread = f" Similarity in {record['range']}." if record.get("range") else ""
            yield label, f"{summary[:1].upper()}{summary[1:]}.{spread}"


def _lpips(run: Run, record: Mapping[str, Any]) -> str:
    params = record.get("params", {})
    net, taps = BACKBONES.get(params.get("net", "alex"), (str(params.get("net")), "all"))
    text = (
        f"Minus LPIPS v0.1 with {net} features, the sum over its {taps} taps; a number in brackets, as "
        "lpips[3], is one tap alone. "
    )
    if taps == "five":
        text += (
            "The paper's published values fit the average of the taps: divide a sum by 5 before "
            "comparing with them. "
        )
    if params.get("input") == "paper2310":
        text += (
            "Legacy input: images are normalised by mean and standard deviation before LPIPS, as the "
            "paper's released code did. That is not a correct input; it is here to compare with "
            "published numbers. "
        )
    sizes = _sizes(run, record)
    text += (
        f"Computed at {' and '.join(f'{h} × {w}' for h, w in sizes) or 'an unknown size'} pixels."
    )
    if any(min(size) < VALIDATED_SIZE for size in sizes):
        text += (
            f" Caution: below {VALIDATED_SIZE} × {VALIDATED_SIZE} pixels, the size of its authors' "
            "own tests, LPIPS has not been validated."
        )
    return text


def _sizes(run: Run, record: Mapping[str, Any]) -> list[tuple[int, int]]:
    """(height, width) at which a metric saw the images, for each dataset."""
    if record.get("size"):
        return [(int(record["size"]), int(record["size"]))]
    found = []
    for dataset in run.meta.get("datasets", {}).values():
        if dataset.get("image_size"):
            found.append((int(dataset["image_size"][0]), int(dataset["image_size"][1])))
    return list(dict.fromkeys(found))
