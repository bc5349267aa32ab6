"""`doctor`: what may be wrong between this machine, a server and a token.

It only reads. The token is sent to the API only, and only after it is known that a ProcessMaker answers there. Each
check is a method of `_Examination`; an error that it raises is its finding, too.
"""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass
from uuid import uuid4

import httpx
from attrs import evolve, field, frozen

from .. import errors as e
from ..clock import Clock
from ._exits import ChecksFailed, exit_code, hint_for, message_of
from ._profiles import claims, expiry, token_from
from ._settings import checked_site, server

if TYPE_CHECKING:
    from .. import Process, ProcessMaker
    from ._session import Session

API_PATH = "/api/1.0"

PROBE = API_PATH + "/start_processes"
"""What is asked without a token: ProcessMaker's API answers 401 in words of its own."""

PREFIXES = ("/processmaker", "/pm", "/bpm")
"""Where to look for the API if the server itself says nothing."""

TIMEOUT = 30.0
"""Seconds to wait for each answer unless told otherwise."""

SOON = timedelta(days=14)
"""How long before its end a certificate or a token is worth a word."""

SLOW = 0.1
"""Seconds that a look-up by key may take because of the Requests there are: a start takes 0.11 (4.15.5)."""

MAX_NAMED = 8
"""How many processes are named on a line."""

LOOK_FOR = 5.0
"""Seconds after which no further process is tried."""

clock = Clock()
"""This machine's time."""

Status = Literal["ok", "advice", "failed", "skipped"]


@frozen
class Finding:
    """What one check found.

    Args:
        status: `ok`; `advice` if it works, but something should be done; `failed`; `skipped` if it was not checked.
        message: what was found, and what to do.
        facts: the same for programs.
        code: the exit code, if it failed.
        check: its name.
    """

    status: Status
    message: str
    facts: dict[str, Any] = field(factory=dict)
    code: int = 1
    check: str = ""


def examine(session: Session) -> None:
    """Prints the findings.

    Raises:
        ChecksFailed: a check failed; with the exit code of the first one that did.
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
        raise ChecksFailed(f"{len(failed)} of {len(found)} checks failed: {names}", code=failed[0].code)


def network(proxy: str | None, verify: Any = True) -> httpx.BaseTransport:
    """What the checks ask through, as long as no token is needed."""
    return httpx.HTTPTransport(proxy=proxy, verify=verify)


class _Examination:
    """One run. The checks go from what everything else needs to what only some calls need."""

    def __init__(self, session: Session) -> None:
        self._session = session
        arguments = server(session.settings, os.environ)
        self._allow_http = arguments.get("allow_http", False)
        self.site = checked_site(arguments["base_url"], allow_http=self._allow_http)
        parts = urlsplit(self.site)
        self._scheme, self._host = parts.scheme, str(parts.hostname)
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._verify = arguments.get("verify", True)
        self._timeout = session.settings.timeout or TIMEOUT
        self._proxy, self._variable = _proxy_for(self.site, allow_http=self._allow_http)
        self._answer: httpx.Response | None = None
        self._tls_error: BaseException | None = None
        self._pm: ProcessMaker | None = None
        self._processes: list[Process] = []

    def findings(self) -> Iterator[Finding]:
        checks: tuple[tuple[str, Callable[[], Finding], bool], ...] = (
            # The last says whether those after it make no sense once it failed.
            ("proxy", self._check_proxy, True),
            ("address", self._check_address, True),
            ("tls", self._check_tls, True),
            ("api", self._check_api, True),
            ("token", self._check_token, True),
            ("processes", self._check_processes, False),
            ("look-up", self._check_look_up, False),
        )
        stopped_by = ""
        for name, check, is_needed in checks:
            if stopped_by:
                yield Finding("skipped", f"not looked at: {stopped_by} failed", check=name)
                continue
            try:
                finding = check()
            except e.ProcessMakerError as error:
                hint = hint_for(error)
                said = f"{e.sentence(message_of(error))} {hint}" if hint else message_of(error)
                finding = Finding("failed", said, code=exit_code(error, changes=False))
            yield evolve(finding, check=name)
            if is_needed and finding.status == "failed":
                stopped_by = name

    # The way to the server

    def _check_proxy(self) -> Finding:
        if self._proxy is None:
            left_out = bool(getproxies().get(self._scheme) or getproxies().get("all"))
            return Finding("ok", "the environment's leaves this address out" if left_out else "none", {"proxy": None})
        address = _without_password(self._proxy)
        words, facts = f"calls go through {address} ({self._variable})", {"proxy": address}
        try:
            network(self._proxy).close()
        except (ValueError, httpx.InvalidURL, ImportError) as problem:
            said = f"{address} cannot be used: {problem}. Look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY"
            return Finding("failed", said, facts, 2)
        if self._host == "localhost" or _is(self._host, "is_private"):
            return Finding("advice", f"{words}; if the server is near, add {self._host} to NO_PROXY", facts)
        return Finding("ok", words, facts)

    def _check_address(self) -> Finding:
        began = clock.monotonic()
        try:
            self._answer = self._ask(self.site + PROBE)
        except httpx.TransportError as error:
            code = 5 if isinstance(error, httpx.TimeoutException) else 1
            if self._proxy and (said := self._about_proxy(error)):
                return Finding("failed", said, code=code)
            if not self._proxy and self._scheme == "http" and self._speaks("https"):
                return Finding("failed", f"plain http to a port that speaks https: use {self._with_scheme('https')}")
            if _is_tls(error):
                self._tls_error = error
                return Finding("ok", f"{self._host} answers")
            return Finding("failed", f"{_words(error, self.site)}. {_way_out(error, self._host)}", code=code)
        took = clock.monotonic() - began
        return Finding("ok", f"{self._host} answers in {took * 1000:.0f} ms", {"answered_in_ms": round(took * 1000)})

    def _about_proxy(self, error: httpx.TransportError) -> str:
        """What to say of a call through the proxy that failed; nothing if it is about the server's certificate."""
        assert self._proxy
        said = _words(error, self.site)
        if isinstance(error, httpx.ProxyError):
            said = f"{self._host} through the proxy: {error}"
            if str(error).startswith("407"):
                return f"{said}. It wants a user name and password: {self._variable}=http://user:password@host:port"
        if self._answers_directly():
            return f"{said}. Without the proxy it answers: add {self._host} to NO_PROXY"
        try:
            self._ask(self._proxy, proxied=False)
        except httpx.TransportError as problem:
            if _is_tls(problem):
                address = _without_password(self._proxy)
                return f"no TLS with the proxy {address}: most want {self._variable} to begin with http://"
            if isinstance(problem, httpx.ConnectError):
                return f"{said}. That is the proxy ({self._variable}). {_way_out(problem, self._proxy)}"
        return "" if _is_tls(error) else f"{said}. Look at the address and at the proxy"

    def _check_tls(self) -> Finding:
        if self._scheme == "http":
            if self._proxy is None and (self._host == "localhost" or _is(self._host, "is_loopback")):
                return Finding("ok", "plain http, which does not leave this machine")
            return Finding("advice", "plain http: the token can be read on its way; use https")
        if self._tls_error:
            return Finding("failed", self._refused_tls(self._tls_error))
        certificate = self._answer.extensions["certificate"] if self._answer else None
        if certificate is None:
            return Finding("skipped", "the connection does not show its certificate")
        if "notAfter" not in certificate:
            return Finding("advice", "the certificate is not checked: anybody on the way can read the token")
        until = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
        return self._lasting(until, "the certificate is valid", "the server needs a new one")

    def _refused_tls(self, error: BaseException) -> str:
        flaw = _certificate_flaw(error)
        if flaw is None:
            if self._speaks("http"):
                plain = self._with_scheme("http")
                return (
                    f"https to a port that speaks plain http: use the port that speaks https (or {plain}, unencrypted)"
                )
            return f"{_words(error, self.site)}. The server and this machine agree on no way to speak TLS"
        todo = {
            9: "look at this machine's clock",
            10: "the server needs a new one (or this machine's clock is ahead)",
            **dict.fromkeys(
                (18, 19, 20, 21),
                "if you trust its authority, put the authority's certificate into a file that SSL_CERT_FILE names",
            ),
        }.get(flaw.verify_code, "use the name that the certificate is for")
        return f"the certificate is refused, {flaw.verify_message.rstrip('.')}: {todo}"

    # The server

    def _check_api(self) -> Finding:
        assert self._answer
        if _is_api(self._answer):
            return Finding("ok", f"ProcessMaker's API is at {self.site}{API_PATH}")
        status = self._answer.status_code
        if self._proxy and self._answers_directly():
            said = f"the proxy answers {status} in its place: add {self._host} to NO_PROXY"
            return Finding("failed", said)
        words = f"{status} {self._answer.reason_phrase}: {_server_words(self._answer)}".removesuffix(": ")
        if status >= 500 or status == 429:
            return Finding("failed", f"{PROBE} answers {e.sentence(words)} Come back later")
        if found := self._search():
            said = f"not at {self.site}, but at {found}: use --url {found} (PROCESSMAKER_URL)"
            return Finding("failed", said, {"found": found}, 4)
        if self._answer.is_redirect:
            to = self._answer.headers.get("location", "").partition("?")[0]
            words += f": a redirect to {to}" + (" (the login page)" if to.rstrip("/").endswith("login") else "")
        said = f"no ProcessMaker's API at {self.site}: {PROBE} answers {e.sentence(words)}"
        return Finding("failed", f"{said} Look at the address and its path", {"found": None}, 4)

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

    # The token

    def _check_token(self) -> Finding:
        from .. import PasswordGrant

        arguments = {**self._session.signed_in(), "retries": None}
        self._pm = self._session.connect(**arguments)
        grant = arguments.get("auth")
        if isinstance(grant, PasswordGrant):
            self._processes = self._pm.processes()
            until = expiry(claims(token_from(grant)))
            facts = {"valid_until": until and until.isoformat()}
            return Finding("ok", "the password is accepted; its tokens are renewed by themselves", facts)
        until = expiry(claims(arguments["token"]))
        facts = {"valid_until": until and until.isoformat()}
        try:
            self._processes = self._pm.processes()
        except e.Unauthorized:
            if until is None:
                why = "it may be cut off, revoked or another server's"
            elif until <= clock.now():
                why = f"it expired on {until:%Y-%m-%d}"
            else:
                why = f"it would be valid until {until:%Y-%m-%d}, so it was revoked, or is another server's"
            return Finding("failed", f"refused: {why}. Make a new one, and processmaker login", facts, 3)
        if until is None:
            return Finding("ok", "accepted; it does not say until when", facts)
        return self._lasting(until, "accepted", "make a new one in time, and processmaker login")

    def _check_processes(self) -> Finding:
        names = [process.name for process in self._processes]
        facts = {"processes": names}
        if not names:
            said = "none may be started: let an administrator allow this user to start what it is to start"
            return Finding("advice", said, facts)
        rest = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
        return Finding("ok", f"{len(names)} may be started: {', '.join(names[:MAX_NAMED])}{rest}", facts)

    def _check_look_up(self) -> Finding:
        """What a look-up by key costs, compared with one that has to read no data."""
        began = clock.monotonic()
        costs: dict[Process, float] = {}
        for process in self._processes:
            costs[process] = self._time_of(process)
            if clock.monotonic() - began > LOOK_FOR:
                break
        if not costs:
            return Finding("skipped", "no process may be started")
        slowest = max(costs, key=lambda process: costs[process])
        cost, least = min(costs[slowest], self._time_of(slowest)), self._time_of(slowest, " AND id > 2000000000")
        facts = {"process": slowest.id, "look_up_ms": round(cost * 1000), "without_data_ms": round(least * 1000)}
        said = f"by key takes {cost * 1000:.0f} ms among the Requests of {slowest.name}"
        if cost - least <= SLOW:
            return Finding("ok", f"{said}; key_lifetime is not called for", facts)
        said += f", {least * 1000:.0f} among none: give the client key_lifetime=timedelta(days=2) or so"
        return Finding("advice", f"{said}, so that only newer ones are read", facts)

    def _time_of(self, process: Process, further: str = "") -> float:
        assert self._pm
        pmql = f'data._idempotency_key IN ["doctor-{uuid4()}"]{further}'
        began = clock.monotonic()
        if any(self._pm.requests(pmql, process=process, include=("summary",))):
            raise e.ProcessMakerError("the server does not look at pmql: idempotency keys are not found here")
        return clock.monotonic() - began

    # Asking without the token

    def _ask(self, url: str, *, proxied: bool = True) -> httpx.Response:
        transport = network(self._proxy if proxied else None, self._verify)
        with httpx.Client(transport=transport, timeout=self._timeout) as client:
            answer = client.get(url, headers={"Accept": "application/json"})
            # As long as the connection is open.
            stream = answer.extensions.get("network_stream")
            tls = stream.get_extra_info("ssl_object") if stream else None
            answer.extensions["certificate"] = tls.getpeercert() if tls else None
            return answer

    def _ask_quietly(self, url: str) -> httpx.Response | None:
        try:
            return self._ask(url)
        except (httpx.HTTPError, httpx.InvalidURL):
            return None

    def _answers_directly(self) -> bool:
        """Whether the API is there without the proxy."""
        try:
            return _is_api(self._ask(self.site + PROBE, proxied=False))
        except httpx.HTTPError:
            return False

    def _speaks(self, scheme: str) -> bool:
        """Whether the same port answers to that scheme."""
        try:
            self._ask(self._with_scheme(scheme) + PROBE)
        except httpx.HTTPError as error:
            return _certificate_flaw(error) is not None
        return True

    def _with_scheme(self, scheme: str) -> str:
        return f"{scheme}://{self.site.partition('://')[2]}"

    def _lasting(self, until: datetime, what: str, todo: str) -> Finding:
        left, facts = until - clock.now(), {"valid_until": until.isoformat()}
        if left > SOON:
            return Finding("ok", f"{what} until {until:%Y-%m-%d}", facts)
        return Finding("advice", f"{what} until {until:%Y-%m-%d %H:%M} UTC only: {todo}", facts)


def _proxy_for(site: str, *, allow_http: bool) -> tuple[str | None, str]:
    """The proxy that calls go through, and the variable that names it, as the client chooses them."""
    parts = urlsplit(site)
    proxies = getproxies()
    name = parts.scheme if proxies.get(parts.scheme) else "all"
    proxy = proxies.get(name)
    if not proxy or any(map(proxy_bypass, (parts.netloc, str(parts.hostname)))):
        return None, ""
    if parts.scheme == "http" and not allow_http:
        return None, ""  # a proxy sees what passes over plain http
    variable = next((given for given in (f"{name}_proxy", f"{name}_PROXY".upper()) if os.environ.get(given)), name)
    return proxy if "://" in proxy else f"http://{proxy}", variable


def _without_password(proxy: str) -> str:
    scheme, _, rest = proxy.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _is_api(answer: httpx.Response) -> bool:
    return answer.status_code == 401 and "unauthenticated" in _server_words(answer).lower()


def _server_words(answer: httpx.Response) -> str:
    """The server's own words: those of a JSON answer, the title of a page, or the text."""
    try:
        body = answer.json()
        text = str(body.get("message") or body.get("error") or "")
    except (ValueError, AttributeError, RecursionError):
        text = answer.text[:20_000]
        _, found, title = text.partition("<title>")
        text = title.partition("</title>")[0] if found else text
    return " ".join(text.split())[:300]


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


def _is_tls(error: BaseException) -> bool:
    return any(isinstance(cause, ssl.SSLError) for cause in _causes(error))


def _certificate_flaw(error: BaseException) -> ssl.SSLCertVerificationError | None:
    return next((cause for cause in _causes(error) if isinstance(cause, ssl.SSLCertVerificationError)), None)


def _words(error: BaseException, site: str) -> str:
    """What went wrong, in words."""
    if isinstance(error, httpx.TimeoutException):
        return f"no answer from {site} in time"
    reason = next((cause for cause in reversed(list(_causes(error))) if isinstance(cause, OSError)), error)
    return f"no connection to {site}: {getattr(reason, 'strerror', None) or reason}"


def _way_out(error: BaseException, host: str) -> str:
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return f"Nobody here knows the name {host}: look at the address, and at the VPN"
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return "Nothing listens there: look at the address and its port"
    return "Look at the address, the network and its firewalls"
