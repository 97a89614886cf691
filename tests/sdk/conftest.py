"""The gateway as its users meet it: the built binary, real sockets, real SDKs.

`Process` runs one `nowait` on a port of its own with an environment that has
nothing of the caller's in it. The fixtures are the three set-ups that nearly
every test wants: nothing configured, providers configured, keys configured.
"""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

pytest_plugins = ["gateways"]

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENV = ROOT / ".test-env"
OPENAPI = ROOT / "src/server/pages/openapi.json"


def pytest_terminal_summary(terminalreporter):
    """Says what could not be tried for want of other people's data."""
    import provider
    import shapes

    for is_there, otherwise in [(shapes.spec(), shapes.ABSENT), (provider.recordings(), provider.ABSENT)]:
        if not is_there:
            terminalreporter.write_line(otherwise)


def binary():
    """The `nowait` under test: `NOWAIT_BIN`, else what `cargo build` made."""
    if given := os.environ.get("NOWAIT_BIN"):
        return given
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return str(target / "debug/nowait")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(condition, what, seconds=20.0):
    """Polls `condition` until it is true; fails, naming `what`, if it stays false."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen within {seconds} s")
        time.sleep(0.02)
    return value


class Process:
    """One running `nowait`, its address and what it has printed."""

    def __init__(self, folder, *arguments, environment=None, config=None, port=None):
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "output.log"
        if config is not None:
            (folder / "nowait.toml").write_text(config)
        clean = {"PATH": os.environ["PATH"], "HOME": str(folder), **(environment or {})}
        command = [binary(), *arguments, "--listen", f"127.0.0.1:{self.port}"]
        with self.log.open("wb") as log:
            self.child = subprocess.Popen(command, cwd=folder, env=clean, stdout=log, stderr=log)
        until(self.answers, f"the start of {' '.join(command)}")

    def answers(self):
        if self.child.poll() is not None:
            raise AssertionError(f"nowait ended with {self.child.returncode}:\n{self.output()}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def output(self):
        return self.log.read_text(errors="replace")

    def stop(self):
        """Ends it as a service manager does, and asks for a clean end."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)
        try:
            code = self.child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            raise AssertionError(f"nowait did not end at SIGTERM:\n{self.output()}") from None
        assert code == 0, f"nowait ended with {code}:\n{self.output()}"
        assert "panicked" not in self.output(), self.output()


@pytest.fixture(scope="session")
def start(tmp_path_factory):
    """Starts processes and ends them all when the session does."""
    running = []

    def begin(*arguments, **options):
        process = Process(tmp_path_factory.mktemp("nowait"), *arguments, **options)
        running.append(process)
        return process

    yield begin
    failures = []
    for process in reversed(running):
        try:
            process.stop()
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="session")
def zero(start):
    """nowait with nothing configured: the simulated provider answers."""
    return start()


@pytest.fixture(scope="session")
def sim(start):
    """The simulated provider alone."""
    return start("sim")


def configuration(sim, more=""):
    """Two providers of the known names and one called `sim`, all of them `sim`."""
    return f"""
[providers.sim]
base_url = "{sim.url}/v1"

[providers.openai]
api_key = "test"
base_url = "{sim.url}/v1"

[providers.anthropic]
api_key = "test"
base_url = "{sim.url}"
{more}"""


@pytest.fixture(scope="session")
def gateway(start, sim):
    """nowait in front of a simulated provider in a process of its own."""
    return start(config=configuration(sim))


KEY, NARROW = "nowait-test-key", "nowait-narrow-key"


@pytest.fixture(scope="session")
def guarded(start, sim):
    """nowait that asks for a key; the second of its two may use one model only."""

    def entry(name, key, models, admin):
        digest = hashlib.sha256(key.encode()).hexdigest()
        return f'\n[[keys]]\nname = "{name}"\nhash = "sha256:{digest}"\nmodels = {models}\nadmin = {admin}\n'

    keys = entry("all", KEY, '["*"]', "true") + entry("narrow", NARROW, '["gpt-4o-mini"]', "false")
    return start(config=configuration(sim, keys))


@pytest.fixture
def http():
    with httpx.Client(timeout=30) as client:
        yield client


@pytest.fixture(scope="session")
def api():
    """The description of nowait's endpoints."""
    return json.loads(OPENAPI.read_text())


@pytest.fixture(scope="session")
def node_home():
    """Where Node's packages are, and the scripts of `node/` beside them."""
    home = ENV / "node"
    for script in (pathlib.Path(__file__).parent / "node").glob("*.mjs"):
        shutil.copy(script, home)
    return home


NODE = pathlib.Path(sys.executable).parent / "node"


@pytest.fixture(scope="session")
def node(node_home):
    """Runs a script of `node/` and returns what it printed as JSON."""

    def run(script, *arguments):
        done = subprocess.run(
            [NODE, script, *arguments], cwd=node_home, capture_output=True, text=True, timeout=90
        )
        assert done.returncode == 0, f"{script} failed:\n{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def node_server(node_home):
    """Starts a script of `node/` that serves until its input ends; returns the address it prints."""
    running = []

    def begin(script, *arguments):
        process = subprocess.Popen(
            [NODE, script, *arguments], cwd=node_home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        running.append(process)
        address = process.stdout.readline().strip()
        assert address.startswith("http://"), f"{script} did not start: {address}"
        return address

    yield begin
    for process in running:
        process.communicate(timeout=20)
