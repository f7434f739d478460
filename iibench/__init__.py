"""iibench measures how interpretable the features inside vision networks are.

`run` runs a suite and returns its results, `load_run` reads them back; `hookimpl` marks a plugin's hook
implementations, and everything that a plugin registers, is given or returns stands here too. Importing
this module imports nothing heavy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from iibench.contract.base import AssetFile, AssetSpec, NoParams, Resources, Spec, Work
from iibench.contract.checks import check_rgb
from iibench.contract.config import RunConfig
from iibench.contract.details import (
    Axis,
    Details,
    Figure,
    HeatMap,
    Histogram,
    ImageMap,
    ImageRows,
    Series,
    XYPlot,
    images_shown,
)
from iibench.contract.errors import (
    AssetError,
    CaseError,
    FileError,
    IibenchError,
    PluginError,
    Skip,
    SuiteError,
    UsageError,
    nearest,
    one_line,
    unknown_name,
)
from iibench.contract.evaluations import (
    AnalysisContext,
    EvaluationBase,
    EvaluationInputs,
    EvaluationSpec,
    SimilarityLookup,
    UnitScores,
    UnitTrials,
)
from iibench.contract.executors import (
    Executor,
    ExecutorSpec,
    Job,
    PluginsRequested,
    Task,
    TaskError,
    TaskResult,
)
from iibench.contract.measures import Curve, Measure, MeasureInfo, Section
from iibench.contract.paths import user_path
from iibench.contract.reports import (
    CaseReport,
    Exemplars,
    Named,
    Report,
    ResponseFacts,
    Status,
    Summary,
    TrialReport,
    Verdict,
)
from iibench.contract.specs import (
    API_VERSION,
    ChosenMetric,
    ComparingMetric,
    DatasetSpec,
    Directions,
    Distance,
    EmbeddingMetric,
    FinderSpec,
    FinderWork,
    FitContext,
    GivenNames,
    Golden,
    Harness,
    ImageDataset,
    LayerSpec,
    LoadedModel,
    MetricSpec,
    ModelSpec,
    NamedImages,
    PairwiseMetric,
    PreparedImages,
    Preprocess,
    TappedNetwork,
)
from iibench.contract.trials import (
    Answers,
    Stimuli,
    TrialDataset,
    TrialDatasetSpec,
    TrialEvaluationSpec,
    TrialInputs,
    TrialScores,
    TrialSimilarities,
)
from iibench.contract.version import __version__
from iibench.hooks.hookspecs import hookimpl

if TYPE_CHECKING:
    from iibench.assets.local import by_hand, find_local, packaged_path, sha256_of, torch_hub_dir
    from iibench.assets.unpickle import load_numpy_pickle
    from iibench.cache.source import source_sha256
    from iibench.contract.arrays import (
        BoolArray,
        DoubleArray,
        FloatArray,
        ImageArray,
        IntArray,
        TextArray,
    )
    from iibench.hooks.user_code.code import UserCode
    from iibench.report.run import ShownRun as Run
    from iibench.report.run import load_run
    from iibench.runner.run import run
    from iibench.runner.workers.worker import Worker

#: What is imported when it is first asked for.
_LATER = {
    "BoolArray": "iibench.contract.arrays",
    "DoubleArray": "iibench.contract.arrays",
    "FloatArray": "iibench.contract.arrays",
    "ImageArray": "iibench.contract.arrays",
    "IntArray": "iibench.contract.arrays",
    "TextArray": "iibench.contract.arrays",
    "Run": "iibench.report.run",
    "UserCode": "iibench.hooks.user_code.code",
    "Worker": "iibench.runner.workers.worker",
    "load_run": "iibench.report.run",
    "run": "iibench.runner.run",
    "by_hand": "iibench.assets.local",
    "find_local": "iibench.assets.local",
    "packaged_path": "iibench.assets.local",
    "sha256_of": "iibench.assets.local",
    "torch_hub_dir": "iibench.assets.local",
    "load_numpy_pickle": "iibench.assets.unpickle",
    "source_sha256": "iibench.cache.source",
}

__all__ = [
    "API_VERSION",
    "AnalysisContext",
    "Answers",
    "AssetError",
    "AssetFile",
    "AssetSpec",
    "Axis",
    "BoolArray",
    "CaseError",
    "CaseReport",
    "ChosenMetric",
    "ComparingMetric",
    "Curve",
    "DatasetSpec",
    "Details",
    "Directions",
    "Distance",
    "DoubleArray",
    "EmbeddingMetric",
    "EvaluationBase",
    "EvaluationInputs",
    "EvaluationSpec",
    "Executor",
    "ExecutorSpec",
    "Exemplars",
    "Figure",
    "FileError",
    "FinderSpec",
    "FinderWork",
    "FitContext",
    "FloatArray",
    "GivenNames",
    "Golden",
    "Harness",
    "HeatMap",
    "Histogram",
    "IibenchError",
    "ImageArray",
    "ImageDataset",
    "ImageMap",
    "ImageRows",
    "IntArray",
    "Job",
    "LayerSpec",
    "LoadedModel",
    "Measure",
    "MeasureInfo",
    "MetricSpec",
    "ModelSpec",
    "Named",
    "NamedImages",
    "NoParams",
    "PairwiseMetric",
    "PluginError",
    "PluginsRequested",
    "PreparedImages",
    "Preprocess",
    "Report",
    "Resources",
    "ResponseFacts",
    "Run",
    "RunConfig",
    "Section",
    "Series",
    "SimilarityLookup",
    "Skip",
    "Spec",
    "Status",
    "Stimuli",
    "SuiteError",
    "Summary",
    "TappedNetwork",
    "Task",
    "TaskError",
    "TaskResult",
    "TextArray",
    "TrialDataset",
    "TrialDatasetSpec",
    "TrialEvaluationSpec",
    "TrialInputs",
    "TrialReport",
    "TrialScores",
    "TrialSimilarities",
    "UnitScores",
    "UnitTrials",
    "UsageError",
    "UserCode",
    "Verdict",
    "Work",
    "Worker",
    "XYPlot",
    "__version__",
    "by_hand",
    "check_rgb",
    "find_local",
    "hookimpl",
    "images_shown",
    "load_numpy_pickle",
    "load_run",
    "nearest",
    "one_line",
    "packaged_path",
    "run",
    "sha256_of",
    "source_sha256",
    "torch_hub_dir",
    "unknown_name",
    "user_path",
]


def __getattr__(name: str) -> Any:
    """Imports the heavy part of the public face on first use."""
    if name not in _LATER:
        raise AttributeError(f"module 'iibench' has no attribute {name!r}")
    return getattr(import_module(_LATER[name]), "ShownRun" if name == "Run" else name)
