"""Under the launcher an instrumentor costs nothing before its library is imported, and is active from then on.

Every test starts real child processes; frameworks are real, helpers and supervisors are the ones that users start.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from support import Ended, install_fake_distribution, launch_script, launcher, run, stored_spans

from .matrix import needs

EVERY = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "", "PYTHONWARNINGS": "default"}


def launch(code: str, **variables: str) -> Ended:
    """Launch a program that must end well, with every instrumentor that is installed."""
    ended = launch_script(code, **{**EVERY, **variables})
    assert ended.status == 0, ended
    return ended


def test_no_framework_is_imported_by_a_program_that_imports_none() -> None:
    """Neither the instrumentors nor their libraries are in memory."""
    code = """
    import sys
    frameworks = {"flask", "fastapi", "django", "celery", "requests", "httpx", "sqlalchemy", "starlette", "jinja2"}
    print(sorted(frameworks & {name.partition(".")[0] for name in sys.modules}))
    own = {name.split(".")[2] for name in sys.modules if name.startswith("opentelemetry.instrumentation.")}
    print(sorted(own & frameworks))
    """
    ended = launch(code)
    assert (ended.stdout, ended.stderr) == ("[]\n[]\n", "")


@pytest.mark.slow
@needs("flask", "opentelemetry.instrumentation.flask")
def test_framework_is_instrumented_wherever_it_is_imported() -> None:
    """In a thread, in a function, long after the start."""
    code = """
    import threading

    def serve():
        from flask import Flask
        app = Flask("app")
        app.get("/")(lambda: "served")
        print(app.test_client().get("/").text)

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    """
    ended = launch(code)
    assert ended.stdout == "served\n"
    assert [span.kind for span in stored_spans()] == ["server"]


@needs("flask", "opentelemetry.instrumentation.flask")
def test_program_that_imports_the_instrumentor_first_is_instrumented_too() -> None:
    """It may never call it; then its import alone must not keep ours from activating it."""
    code = """
    import opentelemetry.instrumentation.flask
    import flask
    app = flask.Flask("app")
    app.get("/")(lambda: "served")
    print(app.test_client().get("/").text)
    """
    ended = launch(code)
    assert (ended.stdout, ended.stderr) == ("served\n", "")
    assert [span.kind for span in stored_spans()] == ["server"]


LATE = """
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
import flask

class Late(BaseInstrumentor):
    def instrumentation_dependencies(self): return []
    def _instrument(self, **options): raise RuntimeError("no\\nluck")
    def _uninstrument(self, **options): ...
"""
ENTRY_POINT = "[opentelemetry_instrumentor]\nlate = late:Late\n"
# What the launcher does, for a distribution that comes into the path only when the program runs.
LOAD_LATE = """
import os, sys
from importlib.metadata import entry_points
from otel_tracker import instrumentors
from otel_tracker.distro import OtelTrackerDistro

instrumentors._NAMESPACE, instrumentors._TRIGGERS["late"] = "late", "flask"
sys.path.insert(0, os.environ["PATH_OF_LATE"])
(point,) = entry_points(group="opentelemetry_instrumentor", name="late")
OtelTrackerDistro().load_instrumentor(point, skip_dep_check=True)
was_imported = "late" in sys.modules
import flask
print(was_imported, flask.Flask("app").name, "late" in sys.modules)
"""


@needs("flask")
def test_instrumentor_that_fails_late_is_one_sentence_and_the_import_goes_on() -> None:
    """The library is as usable as without us."""
    folder = install_fake_distribution(Path("packages"), "late", {"late": LATE}, ENTRY_POINT)
    ended = launch(LOAD_LATE, PATH_OF_LATE=str(folder.resolve()), OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="*")
    assert ended.stdout == "False app True\n"
    assert ended.complaints == [
        "The instrumentor late failed (RuntimeError: no luck); the others work. "
        "Add late to OTEL_PYTHON_DISABLED_INSTRUMENTATIONS to silence this."
    ]


@pytest.mark.slow
@needs("flask")
def test_library_of_another_version_than_the_instrumentor_takes_is_one_sentence() -> None:
    """A version that comes into the path after the start is checked when it is imported."""
    folder = install_fake_distribution(Path("packages"), "late", {"late": LATE}, ENTRY_POINT)
    metadata = folder / "late-1.0.dist-info/METADATA"
    requirement = "Provides-Extra: instruments\nRequires-Dist: flask>=99; extra == 'instruments'\n"
    metadata.write_text(metadata.read_text(encoding="utf-8") + requirement, encoding="utf-8")
    ended = launch(LOAD_LATE, PATH_OF_LATE=str(folder.resolve()), OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="*")
    assert ended.stdout == "False app False\n"
    (sentence,) = ended.complaints
    assert sentence.startswith("The instrumentor late is skipped: ")
    assert "flask>=99" in sentence


SITE = """
from django.http import HttpResponse
from django.urls import path
DEBUG = False
SECRET_KEY = "x"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "site_settings"
urlpatterns = [path("items/<str:sku>", lambda request, sku: HttpResponse("42"))]
"""
DJANGO_STARTS = {
    "as manage.py does it": """
        import os
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
        import django
        django.setup()
        """,
    "as wsgi.py does it, after django was imported": """
        import os
        from django.core.wsgi import get_wsgi_application
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
        application = get_wsgi_application()
        """,
    "as asgi.py does it": """
        import os
        from django.core.asgi import get_asgi_application
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
        application = get_asgi_application()
        """,
    "with settings.configure()": """
        import site_settings
        from django.conf import settings
        names = ("SECRET_KEY", "ALLOWED_HOSTS", "ROOT_URLCONF")
        settings.configure(**{name: getattr(site_settings, name) for name in names})
        """,
    "with an instrumentor of its own": """
        import os
        os.environ["DJANGO_SETTINGS_MODULE"] = "site_settings"
        from opentelemetry.instrumentation.django import DjangoInstrumentor
        DjangoInstrumentor().instrument()
        import django
        django.setup()
        """,
}


@needs("django", "opentelemetry.instrumentation.django")
@pytest.mark.parametrize(
    "start",
    [case if case.startswith("as wsgi.py") else pytest.param(case, marks=pytest.mark.slow) for case in DJANGO_STARTS],
)
def test_django_is_instrumented_however_the_program_names_its_settings(start: str) -> None:
    """One server span a request; nothing configures Django but the program."""
    Path("site_settings.py").write_text(SITE, encoding="utf-8")
    Path("start.py").write_text(dedent(DJANGO_STARTS[start]), encoding="utf-8")
    ended = launch("import start\nfrom django.test import Client\nprint(Client().get('/items/A1').status_code)\n")
    assert (ended.stdout, ended.stderr) == ("200\n", "")
    (span,) = stored_spans()
    assert (span.kind, span.name) == ("server", "GET items/<str:sku>")


@pytest.mark.slow
@needs("django", "opentelemetry.instrumentation.django")
def test_django_without_settings_says_so_itself() -> None:
    """What Django raises is what it raises without us, and it can be configured afterwards."""
    code = """
    from django.core.exceptions import ImproperlyConfigured
    from django.test import Client
    import django.conf
    try:
        Client().get("/")
    except ImproperlyConfigured:
        print("refused", django.conf.settings.configured)
    """
    assert launch(code).stdout == "refused False\n"


ROLES = """
import os, sys
from otel_tracker import flush, traced

@traced
def work(method): ...

def child(method):
    work(method)
    assert flush()

if __name__ == "__main__":
    import multiprocessing
    for method in sys.argv[1:]:
        context = multiprocessing.get_context(method)
        processes = [context.Process(target=child, args=(method,)) for _ in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(30)
            assert process.exitcode == 0
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs a fork server, which Windows has not")
def test_children_of_a_fork_server_and_spawned_ones_are_traced() -> None:
    """Each stores its own spans; a fork server is not set up itself, but before it forks."""
    ended = launch_script(ROLES, "spawn", "forkserver")
    assert (ended.status, ended.stderr) == (0, "")
    methods = sorted(str(span.args["method"]) for span in stored_spans())
    assert methods == ["forkserver", "forkserver", "spawn", "spawn"]


def test_helper_is_not_set_up() -> None:
    """What `multiprocessing` starts to clean up after the program: no SDK, no threads instrumented, no file."""
    code = (
        "from multiprocessing.resource_tracker import main; import sys; "
        "print([name for name in ('opentelemetry.sdk', 'otel_tracker.lifecycle') if name in sys.modules])"
    )
    ended = run(*launcher(), sys.executable, "-c", code, **EVERY)
    assert (ended.stdout, ended.stderr) == ("[]\n", "")
    assert os.listdir() == []


@pytest.mark.parametrize(
    "command",
    [
        "manage.py runserver",
        pytest.param("uvicorn app:app --reload", marks=pytest.mark.slow),
        pytest.param("flask run --debug", marks=pytest.mark.slow),
    ],
)
def test_supervisor_sets_nothing_up_and_its_child_everything(command: str) -> None:
    """A program by that name, which starts itself again as the real one does."""
    program, *arguments = command.split()
    Path(program).write_text(
        "import os, subprocess, sys\n"
        "from opentelemetry import trace\n"
        "print(type(trace.get_tracer_provider()).__name__, 'opentelemetry.sdk' in sys.modules, flush=True)\n"
        "if not os.environ.get('RUN_MAIN'):\n"
        "    code = f'import runpy; runpy.run_path({sys.argv[0]!r})'\n"
        "    children = {'RUN_MAIN': 'true', 'WERKZEUG_RUN_MAIN': 'true'}\n"
        "    subprocess.run([sys.executable, '-c', code], env={**os.environ, **children}, check=True)\n",
        encoding="utf-8",
    )
    ended = run(*launcher(), sys.executable, program, *arguments, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="*")
    assert ended.stderr == ""
    assert ended.stdout == "ProxyTracerProvider False\nTracerProvider True\n"
    assert sorted(os.listdir()) == [program]
