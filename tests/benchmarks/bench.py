"""What starts cost, one by one and many at once: one run, one page of ratios, all side by side. Not a test:

make bench                                  renews the figures beside this file and in tests/README.md
python tests/benchmarks/bench.py --quick    only whether all of it works; says nothing of speed
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import ssl
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import footprint
import many_starts
import memory
import one_start
import picture

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
PACKAGES = ("processmaker-client", "httpx", "httpcore", "aiohttp", "requests", "certifi")
DELAY, IN_FLIGHT = 0.1, (10, 20, 50, 100)


def measured(repeats: int, rows: int, *, quick: bool) -> dict[str, Any]:
    delay, in_flight = (0.01, (2,)) if quick else (DELAY, IN_FLIGHT)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "openssl": ssl.OPENSSL_VERSION.split()[1],
        "versions": {name: version(name) for name in PACKAGES},
        "one_start_ms": one_start.measure(*((1, 4) if quick else (repeats, 200))),
        "many_starts": {
            "delay_s": delay,
            "parts_of_the_limit": many_starts.measure(delay, in_flight, 1 if quick else repeats),
        },
        "footprint": footprint.measure(0 if quick else repeats),
        "memory_mb": memory.measure(10 if quick else rows),
    }


def shown(runs: list[float], base: list[float] | None = None) -> str:
    """`1.08 (1.02 to 1.15)`: the median of the runs, in times of the base in the same run, and their spread."""
    ratios = runs if base is None else [run / other for run, other in zip(runs, base, strict=True)]
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def page(results: dict[str, Any]) -> str:
    """The results as Markdown: ratios."""
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    where = f"Python {results['python']}, OpenSSL {results['openssl']}, {results['system']}"
    how = "Ratios are medians of interleaved runs, with their spread."
    lines = [
        f"Measured on {results['date']} with {versions}; {where}. {how}",
        "",
        "| one start after another, in times of a kept httpx client's | plain | TLS |",
        "|---|---|---|",
    ]
    by_protocol = results["one_start_ms"]
    for kind, base in (("blocking", "httpx.Client"), ("asyncio", "httpx.AsyncClient")):
        for way in by_protocol["plain"][kind]:
            costs = (by_protocol[protocol][kind] for protocol in ("plain", "TLS"))
            ratios = " | ".join(shown(cost[way], cost[base]) for cost in costs)
            lines.append(
                f"| {way}{' (asyncio)' if way == 'the generated call' and kind == 'asyncio' else ''} | {ratios} |"
            )
    parts = {int(number): ways for number, ways in results["many_starts"]["parts_of_the_limit"].items()}
    numbers = sorted(parts)
    lines += [
        "",
        f"| many starts, as parts of the limit | {' | '.join(f'{number} in flight' for number in numbers)} |",
        f"|---|{'---|' * len(numbers)}",
    ]
    for way in parts[numbers[0]]:
        lines.append(f"| {way} | {' | '.join(shown(parts[number][way]) for number in numbers)} |")
    peaks = results["memory_mb"]
    marks = sorted({int(mark) for at in peaks.values() for mark in at})
    lines += [
        "",
        f"| memory at most, MB more than after the first {marks[0]:,} rows | {' | '.join(f'{m:,}' for m in marks)} |",
        f"|---|{'---|' * len(marks)}",
    ]
    for way, at in peaks.items():
        grown = (f"{at[str(m)] - at[str(marks[0])]:.1f}" if str(m) in at else "not measured" for m in marks)
        lines.append(f"| {way}, keyed rows from a generator | {' | '.join(grown)} |")
    least = results["footprint"]
    lines += ["", "| to begin, in times of httpx | import | memory after it |", "|---|---|---|"]
    for name in footprint.IMPORTS:
        ratios = " | ".join(f"{least[what][name] / least[what]['httpx']:.2f}" for what in ("import_ms", "memory_mb"))
        lines.append(f"| {name} | {ratios} |")
    commands = least["command_ms"]
    times = commands["processmaker --help"] / commands["python -c pass"]
    lines += ["", f"`processmaker --help` takes {times:.1f} times as long as a Python that does nothing."]
    return "\n".join(lines)


def renewed(readme: str, results: dict[str, Any]) -> str:
    """The README with these results between its marks."""
    before, _, rest = readme.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{page(results)}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--repeats", type=int, default=5, help="how many runs, in each of which all ways are measured (5)"
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="how many, for their memory (1000000: 15 minutes)")
    parser.add_argument("--quick", action="store_true", help="a run that only shows that all of it works")
    parser.add_argument("--output", type=Path, help="a folder for the figures (tests/benchmarks; a quick run has none)")
    parser.add_argument("--show", type=Path, metavar="RESULTS", help="print the page of an earlier run's results.json")
    given = parser.parse_args()
    if given.show:
        print(page(json.loads(given.show.read_text(encoding="utf-8"))))
        return
    results = measured(given.repeats, given.rows, quick=given.quick)
    print(page(results))
    folder = given.output or (None if given.quick else HERE)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        many = results["many_starts"]
        (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        parts = many["parts_of_the_limit"].items()
        medians = {number: {way: median(runs) for way, runs in ways.items()} for number, ways in parts}
        drawing = picture.throughput(many["delay_s"], medians)
        (folder / "throughput.svg").write_text(drawing, encoding="utf-8")
    if folder == HERE:
        README.write_text(renewed(README.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    main()
