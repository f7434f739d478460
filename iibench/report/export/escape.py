"""Arbitrary text made safe for LaTeX, Markdown and XML. Whatever goes in, the document stays whole."""

from __future__ import annotations

import re
import unicodedata

_GREEK = " ".join(
    (
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma tau",
        "upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega",
    )
).split()
_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "#": r"\#",
    "$": r"\$",
    "%": r"\%",
    "&": r"\&",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\textquotedbl{}",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "≈": r"$\approx$",
    "→": r"$\rightarrow$",
    "°": r"$^\circ$",
    "–": "--",
    "—": "---",
    "‘": "`",
    "’": "'",
    "“": "``",
    "”": "''",
    "…": r"\ldots{}",
    "§": r"\S{}",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
    **{
        letter: rf"$\{name}$"
        for letter, name in zip("αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩ", _GREEK, strict=True)
    },
}
#: combining mark -> LaTeX's command for the accent
_ACCENTS = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u ",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r ",
    "\u030b": "H ",
    "\u030c": "v ",
    "\u0327": "c ",
}
#: what LaTeX draws as one other character with a hyphen, quotation mark or comma after it
_JOINING = frozenset("-`'?!,")
#: characters that XML 1.0 has no way to write
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKDOWN = re.compile(r"([\\`*_\[\]|~#!$])")


def latex(text: str) -> str:
    r"""`text` as ASCII that LaTeX sets as it reads, in one line, with balanced braces.

    Letters with accents become commands (`\"{o}`); a character that LaTeX's standard fonts lack is named
    by its code (`U+4E2D`). White space and control characters become one space. No package is needed:
    every command is in LaTeX's kernel (of 2020 or later).
    """
    out: list[str] = []
    for char in unicodedata.normalize("NFC", _one_line(text)):
        piece = _latex_char(char)
        if out and out[-1][-1:] in _JOINING and piece[:1] in {"-", "`", "'", ","}:
            out.append("{}")
        out.append(piece)
    return "".join(out)


def _latex_char(char: str) -> str:
    if char in _LATEX:
        return _LATEX[char]
    if " " <= char <= "~":
        return char
    parts = unicodedata.normalize("NFD", char)
    if len(parts) == 2 and parts[0].isascii() and parts[0].isalpha() and parts[1] in _ACCENTS:
        return rf"\{_ACCENTS[parts[1]].strip()}{{{parts[0]}}}"
    return f"U+{ord(char):04X}"


def markdown(text: str) -> str:
    """`text` for a cell or a paragraph of Markdown: one line, no mark-up, no HTML."""
    safe = _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", safe)


def xml_text(text: str) -> str:
    """`text` without the characters that XML 1.0 forbids; each becomes U+FFFD."""
    return _NOT_XML.sub("\ufffd", text)


def _one_line(text: str) -> str:
    """White space and control characters as single spaces; lone surrogates as U+FFFD."""
    clean = "".join(
        " "
        if unicodedata.category(c) in {"Cc", "Zl", "Zp", "Zs"}
        else "\ufffd"
        if unicodedata.category(c) == "Cs"
        else c
        for c in text
    )
    return re.sub(" +", " ", clean).strip()
