"""perf/run.py --server PATH --bench PATH [fanout] [options]: the measured claims, by one command.

Starts the server on one core and ringcast-bench on another, waits, compares what the clients saw
with what the server's own metrics say, and prints the table. Exit code 0: the claim holds; 1: it
does not; 2: it could not be measured. `./zigw build perf` builds both and calls this.
"""
import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

READY_SECONDS = 10
STATE_FRAMES = 'ringcast_frames_sent_total{lane="state"}'
SAMPLE = re.compile(r"^(\w+)(\{[^}]*\})? (\S+)$", re.M)


class NotMeasured(Exception):
    """The sentence says what stands in the way."""


def arguments():
    parser = argparse.ArgumentParser(prog="perf", description=__doc__.split("\n")[0])
    parser.add_argument("--server", required=True, type=pathlib.Path, help="the server's binary")
    parser.add_argument("--bench", required=True, type=pathlib.Path, help="ringcast-bench")
    parser.add_argument("scenario", nargs="?", default="fanout", choices=["fanout"],
                        help="fanout: every client gets every state of its room")
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--rooms", type=int, default=1, help="spread the clients over that many")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--tick", default="500ms", help="the server's --kart-tick [500ms]")
    parser.add_argument("--payload", type=int, default=0, help="bytes of a state; 0: as it comes")
    parser.add_argument("--json", type=pathlib.Path, help="write all figures there, too")
    return parser.parse_args()


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


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def start_on(core, command, **how):
    """As a process of ours on that core; an interrupt from the terminal comes to us alone."""
    return subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                            start_new_session=True,
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
    def __init__(self, options, core, folder):
        port, admin = free_ports(2)
        self.address, self.admin = f"127.0.0.1:{port}", f"127.0.0.1:{admin}"
        self.log = pathlib.Path(folder) / "server.log"
        command = [options.server, "serve", "--listen", self.address, "--admin", self.admin,
                   "--kart-tick", options.tick, "--kart-stamp", "--log-level", "warn",
                   "--kart-payload", options.payload, "--rooms", max(options.rooms, 1),
                   "--limit-exempt", "127.0.0.0/8", "--workers", "1"]  # the claim is about one
        with self.log.open("wb") as log:
            self.process = start_on(core, command, stdout=log, stderr=log)

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
                return
            time.sleep(0.05)
        raise NotMeasured(f"the server was not ready after {READY_SECONDS} s")

    def metrics(self):
        """Each sample as it is written, and under its bare name the sum over all labels."""
        sums = {}
        for name, labels, value in SAMPLE.findall(self.get("/metrics")):
            for key in {name, name + labels}:
                sums[key] = sums.get(key, 0) + float(value)
        return sums


class Bench:
    """Runs the client. Its progress goes through to stderr, and at both ends of the window the
    server's metrics are taken, while every client is connected."""

    def __init__(self, options, core, server, folder):
        self.server, self.at = server, {}
        self.report = pathlib.Path(folder) / "report.json"
        path = "/ws" if options.rooms == 1 else "/ws/kart/bench-#"
        self.process = start_on(core, [
            options.bench, "--server", server.address, "--path", path, "--clients",
            options.clients, "--rooms", options.rooms, "--seconds", options.seconds, "--tick",
            options.tick, "--server-pid", server.process.pid, "--json", self.report],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def watch(self):
        for line in self.process.stderr:
            sys.stderr.write(line)
            phase = line.removeprefix("ringcast-bench: ").strip()
            if phase in ("measuring", "trailing"):
                with contextlib.suppress(OSError):
                    self.at[phase] = self.server.metrics()

    def run(self):
        """(the table, the figures)"""
        watcher = threading.Thread(target=self.watch)
        watcher.start()
        table = self.process.stdout.read()
        watcher.join()
        if self.process.wait() not in (0, 1) or not self.report.exists():
            raise NotMeasured(f"ringcast-bench ended with exit code {self.process.returncode}")
        return table, json.loads(self.report.read_text())


def window_of(at):
    if len(at) < 2:
        raise NotMeasured("the server did not answer /metrics at both ends of the window")
    begin, close = at["measuring"], at["trailing"]
    return {name: close[name] - begin.get(name, 0) for name in close}


def complaints_of_window(options, window, at_end):
    """What the server's own counters say against the claim."""
    ticks, encodes = window["ringcast_ticks_total"], window["ringcast_frame_encodes_total"]
    if encodes != ticks:
        yield f"{encodes:.0f} encodes for {ticks:.0f} ticks; one each is promised"
    if window.get("ringcast_disconnects_total", 0) > 0:
        yield f"the server counts {window['ringcast_disconnects_total']:.0f} disconnects"
    if at_end["ringcast_connections"] != options.clients:
        yield f"the server counts {at_end['ringcast_connections']:.0f} connections at the end"
    for name in ("ringcast_dropped_total", "ringcast_tick_overruns_total",
                 "ringcast_snapshots_failed_total", "ringcast_uring_cq_overflow_total"):
        if window.get(name, 0) > 0:
            yield f"{name} went up by {window[name]:.0f}"


def complaints_of_rest(server):
    """What is left behind when all clients have gone, and how the server ends."""
    deadline = time.monotonic() + 10
    left = server.metrics()
    while left["ringcast_connections"] > 0 and time.monotonic() < deadline:
        time.sleep(0.1)
        left = server.metrics()
    for name in ("ringcast_connections", "ringcast_outbox_storage_in_use",
                 "ringcast_message_buffers_in_use"):
        if left[name] != 0:
            yield f"{name} is {left[name]:.0f} when all clients have gone"
    server.process.send_signal(signal.SIGTERM)
    try:
        code = server.process.wait(40)
        if code != 0:
            yield f"the server ended with exit code {code}"
    except subprocess.TimeoutExpired:
        yield "the server did not end within 40 s of SIGTERM"
    log = server.log.read_text().strip()
    if log:
        yield f"the server said:\n{log}"


def measure(options, folder, server_core, client_core):
    """(the bench's table, all figures, complaints)"""
    server = Server(options, server_core, folder)
    with contextlib.ExitStack() as stack:
        stack.callback(end, server.process)
        server.wait_until_ready()
        bench = Bench(options, client_core, server, folder)
        stack.callback(end, bench.process)
        table, report = bench.run()
        window = window_of(bench.at)
        complaints = [*complaints_of_window(options, window, bench.at["trailing"]),
                      *complaints_of_rest(server)]
    if not report["kept"]:
        complaints.insert(0, "the clients did not get all, see the table")
    return table, {"bench": report, "server": window}, complaints


def show(options, about, table, figures, complaints):
    window = figures["server"]
    print(f"\n  {about['date']}, Linux {about['kernel']}, {about['cores']} x {about['cpu']}, "
          f"load average {about['load_average']}", end="")
    print(table, end="")
    print(f"  the server's own count: {window['ringcast_ticks_total']:.0f} ticks, "
          f"{window['ringcast_frame_encodes_total']:.0f} encodes, "
          f"{window[STATE_FRAMES]:.0f} frames, "
          f"{window['ringcast_sends_partial_total']:.0f} sends taken in part")
    for complaint in complaints:
        print(f"  AGAINST IT: {complaint}")
    claim = (f"{options.clients} clients receive every state for {options.seconds} s "
             f"at {options.tick} on one worker, none closed")
    print(f"\n  {'holds' if not complaints else 'DOES NOT HOLD'}: {claim}\n")


def main():
    options = arguments()
    about = machine()
    server_core, client_core, note = two_cores()
    if note:
        print(f"perf: {note}; latencies are those of both", file=sys.stderr)
    if about["load_average"] > 0.5 * about["cores"]:
        print(f"perf: the load average is {about['load_average']}: something else is running "
              "here, so do not compare the figures with others", file=sys.stderr)
    try:
        with tempfile.TemporaryDirectory() as folder:
            table, figures, complaints = measure(options, folder, server_core, client_core)
    except NotMeasured as why:
        print(f"perf: not measured: {why}", file=sys.stderr)
        return 2
    show(options, about, table, figures, complaints)
    if options.json:
        text = json.dumps({"machine": about, **figures, "holds": not complaints}, indent=2)
        options.json.write_text(text + "\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what was started, too
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
