"""How fast this machine is right now, from a fraction of a second of each kind of work (`Work`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from iibench.contract.base import Work

#: Sides of the matrices that are multiplied, entries that are passed over, small operations in a row.
SIDE, ENTRIES, STEPS = 512, 1 << 21, 2000
#: The same on a GPU, which starts each operation about as fast as it does all of a smaller one.
GPU_SIDE, GPU_ENTRIES = 2048, 1 << 25
#: Entries of the array of a small operation.
FEW = 256
#: Each kind of work is repeated, since other programs may run beside it.
REPEATS = 5


@dataclass(frozen=True)
class Machine:
    """Seconds of one floating-point operation in a product of float32 (`flop`) and of float64 (`flop64`)
    matrices, of passing over one entry of a large array (`value`), and of one small operation (`step`).
    """

    flop: float
    flop64: float
    value: float
    step: float

    def seconds(self, work: Work) -> float:
        """Of the work's operations; imports, similarities and passes are not counted here."""
        return (
            work.flops * self.flop
            + work.flops64 * self.flop64
            + work.values * self.value
            + work.steps * self.step
        )


def measured_machine(
    clock: Callable[[], float] = time.perf_counter, device: str = "cpu"
) -> Machine:
    """Times a few operations of torch on `device` (cpu or cuda), a quarter of a second in all."""
    import torch

    def wait() -> None:
        if device == "cuda":  # whose operations go on after the call that began them
            torch.cuda.synchronize()

    def seconds(run: Callable[[], object], amount: float) -> float:
        run()  # the first one starts threads, or the GPU
        wait()
        times = []
        for _ in range(REPEATS):
            start = clock()
            run()
            wait()
            times.append(clock() - start)
        return fmean(times) / amount  # what other programs take counts too

    side, entries = (GPU_SIDE, GPU_ENTRIES) if device == "cuda" else (SIDE, ENTRIES)
    single = torch.ones((side, side), device=device)
    double = single.double()
    many, few = torch.ones(entries, device=device), torch.ones(FEW, device=device)

    def small() -> None:
        for _ in range(STEPS):
            few.mul_(1.0)

    with torch.inference_mode():
        return Machine(
            flop=seconds(lambda: single @ single, 2 * side**3),
            flop64=seconds(lambda: double @ double, 2 * side**3),
            value=seconds(lambda: many * 2.0, entries),
            step=seconds(small, STEPS),
        )
