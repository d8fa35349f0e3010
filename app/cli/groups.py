"""The groups that have both kinds of commands: those of a client, and those of the operator."""

from collections.abc import Mapping

from app.cli.shared.lazy import Commands, Lazy

CLIENT = "With a virtual key, over HTTP, from any machine"
OPERATOR = "On the operator's machine, in the store"
HOW = """
    The commands of the first list are a client's. They speak to the gateway at --base-url with --api-key, else with
    BATCHGATE_BASE_URL and BATCHGATE_API_KEY, else with the gateway that `make run` started here; they see the project
    of the key. Those of the second list read the store that DATABASE_URL names, and see all projects.
"""


def _group(name: str, text: str, sections: Mapping[str, Commands]) -> Lazy:
    return Lazy(name, help=f"{text}\n{HOW}", short_help=text, sections=sections)


batches = _group(
    "batches",
    "Follow, read and steer batches, and their jobs at providers.",
    {
        CLIENT: {
            "list": ("app.cli.client.batches:list_", "List the project's batches, newest first."),
            "show": ("app.cli.client.batches:show", "Show a batch: counts, times, files, and why it waits."),
            "watch": ("app.cli.client.watch:follow", "Follow a batch until it ends."),
            "lines": ("app.cli.client.lines:lines", "List the lines of a batch with their states."),
            "errors": ("app.cli.client.lines:errors", "Count the lines without a response, by code."),
            "results": ("app.cli.client.lines:results", "Write the results as JSONL."),
            "cancel": ("app.cli.client.batches:cancel", "Cancel a batch; finished lines are kept."),
            "retry": ("app.cli.client.batches:retry", "Make a new batch of the lines that failed."),
        },
        OPERATOR: {
            "waiting": ("app.cli.commands.batches:waiting", "List what running batches wait for."),
            "jobs": ("app.cli.commands.batches:jobs", "List the jobs of a batch at its provider."),
            "resolve": ("app.cli.commands.batches:resolve", "Resolve a job that is `unknown`."),
            "adopt": ("app.cli.commands.batches:adopt", "Adopt batches that exist at a provider."),
        },
    },
)
