"""`python -m integration.bench`: runs the jobs and prints the table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from integration.bench import chart, jobs
from integration.bench.measure import measured


def main() -> None:
    words = argparse.ArgumentParser(prog="python -m integration.bench", description=__doc__)
    words.add_argument("--rounds", type=int, default=3, help="how often each way is tried, in turn")
    words.add_argument("--only", default="", help="just the jobs whose name holds this")
    words.add_argument("--svg", type=Path, help="write a picture too")
    chosen = words.parse_args()
    found = []
    with jobs.prepared() as all_jobs:
        for job in all_jobs:
            if chosen.only in job.name:
                found.append((job, measured(job, chosen.rounds)))
                sys.stderr.write(chart.table(found[-1:]) + "\n\n")
    sys.stdout.write(f"{chart.machine()}; middle of {chosen.rounds} rounds\n\n{chart.table(found)}\n")
    if chosen.svg:
        chosen.svg.write_text(chart.svg(found))


main()
