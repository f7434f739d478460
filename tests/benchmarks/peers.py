"""The peers: the same quantities, written as published code writes them, loop by loop.

Nothing here is used by iibench; tests compare the two, benchmarks time them against each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import lpips as lpips_package
    import torch

    from iibench.specs import FloatArray, ImageArray


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
    model: lpips_package.LPIPS, images: ImageArray, responses: FloatArray
) -> FloatArray:
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
) -> FloatArray:
    """Two-sided psychophysics of each unit, trial by trial, as the released code goes about it.

    Per unit: sort the images, copy those of the trials; per trial: one LPIPS forward pass of its
    2 * `references` references and two queries, and the distances of each reference to each query.
    Sequence of draws as in `iibench.exemplars.make_trials`.
    """
    import lpips as package
    import torch

    n, k = responses.shape
    cut = int(np.ceil(difficulty * (n - 1) - 1e-9))
    rng = np.random.default_rng(seed)
    draws = [rng.random((k, trials)).argsort(axis=1) for _ in range(2)]
    accuracy = np.zeros(k)
    for unit in range(k):
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
            with torch.no_grad():
                total = torch.zeros(2 * references, 2)
                for level, features in enumerate(model.net(model.scaling_layer(x))):
                    unit_norm = package.normalize_tensor(features)
                    refs, queries = unit_norm[: 2 * references], unit_norm[2 * references :]
                    squared = (refs[:, None] - queries[None]) ** 2
                    learned = model.lins[level].model[-1]
                    flat = learned(squared.flatten(0, 1)).mean((1, 2, 3))
                    total += flat.view(2 * references, 2)
            similarity = -total.double().numpy()
            to_strong, to_weak = similarity[:references], similarity[references:]
            right = to_strong[:, 0].mean() + to_weak[:, 1].mean()
            wrong = to_strong[:, 1].mean() + to_weak[:, 0].mean()
            accuracy[unit] += 1.0 if right > wrong else 0.5 if right == wrong else 0.0
    return accuracy / trials
