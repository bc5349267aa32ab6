"""A transport in place of a server, for tests: every client that is made for its address uses it.

So code under test that makes its own client, such as with `from_env()`, reaches the sandbox, and uses its clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_stand_ins: dict[str, Any] = {}


@contextmanager
def standing_in(site: str, transport: Any) -> Iterator[None]:
    """While the block runs, clients for this address (without `/api/1.0`) use this transport."""
    before = _stand_ins.get(site)
    _stand_ins[site] = transport
    try:
        yield
    finally:
        _stand_ins[site] = before


def stand_in_for(site: str) -> Any:
    """Return the transport in place of that server, or None."""
    return _stand_ins.get(site)
