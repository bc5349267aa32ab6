"""Place orders in Celery's workers. Redis is the broker and the journal; workers may be killed at any moment.

celery --app celery_redis worker
"""

import os
from functools import cache

from celery import Celery, Task
from processmaker import ProcessMaker, ProcessMakerError, RedisJournal

REDIS = os.environ["REDIS_URL"]

app = Celery("orders", broker=REDIS, backend=REDIS)
app.conf.update(
    task_acks_late=True,  # a job whose worker is killed is delivered again
    task_reject_on_worker_lost=True,  # at once, if only the worker's child was killed
    # If all of the worker was killed, after so many seconds. It must exceed the duration and the pauses of a job.
    broker_transport_options={
        "visibility_timeout": int(os.environ.get("VISIBILITY_TIMEOUT", "3600")),
        "unacked_restore_throttle": 1,  # looks for such jobs every 10 s instead of every 100
    },
)


@cache  # made by the first job, so after the fork: one for each worker process
def processmaker() -> ProcessMaker:
    lease = float(os.environ.get("STARTS_LEASE", "90"))
    return ProcessMaker.from_env(journal=RedisJournal.from_url(REDIS, lease=lease))


@app.task(bind=True, max_retries=100)
def place_order(self: Task, number: int, amount: float) -> int:
    try:
        request = processmaker().start("Auto Approve", {"amount": amount}, idempotency_key=f"order-{number}")
    except ProcessMakerError as error:
        if error.retryable:
            pause = 10 if error.retry_after is None else error.retry_after
            raise self.retry(exc=error, countdown=pause) from error
        raise
    return request.id
