"""Images of units in two runs: each image is one file of the page, whichever run and unit shows it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from iibench.contract.reports import CaseReport, Report
from iibench.results.unit_tables import STEM

if TYPE_CHECKING:
    from iibench.report.shared.output import Output
    from iibench.results.comparison.runs import RunComparison
    from iibench.results.run import Run

#: Bytes that the images of a page may take together.
BUDGET = 8_000_000


@dataclass(frozen=True)
class Picture:
    """An image of a dataset; `url` is None where it is not kept, for the `reason` given.

    `alone`: the other run has another image in its place, or none of these.
    """

    image: int
    url: str | None
    reason: str
    alone: bool


@dataclass(frozen=True)
class Source:
    """What a run knows of images: its most activating ones by (stem, unit), and their files."""

    exemplars: Mapping[tuple[str, ...], Any]
    images: Mapping[tuple[str, int], bytes]

    @classmethod
    def of(cls, run: Run) -> Self:
        """Reads the tables of a run."""
        frame = run.exemplars()
        if "side" in frame:
            frame = frame[frame["side"] == "top"]
        groups = {} if frame.empty else dict(iter(frame.groupby(list(STEM), observed=True)))
        return cls(
            {
                tuple(map(str, stem)): rows.sort_values(["unit", "rank"])
                for stem, rows in groups.items()
            },
            run.images(),
        )

    def top(self, report: CaseReport, unit: int) -> list[int]:
        """The images that activate a unit most, the strongest first."""
        rows = self.exemplars.get(report.stem)
        return [] if rows is None else [int(i) for i in rows.loc[rows["unit"] == unit, "image"]]


class ImageFiles:
    """The image files of a page, each content once, within a budget of bytes."""

    def __init__(self, output: Output, budget: int = BUDGET) -> None:
        self._output = output
        self._left = budget
        self._urls: dict[str, str] = {}

    def url(self, content: bytes) -> str | None:
        """The URL of an image file; None where the budget is spent."""
        key = hashlib.sha256(content).hexdigest()[:20]
        if key in self._urls:
            return self._urls[key]
        if len(content) > self._left:
            return None
        kind = "png" if content.startswith(b"\x89PNG") else "jpg"
        url = self._output.image(f"{key}.{kind}", content)
        if url is not None:
            self._left -= len(content)
            self._urls[key] = url
        return url


@dataclass(frozen=True)
class UnitImages:
    """The most activating images of a unit in A and in B; `same`: they are the same, in one order."""

    a: tuple[Picture, ...]
    b: tuple[Picture, ...]
    same: bool

    @property
    def kept(self) -> bool:
        """Whether there is an image to show."""
        return any(picture.url for picture in (*self.a, *self.b))

    @staticmethod
    def sources(found: RunComparison) -> tuple[Source, Source]:
        """Where the images of both runs come from."""
        return Source.of(found.a), Source.of(found.b)


def unit_images(
    sources: tuple[Source, Source], report: Report, unit: int, files: ImageFiles
) -> UnitImages | None:
    """The images of a unit in both runs; None where neither run knows them."""
    if not isinstance(report, CaseReport):
        return None
    a, b = (source.top(report, unit) for source in sources)
    if not a and not b:
        return None

    def pictures(source: Source, own: list[int], other: list[int]) -> tuple[Picture, ...]:
        return tuple(
            _picture(source, report.dataset, image, image not in other, files) for image in own
        )

    return UnitImages(pictures(sources[0], a, b), pictures(sources[1], b, a), a == b)


def _picture(source: Source, dataset: str, image: int, alone: bool, files: ImageFiles) -> Picture:
    content = source.images.get((dataset, image))
    if content is None:
        return Picture(image, None, "this image is not kept in the run", alone)
    url = files.url(content)
    reason = "" if url else "left out to keep the page small"
    return Picture(image, url, reason, alone)
