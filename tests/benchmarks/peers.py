"""The peers: the same quantities, written as published code writes them, loop by loop.

Nothing here is used by iibench; tests compare the two, benchmarks time them against each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import lpips as lpips_package
    import torch

    from iibench.contract.arrays import DoubleArray, FloatArray, ImageArray, IntArray


def lpips_network(net: str, trunk: dict[str, torch.Tensor]) -> lpips_package.LPIPS:
    """The `lpips` package's network with its learned weights and the given backbone.

    `trunk` has torchvision's names (`features.0.weight`).
    """
    import warnings

    import lpips as package

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = package.LPIPS(net=net, pnet_rand=True, verbose=False)
    slices = {name: f"features.{name.partition('.')[2]}" for name in model.net.state_dict()}
    model.net.load_state_dict({name: trunk[torchvision] for name, torchvision in slices.items()})
    return model.eval()


def as_lpips_input(images: ImageArray) -> torch.Tensor:
    """uint8 (n, h, w, 3) -> (n, 3, h, w) in [-1, 1]."""
    import torch

    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def whole_network_activations(
    network: torch.nn.Module, layer: str, inputs: torch.Tensor, batch: int
) -> FloatArray:
    """A forward hook on the layer and a forward pass of the whole network, as published code does."""
    import torch

    found = []
    handle = network.get_submodule(layer).register_forward_hook(
        lambda module, args, output: found.append(output.mean((2, 3)).cpu().numpy())
    )
    with torch.no_grad():
        for start in range(0, len(inputs), batch):
            network(inputs[start : start + batch])
    handle.remove()
    return np.concatenate(found)


def ii_by_pairs(
    model: lpips_package.LPIPS, images: ImageArray, responses: FloatArray | DoubleArray
) -> DoubleArray:
    """II of each unit: the package on the 25 ordered pairs of its five MEIs, unit by unit."""
    import torch

    values = []
    for unit in range(responses.shape[1]):
        top = np.argsort(-responses[:, unit], kind="stable")[:5]
        x = as_lpips_input(images[top])
        first, second = np.repeat(np.arange(5), 5), np.tile(np.arange(5), 5)
        with torch.no_grad():
            values.append(-model(x[first], x[second]).mean().item())
    return np.array(values)


def insilico_by_trials(
    model: lpips_package.LPIPS,
    images: ImageArray,
    responses: FloatArray,
    difficulty: float,
    trials: int,
    references: int,
    seed: int,
    units: int | None = None,
) -> dict[str, DoubleArray]:
    """Two-sided psychophysics of each unit, trial by trial, as the released code goes about it.

    Accuracy (units,) under `lpips`, each of its taps (`lpips[0]`, ...) and `color`, all of them from one
    forward pass of a trial. Per unit: sort the images, copy those of the trials; per trial: one LPIPS
    forward pass of its 2 * `references` references and two queries, and the distances of each reference
    to each query. Sequence of draws as in `iibench.compute.exemplars.make_trials`. `units`: only
    the first ones.
    """
    import torch

    n, k = responses.shape
    cut = int(np.ceil(difficulty * (n - 1) - 1e-9))
    rng = np.random.default_rng(seed)
    draws = [rng.random((k, trials)).argsort(axis=1) for _ in range(2)]
    names = ["color", "lpips", *(f"lpips[{level}]" for level in range(model.L))]
    accuracy = {name: np.zeros(k if units is None else units) for name in names}
    for unit in range(k if units is None else units):
        ranked = np.argsort(-responses[:, unit], kind="stable")[cut : n - cut]
        side = trials * (references + 1)
        strong = as_lpips_input(images[ranked[:side]])
        weak = as_lpips_input(images[ranked[::-1][:side]])
        for t in range(trials):
            dealt = trials + np.arange(references) * trials + t
            x = torch.cat(
                [
                    strong[dealt],
                    weak[dealt],
                    strong[draws[0][unit, t]][None],
                    weak[draws[1][unit, t]][None],
                ]
            )
            found = _distances_to_queries(model, x, 2 * references)
            for name, distances in found.items():
                accuracy[name][unit] += _choice(-distances.double().numpy(), references) / trials
    return accuracy


def _distances_to_queries(
    model: lpips_package.LPIPS, x: torch.Tensor, references: int
) -> dict[str, torch.Tensor]:
    """name -> (references, 2) distances of the references in x to the two queries behind them."""
    import lpips as package
    import torch

    with torch.no_grad():
        total = torch.zeros(references, 2)
        found = {"lpips": total}
        for level, features in enumerate(model.net(model.scaling_layer(x))):
            unit_norm = package.normalize_tensor(features)
            refs, queries = unit_norm[:references], unit_norm[references:]
            squared = (refs[:, None] - queries[None]) ** 2
            flat = model.lins[level].model[-1](squared.flatten(0, 1)).mean((1, 2, 3))
            found[f"lpips[{level}]"] = flat.view(references, 2)
            total += found[f"lpips[{level}]"]
        means = ((x.double() + 1) / 2).mean((2, 3))
        found["color"] = (means[:references, None] - means[None, references:]).norm(dim=2)
    return found


def _choice(similarity: DoubleArray, references: int) -> float:
    """1 where the observer is right, 0 where not, one half for a tie."""
    to_strong, to_weak = similarity[:references], similarity[references:]
    right = to_strong[:, 0].mean() + to_weak[:, 1].mean()
    wrong = to_strong[:, 1].mean() + to_weak[:, 0].mean()
    return 1.0 if right > wrong else 0.5 if right == wrong else 0.0


def mis_by_tasks(
    model: lpips_package.LPIPS,
    images: ImageArray,
    responses: FloatArray,
    tasks: int,
    references: int,
    quantile: float,
    temperature: float,
    seed: int,
    units: int | None = None,
) -> DoubleArray:
    """MIS (units,) of each unit, task by task: one call of the package with each query and each reference.

    Random streams as in the plugin `mis`. `units`: only
    the first ones.
    """
    import torch

    n, k = responses.shape
    size = int(np.ceil(quantile * n - 1e-9))
    scores = []
    for unit in range(k if units is None else units):
        ranked = np.argsort(-responses[:, unit], kind="stable")
        rng = np.random.default_rng([seed, unit, 1])
        drawn = [
            [
                np.sort(rng.choice(size, references + 1, replace=False, shuffle=False))
                for _ in range(tasks)
            ]
            for _ in range(2)
        ]
        chosen = []
        for t in range(tasks):
            top, bottom = ranked[drawn[0][t]], ranked[n - 1 - drawn[1][t]]
            queries = as_lpips_input(images[[top[-1], bottom[-1]]])
            refs = as_lpips_input(images[np.concatenate([top[:-1], bottom[:-1]])])
            first, second = np.repeat([0, 1], len(refs)), np.tile(np.arange(len(refs)), 2)
            with torch.no_grad():
                values = -model(queries[first], refs[second]).view(2, 2, references)
            means = values.double().mean(2).numpy()  # query, side
            delta = (means[0, 0] - means[0, 1]) - (means[1, 0] - means[1, 1])
            chosen.append(1 / (1 + np.exp(-delta / temperature)))
        scores.append(np.mean(chosen))
    return np.array(scores)


def ii_of_pair_sums(
    model: lpips_package.LPIPS, images: ImageArray, responses: FloatArray, pairs: IntArray
) -> DoubleArray:
    """II (P,) of the sum of the z-scored responses of each pair (P, 2) of units, pair by pair."""
    r = responses.astype(np.float64)
    z = (r - r.mean(axis=0)) / r.std(axis=0)
    return np.array([ii_by_pairs(model, images, (z[:, a] + z[:, b])[:, None])[0] for a, b in pairs])


def extremes_by_sorting(responses: FloatArray, m: int) -> tuple[IntArray, IntArray]:
    """((K, m), (K, m)) images with the largest and the smallest responses (K, n): a full sort per unit."""
    order = [np.argsort(row) for row in responses]
    return np.array([o[::-1][:m] for o in order]), np.array([o[:m] for o in order])
