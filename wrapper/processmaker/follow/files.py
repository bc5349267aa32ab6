"""Lists, uploads and downloads the files of a Request."""

from __future__ import annotations

import mimetypes
import os
from io import BytesIO
from pathlib import Path

from processmaker_api import types
from processmaker_api.api.request_files import create_request_file, get_request_file, get_request_files
from processmaker_api.models.create_request_file_body import CreateRequestFileBody
from processmaker_api.models.create_request_file_response import CreateRequestFileResponse
from processmaker_api.types import UNSET

from ..errors import InvalidData, ProcessMakerError, explain_unknown, short_repr
from ..models import File, Request, file_from, integer, items
from ..wire.call import IO
from .reading import AnyRequest, id_of, named

Upload = str | os.PathLike[str] | tuple[str, bytes]
"""A file to upload: its path, or a file name and the content."""


async def files(io: IO, request: AnyRequest, name: str | None) -> list[File]:
    """GET /requests/{id}/files, which has no pages (observed on 4.15.5)."""
    number = id_of(request, Request)

    def read(answer: object) -> list[File]:
        return [file_from(row, number) for row in items(answer)]

    with named(f"Request {number}"):
        return await io.call(get_request_files.build_request(number, name=name or UNSET), read)


async def upload(io: IO, request: AnyRequest, name: str, file: Upload) -> File:
    """POST /requests/{id}/files; return the file as it is there."""
    number = id_of(request, Request)
    if not name.strip():
        raise InvalidData("name= is empty: give the name of the data that the file belongs to")
    file_name, content = _content(file)
    kind = mimetypes.guess_type(file_name)[0] or "application/octet-stream"
    body = CreateRequestFileBody(types.File(BytesIO(content), file_name, kind))
    call = create_request_file.build_request(number, body=body, data_name=name)
    # Bytes are whole however often they are sent; a stream would be at its end.
    call["files"] = {"file": (file_name, content, kind)}
    look = f"files({number}) lists it"
    with named(f"Request {number}"), explain_unknown(f"{file_name!r} was uploaded to Request {number}", look):
        file_id = await io.call(call, _uploaded_id)
    try:
        for there in await files(io, number, name):
            if there.id == file_id:
                return there
    except ProcessMakerError as error:
        error.processed = True  # it is uploaded; what failed is reading how it is stored
        raise
    return File(id=file_id, name=name, file_name=file_name, mime_type=kind, size=len(content), request_id=number)


async def download(io: IO, file: File) -> bytes:
    """GET /requests/{id}/files/{file id}: the content."""
    with named(f"file {file.id} of Request {file.request_id}"):
        return await io.fetch(get_request_file.build_request(file.request_id, file.id), lambda answer: answer.content)


def _uploaded_id(answer: object) -> int:
    said = CreateRequestFileResponse.from_dict(answer) if isinstance(answer, dict) else None
    number = integer(said.file_upload_id) if said else None
    if number is None:
        raise ValueError("no fileUploadId")
    return number


def _content(file: Upload) -> tuple[str, bytes]:
    try:
        file_name, content = file if isinstance(file, tuple) else (Path(file).name, Path(file).read_bytes())
        if not file_name or not isinstance(content, bytes):
            raise ValueError("give the path of a file, or (file name, bytes)")
    except (OSError, TypeError, ValueError) as problem:
        raise InvalidData(f"{short_repr(file)} cannot be read: {problem}") from problem
    return file_name, content
