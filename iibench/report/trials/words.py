"""Sentences of the page of a run on trials: the first answers, and how things were computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from markupsafe import Markup

from iibench.contract.measures import MeasureInfo
from iibench.report.directions.words import metric_definitions
from iibench.report.shared.numbers import inside, interval, number, signed
from iibench.report.trials.measures import KINDS, SHARE, correlation, of_units
from iibench.report.trials.tables import decimals

if TYPE_CHECKING:
    from iibench.contract.measures import Measure
    from iibench.report.trials.tables import Board, Row
    from iibench.results.run import Run

#: Metrics that are named among those that may be first as well.
FEW_RIVALS = 3


def headlines(boards: Sequence[Board]) -> list[Markup]:
    """The first answer of every evaluation, a few sentences each."""
    return [_compared(board) if board.compared else _people(board) for board in boards]


def _compared(board: Board) -> Markup:
    start = Markup("<b>{}</b>: ").format(board.evaluation)
    rows = board.scored
    if not rows:
        reason = next((row.report.reason for row in board.rows if row.report.reason), None)
        first = (reason or "no reason given").splitlines()[0]
        return start + f"no metric has a score ({first})."
    best = rows[0]
    known = board.measures.known
    verb = known[board.headline].first if board.headline in known else MeasureInfo(title="").first
    text = start + Markup("<b>{}</b> {}: ").format(best.metric, verb) + _value(board, best)
    share = best.of(board.headline + SHARE)
    if share is not None and share.value is not None:
        text += f", {percent(share)} of what is possible above chance"
    text += _at_chance(board, best) + ". " + _certainty(board) + _sentences(board, best)
    whole = next((row for row in rows if not row.part), None)
    if best.part and whole is not None:
        text += Markup(" {} is a part of a metric; of whole metrics <b>{}</b> is first, ").format(
            best.metric, whole.metric
        )
        text += _value(board, whole) + "."
    return text


def _value(board: Board, row: Row) -> Markup:
    m = row.headline
    if m is None:
        return Markup("")
    counted = f"{m.n:,} answers" if m.n else f"{m.stimuli:,} stimuli"
    return Markup("{} <b>{}</b>{} ({}, {:,} units)").format(
        inside(board.title),
        number(m.value, board.decimals),
        f" {interval(m.low, m.high, board.decimals)}".rstrip(),
        counted,
        m.units,
    )


def percent(share: Measure) -> str:
    """A share of the ceiling in percent, with its interval."""
    if share.value is None:
        return ""
    text = f"{number(100 * share.value, 0)} %"
    if share.low is not None and share.high is not None:
        text += f" {interval(100 * share.low, 100 * share.high, 0)}"
    return text


def _certainty(board: Board) -> Markup:
    others = board.scored[1:]
    if not others:
        return Markup("It is the only metric with a score: there is nothing to rank.")
    rivals = [row.metric for row in others if row.rank_low == 1]
    if not rivals:
        return Markup(
            "<b>Certain</b> within this run: all others are separably lower (5 %, all pairs)."
        )
    listed = Markup(", ").join(rivals[:FEW_RIVALS])
    if len(rivals) > FEW_RIVALS:
        listed += f" and {len(rivals) - FEW_RIVALS} more"
    return Markup("<b>Not certain:</b> {} may be first as well (not separable at 5 %).").format(
        listed
    )


def _at_chance(board: Board, best: Row) -> str:
    m, chance = best.headline, board.chance
    if m is None or chance is None or m.low is None or m.low > chance:
        return ""
    return f" (the interval reaches chance, {number(chance, 2)})"


def _sentences(board: Board, row: Row) -> str:
    """What the evaluation has to say of the metric's measures beside others."""
    text = ""
    for name, info in board.measures.known.items():
        if not info.sentence or name == board.headline:
            continue
        own, other = row.of(name), row.of(board.measures.against(name))
        if own and other and own.value is not None and other.value is not None:
            d = decimals(name, board.rows, board.measures)
            text += " " + info.sentence.format(
                value=number(own.value, d),
                other=number(other.value, d),
                difference=signed(own.value - other.value, d),
            )
    return text


def _people(board: Board) -> Markup:
    start = Markup("<b>{}</b>: ").format(board.evaluation)
    row = next(iter(board.scored), None)
    if row is None:
        reason = board.rows[0].report.reason or "no reason given"
        return start + f"no score ({reason.splitlines()[0]})."
    text = start + _value(board, row)
    rest = [
        f"{inside(fact.title)} {number(fact.measure.value, fact.decimals)}"
        for fact in board.people
        if fact.name != board.headline
        and not board.measures.counts(fact.name)
        and fact.measure.value is not None
    ]
    return text + (f"; {'; '.join(rest)}." if rest else ".")


# --------------------------------------------------------------------------------- definitions


def definitions(run: Run, boards: Sequence[Board]) -> list[tuple[str, str]]:
    """(term, sentence) for everything on the page that was computed."""
    found = [(board.evaluation, _evaluation(board)) for board in boards]
    found += list(_measures(boards))
    found += list(metric_definitions(run))
    resamples = sorted({_resamples(board) for board in boards} - {""})
    found += [
        (
            "Interval [ , ]",
            "95 % percentile bootstrap: units (with all their stimuli and answers) are drawn with "
            f"replacement{', ' + ' or '.join(resamples) + ' times' if resamples else ''}, for groups of "
            "answers at most 500 times. It says how a number would vary over other units; answers to one "
            "unit are not independent.",
        ),
        (
            "Difference to best, p, rank",
            "Metrics of one evaluation see the same stimuli and the same resamples of units, so they are "
            "compared in pairs: the difference with its interval over the resamples, and a two-sided p "
            "from the normal approximation, Holm-corrected over all pairs of the table. The rank is the "
            "best and the worst that the pairs leave open at 5 %.",
        ),
        (
            "Share of ceiling",
            "(value − chance) / (ceiling − chance): what a metric reaches of what is possible above "
            "chance. Its interval is that of the value.",
        ),
        (
            "Undefined",
            "A number that has no meaning is given as undefined with its reason, never as 0 or 0.5.",
        ),
        (
            "Seconds",
            "Time that this case had to wait for; stages that cases share are counted for the first "
            "that needed them.",
        ),
    ]
    return found


def _resamples(board: Board) -> str:
    n = board.record.get("params", {}).get("resamples")
    return f"{n:,}" if isinstance(n, int) else ""


def _evaluation(board: Board) -> str:
    text = board.record.get("sentence") or f"{board.record.get('summary') or 'No description'}."
    source = board.record.get("citation")
    return f"{text} Source: {source}." if source else str(text)


def _measures(boards: Sequence[Board]) -> Iterator[tuple[str, str]]:
    """Every measure once; of one of which nothing is said, where it comes from."""
    seen: set[tuple[str, str]] = set()
    for board in boards:
        names = dict.fromkeys(name for row in board.rows for name, _ in row.measures)
        for name in names:
            found = board.measures.known.get(name)
            if found is None and (name.endswith(SHARE) or correlation(name)):
                continue  # one sentence explains them all
            text = f"A measure of {board.evaluation}: {board.record.get('summary') or name}."
            text = text if found is None else found.text
            term = board.measures.title(name)
            if text and (term, text) not in seen:
                seen.add((term, text))
                yield term, text
    people = [
        board.measures.title(of_units(row.report)[0])
        for board in boards
        if board.correlations
        for row in board.rows
        if row.report.per_unit
    ]
    if people:
        yield (
            " and ".join(KINDS.values()),
            f"Correlation over units between {inside(people[0])} and a number that the metric gives the "
            "unit.",
        )
    numbers = {n for board in boards for row in board.rows for n in row.report.per_unit}
    known = {name: info for b in boards for name, info in b.measures.unit_numbers.items()}
    for name, info in known.items():
        if name in numbers and info.text:
            yield f"{info.title} of a unit", info.text
