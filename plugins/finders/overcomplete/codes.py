"""Overcomplete's sparse autoencoders: x ~ z D with codes z >= 0.

A (n, N) activations, x = (A - m) / s standardised as for the finder `sae`, since these decoders have no
bias. Encoder: one linear layer, ReLU, and what the method does to it. Decoder D (K, N): rows of unit norm,
but for ra_sae. The direction is D[k] scaled to unit norm, the response z_k ||D[k]||.

jump_sae is trained with the L1 penalty of sae. In the few thousand steps that the images of a split
allow, the package's thresholds hardly move from their start, e^-3, and the L0 penalty on them that the
method was published with leaves half of all codes active.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from iibench import CaseError, Directions

from .._autoencoder import ROWS, describe, standard, stored
from .._randomness import undisturbed
from .shared import Params, submodule

if TYPE_CHECKING:
    import torch

    from iibench import FitContext, FloatArray


def learn(params: Params, A: FloatArray, context: FitContext) -> Directions:
    """Adam on shuffled batches of one size, with the package's training loop.

    Notes: explained variance, mean number of active directions and the number of dead ones, on the fit
    split. Raises `CaseError` for fewer candidates than directions and for activations that are all the
    same.
    """
    import numpy as np
    import torch

    name = f"overcomplete[method={params.method}]"
    scaling = standard(A, name)
    package = submodule("sae")
    device = context.device if context.device == "cuda" else "cpu"
    x = torch.from_numpy(scaling.apply(A).astype(np.float32)).to(device)
    batch_size = min(params.batch_size, len(x))
    generator = torch.Generator().manual_seed(context.seed)
    points = _candidates(params, x, generator, name) if params.method == "ra_sae" else None
    with undisturbed(context.seed, device):
        model = _build(params, package, x.shape[1], batch_size, points, device)
        optimiser = torch.optim.Adam(model.parameters(), lr=params.lr)
        for epoch in range(params.epochs):
            order = torch.randperm(len(x), generator=generator).to(device)
            # whole batches only: the threshold of batch_topk_sae belongs to one size
            batches = [
                x[rows] for rows in torch.split(order, batch_size) if len(rows) == batch_size
            ]
            package.train_sae(
                model, batches, _loss(params), optimiser, nb_epochs=1, monitoring=0, device=device
            )
            context.progress(epoch + 1, params.epochs, "epochs")
        model.eval()
    with torch.no_grad():
        D = model.get_dictionary().detach()
        note = describe(x, lambda part: model.encode(part)[1], D, D.new_zeros(D.shape[1]))
    if not bool(torch.isfinite(D).all()):
        raise CaseError(
            f"{name}: the training gave directions that are not finite; try a smaller lr"
        )
    norms = D.norm(dim=1)
    state = {
        f"encoder.{key}": part.cpu().numpy() for key, part in model.encoder.state_dict().items()
    }
    state["norms"] = norms.cpu().numpy()
    if params.method == "batch_topk_sae":
        state["threshold"] = model.running_threshold.cpu().numpy()
    elif params.method == "jump_sae":
        state["thresholds"] = model.thresholds.detach().cpu().numpy()
    vectors = D / norms.clamp(min=torch.finfo(D.dtype).tiny)[:, None]
    return Directions(vectors.cpu().numpy(), scaling.state() | state, (note,))


def _candidates(
    params: Params, x: torch.Tensor, generator: torch.Generator, name: str
) -> torch.Tensor:
    """(C, N) activations that the decoder's rows are means of, drawn without replacement."""
    import torch

    count = min(params.candidates, len(x))
    if params.k > count:
        raise CaseError(
            f"{name}: k = {params.k} directions are asked for and there are {count} candidates "
            f"(candidates: {params.candidates}, images to fit on: {len(x)}); expected at least k"
        )
    return x[torch.randperm(len(x), generator=generator)[:count].to(x.device)]


def _build(
    params: Params,
    package: Any,
    width: int,
    batch_size: int,
    points: torch.Tensor | None,
    device: str,
) -> Any:
    """The package's module; without candidates `ra_sae` has the decoder of `topk_sae`."""
    common = {"device": device}
    if params.method == "sae":
        return package.SAE(width, params.k, **common)
    if params.method == "jump_sae":
        return package.JumpSAE(width, params.k, **common)
    if params.method == "batch_topk_sae":
        return package.BatchTopKSAE(width, params.k, params.active * batch_size, **common)
    if points is None:
        return package.TopKSAE(width, params.k, params.active, **common)
    return package.RATopKSAE(
        width, params.k, points, top_k=params.active, delta=params.delta, **common
    )


def _loss(params: Params) -> Any:
    """The package's criterion: mean over all entries of the squared error, and the L1 penalty."""
    weight = params.l1 if params.method in {"sae", "jump_sae"} else 0.0

    def loss(
        x: torch.Tensor, y: torch.Tensor, before: torch.Tensor, z: torch.Tensor, D: torch.Tensor
    ) -> torch.Tensor:
        error = (x - y).square().mean()
        return error + weight * z.sum(dim=1).mean() / x.shape[1] if weight else error

    return loss


def codes(params: Params, directions: Directions, A: FloatArray) -> FloatArray:
    """R (n, K) = z_k ||D[k]||, >= 0, in units of the fit split's scale s.

    From the package's module, rebuilt from the stored arrays, in float64, so that rounding does not
    decide which codes are among the largest.
    """
    import numpy as np
    import torch

    package = submodule("sae")
    state = {key: torch.from_numpy(np.array(part)) for key, part in directions.state.items()}
    with undisturbed():
        model = _build(params, package, A.shape[1], 1, None, "cpu")
    prefix = "encoder."
    model.encoder.load_state_dict(
        {key.removeprefix(prefix): part for key, part in state.items() if key.startswith(prefix)}
    )
    if params.method == "batch_topk_sae":
        model.running_threshold = state["threshold"].double()
    elif params.method == "jump_sae":
        model.thresholds.data = state["thresholds"]
    model.double().eval()
    scaling = stored(directions.state)
    norms = state["norms"].double()
    R = np.empty((len(A), params.k), np.float32)
    with torch.no_grad():
        for start in range(0, len(A), ROWS):
            x = torch.from_numpy(scaling.apply(A[start : start + ROWS]))
            R[start : start + ROWS] = (model.encode(x)[1] * norms).numpy()
    return R
