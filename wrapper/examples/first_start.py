"""Start a Request, and say for certain whether it exists. Reads PROCESSMAKER_URL and PROCESSMAKER_TOKEN.

python first_start.py order-1234
"""

import sys

from processmaker import ProcessMaker, ProcessMakerError, RequestFailed, StartOutcomeUnknown


def main(order: str) -> int:
    with ProcessMaker.from_env() as pm:
        try:
            request = pm.start("Auto Approve", {"amount": 12.5}, idempotency_key=order)
        except RequestFailed as error:
            print(f"Request {error.request.id} exists, but its process failed: {error}")
            return 1
        except StartOutcomeUnknown as error:  # the same command again looks for the Request first
            print(f"Not known whether it started; run this again: {error}")
            return 2
        except ProcessMakerError as error:
            # `started` is about the key: True if its Request exists, False if it certainly does not, None if unknown.
            print(f"Started: {error.started}; the same call may work later: {error.retryable}. {error}")
            return 3
        print(f"Request {request.id} is {request.status}, made by this start: {request.created}")
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
