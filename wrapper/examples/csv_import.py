"""Start a Request for each row of a CSV file, once. After a crash, the same command continues.

python csv_import.py orders.csv

The file has the columns `order`, whose values are unique for all time, and `amount`.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from processmaker import ProcessMaker, SQLiteJournal


def rows_of(file: Path) -> Iterator[dict[str, object]]:
    """Read row by row: a file of a million rows needs no more memory than one of a hundred."""
    with file.open(newline="", encoding="utf-8-sig") as stream:
        for row in csv.DictReader(stream):
            yield {"order": row["order"], "amount": float(row["amount"])}


def main(file: Path) -> int:
    counts = {"made": 0, "found": 0, "found after a lost answer": 0, "failed": 0}
    with SQLiteJournal("starts.db") as journal, ProcessMaker.from_env(journal=journal) as pm:
        for outcome in pm.start_many("Auto Approve", rows_of(file), key="order"):
            if outcome.error:
                print(f"{outcome.row['order']}: started: {outcome.started}; {outcome.error}", file=sys.stderr)
            counts[outcome.how if outcome.how and not outcome.error else "failed"] += 1
    print(", ".join(f"{count} {what}" for what, count in counts.items() if count))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
