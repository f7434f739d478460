"""iibench measures how interpretable the features inside vision networks are.

`run` runs a suite and returns its results, `load_run` reads them back; `hookimpl` marks a plugin's
hook implementations; `iibench.specs` has what plugins register. Importing this module imports
nothing heavy.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from iibench.contract.checks import check_rgb
from iibench.contract.evaluations import EvaluationSpec, UnitScores, UnitTrials
from iibench.contract.executors import ExecutorSpec
from iibench.contract.measures import Section
from iibench.contract.specs import (
    API_VERSION,
    DatasetSpec,
    Directions,
    FinderSpec,
    LayerSpec,
    LoadedModel,
    MetricSpec,
    ModelSpec,
    Preprocess,
)
from iibench.hooks.hookspecs import hookimpl

if TYPE_CHECKING:
    from iibench.results.run import Run, load_run
    from iibench.runner.run import run

try:
    __version__ = version("iibench")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"

__all__ = [
    "API_VERSION",
    "DatasetSpec",
    "Directions",
    "EvaluationSpec",
    "ExecutorSpec",
    "FinderSpec",
    "LayerSpec",
    "LoadedModel",
    "MetricSpec",
    "ModelSpec",
    "Preprocess",
    "Run",
    "Section",
    "UnitScores",
    "UnitTrials",
    "__version__",
    "check_rgb",
    "hookimpl",
    "load_run",
    "run",
]


def __getattr__(name: str) -> Any:
    """Imports the heavy half of the public face on first use."""
    if name == "run":
        from iibench.runner.run import run

        return run
    if name in {"Run", "load_run"}:
        from iibench.results import run as results

        return getattr(results, name)
    raise AttributeError(f"module 'iibench' has no attribute {name!r}")
