"""perf/workers.py: what does a second worker cost, and is a large room on both?
(`./zigw build perf -- workers`)

Two servers, one of a worker and one of two, share a core, so the second worker can win nothing: what
it costs to lend each frame to another thread stands alone. Each has a crowd of its own, as large as
the other's; they take turns, and while one is measured the other is stopped.
"""
import collections
import contextlib
import re
import signal
import sys
import tempfile
import time

import common

RATIO_MAX = 1.1
SPAN_CLIENTS = 10_000
SPAN_TICK = "500ms"
SPAN_SECONDS = 20


class Side:
    """A server of so many workers, and its crowd."""

    def __init__(self, options, workers, clients, cores, folder, stack):
        self.workers = workers
        self.server = common.Server(options.server, cores[0], folder, "--workers", workers, "--kart-tick",
                                    options.tick, "--kart-payload", options.payload, "--ping", "1h",
                                    "--log-burst", "1000000", log_level="info")
        stack.callback(self.end)
        self.server.wait_until_ready()
        self.bench = common.SteeredBench(options.bench, cores[1], self.server, clients, options.seconds,
                                         options.tick)
        stack.callback(common.end, self.bench.process)
        self.stop()

    def stop(self):
        self.server.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.server.process.send_signal(signal.SIGCONT)
        time.sleep(1.5)  # what fell due while it was stopped

    def end(self):
        self.server.process.send_signal(signal.SIGCONT)
        common.end(self.server.process)

    def turn(self):
        self.go_on()
        figures = self.bench.window()
        self.stop()
        return figures

    def finish(self):
        self.go_on()
        return self.bench.finish()

    def members_of_workers(self):
        """How many connections each worker was given, by the log, and how many lines that lacks."""
        count = collections.Counter(re.findall(r"worker=(\d+) event=connected", self.server.log.read_text()))
        self.server.process.send_signal(signal.SIGCONT)
        lost = self.server.metrics()["ringcast_log_lines_dropped_total"]
        return {f"worker {worker}": members for worker, members in sorted(count.items())}, int(lost)


def cost(figures):
    return figures["server_cpu_us_per_delivered"]


def show_pair(index, one, two):
    print(f"  {index + 1:4}  {cost(one):9.3f} {cost(two):9.3f} {cost(two) / cost(one):9.3f}"
          f"  {one['server_load'] * 100:8.0f} {two['server_load'] * 100:8.0f}"
          f"  {one['client_load'] * 100:8.0f} {two['client_load'] * 100:8.0f}"
          f"  {one['server_waited'] * 100:8.1f}", flush=True)


def show_spread(members, lost):
    print("  members of " + ", ".join(f"{worker}: {count}" for worker, count in members.items())
          + (f" ({lost} lines of the log were lost)" if lost else ""))


def compare(options, clients, cores):
    """(figures, complaints) of one size of crowd."""
    print(f"\n  {clients} members, {options.tick} ticks, states of {options.payload} bytes; windows of "
          f"{options.seconds} s\n\n"
          "  CPU per delivered state, us             server CPU %        client CPU %    waited %\n"
          "  pair        one       two     ratio       one      two       one      two       one")
    pairs, complaints = [], []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        sides = [Side(options, workers, clients, cores, folder, stack) for workers in (1, 2)]
        for index in range(options.pairs):
            order = sides if index % 2 == 0 else sides[::-1]
            figures = {side.workers: side.turn() for side in order}
            pairs.append((figures[1], figures[2]))
            show_pair(index, *pairs[-1])
            for workers, window in figures.items():
                name = f"{clients} members, pair {index + 1}, workers {workers}"
                complaints += common.complaints_of_window(name, window)
                if window["client_load"] > common.CLIENT_LOAD_MAX:
                    complaints.append(f"{name}: the client used {window['client_load'] * 100:.0f} % of its core")
        members, lost = sides[1].members_of_workers()
        sides[1].stop()
        codes = [side.finish() for side in sides]
    ratio, low, high = common.median_and_interval([cost(two) / cost(one) for one, two in pairs])
    show_spread(members, lost)
    print(f"  two workers / one: {ratio:.3f} [{low:.3f}, {high:.3f}], the median of {len(pairs)} pairs")
    if ratio > RATIO_MAX:
        complaints.append(f"{clients} members: a state costs {ratio:.3f} times as much with two workers")
    if not set(codes) <= {0, 1}:  # 1: states were missed, which the windows tell better
        complaints.append(f"{clients} members: ringcast-bench ended with exit codes {codes}")
    if len(members) != 2:
        complaints.append(f"{clients} members: not every worker had some")
    return {"clients": clients, "pairs": pairs, "ratio": ratio, "interval": [low, high],
            "members": members}, complaints


def span(options, cores):
    """(figures, complaints): 10,000 in one room, on both workers, and all get every state."""
    asked = vars(options) | {"tick": SPAN_TICK, "seconds": SPAN_SECONDS}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        side = Side(type(options)(**asked), 2, SPAN_CLIENTS, cores, folder, stack)
        figures = side.turn()
        members, lost = side.members_of_workers()
        code = side.finish()
    print(f"\n  {SPAN_CLIENTS} members of one room, {SPAN_TICK} ticks, {SPAN_SECONDS} s, two workers")
    show_spread(members, lost)
    print(f"  states due / delivered {figures['due']} / {figures['delivered']}, sequence gaps {figures['gaps']}, "
          f"closed {len(figures['closed'])}, faults {len(figures['faults'])}")
    complaints = [] if figures["kept"] and code == 0 else [f"{SPAN_CLIENTS} members did not get every state"]
    if len(members) != 2 or lost == 0 and sum(members.values()) != SPAN_CLIENTS:
        complaints.append(f"the members of workers are {dict(members)}")
    return figures | {"members": members}, complaints


def run(options):
    """(all figures, complaints, the claim)"""
    cores = common.two_cores()
    results, complaints = [], []
    for clients in [options.clients] if options.clients else [1000, 5000]:
        result, against = compare(options, clients, cores)
        results.append(result)
        complaints += against
    spanning, against = span(options, cores)
    complaints += against
    claim = (f"on one core, a state of two workers costs at most {RATIO_MAX} times one worker's, and "
             f"{SPAN_CLIENTS} members of a room on both workers get every state")
    return {"comparisons": results, "span": spanning}, complaints, claim


if __name__ == "__main__":
    sys.exit("run it as ./zigw build perf -- workers")
