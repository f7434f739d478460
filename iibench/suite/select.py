"""`-k EXPRESSION`: words joined by and, or, not and parentheses, matched against case ids.

As in pytest, a word matches where it occurs in the id, upper or lower case. A word ends at whitespace
or a parenthesis, so that `kmeans[k=256]` is one word; 'quotes' or "quotes" keep those in a word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from iibench.contract.errors import UsageError
from iibench.suite.cases import AnyCase

Matcher = Callable[[str], bool]

#: Parentheses and `not` may nest this deep.
MAX_DEPTH = 200


@dataclass(frozen=True)
class Token:
    """`kind`: word, and, or, not, (, ) or end; `at`: its position in the expression."""

    kind: str
    text: str
    at: int


def select(cases: Sequence[AnyCase], expression: str) -> list[AnyCase]:
    """The cases whose id matches, in their order; an empty expression matches every case.

    Raises `UsageError` that shows where the expression is wrong.
    """
    matches = compile_expression(expression)
    return [case for case in cases if matches(case.id)]


def compile_expression(expression: str) -> Matcher:
    """The expression as a function of an id. Raises `UsageError` as `select` does."""
    if not expression.strip():
        return lambda text: True
    parser = _Parser(expression, list(_tokens(expression)))
    matches = parser.either()
    parser.expect("end", "'and', 'or' or the end")
    return lambda text: matches(text.lower())


def _tokens(expression: str) -> Iterator[Token]:
    at = 0
    while at < len(expression):
        char = expression[at]
        if char.isspace():
            at += 1
        elif char in "()":
            yield Token(char, char, at)
            at += 1
        elif char in "'\"":
            end = expression.find(char, at + 1)
            if end < 0:
                raise _error(expression, at, f"expected a closing {char}, found the end")
            yield Token("word", expression[at + 1 : end], at)
            at = end + 1
        else:
            end = at
            while end < len(expression) and not (
                expression[end].isspace() or expression[end] in "()"
            ):
                end += 1
            word = expression[at:end]
            yield Token(word if word in ("and", "or", "not") else "word", word, at)
            at = end
    yield Token("end", "", len(expression))


def _error(expression: str, at: int, problem: str) -> UsageError:
    line = "".join(" " if char.isspace() else char for char in expression)
    return UsageError(f"-k: {problem}\n  {line}\n  {' ' * at}^")


@dataclass
class _Parser:
    """Recursive descent: or binds weakest, then and, then not."""

    expression: str
    tokens: list[Token]
    at: int = 0
    depth: int = field(default=0)

    def expect(self, kind: str, expected: str) -> Token:
        token = self.tokens[self.at]
        if token.kind != kind:
            found = "the end" if token.kind == "end" else repr(token.text)
            raise _error(self.expression, token.at, f"expected {expected}, found {found}")
        self.at += 1
        return token

    def accept(self, kind: str) -> bool:
        if self.tokens[self.at].kind != kind:
            return False
        self.at += 1
        return True

    def either(self) -> Matcher:
        terms = [self.both()]
        while self.accept("or"):
            terms.append(self.both())
        return terms[0] if len(terms) == 1 else lambda text: any(term(text) for term in terms)

    def both(self) -> Matcher:
        terms = [self.negation()]
        while self.accept("and"):
            terms.append(self.negation())
        return terms[0] if len(terms) == 1 else lambda text: all(term(text) for term in terms)

    def negation(self) -> Matcher:
        token = self.tokens[self.at]
        if token.kind not in ("not", "("):
            word = self.expect("word", "a word, 'not' or '('").text.lower()
            return lambda text: word in text
        self.at += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _error(self.expression, token.at, f"expected at most {MAX_DEPTH} levels")
        if token.kind == "not":
            inner = self.negation()
            matches: Matcher = lambda text: not inner(text)  # noqa: E731 - as short as it reads
        else:
            matches = self.either()
            self.expect(")", "')'")
        self.depth -= 1
        return matches
