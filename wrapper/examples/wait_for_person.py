"""Start a Request, wait until a person has completed its task, and use what they entered.

python wait_for_person.py leave-2026-17 3600

The process may wait for days. This program may end before that: with the same key, it finds its Request again.
"""

import sys

from processmaker import ProcessMaker, RequestCanceled, RequestFailed, WaitTimeout


def main(key: str, seconds: float) -> int:
    with ProcessMaker.from_env() as pm:
        request = pm.start("Leave Request", {"employee": "Ada", "days": 3}, idempotency_key=key)
        request = pm.wait(request, until="task")  # scripts before the task take a moment
        for task in pm.tasks(request):
            print(f'"{task.name}" waits for user {task.user_id}: {request.url}', flush=True)
        try:
            request = pm.wait(request, timeout=seconds)
        except WaitTimeout:
            print("Nobody has completed it yet. Run this again to go on waiting.")
            return 2
        except (RequestFailed, RequestCanceled) as error:
            print(error)
            return 1
        print("approved" if (request.data or {}).get("approved") else "not approved")
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
