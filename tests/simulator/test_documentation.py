"""The documentation's commands run as written, and every option and fault it should name is named."""

import inspect
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from polythink.cli.simulate import simulate
from polythink.simulator.faults import KINDS, read_plan
from polythink.simulator.process import SimulatorProcess

PAGE = (Path(__file__).parents[2] / "docs/simulator.md").read_text(encoding="utf-8")
ADDRESS = "http://127.0.0.1:8765"
BLOCKS = [block for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) if block.startswith("curl")]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_examples_answer_as_the_page_says() -> None:
    assert len(BLOCKS) >= 8
    with SimulatorProcess.start(["--tier", "start", "--control", "--refusals", "0"]) as simulator:
        for block in BLOCKS:
            command = block.replace(ADDRESS, simulator.base_url)
            said = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=30, check=True)
            for wanted in re.findall(r"^# -> (.*)$", block, re.MULTILINE):
                assert wanted in said.stdout, f"{command}\n{said.stdout}"


def test_fault_plan_of_the_page_is_valid_and_every_kind_is_named() -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(read_plan(yaml.safe_load(example)).rules) == 5
    assert [kind for kind in KINDS if f"`{kind}`" not in PAGE] == []


def test_every_option_is_documented() -> None:
    obvious = {"host", "seed", "pace", "latency"}
    options = set(inspect.signature(simulate).parameters) - obvious
    assert [name for name in sorted(options) if f"--{name.replace('_', '-')}" not in PAGE] == []
