"""perf/run.py --server PATH --bench PATH --micro PATH
[fanout|stalled|isolation|workers|rooms|handshakes|world] [options]: the measured claims. In place of them: scenario, curve, compare or plot, which are programs of their own.

Starts the server on one core and ringcast-bench on another, waits, compares what the clients saw
with what the server's own metrics say, and prints the table. Exit code 0: the claim holds; 1: it
does not; 2: it could not be measured. `./zigw build perf` builds both and calls this.
"""
import argparse
import contextlib
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

import common
import compare
import curve
import handshakes
import peers
import plot
import rooms
import scenarios
import stalled
import workers
import world
from common import NotMeasured, end, start_on

STATE_FRAMES = 'ringcast_frames_sent_total{lane="state"}'
STANDARD = {  # where the command line does not say
    "fanout": {"clients": 5000, "rooms": 1, "seconds": 60, "tick": "500ms", "payload": 0, "pairs": 0},
    "stalled": {"clients": 1000, "rooms": 1, "seconds": 5, "tick": "20ms", "payload": 512, "pairs": 20, "stalled": 10, "slow": 50},
    "isolation": {"clients": 1000, "rooms": 1, "seconds": 5, "tick": "20ms", "payload": 512, "pairs": 20,
                  "stalled": 10, "slow": 100},
    "workers": {"clients": 0, "rooms": 1, "seconds": 5, "tick": "100ms", "payload": 512, "pairs": 12},
    "rooms": {"clients": 0, "rooms": 1500, "seconds": 5, "tick": "", "payload": 64, "pairs": 12},
    "handshakes": {"clients": 16, "rooms": 64, "seconds": 5, "tick": "", "payload": 0, "pairs": 8},
    "world": {"clients": 2000, "rooms": 0, "seconds": 4, "tick": "", "payload": 0, "pairs": 8},
}


# Programs of their own: the words behind their name are theirs.
COMMANDS = {"scenario": scenarios.main, "curve": curve.main, "compare": compare.main, "peers": peers.main,
            "plot": plot.main}


def arguments():
    parser = argparse.ArgumentParser(
        prog="perf", description="A claim about ringcast, measured.",
        epilog=f"{', '.join(COMMANDS)} are programs of their own: --help behind the name tells of each")
    add = parser.add_argument
    add("--server", required=True, type=pathlib.Path, help="the server's binary")
    add("--bench", required=True, type=pathlib.Path, help="ringcast-bench")
    add("--micro", type=pathlib.Path, help="ringcast-micro; for world")
    add("scenario", nargs="?", default="fanout", choices=STANDARD,
        help="fanout: every client gets every state of its room; stalled: clients that do not read delay "
             "nobody; isolation: nor do one that floods and one that is malformed; workers: what a second worker costs; rooms: what chat in many rooms costs; "
             "handshakes: what a token costs; world: what the world costs beside a room")
    add("--clients", type=int, help="[5000; stalled: 1000; workers: 1000, then 5000; handshakes: 16 at once; world: 2000]")
    add("--rooms", type=int, help="fanout: spread the clients over that many [1; rooms: 1500; handshakes: 64]")
    add("--seconds", type=int, help="of the window, or of each [60; 5; world: 4]; rooms: messages of each room")
    add("--tick", help="the server's --kart-tick [500ms; stalled: 20ms; workers: 100ms]")
    add("--payload", type=int, help="bytes of a state; 0: as it comes [0; 512]; rooms: of a message [64]")
    add("--pairs", type=int, help="windows of each kind [stalled: 20; workers, rooms: 12; handshakes, world: 8]")
    add("--stalled", type=int, help="clients that never read [10]")
    add("--slow", type=int, help="clients that read slowly [50; isolation: 100]")
    add("--slow-rate", type=int, default=1024, help="bytes a second of each of them [1024]")
    add("--members", type=int, default=10, help="rooms, handshakes: of a room [10]")
    add("--period", default="1000ms", help="rooms: from one message of a room to the next [1000ms]")
    add("--ping", type=int, default=0, help="rooms: seconds from one ping of a client to the next, by both "
                                            "servers; 0: none [0]")
    add("--walkers", type=int, default=8000, help="world: the server's own [8000]")
    add("--json", type=pathlib.Path, help="write all figures there, too")
    options = parser.parse_args()
    for name, value in STANDARD[options.scenario].items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    return options


def fanout_server(options, core, folder):
    return common.Server(options.server, core, folder, "--kart-tick", options.tick, "--kart-payload",
                         options.payload, "--rooms", max(options.rooms, 1),
                         "--workers", "1")  # the claim is about one


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
        progress = common.Progress("perf")
        for line in self.process.stderr:
            if line.startswith(" "):
                progress.show(line)
            elif not line.startswith("ringcast-bench: "):
                sys.stderr.write(line)
            phase = line.removeprefix("ringcast-bench: ").strip()
            if phase in ("measuring", "trailing"):
                with contextlib.suppress(OSError):
                    self.at[phase] = self.server.metrics()
        progress.clear()

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
    server = fanout_server(options, server_core, folder)
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


def fanout(options):
    """(all figures, complaints, the claim)"""
    server_core, client_core, _ = common.two_cores()
    with tempfile.TemporaryDirectory() as folder:
        table, figures, complaints = measure(options, folder, server_core, client_core)
    window = figures["server"]
    print(table, end="")
    print(f"  the server's own count: {window['ringcast_ticks_total']:.0f} ticks, "
          f"{window['ringcast_frame_encodes_total']:.0f} encodes, "
          f"{window[STATE_FRAMES]:.0f} frames, "
          f"{window['ringcast_sends_partial_total']:.0f} sends taken in part")
    claim = (f"{options.clients} clients receive every state for {options.seconds} s "
             f"at {options.tick} on one worker, none closed")
    return figures, complaints, claim


SCENARIOS = {"fanout": fanout, "stalled": stalled.run, "isolation": stalled.run, "workers": workers.run,
             "rooms": rooms.run, "handshakes": handshakes.run, "world": world.run}


def command_of(words):
    """(program, its words), or None: --server PATH --bench PATH [--micro PATH] NAME ... is one of them."""
    rest = words[6:] if words[4:5] == ["--micro"] else words[4:]
    if rest and rest[0] in COMMANDS:
        return COMMANDS[rest[0]], [*words[:4], *rest[1:]]
    return None


def main():
    command = command_of(sys.argv[1:])
    if command:
        program, words = command
        return program(words)
    options = arguments()
    about = common.machine()
    _, _, note = common.two_cores()
    if note:
        print(f"perf: {note}; latencies are those of both", file=sys.stderr)
    common.warn_of_load(about)
    common.show_machine(about)
    try:
        figures, complaints, claim = SCENARIOS[options.scenario](options)
    except NotMeasured as why:
        print(f"perf: not measured: {why}", file=sys.stderr)
        return 2
    for complaint in complaints:
        print(f"  AGAINST IT: {complaint}")
    print(f"\n  {'holds' if not complaints else 'DOES NOT HOLD'}: {claim}\n")
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
