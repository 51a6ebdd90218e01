"""The shape of the house: folders, links, arrows between them, file sizes, and a wheel that works."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("cli", "jobs", "workers", "selectors", "storage", "simulator", "explorer")
SHARED = {"records", "errors", "facts"}
ARROWS: dict[str, set[str]] = {
    "cli": {"jobs", "explorer", "simulator", "storage"},  # every command opens an archive
    "jobs": {"workers", "selectors", "storage"},
    "workers": {"storage"},
    "selectors": {"storage"},
    "explorer": {"selectors", "storage"},
    "storage": set(),
    "simulator": set(),
}
WITHOUT = {"storage": {"ray", "anthropic"}, "selectors": {"ray", "anthropic"}, "explorer": {"ray", "anthropic"}}
MOST_LINES = 450
NOT_OURS = re.compile(
    r"(?<![\w./])/(?:work|tmp/w|root)/(?!\.)"  # a path of the machine it was written on
    r"|sk-ant-[\w-]{8,}|AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}|-----BEGIN [A-Z ]*PRIVATE KEY"
)


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    return [path for name in git("ls-files", "-z").split("\0") if (path := ROOT / name).is_file() and name]


def modules(layer: str) -> list[Path]:
    return sorted((ROOT / layer).rglob("*.py"))


def reached(path: Path) -> Iterator[str]:
    """Everything a file imports, by its dotted name, wherever in the file the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> set[str]:
    """Which parts of polythink a file imports."""
    return {name.split(".")[1] for name in reached(path) if name.startswith("polythink.")}


def test_the_table_of_arrows_names_every_layer_and_every_layer_has_code() -> None:
    assert sorted(ARROWS) == sorted(LAYERS)
    assert all(modules(layer) for layer in LAYERS)


@pytest.mark.parametrize("layer", [*LAYERS, "examples"])
def test_a_layer_is_a_link_in_the_package_and_shadows_nothing(layer: str) -> None:
    link = ROOT / "polythink" / layer
    assert link.is_symlink() and os.readlink(link) == f"../{layer}"
    assert link.resolve() == ROOT / layer
    assert list((ROOT / layer).rglob("__init__.py")) == []


def test_python_started_at_the_root_finds_the_standard_library() -> None:
    code = "import asyncio, selectors; print(selectors.__file__); selectors.SelectSelector"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert found.startswith(sysconfig.get_path("stdlib"))


@pytest.mark.parametrize("layer", LAYERS)
def test_arrows_between_folders_only_run_down(layer: str) -> None:
    allowed = ARROWS[layer] | SHARED | {layer, "__version__"}
    strays = {path.name: ours(path) - allowed for path in modules(layer)}
    assert {name: stray for name, stray in strays.items() if stray} == {}


@pytest.mark.parametrize("layer", LAYERS)
def test_nothing_is_imported_by_its_bare_folder_name(layer: str) -> None:
    bare = {path.name: {name.split(".")[0] for name in reached(path)} & set(LAYERS) for path in modules(layer)}
    assert {name: found - {"selectors"} for name, found in bare.items() if found - {"selectors"}} == {}


@pytest.mark.parametrize("layer", WITHOUT)
def test_some_layers_know_neither_ray_nor_the_sdk(layer: str) -> None:
    known = {path.name: {name.split(".")[0] for name in reached(path)} & WITHOUT[layer] for path in modules(layer)}
    assert {name: found for name, found in known.items() if found} == {}


@pytest.mark.parametrize("module", sorted(SHARED))
def test_what_everyone_shares_imports_nothing_of_ours_beyond_itself(module: str) -> None:
    assert ours(ROOT / "polythink" / f"{module}.py") <= SHARED


def test_no_file_of_code_is_too_long() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in tracked() if path.suffix == ".py"
    }
    assert {name: count for name, count in lengths.items() if count > MOST_LINES} == {}


def test_no_tracked_file_names_a_machine_or_holds_a_secret() -> None:
    found = {}
    for path in tracked():
        text = path.read_bytes().decode("utf-8", "replace")
        if path != Path(__file__) and (match := NOT_OURS.search(text)):
            found[str(path.relative_to(ROOT))] = match[0]
    assert found == {}


def test_a_wheel_of_a_clean_copy_installs_into_an_empty_environment_and_runs(tmp_path: Path) -> None:
    tracked()
    copy, wheels, empty = tmp_path / "copy", tmp_path / "wheels", tmp_path / "empty"
    subprocess.run(["git", "archive", "-o", str(tmp_path / "copy.tar"), "HEAD"], cwd=ROOT, check=True)
    with tarfile.open(tmp_path / "copy.tar") as tar:
        tar.extractall(copy, filter="tar")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    at_hand = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    build = [*pip, "wheel", "--no-deps", *at_hand, "--wheel-dir", str(wheels), str(copy)]
    built = subprocess.run(build, capture_output=True, text=True, check=False)
    if not at_hand and "No matching distribution found for hatchling" in built.stderr:
        pytest.skip("the build backend is neither installed nor to be had from an index")
    assert built.returncode == 0, built.stderr
    (wheel,) = wheels.glob("*.whl")
    venv.create(empty, with_pip=False, symlinks=True)
    python = empty / "bin" / "python"
    subprocess.run(
        [*pip, "--python", str(python), "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True
    )
    said = subprocess.run(
        [empty / "bin" / "polythink", "--version"],
        cwd=tmp_path,
        env={"PYTHONPATH": sysconfig.get_path("purelib"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "0." in said
    where = [str(python), "-c", "import polythink.selectors.votes as v; print(v.__file__)"]
    assert str(empty) in subprocess.run(where, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
