"""`batchgate batch run`: runs a batch with one command, over HTTP like any client."""

from pathlib import Path

import click

from app.cli.batch_run import input as batch_run_input
from app.cli.batch_run import report, results
from app.cli.client import http
from app.cli.client.options import client_options
from app.cli.client.watch import INTERRUPTED, watch
from app.cli.shared import profile
from app.cli.shared.progress import Progress, Transfer
from app.cli.shared.refusal import Refused

INPUT = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)
OUTPUT = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.group()
def batch() -> None:
    """Run batches from the command line."""


@batch.command()
@click.argument("file", type=INPUT, required=False)
@click.option("--provider", help="Provider of the batch, such as `local`.  [default: the gateway's]")
@click.option("--model", help="Model for every line; overrides the lines' own.")
@click.option("--endpoint", help="Endpoint, such as /v1/chat/completions.  [default: `url` of the first line]")
@click.option("--completion-window", default="24h", show_default=True, help="Time within which the batch must finish.")
@click.option("--output", type=OUTPUT, help="Path for the responses.  [default: FILE.output.jsonl]")
@client_options
@click.option("--resume", metavar="BATCH_ID", help="Wait for an existing batch instead of starting one.")
@click.option("--dry-run", is_flag=True, help="Only estimate the tokens and cost of the batch.")
@click.option("--no-progress", is_flag=True, help="Show no progress bar.")
def run(
    file: Path | None,
    provider: str | None,
    model: str | None,
    endpoint: str | None,
    completion_window: str,
    output: Path | None,
    base_url: str | None,
    api_key: str | None,
    resume: str | None,
    dry_run: bool,
    no_progress: bool,
) -> None:
    """Run the requests in FILE (JSONL for OpenAI's Batch API) and wait for the responses.

    Responses go to FILE.output.jsonl next to the input, failed lines to FILE.errors.jsonl. Files of an
    earlier run are replaced. After Ctrl-C the batch continues, and the command prints how to resume.

    Exit status: 0 if every line has a response, 1 if the batch ended otherwise, 2 if it could not be
    started or followed, 130 after Ctrl-C.

    \b
    Examples:
      batchgate batch run questions.jsonl
      batchgate batch run questions.jsonl --provider ollama --model llama3.2
      batchgate batch run questions.jsonl --resume batch_0641f...
    """
    if file is None and resume is None:
        raise click.UsageError("Give a FILE of requests, or the id of a batch with --resume.")
    places = results.places(file, output=output, batch_id=resume)
    gateway = http.Gateway(profile.find(base_url=base_url, api_key=api_key))
    progress = Progress()
    progress = Progress(is_shown=progress.is_terminal and not no_progress)
    started = resume
    try:
        if started is None and file is not None:
            options = {"provider": provider, "model": model, "completion_window": completion_window}
            started = _start(gateway, file, endpoint=endpoint, options=options, progress=progress, dry_run=dry_run)
        if started is not None:
            raise SystemExit(_follow(gateway, started, places=places, progress=progress))
    except http.AwayError as error:
        raise Refused(f"{error}{_how_to_resume(file, started)}") from error
    except KeyboardInterrupt:
        progress.end()
        click.echo(_how_to_resume(file, started) if started else "\nStopped; no batch was started.", err=True)
        raise SystemExit(INTERRUPTED) from None


def _start(
    gateway: http.Gateway,
    file: Path,
    *,
    endpoint: str | None,
    options: dict[str, str | None],
    progress: Progress,
    dry_run: bool,
) -> str | None:
    """Uploads the file and creates the batch; returns its id, or None after a dry run."""
    endpoint = endpoint or batch_run_input.endpoint(file)
    gateway.greet()
    sent = Transfer(progress, f"uploading {file.name}", file.stat().st_size)
    uploaded = gateway.upload(file, provider=options["provider"], sent=sent)
    progress.end()
    file_id = uploaded["id"]
    if dry_run:
        try:
            estimate = gateway.estimate(file_id, provider=options["provider"], model=options["model"])
            click.echo(report.estimate(estimate))
        finally:
            gateway.delete_file(file_id)
        return None
    body = {"input_file_id": file_id, "endpoint": endpoint} | {key: value for key, value in options.items() if value}
    try:
        batch_id = str(gateway.create_batch(body)["id"])
    except Refused:
        _take_back(gateway, file_id)
        raise
    click.echo(f"Batch {batch_id} runs {file.name} ({file_id}).", err=True)
    return batch_id


def _take_back(gateway: http.Gateway, file_id: str) -> None:
    """Deletes the upload of a batch that was refused."""
    try:
        gateway.delete_file(file_id)
    except (http.AwayError, Refused) as error:
        click.echo(f"The upload {file_id} could not be deleted: {error}", err=True)


def _follow(gateway: http.Gateway, batch_id: str, *, places: results.Places, progress: Progress) -> int:
    """Waits for the batch, downloads and reports its results; returns the exit status."""
    ended = watch(gateway, batch_id, progress=progress)
    written = results.fetch(gateway, ended, places=places)
    return report.show(ended, written=written)


def _how_to_resume(file: Path | None, batch_id: str | None) -> str:
    if batch_id is None:
        return ""
    command = f"batchgate batch run {f'{file} ' if file else ''}--resume {batch_id}"
    return f"\nBatch {batch_id} continues without this command. Wait for it again with:\n  {command}"
