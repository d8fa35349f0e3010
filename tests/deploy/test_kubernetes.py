"""deploy/kubernetes: valid by the schemas of Kubernetes, of one piece, and scaled by a query that is right."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from sqlalchemy import update

from app.data.tables import account_capacity, batches
from app.services.gateway import Gateway
from app.services.running.work import BatchWork
from app.settings import documented, from_environment
from tests.conftest import KeyClient
from tests.support.batches import chat_line, create, jsonl
from tests.support.working import step
from tools.clean_root import instructions

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
NEWEST = "1.37"
# What has no schema of Kubernetes: KEDA's own kind.
FOREIGN = {"ScaledObject"}
TRANSFERS_S = 120


def manifests() -> list[dict[str, Any]]:
    found = [manifest for path in sorted(FOLDER.iterdir()) for manifest in yaml.safe_load_all(path.read_text())]
    assert all(found)
    return found


def by_name(kind: str) -> dict[str, dict[str, Any]]:
    return {manifest["metadata"]["name"]: manifest for manifest in manifests() if manifest["kind"] == kind}


def pods() -> dict[str, dict[str, Any]]:
    found = {**by_name("Deployment"), **by_name("Job")}
    return {name: manifest["spec"]["template"]["spec"] for name, manifest in found.items()}


# The oldest that has each kind in this version, and the newest.
@pytest.mark.parametrize("version", ["1.28", NEWEST])
def test_kubernetes_accepts_the_manifests(version: str) -> None:
    for manifest in manifests():
        if manifest["kind"] not in FOREIGN:
            kubernetes_validate.validate(manifest, version, strict=True)
    bad = by_name("Deployment")["batchgate-web"]
    bad["spec"]["template"]["spec"]["terminationGracePeriod"] = 5
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(bad, version, strict=True)


def test_the_manifests_fit_together() -> None:
    deployments = by_name("Deployment")
    assert set(deployments) == {"batchgate-web", "batchgate-worker"}
    for name, deployment in deployments.items():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        budget = by_name("PodDisruptionBudget")[name]
        assert deployment["spec"]["selector"]["matchLabels"] == labels == budget["spec"]["selector"]["matchLabels"]
        assert "replicas" not in deployment["spec"]  # another apply would undo what the autoscaler did
    web = deployments["batchgate-web"]["spec"]["template"]
    assert by_name("Service")["batchgate-web"]["spec"]["selector"] == web["metadata"]["labels"]
    assert by_name("HorizontalPodAutoscaler")["batchgate-web"]["spec"]["scaleTargetRef"]["name"] == "batchgate-web"
    [path] = by_name("Ingress")["batchgate"]["spec"]["rules"][0]["http"]["paths"]
    assert path["backend"]["service"] == {"name": "batchgate-web", "port": {"name": "http"}}
    images = {container["image"] for pod in pods().values() for container in pod["containers"]}
    assert len(images) == 1
    known = {name for name, _, _ in documented()}
    assert set(by_name("ConfigMap")["batchgate"]["data"]) <= known


def test_pods_may_do_little_and_keep_nothing() -> None:
    image = dict(instructions((ROOT / "deploy" / "docker" / "Dockerfile").read_text()))
    for name, pod in pods().items():
        user = pod["securityContext"]
        assert f"{user['runAsUser']}:{user['runAsGroup']}" == image["USER"], name
        assert user["runAsNonRoot"] and not pod["automountServiceAccountToken"]
        assert not any("persistentVolumeClaim" in volume for volume in pod["volumes"])
        [container] = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "limits" in container["resources"]


def test_pods_get_the_time_that_they_need_to_stop() -> None:
    data = by_name("ConfigMap")["batchgate"]["data"]
    settings = from_environment({name: value for name, value in data.items() if "DRAIN" in name})
    web, worker = pods()["batchgate-web"], pods()["batchgate-worker"]
    assert worker["terminationGracePeriodSeconds"] > settings.drain_s
    [container] = web["containers"]
    pause_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert web["terminationGracePeriodSeconds"] > TRANSFERS_S + pause_s
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_workers_are_scaled_by_lines_as_far_as_the_ceiling_lets_them_help(gateway: Gateway, client: KeyClient) -> None:
    spec = by_name("ScaledObject")["batchgate-worker"]["spec"]
    assert spec["scaleTargetRef"]["name"] in by_name("Deployment")
    [trigger] = spec["triggers"]
    assert int(trigger["metadata"]["targetQueryValue"]) == gateway.settings.worker_concurrency

    def asked() -> float:
        with gateway.database.read() as connection:
            return float(connection.exec_driver_sql(trigger["metadata"]["query"]).scalar_one())

    assert asked() == 0
    batch = create(client, jsonl(chat_line(f"c{n}") for n in range(100)))
    other = create(client, jsonl(chat_line(f"c{n}") for n in range(50)))
    work = BatchWork(gateway, worker="w")
    while step(work):
        pass
    assert asked() == 64  # what one worker sends, until a ceiling is known
    account = gateway.accounts.choose("local")
    assert account is not None
    with gateway.database.write() as connection:
        connection.execute(
            account_capacity.insert().values(account_id=account.id, model="m", ceiling=120, adapted_limit=5.0)
        )
    assert asked() == 120
    with gateway.database.write() as connection:
        connection.execute(account_capacity.update().values(ceiling=1000))
        connection.execute(update(batches).where(batches.c.public_id == batch["id"]).values(lines_completed=90))
    assert asked() == 60
    with gateway.database.write() as connection:
        connection.execute(update(batches).where(batches.c.public_id == other["id"]).values(status="cancelled"))
    assert asked() == 10
