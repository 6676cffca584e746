"""perf/peers.py: what a load costs ringcast, beside what it costs others who do the same job, and a bare loop.
(`./zigw build perf -- peers`)

For each load all servers are started on one core, each with a crowd of its own on the other. They take turns in
windows, in another order each round; who is not measured is stopped (SIGSTOP), and so is its crowd.
"""
import argparse
import contextlib
import dataclasses
import json
import pathlib
import resource
import signal
import sys
import tempfile
import time

import common
import memory

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))
import told  # noqa: E402
from brought import said_by  # noqa: E402
from servers import FLOOR, OURS, contenders, start  # noqa: E402

SETTLE_SECONDS = 0.5  # after they were stopped: what fell due meanwhile
STOP_SECONDS = 3
RATE = 3000  # clients that come in a second


@dataclasses.dataclass(frozen=True)
class Load:
    about: str
    clients: int
    rooms: int
    tick: int          # ms, from one tick of a room to the next
    payload: int = 512
    burst: int = 1     # states a tick
    full: bool = False  # more is due than anybody can send
    say: int = 0       # ms, from one message of a client to its next; 0: clients only listen


LOADS = {
    "room": Load("one room of 1,000, 100 states a second", 1000, 1, 10),
    "rooms": Load("500 rooms of 10, 20 states a second", 5000, 500, 50),
    "large": Load("one room of 5,000, 20 states a second", 5000, 1, 50),
    "burst": Load("one room of 1,000, four states 25 times a second", 1000, 1, 40, burst=4),
    "full-room": Load("one room of 1,000, as many states as can be", 1000, 1, 1, full=True),
    "full-rooms": Load("500 rooms of 10, as many states as can be", 5000, 500, 1, full=True),
    "full-large": Load("one room of 5,000, as many states as can be", 5000, 1, 1, full=True),
    "say": Load("1,000 clients say 64 bytes 40 times a second", 1000, 1, 60_000, payload=0, say=25),
}


def arguments(words):
    parser = argparse.ArgumentParser(
        prog="perf -- peers", description=__doc__.split("\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"{name:12} {load.about}" for name, load in LOADS.items()))
    add = parser.add_argument
    add("--server", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    add("--bench", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    add("load", nargs="*", metavar="LOAD", choices=[*LOADS, []], help="see below [all, each in turn]")
    add("--only", action="append", metavar="NAME", help="servers whose name has this word; may be repeated [all]")
    add("--also", action="append", default=[], metavar="OPTIONS", help="one more ringcast, which is given these "
        "options, too, as in --also='--fast-path=off'; may be repeated")
    add("--rounds", type=int, default=3, help="windows of each server [3]")
    add("--seconds", type=int, default=2, help="of each [2]")
    for name, what in (("clients", "in all rooms"), ("rooms", ""), ("tick", "ms from one of a room to the next"),
                       ("payload", "bytes of a state"), ("burst", "states a tick")):
        add(f"--{name}", type=int, help=f"{what} [as the load says]".strip())
    add("--json", type=pathlib.Path, help="write all figures there, too")
    return parser.parse_args(words)


# ---- measuring

def memory_now(process):
    """Without what is left for a minute of who has gone: those of the load before."""
    found = memory.read(process.pid)
    for cache in ("tw_sock_TCP", "request_sock_TCP"):
        (found["socket_objects"] or {}).pop(cache, None)
    return found


def crowd_of(options, load, server, core):
    common_words = ["--server", server.address, "--clients", load.clients, "--rate", RATE, "--seconds", options.seconds,
                    "--server-pid", server.process.pid]
    if load.say:
        return common.Steered(core, [options.bench, "send", *common_words, "--path", "/ws", "--every",
                                     f"{load.say}ms", "--size", 64, "--probe", 64])
    # The states of a burst have one due time, the same as if they were ticks of their own.
    return common.Steered(core, [options.bench, "--steered", *common_words, "--rooms", load.rooms, "--path",
                                 "/ws" if load.rooms == 1 else "/ws/kart/bench-#", "--tick",
                                 f"{load.tick // load.burst}ms"])


def end_stopped(process):
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)
    common.end(process)


def stop(process):
    """Waits until all threads have stopped: with real-time priority (chrt -f) one may run on for ever."""
    process.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + STOP_SECONDS
    threads = pathlib.Path(f"/proc/{process.pid}/task")
    while any("\nState:\tT" not in status.read_text() for status in threads.glob("*/status")):
        if time.monotonic() > deadline:
            raise common.NotMeasured("a server does not stop, so the others cannot be measured")
        time.sleep(0.002)


class Side:
    """A server and its crowd."""

    def __init__(self, options, contender, load, cores, folder, stack):
        self.name, self.version, self.windows = contender.name, contender.version, []
        self.unheard = 0  # of the messages that its crowd has said
        self.server = start(options, contender, load, cores[0], folder)
        stack.callback(end_stopped, self.server.process)
        self.server.wait_until_ready()
        before = memory_now(self.server.process)
        self.crowd = crowd_of(options, load, self.server, cores[1])
        stack.callback(end_stopped, self.crowd.process)
        self.crowd.wait_until_asking()
        self.memory = memory.per_connection(before, memory_now(self.server.process), load.clients)
        self.stop()

    def stop(self):
        stop(self.server.process)
        time.sleep(0.05)  # what is on its way
        stop(self.crowd.process)

    def turn(self):
        for process in (self.crowd.process, self.server.process):
            process.send_signal(signal.SIGCONT)
        time.sleep(SETTLE_SECONDS)
        figures = self.crowd.window()
        if self.server.process.poll() is not None:
            raise common.NotMeasured(f"{self.name} ended:\n{self.server.log.read_text()}")
        if figures["delivered"] == 0:
            raise common.NotMeasured(f"{self.name} sent nothing in a whole window")
        figures.setdefault("reach", figures["delivered"] / max(figures.get("due", 0), 1))
        self.windows.append(figures)
        self.stop()

    def count_unheard(self):
        self.server.process.send_signal(signal.SIGCONT)
        self.unheard = self.windows[-1]["said_ever"] - (self.server.heard() or 0)


def tell(text):
    print(f"perf: {text}", file=sys.stderr, flush=True)


def open_sides(options, load, everybody, cores, folder, stack):
    for contender in everybody:
        tell(f"{contender.name}: {load.clients} clients are coming")
        try:
            yield Side(options, contender, load, cores, folder, stack)
        except common.NotMeasured as why:
            print(f"skipped: {contender.name}: {why}", flush=True)


def measure(options, load, everybody):
    """The sides with their windows."""
    cores = common.two_cores()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        sides = list(open_sides(options, load, everybody, cores, folder, stack))
        for number in range(options.rounds):
            order = sides[number % len(sides):] + sides[:number % len(sides)]
            for side in order if number % 2 == 0 else order[::-1]:
                tell(f"round {number + 1} of {options.rounds}: {side.name}")
                side.turn()
        for side in sides if load.say else ():
            side.count_unheard()
    return sides


# ---- the program

def load_of(options, name):
    asked = {field: getattr(options, field) for field in ("clients", "rooms", "tick", "payload", "burst")}
    load = dataclasses.replace(LOADS[name], **{field: value for field, value in asked.items() if value is not None})
    return dataclasses.replace(load, rooms=min(load.rooms, load.clients))


def able(options, load, everybody):
    """Those who can do it."""
    if load.burst > 1 and "--kart-burst" not in said_by(options.server, "serve", "--help"):
        print(f"skipped: {OURS}: this one sends no bursts", flush=True)
        return [one for one in everybody if one.command]
    if load.say and "ringcast-bench send" not in said_by(options.bench, "--help"):
        raise common.NotMeasured("this ringcast-bench has no clients that send")
    return everybody


def run(options, name, everybody):
    """(figures, complaints)"""
    load = load_of(options, name)
    common.show_machine(common.machine())
    what = f"a message each {load.say} ms" if load.say else (f"{load.burst} state(s) of {load.payload} bytes each "
                                                             f"{load.tick} ms")
    print(f"  {name}: {load.about}; {load.clients} clients in {load.rooms} room(s), {what}; {options.rounds} round(s) "
          f"of {options.seconds} s", flush=True)
    sides = measure(options, load, able(options, load, everybody))
    figures = told.summary(load, sides)
    told.show(load, sides, figures)
    for side in sides:
        for note in told.notes_of(load, side):
            print(f"  NOTE {side.name}: {note}")
        for fault in told.faults_of(load, side) if side.name != OURS else ():  # ours are complaints
            print(f"  NOTE {side.name}: {fault}")
    complaints = list(told.complaints_of(load, sides, figures))
    for complaint in complaints:
        print(f"  AGAINST IT: {complaint}")
    servers = {side.name: {"version": side.version, "memory": side.memory, "windows": side.windows} for side in sides}
    return {"load": dataclasses.asdict(load), "summary": figures, "servers": servers, "complaints": complaints}


def main(words):
    options = arguments(words)
    about = common.machine()
    common.warn_of_load(about)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # not each of them asks for it itself
    _, _, note = common.two_cores()
    if note:
        tell(note)
    everybody = contenders(options)
    if not everybody:
        sys.exit("perf: --only: no server has such a name")
    width = max(len(one.name) for one in everybody)
    print("\n".join(f"  {one.name:{width}}  {one.version}" for one in everybody), flush=True)
    figures, missed = {}, False
    for name in options.load or LOADS:
        try:
            figures[name] = run(options, name, everybody)
        except common.NotMeasured as why:
            print(f"perf: {name}: not measured: {why}", file=sys.stderr)
            missed = True
    if options.json:
        options.json.write_text(json.dumps({"machine": about, "loads": figures}, indent=2) + "\n")
    holds = not any(one["complaints"] for one in figures.values())
    if not any(OURS in one["servers"] for one in figures.values()):
        print("\n  nothing is claimed: ringcast was not among them\n")
        return 2 if missed else 0
    print(f"\n  {'holds' if holds else 'DOES NOT HOLD'}: nothing is lost, and no peer does it for less, beyond the "
          "rounds' interval\n")
    return 2 if missed else 0 if holds else 1


if __name__ == "__main__":
    sys.exit("run it as ./zigw build perf -- peers")
