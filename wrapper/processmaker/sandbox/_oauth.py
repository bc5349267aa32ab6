"""POST /oauth/token: grants and their tokens."""

from __future__ import annotations

import base64
import json
import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import attrs
import httpx

from ._data import as_array, read_body
from ._model import User
from ._objects import CREDENTIALS_CLIENT, PASSWORD_CLIENT
from ._shapes import Json, Refused, answer, message

if TYPE_CHECKING:
    from ._server import Sandbox

TRIES_PER_MINUTE = 60


@attrs.frozen
class _Grant:
    user: User | None
    """None for client_credentials, whose tokens the API refuses."""
    expires_at: datetime
    refresh_token: str = ""


class TokenEndpoint:
    """Issues tokens, and finds the user of a token."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        # Both by the last part of the token, which is its name.
        self._grants: dict[str, _Grant] = {}
        self._revoked: set[str] = set()
        self._window = (sandbox.clock.now(), 0)

    def user_of(self, request: httpx.Request) -> User | None:
        """Return the user whose token the call carries; None if that is missing, unknown, expired or revoked."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        name = token.rpartition(".")[2]
        if scheme.lower() != "bearer" or name in self._revoked:
            return None
        if grant := self._grants.get(name):
            return grant.user if self._sandbox.clock.now() < grant.expires_at else None
        return next((user for user in self._sandbox.users.values() if user.token == name), None)

    def revoke(self, token: str | None = None) -> None:
        """Make an access token invalid, or all that were issued by grants. Refresh tokens stay valid."""
        self._revoked.update(self._grants if token is None else [token.rpartition(".")[2]])

    def __call__(self, request: httpx.Request) -> httpx.Response:
        remaining = self._try()
        body = read_body(request.headers.get("content-type", ""), request.content)
        try:
            response = answer(self._grant({key: str(value) for key, value in as_array(body).items()}))
            response.headers["content-type"] = "application/json; charset=UTF-8"
            response.headers["cache-control"] = "no-store, private"
        except Refused as refused:
            response = refused.response
        response.headers["x-ratelimit-limit"] = str(TRIES_PER_MINUTE)
        response.headers["x-ratelimit-remaining"] = str(remaining)
        return response

    def _try(self) -> int:
        """Count a sign-in and return how many are left in this minute; 429 if there are too many."""
        now = self._sandbox.clock.now()
        start, tries = self._window
        if now >= start + timedelta(minutes=1):
            start, tries = now, 0
        if tries >= TRIES_PER_MINUTE:
            end = start + timedelta(minutes=1)
            headers = {
                "retry_after": str(math.ceil((end - now).total_seconds())),
                "x_ratelimit_limit": str(TRIES_PER_MINUTE),
                "x_ratelimit_remaining": "0",
                "x_ratelimit_reset": str(int(end.timestamp())),
            }
            raise Refused(message(429, "Too Many Attempts.", **headers))
        self._window = (start, tries + 1)
        return TRIES_PER_MINUTE - tries - 1

    def _grant(self, form: dict[str, str]) -> Json:
        client = (form.get("client_id", ""), form.get("client_secret", ""))
        match form.get("grant_type"):
            case "client_credentials":
                _check_client(client, CREDENTIALS_CLIENT)
                return self._issue(None)
            case "password":
                _check_client(client, PASSWORD_CLIENT)
                user = self._sandbox.users.get(form.get("username", ""))
                if user is None or user.password != form.get("password"):
                    raise Refused(_error(400, "invalid_grant", "The user credentials were incorrect."))
                return self._issue(user)
            case "refresh_token":
                _check_client(client, PASSWORD_CLIENT)
                return self._refresh(form.get("refresh_token", ""))
            case _:
                text = "The authorization grant type is not supported by the authorization server."
                raise Refused(_error(400, "unsupported_grant_type", text))

    def _refresh(self, refresh_token: str) -> Json:
        """Issue a new pair of tokens, and revoke both tokens of the old pair."""
        for name, grant in self._grants.items():
            if grant.refresh_token == refresh_token not in self._revoked and refresh_token:
                self._revoked |= {name, refresh_token}
                return self._issue(grant.user)
        hint = "Token has been revoked" if refresh_token in self._revoked else "Cannot decrypt the refresh token"
        raise Refused(_error(401, "invalid_request", "The refresh token is invalid.", hint=hint))

    def _issue(self, user: User | None) -> Json:
        number = len(self._grants) + 1
        now = self._sandbox.clock.now()
        refresh_token = f"sandbox-refresh-token-{number}" if user else ""
        grant = _Grant(user, now + timedelta(seconds=self._sandbox.expires_in), refresh_token)
        name = f"sandbox-access-token-{number}"
        self._grants[name] = grant
        said = {
            "jti": str(number),
            "iat": now.timestamp(),
            "exp": grant.expires_at.timestamp(),
            "sub": str(user.id) if user else "",
        }
        issued: Json = {
            "token_type": "Bearer",
            "expires_in": self._sandbox.expires_in,
            "access_token": web_token(said, name),
        }
        return issued | ({"refresh_token": refresh_token} if user else {})


def web_token(said: Json, signature: str) -> str:
    """A JWT that says whose it is, as the server's tokens do; `signature` is only a name."""
    parts = ({"typ": "JWT", "alg": "RS256"}, said)
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, signature))


def _check_client(client: tuple[str, str], expected: tuple[str, str]) -> None:
    if client != expected:
        raise Refused(_error(401, "invalid_client", "Client authentication failed"))


def _error(status: int, code: str, text: str, **hint: str) -> httpx.Response:
    return answer({"error": code, "error_description": text, **hint, "message": text}, status)
