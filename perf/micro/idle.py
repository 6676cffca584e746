"""perf/micro/idle.py --server PATH --micro PATH: what clients cost that do nothing.

Memory: resident bytes (Rss of smaps_rollup) of the empty server, with all clients seated, and after
all have left. CPU: of one ping and its pong, beside two bare loops over as many sockets at the same
pace: one that knows when to look for an answer, and one that waits for it by epoll, as a server
must. The three take turns, the others stopped; a turn's cost is the process's CPU and that of its
core's ksoftirqd, by the pings that the clients answered meanwhile.
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request

START_SECONDS = 120


class NotMeasured(Exception):
    """The sentence says what stands in the way."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", required=True, type=pathlib.Path, help="a release build")
    parser.add_argument("--micro", required=True, type=pathlib.Path)
    parser.add_argument("--clients", type=int, default=15_000)
    parser.add_argument("--turns", type=int, default=5, help="of each method")
    parser.add_argument("--seconds", type=float, default=4, help="of one turn")
    parser.add_argument("--json", type=pathlib.Path)
    return parser.parse_args()


def two_cores():
    cores = sorted(os.sched_getaffinity(0))
    return cores[0], cores[-1]


def start(command, core, **how):
    return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                            preexec_fn=lambda: os.sched_setaffinity(0, {core}), **how)


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.kill()
    process.wait()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    def __init__(self, options, core, *more):
        self.port, self.admin = free_port(), free_port()
        command = [options.server, "serve", "--listen", f"127.0.0.1:{self.port}", "--admin",
                   f"127.0.0.1:{self.admin}", "--workers", 1, "--kart-tick", "1h", "--log-level",
                   "warn", "--limit-exempt", "127.0.0.0/8", *more]
        self.process = start(command, core)
        deadline = time.monotonic() + 10
        while self.get("/readyz") is None:
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise NotMeasured("the server did not start")
            time.sleep(0.05)

    def get(self, path):
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}{path}", timeout=5) as got:
                return got.read().decode()

    def wait_for(self, count):
        deadline = time.monotonic() + 60
        pattern = re.compile(r'^ringcast_connections(?:\{[^}]*\})? (\d+)$', re.M)
        while sum(map(int, pattern.findall(self.get("/metrics") or ""))) != count:
            if time.monotonic() > deadline:
                raise NotMeasured(f"the server does not count {count} connections")
            time.sleep(0.2)

    def resident(self):
        text = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Rss:\s+(\d+) kB$", text, re.M)[1]) * 1024


def ready(process):
    """Waits until it says so."""
    while (line := process.stdout.readline().strip()) != "ready":
        if line == "":
            raise NotMeasured("the clients could not connect")


def crowd(options, core, port, *more):
    process = start([options.micro, "crowd", "--port", port, "--count", options.clients, *more],
                    core, stdout=subprocess.PIPE, text=True)
    ready(process)
    return process


def memory(options, server_core, client_core):
    """(empty, full, left), bytes."""
    with contextlib.ExitStack() as stack:
        server = Server(options, server_core)
        stack.callback(end, server.process)
        time.sleep(1)
        empty = server.resident()
        clients = crowd(options, client_core, server.port)
        stack.callback(end, clients)
        server.wait_for(options.clients)
        time.sleep(2)
        full = server.resident()
        end(clients)
        server.wait_for(0)
        time.sleep(2)
        return empty, full, server.resident()


class Side:
    """A process that pings, and the clients that answer it."""

    def __init__(self, name, options, folder, process, port, cores, *more):
        self.name, self.process, self.costs = name, process, []
        self.path = pathlib.Path(folder) / name.split()[0]
        self.clients = crowd(options, cores[1], port, "--answered", self.path, *more)

    def signal(self, number):
        for process in (self.clients, self.process):
            process.send_signal(number)

    def answered(self):
        return struct.unpack("=Q", self.path.read_bytes())[0]

    def cpu_ns(self):
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks)

    def turn(self, options, kernel):
        """The microseconds of a ping and its pong."""
        self.signal(signal.SIGCONT)
        time.sleep(2.5)  # what fell due while it was stopped
        count, cpu, soft = self.answered(), self.cpu_ns(), ksoftirqd_ns(kernel)
        time.sleep(options.seconds)
        count, cpu = self.answered() - count, self.cpu_ns() - cpu
        soft = ksoftirqd_ns(kernel) - soft
        self.signal(signal.SIGSTOP)
        self.costs.append((cpu + soft) / 1000 / count)
        self.rate = count / options.seconds


def ksoftirqd_of(core):
    for comm in pathlib.Path("/proc").glob("[1-9]*/comm"):
        with contextlib.suppress(OSError):
            if comm.read_text().strip() == f"ksoftirqd/{core}":
                return comm.parent / "schedstat"


def ksoftirqd_ns(path):
    return int(path.read_text().split()[0]) if path else 0


def bare(name, options, folder, stack, cores, *more):
    process = start([options.micro, "pinger", "--count", options.clients, *more], cores[0],
                    stdout=subprocess.PIPE, text=True)
    stack.callback(end, process)
    port = int(process.stdout.readline())
    side = Side(name, options, folder, process, port, cores, "--bare")
    stack.callback(end, side.clients)
    ready(process)
    side.signal(signal.SIGSTOP)
    return side


def pings(options, cores):
    """Three sides, measured in turns."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = Server(options, cores[0], "--ping", "1s", "--pong", "10m")
        stack.callback(end, server.process)
        ours = Side("server", options, folder, server.process, server.port, cores)
        stack.callback(end, ours.clients)
        ours.signal(signal.SIGSTOP)
        sides = [ours, bare("loop that knows when to look", options, folder, stack, cores),
                 bare("epoll loop that waits for answers", options, folder, stack, cores,
                      "--waits")]
        kernel = ksoftirqd_of(cores[0])
        for _ in range(options.turns):
            for side in sides:
                side.turn(options, kernel)
        return [(side.name, statistics.median(side.costs), side.rate) for side in sides]


def verdict(held):
    return "held" if held else "MISSED"


def main():
    options = arguments()
    cores = two_cores()
    print(f"{options.clients} clients, server on core {cores[0]}, clients on core {cores[1]}, load "
          f"{os.getloadavg()[0]:.2f}", flush=True)
    try:
        empty, full, left = memory(options, *cores)
        each = (full - empty) / options.clients
        print(f"  resident: empty {empty / 1024:.0f} KiB, full {full / 1024:.0f} KiB, "
              f"after all have left {left / 1024:.0f} KiB")
        print(f"  each client: {each:.0f} bytes (goal 400: {verdict(each <= 400)}); left behind: "
              f"{(left - empty) / empty:+.1%} (goal 5 %: {verdict(left <= empty * 1.05)})",
              flush=True)
        sides = pings(options, cores)
    except NotMeasured as why:
        print(f"idle: not measured: {why}", file=sys.stderr)
        return 2
    for name, cost, rate in sides:
        print(f"  {cost:6.2f} us of CPU a ping and pong at {rate:.0f} a second: {name}"
              f"{'' if name == 'server' else f'; the server takes {sides[0][1] / cost:.2f} of it'}")
    if options.json:
        options.json.write_text(json.dumps({
            "clients": options.clients, "empty": empty, "full": full, "left": left,
            "each": each, "pings": [{"what": name, "us": cost, "rate": rate}
                                    for name, cost, rate in sides]}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
