"""The site that `make docs` builds: each link leads somewhere, and nothing comes from another server."""

from __future__ import annotations

import importlib.util
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import processmaker
import pytest
from programs import not_run

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """What a page links to, what it loads, and the anchors that it has."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if tag in ("script", "img") and "src" in given:
            self.loaded.add(given["src"])
        if tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.loaded.add(given["href"])


def test_without_npm_the_pictures_are_shown_as_their_source(tmp_path: Path) -> None:
    write_sources = runpy.run_path(str(ROOT / ".ci" / "build_docs.py"))["write_sources"]
    (tmp_path / "mermaid.min.js").touch()
    write_sources(ROOT, tmp_path / "without", None)
    write_sources(ROOT, tmp_path / "with", tmp_path / "mermaid.min.js")
    settings = [(tmp_path / name / "mkdocs.yml").read_text(encoding="utf-8") for name in ("without", "with")]
    # Without its own copy, the theme would load Mermaid from a foreign server for each page that has a picture.
    assert ["mermaid" in text for text in settings] == [False, True]
    assert (tmp_path / "with" / "docs" / "assets" / "mermaid.min.js").exists()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("zensical") is None:
        not_run("the site was not built: `make docs` installs what it needs")
    build = tmp_path_factory.mktemp("build")
    done = subprocess.run(
        [sys.executable, ".ci/build_docs.py", str(build)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout
    return build / "docs"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file) for file in site.rglob("*.html")}


@pytest.mark.proof
def test_every_link_within_the_site_leads_to_a_page_and_an_anchor(site: Path, pages: dict[Path, Page]) -> None:
    dead = set()
    for file, page in pages.items():
        for link in page.links | page.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            path = unquote(parts.path)
            base = site if path.startswith("/") else file.parent
            target = (base / path.lstrip("/")).resolve() if path else file
            if target.is_dir():
                target /= "index.html"
            anchor = unquote(parts.fragment)
            if not target.exists() or (anchor and target in pages and anchor not in pages[target].anchors):
                dead.add(f"{file.relative_to(site)}: {link}")
    assert len(pages) > 8
    assert dead == set()


@pytest.mark.proof
def test_nothing_is_loaded_from_another_server(pages: dict[Path, Page]) -> None:
    loaded = {source for page in pages.values() for source in page.loaded}
    assert loaded
    assert {source for source in loaded if urlsplit(source).netloc} == set()


@pytest.mark.proof
def test_the_reference_describes_every_public_class(pages: dict[Path, Page]) -> None:
    anchors = {anchor for page in pages.values() for anchor in page.anchors}
    public = {name for name in processmaker.__all__ if isinstance(getattr(processmaker, name), type)}
    assert {name for name in public if f"processmaker.{name}" not in anchors} == set()
    assert "processmaker.ProcessMaker.start" in anchors
