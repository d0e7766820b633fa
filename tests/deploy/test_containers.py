"""The compose file and the image: read as they will be, against the settings, the command line and each other."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from phenix import __version__
from phenix.cli.main import parser
from phenix.config import SETTINGS, load

yaml = pytest.importorskip("yaml", reason="pyyaml is not installed: `make check` installs what the lock names")

DEPLOY = Path(__file__).parents[2] / "deploy"
ROOT = DEPLOY.parent
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("phenix:")}
IMAGE = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ").splitlines()


def outside(text: str) -> str:
    """A value where nothing of that name is in the environment."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def test_every_service_is_contained_and_pinned() -> None:
    assert sorted(SERVICES) == ["grafana", "ingest", "prometheus", "serve"]
    for service in SERVICES.values():
        user, _, _ = service["user"].partition(":")
        assert int(user) > 0
        assert (service["read_only"], service["cap_drop"], service["tmpfs"]) == (True, ["ALL"], ["/tmp"])
        assert (service["security_opt"], service["restart"]) == (["no-new-privileges:true"], "unless-stopped")
        assert service["healthcheck"]["test"][0] == "CMD"
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", service["image"])
    assert OURS["serve"]["image"] == OURS["ingest"]["image"] == f"phenix:{__version__}"


@pytest.mark.parametrize("name", OURS)
def test_ours_run_commands_and_settings_that_exist(name: str) -> None:
    service = OURS[name]
    assert parser().parse_args(service["command"]).command == name
    environment = {key: outside(value) for key, value in service["environment"].items()}
    assert set(environment) <= {setting.name for setting in SETTINGS}
    settings = load(environment)
    assert service["environment"] == OURS["serve"]["environment"]  # both name the same store, on the volume both have
    assert settings.store.removeprefix("sqlite:").startswith(service["volumes"][0].removeprefix("store:") + "/")
    port = {"ingest": settings.metrics_port, "serve": settings.port}[name]
    assert f"http://127.0.0.1:{port}/health" in service["healthcheck"]["test"][-1]


def test_ports_are_those_of_the_units_and_of_prometheus() -> None:
    environment = {key: outside(value) for key, value in OURS["serve"]["environment"].items()}
    here, sample = load(environment), load({"PHENIX_CONFIG": str(DEPLOY / "phenix.toml")})
    assert (here.host, here.port, here.grpc_port, here.metrics_port, here.store) == (
        sample.host, sample.port, sample.grpc_port, sample.metrics_port, sample.store,
    )  # fmt: skip
    scraped = {
        job["job_name"]: job["static_configs"][0]["targets"]
        for job in yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    }
    assert scraped == {
        "phenix-serve": [f"127.0.0.1:{here.port}"],
        "phenix-ingest": [f"127.0.0.1:{here.metrics_port}"],
    }
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/phenix.yaml").read_text())["datasources"]
    listens = next(a for a in SERVICES["prometheus"]["command"] if a.startswith("--web.listen-address="))
    assert source["url"] == f"http://{listens.partition('=')[2]}"
    assert source["url"] in SERVICES["prometheus"]["healthcheck"]["test"][-1]


def test_what_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for mount in service["volumes"]:
            what, where = mount.split(":")[:2]
            assert (DEPLOY / what).exists() if what.startswith(".") else what in COMPOSE["volumes"]
            assert where.startswith("/")
    (provider,) = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/phenix.yaml").read_text())["providers"]
    assert f"./grafana/phenix.json:{provider['options']['path']}/phenix.json:ro" in SERVICES["grafana"]["volumes"]


def test_the_image_is_made_of_what_is_there_and_runs_as_nobody() -> None:
    words = [shlex.split(line) for line in IMAGE if line and not line.startswith("#")]
    copied = [path for line in words if line[0] == "COPY" and "--from=build" not in line for path in line[1:-1]]
    assert [path for path in copied if not (ROOT / path).exists()] == []
    sent = (DEPLOY / "Containerfile.dockerignore").read_text().split()
    assert sent[0] == "*"
    assert {line[1:] for line in sent if line.startswith("!")} == set(copied)
    bases = {line[1] for line in words if line[0] == "FROM"}
    assert [bool(re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)) for base in bases] == [True]
    (user,) = (line[1] for line in words if line[0] == "USER")
    assert all(service["user"] == user for service in OURS.values())
    assert [line[1] for line in words if line[0] == "VOLUME"] == ["/var/lib/phenix"]
    assert 'ENTRYPOINT ["phenix"]' in IMAGE
    pinned = re.findall(r"hatchling==[\d.]+", (ROOT / "pyproject.toml").read_text())
    assert set(re.findall(r"hatchling==[\d.]+", "\n".join(IMAGE))) == set(pinned)
    assert {Path(one["build"]["dockerfile"]) for one in OURS.values()} == {Path("deploy/Containerfile")}
