"""What the pytest plugin costs where no test uses it: a ratio, measured side by side in one run.

python tests/benchmarks/plugin.py [--repeats 15]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
# Only this plugin counts: those of other packages would drown it.
WAYS = {"without the plugin": PYTEST, "with the plugin": [*PYTEST, "-p", "processmaker.pytest_plugin"]}


def seconds(command: list[str], folder: str) -> float:
    began = time.perf_counter()
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    with TemporaryDirectory() as folder:
        Path(folder, "test_it.py").write_text("def test_it():\n    pass\n")
        taken: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(repeats + 1):
            for way, command in WAYS.items():
                taken[way].append(seconds(command, folder))
    one = median(taken["without the plugin"][1:])
    for way, times in taken.items():
        print(f"pytest {way:20} x {median(times[1:]) / one:.2f}")


if __name__ == "__main__":
    main()
