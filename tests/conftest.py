"""A real S3 API on the loopback interface, and a line to it that can be cut."""

import re
import select
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid

import pytest

START_SECONDS = 60


class S3Server:
    """A moto server in its own process; what it keeps is gone with it."""

    def __init__(self, log):
        self._log = log
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"], stdout=file, stderr=file
            )
        started = time.monotonic()
        while not (found := re.search(r"Running on http://127\.0\.0\.1:(\d+)", self.log())):
            assert self.process.poll() is None, self.log()
            assert time.monotonic() - started < START_SECONDS, self.log()
            time.sleep(0.1)
        self.port = int(found[1])

    def log(self):
        return re.sub(r"\x1b\[\d+m", "", self._log.read_text())

    def requests(self):
        """Every request so far as "METHOD path?query"; the log has a request before its answer is sent."""
        return re.findall(r'"([A-Z]+ \S+) HTTP/1\.1" \d+', self.log())

    def make_bucket(self):
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{name}", method="PUT")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request):
            return name

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Line:
    """Forwards connections to a port of this machine, late if wanted; refuses them while it is cut."""

    POLL_SECONDS = 0.02

    def __init__(self, target_port):
        self._target_port, self.port, self.delay_seconds = target_port, 0, 0.0
        self._changing = threading.Lock()
        self._is_cut = None
        self.mend()

    def mend(self):
        """Take connections (again), on the same port."""
        with self._changing:
            assert self._is_cut is None, "mended before it was cut"
            listener = socket.create_server(("127.0.0.1", self.port))
            self.port = listener.getsockname()[1]
            self._is_cut, self._threads = threading.Event(), []
            self._run(self._accept, listener, self._is_cut)

    def cut(self):
        """Break every connection and refuse new ones. A line that is cut stays so."""
        with self._changing:
            if self._is_cut is not None:
                self._is_cut.set()
                for thread in self._threads:  # grows until the first one, which accepts, has ended
                    thread.join()
                self._is_cut = None

    def cut_for(self, seconds):
        self.cut()
        time.sleep(seconds)
        self.mend()

    def _run(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener, is_cut):
        with listener:
            while not is_cut.is_set():
                if select.select([listener], [], [], self.POLL_SECONDS)[0]:
                    self._run(self._forward, listener.accept()[0], is_cut)

    def _forward(self, near, is_cut):
        with near, socket.create_connection(("127.0.0.1", self._target_port)) as far:
            other = {near: far, far: near}
            while not is_cut.is_set():
                for source in select.select([near, far], [], [], self.POLL_SECONDS)[0]:
                    try:
                        data = source.recv(1 << 16)
                        if source is near:
                            time.sleep(self.delay_seconds)
                        other[source].sendall(data)
                    except OSError:  # one end hung up
                        return
                    if not data:
                        return


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory):
    server = S3Server(tmp_path_factory.mktemp("s3") / "server.log")
    yield server
    server.stop()


@pytest.fixture(scope="session")
def s3_variables():
    """Credentials as users give them, and nothing of the machine's own (None = not set)."""
    return {
        "AWS_ACCESS_KEY_ID": "test-key",
        "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PROFILE": None,
        "AWS_ENDPOINT_URL": None,
        "AWS_ENDPOINT_URL_S3": None,
        "AWS_DEFAULT_REGION": None,
    }


@pytest.fixture
def s3_credentials(s3_variables, monkeypatch):
    """The variables in this process."""
    for name, value in s3_variables.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)


@pytest.fixture
def s3_uri(s3_server, s3_credentials, monkeypatch):
    """An empty prefix in an empty bucket; the server is named by the environment."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{s3_server.port}")
    return f"s3://{s3_server.make_bucket()}/results"


@pytest.fixture(scope="session")
def make_s3_line(s3_server):
    """Makes lines to the server that can be cut."""
    lines = []

    def make():
        lines.append(Line(s3_server.port))
        return lines[-1]

    yield make
    for line in lines:
        line.cut()


@pytest.fixture
def s3_line(make_s3_line, s3_credentials, monkeypatch):
    """A line of one's own; the environment names it, not the server."""
    line = make_s3_line()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{line.port}")
    yield line
    line.cut()
