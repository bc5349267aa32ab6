from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.process_request import ProcessRequest
from ...models.trigger_start_event_body import TriggerStartEventBody
from ...types import UNSET, Response, Unset


def build_request(
    process_id: int,
    *,
    body: TriggerStartEventBody | Unset = UNSET,
    event: str,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    params: dict[str, Any] = {}

    params["event"] = event

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/process_events/{process_id}".format(
            process_id=quote(str(process_id), safe=""),
        ),
        "params": params,
    }

    if not isinstance(body, Unset):
        _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | ProcessRequest | str | None:
    if response.status_code == 200:
        response_200 = ProcessRequest.from_dict(response.json())

        return response_200

    if response.status_code == 201:
        response_201 = ProcessRequest.from_dict(response.json())

        return response_201

    if response.status_code == 401:
        response_401 = ErrorBody.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = ErrorBody.from_dict(response.json())

        return response_403

    if response.status_code == 404:
        response_404 = ErrorBody.from_dict(response.json())

        return response_404

    if response.status_code == 405:
        response_405 = ErrorBody.from_dict(response.json())

        return response_405

    if response.status_code == 413:
        response_413 = response.text
        return response_413

    if response.status_code == 500:
        response_500 = ErrorBody.from_dict(response.json())

        return response_500

    if response.status_code == 502:
        response_502 = response.text
        return response_502

    if response.status_code == 503:
        response_503 = response.text
        return response_503

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ErrorBody | ProcessRequest | str]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    process_id: int,
    *,
    client: AuthenticatedClient | Client,
    body: TriggerStartEventBody | Unset = UNSET,
    event: str,
) -> Response[ErrorBody | ProcessRequest | str]:
    """Start a Request

     Starts a Request of a process at one of its start events. The server answers 201, and the body is
    the Request. If its status is ERROR, the Request exists, but the engine failed right after the
    start. The server knows no idempotency. Sending again creates a second Request. If the answer is
    lost, the Request may exist.

    Args:
        process_id (int): The id of the process, a number. Anything else answers 405. Inactive
            processes start, too.
        event (str): The id of the start event, a node id such as node_1. GET /start_processes
            lists it. Upper and lower case differ. Without it the server answers 404. A timer start
            event can be started by hand, too.
        body (TriggerStartEventBody | Unset): The data of the new Request, a JSON object. Send it
            with Content-Type application/json. Without this header the server also answers 201, but
            it destroys the data. The server trims strings and turns empty strings into null. It
            removes HTML tags and double braces from top-level strings.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | ProcessRequest | str]
    """

    kwargs = build_request(
        process_id=process_id,
        body=body,
        event=event,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    process_id: int,
    *,
    client: AuthenticatedClient | Client,
    body: TriggerStartEventBody | Unset = UNSET,
    event: str,
) -> ErrorBody | ProcessRequest | str | None:
    """Start a Request

     Starts a Request of a process at one of its start events. The server answers 201, and the body is
    the Request. If its status is ERROR, the Request exists, but the engine failed right after the
    start. The server knows no idempotency. Sending again creates a second Request. If the answer is
    lost, the Request may exist.

    Args:
        process_id (int): The id of the process, a number. Anything else answers 405. Inactive
            processes start, too.
        event (str): The id of the start event, a node id such as node_1. GET /start_processes
            lists it. Upper and lower case differ. Without it the server answers 404. A timer start
            event can be started by hand, too.
        body (TriggerStartEventBody | Unset): The data of the new Request, a JSON object. Send it
            with Content-Type application/json. Without this header the server also answers 201, but
            it destroys the data. The server trims strings and turns empty strings into null. It
            removes HTML tags and double braces from top-level strings.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | ProcessRequest | str
    """

    return sync_detailed(
        process_id=process_id,
        client=client,
        body=body,
        event=event,
    ).parsed


async def asyncio_detailed(
    process_id: int,
    *,
    client: AuthenticatedClient | Client,
    body: TriggerStartEventBody | Unset = UNSET,
    event: str,
) -> Response[ErrorBody | ProcessRequest | str]:
    """Start a Request

     Starts a Request of a process at one of its start events. The server answers 201, and the body is
    the Request. If its status is ERROR, the Request exists, but the engine failed right after the
    start. The server knows no idempotency. Sending again creates a second Request. If the answer is
    lost, the Request may exist.

    Args:
        process_id (int): The id of the process, a number. Anything else answers 405. Inactive
            processes start, too.
        event (str): The id of the start event, a node id such as node_1. GET /start_processes
            lists it. Upper and lower case differ. Without it the server answers 404. A timer start
            event can be started by hand, too.
        body (TriggerStartEventBody | Unset): The data of the new Request, a JSON object. Send it
            with Content-Type application/json. Without this header the server also answers 201, but
            it destroys the data. The server trims strings and turns empty strings into null. It
            removes HTML tags and double braces from top-level strings.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | ProcessRequest | str]
    """

    kwargs = build_request(
        process_id=process_id,
        body=body,
        event=event,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    process_id: int,
    *,
    client: AuthenticatedClient | Client,
    body: TriggerStartEventBody | Unset = UNSET,
    event: str,
) -> ErrorBody | ProcessRequest | str | None:
    """Start a Request

     Starts a Request of a process at one of its start events. The server answers 201, and the body is
    the Request. If its status is ERROR, the Request exists, but the engine failed right after the
    start. The server knows no idempotency. Sending again creates a second Request. If the answer is
    lost, the Request may exist.

    Args:
        process_id (int): The id of the process, a number. Anything else answers 405. Inactive
            processes start, too.
        event (str): The id of the start event, a node id such as node_1. GET /start_processes
            lists it. Upper and lower case differ. Without it the server answers 404. A timer start
            event can be started by hand, too.
        body (TriggerStartEventBody | Unset): The data of the new Request, a JSON object. Send it
            with Content-Type application/json. Without this header the server also answers 201, but
            it destroys the data. The server trims strings and turns empty strings into null. It
            removes HTML tags and double braces from top-level strings.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | ProcessRequest | str
    """

    return (
        await asyncio_detailed(
            process_id=process_id,
            client=client,
            body=body,
            event=event,
        )
    ).parsed
