"""Line and branch coverage of each package of app/, from a file of `coverage json`."""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

import click

COUNTED = ("num_statements", "covered_lines", "num_branches", "covered_branches")


@click.command()
@click.argument("report", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(report: Path) -> None:
    """Print, for each package of app/, its statements, its branches, and how many percent of both were run."""
    rooms: dict[str, Counter[str]] = defaultdict(Counter)
    for name, file in json.loads(report.read_text())["files"].items():
        room = str(Path(name).parent)
        rooms[room].update({key: file["summary"][key] for key in COUNTED})
        rooms["all"].update({key: file["summary"][key] for key in COUNTED})
    for room in sorted(rooms):
        count = rooms[room]
        total = count["num_statements"] + count["num_branches"]
        covered = count["covered_lines"] + count["covered_branches"]
        share = 100 * covered / total if total else 100.0
        click.echo(f"{room:<40} {count['num_statements']:>6} {count['num_branches']:>6} {share:6.2f}")


if __name__ == "__main__":
    sys.exit(main())
