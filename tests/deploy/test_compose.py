"""deploy/compose.yaml and compose.env.example say the same, and nothing is open that need not be.

Its form is checked against the Compose Specification's schema by scripts/dev/check-deploy.
"""

import configparser
import ipaddress
import re
from urllib.parse import urlsplit

import yaml
from support.deployment import ROOT

TEXT = (ROOT / "deploy" / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
ONCE = {name for name, service in SERVICES.items() if service["restart"] == "no"}


def example() -> dict[str, str]:
    lines = (ROOT / "deploy" / "compose.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


#: What deploy/compose itself says.
SAID = {"AIRQINO_ENVIRONMENT", "AIRQINO_CONFIG_DIR", "AIRQINO_ADDRESS", "MONGODB_DATABASE"}


def test_every_variable_is_in_the_example_and_none_besides() -> None:
    assert set(re.findall(r"\$\{(\w+)", TEXT)) - SAID == set(example()) - SAID


def test_secrets_have_no_default_and_no_value() -> None:
    secrets = {name for name in example() if name.endswith(("_PASSWORD", "_KEY", "_SECRET"))}
    needed = set(re.findall(r"\$\{(\w+):\?\}", TEXT)) - SAID
    assert {name for name, value in example().items() if name in needed and value} == set()
    assert needed == {name for name in secrets if not name.startswith(("AIRQINO_", "ELASTICSEARCH_", "GRAFANA_"))}


def test_pages_are_published_on_loopback_only_and_databases_not_at_all() -> None:
    for name, service in SERVICES.items():
        assert all(port.startswith("${AIRQINO_ADDRESS:?}:") for port in service.get("ports", [])), name
        assert not (name.startswith(("mongo", "superset-")) and service.get("ports"))
    addresses = re.findall(r"address=(\S+)", (ROOT / "deploy" / "compose").read_text())
    assert len(addresses) == 3
    assert all(ipaddress.ip_address(address).is_loopback for address in addresses)


def test_superset_keeps_its_own_data_in_servers_that_only_it_can_reach() -> None:
    superset = SERVICES["superset"]
    for name, variable in (("superset-database", "SUPERSET_DATABASE_URI"), ("superset-cache", "SUPERSET_REDIS_URL")):
        uri = superset["environment"][variable].replace("${SUPERSET_DATABASE_PASSWORD:?}", "x")
        assert urlsplit(uri).hostname == name
        assert superset["depends_on"][name] == {"condition": "service_healthy"}
    on_network = {name for name, service in SERVICES.items() if "superset" in service.get("networks", [])}
    assert on_network == {"superset", "superset-database", "superset-cache"}
    assert COMPOSE["networks"] == {"superset": {"internal": True}}
    assert "superset-database:/var/lib/postgresql" in SERVICES["superset-database"]["volumes"]


def test_the_images_of_ours_have_the_version_of_the_package() -> None:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    ours = {service["image"] for service in SERVICES.values() if "airqino" in service["image"]}
    assert ours == {
        f"${{AIRQINO_REGISTRY:-}}{name}:{parser['metadata']['version']}" for name in ("airqino", "airqino-superset")
    }


def test_every_service_is_hardened_and_comes_back() -> None:
    assert {"certificates", "mongo-set", "mongo-users"} == ONCE
    for name, service in SERVICES.items():
        assert service["restart"] in ("no", "unless-stopped"), name
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.search(r":v?\d+\.\d+\.?\d*$", service["image"]), f"{name}: {service['image']} has no version"
        assert "latest" not in service["image"]


def test_who_waits_for_whom_waits_for_what_exists_and_ends() -> None:
    for name, service in SERVICES.items():
        for other, condition in dict(service.get("depends_on") or {}).items():
            wanted = "service_completed_successfully" if other in ONCE else "service_healthy"
            assert condition == {"condition": wanted}, f"{name} → {other}"


def test_all_volumes_are_named() -> None:
    plain = (re.sub(r"\$\{(\w+):\?\}", r"$\1", v) for service in SERVICES.values() for v in service.get("volumes", []))
    mounted = {volume.split(":")[0] for volume in plain}
    assert {name for name in mounted if not name.startswith(("./", "$"))} == set(COMPOSE["volumes"])
    assert {name for name in mounted if name.startswith("$")} == {
        "$AIRQINO_CONFIG_DIR",
        "$AIRQINO_CONFIG_DIR/alertmanager",
    }
    for folder in (name for name in mounted if name.startswith("./")):
        assert any((ROOT / "deploy" / folder).iterdir()), folder


def test_commands_of_the_repository_are_there() -> None:
    commands = {part for service in SERVICES.values() for part in service.get("command", []) if "/" in part}
    ours = {part for part in commands if part.startswith(("deploy/", "scripts/"))}
    assert ours >= {"deploy/docker/every", "deploy/mongo/certificates", "deploy/mongo/initiate"}
    assert [part for part in ours if not (ROOT / part).exists()] == []
