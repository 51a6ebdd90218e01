"""An environment for each peer, made by pip from the pins of peers.toml, once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

CACHE = Path(".bench/peers")
INSTALL_WITHIN_S = 900.0
_SHOWN = 300  # characters of pip's last words


def python_of(name: str) -> Path:
    return CACHE / name / "venv/bin/python"


def prepare(name: str, pins: Sequence[str]) -> str | None:
    """Make the environment if it is not there with just these pins; why it cannot be made, if it cannot."""
    wanted = "\n".join(pins) + "\n"
    stamp = CACHE / name / "pins.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return None
    python = python_of(name)
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(python.parents[1])],
        [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pins],
    ):
        if reason := _failure(command):
            return reason
    stamp.write_text(wanted)
    return None


def _failure(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_WITHIN_S)
    except subprocess.TimeoutExpired:
        return f"not installed within {INSTALL_WITHIN_S:.0f} s"
    if done.returncode == 0:
        return None
    said = [line for line in done.stderr.splitlines() if line.strip()]
    return f"cannot be installed: {(said or ['no reason given'])[-1][:_SHOWN]}"
