"""Sentences of the page that are built from numbers: the first answers, and how things were computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from iibench.report.directions.tables import Place, View
from iibench.report.shared.against import against
from iibench.report.shared.numbers import interval, number, p_value, signed
from iibench.statistics.bootstrap import RESAMPLES

if TYPE_CHECKING:
    from iibench.results.run import Run

#: Sentences that are seen at once; the others are folded.
MOST_SENTENCES = 6
#: Names that are listed in a sentence.
FEW_NAMES = 5


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
        f"{signed(diff, d)} against {view.against[role].called} {bounds}".rstrip() + f", {_p(p)}"
        for diff, bounds, p, role in (
            (best.diff, interval(best.diff_low, best.diff_high, d), best.p, "baseline"),
            (
                best.diff_control,
                interval(best.diff_control_low, best.diff_control_high, d),
                best.p_control,
                "control",
            ),
        )
        if diff is not None
    ]
    if against:
        text += f"; {'; '.join(against)}"
    if best.case.role == "baseline" and len(view.ranked) > 1:
        called = view.against["baseline"].called
        text += f"; no other method exceeds the {called} in the mean"
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
    found = [
        (title, str(record.get("sentence") or record.get("summary") or "No description."))
        for title, record in _evaluations(places).items()
    ]
    found += list(metric_definitions(run))
    b = f"{RESAMPLES:,}"
    compared = next((v.against for place in places for f in place.families for v in f.whole), None)
    baseline, control = (compared or against(run.meta, ())).values()
    found += [
        (
            "Interval [ , ]",
            f"95 % percentile bootstrap of the mean, {b} resamples with a fixed seed. The resampling "
            "unit is the unit (one direction of a method): it says how the mean would vary over "
            "other units, not over other images, networks or seeds.",
        ),
        (
            f"Difference to {baseline.name}, to {control.name}",
            f"Mean minus the mean of the {baseline.called}, or of {control.called}, in the same table; "
            "both sets of units are resampled independently. Two methods have different units, so nothing is "
            "paired. p: two-sided Mann-Whitney test of the units' scores, Holm-corrected over "
            "the methods of the column. Effect: chance that a random unit of the method scores above "
            "a random one of the baseline, ties counting one half (0.5: no difference).",
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


def _evaluations(places: Sequence[Place]) -> dict[str, Mapping[str, Any]]:
    """Title of each family -> the record of its first label."""
    found: dict[str, Mapping[str, Any]] = {}
    for place in places:
        for family in place.families:
            found.setdefault(family.title, family.record)
    return found


def metric_definitions(run: Run) -> Iterator[tuple[str, str]]:
    """(label, sentences) of every metric of the run."""
    for label, record in run.meta.get("metrics", {}).items():
        if record.get("part") is None:
            yield label, str(record.get("sentence") or _summary(record))


def _summary(record: Mapping[str, Any]) -> str:
    summary = str(record.get("summary") or "no description")
    spread = f" Similarity in {record['range']}." if record.get("range") else ""
    return f"{summary[:1].upper()}{summary[1:]}.{spread}"
