"""`python -m tools.faults`: plant each fault in a copy of the tree, and see that its tests catch it."""

import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from pathlib import Path
from queue import SimpleQueue

import click

from tools.faults import trees
from tools.faults.catalogue import PLANTED, CatalogueError, Fault, chosen, load
from tools.faults.trial import Outcome, Verdict, confirmed, try_out

ROOT = Path(__file__).resolve().parents[2]


@click.command()
@click.option("--list", "only_list", is_flag=True, help="Name the faults and what goes wrong with each; run nothing.")
@click.option("--check", is_flag=True, help="Only see that the text which each fault replaces is there, just once.")
@click.option("--only", "names", multiple=True, metavar="NAME", help="A fault, or a group of them; repeatable.")
@click.option(
    "--tree",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=ROOT,
    help="The repository to copy: its tracked files, with its own .venv if it has one. Default: this one.",
)
@click.option(
    "--catalogue",
    type=click.Path(path_type=Path, exists=True),
    default=PLANTED,
    help="A TOML file of faults, or a folder of such files. Default: those of this repository.",
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="How many faults at once.")
def main(only_list: bool, check: bool, names: tuple[str, ...], tree: Path, catalogue: Path, jobs: int) -> None:
    """Plant each fault in a copy of the tree and run the tests that must catch it.

    Exits with 1 unless every fault is caught: one that no test notices, one whose text is no longer in the code, and
    one whose tests do not run (or fail without it, too) all count as failures.
    """
    try:
        faults = chosen(load(catalogue), names)
    except CatalogueError as error:
        raise click.ClickException(str(error)) from error
    if only_list:
        for fault in faults:
            click.echo(f"{fault.group:12} {fault.name:44} {fault.says}")
        return
    if check:
        sys.exit(_check(faults, tree.resolve()))
    sys.exit(_sum_up(_trials(faults, tree.resolve(), jobs)))


def _check(faults: Sequence[Fault], tree: Path) -> int:
    stale = 0
    for fault in faults:
        try:
            trees.planted_text(tree, fault)
        except (trees.StaleAnchorError, SyntaxError) as error:
            stale += 1
            click.echo(f"{fault.group}/{fault.name}: {Verdict.STALE.value}: {error}")
        for path in fault.tests.paths:
            if not (tree / path).exists():
                stale += 1
                click.echo(f"{fault.group}/{fault.name}: there is no {path}")
    click.echo(f"{len(faults)} faults, {stale} to repair")
    return 1 if stale else 0


def _trials(faults: Sequence[Fault], tree: Path, jobs: int) -> list[Outcome]:
    python = trees.python_of(tree)
    copies: SimpleQueue[Path] = SimpleQueue()
    with ExitStack() as stack:
        for _ in range(jobs):
            copy = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="batchgate-faults-")))
            trees.copy(tree, copy)
            copies.put(copy)

        def try_one(fault: Fault) -> Outcome:
            copy = copies.get()
            try:
                return try_out(fault, copy, python)
            finally:
                copies.put(copy)

        outcomes = []
        with ThreadPoolExecutor(jobs) as threads:
            for done in as_completed([threads.submit(try_one, fault) for fault in faults]):
                outcomes.append(done.result())
                _tell(outcomes[-1], f"{len(outcomes)}/{len(faults)}")
        click.echo("Now the tests that caught them, without a fault ...")
        return confirmed(outcomes, copies.get(), python)


def _tell(outcome: Outcome, position: str) -> None:
    fault = outcome.fault
    click.echo(f"{position:>7}  {fault.group}/{fault.name}: {outcome.verdict.value} ({outcome.seconds:.1f} s)")
    if outcome.verdict is not Verdict.CAUGHT:
        click.echo(f"         {fault.says}\n         {outcome.reason}")
    sys.stdout.flush()


def _sum_up(outcomes: Sequence[Outcome]) -> int:
    for outcome in outcomes:
        if outcome.test and outcome.verdict is not Verdict.CAUGHT:
            click.echo(f"{outcome.fault.group}/{outcome.fault.name}: {outcome.verdict.value}: {outcome.reason}")
    click.echo(f"\n{'group':12} {'fault':40} {'verdict':18} {'s':>5}  test")
    for outcome in sorted(outcomes, key=lambda outcome: (outcome.fault.group, outcome.fault.name)):
        fault = outcome.fault
        click.echo(
            f"{fault.group:12} {fault.name:40} {outcome.verdict.value:18} {outcome.seconds:5.1f}  {outcome.test}"
        )
    counts = Counter(outcome.verdict for outcome in outcomes)
    click.echo("\n" + ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]))
    return 0 if counts[Verdict.CAUGHT] == len(outcomes) else 1


if __name__ == "__main__":
    main()
