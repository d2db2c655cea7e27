"""The container files name what is there; to build them takes a container engine, which tests do not have."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import ROOT
from tests.server.running import gated
from tests.test_docs import command_faults

DOCKER = ROOT / "docker"
FILES = sorted(DOCKER.glob("Dockerfile*"))


def instructions(path: Path) -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def arguments(path: Path, word: str) -> str:
    (found,) = [rest for name, rest in instructions(path) if name == word]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_image_is_made_of_what_is_there(path: Path) -> None:
    stages = re.findall(r" AS (\w+)", path.read_text(encoding="utf-8"))
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for word, rest in instructions(path):
        if word != "COPY":
            continue
        source, *sources = rest.split()[:-1]
        if source.startswith("--from="):
            assert source.removeprefix("--from=") in stages
            continue
        for name in (source, *sources):
            assert (ROOT / name).exists(), name
            assert f"!{name}" in ignored, f"{name} is not sent to the build"
    assert command_faults(json.loads(arguments(path, "CMD"))) == []
    assert json.loads(arguments(path, "ENTRYPOINT")) == ["fare"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_image_is_healthy_once_the_model_is_loaded(path: Path) -> None:
    (check,) = re.findall(r"CMD (\[.*\])", arguments(path, "HEALTHCHECK"))
    with gated(loading=True, token="token") as server:
        command = [sys.executable, *json.loads(check)[1:]]
        command[-1] = command[-1].replace("http://127.0.0.1:8377", server.url)
        assert server.url in command[-1]
        assert subprocess.run(command, capture_output=True, check=False).returncode != 0
        server.go("load")
        while server.client.get("/health").status_code != 200:
            pass
        subprocess.run(command, capture_output=True, check=True)


def compose() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
    return values


def test_the_compose_file_fits_its_schema() -> None:
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    subprocess.run([*checker, str(DOCKER / "compose.yaml")], check=True, capture_output=True)


@pytest.mark.parametrize("name", ["fare", "fare-cuda"])
def test_a_service_listens_for_others_and_so_has_a_token(name: str) -> None:
    service = compose()["services"][name]
    assert command_faults(list(service["command"])) == []
    (secret,) = service["secrets"]
    assert f"/run/secrets/{secret}" in service["command"]
    assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
