"""`processmaker doctor`: what it finds, what it says to do about it, and that it only reads."""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from attrs import define, field, frozen
from conftest import START_OF_TIME
from processmaker import cli
from processmaker.cli import _doctor, _session
from processmaker.sandbox import SIMPLE_PROCESSES, Clock, Sandbox
from raw_server import wired

TOKEN = "sandbox-integration-bot-token"
CHECKS = ["proxy", "address", "tls", "api", "clock", "token", "processes"]

Server = Callable[[httpx.Request], httpx.Response]


@frozen
class Examined:
    """What the command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def status(self) -> dict[str, str]:
        return {line.split()[1]: line.split()[0] for line in self.out.splitlines()}

    def said(self, check: str) -> str:
        (line,) = [line for line in self.out.splitlines() if line.split()[1] == check]
        return line[20:]

    @property
    def amiss(self) -> dict[str, str]:
        """The checks that are not ok."""
        return {check: status for check, status in self.status.items() if status != "ok"}


@define
class Doctor:
    """Runs the command, in memory unless it is given the address of a socket."""

    sandbox: Sandbox
    environ: pytest.MonkeyPatch
    capfd: pytest.CaptureFixture[str]
    server: Server
    """What answers in memory."""
    clock: Clock
    """This machine's."""
    seen: list[httpx.Request] = field(factory=list)
    """What was sent in memory."""

    def __call__(self, url: str | None = None, *words: str, token: str = TOKEN) -> Examined:
        self.environ.setenv("PROCESSMAKER_URL", self.sandbox.url if url is None else url)
        self.environ.setenv("PROCESSMAKER_TOKEN", token)
        self.environ.setattr(_doctor, "clock", self.clock)
        code = cli.main(["doctor", *words])
        out, err = self.capfd.readouterr()
        assert not token or token not in out + err
        return Examined(code, out, err)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        return self.server(request)


@pytest.fixture
def sandbox() -> Sandbox:
    return Sandbox(clock=Clock(START_OF_TIME), processes=SIMPLE_PROCESSES)


@pytest.fixture
def doctor(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> Doctor:
    for name in [name for name in os.environ if name.startswith(("PROCESSMAKER_", "API_")) or name == "SSL_CERT_FILE"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    doctor = Doctor(sandbox, monkeypatch, capfd, sandbox, sandbox.clock)
    connect = _session.Session.connect

    def connect_in_memory(self: _session.Session, **arguments: Any) -> Any:
        if not httpx.URL(arguments["base_url"]).host.startswith("127."):
            arguments = {"transport": httpx.MockTransport(doctor.answer), **arguments}
        return connect(self, **arguments)

    class Network(_doctor.Network):
        """The server in memory, unless the address is that of a socket."""

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.host.startswith("127."):
                return super().handle_request(request)
            return httpx.MockTransport(doctor.answer).handle_request(request)

    monkeypatch.setattr(_session.Session, "connect", connect_in_memory)
    monkeypatch.setattr(_doctor, "Network", Network)
    return doctor


def test_where_nothing_is_wrong_each_check_is_ok(doctor: Doctor) -> None:
    found = doctor()
    assert (found.code, found.err) == (0, "")
    assert list(found.status) == CHECKS
    assert found.amiss == {"tls": "skipped"}  # there is none in memory
    assert "https://pm.example.com/api/1.0" in found.said("api")
    assert found.said("processes").startswith("6 may be started: Leave Request, ")


def test_it_only_reads_and_the_token_goes_to_the_api_alone(doctor: Doctor) -> None:
    doctor()
    assert {request.method for request in doctor.seen} == {"GET"}
    with_token = {request.url.path for request in doctor.seen if "authorization" in request.headers}
    assert with_token == {"/api/1.0/start_processes"}
    assert doctor.sandbox.requests == []


def test_json_holds_the_same_for_programs(doctor: Doctor) -> None:
    found = json.loads(doctor(None, "--json").out)
    assert (found["url"], found["ok"]) == ("https://pm.example.com", True)
    assert [each["check"] for each in found["checks"]] == CHECKS
    assert all(set(each) == {"check", "status", "message", "facts"} for each in found["checks"])
    facts = {each["check"]: each["facts"] for each in found["checks"]}
    assert len(facts["processes"]["processes"]) == 6
    assert "Leave Request" in facts["processes"]["processes"]


def test_what_failed_is_named_at_the_end_in_json_too(doctor: Doctor) -> None:
    found = doctor(None, "--json", token="wrong")
    assert json.loads(found.out)["ok"] is False
    assert "the check of token failed" in found.err
    assert found.code == 3


# The way to the server


def test_an_address_without_a_listener_is_told_from_one_without_a_name(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    refused = doctor(f"http://127.0.0.1:{port}")
    assert refused.code == 1
    assert "Connection refused. Look at the address, its port" in refused.said("address")
    assert refused.amiss == {"address": "failed", **dict.fromkeys(CHECKS[2:], "skipped")}


def test_a_name_that_nobody_knows_is_called_that(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    found = doctor("http://127.nowhere.localhost")
    assert "127.nowhere.localhost: [Errno -2] Name or service not known. Look at the address" in found.said("address")
    assert found.code == 1


def test_a_server_that_does_not_answer_ends_in_a_time_out(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        found = doctor(f"http://127.0.0.1:{listener.getsockname()[1]}", "--timeout", "0.2")
    assert found.code == 5
    assert "in time. Look at the address, its port, the network and the VPN" in found.said("address")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls_for(authority: trustme.CA, name: str, until: datetime | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name, not_after=until).configure_cert(context)
    return context


@pytest.fixture
def trusted(doctor: Doctor, authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    doctor.environ.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


@pytest.mark.usefixtures("trusted")
def test_it_says_until_when_a_certificate_is_valid(doctor: Doctor, authority: trustme.CA) -> None:
    sandbox = Sandbox(clock=Clock())  # TLS itself looks at the real time
    doctor.clock = sandbox.clock
    until = doctor.clock.now().replace(microsecond=0) + timedelta(days=15)
    with wired(sandbox, tls_for(authority, "127.0.0.1", until)) as wire:
        found = doctor(wire.url)
        doctor.clock.advance(2 * 86400)
        later = doctor(wire.url, "--json")
    assert (found.code, found.amiss) == (0, {})
    assert found.said("tls") == f"the certificate is valid until {until:%Y-%m-%d}"
    tls = json.loads(later.out)["checks"][2]
    assert tls["status"] == "advice"
    assert tls["message"].endswith("only: the server needs a new one")
    assert tls["facts"] == {"valid_until": until.isoformat()}
    assert later.code == 0


def test_a_certificate_of_an_unknown_authority_fails_before_the_token_is_sent(
    doctor: Doctor, authority: trustme.CA
) -> None:
    with wired(doctor.sandbox, tls_for(authority, "127.0.0.1")) as wire:
        found = doctor(wire.url)
    assert found.code == 1
    assert found.status["address"] == "ok"
    assert "SSL_CERT_FILE" in found.said("tls")
    assert wire.targets == []


def test_a_certificate_that_is_not_checked_is_worth_a_word(doctor: Doctor, authority: trustme.CA) -> None:
    with wired(doctor.sandbox, tls_for(authority, "127.0.0.1")) as wire:
        for name, value in {"HOST": f"{wire.url}/api/1.0", "TOKEN": TOKEN, "SSL_VERIFY": "0"}.items():
            doctor.environ.setenv(f"API_{name}", value)
        found = doctor("", token="")
    assert (found.code, found.amiss) == (0, {"tls": "advice"})
    assert found.said("tls").startswith("the certificate is not checked")


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize(
    ("name", "until", "todo"),
    [
        ("pm.example.com", None, "mismatch"),
        ("127.0.0.1", datetime.now(UTC) - timedelta(days=1), "certificate has expired"),
    ],
)
def test_a_certificate_that_is_refused_says_why(
    doctor: Doctor, authority: trustme.CA, name: str, until: datetime | None, todo: str
) -> None:
    with wired(doctor.sandbox, tls_for(authority, name, until)) as wire:
        found = doctor(wire.url)
    assert (found.code, found.status["tls"]) == (1, "failed")
    assert todo in found.said("tls")


def test_plain_http_to_another_machine_is_worth_a_word(doctor: Doctor) -> None:
    found = doctor("http://pm.example.com", "--allow-http")
    assert found.code == 0
    assert found.said("tls") == "plain http: the token can be read on its way; use https"


# The proxy of the environment


def test_a_proxy_on_the_way_is_shown_without_its_password(doctor: Doctor) -> None:
    with wired(doctor.sandbox) as wire:
        doctor.environ.setenv("HTTP_PROXY", wire.url.replace("http://", "http://me:secret@"))
        found = doctor("http://127.0.0.1.nip.example", "--allow-http")
    assert found.code == 0
    assert found.said("proxy") == f"calls go through {wire.url}"
    assert "secret" not in found.out


def test_a_proxy_that_does_not_answer_is_to_be_looked_at(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        doctor.environ.setenv("ALL_PROXY", f"127.0.0.1:{listener.getsockname()[1]}")
    with wired(doctor.sandbox) as wire:
        found = doctor(wire.url, "--allow-http")
        doctor.environ.setenv("NO_PROXY", "127.0.0.1")
        assert doctor(wire.url, "--allow-http").said("proxy") == "none"
    assert found.said("address").endswith("Connection refused. Look at the proxy, or add 127.0.0.1 to NO_PROXY")
    assert found.code == 1


@pytest.mark.parametrize("proxy", ["ftp://proxy.example.com", "http://proxy.example.com:port"])
def test_a_proxy_that_httpx_cannot_use_fails(doctor: Doctor, proxy: str) -> None:
    doctor.environ.setenv("HTTPS_PROXY", proxy)
    found = doctor("https://127.0.0.1:9")
    assert found.code == 2
    assert "Look at HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY" in found.said("proxy")


# Whether it is a ProcessMaker's API, and what time it is there


def test_clocks_that_differ_are_worth_a_word(doctor: Doctor) -> None:
    dated = doctor.sandbox.clock.now() + timedelta(minutes=5)

    def answer(request: httpx.Request) -> httpx.Response:
        response = doctor.sandbox(request)
        response.headers["date"] = format_datetime(dated, usegmt=True)
        return response

    doctor.server = answer
    assert doctor().said("clock") == "this machine's is 0:05:00 behind the server's: set it right"
    dated = doctor.sandbox.clock.now()
    assert doctor().status["clock"] == "ok"


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (httpx.Response(302, headers={"location": "/login"}), "the login page"),
        (httpx.Response(200, html="<title>Log In</title>"), "it wants no token"),
        (httpx.Response(404, html="<title>It works!</title>"), "It works!"),
        (httpx.Response(401, html="<title>Authorization Required</title>"), "401 Unauthorized: Authorization Required"),
    ],
)
def test_what_is_no_api_is_called_by_what_it_answers(doctor: Doctor, response: httpx.Response, said: str) -> None:
    doctor.server = lambda _: httpx.Response(response.status_code, headers=response.headers, content=response.content)
    found = doctor()
    assert found.code == 4
    assert said in found.said("api")
    assert found.said("api").endswith("Look at the address and its path")
    assert not [request for request in doctor.seen if "authorization" in request.headers]


def test_a_server_in_maintenance_fails_with_its_words(doctor: Doctor) -> None:
    doctor.sandbox.maintenance = True
    found = doctor()
    assert found.code == 1
    assert found.said("api") == "503 Service Unavailable: Service Unavailable"


# The token, and what it may do


def jwt(**claims: Any) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'RS256'})}.{part(claims)}.c2lnbmF0dXJl"


def accepting(doctor: Doctor, token: str) -> Server:
    """The sandbox, which takes this token for the bot's."""

    def answer(request: httpx.Request) -> httpx.Response:
        headers = dict(request.headers)
        if headers.get("authorization") == f"Bearer {token}":
            headers["authorization"] = f"Bearer {TOKEN}"
        return doctor.sandbox(httpx.Request(request.method, request.url, headers=headers))

    return answer


@pytest.mark.parametrize(("days", "status"), [(200, "ok"), (13, "advice")])
def test_a_jwt_says_until_when_it_is_valid(doctor: Doctor, days: int, status: str) -> None:
    until = START_OF_TIME + timedelta(days=days)
    token = jwt(exp=until.timestamp())
    doctor.server = accepting(doctor, token)
    found = doctor(token=token)
    assert (found.code, found.status["token"]) == (0, status)
    assert f"accepted until {until:%Y-%m-%d}" in found.said("token")


@pytest.mark.parametrize(
    ("token", "why"),
    [
        ("wrong", "it may be cut off, revoked or another server's"),
        ("a.b.c", "it may be cut off, revoked or another server's"),
        (jwt(exp=[]), "it may be cut off, revoked or another server's"),
        (jwt(exp=1e300), "it may be cut off, revoked or another server's"),
        (jwt(exp=1750000000.5), "it expired on 2025-06-15"),
        (jwt(exp=2000000000), "it may be cut off, revoked or another server's"),
    ],
)
def test_a_token_that_is_refused_says_why(doctor: Doctor, token: str, why: str) -> None:
    found = doctor(token=token)
    assert found.code == 3
    assert f"refused: {why}. Make a new one, and run processmaker login" in found.said("token")
    assert found.amiss == {"tls": "skipped", "token": "failed", "processes": "skipped"}


def test_without_a_token_all_the_rest_is_looked_at(doctor: Doctor) -> None:
    found = doctor(token="")
    assert found.code == 3
    assert "not signed in to pm.example.com" in found.said("token")
    assert found.status["api"] == "ok"


@pytest.mark.parametrize(
    ("password", "code", "said"),
    [("bot-password", 0, "its tokens are renewed by themselves"), ("wrong", 3, "Check username and password")],
)
def test_a_password_is_tried_too(doctor: Doctor, password: str, code: int, said: str) -> None:
    names = ("CLIENT_ID", "CLIENT_SECRET", "USERNAME", "PASSWORD")
    for name, value in zip(names, ("3", "client-secret", "integration.bot", password), strict=True):
        doctor.environ.setenv(f"PROCESSMAKER_{name}", value)
    found = doctor(token="")
    assert found.code == code
    assert said in found.said("token")


def test_a_server_that_is_not_named_is_asked_for(doctor: Doctor) -> None:
    found = doctor("", token="")
    assert found.code == 3
    assert "no server is named" in found.err


def test_many_processes_do_not_make_a_long_line(doctor: Doctor) -> None:
    for number in range(1000):
        doctor.sandbox.add_process(f"Order {number:04}")
    found = doctor()
    assert found.said("processes").startswith("1006 may be started: Leave Request, Leave Request Contractors, ")
    assert found.said("processes").endswith(", Order 0000, Order 0001 and 998 more")


def test_a_token_that_may_start_nothing_is_worth_a_word(doctor: Doctor) -> None:
    doctor.sandbox.processes.clear()
    found = doctor()
    assert found.code == 0
    assert found.amiss == {"tls": "skipped", "processes": "advice"}


# The look-up by key
