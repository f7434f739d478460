"""The architecture's rules, checked on the source: imports go downward, the core imports no plugin."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

#: module or package below iibench -> layer; an import at run time may only go to the same or a lower one
LAYERS = {
    "errors": 0,
    "specs": 0,
    "hookspecs": 0,
    "records": 0,
    "trials": 0,
    "rgb": 0,
    "details": 0,
    "shared_store": 1,
    "shared_rows": 1,
    "shared_columns": 2,
    "tasks": 3,
    "worker": 3,
    "distribution": 3,
    "plugins": 1,
    "registry": 1,
    "suite": 1,
    "assets": 1,
    "cache": 1,
    "fetch": 1,
    "recorded": 1,
    "unpack": 1,
    "zenodo": 1,
    "unpickle": 1,
    "images": 1,
    "folding": 1,
    "details_check": 1,
    "details_io": 1,
    "activations": 2,
    "asked": 2,
    "agreement": 2,
    "calibration": 2,
    "bootstrap": 2,
    "ceilings": 2,
    "comparing": 2,
    "embeddings": 2,
    "encoding": 2,
    "exemplars": 2,
    "extremes": 2,
    "gradients": 2,
    "observers": 2,
    "streaming": 2,
    "streamed_similarity": 2,
    "trial_similarity": 2,
    "reliability": 2,
    "resampling": 2,
    "sign_flips": 2,
    "similarity": 2,
    "statistics": 2,
    "responses": 2,
    "paired": 2,
    "parts": 2,
    "case_groups": 2,
    "pair_sums": 2,
    "pair_statistics": 2,
    "memo": 1,
    "memory": 1,
    "precision": 1,
    "columns": 1,
    "inputs": 3,
    "harness": 3,
    "trial_bench": 3,
    "trial_results": 3,
    "trial_leaderboard": 3,
    "keys": 3,
    "workbench": 3,
    "machine": 1,
    "peak": 1,
    "probe": 2,
    "rates": 3,
    "plan": 3,
    "plan_finders": 3,
    "plan_inputs": 3,
    "plan_memory": 3,
    "plan_probes": 3,
    "results": 3,
    "unit_results": 3,
    "unit_tables": 3,
    "leaderboard": 3,
    "metric_leaderboard": 3,
    "lab": 3,
    "response_bench": 3,
    "export": 3,
    "figures": 3,
    "notebook": 3,
    "case_comparison": 3,
    "comparison": 3,
    "same_units": 3,
    "run_settings": 3,
    "fail_if": 3,
    "rerun": 3,
    "terminal_compare": 3,
    "provenance": 3,
    "runner": 3,
    "run_folder": 3,
    "report": 3,
    "terminal": 3,
    "terminal_analyses": 3,
    "testing": 4,
    "api": 4,
    "cli": 4,
}
MODULES = sorted((ROOT / "iibench").rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Dotted names a module imports when it runs; what stands under TYPE_CHECKING does not count."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def part(path: Path) -> str:
    return path.relative_to(ROOT / "iibench").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_downward(path: Path) -> None:
    own = part(path)
    if own in {"__init__", "__main__"}:
        return
    assert own in LAYERS, f"give {own} a layer"
    for name in imports(path):
        pieces = name.split(".")
        assert pieces[0] != "iibench_plugins", f"the core imports the plugin {name}"
        if pieces[0] == "iibench" and len(pieces) > 1 and pieces[1] in LAYERS:
            assert LAYERS[pieces[1]] <= LAYERS[own], f"{own} (layer {LAYERS[own]}) imports {name}"


def test_first_party_plugins_use_what_third_parties_may_use() -> None:
    allowed = {
        "specs",
        "errors",
        "assets",
        "unpickle",
        "hookspecs",
        "exemplars",
        "images",
        "hookimpl",
        "rgb",
        "records",
        "trials",
        "agreement",
        "calibration",
        "ceilings",
        "details",
        "observers",
        "pair_statistics",
        "pair_sums",
        "reliability",
        "resampling",
        "statistics",
        "trial_similarity",
        "worker",
    }
    for path in (ROOT / "plugins").rglob("*.py"):
        for name in imports(path):
            pieces = name.split(".")
            if pieces[0] == "iibench" and len(pieces) > 1 and pieces[1][0].islower():
                assert pieces[1] in allowed, f"{path.relative_to(ROOT)} imports {name}"
