"""`python -m bench.simulate`: a fleet at a load, on paper. The engine's rules decide; what things cost was measured."""

import argparse
import time
from dataclasses import fields, replace

from bench.simulate import figures
from bench.simulate.plan import PRESETS, Plan
from bench.simulate.run import simulate
from bench.simulate.tables import tables


def main() -> int:
    """Run what the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=__doc__)
    parser.add_argument("preset", nargs="?", choices=PRESETS, default="1e9", help="lines a day, and a fleet for them")
    parser.add_argument("--measure", action="store_true", help="measure what transactions cost here, and use that")
    for field in fields(Plan):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}", type=type(field.default), help=f"{field.default:g} in 1e9"
        )
    options = parser.parse_args()
    given = {field.name: getattr(options, field.name) for field in fields(Plan)}
    plan = replace(PRESETS[options.preset], **{name: value for name, value in given.items() if value is not None})
    costs = figures.measure() if options.measure else figures.Figures()
    started = time.monotonic()
    print(tables(simulate(plan, costs)))
    print(f"\n{costs}\nSimulated in {time.monotonic() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
