"""The generated pages of docs/, each with the function that renders it."""

from collections.abc import Callable

from tools.docs import access, commands, dialects, metrics, providers, refusals, schema, settings

PAGES: dict[str, Callable[[], str]] = {
    "access.md": access.render,
    "cli.md": commands.render,
    "dialects.md": dialects.render,
    "metrics.md": metrics.render,
    "providers.md": providers.render,
    "refusals.md": refusals.render,
    "schema.md": schema.render,
    "settings.md": settings.render,
}
