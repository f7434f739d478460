"""Published values beside those of the run, matched by evaluation, metric, measure and group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from iibench.report.trials.groups import in_words
from iibench.report.trials.tables import NO_METRIC, decimals

if TYPE_CHECKING:
    from iibench.contract.measures import Measure
    from iibench.report.trials.tables import Board, Row
    from iibench.results.run import Run


@dataclass(frozen=True)
class Published:
    """A published value with ours; `missing` says why there is none."""

    group: str
    metric: str
    evaluation: str
    measure: str
    decimals: int
    value: float
    n: int | None
    ours: Measure | None
    missing: str | None
    source: str

    @property
    def difference(self) -> float | None:
        """Ours minus the published value."""
        if self.ours is None or self.ours.value is None:
            return None
        return self.ours.value - self.value


def published(run: Run, boards: Sequence[Board]) -> dict[str, list[Published]]:
    """Source -> its values, in the order of the suite."""
    found: dict[str, list[Published]] = {}
    for reference in run.meta.get("references", []):
        item = _published(reference, boards)
        found.setdefault(item.source, []).append(item)
    return found


def _published(reference: dict[str, Any], boards: Sequence[Board]) -> Published:
    evaluation, metric = reference["evaluation"], reference["metric"] or NO_METRIC
    board = next((b for b in boards if b.evaluation == evaluation), None)
    row = next((r for r in board.rows if r.metric == metric), None) if board else None
    name = reference.get("measure") or (board.headline if board else "")
    group = tuple((str(k), str(v)) for k, v in reference.get("where", ()))
    ours = row.of(name, group) if row else None
    return Published(
        group=in_words(group),
        metric=metric,
        evaluation=evaluation,
        measure=board.measures.title(name) if board and name else name,
        decimals=decimals(name, board.rows, board.measures) if board else 3,
        value=float(reference["value"]),
        n=reference.get("n"),
        ours=ours,
        missing=_missing(row, ours),
        source=reference.get("source") or "no source given",
    )


def _missing(row: Row | None, ours: Measure | None) -> str | None:
    if row is None:
        return "not in this run"
    if ours is not None:
        return None if ours.value is not None else f"undefined: {ours.reason}"
    if not row.report.measures:
        return f"{row.report.status}: {(row.report.reason or 'no reason given').splitlines()[0]}"
    return "not in this run: it has no such group or measure"
