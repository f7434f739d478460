"""Similarities from inner products of embeddings, as distances between vectors have them.

|a - b|^2 = |a|^2 + |b|^2 - 2 a.b, and the cosine is a.b / (|a| |b|).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iibench.contract.errors import CaseError

if TYPE_CHECKING:
    import torch

    from iibench.contract.specs import Distance


def from_products(
    products: torch.Tensor, left: torch.Tensor, right: torch.Tensor, distance: Distance
) -> torch.Tensor:
    """float64 similarities from inner products and the float64 squared norms that broadcast against them.

    >>> import torch
    >>> a, b = torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 0.0], [3.0, 0.0]])
    >>> norms = [x.double().square().sum(1) for x in (a, b)]
    >>> from_products(a @ b.T, norms[0][:, None], norms[1], "euclidean").tolist()
    [[-5.0, -4.0]]
    """
    products = products.double()
    if distance == "cosine":
        # a row of zeros is like nothing: 0, and not NaN
        return products / (left.sqrt() * right.sqrt()).clamp_min(1e-30)
    # the difference of like numbers may come out below zero by rounding, and has then no square root
    return minus_distance((left + right - 2 * products).clamp_min_(0), distance)


def no_cosine() -> CaseError:
    """The error for an embedding of zeros.

    >>> str(no_cosine())
    'the metric gave an embedding of zeros, which has no direction and so no cosine with another one'
    """
    return CaseError(
        "the metric gave an embedding of zeros, which has no direction and so no cosine with another one"
    )


def into_products(
    products: torch.Tensor, left: torch.Tensor, right: torch.Tensor, distance: Distance
) -> torch.Tensor:
    """`from_products` in the memory and precision of the products, for large blocks of pairs.

    The order of operations is another one, since nothing of the products' size is made beside them.

    >>> norms = torch.tensor([25.0, 9.0]).double()
    >>> into_products(torch.tensor([9.0]), norms[:1], norms[1:], "squared_euclidean").tolist()
    [-16.0]
    """
    left, right = left.to(products.dtype), right.to(products.dtype)
    if distance == "cosine":
        return products.div_(left.sqrt().clamp_min(1e-30)).div_(right.sqrt().clamp_min(1e-30))
    return minus_distance(products.mul_(-2).add_(left).add_(right).clamp_min_(0), distance)


def minus_distance(squared: torch.Tensor, distance: Distance) -> torch.Tensor:
    """Minus the (squared) Euclidean distance, in the memory of its square.

    >>> minus_distance(torch.tensor([16.0]), "euclidean").tolist()
    [-4.0]
    """
    return (squared if distance == "squared_euclidean" else squared.sqrt_()).neg_()
