from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.create_request_file_body import CreateRequestFileBody
from ...models.create_request_file_response import CreateRequestFileResponse
from ...models.error_body import ErrorBody
from ...types import UNSET, Response, Unset


def build_request(
    request_id: int,
    *,
    body: CreateRequestFileBody,
    data_name: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    params: dict[str, Any] = {}

    params["data_name"] = data_name

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/requests/{request_id}/files".format(
            request_id=quote(str(request_id), safe=""),
        ),
        "params": params,
    }

    _kwargs["files"] = body.to_multipart()

    headers["Content-Type"] = "multipart/form-data; boundary=+++"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> CreateRequestFileResponse | ErrorBody | str | None:
    if response.status_code == 200:
        response_200 = CreateRequestFileResponse.from_dict(response.json())

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

    if response.status_code == 413:
        response_413 = response.text
        return response_413

    if response.status_code == 500:
        response_500 = ErrorBody.from_dict(response.json())

        return response_500

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[CreateRequestFileResponse | ErrorBody | str]:
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
    body: CreateRequestFileBody,
    data_name: str | Unset = UNSET,
) -> Response[CreateRequestFileResponse | ErrorBody | str]:
    """Upload a file to a Request

     Stores a file with a Request. It does not change the data of the Request. It replaces a file with
    the same data_name.

    Args:
        request_id (int): The id of the Request.
        data_name (str | Unset): The name under which the file is stored. If it is left out, this
            is the name of the file.
        body (CreateRequestFileBody): The file, as a form.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[CreateRequestFileResponse | ErrorBody | str]
    """

    kwargs = build_request(
        request_id=request_id,
        body=body,
        data_name=data_name,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    request_id: int,
    *,
    client: AuthenticatedClient | Client,
    body: CreateRequestFileBody,
    data_name: str | Unset = UNSET,
) -> CreateRequestFileResponse | ErrorBody | str | None:
    """Upload a file to a Request

     Stores a file with a Request. It does not change the data of the Request. It replaces a file with
    the same data_name.

    Args:
        request_id (int): The id of the Request.
        data_name (str | Unset): The name under which the file is stored. If it is left out, this
            is the name of the file.
        body (CreateRequestFileBody): The file, as a form.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        CreateRequestFileResponse | ErrorBody | str
    """

    return sync_detailed(
        request_id=request_id,
        client=client,
        body=body,
        data_name=data_name,
    ).parsed


async def asyncio_detailed(
    request_id: int,
    *,
    client: AuthenticatedClient | Client,
    body: CreateRequestFileBody,
    data_name: str | Unset = UNSET,
) -> Response[CreateRequestFileResponse | ErrorBody | str]:
    """Upload a file to a Request

     Stores a file with a Request. It does not change the data of the Request. It replaces a file with
    the same data_name.

    Args:
        request_id (int): The id of the Request.
        data_name (str | Unset): The name under which the file is stored. If it is left out, this
            is the name of the file.
        body (CreateRequestFileBody): The file, as a form.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[CreateRequestFileResponse | ErrorBody | str]
    """

    kwargs = build_request(
        request_id=request_id,
        body=body,
        data_name=data_name,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    request_id: int,
    *,
    client: AuthenticatedClient | Client,
    body: CreateRequestFileBody,
    data_name: str | Unset = UNSET,
) -> CreateRequestFileResponse | ErrorBody | str | None:
    """Upload a file to a Request

     Stores a file with a Request. It does not change the data of the Request. It replaces a file with
    the same data_name.

    Args:
        request_id (int): The id of the Request.
        data_name (str | Unset): The name under which the file is stored. If it is left out, this
            is the name of the file.
        body (CreateRequestFileBody): The file, as a form.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        CreateRequestFileResponse | ErrorBody | str
    """

    return (
        await asyncio_detailed(
            request_id=request_id,
            client=client,
            body=body,
            data_name=data_name,
        )
    ).parsed
