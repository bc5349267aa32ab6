"""The names in the signatures of the clients, for annotations: `from processmaker.types import AnyProcess`.

The TypedDicts have the arguments of the clients, so that a type checker knows those of `from_env` and `from_profile`. A
test compares them with the signatures.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Required, TypedDict

from httpx import AsyncBaseTransport, Auth, BaseTransport, Timeout

from .config.settings import AsyncToken, Token, Verify
from .data import OnAlteredData
from .follow.files import Upload
from .follow.pmql import AnyStatus, Since
from .follow.reading import AnyRequest
from .follow.tasks import AnyTask
from .follow.waiting import Until
from .journal import AsyncJournal, Journal
from .many import Key
from .models import Status
from .once.state import OnReusedKey
from .processes import AnyEvent, AnyProcess
from .wire.raw_call import Files, Params
from .wire.retry import Retries

__all__ = [
    "AnyEvent",
    "AnyProcess",
    "AnyRequest",
    "AnyStatus",
    "AnyTask",
    "AsyncClientOptions",
    "AsyncProfileOptions",
    "AsyncToken",
    "ClientOptions",
    "Files",
    "Key",
    "KeyedStartOptions",
    "OnAlteredData",
    "OnReusedKey",
    "Params",
    "ProfileOptions",
    "Since",
    "StartOptions",
    "Status",
    "Token",
    "Until",
    "Upload",
    "Verify",
]


class _Options(TypedDict, total=False):
    """What both clients take."""

    auth: Auth | None
    timeout: float | Timeout
    verify: Verify
    allow_http: bool
    retries: Retries | None
    on_altered_data: OnAlteredData
    on_reused_key: OnReusedKey
    fingerprint_without: Sequence[str]
    key_lifetime: timedelta | None


class ProfileOptions(_Options, total=False):
    """The arguments of `ProcessMaker.from_profile`, after the profile's name: those of the client but `base_url`."""

    token: Token | None
    journal: Journal | None
    transport: BaseTransport | None


class ClientOptions(ProfileOptions, total=False):
    """The arguments of `ProcessMaker.from_env`: those of the client."""

    base_url: str


class AsyncProfileOptions(_Options, total=False):
    """The arguments of `AsyncProcessMaker.from_profile`, after the profile's name."""

    token: AsyncToken | None
    journal: Journal | AsyncJournal | None
    transport: AsyncBaseTransport | None


class AsyncClientOptions(AsyncProfileOptions, total=False):
    """The arguments of `AsyncProcessMaker.from_env`: those of the client."""

    base_url: str


class StartOptions(TypedDict, total=False):
    """The options of `start`, without an idempotency key."""

    event: AnyEvent
    timeout: float | None
    on_altered_data: OnAlteredData | None


class KeyedStartOptions(StartOptions, total=False):
    """The options of `start`, with a key."""

    idempotency_key: Required[str | None]
    look_again_for: float
    again: bool
    on_reused_key: OnReusedKey | None
    fingerprint_without: Sequence[str] | None
