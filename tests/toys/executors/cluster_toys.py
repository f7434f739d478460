"""For tests of workers that die: a network that takes its time, and a finder whose fit kills its process.

TOY_PASSES names a file to which every forward pass adds a line; TOY_DEATHS a folder in which each death
leaves a file, so that as many as `deaths` fits die.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from iibench import Directions, FinderSpec, LoadedModel, ModelSpec, Preprocess, hookimpl


def load_slow(params, layer, resources):
    import torch

    class Slow(torch.nn.Module):
        def forward(self, x):
            if len(x) > 2:  # not where only the width is asked for
                time.sleep(0.2)
            with Path(os.environ["TOY_PASSES"]).open("a") as file:
                file.write(f"{len(x)} {os.getpid()}\n")
            return torch.relu(x - 0.1)

    net = torch.nn.Sequential()
    net.add_module("tap", Slow())
    return LoadedModel(net.eval(), Preprocess(), "made up")


@dataclass(frozen=True)
class Fragile:
    deaths: int = 1


def fit_fragile(params, A, context):
    import numpy as np

    folder = Path(os.environ["TOY_DEATHS"])
    for death in range(params.deaths):
        try:
            (folder / str(death)).touch(exist_ok=False)
        except FileExistsError:
            continue
        os.kill(os.getpid(), signal.SIGKILL)
    return Directions(np.eye(A.shape[1], dtype=np.float32)[:2])


@hookimpl
def iibench_register_models():
    return [ModelSpec(name="slownet", summary="takes its time", load=load_slow)]


@hookimpl
def iibench_register_finders():
    return [
        FinderSpec(
            name="fragile",
            summary="dies when it is fitted",
            params=Fragile,
            headline=("deaths",),
            fit=fit_fragile,
            encode=lambda params, directions, A: A @ directions.vectors.T,
        )
    ]
