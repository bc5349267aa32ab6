"""What it takes to begin: the time of an import and of `processmaker --help`, and the memory afterwards."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

IMPORTS = {
    "httpx": "import httpx",
    "requests": "import requests",
    "aiohttp": "import aiohttp",
    "processmaker": "from processmaker import ProcessMaker",
}

PROGRAM = """\
import time
began = time.perf_counter()
{statement}
print(1000 * (time.perf_counter() - began))
try:
    with open("/proc/self/status") as status:
        print(next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS")))
except OSError:  # elsewhere than on Linux
    print("nan")
"""


def measure(repeats: int) -> dict[str, dict[str, float]]:
    """By what is imported, its milliseconds and the MB of the process then; and the milliseconds of two commands."""
    times: dict[str, list[float]] = {}
    memory: dict[str, list[float]] = {}
    commands: dict[str, list[float]] = {}
    for turn in range(repeats + 1):
        for name, statement in ({"nothing": "pass"} | IMPORTS).items():
            done = python("-c", PROGRAM.format(statement=statement)).split()
            if turn or not repeats:
                times.setdefault(name, []).append(float(done[0]))
                memory.setdefault(name, []).append(float(done[1]))
        for name, arguments in {"python -c pass": ("-c", "pass"), "processmaker --help": HELP}.items():
            began = time.perf_counter()
            python(*arguments)
            if turn or not repeats:  # the first one may have to compile
                commands.setdefault(name, []).append(1000 * (time.perf_counter() - began))
    found = {"import_ms": times, "memory_mb": memory, "command_ms": commands}
    return {what: {name: median(taken) for name, taken in each.items()} for what, each in found.items()}


HELP = ("-m", "processmaker", "--help")


def python(*arguments: str) -> str:
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True).stdout
