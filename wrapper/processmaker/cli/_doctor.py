"""`doctor`: check the way to the server, the token, and what it may start.

It only reads. The token is sent to the API only, and only after a ProcessMaker has answered there without it.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import httpx
from attrs import asdict, field, frozen

from .. import errors as e
from ..clock import Clock
from ..config.network import proxy_for, trusted
from ._exits import Absent, ChecksFailed, NotSignedIn, exit_code, hint_for
from ._profiles import claims, expiry, token_in_use
from ._settings import checked_site, server

if TYPE_CHECKING:
    from ._session import Session

CHECKS = ("proxy", "address", "tls", "api", "clock", "token", "processes")
"""In this order, because a check needs those before it: if one fails, the rest is skipped."""

PROBE = "/api/1.0/start_processes"
"""What is asked without a token: ProcessMaker's API refuses it in words of its own."""

SOON = timedelta(days=14)
"""How long before the end of a certificate or a token there is advice."""

CLOCKS_DIFFER = timedelta(minutes=2)
"""From which difference on there is advice."""

MAX_NAMED = 8
"""How many processes are named on a line."""

clock = Clock()
"""The time of this machine."""


@frozen
class Finding:
    """The result of a check.

    Args:
        check: its name, of `CHECKS`.
        status: `ok`; `advice` if it works, but something should be done; `failed`; `skipped` if it was not checked.
        message: what was found, and what to do.
        facts: the same for programs.
    """

    check: str
    status: Literal["ok", "advice", "failed", "skipped"]
    message: str
    facts: dict[str, Any] = field(factory=dict)


def examine(session: Session) -> None:
    """Print the findings.

    Raises:
        ChecksFailed: a check failed. It has the exit code.
    """
    arguments = {**server(session.settings, os.environ), "retries": None}
    site = checked_site(arguments["base_url"], allow_http=arguments.get("allow_http", False))
    found: list[Finding] = []

    def report(finding: Finding) -> None:
        found.append(finding)
        if not session.output.as_json:
            session.output.line(f"{finding.status:7}  {finding.check:9}  {finding.message}")

    failure = None
    try:
        for finding in _findings(session, arguments, site):
            report(finding)
    except e.ProcessMakerError as error:
        failure = error
        failed = CHECKS[len(found)]
        message, hint = error.message.removeprefix(f"GET {PROBE}: "), hint_for(error)
        report(Finding(failed, "failed", f"{e.sentence(message)} {hint}" if hint else message))
        for check in CHECKS[len(found) :]:
            report(Finding(check, "skipped", f"not checked: {failed} failed"))
    if session.output.as_json:
        session.output.document({"url": site, "ok": failure is None, "checks": [asdict(finding) for finding in found]})
    if failure:
        raise ChecksFailed(f"the check of {failed} failed", code=exit_code(failure, changes=False))


class Network(httpx.HTTPTransport):
    """The network, as a client uses it. It keeps the server's certificate: None if there is none to see."""

    certificate: dict[str, Any] | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        tls = response.extensions["network_stream"].get_extra_info("ssl_object")
        self.certificate = tls.getpeercert() if tls else None
        return response


def _findings(session: Session, arguments: dict[str, Any], site: str) -> Iterator[Finding]:
    """Make the checks. A check that fails ends this with its error."""
    host, allow_http = urlsplit(site).hostname, arguments.get("allow_http", False)
    ssl_context = trusted(arguments.get("verify", True))
    proxy = proxy_for(site, ssl_context, allow_http=allow_http)
    address = str(proxy.url) if proxy else None
    yield Finding("proxy", "ok", f"calls go through {address}" if proxy else "none", {"proxy": address})

    network = Network(verify=ssl_context, proxy=proxy)
    # An auth that does nothing: this call has no token.
    probe = session.connect(**arguments, auth=httpx.Auth(), transport=network)
    refusal: e.ResponseError | None = None
    try:
        probe.request("GET", PROBE.removeprefix("/api/1.0"))
    except e.ResponseError as error:
        refusal = error
    except e.TransportError as error:
        if "certificate" in error.message:
            yield Finding("address", "ok", f"{host} answers")
            if "issuer" in error.message or "self-signed" in error.message:
                error.hint = (
                    "If you trust its authority, let SSL_CERT_FILE name a file with the authority's certificate"
                )
        elif proxy:
            error.hint = f"Look at the proxy, or add {host} to NO_PROXY"
        else:
            error.hint = "Look at the address, its port, the network and the VPN"
        raise
    yield Finding("address", "ok", f"{host} answers")
    if site.startswith("https:"):
        yield _certificate(network.certificate)
    elif allow_http:
        yield Finding("tls", "advice", "plain http: the token can be read on its way; use https")
    else:  # the address would have been refused
        yield Finding("tls", "ok", "plain http, which does not leave this machine")
    if refusal and (refusal.status_code >= 500 or refusal.status_code == 429):
        raise refusal
    if not (refusal and refusal.status_code == 401 and "unauthenticated" in refusal.server_message.lower()):
        answered = refusal.message if refusal else "it wants no token"
        raise Absent(f"no ProcessMaker's API is at {site}: {answered}", hint="Look at the address and its path")
    yield Finding("api", "ok", f"ProcessMaker's API is at {site}/api/1.0")
    yield _clock(refusal.headers.get("date"))

    arguments = {**session.signed_in(), "retries": None}
    pm = session.connect(**arguments)
    try:
        names = [process.name for process in pm.processes()]
    except e.Unauthorized:
        until = expiry(claims(token_in_use(arguments)))
        expired = until is not None and until <= clock.now()
        why = f"it expired on {until:%Y-%m-%d}" if expired else "it may be cut off, revoked or another server's"
        raise NotSignedIn(f"refused: {why}", hint="Make a new one, and run processmaker login") from None
    until = expiry(claims(token_in_use(arguments)))
    if "auth" in arguments:
        yield Finding(
            "token", "ok", "the password is accepted; its tokens are renewed by themselves", {"valid_until": until}
        )
    elif until is None:
        yield Finding("token", "ok", "accepted", {"valid_until": None})
    else:
        yield _until("token", until, "accepted", "make a new one in time, and run processmaker login")

    facts = {"processes": names}
    if names:
        rest = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        yield Finding("processes", "ok", f"{len(names)} may be started: {', '.join(names[:MAX_NAMED])}{rest}", facts)
    else:
        message = "none may be started: ask an administrator to allow this user to start one"
        yield Finding("processes", "advice", message, facts)


def _certificate(certificate: dict[str, Any] | None) -> Finding:
    if certificate is None:
        return Finding("tls", "skipped", "the connection does not show its certificate")
    if not certificate:
        return Finding("tls", "advice", "the certificate is not checked: anybody on the way can read the token")
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    return _until("tls", until, "the certificate is valid", "the server needs a new one")


def _clock(date: str | None) -> Finding:
    try:
        ahead = clock.now() - parsedate_to_datetime(date or "")
    except (TypeError, ValueError):
        return Finding("clock", "skipped", "the server does not say what time it is")
    facts = {"ahead_seconds": round(ahead.total_seconds())}
    if abs(ahead) < CLOCKS_DIFFER:
        return Finding("clock", "ok", "as the server's", facts)
    which = "ahead of" if ahead > timedelta() else "behind"
    return Finding("clock", "advice", f"this machine's is {abs(ahead)} {which} the server's: set it right", facts)


def _until(check: str, until: datetime, what: str, todo: str) -> Finding:
    """Return the finding for something that ends: advice if that is soon."""
    facts = {"valid_until": until}
    if until - clock.now() > SOON:
        return Finding(check, "ok", f"{what} until {until:%Y-%m-%d}", facts)
    return Finding(check, "advice", f"{what} until {until:%Y-%m-%d %H:%M} UTC only: {todo}", facts)
