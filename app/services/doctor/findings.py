"""What a check found."""

from dataclasses import dataclass

OK, WARN, FAIL = "ok", "warn", "fail"
ORDER = (OK, WARN, FAIL)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check, in words; `action` is what to do, empty when nothing is."""

    check: str
    state: str
    message: str
    action: str = ""


def worst(findings: list[Finding]) -> str:
    """Returns the worst state of the findings."""
    return max((finding.state for finding in findings), key=ORDER.index, default=OK)
