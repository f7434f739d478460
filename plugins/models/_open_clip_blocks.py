"""Modules that make the study's units reachable; imported only when a network is built."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Bottleneck(nn.Module):
    """A residual block of a ResNet50, made of the modules of torchvision's or open_clip's own.

    Computes ReLU(shortcut), where `shortcut` is the sum of bn3's output and the block's (where it
    has to be, downsampled) input: (b, C, h, w) -> (b, C', h', w'). Parameters keep their names and
    outputs their values; no ReLU works in place, so that what bn1 and bn2 gave stays signed.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.conv1, self.bn1 = block.conv1, block.bn1
        self.conv2, self.bn2 = block.conv2, block.bn2
        self.avgpool = getattr(block, "avgpool", nn.Identity())  # open_clip's strides
        self.conv3, self.bn3 = block.conv3, block.bn3
        self.downsample = nn.Identity() if block.downsample is None else block.downsample
        self.shortcut = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The block's output."""
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(self.avgpool(out)))
        return torch.relu(self.shortcut(out + self.downsample(x)))


class VisualTower(nn.Module):
    """The image half of a CLIP network under its name there, `visual`; there is no text tower."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The image's embedding (b, d)."""
        embedding: torch.Tensor = self.visual(x)
        return embedding


def with_shortcuts(resnet: Any) -> None:
    """Replaces every residual block of `resnet` by a `Bottleneck`, in place."""
    for stage in (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4):
        for k, block in enumerate(stage):
            stage[k] = Bottleneck(block)


def without_inplace_relus(module: nn.Module) -> None:
    """Makes every ReLU module leave its input as it is."""
    for part in module.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
