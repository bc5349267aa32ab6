from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.get_tasks_response import GetTasksResponse
from ...types import UNSET, Response, Unset


def build_request(
    *,
    process_request_id: int | Unset = UNSET,
    all_tasks: bool | Unset = UNSET,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    include: str | Unset = UNSET,
    status: str | Unset = UNSET,
    user_id: int | Unset = UNSET,
    include_sub_tasks: bool | Unset = UNSET,
    page: int | Unset = UNSET,
    per_page: int | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["process_request_id"] = process_request_id

    params["all_tasks"] = all_tasks

    params["filter"] = filter_

    params["order_by"] = order_by

    params["order_direction"] = order_direction

    params["include"] = include

    params["status"] = status

    params["user_id"] = user_id

    params["include_sub_tasks"] = include_sub_tasks

    params["page"] = page

    params["per_page"] = per_page

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/tasks",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | GetTasksResponse | None:
    if response.status_code == 200:
        response_200 = GetTasksResponse.from_dict(response.json())

        return response_200

    if response.status_code == 401:
        response_401 = ErrorBody.from_dict(response.json())

        return response_401

    if response.status_code == 500:
        response_500 = ErrorBody.from_dict(response.json())

        return response_500

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ErrorBody | GetTasksResponse]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    process_request_id: int | Unset = UNSET,
    all_tasks: bool | Unset = UNSET,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    include: str | Unset = UNSET,
    status: str | Unset = UNSET,
    user_id: int | Unset = UNSET,
    include_sub_tasks: bool | Unset = UNSET,
    page: int | Unset = UNSET,
    per_page: int | Unset = UNSET,
) -> Response[ErrorBody | GetTasksResponse]:
    """List tasks

     Lists tasks, a page at a time. A user who is not an administrator sees only their own tasks and
    those that they may claim. A Request that is read with include=activeTasks contains the open tasks
    of all users.

    Args:
        process_request_id (int | Unset): Keep only tasks of the Request with this id.
        all_tasks (bool | Unset): True lists all kinds of tasks, not only those of people.
        filter_ (str | Unset): Keep only tasks with this text in their name.
        order_by (str | Unset): The field to sort by, such as due_at. An unknown field answers
            500.
        order_direction (str | Unset): asc or desc.
        include (str | Unset): Related records to add, separated by commas, such as process or
            user.
        status (str | Unset): Keep only tasks with this status. ACTIVE tasks are open, CLOSED
            tasks are done.
        user_id (int | Unset): Keep only tasks of the user with this id, and those that this user
            may claim.
        include_sub_tasks (bool | Unset): True also lists the tasks of the Request's sub-
            processes, one level deep.
        page (int | Unset): The number of the page, from 1.
        per_page (int | Unset): The number of tasks on a page. The default is 10.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | GetTasksResponse]
    """

    kwargs = build_request(
        process_request_id=process_request_id,
        all_tasks=all_tasks,
        filter_=filter_,
        order_by=order_by,
        order_direction=order_direction,
        include=include,
        status=status,
        user_id=user_id,
        include_sub_tasks=include_sub_tasks,
        page=page,
        per_page=per_page,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    process_request_id: int | Unset = UNSET,
    all_tasks: bool | Unset = UNSET,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    include: str | Unset = UNSET,
    status: str | Unset = UNSET,
    user_id: int | Unset = UNSET,
    include_sub_tasks: bool | Unset = UNSET,
    page: int | Unset = UNSET,
    per_page: int | Unset = UNSET,
) -> ErrorBody | GetTasksResponse | None:
    """List tasks

     Lists tasks, a page at a time. A user who is not an administrator sees only their own tasks and
    those that they may claim. A Request that is read with include=activeTasks contains the open tasks
    of all users.

    Args:
        process_request_id (int | Unset): Keep only tasks of the Request with this id.
        all_tasks (bool | Unset): True lists all kinds of tasks, not only those of people.
        filter_ (str | Unset): Keep only tasks with this text in their name.
        order_by (str | Unset): The field to sort by, such as due_at. An unknown field answers
            500.
        order_direction (str | Unset): asc or desc.
        include (str | Unset): Related records to add, separated by commas, such as process or
            user.
        status (str | Unset): Keep only tasks with this status. ACTIVE tasks are open, CLOSED
            tasks are done.
        user_id (int | Unset): Keep only tasks of the user with this id, and those that this user
            may claim.
        include_sub_tasks (bool | Unset): True also lists the tasks of the Request's sub-
            processes, one level deep.
        page (int | Unset): The number of the page, from 1.
        per_page (int | Unset): The number of tasks on a page. The default is 10.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | GetTasksResponse
    """

    return sync_detailed(
        client=client,
        process_request_id=process_request_id,
        all_tasks=all_tasks,
        filter_=filter_,
        order_by=order_by,
        order_direction=order_direction,
        include=include,
        status=status,
        user_id=user_id,
        include_sub_tasks=include_sub_tasks,
        page=page,
        per_page=per_page,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    process_request_id: int | Unset = UNSET,
    all_tasks: bool | Unset = UNSET,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    include: str | Unset = UNSET,
    status: str | Unset = UNSET,
    user_id: int | Unset = UNSET,
    include_sub_tasks: bool | Unset = UNSET,
    page: int | Unset = UNSET,
    per_page: int | Unset = UNSET,
) -> Response[ErrorBody | GetTasksResponse]:
    """List tasks

     Lists tasks, a page at a time. A user who is not an administrator sees only their own tasks and
    those that they may claim. A Request that is read with include=activeTasks contains the open tasks
    of all users.

    Args:
        process_request_id (int | Unset): Keep only tasks of the Request with this id.
        all_tasks (bool | Unset): True lists all kinds of tasks, not only those of people.
        filter_ (str | Unset): Keep only tasks with this text in their name.
        order_by (str | Unset): The field to sort by, such as due_at. An unknown field answers
            500.
        order_direction (str | Unset): asc or desc.
        include (str | Unset): Related records to add, separated by commas, such as process or
            user.
        status (str | Unset): Keep only tasks with this status. ACTIVE tasks are open, CLOSED
            tasks are done.
        user_id (int | Unset): Keep only tasks of the user with this id, and those that this user
            may claim.
        include_sub_tasks (bool | Unset): True also lists the tasks of the Request's sub-
            processes, one level deep.
        page (int | Unset): The number of the page, from 1.
        per_page (int | Unset): The number of tasks on a page. The default is 10.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | GetTasksResponse]
    """

    kwargs = build_request(
        process_request_id=process_request_id,
        all_tasks=all_tasks,
        filter_=filter_,
        order_by=order_by,
        order_direction=order_direction,
        include=include,
        status=status,
        user_id=user_id,
        include_sub_tasks=include_sub_tasks,
        page=page,
        per_page=per_page,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    process_request_id: int | Unset = UNSET,
    all_tasks: bool | Unset = UNSET,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    include: str | Unset = UNSET,
    status: str | Unset = UNSET,
    user_id: int | Unset = UNSET,
    include_sub_tasks: bool | Unset = UNSET,
    page: int | Unset = UNSET,
    per_page: int | Unset = UNSET,
) -> ErrorBody | GetTasksResponse | None:
    """List tasks

     Lists tasks, a page at a time. A user who is not an administrator sees only their own tasks and
    those that they may claim. A Request that is read with include=activeTasks contains the open tasks
    of all users.

    Args:
        process_request_id (int | Unset): Keep only tasks of the Request with this id.
        all_tasks (bool | Unset): True lists all kinds of tasks, not only those of people.
        filter_ (str | Unset): Keep only tasks with this text in their name.
        order_by (str | Unset): The field to sort by, such as due_at. An unknown field answers
            500.
        order_direction (str | Unset): asc or desc.
        include (str | Unset): Related records to add, separated by commas, such as process or
            user.
        status (str | Unset): Keep only tasks with this status. ACTIVE tasks are open, CLOSED
            tasks are done.
        user_id (int | Unset): Keep only tasks of the user with this id, and those that this user
            may claim.
        include_sub_tasks (bool | Unset): True also lists the tasks of the Request's sub-
            processes, one level deep.
        page (int | Unset): The number of the page, from 1.
        per_page (int | Unset): The number of tasks on a page. The default is 10.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | GetTasksResponse
    """

    return (
        await asyncio_detailed(
            client=client,
            process_request_id=process_request_id,
            all_tasks=all_tasks,
            filter_=filter_,
            order_by=order_by,
            order_direction=order_direction,
            include=include,
            status=status,
            user_id=user_id,
            include_sub_tasks=include_sub_tasks,
            page=page,
            per_page=per_page,
        )
    ).parsed
