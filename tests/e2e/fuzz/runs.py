"""Rounds of batches on mutated answers and lines; each ends, as results that the store takes."""

from random import Random
from typing import Any

from app.services.gateway import Gateway
from tests.conftest import KeyClient
from tests.e2e.conformance.farm import Farm
from tests.e2e.conformance.models import MODELS
from tests.support import fuzzing
from tests.support.batches import create, ended, retrieve
from tests.support.fuzzing import CHAT, EMBEDDINGS, MESSAGES, RESPONSES

PROVIDERS = ("openai", "anthropic", "gemini", "bedrock", "cohere", "mistral", "xai")
AT_GATEWAY = (
    ("openai", CHAT),
    ("openai", RESPONSES),
    ("openai", EMBEDDINGS),
    ("mistral", MESSAGES),
    ("anthropic", CHAT),
    ("gemini", CHAT),
    ("gemini", EMBEDDINGS),
    ("bedrock", MESSAGES),
    ("cohere", CHAT),
)


def answers_to_lines(client: KeyClient, gateway: Gateway, farm: Farm, random: Random, *, lines: int) -> None:
    """Lines that the gateway sends get mutated answers."""
    for provider, endpoint in AT_GATEWAY:
        server = farm.servers[provider]
        app = server.app
        server.app = mutant = fuzzing.Mutant(app, random, share=0.9, on=lambda environ: True)
        batch = create(client, fuzzing.good_lines(endpoint, lines), **_fields(provider, endpoint, "gateway"))
        results = list(fuzzing.run_all(gateway))
        server.app = app
        assert retrieve(client, batch["id"])["status"] in ("in_progress", "finalizing", "completed")
        assert min(len(results), mutant.count) > lines / 2


def jobs_and_rows(client: KeyClient, gateway: Gateway, farm: Farm, random: Random, *, lines: int) -> None:
    """Providers' jobs and their results are mutated now and then, and in the end no longer."""
    for provider in PROVIDERS:
        server = farm.servers[provider]
        batch = create(client, fuzzing.good_lines(CHAT, lines), **_fields(provider, CHAT, "provider"))
        app = server.app
        server.app = fuzzing.Mutant(app, random, share=0.3, on=lambda environ: environ["REQUEST_METHOD"] == "GET")
        fuzzing.run_jobs(gateway)
        server.app = app
        fuzzing.run_jobs(gateway)
        assert fuzzing.pending(gateway) == []
        ended(client, batch["id"])


def lines_at_the_gateway(client: KeyClient, gateway: Gateway, farm: Farm, random: Random, *, lines: int) -> None:
    """Mutated lines are planned and sent by the gateway."""
    for provider, endpoint in AT_GATEWAY:
        farm.servers[provider].app = fuzzing.Sturdy(farm.servers[provider].app)
        data, findings = fuzzing.mutated_lines(random, endpoint, lines)
        assert all(len(finding.message) <= 4096 and "\0" not in finding.message for finding in findings)
        batch = create(client, data, **_fields(provider, endpoint, "gateway"))
        results = list(fuzzing.run_all(gateway))
        over = retrieve(client, batch["id"])
        assert len(results) == lines or over["status"] == "failed", over["errors"]


def lines_at_providers(client: KeyClient, gateway: Gateway, farm: Farm, random: Random, *, lines: int) -> None:
    """Mutated lines are planned, written in the dialects of providers, and given to jobs."""
    for provider in PROVIDERS:
        farm.servers[provider].app = fuzzing.Sturdy(farm.servers[provider].app)
        data, _ = fuzzing.mutated_lines(random, CHAT, lines)
        batch = create(client, data, **_fields(provider, CHAT, "provider"))
        fuzzing.run_jobs(gateway)
        assert fuzzing.pending(gateway) == []
        ended(client, batch["id"])


def _fields(provider: str, endpoint: str, execution: str) -> dict[str, Any]:
    """A batch at the provider, with a model that it has a dialect for."""
    fields = {"endpoint": endpoint, "provider": provider, "execution": execution}
    return fields if endpoint == EMBEDDINGS or provider not in MODELS else {**fields, "model": MODELS[provider]}
