from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.process_request import ProcessRequest
from ...types import UNSET, Response, Unset


def build_request(
    process_request_id: int,
    *,
    include: str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["include"] = include

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/requests/{process_request_id}".format(
            process_request_id=quote(str(process_request_id), safe=""),
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | ProcessRequest | None:
    if response.status_code == 200:
        response_200 = ProcessRequest.from_dict(response.json())

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

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[ErrorBody | ProcessRequest]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    process_request_id: int,
    *,
    client: AuthenticatedClient | Client,
    include: str | Unset = UNSET,
) -> Response[ErrorBody | ProcessRequest]:
    """Read a Request

     Reads one Request. The answer contains its data only if `include` asks for it.

    Args:
        process_request_id (int): The id of the Request.
        include (str | Unset): Related records to add, separated by commas, such as data, summary,
            process, user, participants, errors and activeTasks. `data` leaves out top-level keys that
            begin with an underscore. `summary` contains them.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | ProcessRequest]
    """

    kwargs = build_request(
        process_request_id=process_request_id,
        include=include,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    process_request_id: int,
    *,
    client: AuthenticatedClient | Client,
    include: str | Unset = UNSET,
) -> ErrorBody | ProcessRequest | None:
    """Read a Request

     Reads one Request. The answer contains its data only if `include` asks for it.

    Args:
        process_request_id (int): The id of the Request.
        include (str | Unset): Related records to add, separated by commas, such as data, summary,
            process, user, participants, errors and activeTasks. `data` leaves out top-level keys that
            begin with an underscore. `summary` contains them.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | ProcessRequest
    """

    return sync_detailed(
        process_request_id=process_request_id,
        client=client,
        include=include,
    ).parsed


async def asyncio_detailed(
    process_request_id: int,
    *,
    client: AuthenticatedClient | Client,
    include: str | Unset = UNSET,
) -> Response[ErrorBody | ProcessRequest]:
    """Read a Request

     Reads one Request. The answer contains its data only if `include` asks for it.

    Args:
        process_request_id (int): The id of the Request.
        include (str | Unset): Related records to add, separated by commas, such as data, summary,
            process, user, participants, errors and activeTasks. `data` leaves out top-level keys that
            begin with an underscore. `summary` contains them.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | ProcessRequest]
    """

    kwargs = build_request(
        process_request_id=process_request_id,
        include=include,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    process_request_id: int,
    *,
    client: AuthenticatedClient | Client,
    include: str | Unset = UNSET,
) -> ErrorBody | ProcessRequest | None:
    """Read a Request

     Reads one Request. The answer contains its data only if `include` asks for it.

    Args:
        process_request_id (int): The id of the Request.
        include (str | Unset): Related records to add, separated by commas, such as data, summary,
            process, user, participants, errors and activeTasks. `data` leaves out top-level keys that
            begin with an underscore. `summary` contains them.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | ProcessRequest
    """

    return (
        await asyncio_detailed(
            process_request_id=process_request_id,
            client=client,
            include=include,
        )
    ).parsed
