"""Formats the abilities of a provider for tables."""

from app.connectors.contract.abilities import BATCHES, CONTAINERS, FILES, GATEWAY_WINDOWS, Abilities, Support

# Title, operations, and the prefix that their names share.
GROUPS = (("Files", FILES, "file_"), ("Batches", BATCHES, "batch_"), ("Containers", CONTAINERS, "container_"))
MIB = 2**20
GIB = 2**30


def word(abilities: Abilities, operation: str) -> str:
    """Returns native, emulated or -."""
    support = abilities.support(operation)
    return "-" if support is Support.NONE else support.value


def size(count: int | None) -> str:
    """Formats a number of bytes; empty for no limit."""
    if count is None:
        return ""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB")):
        if count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count} bytes"


def windows(abilities: Abilities) -> str:
    """Lists the completion windows of native batches, or of those that the gateway runs; empty without batches."""
    if abilities.support("batch_create") is Support.NATIVE:
        return _by_length(abilities.jobs.windows)
    return _by_length(GATEWAY_WINDOWS) if abilities.support("batch_create") is Support.EMULATED else ""


def _by_length(lengths: frozenset[str]) -> str:
    units = {"m": 1, "h": 60, "d": 1440}
    return ", ".join(sorted(lengths, key=lambda window: int(window[:-1]) * units[window[-1]]))
