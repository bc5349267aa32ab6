"""Takes known secrets out of texts: what a server says, and what errors and log lines show."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar, runtime_checkable

REMOVED = "[removed]"

SHORTEST = 4
"""Characters of the shortest secret that is looked for: less would be found in every word."""

S = TypeVar("S", str, bytes)


@runtime_checkable
class KnowsSecrets(Protocol):
    """An auth of this package, which can name its secrets. Those of another `httpx.Auth` are not known."""

    def secrets(self) -> list[str]:
        """All that must not be shown: tokens, passwords, client secrets."""


def redact(text: S, secrets: Iterable[str]) -> S:
    """The text without these secrets. Encoded forms of them, such as base64, are not looked for."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) < SHORTEST:
            continue
        if isinstance(text, bytes):
            text = text.replace(secret.encode("utf-8", "surrogatepass"), REMOVED.encode())
        else:
            text = text.replace(secret, REMOVED)
    return text


def without_credentials(location: str) -> str:
    """Where a redirect leads to, without a password before the host and without what follows ? or #."""
    place = location.partition("?")[0].partition("#")[0]
    start, slashes, rest = place.partition("//")
    host, slash, path = rest.partition("/")
    return f"{start}{slashes}{host.rpartition('@')[2]}{slash}{path}"
