"""What no error, log line or pickle may show: the secrets that a call carried, also where the server echoes them.

An answer that an error is made of, and an exception before it becomes one of ours, go through here first, so that no
text is cut in the middle of a secret. Known are those of `Bearer` and `PasswordGrant`; any other `httpx.Auth` is told
by what it added: headers, parameters of the address, and sign-ins of its own.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable
from urllib.parse import parse_qsl, quote, quote_plus

from .http import HTTPRequest, HTTPResponse, decoded

REMOVED = "[removed]"

SHORTEST = 4
"""Characters of the shortest secret that is looked for: less would be found in every word."""

SHORTEST_GUESS = 8
"""The same for what is only taken for a secret, such as a part of a header."""

_HARMLESS = {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"}
"""The headers that this package and httpx set. An httpx.Auth may use any other one."""

_SECRET_NAME = re.compile(r"cookie|token|secret|authorization|password|api-?key", re.IGNORECASE)

_OAUTH_WORDS = {"password", "refresh_token", "client_credentials", "authorization_code"}


@runtime_checkable
class KnowsSecrets(Protocol):
    """An auth of this package, which can name its secrets."""

    def secrets(self) -> list[str]:
        """All that must not be shown."""


class Secrets:
    """The secrets of one client's calls.

    Args:
        auth: how the calls sign in.
    """

    def __init__(self, auth: object) -> None:
        self._auth = auth

    def keep_out_of(self, problem: BaseException, asked: dict[str, Any]) -> None:
        """Takes the secrets of the call that was `asked`, as httpx's `request` takes it, out of what it raised.

        The exception stays the same one; those that it was raised from are looked through, too.
        """
        chain = list(_chain(problem))
        responses = [found for each in chain if isinstance(found := vars(each).get("response"), HTTPResponse)]
        requests = [found for each in chain if isinstance(found := vars(each).get("_request"), HTTPRequest)]
        remove = self._remover(requests, responses, asked)
        for each in chain:
            facts = vars(each)
            if isinstance(request := facts.get("_request"), HTTPRequest):
                # What became of a start is still read from the outermost one's extensions.
                facts["_request"] = _bare(request, remove, request.extensions if each is problem else {})
            if isinstance(response := facts.get("response"), HTTPResponse):
                facts["response"] = _rebuilt(response, remove)
            for name, value in facts.items():
                facts[name] = _without(value, remove)
            each.args = _without(each.args, remove)
            if isinstance(each, UnicodeError) and hasattr(each, "object"):
                # The whole text that could not be encoded, or decoded, such as a header.
                each.args, each.object = (str(each),), type(each.object)()

    def kept_from(self, response: HTTPResponse, asked: dict[str, Any]) -> HTTPResponse:
        """The same answer without secrets, and without what hangs on it: earlier answers, a redirect's request."""
        return _rebuilt(response, self._remover([], [response], asked))

    def _remover(self, requests: list[HTTPRequest], responses: list[HTTPResponse], asked: dict[str, Any]) -> _Remover:
        found = set(self._auth.secrets()) if isinstance(self._auth, KnowsSecrets) else set()
        for response in responses:
            requests = [*requests, *(each.request for each in (*response.history, response) if _has_request(each))]
            found |= set(_in_redirect(response))
            for earlier in response.history:
                found |= set(_in_answer(earlier))
        for request in requests:
            found |= set(_in_request(request, asked))
        return _Remover(frozenset(found))


class _Remover:
    """Takes secrets out of texts."""

    def __init__(self, secrets: frozenset[str]) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)

    def bytes(self, value: bytes) -> bytes:
        for form in self._forms:
            value = value.replace(form, REMOVED.encode())
        return value

    def text(self, value: str) -> str:
        encoded = value.encode("utf-8", "surrogatepass")
        cleaned = self.bytes(encoded)
        return value if cleaned == encoded else cleaned.decode("utf-8", "replace")


@lru_cache(maxsize=64)
def _forms(secret: str) -> frozenset[bytes]:
    """A secret as it may be echoed: as it is, in JSON, in an address, in HTML, in base64, as Python prints it."""
    raw = secret.encode("utf-8", "surrogatepass")
    in_json = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}
    in_address = {quote(raw), quote(raw, safe=""), quote_plus(raw)}
    texts = {
        *in_json,
        *(text.replace("/", "\\/") for text in in_json),  # PHP's
        *in_address,
        *(re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), text) for text in in_address),
        html.escape(secret),
        html.escape(secret, quote=False),
        repr(secret)[1:-1],
        repr(raw)[2:-1],
        " ".join(secret.split()),
    }
    forms = {raw, *(text.encode("utf-8", "surrogatepass") for text in texts)}
    if len(raw) >= 12:  # what is left of shorter ones would be found by chance
        for lead in range(3):  # base64 of a longer text shows three different faces of what is in it
            for encode in (b64encode, urlsafe_b64encode):
                first, last = (lead * 8 + 5) // 6, (lead + len(raw)) * 8 // 6
                forms.add(encode(b"\0" * lead + raw)[first:last])
    return frozenset(form for form in forms if len(form) >= SHORTEST)


def _chain(problem: BaseException | None) -> Iterator[BaseException]:
    """An exception and all that hang on it: causes, contexts, those of a group, and those among its facts."""
    seen: dict[int, BaseException] = {}
    waiting = [problem]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen[id(each)] = each
        yield each
        waiting += [each.__cause__, each.__context__]
        waiting += [value for value in vars(each).values() if isinstance(value, BaseException)]
        waiting += each.exceptions if isinstance(each, BaseExceptionGroup) else ()


def _has_request(response: HTTPResponse) -> bool:
    return isinstance(vars(response).get("_request"), HTTPRequest)


def _is_foreign(request: HTTPRequest, asked: dict[str, Any]) -> bool:
    """Whether it is not the call itself but a sign-in of the auth's own."""
    path = str(asked.get("url", ""))
    return not (request.url.path.endswith(path) or request.url.raw_path.decode().partition("?")[0].endswith(path))


def _in_request(request: HTTPRequest, asked: dict[str, Any]) -> Iterator[str]:
    """What an auth added to a request."""
    for name, value in request.headers.items():
        if name not in _HARMLESS:
            # The whole of it, and what stands behind `Bearer` or in `key="…"`.
            yield from (part for part in (value, *re.split(r'[\s,;="]+', value)) if _may_be_secret(part))
    ours = dict(asked.get("params") or {})  # which may be pairs
    for name, value in request.url.params.multi_items():
        if name not in ours and _may_be_secret(value):
            yield value
    if _is_foreign(request, asked):
        yield from _in_form(vars(request).get("_content", b""))


def _in_form(body: bytes) -> Iterator[str]:
    """The values of a sign-in's form, or of its JSON."""
    text = body[:100_000].decode("utf-8", "replace")
    pairs = parse_qsl(text) if not text.lstrip().startswith(("{", "[")) else ()
    values = [value for _, value in pairs] or list(_strings(_json(body)))
    yield from (value for value in values if value not in _OAUTH_WORDS)


def _in_answer(response: HTTPResponse) -> Iterator[str]:
    """What an auth was given: the tokens in the answer to a sign-in of its own."""
    yield from (value for value in _strings(_json(vars(response).get("_content", b""))) if _may_be_secret(value))


def _in_redirect(response: HTTPResponse) -> Iterator[str]:
    """What a redirect carries along, such as the token of a session."""
    _, _, query = response.headers.get("location", "").partition("?")
    yield from (value for _, value in parse_qsl(query) if _may_be_secret(value))


def _may_be_secret(text: str) -> bool:
    return len(text) >= SHORTEST_GUESS and not text.startswith("/") and text.lower() not in _OAUTH_WORDS


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _strings(value: object) -> Iterator[str]:
    """The texts in a JSON value, not too deep."""
    level: list[object] = [value]
    for _ in range(10):
        yield from (each for each in level if isinstance(each, str))
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]


def _without(value: Any, remove: _Remover) -> Any:
    """The same value; texts in it, also in plain lists and dicts, without secrets."""
    if isinstance(value, str):
        return remove.text(value)
    if isinstance(value, bytes):
        return remove.bytes(value)
    if type(value) in (list, tuple):
        return type(value)(_without(each, remove) for each in value)
    if type(value) is dict:
        return {_without(name, remove): _without(each, remove) for name, each in value.items()}
    return value


def _bare(request: HTTPRequest, remove: _Remover, extensions: dict[str, Any]) -> HTTPRequest:
    """Method, address and harmless headers. The body is not kept: it is the caller's, or a sign-in's."""
    headers = [
        (name, value if name.decode("latin-1").lower() in _HARMLESS else REMOVED.encode())
        for name, value in request.headers.raw
    ]
    return HTTPRequest(request.method, remove.text(str(request.url)), headers=headers, extensions=extensions)


def _rebuilt(response: HTTPResponse, remove: _Remover) -> HTTPResponse:
    headers = []
    for name, value in response.headers.raw:
        text = name.decode("latin-1").lower()
        kept = remove.bytes(value)
        if _SECRET_NAME.search(text):
            kept = REMOVED.encode()
        elif text == "location":
            kept = _place(kept.decode("latin-1")).encode("latin-1")
        headers.append((name, kept))
    request = _bare(response.request, remove, {}) if _has_request(response) else None
    about = {
        name: _without(value, remove) for name, value in response.extensions.items() if isinstance(value, str | bytes)
    }
    return decoded(response, headers, remove.bytes(vars(response).get("_content", b"")), request, about)


def _place(location: str) -> str:
    """Where a redirect leads to, without a password before the host and without what follows ? or #."""
    return re.sub(r"^([a-z][a-z0-9+.-]*:)?//[^/]*@", r"\1//", re.split("[?#]", location)[0], flags=re.IGNORECASE)
