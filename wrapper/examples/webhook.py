"""Take a shop's webhook, which may arrive twice, and start one Request for each event.

python webhook.py 8080

The journal is a file, so that several such processes on this machine start each event once.
"""

import json
import logging
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import ceil

from processmaker import InvalidData, ProcessMaker, ProcessMakerError, RequestCanceled, RequestFailed, SQLiteJournal

log = logging.getLogger("webhook")


def answer(pm: ProcessMaker, event: dict[str, object]) -> tuple[int, dict[str, str]]:
    """Return the status and the headers for a delivery. A sender delivers again if it gets a 5xx or no answer."""
    key = f"shop-{event['id']}"  # each delivery of an event has the same id
    try:
        pm.start("Auto Approve", {"amount": event["amount"]}, idempotency_key=key, look_again_for=3)
    except (RequestFailed, RequestCanceled) as error:  # it was started: another delivery would change nothing
        log.error("%s: %s", key, error)
    except InvalidData as error:  # another delivery would bring the same data
        log.error("%s is not started: %s", key, error)
        return 422, {}
    except ProcessMakerError as error:
        log.error("%s: started: %s; %s", key, error.started, error)
        if not error.retryable:  # such as an expired token, or a key that was used with other data
            return 500, {}
        return 503, {"Retry-After": str(ceil(error.retry_after or 10))}
    return 204, {}


class Handler(BaseHTTPRequestHandler):
    pm: ProcessMaker

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers = answer(self.pm, json.loads(body))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


if __name__ == "__main__":
    with ProcessMaker.from_env(journal=SQLiteJournal("starts.db")) as Handler.pm:
        server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
        print(f"Listening at: http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
