"""A sandbox as a file of JSON describes it: its processes, and what is to go wrong."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ._model import CatchEvent, Script, StartEvent, SubProcess, Task, ThrowEvent
from ._server import Sandbox


def set_up(sandbox: Sandbox, path: str) -> None:
    """Add the processes and faults of that file.

    It is one object with `processes`, a list of what `add_process` takes, `faults`, a list of what `fail_next` takes,
    and `misbehave`, what that takes; each may be left out. A start event is an object of `id`, `name`, `timer` and
    `signal`. A task is a text or an object: `{"name": "Review", "user": "reviewer"}`, or with a `kind`, such as
    `{"kind": "SubProcess", "name": "Pay", "process": "Payment"}`.

    Raises:
        ValueError: something in there cannot be; the message names the place.
        OSError: it cannot be read.
    """
    try:
        described = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as problem:
        raise ValueError(f"{path} is not JSON: {problem}") from None
    _known(path, described, {"processes", "faults", "misbehave"})
    for name, apply in (("processes", _add_process), ("faults", _fail_next)):
        entries = described.get(name, [])
        if not isinstance(entries, list):
            raise ValueError(f"{path}: {name} is not a list")
        for number, entry in enumerate(entries):
            _at(f"{path}: {name}[{number}]", apply, sandbox, entry)
    if "misbehave" in described:
        _at(f"{path}: misbehave", _misbehave, sandbox, described["misbehave"])


def _at(place: str, apply: Callable[[Sandbox, Any, str], None], sandbox: Sandbox, entry: Any) -> None:
    try:
        apply(sandbox, entry, place)
    except (TypeError, ValueError) as problem:
        raise ValueError(str(problem) if str(problem).startswith(place) else f"{place}: {problem}") from None


def _add_process(sandbox: Sandbox, entry: Any, place: str) -> None:
    _known(place, entry, _parameters(sandbox.add_process), needed="name")
    built = dict(entry)
    if "start_events" in entry:
        events = entry["start_events"]
        if not isinstance(events, list) or not events:
            raise ValueError(f"{place}.start_events is not a list of start events")
        for number, event in enumerate(events):
            _known(f"{place}.start_events[{number}]", event, _parameters(StartEvent), needed="id")
        built["start_events"] = [StartEvent(**{"name": event["id"]} | event) for event in events]
    if isinstance(entry.get("tasks"), list):
        built["tasks"] = [_node(task, f"{place}.tasks[{number}]") for number, task in enumerate(entry["tasks"])]
    sandbox.add_process(**built)


def _node(entry: Any, place: str) -> Any:
    """A task as `add_process` takes it: a text, an object with `kind` (Task unless given), or a list of them."""
    if isinstance(entry, list):
        return [_node(task, f"{place}[{number}]") for number, task in enumerate(entry)]
    if not isinstance(entry, dict):
        return entry
    kinds = {kind.__name__: kind for kind in (Task, Script, SubProcess, CatchEvent, ThrowEvent)}
    kind = kinds.get(entry.get("kind", "Task"))
    if kind is None:
        raise ValueError(f"{place} has an unknown kind {entry['kind']!r}; there are: {', '.join(kinds)}")
    _known(place, entry, {"kind"} | _parameters(kind), needed="name")
    return kind(**{name: value for name, value in entry.items() if name != "kind"})


def _fail_next(sandbox: Sandbox, entry: Any, place: str) -> None:
    _known(place, entry, _parameters(sandbox.fail_next), needed="kind")
    sandbox.fail_next(**entry)


def _misbehave(sandbox: Sandbox, entry: Any, place: str) -> None:
    _known(place, entry, _parameters(sandbox.misbehave))
    sandbox.misbehave(**entry)


def _parameters(function: Callable[..., Any]) -> set[str]:
    return set(inspect.signature(function).parameters)


def _known(place: str, entry: Any, known: set[str], needed: str | None = None) -> None:
    if not isinstance(entry, dict):
        raise ValueError(f"{place} is not an object")
    if unknown := sorted(entry.keys() - known):
        raise ValueError(f"{place} has an unknown {unknown[0]!r}; there are: {', '.join(sorted(known))}")
    if needed and needed not in entry:
        raise ValueError(f"{place} lacks {needed!r}")
