"""The part of PMQL, ProcessMaker's query language, that finding Requests needs.

Comparisons with `=`, `!=`, `<`, `<=`, `>`, `>=`, `LIKE` and `IN` of data fields (`data.order.id`) and of the columns
below, joined by AND, OR and parentheses. An instant is NOW, `NOW -2 day` or text. The server knows more. The sandbox
answers the rest as the server answers an unknown field (500) or PMQL that does not parse (400).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ._model import Request

Predicate = Callable[[Request], bool]
Literal = str | float

_TOKEN = re.compile(
    r"""
        (?P<string>"(?:[^"\\]|\\.)*" | '(?:[^'\\]|\\.)*')
      | (?P<number>-?\d+(?:\.\d+)?(?![\w.]))
      | (?P<word>[A-Za-z_][\w.\-]*)
      | (?P<sign><=|>=|!=|[=<>()\[\],])
      | (?P<unknown>\S)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_STATUSES = {"in progress": "ACTIVE", "completed": "COMPLETED", "error": "ERROR", "canceled": "CANCELED"}
"""The words of the screens for what the table says."""
# The form that PMQL takes for an instant. It reads no other forms, such as 2026-1-5 or 2026-11-24T06:30:00.
_INSTANT = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)(?: (\d\d):(\d\d)(?::(\d\d))?)?", re.ASCII)


class PmqlError(ValueError):
    """The text is not PMQL, or more of it than the sandbox knows."""


class UnknownField(ValueError):
    """There is no such field; the server fails."""


def _sql(instant: datetime | None) -> str | None:
    """Return an instant as the database keeps it, in whole seconds."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if instant else None


_COLUMNS: dict[str, Callable[[Request], Any]] = {
    "id": lambda request: request.id,
    "process_id": lambda request: request.process.id,
    "user_id": lambda request: request.user.id,
    "case_number": lambda request: request.case_number,
    "parent_request_id": lambda request: request.parent.id if request.parent else None,
    "request": lambda request: request.process.name,
    "status": lambda request: request.status,
    "requester": lambda request: request.user.username,
    "created": lambda request: _sql(request.created_at),
    "modified": lambda request: _sql(request.updated_at),
    "completed": lambda request: _sql(request.completed_at),
}


def parse(text: str, now: datetime, zone: str) -> Predicate:
    """Return the query as a function that says whether a Request matches.

    Args:
        text: the query.
        now: the present instant.
        zone: the time zone of the user who asks.

    Raises:
        PmqlError, UnknownField: it cannot be answered.
    """
    if not text.strip():
        return lambda _: True
    parser = _Parser(text, now, zone)
    try:
        predicate = parser.either()
    except (RecursionError, OverflowError):
        raise PmqlError(text) from None
    if parser.tokens:
        raise PmqlError(text)
    return predicate


class _Parser:
    def __init__(self, text: str, now: datetime, zone: str) -> None:
        self.now = now
        self.zone = zone
        self.tokens = [(str(match.lastgroup), match[0]) for match in _TOKEN.finditer(text)]

    def next_is(self, *texts: str) -> str | None:
        """Take the next token if it is one of these words or signs."""
        if self.tokens and self.tokens[0][1].upper() in texts:
            return self.tokens.pop(0)[1].upper()
        return None

    def need(self, *texts: str) -> str:
        found = self.next_is(*texts)
        if found is None:
            raise PmqlError(f"expected {' or '.join(texts)}")
        return found

    def take(self, kind: str) -> str | None:
        """Take the next token if it is of this kind."""
        return self.tokens.pop(0)[1] if self.tokens and self.tokens[0][0] == kind else None

    def either(self) -> Predicate:
        choices = [self.both()]
        while self.next_is("OR"):
            choices.append(self.both())
        return lambda request: any(choice(request) for choice in choices)

    def both(self) -> Predicate:
        parts = [self.comparison()]
        while self.next_is("AND"):
            parts.append(self.comparison())
        return lambda request: all(part(request) for part in parts)

    def comparison(self) -> Predicate:
        if self.next_is("("):
            inner = self.either()
            self.need(")")
            return inner
        name = self.take("word")
        if name is None:
            raise PmqlError("expected a field")
        sign = self.need(*_COMPARISONS, "LIKE", "IN")
        field = _field(name)
        if sign == "IN":
            among = _among(self.values(name))
            return lambda request: among(field(request))
        literal = self.value(name, converted=True)
        return lambda request: _compare(field(request), sign, literal)

    def values(self, field: str) -> list[Literal]:
        self.need("[")
        values = [self.value(field)]
        while self.next_is(","):
            values.append(self.value(field))
        self.need("]")
        return values

    def value(self, field: str, *, converted: bool = False) -> Literal:
        if self.next_is("NOW"):
            return self.instant()
        if number := self.take("number"):
            return float(number)
        quoted = self.take("string")
        if quoted is None:
            raise PmqlError("expected a value")
        text = self.converted(quoted[1:-1]) if converted else quoted[1:-1]
        if field.startswith("data."):
            return text
        return _STATUSES.get(text.lower(), text).lower() if field.lower() == "status" else text.lower()

    def converted(self, text: str) -> str:
        """Convert a value after `=`, `<` and so on to UTC if it reads as an instant, as the server does."""
        if found := _INSTANT.fullmatch(text):
            with suppress(ValueError):
                local = datetime(*(int(part or 0) for part in found.groups()))  # type: ignore[arg-type]
                if found[4] is None:
                    return f"{local:%Y-%m-%d}"
                instant = str(_sql(local.replace(tzinfo=UTC if self.zone == "UTC" else ZoneInfo(self.zone))))
                return instant.removesuffix(" 00:00:00")
        return text

    def instant(self) -> str:
        """Read what follows NOW: nothing, or a number and a unit."""
        number = self.take("number")
        unit = self.need("SECOND", "MINUTE", "HOUR", "DAY") if number else "DAY"
        return str(_sql(self.now + timedelta(**{f"{unit.lower()}s": float(number or 0)})))


def _field(name: str) -> Callable[[Request], Any]:
    """Return what reads this field of a Request; None if it has none."""
    if name.startswith("data."):
        path = name.split(".")[1:]
        return lambda request: _at(request.data, path)
    column = _COLUMNS.get(name.lower())
    if column is None:
        raise UnknownField(name)

    def read(request: Request) -> Any:
        value = column(request)
        # The database compares columns without regard to case, and data with it.
        return value.lower() if isinstance(value, str) else value

    return read


def _at(data: Any, path: list[str]) -> Any:
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data


def _among(literals: list[Literal]) -> Callable[[Any], bool]:
    """Return a function that says whether a value equals one of them. It is as fast for many."""
    texts = {literal.rstrip(" ") for literal in literals if isinstance(literal, str)}
    numbers = [literal for literal in literals if isinstance(literal, float)]
    return lambda value: _text(value) in texts or any(_compare(value, "=", number) for number in numbers)


def _text(value: Any) -> str | None:
    """Return the text that MariaDB compares: the first 255 characters, without trailing blanks; None for no text.

    Text with a `"` or a backslash is not found, however it is escaped.
    """
    if value is None or isinstance(value, (dict, list)):
        return None
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return None if '"' in text or "\\" in text else text[:255].rstrip(" ")


def _compare(value: Any, sign: str, literal: Literal) -> bool:
    """Compare as MariaDB does."""
    if isinstance(literal, float):
        try:
            return sign != "LIKE" and _COMPARISONS[sign](float(value), literal)
        except (TypeError, ValueError):
            return False
    text = _text(value)
    if text is None:
        return False
    if sign == "LIKE":
        pattern = re.escape(literal).replace("%", ".*").replace("_", ".")
        return re.fullmatch(pattern, text, re.DOTALL) is not None
    # MariaDB reads 2026-11-29T03:37:27+02:00 as an instant, and ignores the offset.
    literal = re.sub(r"^(\d{4}-\d\d-\d\d)t(\d\d:\d\d:\d\d).*", r"\1 \2", literal)
    return _COMPARISONS[sign](text, literal.rstrip(" "))
