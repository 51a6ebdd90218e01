"""Where results are printed."""

from __future__ import annotations

import sys

from rich.console import Console

UNSEEN_WIDTH = 160  # columns, where no terminal says how wide it is


def stdout_console() -> Console:
    """Stdout, as wide as its terminal; a pipe or file is not squeezed into eighty columns."""
    console = Console()
    return console if console.is_terminal else Console(width=UNSEEN_WIDTH)


def say(words: str) -> None:
    """What is not the result goes to stderr, at once."""
    print(words, file=sys.stderr, flush=True)
