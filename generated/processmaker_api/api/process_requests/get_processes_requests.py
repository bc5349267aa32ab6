from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.get_processes_requests_response import GetProcessesRequestsResponse
from ...types import UNSET, Response, Unset


def build_request(
    *,
    type_: str | Unset = UNSET,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    per_page: int | Unset = UNSET,
    include: str | Unset = UNSET,
    pmql: str | Unset = UNSET,
    page: int | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["type"] = type_

    params["filter"] = filter_

    params["order_by"] = order_by

    params["order_direction"] = order_direction

    params["per_page"] = per_page

    params["include"] = include

    params["pmql"] = pmql

    params["page"] = page

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/requests",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | GetProcessesRequestsResponse | None:
    if response.status_code == 200:
        response_200 = GetProcessesRequestsResponse.from_dict(response.json())

        return response_200

    if response.status_code == 400:
        response_400 = ErrorBody.from_dict(response.json())

        return response_400

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
) -> Response[ErrorBody | GetProcessesRequestsResponse]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    type_: str | Unset = UNSET,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    per_page: int | Unset = UNSET,
    include: str | Unset = UNSET,
    pmql: str | Unset = UNSET,
    page: int | Unset = UNSET,
) -> Response[ErrorBody | GetProcessesRequestsResponse]:
    """List Requests

     Lists the Requests that the user may see, a page at a time.

    Args:
        type_ (str | Unset): in_progress, completed or started_me. If it is left out, all Requests
            are listed. `all` answers 500 unless the user is an administrator.
        filter_ (str | Unset): Keep only Requests with this text in their name or description, or
            with exactly this status.
        order_by (str | Unset): The field to sort by, such as id. An unknown field answers 500.
        order_direction (str | Unset): asc or desc.
        per_page (int | Unset): The number of Requests on a page. The default is 10. There is no
            upper limit; 0 answers 500.
        include (str | Unset): Related records to add, separated by commas, such as data, summary,
            process, user, participants and errors.
        pmql (str | Unset): A query in ProcessMaker's query language, such as
            `data._idempotency_key IN ["order-1234"] AND process_id = 2`. After `=`, a value that
            looks like a date is read as a date; use IN. Only the first 255 characters of a value are
            compared. A value with a double quote or a backslash is never found. A query that does not
            parse answers 400. A URL of more than about 8,000 characters answers 414.
        page (int | Unset): The number of the page, from 1.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | GetProcessesRequestsResponse]
    """

    kwargs = build_request(
        type_=type_,
        filter_=filter_,
        order_by=order_by,
        order_direction=order_direction,
        per_page=per_page,
        include=include,
        pmql=pmql,
        page=page,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    type_: str | Unset = UNSET,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    per_page: int | Unset = UNSET,
    include: str | Unset = UNSET,
    pmql: str | Unset = UNSET,
    page: int | Unset = UNSET,
) -> ErrorBody | GetProcessesRequestsResponse | None:
    """List Requests

     Lists the Requests that the user may see, a page at a time.

    Args:
        type_ (str | Unset): in_progress, completed or started_me. If it is left out, all Requests
            are listed. `all` answers 500 unless the user is an administrator.
        filter_ (str | Unset): Keep only Requests with this text in their name or description, or
            with exactly this status.
        order_by (str | Unset): The field to sort by, such as id. An unknown field answers 500.
        order_direction (str | Unset): asc or desc.
        per_page (int | Unset): The number of Requests on a page. The default is 10. There is no
            upper limit; 0 answers 500.
        include (str | Unset): Related records to add, separated by commas, such as data, summary,
            process, user, participants and errors.
        pmql (str | Unset): A query in ProcessMaker's query language, such as
            `data._idempotency_key IN ["order-1234"] AND process_id = 2`. After `=`, a value that
            looks like a date is read as a date; use IN. Only the first 255 characters of a value are
            compared. A value with a double quote or a backslash is never found. A query that does not
            parse answers 400. A URL of more than about 8,000 characters answers 414.
        page (int | Unset): The number of the page, from 1.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | GetProcessesRequestsResponse
    """

    return sync_detailed(
        client=client,
        type_=type_,
        filter_=filter_,
        order_by=order_by,
        order_direction=order_direction,
        per_page=per_page,
        include=include,
        pmql=pmql,
        page=page,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    type_: str | Unset = UNSET,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    per_page: int | Unset = UNSET,
    include: str | Unset = UNSET,
    pmql: str | Unset = UNSET,
    page: int | Unset = UNSET,
) -> Response[ErrorBody | GetProcessesRequestsResponse]:
    """List Requests

     Lists the Requests that the user may see, a page at a time.

    Args:
        type_ (str | Unset): in_progress, completed or started_me. If it is left out, all Requests
            are listed. `all` answers 500 unless the user is an administrator.
        filter_ (str | Unset): Keep only Requests with this text in their name or description, or
            with exactly this status.
        order_by (str | Unset): The field to sort by, such as id. An unknown field answers 500.
        order_direction (str | Unset): asc or desc.
        per_page (int | Unset): The number of Requests on a page. The default is 10. There is no
            upper limit; 0 answers 500.
        include (str | Unset): Related records to add, separated by commas, such as data, summary,
            process, user, participants and errors.
        pmql (str | Unset): A query in ProcessMaker's query language, such as
            `data._idempotency_key IN ["order-1234"] AND process_id = 2`. After `=`, a value that
            looks like a date is read as a date; use IN. Only the first 255 characters of a value are
            compared. A value with a double quote or a backslash is never found. A query that does not
            parse answers 400. A URL of more than about 8,000 characters answers 414.
        page (int | Unset): The number of the page, from 1.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | GetProcessesRequestsResponse]
    """

    kwargs = build_request(
        type_=type_,
        filter_=filter_,
        order_by=order_by,
        order_direction=order_direction,
        per_page=per_page,
        include=include,
        pmql=pmql,
        page=page,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    type_: str | Unset = UNSET,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    per_page: int | Unset = UNSET,
    include: str | Unset = UNSET,
    pmql: str | Unset = UNSET,
    page: int | Unset = UNSET,
) -> ErrorBody | GetProcessesRequestsResponse | None:
    """List Requests

     Lists the Requests that the user may see, a page at a time.

    Args:
        type_ (str | Unset): in_progress, completed or started_me. If it is left out, all Requests
            are listed. `all` answers 500 unless the user is an administrator.
        filter_ (str | Unset): Keep only Requests with this text in their name or description, or
            with exactly this status.
        order_by (str | Unset): The field to sort by, such as id. An unknown field answers 500.
        order_direction (str | Unset): asc or desc.
        per_page (int | Unset): The number of Requests on a page. The default is 10. There is no
            upper limit; 0 answers 500.
        include (str | Unset): Related records to add, separated by commas, such as data, summary,
            process, user, participants and errors.
        pmql (str | Unset): A query in ProcessMaker's query language, such as
            `data._idempotency_key IN ["order-1234"] AND process_id = 2`. After `=`, a value that
            looks like a date is read as a date; use IN. Only the first 255 characters of a value are
            compared. A value with a double quote or a backslash is never found. A query that does not
            parse answers 400. A URL of more than about 8,000 characters answers 414.
        page (int | Unset): The number of the page, from 1.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | GetProcessesRequestsResponse
    """

    return (
        await asyncio_detailed(
            client=client,
            type_=type_,
            filter_=filter_,
            order_by=order_by,
            order_direction=order_direction,
            per_page=per_page,
            include=include,
            pmql=pmql,
            page=page,
        )
    ).parsed
