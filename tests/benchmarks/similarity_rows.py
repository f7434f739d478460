"""Rows about similarities, from images to numbers: responses are given, nothing is embedded."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.benchmarks import peers
from tests.benchmarks.processes import Arrays, Clock, Prepared
from tests.benchmarks.row import Row, close, nearly
from tests.benchmarks.setting import SEED, Evaluated, Setting
from tests.benchmarks.sizes import Sizes

#: Difficulties of the short and of the long in-silico row.
SHORT = (0.0, 0.25)
LONG = tuple(i / 20 for i in range(10))
#: The temperature and the quantile of `mis`.
TEMPERATURE, QUANTILE, REFERENCES = 0.16, 0.25, 9


def _ours(sizes: Sizes, metrics: tuple[str, ...], make: Callable[[Evaluated], Arrays]) -> Prepared:
    setting = Setting(sizes)
    evaluated = Evaluated(setting, metrics)

    def run(clock: Clock) -> Arrays:
        found = make(evaluated)
        with clock.paused():
            evaluated.clear()
        return found

    return Prepared(run, note=setting.note)


def _theirs(
    sizes: Sizes, make: Callable[[Setting], Callable[[], Arrays]], scale: float
) -> Prepared:
    setting = Setting(sizes)
    run = make(setting)

    def timed(clock: Clock) -> Arrays:
        return run()

    return Prepared(timed, scale, setting.note)


# -------------------------------------------------------------------------------------------- II


def our_ii(sizes: Sizes) -> Prepared:
    """II under LPIPS."""
    return _ours(
        sizes, ("lpips",), lambda e: {"ii": np.asarray(e.scores("ii", [{}])["lpips"][0].values)}
    )


def their_ii(sizes: Sizes) -> Prepared:
    """The package on all ordered pairs of each unit's MEIs."""

    def make(setting: Setting) -> Callable[[], Arrays]:
        model, images, responses = setting.lpips_package(), setting.images, setting.responses
        return lambda: {"ii": peers.ii_by_pairs(model, images, responses)}

    return _theirs(sizes, make, 1.0)


# ------------------------------------------------------------------------------------- in-silico


def our_insilico(sizes: Sizes, levels: tuple[float, ...]) -> Prepared:
    """Two-sided accuracies under colour, LPIPS and each tap: label -> (difficulties, K)."""
    params = [
        {
            "difficulty": level,
            "observer": "two_sided",
            "trials": sizes.trials,
            "references": sizes.references,
        }
        for level in levels
    ]

    def make(evaluated: Evaluated) -> Arrays:
        found = evaluated.scores("insilico", params, parts=True)
        return {label: np.stack([s.values for s in scores]) for label, scores in found.items()}

    return _ours(sizes, ("color", "lpips"), make)


def their_insilico(sizes: Sizes, levels: tuple[float, ...]) -> Prepared:
    """A part of the units, trial by trial."""

    def make(setting: Setting) -> Callable[[], Arrays]:
        model, images, responses = setting.lpips_package(), setting.images, setting.responses

        def run() -> Arrays:
            found = [
                peers.insilico_by_trials(
                    model,
                    images,
                    responses,
                    level,
                    sizes.trials,
                    sizes.references,
                    SEED,
                    sizes.peer_units,
                )
                for level in levels
            ]
            return {label: np.stack([f[label] for f in found]) for label in found[0]}

        return run

    return _theirs(sizes, make, sizes.units / sizes.peer_units)


def _insilico_row(name: str, levels: tuple[float, ...], goal: float) -> Row:
    return Row(
        name,
        lambda sizes: (
            f"in-silico psychophysics of {sizes.units} units under color, LPIPS and each of its 5 "
            f"taps, {sizes.trials} trials, {sizes.references} + {sizes.references} references, "
            f"{len(levels)} difficulties, nothing embedded"
        ),
        lambda sizes: (
            "per unit: sort, copy; per trial: one LPIPS forward pass, from which all metrics are "
            f"computed; {_part(sizes)}; accuracies agree to 0.005 on average over units (which of "
            "images of equal response is shown is drawn by one side alone)"
        ),
        lambda sizes: our_insilico(sizes, levels),
        lambda sizes: their_insilico(sizes, levels),
        nearly(0.005, 0.15),
        goal,
    )


def _part(sizes: Sizes) -> str:
    return f"timed on {sizes.peer_units} units, scaled to {sizes.units}"


# ------------------------------------------------------------------------------------------- MIS


def our_mis(sizes: Sizes) -> Prepared:
    """MIS under LPIPS."""
    params = [{"tasks": sizes.trials, "references": REFERENCES, "quantile": QUANTILE}]
    return _ours(sizes, ("lpips",), lambda e: {"mis": e.scores("mis", params)["lpips"][0].values})


def their_mis(sizes: Sizes) -> Prepared:
    """A part of the units, task by task."""

    def make(setting: Setting) -> Callable[[], Arrays]:
        model, images, responses = setting.lpips_package(), setting.images, setting.responses
        return lambda: {
            "mis": peers.mis_by_tasks(
                model,
                images,
                responses,
                sizes.trials,
                REFERENCES,
                QUANTILE,
                TEMPERATURE,
                SEED,
                sizes.peer_units,
            )
        }

    return _theirs(sizes, make, sizes.units / sizes.peer_units)


# --------------------------------------------------------------------------------------- synergy


def pairs_of_peer(sizes: Sizes) -> np.ndarray:
    """(P, 2) pairs of units, drawn without replacement."""
    every = np.stack(np.triu_indices(sizes.units, 1), axis=1)
    drawn = np.random.default_rng(SEED).permutation(len(every))[: sizes.pairs]
    return every[np.sort(drawn)]


def our_synergy(sizes: Sizes) -> Prepared:
    """The analysis; the indices of the sums of the pairs that the peer looks at are handed back."""
    chosen = pairs_of_peer(sizes)

    def make(evaluated: Evaluated) -> Arrays:
        details = evaluated.scores("synergy", [{}])["lpips"][0].details
        assert details is not None
        pairs, alone = details.tables["all_pairs"], details.tables["directions"]
        ii = np.full(sizes.units, np.nan)
        ii[alone["direction"]] = alone["ii"]
        summed = np.full((sizes.units, sizes.units), np.nan)
        a, b = pairs["direction_a"], pairs["direction_b"]
        summed[a, b] = pairs["synergy"] + np.maximum(ii[a], ii[b])
        return {"ii_of_sums": summed[chosen[:, 0], chosen[:, 1]]}

    return _ours(sizes, ("lpips",), make)


def their_synergy(sizes: Sizes) -> Prepared:
    """A part of the pairs, one by one."""
    chosen = pairs_of_peer(sizes)

    def make(setting: Setting) -> Callable[[], Arrays]:
        model, images, responses = setting.lpips_package(), setting.images, setting.responses
        return lambda: {"ii_of_sums": peers.ii_of_pair_sums(model, images, responses, chosen)}

    return _theirs(sizes, make, sizes.units * (sizes.units - 1) / 2 / len(chosen))


ROWS = (
    Row(
        "ii",
        lambda sizes: f"II(LPIPS) of {sizes.units} units, M = 5, nothing embedded",
        lambda sizes: "lpips package on the 25 ordered pairs of each unit's MEIs",
        our_ii,
        their_ii,
        close(1e-5),
        8,
    ),
    _insilico_row("insilico_short", SHORT, 25),
    _insilico_row("insilico_long", LONG, 60),
    Row(
        "mis",
        lambda sizes: (
            f"MIS(LPIPS) of {sizes.units} units, N = {sizes.trials} tasks, K = {REFERENCES} "
            "references on each side, nothing embedded"
        ),
        lambda sizes: (
            "lpips package, one call per task with each query and each reference; " + _part(sizes)
        ),
        our_mis,
        their_mis,
        nearly(0.002, 0.02),
        60,
    ),
    Row(
        "synergy",
        lambda sizes: f"synergy(LPIPS) of all pairs of {sizes.units} neurons, nothing embedded",
        lambda sizes: (
            "per pair: sort the sums, lpips package on the 25 ordered pairs of the MEIs; timed on "
            f"{len(pairs_of_peer(sizes))} pairs, scaled to {sizes.units * (sizes.units - 1) // 2:,}"
        ),
        our_synergy,
        their_synergy,
        close(2e-5),
        60,
    ),
)
