"""The benchmark works, and README shows what it measured last. Nothing here says how fast anything must be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).parent
BENCH = HERE / "benchmarks" / "bench.py"


def test_a_quick_run_measures_every_way(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, BENCH, "--quick", "--output", tmp_path], check=True, capture_output=True, text=True
    )
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert set(results["one_start_ms"]) == {"plain", "TLS"}
    (parts,) = results["many_starts"]["parts_of_the_limit"].values()
    assert all(0 < part <= 1 for runs in parts.values() for part in runs)
    drawn = " ".join(ElementTree.parse(tmp_path / "throughput.svg").getroot().itertext())
    for way in parts:
        assert f"| {way} |" in done.stdout
        assert way in drawn


def test_the_figures_shown_are_those_measured_last(tmp_path: Path) -> None:
    results = HERE / "benchmarks" / "results.json"
    page = subprocess.run(
        [sys.executable, BENCH, "--show", results], check=True, capture_output=True, encoding="utf-8", cwd=tmp_path
    ).stdout
    assert page in (HERE / "README.md").read_text(encoding="utf-8")
