"""Besides packing, a build wants a changelog entry, and takes links to our files and pictures out of the README."""

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

# A link to a file of this project, or a picture of its own, which a package index does not have.
RELATIVE_LINK = re.compile(r"\[([^\]]+)\]\((?!https?://|mailto:|#)[^)]*\)")
RELATIVE_PICTURE = re.compile(r"!\[[^\]]*\]\((?!https?://)[^)]*\)\n*")


class Readme(MetadataHookInterface):
    """The README, with links that lead somewhere outside this folder, too."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        text = RELATIVE_LINK.sub(r"\1", RELATIVE_PICTURE.sub("", text))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


class Changelog(BuildHookInterface[Any]):
    """Nothing is released that the changelog does not tell of."""

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
    return Readme


def get_build_hook() -> type[BuildHookInterface[Any]]:
    return Changelog
