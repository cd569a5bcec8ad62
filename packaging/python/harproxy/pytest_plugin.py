"""The pytest plugin: gives each test a session of its own under `harproxy record` and `harproxy replay`.

Entries carry the id of the test that recorded them, so one fixture holds a suite: a part of it, another order and
parallel workers (pytest-xdist) get the same answers. `pytest --harproxy=replay` starts harproxy around pytest. Without
harproxy the plugin does nothing.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
from urllib.parse import quote, urlsplit

import pytest

PROXY, CONTROL = "HARPROXY_RUN_PROXY", "HARPROXY_RUN_CONTROL"


class ControlError(Exception):
    """The control socket refused a request, or is gone."""


class Control(http.client.HTTPConnection):
    """The control socket of harproxy."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(os.environ[CONTROL])

    @classmethod
    def ask(cls, method, path, payload=None):
        connection = cls("localhost", timeout=10)
        try:
            connection.request(method, path, None if payload is None else json.dumps(payload))
            answer = connection.getresponse()
            members = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ControlError(
                f"harproxy's control socket {os.environ[CONTROL]} does not answer ({error}): "
                "start the tests with `harproxy replay -- pytest`"
            ) from error
        finally:
            connection.close()
        if answer.status != 200:
            raise ControlError(f"harproxy: {members.get('detail')}")
        return members


def pytest_addoption(parser):
    parser.getgroup("harproxy").addoption(
        "--harproxy",
        choices=["record", "replay"],
        help="run pytest under `harproxy record` or `harproxy replay`; `harproxy.toml` has their options",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests():
    """Gives a worker of pytest-xdist a user name in the proxy URL, before a client reads it."""
    worker, proxy = os.environ.get("PYTEST_XDIST_WORKER"), os.environ.get(PROXY)
    if not worker or not proxy:
        return
    url = urlsplit(proxy)
    user, password = f"{url.username}+{worker}" if url.username else worker, url.password or "x"
    for scheme in ("HTTP", "HTTPS"):
        name, own = f"{scheme}_PROXY", f"http://{user}:{password}@{url.hostname}:{url.port}"
        os.environ[name] = os.environ[name.lower()] = own


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config):
    """Runs pytest again under harproxy."""
    mode = config.getoption("harproxy")
    if not mode or os.environ.get(PROXY):
        return None
    command = ["harproxy", mode, "--", sys.executable, "-m", "pytest", *config.invocation_params.args]
    try:
        if os.name == "posix":
            os.execvp(command[0], command)
        return subprocess.call(command)
    except FileNotFoundError:
        raise pytest.UsageError("--harproxy needs harproxy on the PATH: `pip install harproxy`") from None


def pytest_configure(config):
    if os.environ.get(CONTROL):
        config.pluginmanager.register(Sessions(), "harproxy-sessions")


class Sessions:
    """Names the test of this process on the control socket."""

    def __init__(self):
        self.client = os.environ.get("PYTEST_XDIST_WORKER", "")
        # `--auth` puts its user name before that of the worker.
        user = urlsplit(os.environ.get("HTTP_PROXY", "")).username
        if self.client and user:
            self.client = user

    def name(self, test):
        Control.ask("POST", "/sessions", {"client": self.client, "name": test})

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item):
        # Also for each repetition of a flaky test, which begins anew.
        self.begin(item.nodeid)

    def begin(self, test):
        try:
            self.name(test)
        except ControlError as error:
            pytest.fail(str(error), pytrace=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        if report.failed:
            try:
                findings = Control.ask("GET", f"/findings?session={quote(item.nodeid, safe='')}")["findings"]
            except ControlError:
                findings = []
            if findings:
                report.sections.append(("harproxy", "\n".join(map(described, findings))))
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self):
        try:
            self.name(None)
        except ControlError:
            # The next test says so.
            pass


def described(finding):
    lines = [f"{finding['kind']}: {finding['request'] or ''}", *finding["explanation"].splitlines()]
    if finding["remedy"]:
        lines.append(f"hint: {finding['remedy']}")
    return "\n  ".join(lines)
