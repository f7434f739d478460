"""Small made-up runs of both kinds, with everything that can go wrong in them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from iibench.contract.reports import Verdict
from iibench.results.run import Run
from tests.conftest import ROOT
from tests.report.conftest import make_case, make_run
from tests.report.trials import runs as trial_runs

#: Text that breaks HTML, LaTeX, Markdown, XML and CSV where it is not escaped.
EVIL = '<img src=x onerror="hacked()">|a_b%c&d$e#f{g}~h^i\\j`k*l],;\n"m"\x00\x1bé中'


@pytest.fixture(scope="session")
def directions() -> Run:
    """Four methods under two metrics, one without; scored, partly scored, skipped, failed and error."""
    rng = np.random.default_rng(0)
    cases = []
    for metric in ("color", "lpips"):
        for finder, shift in (("neurons", 0.0), ("random[k=20]", -0.01), ("kmeans[k=30]", 0.5)):
            scores: list[float | None] = list(rng.normal(shift, 0.1, 30) - 1)
            if finder.startswith("kmeans"):
                scores[:2] = [None, None]
            cases.append(make_case(finder, metric, scores))
    cases.append(make_case("pca", "lpips", [0.1], evaluation="insilico[difficulty=0]"))
    cases.append(make_case("pca", None, [0.1, 0.2], evaluation="sparse"))
    nothing = {"summary": None}
    cases.append(make_case("ica", "color", [], status="skipped", reason="no weights", **nothing))
    cases.append(
        make_case(
            "nmf", "color", [], status="error", reason="it broke", traceback="Tr\x0bace", **nothing
        )
    )
    cases[2] = dataclasses.replace(cases[2], status="failed", reason="expected at least 3\nfound 2")
    verdicts = [
        Verdict("kmeans is better", "passed", "p = 0.001", "toy", cases[2].id),
        Verdict("kmeans is at least 3", "failed", "found 2", "toy", cases[2].id),
        Verdict("of another dataset", "skipped", "it is about cifar10"),
    ]
    return make_run(cases, verdicts, notes=[{"level": "warning", "text": "mind the gap"}])


@pytest.fixture(scope="session")
def evil() -> Run:
    """Markup of every kind in every text that comes from suites and plugins."""
    cases = [
        make_case(f"[{EVIL}]", f"m {EVIL}", [0.1, 0.2, 0.3], layer=EVIL, dataset=EVIL),
        make_case("neurons", f"m {EVIL}", [0.1, 0.2, 0.4], layer=EVIL, dataset=EVIL),
        make_case(
            f"*{EVIL}", f"m {EVIL}", [], layer=EVIL, dataset=EVIL, status="error", reason=EVIL
        ),
    ]
    return make_run(
        cases, [Verdict(EVIL, "failed", EVIL)], name=EVIL, versions={"torch": EVIL, EVIL: EVIL}
    )


@pytest.fixture(scope="session")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on made-up trials, read back from its folder."""
    return trial_runs.full_run(tmp_path_factory.mktemp("trials"), trial_runs.make_data())


@pytest.fixture(scope="session")
def empty() -> Run:
    """A run in which nothing could be done."""
    case = make_case("pca", "lpips", [], status="skipped", reason="no weights", summary=None)
    return make_run([case])


@pytest.fixture(scope="session")
def sample() -> Run:
    """The run that is kept in the repository."""
    from iibench.results.run import load_run

    return load_run(ROOT / "reports/sample")


@pytest.fixture(params=["directions", "trials", "evil", "empty", "sample"])
def any_run(request: pytest.FixtureRequest) -> Run:
    """Each of them in turn."""
    found: Run = request.getfixturevalue(request.param)
    return found
