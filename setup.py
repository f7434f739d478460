"""The description for package indexes: README.md without what leads to files beside it."""

import re
from pathlib import Path

from setuptools import setup

text = (Path(__file__).parent / "README.md").read_text("utf-8")
text = re.sub(r"^!\[[^\]]*\]\([^)]*\)\n\n", "", text, flags=re.MULTILINE)  # pictures
text = re.sub(r"\[([^\]]*)\]\((?!https?:)[^)]*\)", r"`\1`", text)  # links to files here
setup(long_description=text, long_description_content_type="text/markdown")
