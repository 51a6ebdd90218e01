"""The child's side of `sandbox.Sandbox`: load one function, call it for each line of arguments, answer each call.

Run as a script by its path, so that nothing of ours is imported and it starts in the time Python takes. Every message
is one line of JSON. In: first the orders {reference, path, memory_bytes, seconds}, then lists of argument lists. Out:
[value, null] or [null, "error message"], one for the loading and one per call.
"""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.util
import json
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

_MODULE_NAME = "polythink_user_function"


class LoadError(Exception):
    """The function reference leads nowhere; the message says why."""


def main() -> None:
    """Serve until the parent closes the pipe."""
    commands, replies = _take_pipes()
    orders = json.loads(commands.readline())
    try:
        _limit_memory(orders["memory_bytes"])
        sys.path[:] = orders["path"]
        function = load(orders["reference"])
    except BaseException as error:
        _send(replies, None, describe(error))
        return
    _send(replies, True, None)
    for line in commands:
        for arguments in json.loads(line):
            _answer(replies, function, arguments, orders["seconds"])


def _take_pipes() -> tuple[IO[str], IO[str]]:
    """Move the pipes out of the way, so that the function's own prints go to stderr and its reads find nothing."""
    commands, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return os.fdopen(commands, encoding="utf-8"), os.fdopen(replies, "w", encoding="utf-8")


def _limit_memory(size: int) -> None:
    with contextlib.suppress(ValueError, OSError):  # not every platform can limit it
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def _answer(replies: IO[str], function: Callable[..., Any], arguments: list[Any], seconds: float) -> None:
    # The parent keeps the time. This alarm is for a child whose parent has died: it must not run for ever.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 2 * seconds + 5)
    try:
        value = function(*arguments)
        line = json.dumps([value, None], default=_plain)
    except BaseException as error:  # an exit or an interrupt of the function's own is its failure, not ours
        line = json.dumps([None, describe(error)])
    signal.setitimer(signal.ITIMER_REAL, 0)
    replies.write(line + "\n")
    replies.flush()


def _plain(value: Any) -> Any:
    """A numpy scalar, array or tensor as Python numbers."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _send(replies: IO[str], value: Any, error: str | None) -> None:
    replies.write(json.dumps([value, error]) + "\n")
    replies.flush()


def load(reference: str) -> Callable[..., Any]:
    """The function at `path/to/file.py:function` or `package.module:function`. Raises LoadError."""
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise LoadError("a function is written path/to/file.py:function or package.module:function")
    module = _load_file(Path(place)) if place.endswith(".py") else _load_module(place)
    function = getattr(module, name, None)
    if callable(function):
        return function  # type: ignore[no-any-return]
    if function is not None:
        raise LoadError(f"{name} in {place} is not a function but {type(function).__name__}")
    known = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known) or 'no function'}"
    raise LoadError(f"{place} has no function {name}; {hint}")


def _load_file(path: Path) -> Any:
    if not path.is_file():
        raise LoadError(f"no such file: {path.absolute()}")
    sys.path.append(str(path.absolute().parent))  # so that it can import its neighbours
    spec = importlib.util.spec_from_file_location(_MODULE_NAME, path)
    if spec is None or spec.loader is None:
        raise LoadError(f"not a Python file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE_NAME] = module
    spec.loader.exec_module(module)
    return module


def _load_module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise LoadError(f"no module named {error.name}; is it installed, or in the current folder?") from error
        raise


def describe(error: BaseException) -> str:
    """The error in one line, with the function's line it came from where there is one."""
    if isinstance(error, LoadError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__)
    outside = [frame for frame in frames if frame.filename != __file__ and not frame.filename.startswith("<frozen")]
    where = f" ({Path(outside[-1].filename).name}:{outside[-1].lineno})" if outside else ""
    return f"{type(error).__name__}: {error}{where}"[:2000]


if __name__ == "__main__":
    main()
