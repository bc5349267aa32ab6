"""The part of PMQL, ProcessMaker's query language, that finding Requests needs.

Comparisons with `=`, `!=`, `<`, `<=`, `>`, `>=`, `LIKE`, `IN` and `NOT IN` of data fields (`data.order.id`)
and of id, process_id, user_id, case_number, name, case_title, status, created, request (the process's name),
requester and participant (user names), joined by AND, OR and parentheses. An instant is NOW, `NOW -2 day` or text.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from ._state import Request

Predicate = Callable[[Request], bool]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>"(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*')
      | (?P<number>-?\d+(?:\.\d+)?(?![\w.]))
      | (?P<word>[A-Za-z_][\w.\-]*)
      | (?P<sign><=|>=|!=|<>|[=<>()\[\],])
    )""",
    re.VERBOSE | re.DOTALL,
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_COLUMNS: dict[str, Callable[[Request], list[Any]]] = {
    "id": lambda request: [request.id],
    "process_id": lambda request: [request.process.id],
    "user_id": lambda request: [request.user.id],
    "case_number": lambda request: [request.id],
    "name": lambda request: [request.process.name],
    "case_title": lambda request: [request.process.name],
    "request": lambda request: [request.process.name],
    "status": lambda request: [request.status],
    "requester": lambda request: [request.user.username],
    "created": lambda request: [_sql(request.created_at)],
    "participant": lambda request: [task.user.username for task in request.tasks],
}


class PmqlError(ValueError):
    """The text is not PMQL, or more of it than the sandbox knows."""


def _sql(instant: datetime) -> str:
    """As the database keeps it, in whole seconds."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def parse(text: str, now: datetime) -> Predicate:
    """The query as a function that says whether a Request matches; PmqlError if it does not parse."""
    if not text.strip():
        return lambda _: True
    parser = _Parser(text, now)
    try:
        predicate = parser.either()
    except RecursionError:
        raise PmqlError("nested too deeply") from None
    if parser.tokens:
        raise PmqlError(f"unexpected {parser.tokens[0][1]}")
    return predicate


class _Parser:
    def __init__(self, text: str, now: datetime) -> None:
        self.now = now
        self.tokens: list[tuple[str, str]] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            match = _TOKEN.match(text, position)
            if not match:
                raise PmqlError(f"cannot read {text[position:]}")
            kind = str(match.lastgroup)
            self.tokens.append((kind, match[kind]))
            position = match.end()

    def next_is(self, *texts: str) -> str | None:
        """Take the next token if it is one of these words or signs."""
        if self.tokens and self.tokens[0][0] in ("word", "sign") and self.tokens[0][1].upper() in texts:
            return self.tokens.pop(0)[1].upper()
        return None

    def need(self, *texts: str) -> str:
        found = self.next_is(*texts)
        if found is None:
            raise PmqlError(f"expected {' or '.join(texts)}")
        return found

    def either(self) -> Predicate:
        choices = [self.both()]
        while self.next_is("OR"):
            choices.append(self.both())
        return choices[0] if len(choices) == 1 else lambda request: any(one(request) for one in choices)

    def both(self) -> Predicate:
        parts = [self.comparison()]
        while self.next_is("AND"):
            parts.append(self.comparison())
        return parts[0] if len(parts) == 1 else lambda request: all(one(request) for one in parts)

    def comparison(self) -> Predicate:
        if self.next_is("("):
            inner = self.either()
            self.need(")")
            return inner
        field, name = self.field()
        if self.next_is("NOT"):
            self.need("IN")
            among = _among(self.values(name))
            return lambda request: any(value is not None and not among(value) for value in field(request))
        if self.next_is("IN"):
            among = _among(self.values(name))
            return lambda request: any(map(among, field(request)))
        sign = self.need(*_COMPARISONS, "LIKE")
        literal = self.value(name)
        return lambda request: any(_compare(value, sign, literal) for value in field(request))

    def field(self) -> tuple[Callable[[Request], list[Any]], str]:
        if not self.tokens or self.tokens[0][0] != "word":
            raise PmqlError("expected a field")
        name = self.tokens.pop(0)[1]
        if name.startswith("data."):
            path = name.split(".")[1:]
            return lambda request: _at(request.data, path), name
        name = name.lower()
        if name not in _COLUMNS:
            raise PmqlError(f"unknown field {name}")
        return _COLUMNS[name], name

    def values(self, field: str) -> list[str | float]:
        self.need("[")
        values = [self.value(field)]
        while self.next_is(","):
            values.append(self.value(field))
        self.need("]")
        return values

    def value(self, field: str) -> str | float:
        if self.next_is("NOW"):
            return self.instant()
        if not self.tokens or self.tokens[0][0] not in ("string", "number"):
            raise PmqlError("expected a value")
        kind, text = self.tokens.pop(0)
        if kind == "number":
            return float(text)
        # The screens say "In Progress" where the table says ACTIVE.
        return "ACTIVE" if field == "status" and text[1:-1].lower() == "in progress" else text[1:-1]

    def instant(self) -> str:
        """What follows NOW: nothing, or a number and a unit."""
        if not self.tokens or self.tokens[0][0] != "number":
            return _sql(self.now)
        number = float(self.tokens.pop(0)[1])
        unit = self.need("SECOND", "MINUTE", "HOUR", "DAY")
        try:
            return _sql(self.now + timedelta(**{f"{unit.lower()}s": number}))
        except OverflowError:
            raise PmqlError("no such instant") from None


def _at(data: Any, path: list[str]) -> list[Any]:
    for name in path:
        if not isinstance(data, dict) or name not in data:
            return []
        data = data[name]
    return [data]


def _among(literals: list[str | float]) -> Callable[[Any], bool]:
    """Whether a value equals one of them; as fast for many."""
    texts = {literal.casefold() for literal in literals if isinstance(literal, str)}
    numbers = [literal for literal in literals if isinstance(literal, float)]
    return lambda value: _text(value) in texts or any(_compare(value, "=", number) for number in numbers)


def _text(value: Any) -> str | None:
    """The text as which MySQL compares a value: without regard to case, and cut to 255 characters; None if with none.

    Text with a `"` or a backslash is not found, however it is escaped (observed on 4.15.5).
    """
    if value is None or isinstance(value, (dict, list)):
        return None
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return None if '"' in text or "\\" in text else text[:255].casefold()


def _compare(value: Any, sign: str, literal: str | float) -> bool:
    """As MySQL compares."""
    if isinstance(literal, float):
        try:
            return sign != "LIKE" and _COMPARISONS[sign](float(value), literal)
        except (TypeError, ValueError):
            return False
    text, literal = _text(value), literal.casefold()
    if text is None:
        return False
    if sign == "LIKE":
        pattern = re.escape(literal).replace("%", ".*").replace("_", ".")
        return re.fullmatch(pattern, text, re.DOTALL) is not None
    return _COMPARISONS[sign](text, literal)
