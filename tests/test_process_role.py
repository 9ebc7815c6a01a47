"""A process is told by its command line: what runs no code of the program is set up in no way."""

from __future__ import annotations

import pytest

from otel_tracker.process_role import APPLICATION, FORK_SERVER, HELPER, SUPERVISOR, current_role, role_of

TRACKER = "from multiprocessing.resource_tracker import main;main(3)"
SERVER = "from multiprocessing.forkserver import main; main(3, 5, ['__main__'], **{'sys_path': ['/srv']})"
SPAWNED = "from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=4, pipe_handle=8)"


@pytest.mark.parametrize(
    ("command_line", "role"),
    [
        (["-c", TRACKER], HELPER),
        (["-B", "-X", "dev", "-Wignore", "-W", "error", "-c", TRACKER], HELPER),
        (["-Ic", TRACKER], HELPER),
        ([f"-c{TRACKER}"], HELPER),
        (["-c", "from joblib.externals.loky.backend.resource_tracker import main; main(3, False)"], HELPER),
        (["-c", "from billiard.semaphore_tracker import main;main(3)"], HELPER),
        (["-c", SERVER], FORK_SERVER),
        (["-c", SPAWNED, "--multiprocessing-fork"], APPLICATION),
        (["-c", "print('from multiprocessing.resource_tracker import main;')"], APPLICATION),
        (["app.py", "-c", TRACKER], APPLICATION),
        (["-m", "app", "-c", TRACKER], APPLICATION),
        (["-c"], APPLICATION),
        ([], APPLICATION),
    ],
)
def test_helpers_of_multiprocessing_are_told_by_their_code(command_line: list[str], role: str) -> None:
    """Whatever interpreter options were handed down; text that only looks like it, elsewhere, is no such code."""
    assert role_of(["/usr/bin/python", *command_line], {}) == role


@pytest.mark.parametrize(
    ("command_line", "environment", "role"),
    [
        ("manage.py runserver", {}, SUPERVISOR),
        ("/srv/manage.py runserver 0.0.0.0:80", {}, SUPERVISOR),
        ("-m django runserver", {}, SUPERVISOR),
        ("/venv/bin/django-admin runserver", {}, SUPERVISOR),
        ("manage.py runserver", {"RUN_MAIN": "true"}, APPLICATION),
        ("manage.py runserver --noreload", {}, APPLICATION),
        ("manage.py migrate", {}, APPLICATION),
        ("manage.py test runserver", {}, APPLICATION),
        ("app.py runserver", {}, APPLICATION),
    ],
)
def test_djangos_reloader_is_a_supervisor_and_its_child_is_not(
    command_line: str, environment: dict[str, str], role: str
) -> None:
    """The child has ``RUN_MAIN``."""
    assert role_of(["python", *command_line.split()], environment) == role


@pytest.mark.parametrize(
    ("command_line", "environment", "role"),
    [
        ("flask --app shop run --debug", {}, SUPERVISOR),
        ("flask --app shop --debug run", {}, SUPERVISOR),
        ("flask -A shop run --reload", {}, SUPERVISOR),
        ("flask run", {"FLASK_DEBUG": "1"}, SUPERVISOR),
        ("flask run", {}, APPLICATION),
        ("flask run", {"FLASK_DEBUG": "false"}, APPLICATION),
        ("flask run --no-debug", {"FLASK_DEBUG": "1"}, APPLICATION),
        ("flask run --debug --no-reload", {}, APPLICATION),
        ("flask run --debug", {"WERKZEUG_RUN_MAIN": "true"}, APPLICATION),
        ("flask --app run --debug shell", {}, APPLICATION),
        ("flask", {}, APPLICATION),
    ],
)
def test_flasks_reloader_is_a_supervisor_and_its_child_is_not(
    command_line: str, environment: dict[str, str], role: str
) -> None:
    """As a script and as a module; the child has ``WERKZEUG_RUN_MAIN``."""
    program, *arguments = command_line.split()
    assert role_of(["python", f"/venv/bin/{program}", *arguments], environment) == role
    assert role_of(["python", "-m", program, *arguments], environment) == role


@pytest.mark.parametrize(
    ("command_line", "environment", "role"),
    [
        ("app:app --reload", {}, SUPERVISOR),
        ("--workers 2 app:app", {}, SUPERVISOR),
        ("app:app --workers=4", {}, SUPERVISOR),
        ("app:app", {"WEB_CONCURRENCY": "2"}, SUPERVISOR),
        ("app:app", {"UVICORN_RELOAD": "true"}, SUPERVISOR),
        ("app:app --workers 1", {"WEB_CONCURRENCY": "2"}, APPLICATION),
        ("app:app --workers", {}, APPLICATION),
        ("app:app --workers many", {}, APPLICATION),
        ("app:app", {"WEB_CONCURRENCY": "1"}, APPLICATION),
        ("app:app", {}, APPLICATION),
    ],
)
def test_uvicorns_parent_is_a_supervisor(command_line: str, environment: dict[str, str], role: str) -> None:
    """With a reloader or with several workers; with neither it serves the application itself."""
    assert role_of(["python", "/venv/bin/uvicorn", *command_line.split()], environment) == role
    assert role_of(["python.exe", "C:\\venv\\Scripts\\uvicorn.exe", *command_line.split()], environment) == role


def test_this_process_runs_the_program() -> None:
    """Tests are a program."""
    assert current_role() == APPLICATION
