"""The executor `ray`: a run's work done by actors of a Ray cluster, or of a Ray started for the run.

Each actor is a worker that keeps its networks and data, and does one task at a time. README.md, beside this
file, says how to start a cluster and what must be on each of its machines.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from iibench import ExecutorSpec, Job, UsageError, hookimpl

if TYPE_CHECKING:
    from .team import RayTeam


@dataclass(frozen=True)
class Params:
    """Parameters of the executor `ray`."""

    address: str | None = field(
        default=None,
        metadata={
            "help": "auto (the cluster of this machine) or host:port; none starts a Ray here"
        },
    )
    workers: Annotated[int, Ge(1)] | None = field(
        default=None, metadata={"help": "none: as many as the CPUs and GPUs of the cluster allow"}
    )
    cpus: Annotated[int, Ge(1)] = field(
        default=1, metadata={"help": "CPUs of a worker, and its threads"}
    )
    gpus: Annotated[float, Ge(0)] | None = field(
        default=None, metadata={"help": "GPUs of a worker; none: 1 with --device cuda, else 0"}
    )
    retries: Annotated[int, Ge(0)] = field(
        default=2, metadata={"help": "how often a task is done again after its worker died"}
    )
    scratch: str | None = field(
        default=None,
        metadata={"help": "folder for a machine's own cache; none: below --cache-dir"},
    )


def start(params: Params, job: Job) -> RayTeam:
    """Workers on a Ray cluster; raises `UsageError` where there is none or it has no room."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # quiets a notice
    if params.address is None:
        _ask_for_token()
    try:
        import ray  # noqa: F401 - asked for here, where its absence can be told
    except ImportError as error:
        raise UsageError("--executor ray needs: pip install 'iibench[ray]'") from error
    from .team import RayTeam, join

    gpus = params.gpus
    if gpus is None:
        gpus = 1.0 if job.config.device == "cuda" else 0.0
    joined = join(params.address, params.workers, params.cpus)
    return RayTeam(
        job,
        joined,
        workers=params.workers,
        cpus=params.cpus,
        gpus=gpus,
        retries=params.retries,
        scratch=params.scratch,
    )


def _ask_for_token() -> None:
    """Has a Ray that is started here ask for a token, which only this run and its workers know.

    Versions that know no tokens ignore it. It is left as it is where somebody has decided, and where Ray,
    which reads it when it is imported, has been imported already.
    """
    if "ray" not in sys.modules and "RAY_AUTH_MODE" not in os.environ:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


@hookimpl
def iibench_register_executors() -> Iterable[ExecutorSpec]:
    """Registers `ray`."""
    return [
        ExecutorSpec(
            name="ray",
            summary="actors of a Ray cluster, or of a Ray started on this machine",
            params=Params,
            start=start,
            one_machine=lambda params: params.address is None,
            citation="Moritz et al. 2018, Ray: A Distributed Framework for Emerging AI Applications",
            licence="Apache-2.0 (ray)",
        )
    ]
