"""A build needs a changelog entry, and takes its long description from the README and two pages of the guide."""

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

# A link to a file of this project, or a picture of its own, which a package index does not have.
RELATIVE_LINK = re.compile(r"\[([^\]]+)\]\((?!https?://|mailto:|#)[^)]*\)")
RELATIVE_PICTURE = re.compile(r"!\[[^\]]*\]\((?!https?://)[^)]*\)\n*")
# Notes for the tests; and pictures that a package index would show as their source.
NOTE = re.compile(r"<!--.*?-->\n?|^```mermaid\n.*?^```\n", re.MULTILINE | re.DOTALL)

# Fenced code is one block, with its blank lines.
BLOCK = re.compile(r"^```(?:.*\n)*?```$|(?:^(?!```).+\n?)+", re.MULTILINE)
IN_A_CHECKOUT = re.compile(r"\bcheckout\b|path of a wheel|^\$ make |`make |pip install '?\.", re.MULTILINE)

PAGES = ("once", "errors")

INSTALLED = """## Install and try

```console
$ pip install 'processmaker-client[cli]'
$ python -m processmaker.sandbox --demo
$ processmaker sandbox
$ processmaker --help
```

Python 3.11 or newer is needed. The extra `cli` brings the command `processmaker`. The demo loses the answer of a start,
and finds the Request. `processmaker sandbox` serves a ProcessMaker in memory, and prints the settings that reach it.
`help("processmaker.ProcessMaker")` describes each method.
"""


class Description(MetadataHookInterface):
    """The README and two pages, without what only a checkout of the project has."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        root = Path(self.root)
        head, *sections = re.split(r"^(?=## )", (root / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
        title, summary, *rest = (block for block in blocks_of(head) if not IN_A_CHECKOUT.search(block))
        parts = [title, summary, INSTALLED.strip(), *rest]
        for section in sections:
            # The table of files is for readers of the project; a section about make is, too.
            if not section.startswith("## Read more") and not re.search(r"^\$ make ", section, re.MULTILINE):
                parts += blocks_of(section)
        for page in PAGES:
            file = root / "wrapper" / "docs" / f"{page}.md"
            if file.exists():
                blocks = blocks_of(file.read_text(encoding="utf-8"))
                parts += [block if block.startswith("```") else re.sub(r"^#", "##", block) for block in blocks]
        text = "\n\n".join(parts) + "\n"
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def blocks_of(text: str) -> list[str]:
    """The paragraphs, tables and fences of a page, without relative links, pictures and notes."""
    text = RELATIVE_LINK.sub(r"\1", RELATIVE_PICTURE.sub("", NOTE.sub("", text)))
    return [block.strip("\n") for block in BLOCK.findall(text)]


class Changelog(BuildHookInterface[Any]):
    """No version is built without its entry in the changelog."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        if version == "editable":
            return
        ours = self.metadata.version
        text = Path(self.root, "CHANGELOG.md").read_text(encoding="utf-8")
        entry = re.search(rf"^## {re.escape(ours)}\b[^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        if not entry or not entry[1].strip():
            raise SystemExit(f"CHANGELOG.md has no entry for {ours}: write one below a heading `## {ours}`")


def get_metadata_hook() -> type[MetadataHookInterface]:
    return Description


def get_build_hook() -> type[BuildHookInterface[Any]]:
    return Changelog
