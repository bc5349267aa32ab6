from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.get_request_files_response import GetRequestFilesResponse
from ...types import UNSET, Response, Unset


def build_request(
    request_id: int,
    *,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    per_page: int | Unset = UNSET,
    name: str | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    params["filter"] = filter_

    params["order_by"] = order_by

    params["order_direction"] = order_direction

    params["per_page"] = per_page

    params["name"] = name

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/requests/{request_id}/files".format(
            request_id=quote(str(request_id), safe=""),
        ),
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> ErrorBody | GetRequestFilesResponse | None:
    if response.status_code == 200:
        response_200 = GetRequestFilesResponse.from_dict(response.json())

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
) -> Response[ErrorBody | GetRequestFilesResponse]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    request_id: int,
    *,
    client: AuthenticatedClient | Client,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    per_page: int | Unset = UNSET,
    name: str | Unset = UNSET,
) -> Response[ErrorBody | GetRequestFilesResponse]:
    """List the files of a Request

     Lists all files of a Request at once.

    Args:
        request_id (int): The id of the Request.
        filter_ (str | Unset): It was not seen to have an effect.
        order_by (str | Unset): It was not seen to have an effect.
        order_direction (str | Unset): asc or desc.
        per_page (int | Unset): It was not seen to have an effect.
        name (str | Unset): Keep only the files that were uploaded with this data_name.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | GetRequestFilesResponse]
    """

    kwargs = build_request(
        request_id=request_id,
        filter_=filter_,
        order_by=order_by,
        order_direction=order_direction,
        per_page=per_page,
        name=name,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    request_id: int,
    *,
    client: AuthenticatedClient | Client,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    per_page: int | Unset = UNSET,
    name: str | Unset = UNSET,
) -> ErrorBody | GetRequestFilesResponse | None:
    """List the files of a Request

     Lists all files of a Request at once.

    Args:
        request_id (int): The id of the Request.
        filter_ (str | Unset): It was not seen to have an effect.
        order_by (str | Unset): It was not seen to have an effect.
        order_direction (str | Unset): asc or desc.
        per_page (int | Unset): It was not seen to have an effect.
        name (str | Unset): Keep only the files that were uploaded with this data_name.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | GetRequestFilesResponse
    """

    return sync_detailed(
        request_id=request_id,
        client=client,
        filter_=filter_,
        order_by=order_by,
        order_direction=order_direction,
        per_page=per_page,
        name=name,
    ).parsed


async def asyncio_detailed(
    request_id: int,
    *,
    client: AuthenticatedClient | Client,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    per_page: int | Unset = UNSET,
    name: str | Unset = UNSET,
) -> Response[ErrorBody | GetRequestFilesResponse]:
    """List the files of a Request

     Lists all files of a Request at once.

    Args:
        request_id (int): The id of the Request.
        filter_ (str | Unset): It was not seen to have an effect.
        order_by (str | Unset): It was not seen to have an effect.
        order_direction (str | Unset): asc or desc.
        per_page (int | Unset): It was not seen to have an effect.
        name (str | Unset): Keep only the files that were uploaded with this data_name.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[ErrorBody | GetRequestFilesResponse]
    """

    kwargs = build_request(
        request_id=request_id,
        filter_=filter_,
        order_by=order_by,
        order_direction=order_direction,
        per_page=per_page,
        name=name,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    request_id: int,
    *,
    client: AuthenticatedClient | Client,
    filter_: str | Unset = UNSET,
    order_by: str | Unset = UNSET,
    order_direction: str | Unset = UNSET,
    per_page: int | Unset = UNSET,
    name: str | Unset = UNSET,
) -> ErrorBody | GetRequestFilesResponse | None:
    """List the files of a Request

     Lists all files of a Request at once.

    Args:
        request_id (int): The id of the Request.
        filter_ (str | Unset): It was not seen to have an effect.
        order_by (str | Unset): It was not seen to have an effect.
        order_direction (str | Unset): asc or desc.
        per_page (int | Unset): It was not seen to have an effect.
        name (str | Unset): Keep only the files that were uploaded with this data_name.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        ErrorBody | GetRequestFilesResponse
    """

    return (
        await asyncio_detailed(
            request_id=request_id,
            client=client,
            filter_=filter_,
            order_by=order_by,
            order_direction=order_direction,
            per_page=per_page,
            name=name,
        )
    ).parsed
