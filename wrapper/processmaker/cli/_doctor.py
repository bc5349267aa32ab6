"""`doctor`: what may be wrong between this machine, a server and a token.

It only reads. Until it is known that a ProcessMaker answers, the token stays here; it is sent nowhere but to the API.
A check is a method of `_Examination`; what it raises is its finding, too.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from ipaddress import ip_address
from statistics import median
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

from attrs import evolve, field, frozen
from processmaker_api.api.process_requests import get_processes_requests
from processmaker_api.api.processes import start_processes

from .. import errors as e
from ..config.settings import API_PATH, site_of
from ..data import IDEMPOTENCY_KEY
from ..models import Process, items, process_from
from ..wire.auth import PasswordGrant
from ..wire.call import run
from ..wire.http import Auth, transport_errors
from ..wire.proxy import Proxy, names_proxy, network_of, proxy_for, without_proxy
from ._document import document_from, misfits_of
from ._exits import explained
from ._profiles import claims, expiry
from ._settings import server, signed_in

if TYPE_CHECKING:
    from .. import ProcessMaker
    from ..clock import Clock
    from ..wire.http import HTTPResponse
    from ._session import Session

PROBE = API_PATH + "/start_processes"
"""What is asked without a token: ProcessMaker's API answers 401 in words of its own."""

PREFIXES = ("/processmaker", "/pm", "/bpm")
"""Where to look for the API, where the server itself says nothing."""

SOON = timedelta(days=14)
"""How long before its end a certificate or a token is worth a word."""

SKEW = 30.0
"""Seconds that clocks may differ."""

SLOW = 0.1
"""Seconds that a look-up by key may take because of the Requests there are: a start takes 0.11 (4.15.5)."""

NAMED = 8
"""How many processes are named on a line."""

LOOKED_FOR = 5.0
"""Seconds after which no further process is tried."""

Status = Literal["ok", "advice", "failed", "skipped"]


@frozen
class Finding:
    """What one check found.

    Args:
        status: `ok`; `advice` where it works, but something should be done; `failed`; `skipped` where it could not
            be looked at.
        message: what was found, and what to do.
        facts: the same for programs.
        error: what kind of failure it is, which makes the exit code.
        check: its name.
    """

    status: Status
    message: str
    facts: dict[str, Any] = field(factory=dict)
    error: type[e.ProcessMakerError] = e.ProcessMakerError
    check: str = ""


def doctor(session: Session) -> None:
    """Prints the findings.

    Raises:
        ProcessMakerError: a check failed; it is of the kind of the first one that did.
    """
    examination = _Examination(session)
    found = []
    for finding in examination.findings():
        found.append(finding)
        if not session.output.as_json:
            session.output.line(f"{finding.status:7}  {finding.check:9}  {finding.message}")
    failed = [finding for finding in found if finding.status == "failed"]
    if session.output.as_json:
        checks = [
            {"check": each.check, "status": each.status, "message": each.message, "facts": each.facts} for each in found
        ]
        session.output.document({"url": examination.site, "ok": not failed, "checks": checks})
    if failed:
        names = ", ".join(finding.check for finding in failed)
        raise failed[0].error(f"{len(failed)} of {len(found)} checks failed: {names}")


class _Examination:
    """One visit. The checks go from what everything else needs to what only some calls need."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._arguments = {**server(session.options, os.environ), "auth": Auth(), "retries": None}
        self.site = site_of(self._arguments["base_url"], allow_http=self._arguments.get("allow_http", False))
        parts = urlsplit(self.site)
        self._scheme, self._host = parts.scheme, str(parts.hostname)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._proxy: Proxy | None = None
        self._answer: HTTPResponse | None = None
        self._tls_error: e.TLSFailed | None = None
        self._signed: ProcessMaker | None = None
        self._listing: list[Process] = []

    @cached_property
    def _unsigned(self) -> ProcessMaker:
        """A client for calls without the token. There can be none before the proxy is known to be one."""
        return self._session.connect(**self._arguments)

    @property
    def _clock(self) -> Clock:
        return self._unsigned._io.clock

    def findings(self) -> Iterator[Finding]:
        checks: tuple[tuple[str, Callable[[], Finding], bool], ...] = (
            # The last says whether those after it make no sense once it failed.
            ("proxy", self._look_at_proxy, True),
            ("address", self._look_at_address, True),
            ("tls", self._look_at_tls, True),
            ("api", self._look_at_api, True),
            ("clock", self._look_at_clock, False),
            ("document", self._look_at_document, False),
            ("token", self._look_at_token, True),
            ("processes", self._look_at_processes, False),
            ("look-up", self._look_at_look_up, False),
        )
        stopped_by = ""
        for name, look, is_needed in checks:
            if stopped_by:
                yield Finding("skipped", f"not looked at: {stopped_by} failed", check=name)
                continue
            try:
                finding = look()
            except e.ProcessMakerError as error:
                finding = _failed(error, explained(error))
            yield evolve(finding, check=name)
            if is_needed and finding.status == "failed":
                stopped_by = name

    # The way to the server

    def _look_at_proxy(self) -> Finding:
        self._proxy = proxy = proxy_for(self.site, allow_http=self._arguments.get("allow_http", False))
        if proxy is None:
            left_out = names_proxy(self.site)
            return Finding("ok", "the environment's leaves this address out" if left_out else "none", {"proxy": None})
        words, facts = f"calls go through {proxy.address} ({proxy.variable})", {"proxy": proxy.address}
        if network := network_of(self._host):
            said = f"{words} although NO_PROXY has {network}: httpx knows no networks there, add {self._host} itself"
            return Finding("advice", said, facts)
        if self._host == "localhost" or _is(self._host, "is_private"):
            return Finding("advice", f"{words}; if the server is near, add {self._host} to NO_PROXY", facts)
        return Finding("ok", words, facts)

    def _look_at_address(self) -> Finding:
        began, self._asked_at = self._clock.monotonic(), self._clock.now()
        try:
            self._answer = self._ask(self.site + PROBE)
        except e.TransportError as error:
            if self._proxy:
                if said := self._said_of_proxy(self._proxy, error):
                    return _failed(error, said)
            elif self._scheme == "http" and self._speaks("https"):
                return _failed(error, f"plain http to a port that speaks https: use {self._with_scheme('https')}")
            if isinstance(error, e.TLSFailed):
                self._tls_error = error
                return Finding("ok", f"{self._host} answers")
            return _failed(error, f"{e.sentence(error)} {_way_out(error, self._host)}")
        took = self._clock.monotonic() - began
        # Half-way there and back is when the server read its clock.
        self._asked_at += timedelta(seconds=took / 2)
        return Finding("ok", f"{self._host} answers in {took * 1000:.0f} ms", {"answered_in_ms": round(took * 1000)})

    def _said_of_proxy(self, proxy: Proxy, error: e.TransportError) -> str:
        """What to say of a call through the proxy that failed; nothing where it is about the server's certificate."""
        said = e.sentence(error)
        if " through the proxy: 407" in said:
            return f"{said} It wants a user name and password: {proxy.variable}=http://user:password@host:port"
        if self._answers_directly():
            return f"{said} Without the proxy it answers: add {self._host} to NO_PROXY"
        try:
            self._ask(proxy.address, self._direct())
        except e.TLSFailed:
            return f"no TLS with the proxy {proxy.address}: most want {proxy.variable} to begin with http://"
        except e.ConnectionFailed as problem:
            return f"{said} That is the proxy ({proxy.variable}). {_way_out(problem, proxy.address)}"
        except e.ProcessMakerError:
            pass
        return "" if isinstance(error, e.TLSFailed) else f"{said} Look at the address and at the proxy"

    def _look_at_tls(self) -> Finding:
        if self._scheme == "http":
            if self._proxy is None and (self._host == "localhost" or _is(self._host, "is_loopback")):
                return Finding("ok", "plain http, which does not leave this machine")
            return Finding("advice", "plain http: the token can be read on its way; use https")
        if self._tls_error:
            return _failed(self._tls_error, self._refused_tls(self._tls_error))
        stream = self._answer.extensions.get("network_stream") if self._answer else None
        tls = stream.get_extra_info("ssl_object") if stream else None
        certificate = tls.getpeercert() if tls else None
        if certificate is None:
            return Finding("skipped", "the connection does not show its certificate")
        if "notAfter" not in certificate:
            return Finding("advice", "the certificate is not checked: anybody on the way can read the token")
        until = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
        return self._lasting(until, "the certificate is valid", "the server needs a new one")

    def _refused_tls(self, error: e.TLSFailed) -> str:
        flaw = _certificate_flaw(error)
        if flaw is None:
            if self._speaks("http"):
                plain = self._with_scheme("http")
                return (
                    f"https to a port that speaks plain http: use the port that speaks https (or {plain}, unencrypted)"
                )
            return f"{e.sentence(error)} The server and this machine agree on no way to speak TLS"
        match flaw.verify_code:
            case 9:
                todo = "look at this machine's clock"
            case 10:
                todo = "the server needs a new one (or this machine's clock is ahead)"
            case 18 | 19 | 20 | 21:
                todo = (
                    "if you trust its authority, put the authority's certificate into a file that SSL_CERT_FILE names"
                )
            case _:
                todo = "use the name that the certificate is for"
        return f"the certificate is refused, {flaw.verify_message.rstrip('.')}: {todo}"

    # The server

    def _look_at_api(self) -> Finding:
        assert self._answer
        if _is_api(self._answer):
            return Finding("ok", f"ProcessMaker's API is at {self.site}{API_PATH}")
        if self._proxy and self._answers_directly():
            said = f"the proxy answers {self._answer.status_code} in its place: add {self._host} to NO_PROXY"
            return Finding("failed", said, error=e.ConnectionFailed)
        error = e.error_of(self._answer, self._clock.now())
        if isinstance(error, e.ServerError | e.RateLimited):
            return _failed(error, f"{e.sentence(error)} Come back later")
        if found := self._search():
            said = f"not at {self.site}, but at {found}: use --url {found} (PROCESSMAKER_URL)"
            return Finding("failed", said, {"found": found}, e.NotFound)
        said = str(error) if error else f"{PROBE} answers {self._answer.status_code} {e.server_message(self._answer)}"
        said = f"no ProcessMaker's API at {self.site}: {e.sentence(said)} Look at the address and its path"
        return Finding("failed", said, {"found": None}, e.NotFound)

    def _search(self) -> str | None:
        """Where the API is, if not where it was said to be: the address as people copy it, or where redirects lead."""
        answers = [answer for answer in (self._answer, self._ask_quietly(f"{self._origin}/")) if answer is not None]
        redirects = [urljoin(str(answer.url), answer.headers.get("location", "")) for answer in answers]
        places = [place for address in (self.site, *redirects) for place in _places(address)]
        places += [self._with_scheme("https"), *(self._origin + prefix for prefix in PREFIXES)]
        for place in [place for place in dict.fromkeys(places) if place != self.site][:20]:
            answer = self._ask_quietly(place + PROBE)
            if answer is not None and _is_api(answer):
                return place
        return None

    def _look_at_clock(self) -> Finding:
        assert self._answer
        try:
            theirs = parsedate_to_datetime(self._answer.headers.get("date", "")) + timedelta(seconds=0.5)
            ahead = (theirs - self._asked_at).total_seconds()
        except (ValueError, TypeError):
            return Finding("skipped", "the server does not say what time it is")
        facts = {"server_ahead_seconds": round(ahead)}
        if abs(ahead) <= SKEW:
            return Finding("ok", f"the server's and this machine's agree to {max(abs(round(ahead)), 1)} s", facts)
        way = "ahead of" if ahead > 0 else "behind"
        said = (
            f"the server's is {abs(ahead):.0f} s {way} this machine's: set the wrong one, or times cannot be compared"
        )
        return Finding("advice", said, facts)

    def _look_at_document(self) -> Finding:
        document, url = None, ""
        for base in dict.fromkeys((self.site, self._origin)):
            url = f"{base}/docs"
            answer = self._ask_quietly(url)
            if answer is not None and answer.is_success and (document := document_from(answer.content)):
                break
        if not document:
            return Finding("skipped", "the server shows no document of its API at /docs")
        misfits = list(misfits_of(document))
        if not misfits:
            return Finding("ok", f"{url} has every operation and parameter that this client sends", {"misfits": []})
        said = (
            f"{url} does not fit this client: {'; '.join(misfits)}. Look for a newer processmaker-client, or make one "
        )
        said += f"in a checkout of it: make regenerate SPEC={url}"
        return Finding("failed", said, {"misfits": misfits})

    # The token

    def _look_at_token(self) -> Finding:
        arguments = {**signed_in(self._session.options, os.environ), "retries": None}
        self._signed = pm = self._session.connect(**arguments)
        with transport_errors():
            answer = run(pm._io.request(start_processes.build_request()))
        until = expiry(claims(answer.request.headers.get("authorization", "")))
        facts = {"valid_until": until and until.isoformat()}
        error = e.error_of(answer, self._clock.now())
        if isinstance(error, e.Unauthorized):
            if until is None:
                why = "it may be cut off, revoked or another server's"
            elif until <= self._clock.now():
                why = f"it expired on {until:%Y-%m-%d}"
            else:
                why = f"it would be valid until {until:%Y-%m-%d}, so it was revoked, or is another server's"
            return _failed(error, f"refused: {why}. Make a new one, and processmaker login", **facts)
        if error:
            raise error
        try:
            self._listing = [process_from(item) for item in items(json.loads(answer.content))]
        except (ValueError, RecursionError):
            said = f"{PROBE} answers something else than a list: {e.server_message(answer)}"
            return Finding("failed", said, facts, e.UnreadableResponse)
        if isinstance(arguments.get("auth"), PasswordGrant):
            return Finding("ok", "the password is accepted; its tokens are renewed by themselves", facts)
        if until is None:
            return Finding("ok", "accepted; it does not say until when", facts)
        return self._lasting(until, "accepted", "make a new one in time, and processmaker login")

    def _look_at_processes(self) -> Finding:
        names = [process.name for process in self._listing]
        facts = {"processes": names}
        if not names:
            said = "none may be started: let an administrator allow this user to start what it is to start"
            return Finding("advice", said, facts)
        rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return Finding("ok", f"{len(names)} may be started: {', '.join(names[:NAMED])}{rest}", facts)

    def _look_at_look_up(self) -> Finding:
        """What a look-up by key costs, against the same one that has to read no data."""
        if not self._listing:
            return Finding("skipped", "no process may be started")
        key, costs = f"doctor-{uuid4()}", dict[int, float]()
        self._time_of(key, self._listing[0].id)  # so that the connection is there
        began = self._clock.monotonic()
        for process in self._listing:
            costs[process.id] = self._time_of(key, process.id)
            if self._clock.monotonic() - began > LOOKED_FOR:
                break
        slowest = max(self._listing[: len(costs)], key=lambda process: costs[process.id])
        cost = median([costs[slowest.id], self._time_of(key, slowest.id), self._time_of(key, slowest.id)])
        least = median(self._time_of(key, slowest.id, " AND id > 2000000000") for _ in range(3))
        facts = {"process": slowest.id, "look_up_ms": round(cost * 1000), "without_data_ms": round(least * 1000)}
        said = f"by key takes {cost * 1000:.0f} ms among the Requests of {slowest.name}"
        if cost - least <= SLOW:
            return Finding("ok", f"{said}; key_lifetime is not called for", facts)
        said += (
            f", {least * 1000:.0f} among none: give the client key_lifetime=timedelta(days=2) or so, that only newer "
        )
        said += "ones are read"
        return Finding("advice", said, facts)

    def _time_of(self, key: str, process_id: int, further: str = "") -> float:
        assert self._signed
        pmql = f'data.{IDEMPOTENCY_KEY} = "{key}" AND process_id = {process_id}{further}'
        began = self._clock.monotonic()
        request = get_processes_requests.build_request(pmql=pmql, include="summary")
        found = run(self._signed._io.call(request, items))
        if found:
            raise e.ProcessMakerError("the server does not look at pmql: idempotency keys are not found here")
        return self._clock.monotonic() - began

    # Asking

    def _ask(self, url: str, pm: ProcessMaker | None = None) -> HTTPResponse:
        """GET, without the token."""
        with transport_errors():
            return run((pm or self._unsigned)._io.request({"method": "GET", "url": url}))

    def _ask_quietly(self, url: str) -> HTTPResponse | None:
        try:
            return self._ask(url)
        except e.ProcessMakerError:
            return None

    def _answers_directly(self) -> bool:
        """Whether the API is there without the proxy."""
        try:
            return _is_api(self._ask(self.site + PROBE, self._direct()))
        except e.ProcessMakerError:
            return False

    def _direct(self) -> ProcessMaker:
        """A client that goes through no proxy."""
        return self._session.connect(**self._arguments, transport=without_proxy(self._unsigned._settings.verify))

    def _speaks(self, scheme: str) -> bool:
        """Whether the same port answers to that scheme."""
        try:
            self._ask(self._with_scheme(scheme) + PROBE)
        except e.TLSFailed as error:
            return _certificate_flaw(error) is not None
        except e.ProcessMakerError:
            return False
        return True

    def _with_scheme(self, scheme: str) -> str:
        return f"{scheme}://{self.site.partition('://')[2]}"

    def _lasting(self, until: datetime, what: str, todo: str) -> Finding:
        left, facts = until - self._clock.now(), {"valid_until": until.isoformat()}
        if left > SOON:
            return Finding("ok", f"{what} until {until:%Y-%m-%d}", facts)
        return Finding("advice", f"{what} until {until:%Y-%m-%d %H:%M} UTC only: {todo}", facts)


def _failed(error: e.ProcessMakerError, message: str, **facts: Any) -> Finding:
    return Finding("failed", message, facts, type(error))


def _is_api(answer: HTTPResponse) -> bool:
    return answer.status_code == 401 and "unauthenticated" in e.server_message(answer).lower()


def _places(address: str) -> list[str]:
    """The address without its path's last part, without the last two, and so on."""
    parts = urlsplit(address)
    path = parts.path.removesuffix(PROBE).strip("/").split("/")
    return [f"{parts.scheme}://{parts.netloc}/{'/'.join(path[:end])}".rstrip("/") for end in range(len(path), -1, -1)]


def _is(host: str, kind: Literal["is_loopback", "is_private"]) -> bool:
    try:
        return bool(getattr(ip_address(host), kind))
    except ValueError:
        return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _certificate_flaw(error: e.TLSFailed) -> ssl.SSLCertVerificationError | None:
    return next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLCertVerificationError)), None)


def _way_out(error: e.TransportError, host: str) -> str:
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return f"Nobody here knows the name {host}: look at the address, and at the VPN"
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "Nothing listens there: look at the address and its port"
    return "Look at the address, the network and its firewalls"
