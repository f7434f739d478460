"""Does a finder find anything, does its response have the right sign, what does it do with odd input?"""

from __future__ import annotations

import numpy as np

from iibench.contract.errors import CaseError, Skip, one_line
from iibench.testing.checks import Finding, Rule, good, wrong
from iibench.testing.finders.subject import (
    MANY,
    REPEATED,
    FinderUnderTest,
    activations,
    apart,
    best_cosines,
    planted_directions,
)


def trains(finder: FinderUnderTest) -> Finding:
    """Directions from A and from other activations of the same shape."""
    other = np.ascontiguousarray(finder.A[:, ::-1] ** 2)
    same = apart(finder.found, finder.fit(other)) <= REPEATED
    if same and finder.spec.trains_on:
        return wrong(
            "other activations give the same directions",
            "fit looks at nothing but the number of neurons: declare trains_on=False, so that the fit "
            "split's activations need not be computed",
        )
    if not same and not finder.spec.trains_on:
        return wrong(
            "other activations give other directions",
            "fit looks at the activations: declare trains_on=True, or it is given those of the "
            "evaluated split",
        )
    return good(f"as trains_on={finder.spec.trains_on} says")


def recovery(finder: FinderUnderTest) -> Finding:
    """Planted directions against found ones, and against as many random ones."""
    if not finder.spec.trains_on:
        raise Skip("it does not train")
    # as many as training by gradient steps needs
    planted = planted_directions(finder.width)
    found = finder.fit(activations(MANY, 0, finder.width)).vectors
    score = float(best_cosines(planted, found).mean())
    random = []
    for seed in range(5):
        drawn = np.random.default_rng(seed).standard_normal(found.shape).astype(np.float32)
        random.append(float(best_cosines(planted, drawn).mean()))
    seen = (
        f"mean best |cosine| with {len(planted)} planted directions: {score:.3f}; "
        f"of {len(found)} random ones: {np.mean(random):.3f}"
    )
    if score > max(random):
        return good(seen)
    return wrong(
        seen,
        "it does not learn: vectors are the wrong matrix (encoder for decoder, mixing for unmixing), "
        "transposed, or the optimisation does not move; or the defaults do not suit small data",
    )


def sign(finder: FinderUnderTest) -> Finding:
    """Responses before and after a direction is added to the activations."""
    vectors = finder.found.vectors
    norms = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    length = float(np.linalg.norm(finder.B, axis=1).mean())
    base = finder.B[:40]
    chosen = np.linspace(0, len(vectors) - 1, min(len(vectors), 24)).astype(int)
    rises = []
    before = finder.encode(base.copy())
    for k in chosen:
        pushed = np.maximum(base + length * (vectors[k] / norms[k]), 0).astype(np.float32)
        try:
            rises.append(float((finder.encode(pushed)[:, k] - before[:, k]).mean()))
        except CaseError as error:
            raise Skip(one_line(error)) from error
    moved = [rise for rise in rises if rise != 0]
    up = sum(rise > 0 for rise in moved)
    seen = (
        f"adding a direction raises its response for {up} of {len(moved)} directions that respond"
    )
    if not moved or up > len(moved) / 2:
        return good(seen)
    return wrong(
        seen, "a distance, or the other sign, is returned: larger must mean more activated"
    )


def awkward(finder: FinderUnderTest) -> Finding:
    """Few images, negative, dead and constant activations."""
    A, N = finder.A, finder.A.shape[1]
    dead = A.copy()
    dead[:, [0, N // 2]] = 0
    tries = {
        "5 images": A[:5].copy(),
        "negative activations": (A - A.mean(axis=0)).astype(np.float32),
        "dead neurons": dead,
        "constant activations": np.full((50, N), 0.5, np.float32),
        "all zero": np.zeros((50, N), np.float32),
    }
    refused, works = [], []
    for name, data in tries.items():
        try:
            found = finder.fit(data)
            R = finder.encode(data.copy(), found)
        except CaseError:
            refused.append(name)
            continue
        except Exception as error:
            return wrong(
                f"{name}: raised {one_line(error)}",
                "input that does not allow the computation must end in a CaseError that says why",
            )
        if not (np.isfinite(found.vectors).all() and np.isfinite(R).all()):
            return wrong(
                f"{name}: directions or responses are not finite",
                "a division by a norm or deviation that is zero",
            )
        works.append(name)
    return good(f"works: {', '.join(works) or 'none'}; CaseError: {', '.join(refused) or 'none'}")


RULES: tuple[Rule[FinderUnderTest], ...] = (
    Rule("trains_on", "trains_on says whether fit looks at the activations", trains),
    Rule("planted directions", "found better than by chance", recovery),
    Rule("sign", "larger response = more of the direction", sign),
    Rule("awkward input", "works with finite values, or raises CaseError", awkward),
)
