"""Files of a Request: list, upload and download them."""

from __future__ import annotations

from pathlib import Path

import click

from . import _options
from ._app import Command, argument, command
from ._exits import Absent, UsageError
from ._output import Column
from ._params import Words
from ._session import Session

COLUMNS = (
    Column("ID", lambda file: file.id, whole=True),
    Column("NAME", lambda file: file.name),
    Column("FILE", lambda file: file.file_name),
    Column("TYPE", lambda file: file.mime_type, from_width=80),
    Column("SIZE", lambda file: file.size, whole=True),
    Column("CREATED", lambda file: file.created_at, from_width=100, whole=True),
)


class _Files(Command):
    """`files`: the word `list` may be left out."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        first = next((position for position, word in enumerate(args) if not word.startswith("-")), None)
        if first is not None and args[first].isdigit():
            args = [*args[:first], "list", *args[first:]]
        return super().parse_args(ctx, args)


@command(
    "files",
    cls=_Files,
    changes=True,
    examples="processmaker files 17\n"
    "processmaker files upload 17 offer.pdf --name offer\n"
    "processmaker files download 17 3 --output offer.pdf",
)
@argument("what", type=Words("list", "upload", "download"), metavar="[list|upload|download]", help="Default: list.")
@_options.request_id
@argument(
    "file",
    type=click.Path(),
    required=False,
    metavar="[FILE]",
    help="Upload: a file here. Download: the id of a file there.",
)
@click.option(
    "--name", metavar="NAME", help="Upload: the name of the data that the file belongs to (default: the file's name)."
)
@click.option(
    "--output",
    type=click.Path(),
    metavar="FILE",
    help="Download: where to save it, - for standard output (default: the file's own name, in this folder).",
)
def files(session: Session, what: str, request: int, file: str | None, name: str | None, output: str | None) -> None:
    """List the files of a Request, upload one, or download one.

    An upload replaces the file that has the same NAME. It does not change the Request's data: if a form is to show the
    file, write the file's id into the data. A download replaces no file here.
    """
    session.changes = what == "upload"
    if (file is None) != (what == "list"):
        raise UsageError("list takes no FILE" if what == "list" else f"{what} needs a FILE")
    if name is not None and what != "upload":
        raise UsageError("--name goes with upload")
    if output is not None and what != "download":
        raise UsageError("--output goes with download")
    pm = session.pm
    if what == "upload":
        with session.change(f"processmaker files {request}"):
            uploaded = pm.upload(request, name or Path(str(file)).name, str(file))
        session.output.facts(
            uploaded, {column.heading.lower(): column.cell(uploaded) for column in COLUMNS}, quietly=uploaded.id
        )
    elif what == "download":
        _download(session, request, str(file), output)
    else:
        session.output.table(pm.files(request), COLUMNS, quietly=lambda file: file.id, empty="this Request has no file")


def _download(session: Session, request: int, number: str, output: str | None) -> None:
    if not number.isdigit():
        raise UsageError(f"{number!r} is not the id of a file; processmaker files {request} lists them")
    found = next((file for file in session.pm.files(request) if file.id == int(number)), None)
    if found is None:
        raise Absent(f"Request {request} has no file {number}", hint=f"processmaker files {request}")
    # What the server calls it leads out of no folder.
    output = output or Path(found.file_name.replace("\\", "/")).name or number
    content = session.pm.download(found)
    if output == "-":
        session.output.bytes(content)
        return
    try:
        with Path(output).open("xb") as saved:
            saved.write(content)
    except FileExistsError:
        raise UsageError(f"{output} is there already", hint="--output FILE saves it under another name") from None
    except (OSError, ValueError) as problem:
        raise UsageError(f"{output} cannot be written: {problem}") from None
    session.output.facts({"id": found.id, "saved_as": output, "size": len(content)}, quietly=output)
