"""A WSGI application in several workers: PUT /4711 places order 4711, once, whichever worker gets it.

gunicorn --config gunicorn_conf.py gunicorn_app:app
"""

import json
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

from processmaker import ProcessMaker, ProcessMakerError, SQLiteJournal

# The workers share the journal's file, so that a key is started once also if a worker is killed in the middle.
pm = ProcessMaker.from_env(journal=SQLiteJournal("starts.db"))


def place_order(number: str) -> tuple[str, dict[str, object]]:
    try:
        request = pm.start("Auto Approve", {"order": number}, idempotency_key=f"order-{number}")
    except ProcessMakerError as error:
        status = "503 Service Unavailable" if error.retryable else "502 Bad Gateway"
        return status, {"started": error.started, "detail": str(error)}
    return "200 OK", {"request": request.id}


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    status, answer = place_order(environ["PATH_INFO"].strip("/"))
    start_response(status, [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
