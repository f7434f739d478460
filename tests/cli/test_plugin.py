"""`iibench plugin new` and `ls`, and what `iibench ls -v` says of assets; `check` is in tests/testing."""

from __future__ import annotations

import ast
import http.server
import importlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

METRIC = """
from iibench import MetricSpec, hookimpl
{api}
@hookimpl
def iibench_register_metrics():
    yield MetricSpec(name="{name}", summary="a toy", load=print)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "plugins"
    made.mkdir()
    return made


def lines_of(out: str, name: str) -> list[str]:
    """The lines about one plugin."""
    lines = out.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"{name}  ("))
    rest = lines[start + 1 :]
    end = next((i for i, line in enumerate(rest) if not line.startswith(" ")), len(rest))
    return lines[start : start + 1 + end]


# ---------------------------------------------------------------------------------------- new


def foreign(tree: ast.AST) -> set[str]:
    """The modules of iibench that a file imports from; each name has to be in the public face."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("iibench"):
            module = importlib.import_module(str(node.module))
            assert {alias.name for alias in node.names} <= set(module.__all__)
            found.add(str(node.module))
    return found


@pytest.mark.parametrize("kind", ["metric", "finder", "model", "dataset", "evaluation"])
def test_new_writes_a_distribution_whose_plugin_loads(iibench, kind: str, monkeypatch) -> None:
    done = iibench("plugin", "new", f"my.{kind}-x", "--kind", kind, toys=False)
    assert done.code == 0, done.err
    folder = Path(f"iibench-my-{kind}-x")
    module = f"iibench_my_{kind}_x"
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    assert names == [
        *(".gitignore", "README.md", f"{module}.py", "pyproject.toml"),
        f"tests/test_{module}.py",
    ]
    for path in folder.rglob("*.py"):
        assert foreign(ast.parse(path.read_text())) <= {"iibench", "iibench.testing"}
        assert max(map(len, path.read_text().splitlines())) <= 100
    monkeypatch.syspath_prepend(folder)
    listed = iibench("plugin", "ls", "-p", module, toys=False)
    assert lines_of(listed.out, module)[1].startswith(f"    registers: {kind} my.{kind}-x")
    assert not list(Path().glob(".iibench*"))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a b", "--kind", "metric"), "found the name 'a b'; expected letters, digits"),
        (("../x", "--kind", "metric"), "found the name '../x'"),
        (("lpips", "--kind", "metric"), "there is a metric 'lpips' already (plugin metrics.lpips)"),
        (("mine", "--kind", "metrik"), "'metrik' is not one of"),
        (("mine",), "--kind"),
        (("mine", "--kind", "metric", "-o", "there"), "there is there already"),
        (("mine", "--kind", "metric", "-o", "file/below"), "cannot be written"),
    ],
)
def test_new_refuses_and_leaves_nothing(iibench, words: tuple[str, ...], message: str) -> None:
    Path("there").mkdir()
    Path("file").write_text("")
    before = sorted(Path().rglob("*"))
    done = iibench("plugin", "new", *words, toys=False)
    assert done.code == 4
    assert message in done.err
    assert sorted(Path().rglob("*")) == before


# ----------------------------------------------------------------------------------------- ls


def test_ls_shows_every_kind_of_plugin(iibench, folder: Path, tmp_path: Path, monkeypatch) -> None:
    (folder / "good.py").write_text(METRIC.format(name="good", api=""))
    (folder / "bad.py").write_text("import nowhere_to_be_found\nfrom iibench import hookimpl")
    (folder / "future.py").write_text(METRIC.format(name="f", api='IIBENCH_API = "1.99"'))
    (tmp_path / "my_module.py").write_text(METRIC.format(name="mod", api='IIBENCH_API = "1"'))
    monkeypatch.syspath_prepend(tmp_path)
    done = iibench(
        *("plugin", "ls", "-p", "my_module", "-p", "no:evaluations.ii"),
        *("--plugins-dir", folder, "--plugins-dir", folder),
        toys=False,
    )
    assert done.code == 0
    assert lines_of(done.out, "metrics.color") == [
        f"metrics.color  (first-party, iibench {_version()})",
        "    registers: metric color",
    ]
    assert lines_of(done.out, "my_module")[0] == "my_module  (module, my_module)"
    assert lines_of(done.out, "good")[1] == "    registers: metric good"
    assert "BROKEN" in lines_of(done.out, "bad")[0]
    assert lines_of(done.out, "bad")[1].endswith("No module named 'nowhere_to_be_found'")
    assert lines_of(done.out, "evaluations.ii") == [
        f"evaluations.ii  (first-party, iibench {_version()})  BLOCKED",
        "    reason: -p no:evaluations.ii",
    ]
    assert "REPEATED" in done.out
    refused = lines_of(done.out, "future")
    assert "BROKEN" in refused[0]
    assert "built for plugin API 1.99" in refused[1]
    assert "a newer iibench is needed (pip install --upgrade iibench)" in refused[1]


def _version() -> str:
    import iibench

    return iibench.__version__


@pytest.mark.parametrize(
    ("api", "accepted"),
    [
        *(("1", True), ("1.0", True), ("1.3", True), ("1.4", True)),
        *(("1.5", False), ("2", False), ("0.9", False)),
    ],
)
def test_versions_of_the_api(iibench, folder: Path, api: str, accepted: bool) -> None:
    (folder / "mine.py").write_text(METRIC.format(name="mine", api=f'IIBENCH_API = "{api}"'))
    done = iibench("plugin", "ls", "--plugins-dir", folder, toys=False)
    assert ("BROKEN" not in lines_of(done.out, "mine")[0]) == accepted
    assert (f"built for plugin API {api}" in done.err) != accepted


def test_a_version_that_is_none(iibench, folder: Path) -> None:
    (folder / "mine.py").write_text(METRIC.format(name="mine", api='IIBENCH_API = "soon"'))
    done = iibench("plugin", "ls", "--plugins-dir", folder, toys=False)
    assert "declares IIBENCH_API = 'soon'; expected a version" in done.err


def test_the_second_plugin_of_a_name_is_shadowed_with_a_warning(
    iibench, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (folder / "twin.py").write_text(METRIC.format(name="one", api=""))
    (other / "twin.py").write_text(METRIC.format(name="two", api=""))
    both = ("--plugins-dir", folder, "--plugins-dir", other)
    done = iibench("plugin", "ls", *both, toys=False)
    shadowed = done.out.rindex("twin  (")
    assert "SHADOWED" in done.out[shadowed:]
    assert "has the same name and was found before it" in done.out[shadowed:]
    assert "warning: plugin twin: " in done.err
    metrics = iibench("ls", "metrics", *both, toys=False).out
    assert "\none  " in metrics
    assert "\ntwo  " not in metrics


# -------------------------------------------------------------------------- states of assets


@pytest.fixture
def server() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(404)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


def test_ls_says_which_assets_are_ready_to_be_fetched_or_not_reachable(
    iibench, folder: Path, tmp_path: Path, server: str
) -> None:
    import hashlib

    here = tmp_path / "data" / "here.bin"
    here.parent.mkdir()
    here.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    (folder / "mine.py").write_text(f"""
from iibench import AssetFile, AssetSpec, MetricSpec, hookimpl
def asset(name, file, url):
    return AssetSpec(name, "", (AssetFile(file, {digest!r}, 7_500_000, url=url),))
@hookimpl
def iibench_register_metrics():
    assets = (
        asset("a-ready", "here.bin", None),
        asset("b-there", "b.bin", "{server}/b.bin"),
        asset("c-gone", "c.bin", "http://127.0.0.1:9/c.bin"),
    )
    yield MetricSpec(name="mine", summary="a toy", load=print, distance="cosine", size=lambda p: 64,
                     range="[-1, 1]", citation="Someone 2026", licence="MIT", assets=assets)
""")
    where = ("--data-dir", tmp_path / "data", "--plugins-dir", folder)
    shown = iibench("ls", "metrics", "-v", *where, toys=False).out
    mine = shown[shown.index("\nmine  a toy") :]
    assert "input: RGB images in [0, 1], resized to 64 x 64" in mine
    assert "similarity: in [-1, 1], larger = more alike; level: mid" in mine
    assert "citation: Someone 2026" in mine
    assert "licence: MIT" in mine
    assert f"asset a-ready: ready ({here})" in mine
    assert f"asset b-there: to be fetched: 7.5 MB ({server}/b.bin)" in mine
    assert "asset c-gone: not reachable: 7.5 MB; by hand: iibench assets c-gone" in mine
    offline = iibench("ls", "metrics", "-v", "--offline", *where, toys=False).out
    assert "asset b-there: offline: 7.5 MB" in offline


# -------------------------------------------------------------------------------------- check

DISTANCE = """
from iibench import FinderSpec, MetricSpec, check_rgb, hookimpl

class Distance:
    fingerprint = ""
    def pairwise(self, a, b):
        check_rgb("distance", a)
        check_rgb("distance", b)
        return (a[:, None] - b[None]).flatten(2).square().mean(2)

@hookimpl
def iibench_register_metrics():
    yield MetricSpec(name="distance", summary="", load=lambda p, h: Distance(), range="[0, 1]")
    yield MetricSpec(name="similar", summary="", load=lambda p, h: Similar(), distance="euclidean")
{more}

class Similar:
    fingerprint = ""
    def embed(self, x):
        check_rgb("similar", x)
        return x.mean((2, 3))
"""


def test_check_of_one_thing_names_what_is_wrong_and_the_cause(iibench, folder: Path) -> None:
    (folder / "mine.py").write_text(DISTANCE.format(more=""))
    done = iibench("plugin", "check", "distance", "--plugins-dir", folder, toys=False)
    assert done.code == 1
    failed = done.out[done.out.index("failed  direction") :]
    assert "seen: " in failed
    assert "expected: larger = more alike" in failed
    assert "likely cause: a distance is returned as if it were a similarity" in failed
    good = iibench("plugin", "check", "similar", "--plugins-dir", folder, toys=False)
    assert good.code == 0, good.out
    assert " failed" not in good.out
    assert "seen" not in good.out
    verbose = iibench("plugin", "check", "similar", "-v", "--plugins-dir", folder, toys=False)
    assert "passed  shape: 3 against 5" in verbose.out


def test_check_of_a_plugin_checks_all_that_it_registers(iibench, folder: Path) -> None:
    (folder / "mine.py").write_text(DISTANCE.format(more=""))
    done = iibench("plugin", "check", "mine", "--plugins-dir", folder, toys=False)
    assert done.code == 1
    titles = [line for line in done.out.splitlines() if line and not line.startswith(" ")]
    assert sorted(titles) == ["metric distance", "metric similar"]


def test_check_leaves_nothing_behind(iibench, folder: Path, tmp_path: Path) -> None:
    (folder / "mine.py").write_text(DISTANCE.format(more=""))
    iibench("plugin", "check", "similar", "--plugins-dir", folder, toys=False)
    assert {p.name for p in tmp_path.iterdir()} == {"plugins"}
    assert not list(tmp_path.glob("**/*.parquet"))


def test_check_skips_what_cannot_be_had(iibench) -> None:
    """The toy metric whose file is missing: not a failure of the plugin, and not a pass."""
    done = iibench("plugin", "check", "toymissing")
    assert done.code == 5
    assert "skipped load: nowhere.zip is not in the data folder" in done.out
    assert "passed" not in done.out


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("simlar", "unknown plugin or registered name 'simlar'; nearest: similar"),
        ("similar[a=1]", "unknown parameter of similar 'a'"),
        ("embedding", "embedding: model: missing; expected text; layer: missing; expected text"),
        ("metrics.embedding", "embedding needs parameters (model: missing"),
        ("twice", "twice stands among the finders, metrics; expected --kind with one of them"),
        ("broken", "the plugin broken is not in use: broken: "),
        ("similar[", "found"),
    ],
)
def test_check_of_what_is_not_there(iibench, folder: Path, name: str, message: str) -> None:
    (folder / "mine.py").write_text(
        DISTANCE.format(
            more="    yield MetricSpec(name='twice', summary='', load=print)\n"
            "@hookimpl\n"
            "def iibench_register_finders():\n"
            "    yield FinderSpec(name='twice', summary='', fit=print, encode=print)\n"
        )
    )
    (folder / "broken.py").write_text("import nowhere_to_be_found\nfrom iibench import hookimpl")
    done = iibench("plugin", "check", name, "--plugins-dir", folder, toys=False)
    assert done.code == 4
    assert message in done.err
