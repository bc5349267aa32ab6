"""Take known secrets out of texts: what a server says, and what errors and log lines show."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

REMOVED = "[removed]"

SHORTEST = 4
"""Characters of the shortest secret that is looked for: less would be found in every word."""

S = TypeVar("S", str, bytes)


def redact(text: S, secrets: Iterable[str]) -> S:
    """Return the text without these secrets. Encoded forms of them, such as base64, are not looked for."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) < SHORTEST:
            continue
        if isinstance(text, bytes):
            text = text.replace(secret.encode("utf-8", "surrogatepass"), REMOVED.encode())
        else:
            text = text.replace(secret, REMOVED)
    return text


def without_credentials(location: str) -> str:
    """Return where a redirect leads to, without a password before the host and without what follows ? or #."""
    return re.sub(r"//[^/]*@", "//", re.split(r"[?#]", location)[0])
