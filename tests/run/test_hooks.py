"""The life-cycle hooks: called when and with what their specifications say, from a real small plugin."""

from __future__ import annotations

import json
from pathlib import Path

from iibench import hookspecs

from .conftest import run_json

RECORDER = """
import json, os
from pathlib import Path
from iibench import Section, hookimpl

LOG = Path(os.environ["HOOK_LOG"])


def log(*what):
    with LOG.open("a") as file:
        file.write(json.dumps(what) + "\\n")


@hookimpl
def iibench_configure(config):
    log("configure", config.suite.endswith("toy.yaml"), config.device)


@hookimpl
def iibench_collection_modify(suite, cases):
    log("collection_modify", suite.name, len(cases))
    cases[:] = [case for case in cases if "pick" not in case.id]


@hookimpl
def iibench_run_start(cases):
    log("run_start", len(cases))


@hookimpl
def iibench_stage_progress(stage, done, total):
    log("stage_progress", stage, done, total)


@hookimpl
def iibench_case_start(case):
    log("case_start", case.id)


@hookimpl
def iibench_case_finish(report):
    log("case_finish", report.id, report.status, len(report.scores))


@hookimpl
def iibench_report_sections(run):
    log("report_sections", len(run.cases))
    return [Section("Extra <b>part</b>", ("a paragraph",), ((("head",), (("cell",),)),))]


@hookimpl
def iibench_run_finish(run):
    log("run_finish", (run.folder / "index.html").is_file())
    raise ValueError("an exporter that fails")
"""


def test_life_cycle(iibench, suite, tmp_path: Path, monkeypatch) -> None:
    log = tmp_path / "hooks.jsonl"
    monkeypatch.setenv("HOOK_LOG", str(log))
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "recorder.py").write_text(RECORDER)
    done = iibench("run", suite(), "-o", "out", "-k", "ii", "--plugins-dir", tmp_path / "plugins")
    assert done.code == 0, done.err  # an observer that fails does not fail the run
    calls = [json.loads(line) for line in log.read_text().splitlines()]
    names = [call[0] for call in calls]
    assert calls[0] == ["configure", True, "auto"]
    assert ["collection_modify", "toysuite", 12] in calls
    assert ["run_start", 4] in calls
    ids = [case["id"] for case in run_json(tmp_path / "out")["cases"]]
    assert [call[1] for call in calls if call[0] == "case_start"] == ids
    assert [call[1:] for call in calls if call[0] == "case_finish"] == [
        [case_id, "passed", 6] for case_id in ids
    ]
    stages = {call[1] for call in calls if call[0] == "stage_progress"}
    assert "activations toynet/tap on test" in stages
    assert names.index("configure") < names.index("collection_modify") < names.index("run_start")
    assert calls[-2:] == [["report_sections", 4], ["run_finish", True]]
    page = (tmp_path / "out" / "index.html").read_text()
    assert "a paragraph" in page
    assert "Extra &lt;b&gt;part&lt;/b&gt;" in page
    assert "iibench_run_finish raised ValueError: an exporter that fails" in done.out


def test_every_hook_is_documented() -> None:
    """When it is called, with what, what to return."""
    hooks = {name: f for name, f in vars(hookspecs).items() if name.startswith("iibench_")}
    assert len(hooks) == 15
    for name, function in hooks.items():
        text = function.__doc__ or ""
        assert "alled" in text, name
        if name.startswith("iibench_register") and name != "iibench_register_commands":
            assert "Return" in text, name


def test_the_readme_lists_every_hook() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text()
    hooks = [name for name in vars(hookspecs) if name.startswith("iibench_")]
    assert [name for name in hooks if f"`{name}`" not in readme] == []
