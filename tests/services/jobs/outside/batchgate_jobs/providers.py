"""Providers that differ in what their jobs take; all of them are the same fake on the wire."""

from app.connectors.catalogue import Provider
from app.connectors.contract import Abilities, JobLimits, operations

CHAT = "/v1/chat/completions"


def _provider(name: str, *, without: str = "", prefix: str = "", runs: bool = False, **limits: object) -> Provider:
    able = operations(native="files batches")
    for operation in without.split():
        del able[operation]
    jobs = JobLimits(endpoints=frozenset({CHAT}), **limits)  # type: ignore[arg-type]
    env = name.upper().replace("-", "_")
    return Provider(
        name,
        env,
        (f"{env}_API_KEY",),
        f"{env}_BASE_URL",
        keyless=True,
        target="batchgate_jobs.connector:Jobs",
        abilities=Abilities(able, lines=frozenset({CHAT}) if runs else frozenset(), jobs=jobs),
        options={"timeout_s": "2", "prefix": prefix},
        option_envs={"timeout_s": f"{env}_TIMEOUT_S"},
    )


JOBS = _provider("jobs")
SPLIT = _provider("jobs-split", lines=4)
BIG = _provider("jobs-big", lines=50_000)
BLIND = _provider("jobs-blind", finds=False)
STUBBORN = _provider("jobs-stubborn", without="batch_cancel batch_delete")
INLINE = _provider("jobs-inline", inline=True)
DIALECT = _provider("jobs-dialect", dialect="odd", custom_id="[a-z0-9]{1,8}", bytes=500)
OPERATION = _provider("jobs-operation", prefix="operations/", operation=True, lines=4)
LEAST = _provider("jobs-least", min_lines=3, lines=5, runs=True)
SMALL = _provider("jobs-small", inline_bytes=600)
MIXED = _provider("jobs-mixed", single_model=False)
