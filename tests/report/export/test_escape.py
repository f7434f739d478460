"""Text for LaTeX, Markdown and XML: whatever goes in, the document stays whole."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iibench.report.export.escape import latex, markdown, xml_text

ANY = st.text(st.characters(categories=None))  # lone surrogates and control characters too
COMMANDS = re.compile(r"\\(?:[A-Za-z]+|[#$%&_`'^~=.\"])")


def check_latex(text: str) -> None:
    """What pdflatex accepts in running text with nothing but its kernel."""
    assert text.isascii() and all(" " <= c <= "~" for c in text)
    depth, rest, math = 0, text, False
    while rest:
        if match := COMMANDS.match(rest):
            name = match[0]
            assert not math or name[1:].isalpha(), name
            rest = rest[match.end() :]
            if len(name) > 2 and not math:
                # a command of letters must not swallow what follows it
                assert rest.startswith("{"), (name, rest[:10])
            continue
        char, rest = rest[0], rest[1:]
        assert char not in '\\#%&_~"<>|`' or (char == "`"), char
        if char == "^":
            assert math
        if char == "$":
            math = not math
        depth += (char == "{") - (char == "}")
        assert depth >= 0
    assert depth == 0 and not math


@given(ANY)
def test_any_text_is_safe_in_latex(text: str) -> None:
    check_latex(latex(text))


@given(st.text("-`'?!,‘’“”–— a", max_size=20))
def test_latex_draws_no_ligatures(text: str) -> None:
    drawn = latex(text)
    # two characters of the text never meet as one sign; only those that stand for one sign do
    plain = re.sub(r"\{\}|\\\w+\{\}", "|", drawn)
    for dashes in re.findall(r"-+", plain):
        assert len(dashes) in (1, 2, 3)
    assert "?`" not in plain and "!`" not in plain and ",," not in plain


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kmeans[k=256]", "kmeans[k=256]"),
        ("50 % of a_b & c", r"50 \% of a\_b \& c"),
        ("−0.5", "$-$0.5"),
        ("a\\b", r"a\textbackslash{}b"),
        ("{x}", r"\textbraceleft{}x\textbraceright{}"),
        ("Hyvärinen", r"Hyv\"{a}rinen"),
        ("λ → ∞", r"$\lambda$ $\rightarrow$ U+221E"),
        ("two--dashes", "two-{}-dashes"),
        ("a\n\tb\x00", "a b"),
    ],
)
def test_latex_reads_as_the_text(text: str, expected: str) -> None:
    assert latex(text) == expected


@given(ANY)
def test_any_text_is_one_cell_in_markdown(text: str) -> None:
    safe = markdown(text)
    assert "\n" not in safe and "<" not in safe and ">" not in safe
    assert not re.search(r"(?<!\\)(?:\\\\)*[|`*_\[\]]", safe)
    safe.encode("utf-8")


@given(ANY)
def test_markdown_can_be_read_back(text: str) -> None:
    words = markdown(text)
    back = re.sub(r"\\(.)", r"\1", words)
    for entity, char in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        back = back.replace(entity, char)
    assert [c for c in back if c.isascii() and c.isalnum()] == [
        c for c in text if c.isascii() and c.isalnum()
    ]


@given(ANY)
def test_any_text_is_xml(text: str) -> None:
    element = ElementTree.Element("a", b=xml_text(text))
    element.text = xml_text(text)
    back = ElementTree.fromstring(ElementTree.tostring(element, encoding="utf-8"))
    if "\r" not in text:  # which XML reads as a line feed
        assert (back.text or "") == xml_text(text)
