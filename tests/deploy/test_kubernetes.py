"""The Kubernetes files hang together; each document's form is checked against its schema by check-deploy."""

from typing import Any

import pytest
import yaml
from support.deployment import ROOT

from tasks.settings.sections import ENVIRONMENT

FOLDER = ROOT / "deploy" / "kubernetes"
SCALED = ROOT / "deploy" / "kubernetes-scaled"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
DOCUMENTS = {
    (document["kind"], document["metadata"]["name"]): document
    for path in (*FOLDER.glob("*.yaml"), *SCALED.glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for document in yaml.safe_load_all(path.read_text())
}
JOBS = [("CronJob", "airqino-hourly"), ("CronJob", "airqino-alerts")]
DASK = [("Deployment", "dask-scheduler"), ("Deployment", "dask-worker")]
BACKFILL = ("Job", "airqino-backfill")
PODS = [*JOBS, ("Deployment", "luigid"), *DASK, BACKFILL]
OVERLAY = yaml.safe_load((SCALED / "kustomization.yaml").read_text())
PATCHES = {(of["kind"], of["metadata"]["name"]): of for of in (yaml.safe_load(p["patch"]) for p in OVERLAY["patches"])}


def pod(key: tuple[str, str]) -> dict[str, Any]:
    spec = DOCUMENTS[key]["spec"]
    return (spec["jobTemplate"]["spec"] if key in JOBS else spec)["template"]["spec"]


def test_the_kustomization_names_all_but_the_secret() -> None:
    assert sorted(KUSTOMIZATION["resources"]) == sorted(
        path.name for path in FOLDER.glob("*.yaml") if path.name not in ("kustomization.yaml", "secret.example.yaml")
    )


def test_the_secret_holds_placeholders_only() -> None:
    values = DOCUMENTS["Secret", "airqino"]["stringData"]
    assert all(value == f"<{name.lower()}>" for name, value in values.items())
    assert values.keys() <= ENVIRONMENT.keys()


def test_the_settings_are_known_to_the_pipeline() -> None:
    settings = DOCUMENTS["ConfigMap", "airqino"]["data"]
    assert settings.keys() - {"AIRQINO_ENVIRONMENT"} <= ENVIRONMENT.keys()
    assert settings["AIRQINO_ENVIRONMENT"] == "production"


@pytest.mark.parametrize("key", [*JOBS, BACKFILL], ids=lambda key: key[1])
def test_the_settings_of_the_pipeline_come_from_outside_this_folder(key: tuple[str, str]) -> None:
    spec = pod(key)
    assert {"name": "settings", "configMap": {"name": "airqino-settings", "optional": True}} in spec["volumes"]
    assert {"name": "settings", "mountPath": "/etc/airqino", "readOnly": True} in spec["containers"][0]["volumeMounts"]
    assert ("ConfigMap", "airqino-settings") not in DOCUMENTS


@pytest.mark.parametrize("key", PODS, ids=lambda key: key[1])
def test_no_pod_runs_as_root_or_writes_outside_its_volumes(key: tuple[str, str]) -> None:
    spec = pod(key)
    assert spec["securityContext"]["runAsNonRoot"]
    assert not spec["automountServiceAccountToken"]
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    assert container["resources"]["limits"]["memory"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in spec["volumes"]}
    assert container["image"] == KUSTOMIZATION["images"][0]["name"]


@pytest.mark.parametrize("key", JOBS, ids=lambda key: key[1])
def test_a_job_runs_alone_and_takes_its_secrets_by_reference(key: tuple[str, str]) -> None:
    spec = DOCUMENTS[key]["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    assert spec["startingDeadlineSeconds"] > 0
    assert spec["jobTemplate"]["spec"]["activeDeadlineSeconds"] < 3600
    (container,) = pod(key)["containers"]
    assert {"secretRef": {"name": "airqino"}} in container["envFrom"]
    assert "env" not in container
    claim = DOCUMENTS["PersistentVolumeClaim", "airqino-staging"]["metadata"]["name"]
    assert claim in str(pod(key)["volumes"])


def test_the_service_leads_to_luigid() -> None:
    service, deployment = DOCUMENTS["Service", "luigid"], DOCUMENTS["Deployment", "luigid"]
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    (port,) = service["spec"]["ports"]
    assert DOCUMENTS["ConfigMap", "airqino"]["data"]["LUIGID_URL"] == f"http://luigid:{port['port']}"
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= pod(("Deployment", "luigid"))["containers"][0].keys()


def test_the_scaled_form_is_the_plain_one_with_a_bucket_and_dask() -> None:
    assert OVERLAY["resources"][0] == "../kubernetes"
    assert {*OVERLAY["resources"][1:]} == {path.name for path in SCALED.glob("*.yaml")} - {"kustomization.yaml"}
    assert OVERLAY["images"] == KUSTOMIZATION["images"]
    settings = PATCHES["ConfigMap", "airqino"]["data"]
    of_aws = {"AWS_REGION"}
    assert settings.keys() - of_aws <= ENVIRONMENT.keys()
    assert settings["STAGING_ROOT"].startswith("s3://")
    assert PATCHES["PersistentVolumeClaim", "airqino-staging"]["$patch"] == "delete"
    assert PATCHES.keys() >= {*JOBS}  # which have no volume to wait for


def test_dask_is_found_by_its_name_and_reached_by_the_application_alone() -> None:
    service, scheduler = DOCUMENTS["Service", "dask-scheduler"], DOCUMENTS["Deployment", "dask-scheduler"]
    assert service["spec"]["selector"] == scheduler["spec"]["template"]["metadata"]["labels"]
    (port,) = service["spec"]["ports"]
    address = PATCHES["ConfigMap", "airqino"]["data"]["DASK_SCHEDULER_ADDRESS"]
    assert address == f"tcp://dask-scheduler:{port['port']}"
    policy = DOCUMENTS["NetworkPolicy", "dask"]["spec"]
    (who,) = policy["podSelector"]["matchExpressions"]
    assert who["values"] == [name for _, name in DASK]
    (allowed,) = policy["ingress"]
    assert allowed["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "airqino"}}}]
    for key in DASK:
        (container,) = pod(key)["containers"]
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
        assert "secretRef" not in str(container)


def test_each_month_of_the_backfill_is_a_part_of_the_job() -> None:
    spec = DOCUMENTS[BACKFILL]["spec"]
    (container,) = pod(BACKFILL)["containers"]
    (months,) = container["env"]
    assert len(months["value"].split()) == spec["completions"] <= spec["maxFailedIndexes"]
    assert spec["completionMode"] == "Indexed"
    assert spec["suspend"]
