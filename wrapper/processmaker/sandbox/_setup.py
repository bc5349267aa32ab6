"""A sandbox as a file of JSON describes it: its processes, and what is to go wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ._model import CatchEvent, Script, StartEvent, SubProcess, Task, ThrowEvent
from ._server import Sandbox

_KINDS = {kind.__name__: kind for kind in (Task, Script, SubProcess, CatchEvent, ThrowEvent)}


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
    place = path
    try:
        described = json.loads(Path(path).read_text(encoding="utf-8"))
        for name, entries in described.items():
            for number, entry in enumerate([entries] if name == "misbehave" else entries):
                place = f"{path}: {name}[{number}]"
                match name:
                    case "processes":
                        sandbox.add_process(**_process(**entry))
                    case "faults":
                        sandbox.fail_next(**entry)
                    case "misbehave":
                        sandbox.misbehave(**entry)
                    case _:
                        raise ValueError("there are only processes, faults and misbehave")
    except (ValueError, TypeError, AttributeError, LookupError) as problem:
        raise ValueError(f"{place}: {problem}") from None


def _process(**entry: Any) -> dict[str, Any]:
    if "start_events" in entry:
        entry["start_events"] = [StartEvent(**{"name": event.get("id"), **event}) for event in entry["start_events"]]
    if isinstance(entry.get("tasks"), list):
        entry["tasks"] = _task(entry["tasks"])
    return entry


def _task(entry: Any) -> Any:
    """Return a task as `add_process` takes it: a text, an object with `kind` (Task unless given), or a list of them."""
    if isinstance(entry, list):
        return [_task(task) for task in entry]
    if not isinstance(entry, dict):
        return entry
    kind = entry.pop("kind", "Task")
    if kind not in _KINDS:
        raise ValueError(f"no kind {kind!r}; there are: {', '.join(_KINDS)}")
    return _KINDS[kind](**entry)
