"""Every hook, called when and with what its specification says: one test each, with a small plugin.

Each test bears the name of its hook; `test_every_hook_has_a_test_and_a_row_in_plugins_readme` keeps the
tests, `plugins/README.md` and the specifications equal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from iibench.hooks import hookspecs
from iibench.hooks.loading import load_plugins
from tests.conftest import ROOT, run_json

HOOKS = [name for name in vars(hookspecs) if name.startswith("iibench_")]


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[..., Path]:
    """Writes a one-file plugin that may `log(...)`; returns its folder, for `--plugins-dir`."""
    folder = tmp_path / "plugins"
    folder.mkdir()

    def write(body: str, name: str = "mine") -> Path:
        head = (
            "import json\n"
            "from pathlib import Path\n"
            "import iibench\n"
            "from iibench import hookimpl\n"
            "def log(*what):\n"
            f"    with Path({str(tmp_path / 'log')!r}).open('a') as file:\n"
            "        file.write(json.dumps(what) + chr(10))\n"
        )
        (folder / f"{name}.py").write_text(head + body)
        return folder

    return write


@pytest.fixture
def logged(tmp_path: Path) -> Callable[[], list[Any]]:
    return lambda: [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]


# ------------------------------------------------------------------------------ registration


def test_iibench_register_datasets(plugin, iibench, suite) -> None:
    folder = plugin("""
import numpy as np
class Flat:
    labels = None
    class_names = ()
    image_size = (8, 8)
    fingerprint = "flat"
    def __len__(self): return 30
    def images(self, indices):
        grey = (np.asarray(indices) * 8).astype(np.uint8)
        return np.broadcast_to(grey[:, None, None, None], (len(grey), 8, 8, 3))
@hookimpl
def iibench_register_datasets():
    return [iibench.DatasetSpec(name="flat", summary="", load=lambda p, split, h: Flat())]
""")
    path = suite(("{name: toy}", "{name: flat, fit: all, evaluate: all}"))
    done = iibench("run", path, "-o", "out", "-k", "activity and neurons", "--plugins-dir", folder)
    assert done.code == 0, done.err
    assert "flat" in json.dumps(run_json(Path("out"))["datasets"])


def test_iibench_register_models(plugin, iibench, suite) -> None:
    folder = plugin("""
def load(params, layer, resources):
    import torch
    net = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Identity()).eval()
    return iibench.LoadedModel(net, iibench.Preprocess(), "none to load")
@hookimpl
def iibench_register_models():
    return [iibench.ModelSpec(name="blur", summary="", load=load)]
""")
    path = suite(("{name: toynet, layers: [mixed]}", "{name: blur, layers: ['1']}"))
    done = iibench("run", path, "-o", "out", "-k", "activity and neurons", "--plugins-dir", folder)
    assert done.code == 0, done.err
    (case,) = run_json(Path("out"))["cases"]
    assert case["summary"]["scored"] == 3


def test_iibench_register_layers(plugin, iibench, suite) -> None:
    folder = plugin("""
@hookimpl
def iibench_register_layers(model):
    return [iibench.LayerSpec("mine", "raw")] if model.name == "toynet" else ()
""")
    path = suite(("layers: [mixed]", "layers: [mine]"))
    done = iibench("run", path, "-o", "out", "-k", "activity and neurons", "--plugins-dir", folder)
    assert done.code == 0, done.err
    assert run_json(Path("out"))["cases"][0]["layer"] == "raw"


def test_iibench_register_finders(plugin, iibench, suite) -> None:
    folder = plugin("""
import numpy as np
def fit(params, A, context):
    return iibench.Directions(A[:2].copy())
@hookimpl
def iibench_register_finders():
    yield iibench.FinderSpec(
        name="twins", summary="", fit=fit, encode=lambda params, d, A: A @ d.vectors.T
    )
""")
    path = suite(("  - neurons\n", "  - neurons\n  - twins\n"))
    done = iibench("run", path, "-o", "out", "-k", "activity and twins", "--plugins-dir", folder)
    assert done.code == 0, done.err
    assert run_json(Path("out"))["cases"][0]["summary"]["scored"] == 2


METRIC = """
class Same:
    fingerprint = ""
    def pairwise(self, a, b):
        import torch
        return torch.full((len(a), len(b)), 0.25)
@hookimpl
def iibench_register_metrics():
    return [iibench.MetricSpec(name="same", summary="", load=lambda params, harness: Same())]
"""


def test_iibench_register_metrics(plugin, iibench, suite) -> None:
    folder = plugin(METRIC)
    path = suite(("  - toybright\n", "  - same\n"))
    done = iibench("run", path, "-o", "out", "-k", "ii and same", "--plugins-dir", folder)
    assert done.code == 0, done.err
    assert {case["summary"]["mean"] for case in run_json(Path("out"))["cases"]} == {0.25}


def test_iibench_register_evaluations(plugin, iibench, suite) -> None:
    folder = plugin("""
import numpy as np
def evaluate(params, inputs):
    k = inputs.order.shape[1]
    return iibench.UnitScores(np.full(k, 7.0), (None,) * k)
@hookimpl
def iibench_register_evaluations():
    return [iibench.EvaluationSpec(name="seven", summary="", evaluate=evaluate, needs_metric=False)]
""")
    path = suite(("  - activity\n", "  - seven\n"))
    done = iibench("run", path, "-o", "out", "-k", "seven", "--plugins-dir", folder)
    assert done.code == 0, done.err
    assert {case["summary"]["mean"] for case in run_json(Path("out"))["cases"]} == {7.0}


def test_iibench_register_executors(plugin, iibench, suite) -> None:
    folder = plugin("""
from iibench import ExecutorSpec
class Here:
    workers = 1
    def __init__(self, job):
        from iibench import Worker
        self.worker = Worker(job)
    def run(self, tasks):
        for task in tasks:
            log(task.kind)
            yield self.worker.do(task)
    def close(self): log("closed")
@hookimpl
def iibench_register_executors():
    return [ExecutorSpec(name="here", summary="", start=lambda params, job: Here(job),
                         one_machine=lambda params: True)]
""")
    options = ("-k", "neurons and activity", "--plugins-dir", folder, "--executor", "here")
    done = iibench("run", suite(), "-o", "out", *options)
    assert done.code == 0, done.err
    log = (folder.parent / "log").read_text().split()
    assert log == ['["activations"]', '["directions"]', '["scores"]', '["closed"]']
    assert run_json(Path("out"))["cases"][0]["summary"]["scored"] == 6


def test_iibench_suite_metrics(plugin, iibench, suite) -> None:
    """Added to every evaluation of every suite, once, and nothing where the suite has it already."""
    body = "@hookimpl\ndef iibench_suite_metrics(): return ['same', 'toybright', 'toycolour[gb]']\n"
    folder = plugin(METRIC + body)
    done = iibench("run", suite(), "-o", "out", "-k", "neurons", "--plugins-dir", folder)
    assert done.code == 0, done.err
    run = run_json(Path("out"))
    assert run["added_metrics"] == ["same", "toycolour[gb]"]
    ids = [case["id"] for case in run["cases"]]
    for metric in ("same", "toycolour[gb]"):
        for evaluation in ("ii", "insilico[difficulty=0.2"):
            assert [i for i in ids if f"/{metric}/{evaluation}" in i], (metric, evaluation)
    assert len(ids) == len(set(ids))


def test_iibench_register_commands(plugin, iibench) -> None:
    folder = plugin("""
import click
@hookimpl
def iibench_register_commands(cli):
    @cli.command("greet")
    @click.option("--plugins-dir")
    def greet(plugins_dir): click.echo("hello from a plugin")
""")
    done = iibench("greet", "--plugins-dir", folder, toys=False)
    assert (done.code, done.out) == (0, "hello from a plugin\n")


# -------------------------------------------------------------------------------- life cycle


def run(iibench, suite, folder: Path) -> None:
    done = iibench("run", suite(), "-o", "out", "-k", "activity", "--plugins-dir", folder)
    assert done.code == 0, done.err


@pytest.mark.slow
def test_iibench_configure(plugin, iibench, suite, logged) -> None:
    folder = plugin("""
@hookimpl
def iibench_configure(config): log(config.suite.endswith("toy.yaml"), config.device, config.keyword)
""")
    run(iibench, suite, folder)
    assert logged() == [[True, "auto", "activity"]]


def test_iibench_collection_modify(plugin, iibench, suite) -> None:
    folder = plugin("""
@hookimpl
def iibench_collection_modify(suite, cases):
    cases[:] = [case for case in cases if "pick" not in case.id]
""")
    run(iibench, suite, folder)
    assert [c["finder"]["label"] for c in run_json(Path("out"))["cases"]] == ["neurons"]


def test_iibench_run_start(plugin, iibench, suite, logged) -> None:
    folder = plugin("""
@hookimpl
def iibench_run_start(config, suite, cases, notes): log(suite.name, len(cases), notes)
""")
    run(iibench, suite, folder)
    assert logged() == [["toysuite", 3, []]]


def test_iibench_stage_progress(plugin, iibench, suite, logged) -> None:
    folder = plugin("""
@hookimpl
def iibench_stage_progress(stage, done, total, unit): log(stage, done, total, unit)
""")
    run(iibench, suite, folder)
    ours = [entry for entry in logged() if entry[0] == "activations toynet/tap on test"]
    assert ours[-1][1:] == [240, 240, "images"]
    assert [entry[1] for entry in ours] == sorted(entry[1] for entry in ours)


def test_iibench_case_start(plugin, iibench, suite, logged) -> None:
    folder = plugin("@hookimpl\ndef iibench_case_start(case): log(case.id)\n")
    run(iibench, suite, folder)
    assert [[case["id"]] for case in run_json(Path("out"))["cases"]] == logged()


def test_iibench_case_finish(plugin, iibench, suite, logged) -> None:
    folder = plugin("""
@hookimpl
def iibench_case_finish(report): log(report.id, report.status, len(report.scores))
""")
    run(iibench, suite, folder)
    cases = run_json(Path("out"))["cases"]
    assert [entry[0] for entry in logged()] == [case["id"] for case in cases]
    assert sorted(entry[2] for entry in logged()) == [1, 2, 6]


@pytest.mark.slow
def test_iibench_report_sections(plugin, iibench, suite) -> None:
    """An extra part of the page: a table and a paragraph, escaped; also when pages are made anew."""
    folder = plugin("""
@hookimpl
def iibench_report_sections(run):
    table = (("head <i>",), (("cell & more",),))
    return [iibench.Section("Extra <b>part</b>", (f"{len(run.cases)} cases",), (table,))]
""")
    run(iibench, suite, folder)
    for page in ("written by the run", "made anew"):
        text = Path("out/index.html").read_text()
        assert "Extra &lt;b&gt;part&lt;/b&gt;" in text, page
        assert "3 cases" in text
        assert "cell &amp; more" in text
        assert "head &lt;i&gt;" in text
        assert iibench("report", "out", "--plugins-dir", folder).code == 0


def test_iibench_run_finish(plugin, iibench, suite) -> None:
    """An exporter: a file beside the results, from the loaded run; one that fails is a warning."""
    plugin("""
@hookimpl
def iibench_run_finish(run):
    assert (run.folder / "index.html").is_file()
    rows = run.leaderboard()[["finder", "mean"]]
    rows.to_csv(run.folder / "mine.tsv", sep="\\t", index=False)
""")
    folder = plugin(
        "@hookimpl\ndef iibench_run_finish(run): raise ValueError('no disk')\n", "fails"
    )
    done = iibench("run", suite(), "-o", "out", "-k", "activity", "--plugins-dir", folder)
    assert done.code == 0
    assert "plugin fails: iibench_run_finish raised ValueError: no disk" in done.out
    lines = Path("out/mine.tsv").read_text().splitlines()
    assert lines[0] == "finder\tmean"
    assert len(lines) == 4


# ----------------------------------------------------------------------------- documentation


def test_every_hook_has_a_test_and_a_row_in_plugins_readme() -> None:
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_iibench_")}
    assert tests == set(HOOKS)
    readme = (ROOT / "plugins" / "README.md").read_text()
    rows = re.findall(r"^\| `(iibench_\w+)` \|", readme, re.MULTILINE)
    assert rows == HOOKS  # in the order of hookspecs.py


def test_every_hook_is_documented() -> None:
    """When it is called, with what, what to return."""
    for name in HOOKS:
        text = getattr(hookspecs, name).__doc__ or ""
        assert "alled" in text, name
        if name.startswith("iibench_register") and name != "iibench_register_commands":
            assert "Return" in text, name


def test_life_cycle_hooks_come_in_order(plugin, iibench, suite, logged) -> None:
    cycle = HOOKS[HOOKS.index("iibench_configure") :]
    folder = plugin("".join(f"@hookimpl\ndef {name}(): log({name!r})\n" for name in cycle))
    run(iibench, suite, folder)
    first = list(dict.fromkeys(entry[0] for entry in logged()))
    assert first == cycle


def test_a_plugin_that_adds_a_metric_nobody_knows_is_named(plugin, iibench, suite) -> None:
    folder = plugin("@hookimpl\ndef iibench_suite_metrics(): return ['toybrigt']\n")
    done = iibench("run", suite(), "--plugins-dir", folder)
    assert done.code == 4
    assert "plugin mine (iibench_suite_metrics)" in done.err
    assert "unknown metric 'toybrigt'; nearest: toybright" in done.err
    folder = plugin("@hookimpl\ndef iibench_suite_metrics(): return [3]\n")
    assert [r.name for r in load_plugins(folders=[folder], environ="").broken()] == ["mine"]
