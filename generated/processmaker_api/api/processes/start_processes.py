from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.start_processes_response import StartProcessesResponse
from ...types import UNSET, Response, Unset


def build_request(
    *,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    per_page: int | Unset = UNSET,
    include: str | Unset = UNSET,
    without_event_definitions: bool | Unset = UNSET,
    page: int | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["filter"] = filter_

    params["order_by"] = order_by

    params["order_direction"] = order_direction

    params["per_page"] = per_page

    params["include"] = include

    params["without_event_definitions"] = without_event_definitions

    params["page"] = page

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/start_processes",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | StartProcessesResponse | None:
    if response.status_code == 200:
        response_200 = StartProcessesResponse.from_dict(response.json())

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
) -> Response[ErrorBody | StartProcessesResponse]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    per_page: int | Unset = UNSET,
    include: str | Unset = UNSET,
    without_event_definitions: bool | Unset = UNSET,
    page: int | Unset = UNSET,
) -> Response[ErrorBody | StartProcessesResponse]:
    """List the processes that the user may start

     Lists the active processes that the user may start, each with its start events, a page at a time. A
    user without administrative permissions can read no other list of processes. From 4.15 on, the
    server sends an ETag and answers 304 to a matching If-None-Match.

    Args:
        filter_ (str | Unset): Keep only processes with this text in their name, description or
            category. "Leave Request" also finds "Leave Request Contractors".
        order_by (str | Unset): The field to sort by, such as name. An unknown field answers 500.
        order_direction (str | Unset): asc or desc.
        per_page (int | Unset): The number of processes on a page. The default is 10. There is no
            upper limit; 0 answers 500.
        include (str | Unset): Related records to add, separated by commas, such as category.
        without_event_definitions (bool | Unset): True leaves out processes whose start events
            have a definition, such as a timer.
        page (int | Unset): The number of the page, from 1.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | StartProcessesResponse]
    """

    kwargs = build_request(
        filter_=filter_,
        order_by=order_by,
        order_direction=order_direction,
        per_page=per_page,
        include=include,
        without_event_definitions=without_event_definitions,
        page=page,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    per_page: int | Unset = UNSET,
    include: str | Unset = UNSET,
    without_event_definitions: bool | Unset = UNSET,
    page: int | Unset = UNSET,
) -> ErrorBody | StartProcessesResponse | None:
    """List the processes that the user may start

     Lists the active processes that the user may start, each with its start events, a page at a time. A
    user without administrative permissions can read no other list of processes. From 4.15 on, the
    server sends an ETag and answers 304 to a matching If-None-Match.

    Args:
        filter_ (str | Unset): Keep only processes with this text in their name, description or
            category. "Leave Request" also finds "Leave Request Contractors".
        order_by (str | Unset): The field to sort by, such as name. An unknown field answers 500.
        order_direction (str | Unset): asc or desc.
        per_page (int | Unset): The number of processes on a page. The default is 10. There is no
            upper limit; 0 answers 500.
        include (str | Unset): Related records to add, separated by commas, such as category.
        without_event_definitions (bool | Unset): True leaves out processes whose start events
            have a definition, such as a timer.
        page (int | Unset): The number of the page, from 1.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | StartProcessesResponse
    """

    return sync_detailed(
        client=client,
        filter_=filter_,
        order_by=order_by,
        order_direction=order_direction,
        per_page=per_page,
        include=include,
        without_event_definitions=without_event_definitions,
        page=page,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    per_page: int | Unset = UNSET,
    include: str | Unset = UNSET,
    without_event_definitions: bool | Unset = UNSET,
    page: int | Unset = UNSET,
) -> Response[ErrorBody | StartProcessesResponse]:
    """List the processes that the user may start

     Lists the active processes that the user may start, each with its start events, a page at a time. A
    user without administrative permissions can read no other list of processes. From 4.15 on, the
    server sends an ETag and answers 304 to a matching If-None-Match.

    Args:
        filter_ (str | Unset): Keep only processes with this text in their name, description or
            category. "Leave Request" also finds "Leave Request Contractors".
        order_by (str | Unset): The field to sort by, such as name. An unknown field answers 500.
        order_direction (str | Unset): asc or desc.
        per_page (int | Unset): The number of processes on a page. The default is 10. There is no
            upper limit; 0 answers 500.
        include (str | Unset): Related records to add, separated by commas, such as category.
        without_event_definitions (bool | Unset): True leaves out processes whose start events
            have a definition, such as a timer.
        page (int | Unset): The number of the page, from 1.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | StartProcessesResponse]
    """

    kwargs = build_request(
        filter_=filter_,
        order_by=order_by,
        order_direction=order_direction,
        per_page=per_page,
        include=include,
        without_event_definitions=without_event_definitions,
        page=page,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    per_page: int | Unset = UNSET,
    include: str | Unset = UNSET,
    without_event_definitions: bool | Unset = UNSET,
    page: int | Unset = UNSET,
) -> ErrorBody | StartProcessesResponse | None:
    """List the processes that the user may start

     Lists the active processes that the user may start, each with its start events, a page at a time. A
    user without administrative permissions can read no other list of processes. From 4.15 on, the
    server sends an ETag and answers 304 to a matching If-None-Match.

    Args:
        filter_ (str | Unset): Keep only processes with this text in their name, description or
            category. "Leave Request" also finds "Leave Request Contractors".
        order_by (str | Unset): The field to sort by, such as name. An unknown field answers 500.
        order_direction (str | Unset): asc or desc.
        per_page (int | Unset): The number of processes on a page. The default is 10. There is no
            upper limit; 0 answers 500.
        include (str | Unset): Related records to add, separated by commas, such as category.
        without_event_definitions (bool | Unset): True leaves out processes whose start events
            have a definition, such as a timer.
        page (int | Unset): The number of the page, from 1.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | StartProcessesResponse
    """

    return (
        await asyncio_detailed(
            client=client,
            filter_=filter_,
            order_by=order_by,
            order_direction=order_direction,
            per_page=per_page,
            include=include,
            without_event_definitions=without_event_definitions,
            page=page,
        )
    ).parsed
