"""What a client is told about its server: addresses, the environment, time-outs, certificates; and what it refuses."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from conftest import Connect
from processmaker import AsyncProcessMaker, ConfigurationError, PasswordGrant, ProcessMaker, Redirected, Retries
from processmaker.config.address import site_of
from processmaker.sandbox import Sandbox

TOKEN = "good-token"
CLIENTS = (ProcessMaker, AsyncProcessMaker)


def asked_at(connect: Connect, base_url: str, **options: Any) -> str:
    """The address at which a client with this base_url asks for the processes."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json={"data": []})

    connect(base_url, token=TOKEN, transport=httpx.MockTransport(answer), **options).processes()
    return asked[0]


@pytest.mark.parametrize(
    ("base_url", "site"),
    [
        ("https://pm.example.com", "https://pm.example.com"),
        ("https://pm.example.com/", "https://pm.example.com"),
        ("  https://pm.example.com//\n", "https://pm.example.com"),
        ("https://pm.example.com/api/1.0", "https://pm.example.com"),
        ("https://pm.example.com/api/1.0/", "https://pm.example.com"),
        ("https://example.com/processmaker", "https://example.com/processmaker"),
        ("https://example.com/processmaker/api/1.0/", "https://example.com/processmaker"),
        ("https://api/1.0", "https://api/1.0"),
        ("https://pm.example.com:8443/", "https://pm.example.com:8443"),
        ("https://pm.example.com:443", "https://pm.example.com"),
        ("HTTPS://PM.Example.com", "https://pm.example.com"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("https://bücher.example.com", "https://xn--bcher-kva.example.com"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_address_is_taken_in_the_forms_that_people_write(connect: Connect, base_url: str, site: str) -> None:
    assert asked_at(connect, base_url).partition("?")[0] == f"{site}/api/1.0/start_processes"


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "pm.example.com",
        "/api/1.0",
        "ftp://pm.example.com",
        "https://",
        "https:///api",
        "https://[::1",
        "https://pm.example.com:port",
        "https://pm.example.com:99999",
        "https://pm example.com",
        "https://pm.example.com\nhttps://other.example.com",
        "https://pm.exam\0ple.com",
        "https://pm..example.com",
        f"https://{'a' * 64}.example.com",
        "https://xn--.com",
        b"https://pm.example.com",
        None,
        5,
    ],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_not_an_address_is_refused(client: type[Any], base_url: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"is not an address such as https://pm\.example\.com"):
        client(base_url, token=TOKEN)


@pytest.mark.parametrize("base_url", ["https://pm.example.com?a=1", "https://pm.example.com/api/1.0#top"])
def test_an_address_with_more_than_an_address_is_refused(base_url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"leave out what follows \? or #"):
        ProcessMaker(base_url, token=TOKEN)


@pytest.mark.parametrize(
    "base_url",
    [
        "https://bot:s3cret@pm.example.com",
        "https://s3cret@pm.example.com",
        "https://bot:s3cret@pm.example.com:port",
        "bot:s3cret@pm.example.com",
        "https://pm.example.com?token=s3cret",
        "https://pm.example.com#s3cret",
    ],
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(base_url: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        ProcessMaker(base_url, token=TOKEN)
    assert "s3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("base_url", "mended"),
    [
        ("https://pm.example.com/login", "https://pm.example.com"),
        ("https://pm.example.com/requests", "https://pm.example.com"),
        ("https://pm.example.com/requests/17", "https://pm.example.com"),
        ("https://pm.example.com/requests/", "https://pm.example.com"),
        ("https://pm.example.com/tasks/5/edit", "https://pm.example.com"),
        ("https://pm.example.com/api/documentation", "https://pm.example.com"),
        ("https://pm.example.com/api", "https://pm.example.com"),
        ("https://pm.example.com/api/1.0/requests", "https://pm.example.com"),
        ("https://example.com/processmaker/login", "https://example.com/processmaker"),
    ],
)
def test_the_address_of_a_page_is_refused_and_the_server_s_is_named(base_url: str, mended: str) -> None:
    with pytest.raises(ConfigurationError, match=r"is the address of a page, not of the server") as refusal:
        ProcessMaker(base_url, token=TOKEN)
    assert str(refusal.value).endswith(f"leave its end out, {mended}")
    assert site_of(mended, allow_http=False) == mended


@pytest.mark.parametrize("path", ["/blogin", "/login/app", "/myrequests", "/apis", "/documentation"])
def test_a_path_that_only_resembles_a_page_stays(path: str) -> None:
    assert site_of(f"https://pm.example.com{path}", allow_http=False) == f"https://pm.example.com{path}"


@pytest.mark.parametrize("mark", ["'", '"'])
@pytest.mark.parametrize("client", CLIENTS)
def test_quotation_marks_that_became_part_of_a_value_are_named_and_it_is_not_repeated(
    client: type[Any], mark: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"base_url is in quotation marks.*leave them out"):
        client(f"{mark}https://pm.example.com{mark}", token=TOKEN)
    with pytest.raises(ConfigurationError, match=r"token is in quotation marks.*Docker's --env-file") as refusal:
        client("https://pm.example.com", token=f"{mark}{TOKEN}{mark}")
    assert TOKEN not in str(refusal.value)


@pytest.mark.parametrize("base_url", ["http://pm.example.com", "http://10.0.0.1", "http://localhost.example.com"])
def test_plain_http_to_another_machine_has_to_be_allowed(connect: Connect, base_url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"unencrypted. Use https, or allow it with allow_http=True"):
        asked_at(connect, base_url)
    assert asked_at(connect, base_url, allow_http=True).startswith(base_url)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_token_or_an_auth_is_needed_and_not_both(client: type[Any]) -> None:
    for both in ({}, {"token": TOKEN, "auth": PasswordGrant("3", "secret", "bot", "password")}):
        with pytest.raises(ConfigurationError, match=r"either token= .* or auth="):
            client("https://pm.example.com", **both)


def test_an_auth_that_is_none_says_so() -> None:
    with pytest.raises(ConfigurationError, match=r"auth= takes an httpx.Auth, .* not tuple"):
        ProcessMaker("https://pm.example.com", auth=("bot", "password"))  # type: ignore[arg-type]


def test_any_auth_of_httpx_will_do(connect: Connect) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"data": [{"id": 1, "name": request.headers["authorization"]}]})

    pm = connect("https://pm.example.com", auth=httpx.BasicAuth("a", "b"), transport=httpx.MockTransport(answer))
    assert pm.processes()[0].name == "Basic YTpi"


# --- time-outs, retries, certificates -------------------------------------------------------------------------------


def timeouts_of(connect: Connect, **options: Any) -> Any:
    seen: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.extensions["timeout"])
        return httpx.Response(200, json={"data": []})

    connect("https://pm.example.com", token=TOKEN, transport=httpx.MockTransport(answer), **options).processes()
    return seen[0]


def test_every_wait_has_an_end_by_default(connect: Connect) -> None:
    assert timeouts_of(connect) == {"connect": 30, "read": 30, "write": 30, "pool": 30}


def test_a_time_out_is_seconds_or_httpx_s_own(connect: Connect) -> None:
    assert set(timeouts_of(connect, timeout=2.5).values()) == {2.5}
    assert timeouts_of(connect, timeout=httpx.Timeout(5, read=60))["read"] == 60


@pytest.mark.parametrize("timeout", [None, 0, -1, float("inf"), float("nan"), True, "30", (1, 2)])
def test_a_time_out_that_is_none_is_refused(timeout: Any) -> None:
    with pytest.raises(ConfigurationError, match="is not a number of seconds above 0"):
        ProcessMaker("https://pm.example.com", token=TOKEN, timeout=timeout)


@pytest.mark.parametrize("retries", [3, True, "many"])
def test_retries_are_a_policy_or_none(retries: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"retries= takes Retries\(…\) or None"):
        ProcessMaker("https://pm.example.com", token=TOKEN, retries=retries)
    ProcessMaker("https://pm.example.com", token=TOKEN, retries=None).close()


@pytest.mark.parametrize(
    "bounds",
    [
        {"attempts": 0},
        {"attempts": 2.5},
        {"attempts": True},
        {"max_delay": -1},
        {"max_delay": float("inf")},
        {"total": "30"},
        {"total": float("inf")},
        {"total": float("nan")},
    ],
)
def test_a_policy_without_bounds_is_refused(bounds: Any) -> None:
    (name,) = bounds
    with pytest.raises(ConfigurationError, match=rf"Retries\({name}=.* must be a number from"):
        Retries(**bounds)


def test_altered_data_is_handled_in_one_of_three_ways() -> None:
    with pytest.raises(ConfigurationError, match='none of "warn", "error" and "ignore"'):
        ProcessMaker("https://pm.example.com", token=TOKEN, on_altered_data="shout")  # type: ignore[arg-type]


@pytest.mark.parametrize("verify", ["there/is/no/such.pem", Path("no.pem"), __file__, ".", None, 3])
def test_certificates_that_cannot_be_read_are_refused(verify: Any) -> None:
    with pytest.raises(ConfigurationError, match="is not a readable file of certificates"):
        ProcessMaker("https://pm.example.com", token=TOKEN, verify=verify)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("file", ["there/is/no/such.pem", __file__])
def test_certificates_of_the_environment_that_cannot_be_read_are_refused(
    client: type[Any], file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", file)
    with pytest.raises(ConfigurationError, match=f"SSL_CERT_FILE='{file}' is not a readable file of certificates"):
        client("https://pm.example.com", token=TOKEN)
    client("https://pm.example.com", token=TOKEN, verify=False)


@pytest.mark.parametrize("client", CLIENTS)
def test_certificates_are_a_file_or_a_context_or_unchecked(client: type[Any], tmp_path: Path) -> None:
    # A file of the right form will do: no connection is made.
    file = tmp_path / "certificates.pem"
    certificates = ssl.create_default_context().get_ca_certs(binary_form=True) or [httpx_certificate()]
    file.write_text(ssl.DER_cert_to_PEM_cert(certificates[0]))
    for verify, checked in [(file, True), (str(file), True), (True, True), (False, False)]:
        context = client("https://pm.example.com", token=TOKEN, verify=verify)._io.connections.ssl_context
        assert (context.verify_mode is ssl.CERT_REQUIRED) is checked
        assert context.check_hostname is checked
    own = ssl.create_default_context()
    assert client("https://pm.example.com", token=TOKEN, verify=own)._io.connections.ssl_context is own


def httpx_certificate() -> bytes:
    """One of those that httpx trusts, where the system has none."""
    return httpx.create_ssl_context().get_ca_certs(binary_form=True)[0]


# --- the environment ------------------------------------------------------------------------------------------------

VARIABLES = (
    *(f"PROCESSMAKER_{name}" for name in ("URL", "TOKEN", "CLIENT_ID", "CLIENT_SECRET", "USERNAME", "PASSWORD")),
    *(f"API_{name}" for name in ("HOST", "TOKEN", "SSL_VERIFY")),
)
SIGN_IN = {
    "PROCESSMAKER_CLIENT_ID": "3",
    "PROCESSMAKER_CLIENT_SECRET": "client-secret",
    "PROCESSMAKER_USERNAME": "integration.bot",
    "PROCESSMAKER_PASSWORD": "bot-password",
}
SCRIPT_TASK = {"API_HOST": f"{Sandbox().url}/api/1.0", "API_TOKEN": Sandbox().token(), "API_SSL_VERIFY": "1"}


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the environment to these variables, of those that are read."""

    def set_to(**variables: str) -> None:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_to


@pytest.fixture(params=CLIENTS)
def from_env(request: pytest.FixtureRequest, sandbox: Sandbox, connect: Connect) -> Any:
    """A client's `from_env` with a sandbox behind it, as a fixture's client."""

    def make(**options: Any) -> Any:
        arguments: dict[str, Any] = {}
        told = type("Told", (request.param,), {"__init__": lambda _, **given: arguments.update(given)})
        told.from_env(**options)  # type: ignore[attr-defined]
        return connect(**arguments, transport=sandbox.transport()), arguments

    return make


def test_an_address_and_a_token_come_from_the_environment(environ: Any, from_env: Any, sandbox: Sandbox) -> None:
    environ(PROCESSMAKER_URL=sandbox.url, PROCESSMAKER_TOKEN=f" {sandbox.token()}\n", API_HOST="https://other")
    client, _ = from_env()
    assert client.processes()


def test_a_password_comes_from_the_environment(environ: Any, from_env: Any, sandbox: Sandbox) -> None:
    environ(PROCESSMAKER_URL=sandbox.url, **SIGN_IN)
    client, _ = from_env()
    assert client.processes()
    assert sandbox.calls[0] == ("POST", "/oauth/token", 200)


@pytest.mark.parametrize(("said", "checked"), [("1", True), ("0", False), ("false", False), (None, True), ("", True)])
def test_a_script_task_needs_nothing_else(environ: Any, from_env: Any, said: str | None, checked: bool) -> None:
    environ(**{**SCRIPT_TASK, "API_SSL_VERIFY": said or ""})
    client, arguments = from_env()
    assert arguments["verify"] is checked
    assert client.processes()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({}, "PROCESSMAKER_URL is not set"),
        ({"PROCESSMAKER_TOKEN": TOKEN}, "PROCESSMAKER_URL is not set"),
        ({"PROCESSMAKER_URL": " "}, "PROCESSMAKER_URL is not set"),
        ({"PROCESSMAKER_URL": "https://pm.example.com"}, "PROCESSMAKER_TOKEN is not set .nor, .*PROCESSMAKER_PASSWORD"),
        ({"PROCESSMAKER_URL": "https://pm.example.com", "PROCESSMAKER_TOKEN": ""}, "PROCESSMAKER_TOKEN is not set"),
        ({"API_HOST": "https://pm.example.com/api/1.0"}, "API_HOST is set, and API_TOKEN is not"),
    ],
)
def test_what_is_missing_in_the_environment_is_named(
    environ: Any, from_env: Any, variables: dict[str, str], words: str
) -> None:
    environ(**variables)
    with pytest.raises(ConfigurationError, match=words):
        from_env()


@pytest.mark.parametrize("name", ["PROCESSMAKER_URL", "PROCESSMAKER_TOKEN", "API_HOST", "API_TOKEN"])
def test_a_variable_in_quotation_marks_is_named_and_not_repeated(environ: Any, from_env: Any, name: str) -> None:
    variables = {"PROCESSMAKER_URL": Sandbox().url, "PROCESSMAKER_TOKEN": TOKEN}
    if name.startswith("API_"):
        variables = SCRIPT_TASK
    environ(**{**variables, name: f'"{variables[name]}"'})
    with pytest.raises(ConfigurationError, match=f"{name} is in quotation marks") as refusal:
        from_env()
    assert variables[name] not in str(refusal.value)


def test_a_variable_that_is_not_used_may_be_anything(environ: Any, from_env: Any, sandbox: Sandbox) -> None:
    environ(PROCESSMAKER_URL=sandbox.url, PROCESSMAKER_TOKEN=sandbox.token(), API_HOST='"other"', API_TOKEN="'x'")
    assert from_env()[0].processes()


@pytest.mark.parametrize("missing", SIGN_IN)
def test_what_is_missing_to_sign_in_is_named(environ: Any, from_env: Any, missing: str) -> None:
    environ(PROCESSMAKER_URL="https://pm.example.com", **{**SIGN_IN, missing: ""})
    with pytest.raises(ConfigurationError, match=f"{missing} must be set too"):
        from_env()


def test_arguments_win_over_the_environment(environ: Any, from_env: Any, sandbox: Sandbox) -> None:
    environ(PROCESSMAKER_URL="https://other.example.com", PROCESSMAKER_TOKEN="other", API_HOST="https://third")
    client, arguments = from_env(base_url=sandbox.url, token=sandbox.token(), timeout=5)
    assert client.processes()
    assert arguments["timeout"] == 5


def test_an_argument_is_not_looked_for_in_the_environment(environ: Any, from_env: Any, sandbox: Sandbox) -> None:
    environ(PROCESSMAKER_TOKEN=sandbox.token())
    assert from_env(base_url=sandbox.url)[0].processes()
    environ(PROCESSMAKER_URL=sandbox.url)
    assert from_env(token=sandbox.token())[0].processes()
    environ(PROCESSMAKER_URL=sandbox.url, PROCESSMAKER_TOKEN="other")
    assert from_env(auth=PasswordGrant(*SIGN_IN.values()))[0].processes()
    environ(API_HOST=sandbox.url)
    assert from_env(token=sandbox.token())[0].processes()


@pytest.mark.parametrize("variables", [{"PROCESSMAKER_TOKEN": "t"}, SIGN_IN])
def test_what_the_environment_has_for_one_address_goes_to_no_other(
    environ: Any, from_env: Any, sandbox: Sandbox, variables: dict[str, str]
) -> None:
    environ(PROCESSMAKER_URL="https://other.example.com/api/1.0", **variables)
    with pytest.raises(
        ConfigurationError, match=r"PROCESSMAKER_\w+ is for https://other\.example\.com, and goes to no other server"
    ):
        from_env(base_url=sandbox.url)
    environ(PROCESSMAKER_URL=f"{sandbox.url}:443/api/1.0/", PROCESSMAKER_TOKEN=sandbox.token())
    assert from_env(base_url=sandbox.url)[0].processes()


# --- where the token goes -------------------------------------------------------------------------------------------


def test_a_redirect_is_not_followed_so_the_token_stays_here(connect: Connect) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(302, headers={"Location": "https://elsewhere.example.com/login"})

    pm = connect("https://pm.example.com", token=TOKEN, transport=httpx.MockTransport(answer))
    with pytest.raises(Redirected, match="a redirect to https://elsewhere") as error:
        pm.start(2, event="node_1")
    assert [request.url.host for request in asked] == ["pm.example.com"]
    assert (error.value.location, error.value.processed) == ("https://elsewhere.example.com/login", False)


def test_each_call_says_who_asks_and_that_it_wants_json(connect: Connect) -> None:
    asked: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers)
        return httpx.Response(200, json={"data": []})

    connect("https://pm.example.com", token=TOKEN, transport=httpx.MockTransport(answer)).processes()
    (headers,) = asked
    assert headers["accept"] == "application/json"
    assert headers["user-agent"].startswith("processmaker-client/")
    assert headers["authorization"] == f"Bearer {TOKEN}"


def test_cookies_of_the_server_are_not_a_second_identity(connect: Connect) -> None:
    """A session cookie would let the server see another user than the token's."""
    asked: list[httpx.Headers] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers)
        return httpx.Response(200, json={"data": []}, headers={"set-cookie": "processmaker_session=x; path=/"})

    pm = connect("https://pm.example.com", token=TOKEN, transport=httpx.MockTransport(answer))
    pm.processes()
    pm.processes()
    assert ["cookie" in headers for headers in asked] == [False, False]


@pytest.mark.parametrize(
    ("kind", "transport"), [(ProcessMaker, httpx.AsyncHTTPTransport()), (AsyncProcessMaker, httpx.HTTPTransport())]
)
def test_a_transport_of_the_other_kind_is_refused(kind: Any, transport: Any) -> None:
    with pytest.raises(ConfigurationError, match="transport= takes an httpx"):
        kind("https://pm.example.com", token=TOKEN, transport=transport)
