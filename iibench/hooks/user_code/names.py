"""Names of modules that come from a folder: the folder stands in them, so that any process finds it."""

from __future__ import annotations

import re
from itertools import count

#: What the names of all modules begin with that lie in a user's folder.
PREFIX = "iibench.hooks.user_code.at"

_numbers = count(1)


def package_name(folder: str) -> str:
    """A new name for the modules of a folder, an absolute path.

    >>> package_name("/nets/new")
    'iibench.hooks.user_code.at...___nets__new'
    """
    return f"{PREFIX}{next(_numbers)}_{re.sub('[^A-Za-z0-9]', _escaped, folder)}"


def folder_of(package: str) -> str:
    """The folder of a name of `package_name`.

    >>> folder_of(package_name("/my_nets.old"))
    '/my_nets.old'
    """
    _, _, text = package.removeprefix(PREFIX).partition("_")
    return re.sub("__|_([0-9a-f]+)_", lambda found: chr(int(found[1] or "2f", 16)), text)


def _escaped(sign: re.Match[str]) -> str:
    return "__" if sign[0] == "/" else f"_{ord(sign[0]):x}_"
