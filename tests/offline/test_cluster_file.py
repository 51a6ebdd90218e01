"""The launcher's file is one that Ray takes, and names only what is there."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[2]
FILE = ROOT / "ray_cluster.yaml"
STARTS = ("head_start_ray_commands", "worker_start_ray_commands")


@pytest.fixture
def cluster() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return loaded


def test_it_fits_rays_schema(cluster: dict[str, Any]) -> None:
    validate_config(prepare_config(cluster))


def test_its_head_and_its_files_exist(cluster: dict[str, Any]) -> None:
    assert cluster["head_node_type"] in cluster["available_node_types"]
    for remote, local in cluster["file_mounts"].items():
        assert (ROOT / local).exists()
        assert f"/home/{cluster['auth']['ssh_user']}/" in remote


def test_it_installs_this_project_as_pinned(cluster: dict[str, Any]) -> None:
    install = next(command for command in cluster["setup_commands"] if "pip install" in command)
    constraints = re.search(r"--constraint ~/polythink/(\S+) ~/polythink ", install)
    assert constraints and (ROOT / constraints[1]).is_file()
    assert f"ray=={distribution('ray').version}\n" in (ROOT / constraints[1]).read_text(encoding="utf-8")
    assert (ROOT / "pyproject.toml").is_file()


@pytest.mark.parametrize("kind", ["setup_commands", *STARTS])
def test_its_commands_are_shell(cluster: dict[str, Any], kind: str) -> None:
    for command in cluster[kind]:
        subprocess.run(["bash", "-n", "-c", command], check=True)


@pytest.mark.parametrize("kind", STARTS)
def test_every_ray_gets_its_key_and_token_by_environment(cluster: dict[str, Any], kind: str) -> None:
    exported, _, started = cluster[kind][-1].partition("ray start ")
    assert started
    for name in ("ANTHROPIC_API_KEY", "RAY_AUTH_TOKEN"):
        assert re.search(rf'\b{name}="\$\(secret /polythink/[a-z-]+\)"', exported)
    assert "sk-ant" not in FILE.read_text(encoding="utf-8")


def test_every_option_of_ray_start_exists(cluster: dict[str, Any]) -> None:
    manual = subprocess.run(
        [sys.executable, "-m", "ray.scripts.scripts", "start", "--help"], capture_output=True, text=True, check=True
    ).stdout
    started = " ".join(cluster[kind][-1].partition("ray start")[2] for kind in STARTS)
    used = set(re.findall(r"--[a-z-]+", started))
    assert used and used <= set(re.findall(r"--[a-z-]+", manual))


def test_its_placeholders_are_explained_where_the_file_begins() -> None:
    text = FILE.read_text(encoding="utf-8")
    preface, _, rest = text.partition("cluster_name:")
    placeholders = set(re.findall(r"(?<=[ :])(IMAGE|FILE_SYSTEM)\b", rest))
    assert placeholders == {"IMAGE", "FILE_SYSTEM"}
    assert all(f"where {name} stands" in preface for name in placeholders)
