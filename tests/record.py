"""Records the cassettes anew on a live ProcessMaker: `python -m tests.record --version 4.16.0`.

First it makes sure that the users and processes that the recordings need are there, and creates what is missing. Each
scenario then sends again what its recording of 4.15.5 sent, with the ids that the live server gives. Nothing is written
in which a token, a password, a client secret or the server's name is left. It starts Requests on that server: use one
made for it, and fresh, as idempotency keys are found again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote_plus, urlencode, urlsplit

import httpx
import vcr
import yaml
from attrs import frozen
from processmaker import ConfigurationError
from processmaker.config.address import site_of
from processmaker.sandbox import SIMPLE_PROCESSES
from processmaker.sandbox._objects import users
from vcr.persisters.filesystem import CassetteNotFoundError
from vcr.request import Request
from vcr.serialize import serialize

sys.path.insert(0, str(Path(__file__).parent))

from provision import Administrator, NotProvided

CASSETTES = Path(__file__).parent / "cassettes"
MODEL = "4.15.5"
SITE = "https://pm.example.com"

VARIABLES = {
    "PROCESSMAKER_URL": "the server, such as https://pm.mycompany.com",
    "PROCESSMAKER_ADMIN_TOKEN": "a token of an administrator",
    "PROCESSMAKER_PASSWORD": "the password of integration.bot, and of each user who is created",
    "PROCESSMAKER_CLIENT_ID": "the id of an OAuth client with the password grant",
    "PROCESSMAKER_CLIENT_SECRET": "its secret",
    "PROCESSMAKER_OTHER_CLIENT_ID": "the id of an OAuth client with the client_credentials grant",
    "PROCESSMAKER_OTHER_CLIENT_SECRET": "its secret",
}

SIGNED_IN = {"PROCESSMAKER_TOKEN": "integration.bot", "PROCESSMAKER_MAIL_TOKEN": "mail.user"}
"""Tokens that need not be given: the user is signed in with PROCESSMAKER_PASSWORD."""

BY_HAND = {
    "maintenance_503": "put the server into maintenance (php artisan down --retry=60)",
    "bad_gateway_502_html": "stop the application server (PHP-FPM) behind nginx",
}
"""What no client can bring about, and who does: the scenario is then recorded by its name."""

TOKENS = {
    "cancel": "PROCESSMAKER_ADMIN_TOKEN",
    "start_timer_event_by_hand": "PROCESSMAKER_ADMIN_TOKEN",
    "validation_error_422": "PROCESSMAKER_ADMIN_TOKEN",
    "start_error_status": "PROCESSMAKER_MAIL_TOKEN",
}
"""Whose token a scenario is sent with, where it is neither `…_admin` nor the bot's."""

PROCESSES = {
    "2": "Leave Request",
    "3": "Leave Request Contractors",
    "4": "Auto Approve",
    "5": "Two Doors",
    "6": "Nightly Report",
    "7": "Nightly or Manual",
    "8": "Payroll",
    "9": "Retired",
    "10": "Broken Flow",
    "11": "Mail Approval",
    "12": "Two Steps",
}

SEVERAL_USERS = "2026-11-29"
"""The day of the recordings that need more processes, and several users who ask in turn: those are made by hand."""
UNDATED = re.compile(
    r"start_processes_(page_b|per_page|order).*|request_file_.*|requests_(order|per).*|.*unknown_field"
)
"""Recordings of that day that show no date."""

IDS = {
    "process": re.compile(r"(?<=/process_events/)\d+(?![^?])|(?<=/processes/)\d+(?![^?])|(?<=process_id\+%3D\+)\d+"),
    "request": re.compile(r"(?<=/requests/)\d+|(?<=process_request_id=)\d+|(?<=AND\+id\+%3E\+)\d+"),
    "task": re.compile(r"(?<=/tasks/)\d+"),
}
"""Where ids stand in an address."""

KEPT = re.compile(r"accept|content-type|if-none-match|cache-control|etag|retry-after|x-ratelimit-\w+")
"""The headers that a recording keeps."""

LONG_TEXT = "a" * 1_100_000


def is_of_one_user(recording: Path) -> bool:
    """Whether a recording can be made anew: the processes of the simple sandbox and one user are enough."""
    return not UNDATED.fullmatch(recording.stem) and SEVERAL_USERS not in recording.read_text(encoding="utf-8")


class Refused(Exception):
    """A recording that is not written, and why."""


@frozen
class Hidden:
    """What no recording may show, and what stands in its place."""

    name: str
    live: str = ""
    shown: str = ""

    def forms(self) -> list[tuple[str, str]]:
        """The live text and its stand-in, as they may stand in an address, a form or JSON."""
        escapes = (
            str,
            quote_plus,
            lambda text: quote(text, safe=""),
            in_json,
            lambda text: in_json(text).replace("/", "\\/"),
        )
        return [(escape(self.live), escape(self.shown)) for escape in escapes]

    def base64(self) -> list[str]:
        """What base64 makes of the live text within a longer one; without what depends on that text."""
        encoded = (b64encode(b"\0" * before + self.live.encode())[4 if before else 0 : -4] for before in range(3))
        return [form for text in encoded for form in (text.decode(), text.decode().translate({43: "-", 47: "_"}))]


def in_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def leaks(text: str, hidden: list[Hidden]) -> list[str]:
    """The names of what a recording still shows."""
    found = []
    texts = [*strings_in(yaml.safe_load(text)), text]
    texts = [read.casefold() for text in texts for read in (text, unquote_plus(text), unquote_plus(unquote_plus(text)))]
    for item in hidden:
        if item.live == item.shown:
            continue
        forms = [form.casefold() for form in (*(live for live, _ in item.forms()), *item.base64()) if len(form) > 3]
        if any(form in text for form in forms for text in texts):
            found.append(item.name)
    return found


def strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from (*strings_in(key), *strings_in(item))
    elif isinstance(value, list):
        for item in value:
            yield from strings_in(item)
    else:
        yield value.decode("latin-1") if isinstance(value, bytes) else str(value)


class Recorder:
    """One live server, and what has been learned of it so far.

    Args:
        environ: the variables of VARIABLES.
        model: the folder with the recordings to send again.
    """

    def __init__(self, environ: Mapping[str, str], model: Path) -> None:
        if missing := [name for name in VARIABLES if not environ.get(name, "").strip()]:
            raise Refused("not set: " + "".join(f"\n  {name}: {VARIABLES[name]}" for name in missing))
        self._told = {name: told for name in (*VARIABLES, *SIGNED_IN) if (told := environ.get(name, "").strip())}
        self._model = model
        try:
            self._site = site_of(self._told["PROCESSMAKER_URL"], allow_http=True)
        except ConfigurationError as problem:
            raise Refused(str(problem)) from None
        address = urlsplit(self._site)
        shown = {
            "PROCESSMAKER_PASSWORD": "bot-password",
            "PROCESSMAKER_CLIENT_SECRET": "client-secret",
            "PROCESSMAKER_OTHER_CLIENT_SECRET": "other-client-secret",
        }
        self._hidden = [
            Hidden(name, live, shown.get(name, "TEST-ACCESS-TOKEN"))
            for name, live in self._told.items()
            if name.endswith(("TOKEN", "SECRET", "PASSWORD"))
        ]
        if short := [item.name for item in self._hidden if len(item.live) < 8]:
            raise Refused(f"shorter than 8 characters, which cannot be told from other text: {', '.join(short)}")
        for live, stand_in in (
            (self._site, SITE),
            (address.netloc, "pm.example.com"),
            (address.hostname, "pm.example.com"),
        ):
            self._hidden.append(Hidden("the server's name", str(live), stand_in))
        self._client_ids = {self._told["PROCESSMAKER_OTHER_CLIENT_ID"]: "2", self._told["PROCESSMAKER_CLIENT_ID"]: "3"}
        self._ids: dict[str, dict[str, str]] = {"process": {}, "request": {}, "task": {}}
        self._own: dict[str, dict[str, str]] = {}
        self._given: dict[str, str] = {}

    def prepare(self) -> list[str]:
        """Makes sure that the users and processes are there, learns their ids, and signs in.

        Returns:
            What was created.

        Raises:
            Refused: something is missing that could not be created, or a user may not start what it should.
        """
        told = self._told
        administrator = Administrator(self._site, told["PROCESSMAKER_ADMIN_TOKEN"], told["PROCESSMAKER_PASSWORD"])
        try:
            there = administrator.provide()
        except NotProvided as problem:
            raise Refused(str(problem)) from None
        self._ids["process"] = {theirs: str(there[name]) for theirs, name in PROCESSES.items()}
        for variable, username in SIGNED_IN.items():
            if variable not in told:
                told[variable] = self._sign_in(username, variable)
                self._hidden.append(Hidden(variable, told[variable], "TEST-ACCESS-TOKEN"))
            self._check_rights(username, told[variable])
        return administrator.created

    def check_tokens(self) -> None:
        """For a server that now answers nothing: whoever calls it must have a token already."""
        if missing := [name for name in SIGNED_IN if name not in self._told]:
            raise Refused(f"set {' and '.join(missing)}: nobody can sign in to a server that was put out of work")

    def _sign_in(self, username: str, variable: str) -> str:
        form = {
            "grant_type": "password",
            "client_id": self._told["PROCESSMAKER_CLIENT_ID"],
            "client_secret": self._told["PROCESSMAKER_CLIENT_SECRET"],
            "username": username,
            "password": self._told["PROCESSMAKER_PASSWORD"],
        }
        answer = httpx.post(f"{self._site}/oauth/token", data=form, headers={"Accept": "application/json"}, timeout=60)
        token = json_of(answer.text).get("access_token")
        if not isinstance(token, str) or not token:
            raise Refused(f"{username} could not sign in ({answer.status_code}): set {variable}, or its password")
        return token

    def _check_rights(self, username: str, token: str) -> None:
        """The recordings need these users to have the rights that the sandbox's have."""
        headers = {"Accept": "application/json", "Authorization": f"Bearer {token}"}
        answer = httpx.get(f"{self._site}/api/1.0/start_processes", headers=headers, timeout=60)
        startable = {row["name"] for row in json_of(answer.text).get("data", [])}
        user = next(user for user in users() if user.username == username)
        listed = [one for one in SIMPLE_PROCESSES if one.status == "ACTIVE" and not one.broken]
        wanted = {one.name for one in listed if one.events_for(user)}
        if missing := sorted(wanted - startable):
            raise Refused(
                f"{username} may not start {', '.join(missing)} ({answer.status_code}): give it the right at "
                "their start events, or delete them to have them created anew"
            )

    def record(self, name: str, folder: Path) -> list[str]:
        """Records one scenario.

        Returns:
            What was answered otherwise than in the model.

        Raises:
            Refused: the recording would show a secret; nothing is written.
        """
        exchanges = yaml.safe_load((self._model / f"{name}.yaml").read_text(encoding="utf-8"))["interactions"]
        self._given, self._own = {}, {"process": {}, "request": {}, "task": {}}
        memory = Memory()
        recorder = vcr.VCR(
            record_mode="all",
            record_on_exception=False,
            before_record_request=self._request_as_recorded,
            before_record_response=self._response_as_recorded,
        )
        recorder.register_persister(memory)
        differences = []
        with httpx.Client(timeout=60) as client:
            if name == "token_rate_limited":
                for _ in range(100):
                    if client.send(self._live(name, exchanges[0]["request"])).status_code == 429:
                        break
            with recorder.use_cassette(name):
                for exchange in exchanges:
                    answer = client.send(self._live(name, exchange["request"]))
                    self._learn(exchange, answer)
                    differences += differences_of(exchange, answer)
        if shown := leaks(memory.text, self._hidden):
            raise Refused(f"{name} is not written, as it would show {', '.join(dict.fromkeys(shown))}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(memory.text, encoding="utf-8")
        return differences

    def _live(self, name: str, model: dict[str, Any]) -> httpx.Request:
        """A request of the model as this server needs it."""
        uri, body = model["uri"].removeprefix(SITE), model["body"]
        for kind, places in IDS.items():
            uri = places.sub(partial(replaced, self._ids[kind] | self._own[kind]), uri)
        headers = {field: self._given.get(values[0], values[0]) for field, values in model["headers"].items()}
        if uri == "/oauth/token":
            told = {
                "3": self._told["PROCESSMAKER_CLIENT_ID"],
                "2": self._told["PROCESSMAKER_OTHER_CLIENT_ID"],
                "client-secret": self._told["PROCESSMAKER_CLIENT_SECRET"],
                "other-client-secret": self._told["PROCESSMAKER_OTHER_CLIENT_SECRET"],
                "bot-password": self._told["PROCESSMAKER_PASSWORD"],
                **self._given,
            }
            body = urlencode([(field, told.get(value, value)) for field, value in parse_qsl(body)])
        elif token := self._token(name):
            headers["authorization"] = f"Bearer {token}"
        body = body.replace('"a..."', f'"{LONG_TEXT}"')
        # What is compressed could not be searched for secrets.
        headers["accept-encoding"] = "identity"
        return httpx.Request(model["method"], self._site + uri, headers=headers, content=body.encode())

    def _token(self, name: str) -> str:
        if name == "start_unauthenticated":
            return ""
        if name == "start_bad_token":
            return "not-a-token"
        usual = "PROCESSMAKER_ADMIN_TOKEN" if name.endswith("_admin") else "PROCESSMAKER_TOKEN"
        return self._given.get("TEST-ACCESS-TOKEN") or self._told[TOKENS.get(name, usual)]

    def _learn(self, exchange: dict[str, Any], answer: httpx.Response) -> None:
        """Which id, entity tag or token of this server stands for which one of the model.

        The model's servers numbered alike: what a scenario started itself counts first, then what was started first.
        """
        theirs, ours = json_of(exchange["response"]["body"]["string"]), json_of(answer.text)
        path = urlsplit(exchange["request"]["uri"]).path
        if "/process_events/" in path and "id" in theirs and "id" in ours:
            for known in (self._ids, self._own):
                known["request"].setdefault(str(theirs["id"]), str(ours["id"]))
        if path.endswith("/tasks"):
            for their_row, our_row in zip(theirs.get("data", []), ours.get("data", []), strict=False):
                self._own["task"].setdefault(str(their_row["id"]), str(our_row["id"]))
        for field in ("access_token", "refresh_token"):
            if field in theirs and field in ours:
                self._given.setdefault(theirs[field], ours[field])
        for tag in exchange["response"]["headers"].get("etag", []):
            self._given.setdefault(tag, answer.headers.get("etag", tag))

    def _request_as_recorded(self, request: Any) -> Request:
        body = (request.body or b"").decode().replace(LONG_TEXT, "a...")
        body = re.sub(r"(?<=client_id=)[^&]+", partial(replaced, self._client_ids), body)
        return Request(
            request.method, self._shown(request.uri), self._shown(body).encode(), self._kept(request.headers)
        )

    def _response_as_recorded(self, response: dict[str, Any]) -> dict[str, Any]:
        body = response["body"]["string"].decode("utf-8", "surrogateescape")
        for field in ("access_token", "refresh_token"):
            if token := json_of(body).get(field):
                self._hidden.append(Hidden(f"the {field} given", token, f"TEST-{field.upper().replace('_', '-')}"))
        body = re.sub(r'"trace":"#0(?:[^"\\]|\\.)*"', '"trace":"#0 (trace cut)"', self._shown(body))
        body = body.encode("utf-8", "surrogateescape")
        return {"status": response["status"], "headers": self._kept(response["headers"]), "body": {"string": body}}

    def _kept(self, headers: Mapping[str, Any]) -> dict[str, Any]:
        kept = {name.lower(): value for name, value in headers.items() if KEPT.fullmatch(name.lower())}
        return {
            name: self._shown(value) if isinstance(value, str) else [self._shown(one) for one in value]
            for name, value in kept.items()
        }

    def _shown(self, text: str) -> str:
        """The text with a stand-in for each secret; longer ones first, as one may hold another."""
        for item in sorted(self._hidden, key=lambda item: -len(item.live)):
            for live, shown in item.forms():
                text = text.replace(live, shown)
        return text


class Memory:
    """Where vcr puts a recording first: what is to become a file is looked through before."""

    text = ""

    def load_cassette(self, *_: Any, **__: Any) -> Any:
        raise CassetteNotFoundError

    def save_cassette(self, _: Any, cassette: Any, serializer: Any) -> None:
        self.text = serialize(cassette, serializer)


def replaced(by: Mapping[str, str], found: re.Match[str]) -> str:
    return by.get(found[0], found[0])


def json_of(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def differences_of(exchange: dict[str, Any], answer: httpx.Response) -> list[str]:
    """The status, or the number of rows, where it is another one than in the model."""
    theirs = exchange["response"]
    seen = [(theirs["status"]["code"], json_of(theirs["body"]["string"])), (answer.status_code, json_of(answer.text))]
    was, now = (f"{code}, {len(body['data'])} rows" if "meta" in body else f"{code}" for code, body in seen)
    return [f"{answer.request.method} {answer.request.url.raw_path.decode()}: {now}; was {was}"] if was != now else []


def main(arguments: list[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.record",
        description=__doc__,
        epilog="environment:\n"
        + "".join(f"  {name}\n      {text}\n" for name, text in VARIABLES.items())
        + "".join(
            f"  {name}\n      a token of {user}; without it {user} signs in with PROCESSMAKER_PASSWORD\n"
            for name, user in SIGNED_IN.items()
        )
        + "\nby hand, each by its name:\n"
        + "".join(f"  {name}\n      first {text}\n" for name, text in BY_HAND.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", required=True, help="the version of the live ProcessMaker, such as 4.16.0")
    parser.add_argument("--into", type=Path, help="the folder to write to (default: tests/cassettes/VERSION)")
    parser.add_argument(
        "scenarios", nargs="*", metavar="scenario", help="what to record (default: all but those by hand)"
    )
    options = parser.parse_args(arguments)
    known = {path.stem for path in (CASSETTES / MODEL).glob("*.yaml") if is_of_one_user(path)}
    if unknown := set(options.scenarios) - known:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are: {', '.join(sorted(known))}")
    folder = options.into or CASSETTES / options.version
    # A Request that others read comes first; signing in is not possible for a minute after the last one.
    order = sorted(known, key=lambda name: (name == "token_rate_limited", name != "start_active", name))
    chosen = options.scenarios or [name for name in order if name not in BY_HAND]
    try:
        recorder = Recorder(environ, CASSETTES / MODEL)
        if set(chosen) <= BY_HAND.keys():
            recorder.check_tokens()
        else:
            for created in recorder.prepare():
                print(f"created: {created}")
        for name in chosen:
            differences = recorder.record(name, folder)
            print(name, *(f"  {difference}" for difference in differences), sep="\n")
    except (Refused, httpx.HTTPError) as problem:
        print(f"record: {problem}", file=sys.stderr)
        return 1
    for name, text in BY_HAND.items():
        if name not in chosen:
            print(f"not recorded: {name}. First {text}, then give its name.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
