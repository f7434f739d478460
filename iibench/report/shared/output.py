"""Where a page's parts go: files beside it, loaded when a view needs them, or all in one file.

A page opened from disk may not fetch files, but it may load scripts and images beside it. So data are
scripts that hand a value to the page (`templates/shared/js/core.js`), and images are sprites.
"""

from __future__ import annotations

import base64
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from markupsafe import Markup

from iibench.report.shared.script_json import script_json
from iibench.results.own_folder import PAGE as PAGE_FOLDER
from iibench.results.own_folder import OwnFolder, own_folder

PLOTLY = "plotly.min.js"
TABLES = "tables.js"
#: What `tables.js` is made of, in this order.
DATATABLES = ("jquery.slim.min.js", "dataTables.min.js")
PAGE = "index.html"
ASSETS = "assets"
#: Folders beside the page whose files are made anew with it.
OWNED = ("data", "sprites")
#: A single file may be this large; `SingleFile.left` says how many bytes there are still.
SINGLE_FILE = 20_000_000
MIME = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp"}


class Output(Protocol):
    """What the makers of a page's parts write to; names are file names without folders."""

    def data(self, name: str, value: Any) -> bool:
        """A JSON value that the page's script gets with `iibench.load(name)`; False: no room."""

    def image(self, name: str, content: bytes) -> str | None:
        """The URL of an image file for `src` and CSS; None where there is no room for it."""


class FolderOutput:
    """A page in a folder of its own, with `data/`, `sprites/` and `assets/` beside it.

    A context manager: everything is made in a temporary folder and put in place when all of it is
    there, the page last. Only files that iibench made are replaced or removed (results/own_folder.py); a
    folder with other files alone is refused. `assets`: the folder of the JavaScript libraries, relative to
    the page; pages of a site share one, which the site's own page brings. Raises `OSError` where the
    folder cannot be written, `UsageError` where it is refused.
    """

    def __init__(
        self, folder: Path | OwnFolder, assets: str = ASSETS, kind: str = PAGE_FOLDER
    ) -> None:
        self.folder = folder.path if isinstance(folder, OwnFolder) else folder
        self.assets = assets
        self._kind = kind
        self._given = folder if isinstance(folder, OwnFolder) else None
        self._held = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as held:
            self.own = self._given or held.enter_context(own_folder(self.folder, self._kind))
            self._temporary = self.own.new()
            self._held = held.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._held:
            if kind is None:
                self._place()

    def data(self, name: str, value: Any) -> bool:
        """Writes `data/NAME.js`."""
        text = f'iibench.deliver("{_plain(name)}",{script_json(value)});\n'
        _write(self._temporary / "data" / f"{name}.js", text.encode("utf-8"))
        return True

    def image(self, name: str, content: bytes) -> str:
        """Writes `sprites/NAME`."""
        _write(self._temporary / "sprites" / _plain(name), content)
        return f"sprites/{name}"

    def page(self, html: str, name: str = PAGE) -> None:
        """The page itself; it holds `embedded()` and is put in place last."""
        _write(self._temporary / name, html.encode("utf-8"))

    def lies_in(self, folder: Path) -> bool:
        """Whether the page stands in this folder, so that it can link what is there."""
        return self.folder.resolve() == folder.resolve()

    def embedded(self) -> Markup:
        """What the page must hold before its own scripts: where the libraries lie."""
        places = {name: f"{self.assets}/{name}" for name in (PLOTLY, TABLES)}
        return _block("places", places)

    def _place(self) -> None:
        if self.assets == ASSETS:
            for name, content in libraries().items():
                target = self.folder / ASSETS / name
                if not target.is_file() or target.stat().st_size != len(content):
                    _write(self._temporary / ASSETS / name, content)
        made = {path.relative_to(self._temporary).as_posix() for path in self._temporary.rglob("*")}
        stale = [n for n in self.own.files if n.partition("/")[0] in OWNED and n not in made]
        self.own.put(self._temporary, stale)


class SingleFile:
    """A page that is one file, with its data, images and libraries inside, up to `SINGLE_FILE` bytes."""

    def __init__(self, limit: int = SINGLE_FILE) -> None:
        self._blocks = [
            _block(f"library-{name}", content.decode("utf-8"))
            for name, content in libraries().items()
        ]
        #: bytes that further parts may take; the page's own HTML needs some too
        self.left = limit - 1_500_000 - sum(len(block.encode()) for block in self._blocks)

    def data(self, name: str, value: Any) -> bool:
        """Keeps the value for `embedded`."""
        block = _block(f"data-{_plain(name)}", value)
        if not self._fits(len(block.encode("utf-8"))):
            return False
        self._blocks.append(block)
        return True

    def image(self, name: str, content: bytes) -> str | None:
        """The image as a data: URL."""
        mime = MIME[name.rpartition(".")[2]]
        url = f"data:{mime};base64,{base64.b64encode(content).decode()}"
        return url if self._fits(len(url) + 3) else None

    def lies_in(self, folder: Path) -> bool:
        """False: one file is sent and moved alone."""
        return False

    def embedded(self) -> Markup:
        """What the page must hold before its own scripts: libraries and data."""
        return Markup("\n").join(self._blocks)

    def _fits(self, size: int) -> bool:
        if size > self.left:
            return False
        self.left -= size
        return True


def libraries() -> dict[str, bytes]:
    """File name -> JavaScript of the libraries that pages use: plotly's as its Python package has it, and
    DataTables (`window.DataTable`) after the jQuery that it needs, as released, in `report/datatables/`."""
    from plotly.offline import get_plotlyjs

    folder = files("iibench.report") / "datatables"
    tables = b";\n".join((folder / name).read_bytes() for name in DATATABLES)
    return {PLOTLY: get_plotlyjs().encode("utf-8"), TABLES: tables}


def _block(name: str, value: Any) -> Markup:
    return Markup('<script type="application/json" id="{}">{}</script>').format(
        name, Markup(script_json(value))
    )


def _plain(name: str) -> str:
    if not name or not all(char.isalnum() or char in "-_." for char in name) or name[0] == ".":
        raise ValueError(f"{name!r} is no plain file name")
    return name


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
