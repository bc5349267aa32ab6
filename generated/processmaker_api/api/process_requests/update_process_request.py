from http import HTTPStatus
from typing import Any, cast
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.error_body import ErrorBody
from ...models.process_request_editable import ProcessRequestEditable
from ...types import Response


def build_request(
    process_request_id: int,
    *,
    body: ProcessRequestEditable,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "put",
        "url": "/requests/{process_request_id}".format(
            process_request_id=quote(str(process_request_id), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Any | ErrorBody | None:
    if response.status_code == 204:
        response_204 = cast(Any, None)
        return response_204

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

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[Any | ErrorBody]:
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
    body: ProcessRequestEditable,
) -> Response[Any | ErrorBody]:
    """Change a Request

     Changes a Request. The status CANCELED cancels it, if the process allows the user to do that.

    Args:
        process_request_id (int): The id of the Request.
        body (ProcessRequestEditable): What can be changed in a Request.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | ErrorBody]
    """

    kwargs = build_request(
        process_request_id=process_request_id,
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    process_request_id: int,
    *,
    client: AuthenticatedClient | Client,
    body: ProcessRequestEditable,
) -> Any | ErrorBody | None:
    """Change a Request

     Changes a Request. The status CANCELED cancels it, if the process allows the user to do that.

    Args:
        process_request_id (int): The id of the Request.
        body (ProcessRequestEditable): What can be changed in a Request.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | ErrorBody
    """

    return sync_detailed(
        process_request_id=process_request_id,
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    process_request_id: int,
    *,
    client: AuthenticatedClient | Client,
    body: ProcessRequestEditable,
) -> Response[Any | ErrorBody]:
    """Change a Request

     Changes a Request. The status CANCELED cancels it, if the process allows the user to do that.

    Args:
        process_request_id (int): The id of the Request.
        body (ProcessRequestEditable): What can be changed in a Request.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Any | ErrorBody]
    """

    kwargs = build_request(
        process_request_id=process_request_id,
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    process_request_id: int,
    *,
    client: AuthenticatedClient | Client,
    body: ProcessRequestEditable,
) -> Any | ErrorBody | None:
    """Change a Request

     Changes a Request. The status CANCELED cancels it, if the process allows the user to do that.

    Args:
        process_request_id (int): The id of the Request.
        body (ProcessRequestEditable): What can be changed in a Request.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Any | ErrorBody
    """

    return (
        await asyncio_detailed(
            process_request_id=process_request_id,
            client=client,
            body=body,
        )
    ).parsed
