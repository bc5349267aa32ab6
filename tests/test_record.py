"""Recording anew sends what the recordings at hand sent, on the sandbox's socket here, and lets no secret through."""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import httpx
import pytest
import record
import replay
import yaml
from processmaker.sandbox import Sandbox, _oauth

PASSWORD = 's3cret p/ss"w+rd é'
CLIENT, OTHER_CLIENT = ("17", "s3cret/client"), ("18", "s3cret/other")
NAMES = sorted(path.stem for path in (record.CASSETTES / record.MODEL).glob("*.yaml"))


@pytest.fixture(scope="module", autouse=True)
def _other_oauth_clients() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_oauth, "PASSWORD_CLIENT", CLIENT)
        patch.setattr(_oauth, "CREDENTIALS_CLIENT", OTHER_CLIENT)
        yield


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[Sandbox, dict[str, str]]]:
    """A live server, and the environment that names it and its secrets."""
    sandbox = a_server()
    with sandbox.serve() as url:
        yield sandbox, environment(sandbox, url)


def a_server() -> Sandbox:
    sandbox = Sandbox()
    sandbox._oauth.users["integration.bot"] = attrs.evolve(sandbox.user(), password=PASSWORD)
    return sandbox


def environment(sandbox: Sandbox, url: str) -> dict[str, str]:
    return {
        "PROCESSMAKER_URL": url,
        "PROCESSMAKER_TOKEN": sandbox.token(),
        "PROCESSMAKER_ADMIN_TOKEN": sandbox.token("admin"),
        "PROCESSMAKER_MAIL_TOKEN": sandbox.token("mail.user"),
        "PROCESSMAKER_PASSWORD": PASSWORD,
        "PROCESSMAKER_CLIENT_ID": CLIENT[0],
        "PROCESSMAKER_CLIENT_SECRET": CLIENT[1],
        "PROCESSMAKER_OTHER_CLIENT_ID": OTHER_CLIENT[0],
        "PROCESSMAKER_OTHER_CLIENT_SECRET": OTHER_CLIENT[1],
    }


@pytest.fixture(scope="module")
def recorded(live: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every scenario, recorded anew."""
    sandbox, environ = live
    folder = tmp_path_factory.mktemp("cassettes") / "9.9.9"
    asked = ["--version", "9.9.9", "--into", str(folder)]
    assert record.main(asked, environ) == 0
    sandbox.maintenance = True
    assert record.main([*asked, "maintenance_503"], environ) == 0
    sandbox.maintenance = False
    sandbox.fail_next(502, on="POST")
    assert record.main([*asked, "bad_gateway_502_html"], environ) == 0
    return folder


def exchanges(file: Path) -> list[dict[str, Any]]:
    return yaml.safe_load(file.read_text(encoding="utf-8"))["interactions"]  # type: ignore[no-any-return]


def comparable(exchange: dict[str, Any]) -> tuple[Any, ...]:
    """What was sent, and with which headers and status it was answered; ids and entity tags are any."""
    sent, answered = exchange["request"], exchange["response"]
    uri = re.sub(r"(/requests/|/tasks/|process_request_id=)(?!99999)\d+", r"\1N", sent["uri"])
    headers = {name: "any" if name == "if-none-match" else values for name, values in sent["headers"].items()}
    return sent["method"], uri, headers, sent["body"], set(answered["headers"]), answered["status"]["code"]


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_recorded_anew_asks_the_same_and_has_the_same_status(recorded: Path, name: str) -> None:
    model = exchanges(record.CASSETTES / record.MODEL / f"{name}.yaml")
    assert [comparable(exchange) for exchange in exchanges(recorded / f"{name}.yaml")] == list(map(comparable, model))


def test_no_secret_and_no_server_name_is_left(recorded: Path, live: Any) -> None:
    _, environ = live
    text = "".join(file.read_text(encoding="utf-8") for file in recorded.iterdir())
    for secret in ("sandbox-", "s3cret", environ["PROCESSMAKER_URL"], "127.0.0.1"):
        assert secret not in text
    assert "client_id=3&client_secret=client-secret&username=integration.bot&password=bot-password" in text
    assert "TEST-ACCESS-TOKEN" in text
    assert "TEST-REFRESH-TOKEN" in text


@pytest.mark.parametrize("name", NAMES)
def test_what_was_recorded_can_be_replayed(recorded: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "CASSETTES", recorded.parent)
    with replay.replayed(recorded.name, name), httpx.Client() as client:
        for exchange in exchanges(recorded / f"{name}.yaml"):
            sent = exchange["request"]
            headers = {field: values[0] for field, values in sent["headers"].items()}
            answer = client.request(sent["method"], sent["uri"], headers=headers, content=sent["body"])
            assert answer.status_code == exchange["response"]["status"]["code"]


def test_processes_with_other_ids_are_found_by_name(tmp_path: Path) -> None:
    sandbox = a_server()
    del sandbox.processes[4]
    sandbox.add_process("Auto Approve", id=44)
    with sandbox.serve() as url:
        names = ["start_completed", "find_many_idempotency_keys"]
        assert record.main(["--version", "9", "--into", str(tmp_path), *names], environment(sandbox, url)) == 0
    asked = [exchange["request"]["uri"] for name in names for exchange in exchanges(tmp_path / f"{name}.yaml")]
    assert "/process_events/44?" in asked[0]
    assert "process_id+%3D+44&" in asked[-1]


def test_what_is_answered_otherwise_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox = a_server()
    with sandbox.serve() as url:
        environ = environment(sandbox, url)
        for _ in range(2):
            asked = ["--version", "9", "--into", str(tmp_path), "start_with_idempotency_key", "request_show"]
            assert record.main(asked, environ) == 0
            told = capsys.readouterr().out
    assert "include=summary: 200, 1 rows; was 200, 0 rows" in told
    assert "not recorded: maintenance_503. First put the server into maintenance" in told


def test_missing_variables_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    environ = environment(Sandbox(), "https://pm.example.com")
    del environ["PROCESSMAKER_MAIL_TOKEN"]
    environ["PROCESSMAKER_CLIENT_ID"] = " "
    assert record.main(["--version", "9", "--into", str(tmp_path / "new")], environ) == 1
    told = capsys.readouterr().err
    assert "PROCESSMAKER_MAIL_TOKEN: a token of the user mail.user" in told
    assert "PROCESSMAKER_CLIENT_ID" in told
    assert "PROCESSMAKER_URL" not in told
    assert not (tmp_path / "new").exists()


def test_help_names_the_variables_and_what_is_done_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        record.main(["--help"])
    told = capsys.readouterr().out
    assert [name for name in (*record.VARIABLES, *record.BY_HAND) if name not in told] == []


def test_a_secret_that_is_too_short_to_be_found_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    environ = environment(Sandbox(), "https://pm.example.com") | {"PROCESSMAKER_PASSWORD": "bot"}
    assert record.main(["--version", "9", "--into", str(tmp_path)], environ) == 1
    assert "cannot be told from other text: PROCESSMAKER_PASSWORD" in capsys.readouterr().err


@pytest.mark.parametrize("before", ["", "a", "ab"])
@pytest.mark.parametrize("secret", ["PROCESSMAKER_TOKEN", "PROCESSMAKER_PASSWORD"])
def test_a_secret_that_was_not_replaced_is_found(before: str, secret: str) -> None:
    live = environment(Sandbox(), "")[secret]
    hidden = [record.Hidden(secret, live, "harmless")]
    for planted in (
        live,
        live.upper(),
        quote(quote(live)),
        quote(live, safe=""),
        b64encode(f"{before}{live}:x".encode()).decode(),
        urlsafe_b64encode(f"{before}{live}".encode()).decode(),
    ):
        text = yaml.safe_dump({"a": [{"b": f"some {planted} text " + "word " * 50}]}, width=40)
        assert record.leaks(text, hidden) == [secret], planted
    assert record.leaks("a: harmless\n", hidden) == []


def test_a_recording_with_a_leak_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(record.Recorder, "_shown", lambda _, text: text)
    sandbox = a_server()
    with sandbox.serve() as url:
        asked = ["--version", "9", "--into", str(tmp_path), "token_password_grant"]
        assert record.main(asked, environment(sandbox, url)) == 1
    told = capsys.readouterr().err
    assert "token_password_grant is not written, as it would show PROCESSMAKER_PASSWORD" in told
    assert "the access_token given" in told
    assert "the server's name" in told
    assert "s3cret" not in told
    assert list(tmp_path.iterdir()) == []


def test_a_broken_connection_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox = a_server()
    sandbox.fail_next("reset", on="PUT")
    with sandbox.serve() as url:
        asked = ["--version", "9", "--into", str(tmp_path), "cancel"]
        assert record.main(asked, environment(sandbox, url)) == 1
    assert capsys.readouterr().err.startswith("record: ")
    assert list(tmp_path.iterdir()) == []
