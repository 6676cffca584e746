"""perf/peers.py: what a load costs ringcast, beside what it costs others who do the same job, and a bare loop.
(`./zigw build perf -- peers`)

For each load all servers are started on one core, each with a crowd of its own on the other. They take turns in
windows, in another order each round; who is not measured is stopped (SIGSTOP), and so is its crowd.
"""
import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import common

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "peers"))
import brought  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
SETTLE_SECONDS = 0.5  # after they were stopped: what fell due meanwhile
READY_SECONDS = 10
STOP_SECONDS = 3
WAITED_MAX = 0.01  # of a window; above it others were in the way
CACHES = ("TCP", "sock_inode_cache", "filp", "eventpoll_epi", "ep_head", "io_kiocb", "skbuff_head_cache",
          "skbuff_small_head", "skbuff_fclone_cache")  # what the kernel keeps of a connection


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
OURS, FLOOR = "ringcast", "bare loop"


def arguments(words):
    parser = argparse.ArgumentParser(
        prog="perf -- peers", description=__doc__.split("\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"{name:12} {load.about}" for name, load in LOADS.items()))
    add = parser.add_argument
    add("--server", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    add("--bench", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    add("load", nargs="*", metavar="LOAD", choices=[*LOADS, []], help="see below [all, each in turn]")
    add("--only", action="append", metavar="NAME", help="servers whose name has this word; may be repeated [all]")
    add("--also", action="append", default=[], metavar="OPTIONS", help="one more ringcast, which is given these options, "
        "too, as in --also='--flush-window 10ms'; may be repeated")
    add("--rounds", type=int, default=3, help="windows of each server [3]")
    add("--seconds", type=int, default=2, help="of each [2]")
    for name, what in (("clients", "in all rooms"), ("rooms", ""), ("tick", "ms from one of a room to the next"),
                       ("payload", "bytes of a state"), ("burst", "states a tick")):
        add(f"--{name}", type=int, help=f"{what} [as the load says]".strip())
    add("--json", type=pathlib.Path, help="write all figures there, too")
    return parser.parse_args(words)


# ---- who takes part

@dataclasses.dataclass
class Contender:
    name: str
    version: str
    command: list  # behind it come the port, the tick, the payload, the burst; none: it is ringcast
    more: tuple = ()  # words behind these
    environment: dict = dataclasses.field(default_factory=dict)


def peers_of_go():
    program, version = brought.gorilla()
    for name, how in (("gorilla", "plain"), ("gorilla prepared", "prepared")):
        yield Contender(name, version, [program], (how,), {"GOMAXPROCS": "1"})


def peers_of_node():
    program, environment, version = brought.node()
    for name in ("ws", "raw"):
        yield Contender(f"node {name}", version, [program, HERE / "peers/node/peer.js"], (name,), environment)


def peers_of_bun():
    program, version = brought.bun()
    yield Contender("bun", version, [program, HERE / "peers/bun/peer.js"])


def peers_of_rust():
    program, version = brought.rust()
    yield Contender("tungstenite", version, [program])


def contenders(options):
    """Ours, the bare loop and the peers; who cannot be had is left out with a sentence."""
    version = said_by(options.server, "--version").strip()
    found = [Contender(OURS, version, []), Contender(FLOOR, "epoll and send(2)", [options.bench, "broadcast"])]
    for peers in (peers_of_go, peers_of_node, peers_of_bun, peers_of_rust):
        try:
            found += peers()
        except (brought.bring.Missing, OSError) as why:
            print(f"skipped: {peers.__name__.split('_')[-1]}: {why}", flush=True)
    wanted = options.only or [""]
    found = [one for one in found if any(word in one.name for word in wanted)]
    also = [Contender(f"{OURS} {words}", "with these options", [], tuple(words.split())) for words in options.also]
    return found[:1] + also + found[1:]


class Peer:
    """A server that listens where it is told to, and says so on stderr."""

    def __init__(self, contender, load, core, folder):
        [port] = common.free_ports(1)
        self.address = f"127.0.0.1:{port}"
        self.log = pathlib.Path(folder) / f"peer-{port}.log"
        words = [port, load.tick, load.payload, load.burst, *contender.more]
        if contender.name == FLOOR:
            words = ["--server", self.address, "--tick", f"{load.tick}ms", "--payload", load.payload, "--burst",
                     load.burst]
        command = [*contender.command, *words]
        with self.log.open("wb") as log:
            self.process = common.start_on(core, command, stdout=log, stderr=log,
                                           env={**os.environ, **contender.environment})

    def wait_until_ready(self):
        deadline = time.monotonic() + READY_SECONDS
        while "listening" not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise common.NotMeasured(f"it does not listen:\n{self.log.read_text()}")
            time.sleep(0.02)

    def heard(self):
        """How many messages, ever. It ends with that."""
        common.end(self.process)
        found = re.search(r"^heard (\d+)$", self.log.read_text(), re.M)
        return found and int(found[1])


class Ours(common.Server):
    def heard(self):
        return round(self.metrics().get('ringcast_messages_received_total{kind="kart",type="text"}', 0))


def start(options, contender, load, core, folder):
    """The server, not ready yet."""
    if contender.command:
        return Peer(contender, load, core, folder)
    burst = ("--kart-burst", load.burst, "--kart-slow", "drop_oldest") if load.burst > 1 else ()
    return Ours(options.server, core, folder, "--kart-tick", f"{load.tick}ms", "--kart-payload", load.payload,
                         "--rooms", load.rooms,
                "--workers", "1", "--ping", "1h", "--message-rate", "0", "--control-rate", "0", *burst, *contender.more)


# ---- measuring

def kernel_bytes():
    """What the kernel holds for sockets, at both ends; None where it may not be read."""
    sockets = re.search(r"^TCP:.* mem (\d+)", pathlib.Path("/proc/net/sockstat").read_text(), re.M)
    try:
        caches = [line.split() for line in pathlib.Path("/proc/slabinfo").read_text().splitlines()[2:]]
    except OSError:
        return None
    objects = sum(int(words[1]) * int(words[3]) for words in caches if words[0] in CACHES)
    return objects + int(sockets[1]) * os.sysconf("SC_PAGESIZE")


def resident_bytes(process):
    return int(pathlib.Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def crowd_of(options, load, server, core):
    common_words = ["--server", server.address, "--clients", load.clients, "--seconds", options.seconds,
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
        resident, kernel = resident_bytes(self.server.process), kernel_bytes()
        self.crowd = crowd_of(options, load, self.server, cores[1])
        stack.callback(end_stopped, self.crowd.process)
        self.crowd.wait_until_asking()
        self.memory = {"resident": (resident_bytes(self.server.process) - resident) / load.clients,
                       "kernel": None if kernel is None else (kernel_bytes() - kernel) / load.clients}
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


# ---- figures

VALUES = {  # name: (where in a window's figures, factor)
    "reach": ("reach", 1), "a second": ("frames_per_second", 1), "cost": ("server_cpu_us_per_delivered", 1),
    "server": ("server_load", 100), "client": ("client_load", 100),
    "due p50": ("lateness_ns.p50", 1e-6), "due p99": ("lateness_ns.p99", 1e-6),
    "encode p50": ("latency_ns.p50", 1e-6), "encode p99": ("latency_ns.p99", 1e-6),
}


def value_of(figures, name):
    path, factor = VALUES[name]
    for word in path.split("."):
        figures = figures[word]
    return figures * factor


def values_of(side, name):
    return [value_of(figures, name) for figures in side.windows]


def ratio(side, other, name):
    """Round by round: the median, and where 95 of 100 medians of samples drawn from the rounds lie."""
    pairs = zip(values_of(side, name), values_of(other, name))
    return common.median_and_interval([mine / max(theirs, 1e-9) for mine, theirs in pairs])


def best_of(load, sides):
    """The peer that does it best, or None."""
    peers = [side for side in sides if side.name != FLOOR and not side.name.startswith(OURS)]
    if load.full:
        return max(peers, key=lambda side: statistics.median(values_of(side, "a second")), default=None)
    return min(peers, key=lambda side: statistics.median(values_of(side, "cost")), default=None)


def summary(load, sides):
    """{server: {figure: [median, low, high]}}"""
    best, floor = best_of(load, sides), next((side for side in sides if side.name == FLOOR), None)
    told = {}
    for side in sides:
        mine = told[side.name] = {name: spread(values_of(side, name)) for name in VALUES}
        for name in ("cost", "a second"):
            if floor is not None:
                mine[f"{name} / floor"] = ratio(side, floor, name)
            if best is not None:
                mine[f"{name} / best"] = ratio(side, best, name)
    return told


def spread(values):
    return statistics.median(values), min(values), max(values)


def cell(three, digits):
    if three is None:
        return "-"
    middle, low, high = (f"{value:.{digits}f}" for value in three)
    return f"{middle} [{low}, {high}]"


def show_table(rows):
    """Each column as wide as it must be; the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print()
    for row in rows:
        print("  " + "  ".join([f"{row[0]:{widths[0]}}"] + [f"{text:>{width}}" for text, width in
                                                            zip(row[1:], widths[1:])]))


def show(load, sides, told):
    what = "message" if load.say else "state"
    best = best_of(load, sides)
    ratios, whose = ("a second", f"{what}s a second") if load.full else ("cost", "CPU")
    rows = [["", "reach", f"{what}s a second", f"CPU for a {what}, us", f"{whose} / bare loop",
             f"{whose} / {best.name if best else 'best peer'}", "server %", "client %"]]
    for side in sides:
        row = told[side.name]
        rows.append([side.name, "-" if load.full else f"{row['reach'][0]:.5f}", cell(row["a second"], 0),
                     cell(row["cost"], 2), cell(row.get(f"{ratios} / floor"), 3), cell(row.get(f"{ratios} / best"), 3),
                     f"{row['server'][0]:.0f}", f"{row['client'][0]:.0f}"])
    show_table(rows)
    late = ("there and back from due", "from sent") if load.say else ("late from due", "from encode")
    rows = [["milliseconds; KiB", *(f"{word}, {share}" for word in late for share in ("p50", "p99")),
             "own memory a client", "kernel's, both ends"]]
    for side in sides:
        row, kernel = told[side.name], side.memory["kernel"]
        rows.append([side.name, *(cell(row[f"{kind} {share}"], 2) for kind in ("due", "encode")
                                  for share in ("p50", "p99")),
                     f"{side.memory['resident'] / 1024:.2f}", "-" if kernel is None else f"{kernel / 1024:.2f}"])
    show_table(rows)
    print(flush=True)


def notes_of(load, side):
    """What a reader of the table must know."""
    if any(figures["client_is_bottleneck"] for figures in side.windows):
        yield "its client used more than 80 % of its core"
    if max(figures["client_waited"] for figures in side.windows) > WAITED_MAX:
        yield "something else was running on its client's core"
    if load.full and max(values_of(side, "server")) < 90:
        yield "its core was not full"


def faults_of(load, side):
    """What no server may do."""
    for number, figures in enumerate(side.windows, 1):
        for what in ("faults", "closed"):
            if figures[what]:
                yield f"round {number}: {what}: {figures[what]}"
        if not load.full and figures["reach"] < 1:
            yield f"round {number}: {figures['reach']:.5f} of what was due came"
    if side.unheard != 0:
        yield f"of {side.windows[-1]['said_ever']} messages it has not heard {side.unheard}"


def complaints_of(load, sides, told):
    """What is against ringcast: something was lost, or a peer is better by more than the interval."""
    best = best_of(load, sides)
    ours = next((side for side in sides if side.name == OURS), None)
    if ours is None:
        return
    yield from faults_of(load, ours)
    if best is None:
        return
    name = "a second" if load.full else "cost"
    middle, low, high = told[OURS][f"{name} / best"]
    if load.full and high < 1:
        yield f"{best.name} sends more in a second: ours is {middle:.3f} [{low:.3f}, {high:.3f}] of it"
    if not load.full and low > 1:
        yield f"{best.name} takes less CPU: ours is {middle:.3f} [{low:.3f}, {high:.3f}] of it"


# ---- the program

def load_of(options, name):
    asked = {field: getattr(options, field) for field in ("clients", "rooms", "tick", "payload", "burst")}
    load = dataclasses.replace(LOADS[name], **{field: value for field, value in asked.items() if value is not None})
    return dataclasses.replace(load, rooms=min(load.rooms, load.clients))


def said_by(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout


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
    print(f"  {name}: {load.about}; {load.clients} clients in {load.rooms} room(s), "
          + (f"a message each {load.say} ms" if load.say else f"{load.burst} state(s) of {load.payload} bytes each "
             f"{load.tick} ms") + f"; {options.rounds} rounds of {options.seconds} s", flush=True)
    sides = measure(options, load, able(options, load, everybody))
    told = summary(load, sides)
    show(load, sides, told)
    for side in sides:
        for note in notes_of(load, side):
            print(f"  NOTE {side.name}: {note}")
        for fault in faults_of(load, side) if side.name != OURS else ():  # ours are complaints
            print(f"  NOTE {side.name}: {fault}")
    complaints = list(complaints_of(load, sides, told))
    for complaint in complaints:
        print(f"  AGAINST IT: {complaint}")
    servers = {side.name: {"version": side.version, "memory": side.memory, "windows": side.windows} for side in sides}
    return {"load": dataclasses.asdict(load), "summary": told, "servers": servers, "complaints": complaints}


def main(words):
    options = arguments(words)
    about = common.machine()
    common.warn_of_load(about)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # not each of them asks for it itself
    everybody = contenders(options)
    print("\n".join(f"  {one.name:18} {one.version}" for one in everybody), flush=True)
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
    print(f"\n  {'holds' if holds else 'DOES NOT HOLD'}: nothing is lost, and no peer does it for less, beyond the "
          "rounds' interval\n")
    return 2 if missed else 0 if holds else 1


if __name__ == "__main__":
    sys.exit("run it as ./zigw build perf -- peers")
