"""What every finder must keep: shapes, seeds, purity, the state of the process."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from iibench.contract.specs import Directions
from iibench.testing import page_rules
from iibench.testing.checks import Finding, Rule, good, wrong
from iibench.testing.finders.subject import REPEATED, SEED, FinderUnderTest, activations, apart, off
from iibench.testing.traces import generators, left_as_found

#: Largest difference, as a share of the largest response, of a computation on other rows.
OTHER_ROWS = 1e-4
GLOBAL = (
    "random numbers come from a global generator (np.random, torch.rand) instead of one made of "
    "context.seed; pass random_state or a generator"
)
MEMORY = (
    "something is kept between calls, in a module or an object, instead of in Directions.state: results "
    "then depend on the order of cases, and evaluated images may reach the fit"
)
IN_PLACE = "activations are changed in place (-=, np.maximum(..., out=A)), for everyone after it; copy first"


def directions(finder: FinderUnderTest) -> Finding:
    """Shapes and types of what `fit` gives."""
    found: Any = finder.found
    if not isinstance(found, Directions):
        return wrong(
            f"fit gave a {type(found).__name__}",
            "a bare array is returned",
            "Directions(vectors, state, notes)",
        )
    vectors = found.vectors
    width = finder.A.shape[1]
    if vectors.ndim != 2 or vectors.shape[1] != width or not len(vectors):
        return wrong(f"vectors have shape {vectors.shape}", "they are transposed", f"(K, {width})")
    if vectors.dtype != np.float32:
        return wrong(f"vectors are {vectors.dtype}", "convert with .astype(np.float32)", "float32")
    arrays = {"vectors": vectors, **found.state}
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufSU":
            kind = getattr(array, "dtype", type(array).__name__)
            return wrong(f"state {name!r} is {kind}", "only plain arrays are stored in the cache")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            return wrong(f"{name} is not finite", "a division by zero, or a fit that diverged")
    if not isinstance(found.notes, tuple) or not all(isinstance(n, str) for n in found.notes):
        return wrong(
            f"notes are {found.notes!r}",
            "a string instead of a tuple: (text,)",
            "a tuple of sentences",
        )
    state = ", ".join(found.state) or "none"
    return good(f"{len(vectors)} directions of {width} neurons; state: {state}")


def responses(finder: FinderUnderTest) -> Finding:
    """Shape and type of what `encode` gives."""
    R = finder.responses
    expected = (len(finder.B), len(finder.found.vectors))
    if not isinstance(R, np.ndarray) or R.shape != expected:
        shape = getattr(R, "shape", type(R).__name__)
        return wrong(f"encode gave {shape}", "it is transposed, or K is another", f"{expected}")
    if R.dtype != np.float32:
        return wrong(f"responses are {R.dtype}", "convert with .astype(np.float32)", "float32")
    if not np.isfinite(R).all():
        return wrong("responses that are not finite", "a division by a norm that is zero")
    return good(f"{R.shape}, {R.min():.3g} to {R.max():.3g}")


def same_seed(finder: FinderUnderTest) -> Finding:
    """Two fits of one seed with the global generators at other states, and one of another seed."""
    first, second = (fit.value for fit in finder.fits)
    distance = apart(first, second)
    if distance > REPEATED:
        return wrong(
            f"two fits with one seed differ by {distance:.2g} of the largest value", GLOBAL
        )
    other = finder.fit(finder.A.copy(), seed=SEED + 1)
    others = "the same" if apart(first, other) <= REPEATED else "others"
    return good(f"one seed gives the same directions; another seed gives {others}")


def global_seeds(finder: FinderUnderTest) -> Finding:
    """Are the global generators reset?"""
    return generators({"fit": finder.fits, "encode": finder.codes})


def unchanged(finder: FinderUnderTest) -> Finding:
    """The arrays that are handed over, before and after."""
    B, found = finder.B.copy(), finder.found
    kept = {name: np.array(array) for name, array in _arrays(found).items()}
    finder.encode(B, found)
    for name, now, before in (("fit", finder.handed[0], finder.A), ("encode", B, finder.B)):
        if not np.array_equal(now, before):
            count = int((now != before).sum())
            return wrong(f"{name} changed {count} of {now.size} activations", IN_PLACE)
    for name, array in _arrays(found).items():
        if not np.array_equal(array, kept[name], equal_nan=array.dtype.kind == "f"):
            return wrong(f"encode changed {name} of the directions", IN_PLACE)
    return good("activations and directions are as they were")


def _arrays(found: Directions) -> dict[str, Any]:
    return {"vectors": found.vectors, **found.state}


def rows(finder: FinderUnderTest) -> Finding:
    """Responses of some of the images, in another order, and of one."""
    whole = finder.encode(finder.B)
    chosen = {
        "every third": slice(None, None, 3),
        "reversed": slice(None, None, -1),
        "one": slice(5, 6),
    }
    for name, some in chosen.items():
        distance = off(finder.encode(np.ascontiguousarray(finder.B[some])), whole[some])
        if distance > OTHER_ROWS:
            return wrong(
                f"{name}: responses differ by {distance:.2g} of the largest",
                "encode takes a mean, scale or maximum of the rows it is given; take it in fit and "
                "keep it in Directions.state",
            )
    return good("each row's response depends on that row alone")


def round_trip(finder: FinderUnderTest) -> Finding:
    """Responses to directions that were stored and read as the cache does."""
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **_arrays(finder.found))
    file.seek(0)
    with np.load(file, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    rebuilt = Directions(arrays.pop("vectors"), arrays, finder.found.notes)
    distance = off(finder.encode(finder.B, rebuilt), finder.responses)
    if distance > REPEATED:
        return wrong(f"responses differ by {distance:.2g} of the largest", MEMORY)
    return good("the same responses after storing and reading the arrays")


def no_memory(finder: FinderUnderTest) -> Finding:
    """Fits and responses again, after other activations went through both."""
    first = finder.found
    before = finder.encode(finder.B)
    C, D = (activations(n, n, finder.width) for n in (250, 700))
    C *= np.float32(1.7)
    finder.encode(C)
    distance = apart(first, finder.fit(finder.A.copy()))
    if distance > REPEATED:
        return wrong(
            f"after other images were encoded, the same fit differs by {distance:.2g}",
            f"evaluated images reach the fit: {MEMORY}",
        )
    finder.fit(D, seed=3)
    distance = off(finder.encode(finder.B), before)
    if distance > REPEATED:
        return wrong(
            f"after another fit, responses differ by {distance:.2g} of the largest", MEMORY
        )
    return good("earlier calls leave no trace in later ones")


def progress(finder: FinderUnderTest) -> Finding:
    """What `context.progress` was told during a fit."""
    done = [first for first, _ in finder.told]
    if any(not 0 <= first <= total for first, total in finder.told) or done != sorted(done):
        return wrong(f"progress was told {finder.told[:5]}", "done counts up from 0 to total")
    return good(f"told {len(finder.told)} times")


def files(finder: FinderUnderTest) -> Finding:
    """What `inputs` says of the files that decide the directions."""
    found: Any = finder.spec.inputs(finder.params, finder.context.base_dir)
    if not isinstance(found, str):
        return wrong(
            f"inputs gave {found!r}",
            "a path, or None",
            'text: a SHA-256, or "" where there are no files',
        )
    return good(f"{found[:16]}..." if found else "no files decide the directions")


RULES: tuple[Rule[FinderUnderTest], ...] = (
    Rule("directions", "float32 (K, N), finite; state of plain arrays", directions),
    Rule("responses", "float32 (n, K), finite", responses),
    Rule("same seed", "context.seed decides the directions, and nothing else random", same_seed),
    Rule("global seeds", "the global random generators are not reset", global_seeds),
    Rule("inputs unchanged", "fit and encode leave their arrays as they were", unchanged),
    Rule("rows", "a row's response does not depend on the others", rows),
    Rule("round trip", "encode needs nothing but the stored arrays", round_trip),
    Rule("no memory", "the same arguments give the same arrays, whatever came before", no_memory),
    Rule("progress", "done counts up to total", progress),
    Rule("files", "inputs(params, base_dir) gives text", files),
    *left_as_found(lambda finder: (*finder.fits, *finder.codes)),
    page_rules.FINDER,
)
