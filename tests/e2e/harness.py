"""tests/e2e/harness.py: what the end-to-end tests share: the server as a process, its log, its
metrics, and plain HTTP.

    with Server("--dev") as server:
        with server.client() as client:
            client.read_state()

A test is a function `test_...` with a sentence as its docstring. It fails by raising. Leaving the
`with` fails, too, when the server is gone although nobody stopped it, or when it said something that
a server never should (a failed assertion, undefined behaviour). So does an error that a test meets
and that has no row in ERRORS.md.
"""
import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

import rawclient
from rawclient import Client, Response

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "tools"))
import errors  # noqa: E402

rawclient.knows_close = lambda code, reason: errors.knows(f"close {code}", reason)
READY_SECONDS = 10
STATE_IDLE = '{"phase":"idle","pot":0,"time_remaining_ms":0}'


class Skip(Exception):
    """The test cannot run here; the sentence says why."""


def alone(test):
    """Marks a test that runs while no other does."""
    test.alone = True
    return test


def brings(bring):
    """Marks a test that needs what `bring()` brings: that is done before any test's time begins."""
    def mark(test):
        test.brings = bring
        return test
    return mark


# ---- ports: each test has its own block, below those that the kernel gives to clients

PORTS_EACH = 100
next_port = int(os.environ.get("E2E_PORTS", "21000"))


def free_port():
    global next_port
    while True:
        port, next_port = next_port, next_port + 1
        with contextlib.closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


def wait_until(happens, seconds, what):
    """Polls until `happens()` is true, and returns that; fails with `what` when it never is."""
    deadline = time.monotonic() + seconds
    while True:
        value = happens()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.01)


def binary():
    return os.environ["E2E_BINARY"]


def environment(changes):
    """This process's, without what would configure the server, and with `changes`."""
    clean = {name: value for name, value in os.environ.items()
             if name != "PORT" and not name.startswith("RINGCAST_")}
    return clean | changes


# ---- the server

class Server:
    """A running `ringcast serve`. `env` is added to a clean environment; `ports` are its two, else
    free ones; `how` is Popen's: other streams, inherited descriptors, what to do before the exec."""

    def __init__(self, *options, env=None, ready=True, ports=None, **how):
        self.port, self.admin = ports or (free_port(), free_port())
        self.key = "dev" if "--dev" in options else (env or {}).get("RINGCAST_API_KEY")
        self.log_file = tempfile.NamedTemporaryFile(prefix="ringcast-e2e-", suffix=".log")
        command = [binary(), "serve", "--listen", f"127.0.0.1:{self.port}",
                   "--admin", f"127.0.0.1:{self.admin}"]
        if "--log-format" not in options:
            command += ["--log-format", "logfmt"]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": self.log_file}
        self.process = subprocess.Popen(command + list(options), env=environment(env or {}),
                                        **(streams | how))
        self.stopped = False
        if ready:
            self.wait_ready()

    def wait_ready(self):
        wait_until(lambda: self.has_ended() or "listening" in self.log_text(), READY_SECONDS,
                   lambda: f"the server listens; its log: {self.log_text()}")
        if self.has_ended():
            raise AssertionError(f"the server did not start: {self.log_text()}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        ended = None if self.stopped else self.process.poll()
        self.process.kill()
        self.process.wait()
        text = self.log_text()
        self.log_file.close()
        if kind is not None:
            sys.stderr.write(f"the server's log ended with:\n{text[-2500:]}\n")
        if ended is not None:
            raise AssertionError(f"the server ended by itself with {ended}: {text[-1500:]}")
        if re.search(r"[Aa]ssertion|runtime error|panic|Sanitizer", text):
            raise AssertionError(f"the server complained: {text[-3000:]}")

    def has_ended(self):
        return self.process.poll() is not None

    def signal(self, number):
        self.stopped = True
        self.process.send_signal(number)

    def wait_exit(self, seconds):
        """The exit code; fails when the process is still there."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server still runs after {seconds} s") from None

    def memory(self):
        """Resident bytes."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024

    def cpu_seconds(self):
        """What it has used of the processors since its start."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    # -- log

    def log_text(self):
        return pathlib.Path(self.log_file.name).read_text(errors="surrogateescape")

    def log_lines(self, **fields):
        """Each logfmt line as a dict, those whose fields are as given."""
        lines = (parse_logfmt(line) for line in self.log_text().splitlines() if "=" in line)
        return [line for line in lines
                if all(line.get(key) == str(value) for key, value in fields.items())]

    # -- HTTP

    def get(self, path, port=None, **headers):
        return request(port or self.admin, "GET", path, headers=headers)

    def command(self, line, room=None, key=None):
        """POSTs a host's command, and returns the response."""
        path = "/v1/rooms/kart/commands" if room is None else f"/v1/rooms/kart/{room}/commands"
        return self.post(path, json.dumps({"command": line}).encode(), key)

    def post(self, path, body, key=None):
        headers = {"Authorization": f"Bearer {key or self.key}", "Content-Type": "application/json"}
        return request(self.admin, "POST", path, headers=headers, body=body)

    def do(self, line, room=None):
        """A command that must be accepted; the state after it."""
        response = self.command(line, room)
        assert response.status == 200, f"{line}: {response.status} {response.body!r}"
        return response.json()

    # -- clients and metrics

    def client(self, path="/ws", **how):
        return Client(self.port, path, **how)

    def metrics(self):
        return Metrics(self.get("/metrics"))

    def metric(self, name, **labels):
        return self.metrics().get(name, **labels)

    def wait_metric(self, value, name, seconds=5, **labels):
        wait_until(lambda: self.metric(name, **labels) == value, seconds,
                   lambda: f"{name}{labels} is {value}: {self.metric(name, **labels)}")


class Metrics:
    """One reading of /metrics."""

    LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
    LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)",?')

    def __init__(self, response):
        assert response.status == 200, f"/metrics: {response.status}"
        self.samples, self.types = [], {}
        for line in response.body.decode().splitlines():
            if line.startswith("# TYPE "):
                _, _, name, kind = line.split(" ")
                assert name not in self.types, f"TYPE of {name} came twice"
                self.types[name] = kind
            elif line and not line.startswith("#"):
                self.add(line)

    def add(self, line):
        match = self.LINE.fullmatch(line)
        assert match, f"not a sample: {line!r}"
        labels = dict(self.LABEL.findall(match[2] or ""))
        self.samples.append((match[1], labels, float(match[3])))

    def get(self, name, **labels):
        """The sum over the samples with these labels; 0 when the metric has none of them yet. A name
        that /metrics does not know at all fails."""
        assert name in self.types, f"/metrics does not know {name}"
        return sum(value for other, have, value in self.samples if other == name and
                   all(have.get(key) == str(wanted) for key, wanted in labels.items()))


def parse_logfmt(line):
    fields = {}
    for key, quoted, plain in re.findall(r'([^\s=]+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))', line):
        fields[key] = re.sub(r"\\(.)", r"\1", quoted) if quoted else plain
    return fields


# ---- HTTP

def exchange(port, data, seconds=5.0):
    """Sends bytes on a fresh connection; the one response to them, read to the end of the stream.
    The server must end it (THREATS: after a failed upgrade the socket is closed)."""
    with Client(port, handshake=False) as client:
        with contextlib.suppress(rawclient.Ended):
            client.send_bytes(data)
        raw = client.read_to_end(seconds)
    response = Response(raw)
    assert response.whole, f"a body shorter than its Content-Length: {raw!r}"
    assert not response.rest, f"more than one answer: {raw!r}"
    assert response.headers.get("connection", "").lower() == "close", response.headers
    return response


def request(port, method, path, *, headers=None, body=None):
    lines = {"Host": f"127.0.0.1:{port}"} | (headers or {})
    if body is not None and "Content-Length" not in lines:
        lines["Content-Length"] = str(len(body))
    text = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in lines.items())
    return exchange(port, text.encode("latin-1") + b"\r\n" + (body or b""))


def expect_error(response, *statuses):
    """One of these statuses, with {"error":{"code":...,"message":...}} as its body."""
    assert response.status in statuses, f"{response.status} {response.body!r}, wanted {statuses}"
    assert response.headers.get("content-type", "").startswith("application/json"), response.headers
    error = response.json()["error"]
    assert set(error) == {"code", "message"} and error["code"] and error["message"], error
    expect_known(f"HTTP {response.status}", error["code"])
    return error


def expect_known(place, code):
    assert errors.knows(place, code), f"{place} {code} is not in ERRORS.md"


# ---- several at once

class Reader(threading.Thread):
    """Reads a client's states in the background until stopped: (arrival, state) in `seen`."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self.client, self.seen, self.failure, self.stopping = client, [], None, False
        self.start()

    def run(self):
        try:
            while not self.stopping:
                with contextlib.suppress(TimeoutError):
                    state = self.client.read_state(0.2)
                    self.seen.append((time.monotonic(), state))
        except Exception as why:  # noqa: BLE001 -- told by stop()
            self.failure = why

    def stop(self):
        self.stopping = True
        self.join(10)
        if self.failure is not None:
            raise AssertionError(f"a reader failed: {self.failure!r}")
        return self.seen


def longest_gap(seen):
    """The longest time between two arrivals."""
    return max(later[0] - earlier[0] for earlier, later in zip(seen, seen[1:]))


def sequence(seen):
    return [state["s"] for _, state in seen]


def is_gapless(numbers):
    return all(later == earlier + 1 for earlier, later in zip(numbers, numbers[1:]))


class Crowd:
    """A process of its own that holds `count` connections and reads what they get."""

    def __init__(self, port, count, path="/ws"):
        self.process = subprocess.Popen(
            [sys.executable, str(FOLDER / "crowd.py"), str(port), str(count), path],
            stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.strip() == f"joined {count}", f"the crowd says {line!r}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    def ask(self, word):
        """Sends a line, returns the answer as numbers."""
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return [int(number) for number in self.process.stdout.readline().split()]
