"""What this process is for, told by its command line: most run the program, some only help it or watch over it.

Helpers (`multiprocessing`'s resource tracker) and supervisors (a reloader's parent, uvicorn's parent of workers) run
nothing that could be traced, and start under the launcher like everything else. They are told apart before anything is
set up. Where that is not certain, a process is an application: one set-up too many costs time, one too few
costs traces.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

APPLICATION = "application"
HELPER = "helper"
"""Runs no code of the program, and no process that is started by it does."""
FORK_SERVER = "fork server"
"""Runs no code of the program itself, but is forked into processes that do."""
SUPERVISOR = "supervisor"
"""Runs the program in processes that it starts, and that are set up by themselves."""

# https://github.com/python/cpython/blob/3.13/Lib/multiprocessing/resource_tracker.py, `ensure_running`. joblib's loky
# and Celery's billiard have their own copies, which are started in the same way.
_TRACKER = re.compile(r"from [\w.]+\.(?:resource_tracker|semaphore_tracker) import main\s*;")
_FORK_SERVER = re.compile(r"from multiprocessing\.forkserver import main\s*;")

_TRUE = ("1", "true", "t", "yes", "y", "on")


@dataclass(frozen=True, slots=True)
class _Command:
    """What an interpreter was told to run: code (``-c``), or a program, by module (``-m``) or file, with arguments."""

    code: str = ""
    program: str = ""
    arguments: tuple[str, ...] = ()


def current_role() -> str:
    """The role of this process; known from the interpreter's start on."""
    return role_of(sys.orig_argv, os.environ)


def role_of(command_line: Sequence[str], environment: Mapping[str, str]) -> str:
    """The role of a Python process with this command line and environment."""
    command = _parse(command_line)
    if command.code:
        if _TRACKER.match(command.code):
            return HELPER
        return FORK_SERVER if _FORK_SERVER.match(command.code) else APPLICATION
    is_supervisor = _SUPERVISORS.get(command.program)
    return SUPERVISOR if is_supervisor and is_supervisor(command.arguments, environment) else APPLICATION


def _parse(command_line: Sequence[str]) -> _Command:
    """As `python --help` describes it; options that are joined (``-Ic``) included."""
    rest = list(command_line[1:])
    while rest:
        word = rest.pop(0)
        if word in ("-W", "-X", "--check-hash-based-pycs"):
            del rest[:1]
        elif word.startswith("--") or re.match(r"-[WX]", word):
            continue
        elif found := re.match(r"-[A-Za-z]*?([cm])(.*)", word, re.DOTALL):
            value = found[2] or (rest.pop(0) if rest else "")
            return _Command(code=value) if found[1] == "c" else _Command(program=value, arguments=tuple(rest))
        elif not word.startswith("-"):
            return _Command(program=_program(word), arguments=tuple(rest))
    return _Command()


def _program(path: str) -> str:
    """The name of a script without folder and, on Windows, without its suffix."""
    name = re.split(r"[/\\]", path)[-1]
    return name.removesuffix(".exe").removesuffix("-script.py")


def _is_django_reloader(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """`manage.py runserver`: the parent, which watches files and starts itself again with ``RUN_MAIN``."""
    return arguments[:1] == ("runserver",) and "--noreload" not in arguments and environment.get("RUN_MAIN") != "true"


def _is_flask_reloader(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """`flask run` with a reloader, as in debug mode: the parent starts itself again with ``WERKZEUG_RUN_MAIN``."""
    if _flask_command(arguments) != "run" or environment.get("WERKZEUG_RUN_MAIN") == "true":
        return False
    asked = [word for word in arguments if word in ("--reload", "--no-reload")]
    if asked:
        return asked[-1] == "--reload"
    said = [word for word in arguments if word in ("--debug", "--no-debug")]
    # https://flask.palletsprojects.com/en/stable/config/#DEBUG: any other text than these three switches it on.
    in_environment = environment.get("FLASK_DEBUG", "").lower() not in ("", "0", "false", "no")
    return said[-1] == "--debug" if said else in_environment


def _flask_command(arguments: Sequence[str]) -> str:
    """The subcommand, behind the options of `flask` itself."""
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        if rest.pop(0) in ("-A", "--app", "-e", "--env-file"):
            del rest[:1]
    return rest[0] if rest else ""


def _is_uvicorn_supervisor(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """`uvicorn --reload` or with several workers: the parent spawns processes that import the application."""
    if "--reload" in arguments or environment.get("UVICORN_RELOAD", "").lower() in _TRUE:
        return True
    workers = environment.get("UVICORN_WORKERS") or environment.get("WEB_CONCURRENCY", "")
    for position, word in enumerate(arguments):
        if word == "--workers":
            workers = "".join(arguments[position + 1 : position + 2])
        elif word.startswith("--workers="):
            workers = word.partition("=")[2]
    return workers.isdecimal() and int(workers) > 1


_SUPERVISORS = {
    "manage.py": _is_django_reloader,
    "django": _is_django_reloader,
    "django-admin": _is_django_reloader,
    "flask": _is_flask_reloader,
    "uvicorn": _is_uvicorn_supervisor,
}
