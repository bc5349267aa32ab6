"""Recording anew sends what the recordings at hand sent, on the sandbox's socket here, and lets no secret through."""

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import attrs
import httpx
import provision
import pytest
import record
import replay
import yaml
from administered import AdministeredSandbox, process_of
from processmaker.sandbox import SIMPLE_PROCESSES, Sandbox, _oauth

PASSWORD = 's3cret p/ss"w+rd é'
CLIENT, OTHER_CLIENT = ("17", "s3cret/client"), ("18", "s3cret/other")
NAMES = sorted(path.stem for path in (record.CASSETTES / record.MODEL).glob("*.yaml") if record.is_of_one_user(path))
NOT_SERVED = {name for name in NAMES if name.startswith(("process_show", "processes_list", "validation_error"))}


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
    sandbox = AdministeredSandbox(fresh=False)
    sandbox.user().password = PASSWORD
    return sandbox


def environment(sandbox: Sandbox, url: str) -> dict[str, str]:
    return {
        "PROCESSMAKER_URL": url,
        "PROCESSMAKER_TOKEN": "sandbox-integration-bot-token",
        "PROCESSMAKER_ADMIN_TOKEN": sandbox.token("admin"),
        "PROCESSMAKER_MAIL_TOKEN": "sandbox-mail-user-token",
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
    compared = 4 if name in NOT_SERVED else 6  # of what the sandbox does not know, only what was sent
    anew = [comparable(exchange)[:compared] for exchange in exchanges(recorded / f"{name}.yaml")]
    assert anew == [comparable(exchange)[:compared] for exchange in model]


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


def test_what_the_server_lacks_is_created_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox = AdministeredSandbox()
    environ = environment(sandbox, "")
    for variable in record.SIGNED_IN:
        del environ[variable]  # nobody has a token of a user who is not there yet
    names = ["start_active", "start_second_event", "start_error_status", "start_broken_process", "follow_to_completion"]
    names += ["start_timer_event_by_hand", "start_inactive_process", "start_forbidden", "token_password_grant"]
    asked = ["--version", "9", "--into", str(tmp_path), *names]
    with sandbox.serve() as url:
        assert record.main(asked, environ | {"PROCESSMAKER_URL": url}) == 0
        told = capsys.readouterr().out
        assert record.main(asked, environ | {"PROCESSMAKER_URL": url}) == 0
    created = re.findall("^created: (.*)$", told, re.MULTILINE)
    assert created == ["integration.bot", "mail.user", "Recordings", *record.PROCESSES.values()]
    assert "created" not in capsys.readouterr().out
    for name in names:
        model = exchanges(record.CASSETTES / record.MODEL / f"{name}.yaml")
        assert [comparable(exchange)[5] for exchange in exchanges(tmp_path / f"{name}.yaml")] == [
            comparable(exchange)[5] for exchange in model
        ]
    assert sandbox.requests[1].process.name == "Two Doors"
    text = "".join(file.read_text(encoding="utf-8") for file in tmp_path.iterdir())
    assert [secret for secret in ("sandbox-access", "s3cret", "127.0.0.1") if secret in text] == []


def test_the_created_processes_are_those_of_the_sandbox() -> None:
    """The stand-in server reads the BPMN as the engine would: start events, who may start them, tasks, what fails."""
    for process in SIMPLE_PROCESSES:
        body = {"name": process.name, "description": process.description, "status": process.status}
        made = process_of(body | {"bpmn": provision.bpmn(process, list(process.users))}, process.id)
        bpmn_name = process.bpmn_name or process.name
        fails_with = made.fails_with if process.fails_with else None
        assert made == attrs.evolve(process, bpmn_name=bpmn_name, fails_with=fails_with)
        assert bool(made.fails_with) == bool(process.fails_with)


@pytest.mark.parametrize("process", SIMPLE_PROCESSES, ids=lambda process: process.name)
def test_the_bpmn_holds_together(process: Any) -> None:
    whole = ElementTree.fromstring(provision.bpmn(process, [3]))
    ids = [element.get("id") for element in whole.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    (flow,) = whole.findall(f"{{{provision.BPMN}}}process")
    edges = {edge.get("id"): edge for edge in flow.findall(f"{{{provision.BPMN}}}sequenceFlow")}
    named = set()
    for node in flow:
        for word, end in (("incoming", "targetRef"), ("outgoing", "sourceRef")):
            for reference in node.findall(f"{{{provision.BPMN}}}{word}"):
                assert edges[reference.text].get(end) == node.get("id")
                named.add((reference.text, end))
    broken = {(edge, "targetRef") for edge in edges if edges[edge].get("targetRef") == "node_missing"}
    assert named | broken == {(edge, end) for edge in edges for end in ("sourceRef", "targetRef")}
    assert bool(broken) == process.broken
    drawn = {shape.get("bpmnElement") for shape in whole.iter(f"{{{provision.BPMNDI}}}BPMNShape")}
    assert drawn == {node.get("id") for node in flow} - set(edges)


def test_what_may_not_be_created_is_told_with_the_servers_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox = AdministeredSandbox()
    with sandbox.serve() as url:
        environ = environment(sandbox, url) | {"PROCESSMAKER_ADMIN_TOKEN": "no administrator's"}
        assert record.main(["--version", "9", "--into", str(tmp_path)], environ) == 1
    told = capsys.readouterr().err
    assert told.startswith("record: GET /users: could not be listed: the server answered 403")
    assert list(tmp_path.iterdir()) == []


def test_a_user_who_may_not_start_what_the_recordings_start_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox = a_server()
    sandbox.processes[4] = attrs.evolve(sandbox.processes[4], users=())
    with sandbox.serve() as url:
        assert record.main(["--version", "9", "--into", str(tmp_path)], environment(sandbox, url)) == 1
    assert "integration.bot may not start Auto Approve (200): give it the right" in capsys.readouterr().err


def test_a_wrong_password_is_told_without_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox = a_server()
    with sandbox.serve() as url:
        environ = environment(sandbox, url) | {"PROCESSMAKER_PASSWORD": "wr0ng-s3cret"}
        del environ["PROCESSMAKER_TOKEN"]
        assert record.main(["--version", "9", "--into", str(tmp_path)], environ) == 1
    told = capsys.readouterr().err
    assert "integration.bot could not sign in (400): set PROCESSMAKER_TOKEN" in told
    assert "s3cret" not in told


def test_a_server_out_of_work_is_not_asked_to_sign_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sandbox = a_server()
    sandbox.maintenance = True
    asked = ["--version", "9", "--into", str(tmp_path), "maintenance_503"]
    with sandbox.serve() as url:
        environ = environment(sandbox, url)
        assert record.main(asked, environ) == 0
        del environ["PROCESSMAKER_TOKEN"]
        assert record.main(asked, environ) == 1
    assert "set PROCESSMAKER_TOKEN: nobody can sign in" in capsys.readouterr().err


def test_missing_variables_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    environ = environment(Sandbox(), "https://pm.example.com")
    del environ["PROCESSMAKER_ADMIN_TOKEN"]
    environ["PROCESSMAKER_CLIENT_ID"] = " "
    assert record.main(["--version", "9", "--into", str(tmp_path / "new")], environ) == 1
    told = capsys.readouterr().err
    assert "PROCESSMAKER_ADMIN_TOKEN: a token of an administrator" in told
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
