"""Discovery, checking and registration of plugins, with real small plugins written to disk."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from iibench.contract.errors import PluginError, UsageError
from iibench.hooks.loaded import PluginRecord, Plugins
from iibench.hooks.loading import load_plugins

METRIC = """
from iibench import MetricSpec, hookimpl

@hookimpl
def iibench_register_metrics():
    yield MetricSpec(name={name!r}, summary="a toy", load=lambda params, resources: None)
"""


@pytest.fixture
def write(tmp_path: Path):
    def write_plugin(name: str, text: str) -> Path:
        (tmp_path / name).write_text(textwrap.dedent(text))
        return tmp_path

    return write_plugin


def record(plugins: Plugins, name: str) -> PluginRecord:
    return next(r for r in plugins.records if r.name == name)


def test_first_party_plugins_register_through_the_same_hooks() -> None:
    plugins = load_plugins(environ="")
    assert not plugins.broken()
    assert {"ii", "insilico"} <= {entry.spec.name for entry in plugins.registry.evaluations}
    ours = record(plugins, "evaluations.ii")
    assert ours.source == "first-party"
    assert ours.distribution == "iibench"
    assert ours.registers == ("evaluation ii",)
    assert len(ours.sha256) == 64


def test_every_call_makes_its_own_manager() -> None:
    one, other = load_plugins(environ=""), load_plugins(environ="")
    assert one.manager is not other.manager
    assert one.registry is not other.registry


def test_a_plugin_can_be_blocked_and_breaks_nothing_else() -> None:
    plugins = load_plugins(["no:evaluations.ii"], environ="")
    assert "ii" not in plugins.registry.evaluations
    assert "insilico" in plugins.registry.evaluations
    assert record(plugins, "evaluations.ii").status == "blocked"
    assert not plugins.broken()


def test_blocking_an_unknown_plugin_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no:evaluations\.iii: .*nearest: evaluations\.ii"):
        load_plugins(["no:evaluations.iii"], environ="")


def test_folder_plugins(write) -> None:
    folder = write("mine.py", METRIC.format(name="toy"))
    write("_helper.py", "raise RuntimeError('helpers are not plugins')")
    (folder / "sub").mkdir()
    (folder / "sub" / "deep.py").write_text("raise RuntimeError('only directly in the folder')")
    plugins = load_plugins(folders=[folder], environ="")
    assert "toy" in plugins.registry.metrics
    assert record(plugins, "mine").source == "folder"
    assert not plugins.broken()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        load_plugins(folders=[tmp_path / "nowhere"], environ="")


def test_modules_by_name_and_from_the_environment(write, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write("iibench_test_module.py", METRIC.format(name="asked"))
    write("iibench_test_environment.py", METRIC.format(name="listed"))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("IIBENCH_PLUGINS", "iibench_test_environment")
    plugins = load_plugins(["iibench_test_module"])
    assert {"asked", "listed"} <= {entry.spec.name for entry in plugins.registry.metrics}
    order = [r.source for r in plugins.records]
    assert order.index("module") < order.index("environment")
    assert order[0] == "first-party"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "import no_such_library\n" + METRIC.format(name="toy"),
            "ModuleNotFoundError: No module named 'no_such_library'",
        ),
        ("def iibench_register_metrics(:", "SyntaxError"),
        ("from iibench import hookimpl", "no function in it is marked"),
        (
            """
            from iibench import hookimpl
            @hookimpl
            def iibench_register_metric(): return []
            """,
            "there is no hook iibench_register_metric; nearest: iibench_register_metrics",
        ),
        (
            """
            from iibench import hookimpl
            @hookimpl
            def iibench_register_metrics(wrong): return []
            """,
            "wrong",
        ),
        (
            """
            from iibench import hookimpl
            @hookimpl
            def iibench_register_metrics(): return ["nonsense"]
            """,
            "iibench_register_metrics returned 'nonsense', not a MetricSpec",
        ),
        (METRIC.format(name="a/b"), "'a/b' is no name"),
        ("IIBENCH_API = '2'\n" + METRIC.format(name="toy"), "built for plugin API 2"),
        (
            """
            from iibench import MetricSpec, hookimpl
            @hookimpl
            def iibench_register_metrics():
                yield MetricSpec(name="toy", summary="", load=None)
            """,
            "load of 'toy' must be callable",
        ),
        (
            """
            from iibench import MetricSpec, hookimpl
            @hookimpl
            def iibench_register_metrics():
                yield MetricSpec(name="toy", summary="", load=print, params=dict)
            """,
            "params of 'toy' must be a dataclass",
        ),
    ],
)
def test_a_broken_plugin_is_reported_and_the_rest_goes_on(write, text: str, reason: str) -> None:
    folder = write("bad.py", text)
    write("good.py", METRIC.format(name="good"))
    plugins = load_plugins(folders=[folder], environ="")
    assert [r.name for r in plugins.broken()] == ["bad"]
    assert reason in record(plugins, "bad").reason
    assert "good" in plugins.registry.metrics
    assert "toy" not in plugins.registry.metrics


def test_two_plugins_with_one_name_are_both_named(write) -> None:
    folder = write("one.py", METRIC.format(name="same"))
    write("two.py", METRIC.format(name="same"))
    with pytest.raises(PluginError, match=r"metric 'same': one and two"):
        load_plugins(folders=[folder], environ="")
    plugins = load_plugins(["no:two"], folders=[folder], environ="")
    assert plugins.registry.metrics["same"].plugin == "one"


def test_an_unknown_name_tells_the_nearest_and_where_all_are_listed() -> None:
    registry = load_plugins(environ="").registry
    with pytest.raises(
        UsageError, match="unknown evaluation 'insilica'; nearest: insilico.*iibench ls"
    ):
        registry.evaluations["insilica"]


def test_an_observer_that_raises_is_named_and_the_others_are_called(write) -> None:
    folder = write(
        "angry.py",
        """
        from iibench import hookimpl
        @hookimpl
        def iibench_run_finish(run): raise ValueError("no thanks")
        """,
    )
    write(
        "calm.py",
        """
        from iibench import hookimpl
        seen = []
        @hookimpl
        def iibench_run_finish(run): seen.append(run)
        """,
    )
    plugins = load_plugins(folders=[folder], environ="")
    failures = plugins.notify("iibench_run_finish", run="a run")
    assert failures == ["plugin angry: iibench_run_finish raised ValueError: no thanks"]
    assert plugins.manager.get_plugin("calm").seen == ["a run"]
