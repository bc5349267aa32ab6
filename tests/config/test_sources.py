"""Which source of settings wins, and that no credentials go to another server."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from processmaker import AsyncProcessMaker, ConfigurationError, ProcessMaker, types
from processmaker.config.sources import credentials_for, from_environment, server_of, sources

A, B, C = "https://a.example.com", "https://b.example.com", "https://c.example.com"


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment with the profiles "default", in use and for C, and "a", for A."""
    file = tmp_path / "processmaker" / "profiles.json"
    file.parent.mkdir()
    file.write_text(
        json.dumps({"default": {"url": C, "token": "of-c", "current": True}, "a": {"url": A, "token": "of-a"}})
    )
    file.chmod(0o600)
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def chosen(environ: Mapping[str, str], **asked: Any) -> tuple[str | None, str | None, dict[str, Any]]:
    """The server, what gives the credentials, and the credentials."""
    given = list(sources(environ, **asked))
    server = server_of(given)
    if server is None or server.url is None:
        return None, None, {}
    by, _ = credentials_for(server.url, given)
    if by is None or by.credentials is None:
        return server.url, None, {}
    return server.url, by.name, by.credentials()


@pytest.mark.parametrize(
    ("asked", "variables", "expected"),
    [
        ({}, {}, (C, "the profile default", "of-c")),
        ({}, {"PROCESSMAKER_PROFILE": "a"}, (A, "the profile a", "of-a")),
        ({}, {"PROCESSMAKER_TOKEN": "any"}, (C, "PROCESSMAKER_TOKEN", "any")),
        ({}, {"PROCESSMAKER_URL": B, "PROCESSMAKER_TOKEN": "of-b"}, (B, "PROCESSMAKER_TOKEN", "of-b")),
        ({}, {"PROCESSMAKER_URL": f"{C}/api/1.0"}, (f"{C}/api/1.0", "the profile default", "of-c")),
        ({}, {"API_HOST": B, "API_TOKEN": "of-b"}, (B, "API_TOKEN", "of-b")),
        ({}, {"API_HOST": B}, (C, "the profile default", "of-c")),
        ({}, {"API_HOST": A, "API_TOKEN": "x", "PROCESSMAKER_URL": B}, (B, None, None)),
        ({"profile": "a"}, {"PROCESSMAKER_URL": B, "PROCESSMAKER_TOKEN": "of-b"}, (A, "the profile a", "of-a")),
        ({"url": A}, {"PROCESSMAKER_TOKEN": "any"}, (A, "PROCESSMAKER_TOKEN", "any")),
        (
            {"url": B, "profile": "a"},
            {"PROCESSMAKER_URL": B, "PROCESSMAKER_TOKEN": "t"},
            (B, "PROCESSMAKER_TOKEN", "t"),
        ),
        ({"url": A}, {"PROCESSMAKER_URL": B, "PROCESSMAKER_TOKEN": "of-b"}, (A, None, None)),
        ({"url": "https://C.example.com:443/"}, {}, ("https://C.example.com:443/", "the profile default", "of-c")),
        ({"url": f"{C}:8443"}, {}, (f"{C}:8443", None, None)),
        ({"url": C.replace("https", "http")}, {}, (C.replace("https", "http"), None, None)),
    ],
)
def test_an_argument_wins_over_the_environment_and_that_over_the_profile_in_use(
    environ: dict[str, str], asked: dict[str, str], variables: dict[str, str], expected: tuple[Any, Any, Any]
) -> None:
    url, by, credentials = chosen({**environ, **variables}, **asked)
    assert (url, by, credentials.get("token")) == expected


def test_without_any_source_there_is_no_server(tmp_path: Path) -> None:
    assert chosen({"XDG_CONFIG_HOME": str(tmp_path)}) == (None, None, {})


@pytest.mark.parametrize("asked", [{"profile": "nobody"}, {}])
def test_a_profile_that_is_asked_for_must_exist(environ: dict[str, str], asked: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="no profile 'nobody'; there are: default, a"):
        chosen({**environ, "PROCESSMAKER_PROFILE": "nobody"}, **asked)


def test_credentials_are_not_in_the_repr_of_a_source(environ: dict[str, str]) -> None:
    variables = {"PROCESSMAKER_URL": B, "PROCESSMAKER_TOKEN": "s3cret", "PROCESSMAKER_PASSWORD": "s3cret"}
    assert "s3cret" not in repr(list(sources({**environ, **variables})))


def test_a_token_of_the_environment_without_a_server_is_for_the_platform_s(environ: dict[str, str]) -> None:
    variables = {"API_HOST": B, "PROCESSMAKER_TOKEN": "any"}
    assert from_environment({**environ, **variables}) == {"base_url": B, "verify": True, "token": "any"}


def test_a_password_is_taken_as_it_is(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processmaker.wire.auth.PasswordGrant", lambda *given: given)
    names = ("CLIENT_ID", "CLIENT_SECRET", "USERNAME", "PASSWORD")
    values = ("3", "secret", "integration.bot", ' "p" ')
    variables = {f"PROCESSMAKER_{name}": value for name, value in zip(names, values, strict=True)}
    assert from_environment({**environ, "PROCESSMAKER_URL": B, **variables})["auth"] == values


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (ProcessMaker.from_env, types.ClientOptions),
        (ProcessMaker.from_profile, types.ProfileOptions),
        (AsyncProcessMaker.from_env, types.AsyncClientOptions),
        (AsyncProcessMaker.from_profile, types.AsyncProfileOptions),
    ],
)
def test_the_typed_options_are_the_arguments_of_the_client(method: Any, options: Any) -> None:
    arguments = inspect.signature(method.__self__).parameters
    expected = {str(one) for one in arguments.values()}
    if method.__name__ == "from_profile":
        expected.remove("base_url: 'str'")
    typed = {f"{name}: '{hint.__forward_arg__}'" for name, hint in options.__annotations__.items()}
    assert typed == {one.partition(" = ")[0] for one in expected}
    assert method.__annotations__["options"] == f"Unpack[{options.__name__}]"


@pytest.mark.parametrize("client", [ProcessMaker, AsyncProcessMaker])
def test_the_typed_options_of_a_start_are_its_arguments(client: Any) -> None:
    arguments = list(inspect.signature(client.start).parameters.values())[3:]
    hints = {name: hint.__forward_arg__ for name, hint in types.KeyedStartOptions.__annotations__.items()}
    hints["idempotency_key"] = hints["idempotency_key"].removeprefix("Required[").removesuffix("]")
    assert hints == {one.name: one.annotation for one in arguments}
    assert {one.kind for one in arguments} == {inspect.Parameter.KEYWORD_ONLY}
