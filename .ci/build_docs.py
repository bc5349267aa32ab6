"""Build the guide and the API reference as a site in build/docs: `make docs`.

zensical reads only what is below the folder that it runs in. So the pages are copied to build/site, where their links
are rewritten: what the site has is linked there, and links to other files of the project become plain text.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import processmaker
import yaml

ROOT = Path(__file__).resolve().parents[1]
MERMAID = Path("tests/guide/node_modules/mermaid/dist/mermaid.min.js")

GUIDE = {
    "index": "All pages",
    "first-start": "First start",
    "once": "Once",
    "many": "Many starts",
    "following": "Following and tasks",
    "errors": "Errors",
    "configuration": "Configuration",
    "command-line": "Command line",
    "testing": "Testing",
    "large-servers": "Large servers",
    "recipes": "Recipes",
    "known-limits": "Known limits",
}
"""The pages of wrapper/docs in the order in which they are read. A page that is not named here comes last."""

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|mailto:|#)([^)#]*)(#[^)]*)?\)")
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
NOTE = re.compile(r"<!--.*?-->\n?", re.DOTALL)


def pages_of(root: Path) -> dict[str, str]:
    """Return the pages of the site by the file that each is made from, both as paths from their roots."""
    pages = {"README.md": "index.md", "wrapper/README.md": "guide/index.md"}
    names = [page.stem for page in (root / "wrapper" / "docs").glob("*.md")]
    for name in sorted(names, key=lambda name: (list(GUIDE).index(name) if name in GUIDE else len(GUIDE), name)):
        pages[f"wrapper/docs/{name}.md"] = f"guide/{name}.md"
    pages |= {"openapi/README.md": "project/openapi.md", "tests/README.md": "project/tests.md"}
    pages |= {"CONTRIBUTING.md": "project/contributing.md", "CHANGELOG.md": "project/changelog.md"}
    return {source: page for source, page in pages.items() if (root / source).exists()}


def copy_page(root: Path, source: str, pages: dict[str, str], docs: Path) -> None:
    """Write a page of the site, and the pictures that it shows."""

    def rewrite(link: re.Match[str]) -> str:
        is_picture, text, path, anchor = link.groups()
        found = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if is_picture:
            copied = f"assets/{posixpath.basename(found)}"
            shutil.copyfile(root / found, docs / copied)
        elif found not in pages:
            return str(text)
        else:
            copied = pages[found]
        relative = posixpath.relpath(copied, posixpath.dirname(pages[source]) or ".")
        return f"{is_picture}[{text}]({relative}{anchor or ''})"

    text = (root / source).read_text(encoding="utf-8")
    # What stands in a fence is shown as it is; notes outside of fences are for the tests.
    parts = [part if part.startswith("```") else LINK.sub(rewrite, NOTE.sub("", part)) for part in FENCE.split(text)]
    target = docs / pages[source]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(parts), encoding="utf-8")


def reference() -> dict[str, list[str]]:
    """Return the public names by the page of the API reference that describes them."""
    described = defaultdict(list)
    for name in sorted(processmaker.__all__, key=lambda name: (name.removeprefix("Async"), "Async" in name)):
        item = getattr(processmaker, name)
        if not isinstance(item, type):
            continue
        if name.endswith("ProcessMaker"):
            page = "Clients"
        elif issubclass(item, BaseException):
            page = "Errors and warnings"
        elif "journal" in item.__module__:
            page = "Journals"
        else:
            page = "Values and settings"
        described[page].append(f"processmaker.{name}")
    described["Testing"] = ["processmaker.sandbox.SandboxFixture", "processmaker.sandbox.Sandbox"]
    return {page: described[page] for page in sorted(described)}


def write_sources(root: Path, site: Path, mermaid: Path | None) -> None:
    """Write the pages and the settings of the site into the folder `site`, for zensical to build."""
    docs = site / "docs"
    (docs / "assets").mkdir(parents=True)
    (docs / "api").mkdir()
    pages = pages_of(root)
    for source in pages:
        copy_page(root, source, pages, docs)
    api = []
    for title, names in reference().items():
        file = f"api/{title.lower().replace(' ', '-')}.md"
        (docs / file).write_text(f"# {title}\n\n" + "\n".join(f"::: {name}\n" for name in names), encoding="utf-8")
        api.append({title: file})
    settings: dict[str, Any] = yaml.safe_load((root / ".ci" / "mkdocs.yml").read_text(encoding="utf-8"))
    guide = [{GUIDE.get(Path(page).stem, "Guide"): page} for page in pages.values() if page.startswith("guide/")]
    project: list[Any] = [page for page in pages.values() if page.startswith("project/")]
    settings["nav"] = [{"Start": "index.md"}, {"Guide": guide}, {"API reference": api}, {"The project": project}]
    paths = settings["plugins"][1]["mkdocstrings"]["handlers"]["python"]
    paths["paths"] = [str(root / "wrapper"), str(root / "generated")]
    if mermaid:
        # The theme draws pictures with the Mermaid that the page brings, and else loads one from a foreign server.
        shutil.copyfile(mermaid, docs / "assets" / "mermaid.min.js")
        settings["extra_javascript"] = ["assets/mermaid.min.js"]
        fences = [
            {"name": "mermaid", "class": "mermaid", "format": "!!python/name:pymdownx.superfences.fence_code_format"}
        ]
        settings["markdown_extensions"][-1] = {"pymdownx.superfences": {"custom_fences": fences}}
    text = yaml.safe_dump(settings, sort_keys=False)
    text = text.replace(
        "'!!python/name:pymdownx.superfences.fence_code_format'", "!!python/name:pymdownx.superfences.fence_code_format"
    )
    (site / "mkdocs.yml").write_text(text, encoding="utf-8")


def main(build: Path = ROOT / "build") -> int:
    site, built = build / "site", build / "docs"
    shutil.rmtree(site, ignore_errors=True)
    mermaid = ROOT / MERMAID if (ROOT / MERMAID).exists() else None
    write_sources(ROOT, site, mermaid)
    done = subprocess.run([sys.executable, "-m", "zensical", "build", "--clean", "--strict"], cwd=site)
    if done.returncode:
        return done.returncode
    shutil.rmtree(built, ignore_errors=True)
    shutil.move(site / "site", built)
    if mermaid is None:
        print("Mermaid is not installed (`make node` needs npm): the site shows the source of its pictures instead.")
    print(f"The site is built: open {built / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
