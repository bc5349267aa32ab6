from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.process_request_token import ProcessRequestToken
from ...models.update_task_body import UpdateTaskBody
from ...types import Response


def build_request(
    task_id: int,
    *,
    body: UpdateTaskBody,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "put",
        "url": "/tasks/{task_id}".format(
            task_id=quote(str(task_id), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | ProcessRequestToken | None:
    if response.status_code == 200:
        response_200 = ProcessRequestToken.from_dict(response.json())

        return response_200

    if response.status_code == 401:
        response_401 = ErrorBody.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = ErrorBody.from_dict(response.json())

        return response_403

    if response.status_code == 404:
        response_404 = ErrorBody.from_dict(response.json())

        return response_404

    if response.status_code == 422:
        response_422 = ErrorBody.from_dict(response.json())

        return response_422

    if response.status_code == 500:
        response_500 = ErrorBody.from_dict(response.json())

        return response_500

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ErrorBody | ProcessRequestToken]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    task_id: int,
    *,
    client: AuthenticatedClient | Client,
    body: UpdateTaskBody,
) -> Response[ErrorBody | ProcessRequestToken]:
    """Complete or claim a task

     Completes a task and puts its data into the Request, which then goes on. Or claims a self-service
    task for a user. Completing a task again answers 422.

    Args:
        task_id (int): The id of the task.
        body (UpdateTaskBody): To complete a task, status and data. To claim a task,
            is_self_service and user_id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | ProcessRequestToken]
    """

    kwargs = build_request(
        task_id=task_id,
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    task_id: int,
    *,
    client: AuthenticatedClient | Client,
    body: UpdateTaskBody,
) -> ErrorBody | ProcessRequestToken | None:
    """Complete or claim a task

     Completes a task and puts its data into the Request, which then goes on. Or claims a self-service
    task for a user. Completing a task again answers 422.

    Args:
        task_id (int): The id of the task.
        body (UpdateTaskBody): To complete a task, status and data. To claim a task,
            is_self_service and user_id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | ProcessRequestToken
    """

    return sync_detailed(
        task_id=task_id,
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    task_id: int,
    *,
    client: AuthenticatedClient | Client,
    body: UpdateTaskBody,
) -> Response[ErrorBody | ProcessRequestToken]:
    """Complete or claim a task

     Completes a task and puts its data into the Request, which then goes on. Or claims a self-service
    task for a user. Completing a task again answers 422.

    Args:
        task_id (int): The id of the task.
        body (UpdateTaskBody): To complete a task, status and data. To claim a task,
            is_self_service and user_id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | ProcessRequestToken]
    """

    kwargs = build_request(
        task_id=task_id,
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    task_id: int,
    *,
    client: AuthenticatedClient | Client,
    body: UpdateTaskBody,
) -> ErrorBody | ProcessRequestToken | None:
    """Complete or claim a task

     Completes a task and puts its data into the Request, which then goes on. Or claims a self-service
    task for a user. Completing a task again answers 422.

    Args:
        task_id (int): The id of the task.
        body (UpdateTaskBody): To complete a task, status and data. To claim a task,
            is_self_service and user_id.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | ProcessRequestToken
    """

    return (
        await asyncio_detailed(
            task_id=task_id,
            client=client,
            body=body,
        )
    ).parsed
