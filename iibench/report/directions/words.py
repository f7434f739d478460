"""Sentences of the page that are built from numbers: the first answers, and how things were computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from iibench.report.directions.tables import Place, View
from iibench.report.shared.numbers import interval, number, p_value, signed
from iibench.results.leaderboard import BASELINE
from iibench.statistics.bootstrap import RESAMPLES

if TYPE_CHECKING:
    from iibench.results.run import Run

#: Below this many pixels a side LPIPS has not been validated by its authors.
VALIDATED_SIZE = 64
#: Sentences that are seen at once; the others are folded.
MOST_SENTENCES = 6
#: Names that are listed in a sentence.
FEW_NAMES = 5

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


@dataclass(frozen=True)
class Answers:
    """The first sentences of a page: those that are seen at once, and the folded ones."""

    shown: tuple[Markup, ...] = ()
    folded: tuple[Markup, ...] = ()


def answers(places: Sequence[Place]) -> Answers:
    """Which method is best and whether that is certain, the main evaluation and metric first.

    Of each place: its main table in a sentence or two, what other metrics say, then the other
    evaluations. What does not fit into `MOST_SENTENCES`, and every other table, is folded. Controls are
    left out: nothing can be won there.
    """
    first: list[Markup] = []
    then: list[Markup] = []
    folded: list[Markup] = []
    for place in places:
        where = Markup(" ({}, {}, {})").format(*place.key) if len(places) > 1 else Markup("")
        for i, family in enumerate(place.families):
            views = [view for view in family.whole or family.parts if not view.control]
            if not views:
                continue
            (first if i == 0 else then).append(_headline(views[0], where))
            if i == 0 and len(views) > 1 and views[0].ranked:
                then.insert(len(first) - 1, _other_metrics(views, where))
            folded += [_headline(view, where) for view in views[1:]]
    every = first + then
    return Answers(tuple(every[:MOST_SENTENCES]), tuple(every[MOST_SENTENCES:] + folded))


def folded_after(sentences: Sequence[Markup], most: int) -> Answers:
    """Any sentences, those beyond the first `most` folded."""
    return Answers(tuple(sentences[:most]), tuple(sentences[most:]))


def _headline(view: View, where: Markup) -> Markup:
    title = Markup("<b>{}</b>{}{}: ").format(view.evaluation, _under(view), where)
    if not view.ranked:
        return title + "no method has a score."
    best, d = view.ranked[0], view.decimals
    bounds = interval(best.low, best.high, d)
    text = title + Markup("<b>{}</b> has the highest mean, {} ({}{} units)").format(
        best.finder,
        number(best.mean, d),
        f"95\u00a0% interval {bounds}, " if bounds else "",
        best.scored,
    )
    against = [
        f"{signed(diff, d)} against {name} {bounds}".rstrip() + f", {_p(p)}"
        for diff, bounds, p, name in (
            (best.diff, interval(best.diff_low, best.diff_high, d), best.p, "neurons"),
            (
                best.diff_random,
                interval(best.diff_random_low, best.diff_random_high, d),
                best.p_random,
                "random directions",
            ),
        )
        if diff is not None
    ]
    if against:
        text += f"; {'; '.join(against)}"
    if best.case.finder.name == BASELINE and len(view.ranked) > 1:
        text += "; no other method exceeds the neurons in the mean"
    return text + ". " + certainty(view)


def _under(view: View) -> Markup:
    return Markup(" under <b>{}</b>").format(view.metric)


def certainty(view: View) -> Markup:
    """Whether the method with the highest mean is separably the first."""
    ranked = view.ranked
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
            "<b>Certain</b> within this run: every other method is separably lower (5\u00a0%, all pairs)."
        )
    return Markup(
        "<b>Not certain:</b> {} may be first as well (not separable at 5\u00a0%)."
    ).format(_listed(rivals))


def is_certain(view: View) -> bool:
    """Whether one method alone can be the first of several."""
    ranked = view.ranked
    return (
        len(ranked) > 1
        and ranked[0].rank_low == 1
        and not any(row.rank_low == 1 for row in ranked[1:])
    )


def in_short(view: View) -> Markup:
    """The first method of a table in a few words, for the line that unfolds it."""
    if not view.ranked:
        return Markup("no method has a score")
    best = view.ranked[0]
    mean = number(best.mean, view.decimals)
    if view.control:
        return Markup("control; highest mean {}").format(mean)
    text = Markup("<b>{}</b> first, {}").format(best.finder, mean)
    if len(view.ranked) == 1:
        return text + ", the only method"
    if is_certain(view):
        return text + ", certain"
    others = sum(row.rank_low == 1 for row in view.ranked[1:]) if best.rank_low == 1 else 0
    return text + (f", tied with {others}" if others else ", not certain")


def _other_metrics(views: Sequence[View], where: Markup) -> Markup:
    """Which methods have the highest mean under further metrics, metrics of one winner together."""
    winner = views[0].ranked[0].finder
    by_best: dict[str, list[View]] = {}
    for view in views[1:]:
        if view.ranked:
            by_best.setdefault(view.ranked[0].finder, []).append(view)
    title = Markup("<b>{}</b> under the other metrics{}: ").format(views[0].evaluation, where)
    if not by_best:
        return title + "no method has a score."
    if list(by_best) == [winner]:
        found = [views[0], *by_best[winner]]
        sure = sum(is_certain(view) for view in found)
        also = Markup("<b>{}</b>{}: <b>{}</b> has the highest mean under all {} {} ({}); {}.")
        return also.format(
            views[0].evaluation,
            where,
            winner,
            len(found),
            "metrics" if len(found) == len(views) else "metrics with a score",
            _listed([view.metric for view in found]),
            f"certain under {'all' if sure == len(found) else sure or 'none'} of them",
        )
    parts = [
        Markup("<b>{}</b> under {}").format(
            best,
            Markup(", ").join(
                Markup("{} ({})").format(v.metric, "certain" if is_certain(v) else "not certain")
                for v in found
            ),
        )
        for best, found in by_best.items()
    ]
    return title + "the highest mean has " + Markup("; ").join(parts) + "."


def _listed(names: Sequence[str]) -> Markup:
    """The first names, and how many more there are."""
    listed = Markup(", ").join(names[:FEW_NAMES])
    more = len(names) - FEW_NAMES
    return listed + (f" and {more} more" if more > 0 else "")


def _p(p: float | None) -> str:
    text = p_value(p)
    return f"p\u00a0{text}" if text.startswith("<") else f"p\u00a0=\u00a0{text}"


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
            "Difference to neurons, to random",
            "Mean minus the mean of the neurons, or of random directions, in the same table; both sets "
            "of units are resampled independently. Two methods have different units, so nothing is "
            "paired. p: two-sided Mann-Whitney test of the units' scores, Holm-corrected over "
            "the methods of the column. Effect: chance that a random unit of the method scores above "
            "a random neuron, ties counting one half (0.5: no difference).",
        ),
        (
            "Rank",
            "The best and worst rank that Mann-Whitney tests of all pairs of methods in the table, "
            "Holm-corrected at 5 %, leave open. Two methods share a letter if and only if these tests "
            "cannot tell them apart; a is the highest mean. The tests compare units, the intervals "
            "means: on skewed scores they can disagree.",
        ),
        (
            "Sparseness",
            "Mean over the method's directions of the lifetime sparseness (Vinje & Gallant 2000) of "
            "their responses above zero: 0 where a direction responds to all images alike, 1 where it "
            "responds to one alone.",
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
