"""The groups that have both kinds of commands: those of a client, and those of the operator."""

from collections.abc import Mapping

from app.cli.shared.lazy import Commands, Lazy

CLIENT = "With a virtual key, over HTTP, from any machine"
OPERATOR = "On the operator's machine, in the store"
HOW = """
    Commands with a key are a client's. They speak to the gateway at --base-url with --api-key, else with
    BATCHGATE_BASE_URL and BATCHGATE_API_KEY, else with the gateway that `make run` started here; they see the project
    of the key. The operator's read the store that DATABASE_URL names, and see all projects.
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
            "lines": ("app.cli.client.batch_lines:lines", "List the lines of a batch with their states."),
            "errors": ("app.cli.client.batch_lines:errors", "Count the lines without a response, by code."),
            "results": ("app.cli.client.batch_lines:results", "Write the results as JSONL."),
            "pause": ("app.cli.client.steering:pause", "Pause a batch: no more lines are sent."),
            "resume": ("app.cli.client.steering:resume", "Go on with a paused batch."),
            "set": ("app.cli.client.steering:set_", "Change priority, limit and times of a batch."),
            "cancel": ("app.cli.client.batches:cancel", "Cancel a batch; finished lines are kept."),
            "retry": ("app.cli.client.steering:retry", "Make a new batch of the lines that failed, here or elsewhere."),
            "clone": ("app.cli.client.steering:clone", "Make a new batch of all lines."),
        },
        OPERATOR: {
            "waiting": ("app.cli.commands.batches:waiting", "List what running batches wait for."),
            "jobs": ("app.cli.commands.batches:jobs", "List the jobs of a batch at its provider."),
            "resolve": ("app.cli.commands.batches:resolve", "Resolve a job that is `unknown`."),
            "adopt": ("app.cli.commands.batches:adopt", "Adopt batches that exist at a provider."),
        },
    },
)

files = _group(
    "files",
    "Upload, download and manage files.",
    {
        CLIENT: {
            "list": ("app.cli.client.files:list_", "List the project's files, newest first."),
            "show": ("app.cli.client.files:show", "Show a file: name, size, purpose, times."),
            "upload": ("app.cli.client.files:upload", "Upload files; large ones in parts."),
            "download": ("app.cli.client.files:download", "Download content, and check it."),
            "delete": ("app.cli.client.files:delete", "Delete files."),
        },
        OPERATOR: {"adopt": ("app.cli.commands.files:adopt", "Adopt files that exist at a provider.")},
    },
)

containers = _group(
    "containers",
    "Manage containers and the files in them.",
    {
        CLIENT: {
            "list": ("app.cli.client.containers:list_", "List the project's containers, newest first."),
            "show": ("app.cli.client.containers:show", "Show a container; a running one stays alive."),
            "create": ("app.cli.client.containers:create", "Create a container."),
            "delete": ("app.cli.client.containers:delete", "Delete containers and the files in them."),
            "files": ("app.cli.groups:container_files", "Manage the files in a container."),
        },
        OPERATOR: {"adopt": ("app.cli.commands.containers:adopt", "Adopt a container that exists at a provider.")},
    },
)

container_files = _group(
    "files",
    "Manage the files in a container.",
    {
        CLIENT: {
            "list": ("app.cli.client.container_files:list_", "List the files in a container, newest first."),
            "show": ("app.cli.client.container_files:show", "Show a file in a container."),
            "upload": ("app.cli.client.container_files:upload", "Put files into a container."),
            "download": ("app.cli.client.container_files:download", "Download content from a container."),
            "delete": ("app.cli.client.container_files:delete", "Delete files in a container."),
        },
    },
)

webhooks = _group(
    "webhooks",
    "Look after webhooks, and bring them to a developer's machine.",
    {
        CLIENT: {
            "listen": ("app.cli.client.listen:listen", "Print events as batches end, and send them to a URL here.")
        },
        OPERATOR: {
            "list": ("app.cli.commands.webhooks:list_", "List endpoints, and what waits for them."),
            "deliveries": ("app.cli.commands.webhooks:deliveries", "List deliveries, newest first."),
            "replay": ("app.cli.commands.webhooks:replay", "Deliver an event again."),
            "test": ("app.cli.commands.webhooks:test", "Send a sample to an endpoint now."),
        },
    },
)
