"""What a run keeps of single units: exemplars, responses, trials, and the images that show them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from iibench.compute.ranking import responses_to
from iibench.compute.response_facts import response_facts
from iibench.contract.errors import CaseError
from iibench.contract.reports import CaseReport, Exemplars, ResponseFacts, TrialReport
from iibench.results.unit_tables import Stem, UnitTables
from iibench.suite.cases import Case

if TYPE_CHECKING:
    from iibench.contract.evaluations import UnitTrials
    from iibench.contract.trials import Stimuli
    from iibench.runner.attempts import Attempts
    from iibench.runner.session import Session

#: Exemplars per direction, on each side, kept in the run folder.
EXEMPLARS = 5
#: Images up to this side are kept as they are; larger ones are scaled down (JPEG): those of units, and
#: those of trials that people saw, to at most so many pixels a side.
SMALL, OF_UNITS, OF_TRIALS = 64, 128, 192
#: Bytes of images that a run folder holds at most; the least important are left out.
IMAGES = 64_000_000
#: Images decoded at once.
BLOCK = 256


def unit_tables(
    session: Session,
    reports: Sequence[CaseReport],
    meta: Mapping[str, Any],
    attempts: Attempts,
) -> UnitTables:
    """The tables of all finders with a scored case; what cannot be made is left out and named."""
    from iibench.report.directions.gallery import images_by_importance

    scored = {report.id: report for report in reports if report.scores}
    tops: dict[str, Exemplars] = {}
    facts: dict[Stem, ResponseFacts] = {}
    trials: dict[tuple[Stem, str], UnitTrials] = {}
    evidence: dict[str, Any] = {}
    for case in session.cases:
        if not isinstance(case, Case) or case.id not in scored:
            continue
        stem = (case.dataset.label, case.model.label, case.layer.label, case.finder.label)
        try:
            if case.stem not in tops:
                tops[case.stem] = _exemplars(session, case)
                facts[stem] = response_facts(session.stages.responses.of(case))
            if case.id in session.stages.demand.shown_trials and scored[case.id].scored:
                found = session.stages.scores.unit_trials(case)
                if found is not None:
                    trials.setdefault((stem, case.evaluation.label), found)
                    evidence[case.id] = found.evidence
        except Exception as error:
            attempts.failed(f"units of {case.finder.label} at {case.layer.label}", error)
    kept = list(tops.values())
    images: Mapping[tuple[str, int], bytes] = {}
    with attempts.at("the thumbnails"):
        needed = images_by_importance(reports, kept, trials, meta.get("evaluations", {}))
        images, left_out = _within_budget(session, needed, OF_UNITS)
        if left_out:
            session.note(
                f"{left_out} images of units are not kept in the run folder: no room", "info"
            )
    return UnitTables(kept, facts, trials, evidence, images)


def images_of_trials(
    session: Session, reports: Sequence[TrialReport], trials: Stimuli
) -> dict[tuple[str, int], bytes]:
    """The images that the page of a run on trials shows."""
    from iibench.report.trials import choice as trial_choice

    needed = {reports[0].dataset: trial_choice.images_of_trials(reports, trials)}
    return _within_budget(session, needed, OF_TRIALS)[0]


def _exemplars(session: Session, case: Case) -> Exemplars:
    """The most and least activating images of the case's directions."""
    responses = session.stages.responses.of(case)
    if len(responses) < EXEMPLARS:
        raise CaseError(
            f"{EXEMPLARS} exemplars are asked for and there are {len(responses)} images"
        )
    found = session.stages.responses.extremes(case, EXEMPLARS)
    top, bottom = found.top, found.bottom
    return Exemplars(
        *(case.dataset.label, case.model.label, case.layer.label, case.finder.label),
        *(top, responses_to(responses, top)),
        *(bottom, responses_to(responses, bottom)),
    )


def _within_budget(
    session: Session, needed: Mapping[str, Sequence[int]], side: int
) -> tuple[dict[tuple[str, int], bytes], int]:
    """((dataset, index) -> image file, the most important first until `IMAGES`; how many had no room)."""
    found: dict[tuple[str, int], bytes] = {}
    size, left_out = 0, 0
    for label, indices in needed.items():
        for index, content in _files(session, label, indices, side):
            if size + len(content) > IMAGES:
                left_out += len(indices) - sum(key[0] == label for key in found)
                break
            found[label, index] = content
            size += len(content)
    return found, left_out


def _files(
    session: Session, label: str, indices: Sequence[int], side: int
) -> Iterable[tuple[int, bytes]]:
    """(index, PNG or JPEG) of images of the evaluated split of the dataset with this label."""
    if not len(indices):
        return
    case = next(case for case in session.cases if case.dataset.label == label)
    dataset = session.inputs.evaluated(case)
    for start in range(0, len(indices), BLOCK):
        block = np.asarray(indices[start : start + BLOCK], np.int64)
        for index, pixels in zip(block, dataset.images(block), strict=True):
            yield int(index), image_file(pixels, side)


def image_file(pixels: Any, side: int) -> bytes:
    """(h, w, 3) uint8 as a file: PNG up to `SMALL` pixels a side, else JPEG of at most `side`."""
    from PIL import Image

    image, buffer = Image.fromarray(pixels), io.BytesIO()
    if max(image.size) <= SMALL:
        image.save(buffer, "PNG", optimize=True)
    else:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
        image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
