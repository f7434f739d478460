"""Edges of images: a second file of the package, whose text is part of the plugin's hash too."""


def edge_strength(x):
    """x (n, 3, h, w) -> (n, 6): mean absolute difference of neighbours, per channel and axis.

    Of small blocks, so that the noise of single pixels does not count as edges.
    """
    import torch

    x = torch.nn.functional.avg_pool2d(x, 4)
    across = (x[..., :, 1:] - x[..., :, :-1]).abs().mean(dim=(2, 3))
    down = (x[..., 1:, :] - x[..., :-1, :]).abs().mean(dim=(2, 3))
    return torch.cat([across, down], dim=1)
