"""What a plugin must leave as it found it: the process's state, its folder, its random generators."""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from iibench.hooks.user_code.guard import contained

T = TypeVar("T")

#: Environment variables that decide where other code looks for files or how it computes: names, and
#: beginnings of names.
VARIABLES = (
    *(
        "TORCH_HOME",
        "TORCH_EXTENSIONS_DIR",
        "HF_",
        "HUGGINGFACE_",
        "TRANSFORMERS_",
        "XDG_CACHE_HOME",
    ),
    *("IIBENCH_", "HOME", "TMPDIR", "PYTHONPATH", "PYTHONHASHSEED"),
    *("CUDA_VISIBLE_DEVICES", "CUBLAS_WORKSPACE_CONFIG", "OMP_NUM_THREADS", "MKL_NUM_THREADS"),
)
#: The setting that says which folder is the working one.
FOLDER = "the working folder"
#: Entries of a folder that are listed at most.
MOST = 5000


@dataclass(frozen=True)
class ProcessState:
    """`settings`: name in words -> value; `files`: names in the working folder, two levels deep."""

    settings: Mapping[str, Any]
    files: frozenset[str]

    @classmethod
    def now(cls) -> ProcessState:
        """As it is at this moment."""
        import torch

        cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
        settings: dict[str, Any] = {
            "torch.hub.get_dir()": torch.hub.get_dir(),
            "torch.get_default_dtype()": torch.get_default_dtype(),
            "torch.get_default_device()": torch.get_default_device(),
            "torch.is_grad_enabled()": torch.is_grad_enabled(),
            "torch.is_inference_mode_enabled()": torch.is_inference_mode_enabled(),
            "torch.get_num_threads()": torch.get_num_threads(),
            "torch's deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
            "torch.get_float32_matmul_precision()": torch.get_float32_matmul_precision(),
            "torch.backends.cudnn.benchmark": cudnn.benchmark,
            "torch.backends.cudnn.deterministic": cudnn.deterministic,
            "torch.backends.cudnn.allow_tf32": cudnn.allow_tf32,
            "torch.backends.cuda.matmul.allow_tf32": matmul.allow_tf32,
            FOLDER: str(Path.cwd()),
            "sys.path": tuple(sys.path),
        }
        for name, value in os.environ.items():
            if name.startswith(VARIABLES):
                settings[f"the environment variable {name}"] = value
        return cls(settings, frozenset(_listed(Path.cwd())))

    def changes(self, later: ProcessState) -> tuple[str, ...]:
        """A phrase for each setting that is another one later."""
        phrases = []
        for name in [*self.settings, *(n for n in later.settings if n not in self.settings)]:
            before, after = (_shown(state.settings.get(name)) for state in (self, later))
            if self.settings.get(name) == later.settings.get(name):
                continue
            if name == "sys.path":
                new = [p for p in later.settings[name] if p not in self.settings[name]]
                phrases.append(f"sys.path got {', '.join(new) or 'another order'}")
            else:
                phrases.append(f"{name} was {before} and is {after}")
        return tuple(phrases)

    def written(self, later: ProcessState) -> tuple[str, ...]:
        """Names that are new in the working folder, by name."""
        same = self.settings[FOLDER] == later.settings[FOLDER]
        return tuple(sorted(later.files - self.files)) if same else ()


def _shown(value: Any) -> str:
    return "not set" if value is None else str(value)


def _listed(folder: Path, deep: int = 2) -> Iterator[str]:
    """Names below a folder, relative to it, `deep` levels down; at most `MOST` of each folder."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for _, entry in zip(range(MOST), entries, strict=False):
            yield entry.name
            if deep > 1 and entry.is_dir(follow_symlinks=False):
                for inner in _listed(Path(entry.path), deep - 1):
                    yield f"{entry.name}/{inner}"


# --------------------------------------------------------------------------- random generators


@dataclass(frozen=True)
class RandomState:
    """The states of the three global generators, each as something that can be compared."""

    torch: bytes
    numpy: tuple[Any, ...]
    python: tuple[Any, ...]

    @classmethod
    def now(cls) -> RandomState:
        """As they are at this moment."""
        import torch

        name, keys, *rest = np.random.get_state()
        return cls(
            torch.get_rng_state().numpy().tobytes(),
            (name, np.asarray(keys).tobytes(), *rest),
            random.getstate(),
        )

    def put_back(self) -> None:
        """Sets the global generators to this state."""
        import torch

        torch.set_rng_state(torch.from_numpy(np.frombuffer(self.torch, np.uint8).copy()))
        name, keys, *rest = self.numpy
        np.random.set_state((name, np.frombuffer(keys, np.uint32), *rest))
        random.setstate(self.python)

    def shared_with(self, other: RandomState) -> tuple[str, ...]:
        """The generators that are in one state in both."""
        names = {"torch": "torch", "numpy": "numpy.random", "python": "random"}
        return tuple(
            words for name, words in names.items() if getattr(self, name) == getattr(other, name)
        )


def seed_all(seed: int) -> None:
    """Seeds torch's, NumPy's and Python's global generators."""
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


# ------------------------------------------------------------------------------------ watching


@dataclass(frozen=True)
class Watched(Generic[T]):
    """What a call returned, and what it did besides."""

    value: T
    changes: tuple[str, ...]
    written: tuple[str, ...]
    printed: str
    random_after: RandomState


def watch(call: Callable[[], T], seed: int) -> Watched[T]:
    """Calls with the global generators at `seed`, and records what changed."""
    seed_all(seed)
    before = ProcessState.now()
    out = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(out), contained():
        warnings.simplefilter("ignore")
        value = call()
    after = ProcessState.now()
    return Watched(
        value, before.changes(after), before.written(after), out.getvalue(), RandomState.now()
    )


@contextlib.contextmanager
def preserved() -> Iterator[Path]:
    """An empty working folder, and all that a plugin may have changed put back in the end.

    That is: random generators, torch's settings, environment, `sys.path` and the working folder. What
    is in the folder then was put there by this process, and nothing finds files by being started in the
    right place. Yields the folder.
    """
    import torch

    generators, state = RandomState.now(), ProcessState.now()
    environment, path = dict(os.environ), list(sys.path)
    cudnn = torch.backends.cudnn
    flags = (cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32)
    multiply = torch.backends.cuda.matmul.allow_tf32
    own_hub = getattr(torch.hub, "_hub_dir", None)
    sys.path[:] = [os.path.abspath(place) for place in path]  # noqa: PTH100 - keeps links
    with tempfile.TemporaryDirectory(
        prefix="iibench-testing-", ignore_cleanup_errors=True
    ) as folder:
        try:
            os.chdir(folder)
            yield Path(folder)
        finally:
            os.chdir(state.settings[FOLDER])
            settings = state.settings
            torch.hub._hub_dir = own_hub
            torch.set_default_dtype(settings["torch.get_default_dtype()"])
            torch.set_grad_enabled(settings["torch.is_grad_enabled()"])
            if torch.get_num_threads() != settings["torch.get_num_threads()"]:
                torch.set_num_threads(settings["torch.get_num_threads()"])
            torch.use_deterministic_algorithms(settings["torch's deterministic algorithms"])
            torch.set_float32_matmul_precision(settings["torch.get_float32_matmul_precision()"])
            cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32 = flags
            torch.backends.cuda.matmul.allow_tf32 = multiply
            os.environ.clear()
            os.environ.update(environment)
            sys.path[:] = path
            generators.put_back()
