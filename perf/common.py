"""perf/common.py: what the measurements share: cores, processes, the server, the steered client, and
the median of ratios.

Windows of two kinds take turns, a pair after the other, because two runs here differ by a quarter
and two windows next to each other do not. A ratio is that of one pair; what is told is the median of
all, with the interval that a bootstrap over the pairs gives.
"""
import contextlib
import datetime
import json
import os
import pathlib
import platform
import random
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.request

READY_SECONDS = 10
SAMPLE = re.compile(r"^(\w+)(\{[^}]*\})? (\S+)$", re.M)
CONFLATED = 'ringcast_dropped_total{policy="conflate",reason="slow"}'
CLIENT_LOAD_MAX = 0.8  # of a core; above it the client is what is measured


class NotMeasured(Exception):
    """The sentence says what stands in the way."""


# ---- the machine

def two_cores():
    """One for the server, one for the client, and a sentence when there is only one."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return cores[0], cores[0], "server and client share the one core there is"
    return cores[0], cores[1], None


def machine():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", text)
    return {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "kernel": platform.release(),
            "cpu": model[1] if model else platform.machine(),
            "cores": os.cpu_count(),
            "load_average": round(os.getloadavg()[0], 2)}


def show_machine(about):
    print(f"\n  {about['date']}, Linux {about['kernel']}, {about['cores']} x {about['cpu']}, "
          f"load average {about['load_average']}")


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


# ---- processes

def start_on(core, command, **how):
    """As a process of ours on that core; an interrupt from the terminal comes to us alone."""
    how.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.Popen([str(word) for word in command], start_new_session=True,
                            preexec_fn=lambda: os.sched_setaffinity(0, {core}), **how)


def end(process):
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
    if process.poll() is None:
        process.kill()
    process.wait()


class Server:
    def __init__(self, path, core, folder, *options, log_level="warn", environment=None):
        port, admin = free_ports(2)
        self.port, self.address, self.admin = port, f"127.0.0.1:{port}", f"127.0.0.1:{admin}"
        self.log = pathlib.Path(folder) / f"server-{port}.log"
        command = [path, "serve", "--listen", self.address, "--admin", self.admin, "--kart-stamp",
                   "--log-level", log_level, "--log-format", "logfmt", "--limit-exempt", "127.0.0.0/8",
                   *options]
        with self.log.open("wb") as log:
            self.process = start_on(core, command, stdout=log, stderr=log,
                                    env={**os.environ, **(environment or {})})

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=5) as answer:
            return answer.read().decode()

    def wait_until_ready(self):
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise NotMeasured(f"the server ended at once:\n{self.log.read_text()}")
            with contextlib.suppress(OSError):
                self.get("/readyz")
                return self
            time.sleep(0.05)
        raise NotMeasured(f"the server was not ready after {READY_SECONDS} s")

    def metrics(self):
        """Each sample as it is written, and under its bare name the sum over all labels."""
        sums = {}
        for name, labels, value in SAMPLE.findall(self.get("/metrics")):
            for key in {name, name + labels}:
                sums[key] = sums.get(key, 0) + float(value)
        return sums

    def wait_for(self, members, more=0, seconds=20):
        """Until there are so many, and at most `more` beside, who come and go."""
        deadline = time.monotonic() + seconds
        while not members <= (count := self.metrics()["ringcast_members"]) <= members + more:
            if time.monotonic() > deadline:
                raise NotMeasured(f"the server has {count:.0f} members, not {members}")
            time.sleep(0.1)


class Progress:
    """What is going on, on stderr: one line that changes where that is a terminal, else one each 5 s."""
    EVERY_SECONDS = 5

    def __init__(self, name):
        self.name, self.shown_at = name, time.monotonic()
        self.terminal = sys.stderr.isatty()

    def show(self, text):
        now = time.monotonic()
        if not self.terminal and now - self.shown_at < self.EVERY_SECONDS:
            return
        self.shown_at = now
        line = f"{self.name}: {text.strip()}"
        sys.stderr.write(f"\r\033[K{line[:150]}" if self.terminal else f"{line}\n")
        sys.stderr.flush()

    def clear(self):
        """Before something else is printed."""
        if self.terminal:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()


class Steered:
    """A ringcast-bench that measures a window when it is asked to. What it says of its progress, in lines
    that begin with a blank, goes to `progress`."""

    def __init__(self, core, command, progress=None, **how):
        self.progress = progress
        self.process = start_on(core, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, **how)
        self.said = []

    def wait_until_asking(self):
        for line in self.process.stderr:
            if "asking" in line:
                break
            self.hear(line)
        else:
            raise NotMeasured(f"ringcast-bench ended with exit code {self.process.wait()}: {self.said}")
        threading.Thread(target=self.listen, daemon=True).start()
        return self

    def hear(self, line):
        if line.startswith(" "):
            if self.progress is not None:
                self.progress.show(line)
        elif not re.search(r": [a-z]+$", line):
            self.said.append(line)

    def listen(self):
        for line in self.process.stderr:
            self.hear(line)

    def window(self, kind=""):
        """The figures of one window that begins now; what kinds there are depends on the command."""
        self.process.stdin.write(kind + "\n")
        self.process.stdin.flush()
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if line == "}\n":
                return json.loads("".join(lines))
        raise NotMeasured(f"ringcast-bench ended with exit code {self.process.wait()}: {self.said}")

    def finish(self):
        """Everybody says goodbye; the exit code of that."""
        self.process.stdin.close()
        return self.process.wait(30)


class SteeredBench(Steered):
    """Its crowd receives a room's states."""

    def __init__(self, path, core, server, clients, seconds, tick):
        super().__init__(core, [
            path, "--steered", "--server", server.address, "--clients", clients, "--seconds", seconds,
            "--tick", tick, "--server-pid", server.process.pid])
        self.wait_until_asking()


# ---- figures

def median_and_interval(values):
    """The median, and where 95 of 100 medians of samples drawn from the values lie."""
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(values, k=len(values))) for _ in range(10_000))
    return statistics.median(values), medians[250], medians[9749]


def complaints_of_window(name, figures):
    """What makes a window of all members worth nothing, or shows a broken promise."""
    if figures["faults"]:
        yield f"{name}: faults of the server: {figures['faults']}"
    if figures["closed"]:
        yield f"{name}: clients were closed: {figures['closed']}"
    made = figures["ticks_seen"] * figures["clients"]
    if figures["delivered"] != made:
        yield f"{name}: {figures['delivered']} of {made} states were delivered"


def warn_of_load(about):
    if about["load_average"] > 0.5 * about["cores"]:
        print(f"perf: the load average is {about['load_average']}: something else is running "
              "here, so do not compare the figures with others", file=sys.stderr)
