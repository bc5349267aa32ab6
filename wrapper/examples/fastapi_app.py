"""One client for the application, made in its event loop. The workers share a journal.

uvicorn --workers 4 fastapi_app:app
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import ceil

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from processmaker import AsyncProcessMaker, IdempotencyKeyReused, InvalidData, ProcessMakerError, SQLiteJournal
from pydantic import BaseModel

log = logging.getLogger("orders")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    with SQLiteJournal("starts.db") as journal:
        async with AsyncProcessMaker.from_env(journal=journal) as app.state.pm:
            yield


app = FastAPI(lifespan=lifespan)


class Order(BaseModel):
    amount: float


@app.put("/orders/{number}")
async def place_order(number: str, order: Order) -> dict[str, object]:
    pm: AsyncProcessMaker = app.state.pm
    data = order.model_dump(mode="json")  # dates and decimals as JSON has them
    request = await pm.start("Auto Approve", data, idempotency_key=f"order-{number}")
    return {"request": request.id, "status": request.status}


@app.exception_handler(ProcessMakerError)
async def failed(http_request: Request, error: ProcessMakerError) -> JSONResponse:
    log.error("%s: %s", http_request.url.path, error)
    if isinstance(error, InvalidData):  # such as a key with a character that the server would change
        return JSONResponse({"detail": str(error)}, 422)
    if isinstance(error, IdempotencyKeyReused):  # the order was placed with another amount
        return JSONResponse({"detail": str(error)}, 409)
    if error.retryable:  # even if it is not known: the same PUT again makes no second Request
        return JSONResponse({"detail": "try again"}, 503, {"Retry-After": str(ceil(error.retry_after or 10))})
    return JSONResponse({"started": error.started, "detail": "a person has to look at this order"}, 502)
