"""The part of PMQL, ProcessMaker's query language, that finding Requests needs.

Comparisons with `=`, `!=`, `<`, `<=`, `>`, `>=`, `LIKE`, `IN` and `NOT IN` of data fields (`data.order.id`) and of the
columns below, joined by AND, OR and parentheses. An instant is NOW, `NOW -2 day` or text.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ._model import Request

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
_STATUSES = {"in progress": "ACTIVE", "completed": "COMPLETED", "error": "ERROR", "canceled": "CANCELED"}
"""The words of the screens for what the table says."""
# The form that PMQL takes for an instant. It reads no other forms, such as 2026-1-5 or 2026-11-24T06:30:00.
_INSTANT = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)(?: (\d\d):(\d\d)(?::(\d\d))?)?", re.ASCII)


class PmqlError(ValueError):
    """The text is not PMQL, or more of it than the sandbox knows."""


class UnknownField(ValueError):
    """There is no such field; the server fails."""


class UnknownUser(ValueError):
    """The field that names a user who does not exist."""


def _sql(instant: datetime | None) -> str | None:
    """As the database keeps it, in whole seconds."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if instant else None


_COLUMNS: dict[str, Callable[[Request], list[Any]]] = {
    "id": lambda request: [request.id],
    "process_id": lambda request: [request.process.id],
    "user_id": lambda request: [request.user.id],
    "case_number": lambda request: [request.case_number],
    "parent_request_id": lambda request: [request.parent.id if request.parent else None],
    "name": lambda request: [request.process.name],
    "case_title": lambda request: [request.case.process.name],
    "request": lambda request: [request.process.name],
    "status": lambda request: [request.status],
    "requester": lambda request: [request.user.username],
    "participant": lambda request: [task.user.username for task in request.tasks if task.user],
    **dict.fromkeys(("created", "created_at"), lambda request: [_sql(request.created_at)]),
    **dict.fromkeys(("modified", "updated_at"), lambda request: [_sql(request.updated_at)]),
    **dict.fromkeys(("completed", "completed_at"), lambda request: [_sql(request.completed_at)]),
}


def parse(text: str, now: datetime, zone: str, usernames: Collection[str]) -> Predicate:
    """The query as a function that says whether a Request matches.

    Args:
        text: the query.
        now: the present instant.
        zone: the time zone of the user who asks.
        usernames: the names of all users.

    Raises:
        PmqlError, UnknownField, UnknownUser: it cannot be answered.
    """
    if not text.strip():
        return lambda _: True
    parser = _Parser(text, now, zone, usernames)
    try:
        predicate = parser.either()
    except RecursionError:
        raise PmqlError("nested too deeply") from None
    if parser.tokens:
        raise PmqlError(f"unexpected {parser.tokens[0][1]}")
    if parser.unknown:
        raise UnknownField(parser.unknown)
    return predicate


class _Parser:
    def __init__(self, text: str, now: datetime, zone: str, usernames: Collection[str]) -> None:
        self.now = now
        self.zone = zone
        self.usernames = usernames
        self.unknown: str | None = None
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
        literal = self.value(name, converted=True)
        if name in ("requester", "participant") and sign != "LIKE" and literal not in self.usernames:
            raise UnknownUser(name)
        return lambda request: any(_compare(value, sign, literal) for value in field(request))

    def field(self) -> tuple[Callable[[Request], list[Any]], str]:
        if not self.tokens or self.tokens[0][0] != "word":
            raise PmqlError("expected a field")
        name = self.tokens.pop(0)[1]
        if name.startswith("data."):
            path = name.split(".")[1:]
            return lambda request: _at(request.data, path), name
        name = name.lower()
        column = _COLUMNS.get(name)
        if column is None:
            self.unknown = self.unknown or name
            return lambda _: [], name
        # The database compares columns without regard to case, and data with it.
        return lambda request: [value.lower() if isinstance(value, str) else value for value in column(request)], name

    def values(self, field: str) -> list[str | float]:
        self.need("[")
        values = [self.value(field)]
        while self.next_is(","):
            values.append(self.value(field))
        self.need("]")
        return values

    def value(self, field: str, *, converted: bool = False) -> str | float:
        if self.next_is("NOW"):
            return self.instant()
        if not self.tokens or self.tokens[0][0] not in ("string", "number"):
            raise PmqlError("expected a value")
        kind, text = self.tokens.pop(0)
        if kind == "number":
            return float(text)
        text = self.converted(text[1:-1]) if converted else text[1:-1]
        if field.startswith("data."):
            return text
        text = text.lower()
        return _STATUSES.get(text, text).lower() if field == "status" else text

    def converted(self, text: str) -> str:
        """The value after `=`, `<` and so on: if it reads as an instant, the server converts it to UTC."""
        found = _INSTANT.fullmatch(text)
        if not found:
            return text
        with suppress(ValueError):
            local = datetime(*(int(part or 0) for part in found.groups()))  # type: ignore[arg-type]
            if found[4] is None:
                return f"{local:%Y-%m-%d}"
            instant = str(_sql(local.replace(tzinfo=UTC if self.zone == "UTC" else ZoneInfo(self.zone))))
            return instant.removesuffix(" 00:00:00")
        return text

    def instant(self) -> str:
        """What follows NOW: nothing, or a number and a unit."""
        if not self.tokens or self.tokens[0][0] != "number":
            return str(_sql(self.now))
        number = float(self.tokens.pop(0)[1])
        unit = self.need("SECOND", "MINUTE", "HOUR", "DAY")
        try:
            return str(_sql(self.now + timedelta(**{f"{unit.lower()}s": number})))
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
    texts = {literal.rstrip(" ") for literal in literals if isinstance(literal, str)}
    numbers = [literal for literal in literals if isinstance(literal, float)]
    return lambda value: _text(value) in texts or any(_compare(value, "=", number) for number in numbers)


def _text(value: Any) -> str | None:
    """The text as which MariaDB compares a value: the first 255 characters, without trailing blanks; None if as none.

    Text with a `"` or a backslash is not found, however it is escaped.
    """
    if value is None or isinstance(value, (dict, list)):
        return None
    text = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return None if '"' in text or "\\" in text else text[:255].rstrip(" ")


def _compare(value: Any, sign: str, literal: str | float) -> bool:
    """As MariaDB compares."""
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
