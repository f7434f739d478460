"""The parameters of `sensitivity`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge

#: alpha of the paths: as far beyond either end as the ends are apart.
ALPHAS = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)


@dataclass(frozen=True)
class Params:
    """Parameters of the analysis."""

    m: Annotated[int, Ge(2)] = field(
        default=5, metadata={"help": "number of exemplars (MEIs), and of images nearest to v"}
    )
    mean: Literal["all", "eq1", "off_diagonal"] = field(
        default="all", metadata={"help": "how II is averaged, as in the evaluation ii"}
    )
    distance: Literal["euclidean", "unit"] = field(
        default="euclidean",
        metadata={
            "help": "distance of two directions: Euclidean, of their vectors as the finder gives "
            "them; or (unit) of the vectors scaled to unit norm"
        },
    )
    activations: Literal["unit", "raw"] = field(
        default="unit",
        metadata={
            "help": "y(x) in Eq. 6: activations scaled to unit norm, as v is and as K-Means with "
            "cosine similarity sees them; or as they are"
        },
    )
    alphas: tuple[float, ...] = field(
        default=ALPHAS, metadata={"help": "points along the paths; 0, 0.5 and 1 among them"}
    )
    pairs: Annotated[int, Ge(1)] | None = field(
        default=64,
        metadata={
            "help": "pairs along whose paths gradients are computed, a seeded draw of all (pairs x "
            "alphas x m forward and backward passes); null: all"
        },
    )

    def __post_init__(self) -> None:
        """Raises `ValueError`, which the suite's reader reports, for a grid without ends or middle."""
        missing = [f"{alpha:g}" for alpha in (0.0, 0.5, 1.0) if alpha not in self.alphas]
        if missing or list(self.alphas) != sorted(set(self.alphas)):
            raise ValueError(
                f"found alphas {list(self.alphas)}; expected rising numbers with 0, 0.5 and 1 among them"
            )
