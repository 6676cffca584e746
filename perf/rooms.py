"""perf/rooms.py: what a chat message costs in many small rooms, beside a bare loop that receives and
sends the same. (`./zigw build perf -- rooms`)

Two servers share a core: ringcast, and ringcast-bench's own floor, which only unmasks and sends.
Each has a crowd of its own, as large as the other's, which says the same at the same times. They
take turns, and while one is measured the other is stopped.
"""
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time

import avalon
import common

RATIO_MAX = 1.2
SETTLE_SECONDS = 1.0  # after it was stopped: what fell due meanwhile
CLIENTS_RATE = 2000   # a second


class Side:
    """A server and its crowd. `server` has process and address."""

    def __init__(self, options, server, targets, cores, bare, stack):
        self.server, self.name, self.pings = server, "bare" if bare else "ours", 0
        self.crowd = common.Steered(cores[1], [
            options.bench, "talk", "--server", server.address, "--targets", targets, "--members",
            options.members, "--period", options.period, "--periods", options.seconds, "--text",
            options.payload, "--rate", CLIENTS_RATE, "--server-pid", server.process.pid,
            *(["--bare"] if bare else [])])
        stack.callback(common.end, self.crowd.process)
        self.crowd.wait_until_asking()
        self.stop()

    def stop(self):
        self.server.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.server.process.send_signal(signal.SIGCONT)
        time.sleep(SETTLE_SECONDS)

    def turn(self):
        self.go_on()
        figures = self.crowd.window()
        self.stop()
        self.pings, before = figures["pings_answered"], self.pings
        return figures | {"pings": self.pings - before}

    def finish(self):
        self.go_on()
        return self.crowd.finish()


class Floor:
    """ringcast-bench's bare loop."""

    def __init__(self, options, core):
        self.address = f"127.0.0.1:{common.free_ports(1)[0]}"
        self.process = common.start_on(core, [
            options.bench, "floor", "--server", self.address, "--members", options.members,
            "--clients", options.rooms * options.members, "--ping", f"{options.ping * 1000}ms"],
            stderr=subprocess.PIPE, text=True)

    def wait_until_ready(self):
        said = self.process.stderr.readline()
        if "listening" not in said:
            raise common.NotMeasured(f"the bare loop ended: {said}")


def end_stopped(process):
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)
    common.end(process)


def start_ours(options, core, folder, stack):
    """(server, the file of its places)"""
    server = common.Server(options.server, core, folder, "--workers", "1", "--ping", f"{options.ping or 3600}s",
                           "--pong", "10m",  # an answer may have to wait until it goes on
                           *avalon.options(options.rooms, options.members),
                           environment=avalon.environment())
    stack.callback(end_stopped, server.process)
    server.wait_until_ready()
    targets = os.path.join(folder, "targets")
    with open(targets, "w") as file:
        for path, token, *_ in avalon.make_rooms(server, options.rooms, options.members):
            file.write(f"{path} {token}\n")
    return server, targets


def cost(figures):
    return figures["server_cpu_us_per_delivered"]


def show_head(options):
    print(f"\n  {options.rooms} rooms of {options.members}, a chat message of {options.payload} bytes every "
          f"{options.period} in each; windows of {options.seconds} messages"
          + (f"; each client pinged every {options.ping} s" if options.ping else "") + "\n\n"
          "  CPU per delivered message, us           server CPU %    client CPU %   latency p99, ms\n"
          "  pair       bare      ours     ratio      bare   ours     bare   ours      bare     ours",
          flush=True)


def show_pair(index, bare, ours):
    print(f"  {index + 1:4}  {cost(bare):9.3f} {cost(ours):9.3f} {cost(ours) / cost(bare):9.3f}"
          f"  {bare['server_load'] * 100:8.1f} {ours['server_load'] * 100:6.1f}"
          f" {bare['client_load'] * 100:8.1f} {ours['client_load'] * 100:6.1f}"
          f" {bare['latency_ns']['p99'] / 1e6:9.3f} {ours['latency_ns']['p99'] / 1e6:8.3f}", flush=True)


def complaints_of_window(name, figures):
    if figures["faults"]:
        yield f"{name}: faults: {figures['faults']}"
    if figures["closed"]:
        yield f"{name}: clients were closed: {figures['closed']}"
    if figures["delivered"] != figures["due"]:
        yield f"{name}: {figures['delivered']} of {figures['due']} messages were delivered"
    if figures["client_load"] > common.CLIENT_LOAD_MAX:
        yield f"{name}: the client used {figures['client_load'] * 100:.0f} % of its core"


def complaints_of_count(options, server, said):
    """Whether the server has counted the same. What was pinged while the server was stopped answers at
    once, which may well be more than its queue holds."""
    metrics = server.metrics()
    heard = metrics.get('ringcast_messages_received_total{kind="avalon",type="text"}', 0)
    if heard != said:
        yield f"the server counts {heard:.0f} messages, the crowd said {said}"
    overflow = () if options.ping else ("ringcast_uring_cq_overflow_total",)
    for name in ("ringcast_disconnects_total", "ringcast_dropped_total", "ringcast_snapshots_failed_total",
                 *overflow):
        if metrics.get(name, 0) > 0:
            yield f"{name} is {metrics[name]:.0f}"


def show(pairs, ratio, low, high):
    for name, windows in (("bare", [bare for bare, _ in pairs]), ("ours", [ours for _, ours in pairs])):
        print(f"  {name}: messages said / due to be heard / heard  {sum(w['said'] for w in windows)} / "
              f"{sum(w['due'] for w in windows)} / {sum(w['delivered'] for w in windows)}, "
              f"{sum(w['bytes'] for w in windows) / max(sum(w['delivered'] for w in windows), 1):.0f} bytes a "
              f"frame; said late, p99: {max(w['said_late_ns']['p99'] for w in windows) / 1e6:.3f} ms; "
              f"{sum(w['pings'] for w in windows)} pings, those between windows too; waited for the core "
              f"{max(w['server_waited'] for w in windows) * 100:.1f} % at most")
    print(f"\n  ours / bare: {ratio:.3f} [{low:.3f}, {high:.3f}], the median of {len(pairs)} pairs")


def measure(options, cores, folder, stack):
    """(pairs, complaints)"""
    server, targets = start_ours(options, cores[0], folder, stack)
    ours = Side(options, server, targets, cores, False, stack)
    floor = Floor(options, cores[0])
    stack.callback(end_stopped, floor.process)
    floor.wait_until_ready()
    bare = Side(options, floor, targets, cores, True, stack)
    pairs, complaints, before = [], [], None
    show_head(options)
    for index in range(options.pairs):
        order = (bare, ours) if index % 2 == 0 else (ours, bare)
        figures = {side.name: side.turn() for side in order}
        pairs.append((figures["bare"], figures["ours"]))
        show_pair(index, *pairs[-1])
        for name, window in figures.items():
            complaints += complaints_of_window(f"pair {index + 1}, {name}", window)
    server.process.send_signal(signal.SIGCONT)
    warming = options.rooms * len(pairs)  # a period of talk before each window
    said = sum(window["said"] for _, window in pairs) + warming
    complaints += complaints_of_count(options, server, said)
    for side in (ours, bare):
        if side.finish() != 0:
            complaints.append(f"{side.name}: the crowd ended with exit code {side.crowd.process.returncode}: "
                              f"{side.crowd.said}")
    return pairs, complaints


def run(options):
    """(all figures, complaints, the claim)"""
    cores = common.two_cores()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        pairs, complaints = measure(options, cores, folder, stack)
    ratio, low, high = common.median_and_interval([cost(ours) / cost(bare) for bare, ours in pairs])
    print()
    show(pairs, ratio, low, high)
    if ratio > RATIO_MAX:
        complaints.append(f"a message costs {ratio:.3f} times what it costs a bare loop")
    claim = (f"in {options.rooms} rooms of {options.members} a chat message costs at most {RATIO_MAX} times what "
             "it costs a bare loop")
    return {"pairs": pairs, "ratio": ratio, "interval": [low, high]}, complaints, claim


if __name__ == "__main__":
    sys.exit("run it as ./zigw build perf -- rooms")
