"""perf/loads.py: what is asked of a server: a table of loads by name, and a server with its crowd under one
of them. scenarios.py tells what that costs, compare.py which of two builds it costs less.
"""
import contextlib
import dataclasses
import os
import signal
import subprocess
import threading
import time

import avalon
import common
import memory
import stalled

RATE = 2000  # connections opened a second
TOLD = ('ringcast_frames_sent_total{lane="event"}', 'ringcast_frames_sent_total{lane="state"}')
ALWAYS = ("--workers", "1", "--handshake", "60s")  # who comes to one that is full waits
MORE = {"send": ("--message-rate", "0"), "echo": ("--message-rate", "0", "--enable-echo")}
MEMBERS = 10  # of a room of avalon's
CHURN_WARM_SECONDS = 0.5  # of ringcast-bench knock, before its window


@dataclasses.dataclass(frozen=True)
class Load:
    about: str
    kind: str = "receive"  # every state of a race; "send", "echo"; "idle": only pings; "quiet": not even those
    clients: int = 1000
    rooms: int = 1
    tick: str = "50ms"
    payload: int = 512     # of a state, or of a message
    every: str = "25ms"    # from one message of a client to its next
    at_once: int = 0       # echo without a clock: messages of a client under way
    server: tuple = ()     # further options
    deflate: bool = False
    saturates: bool = False  # more is due than can be done, so the reach means nothing
    churn: int = 0         # clients a second that come and go beside
    stalled: int = 0       # clients beside that never read
    slow: int = 0          # clients beside that read slow_rate bytes a second
    slow_rate: int = 1024


LOADS = {
    "room-1000": Load("one room of 1,000, 20 states of 512 bytes a second"),
    "room-1000-64": Load("the same with states as small as they come (64 bytes asked, some 85 with their stamps)",
                         payload=64),
    "room-1000-4096": Load("the same with states of 4,096 bytes", payload=4096),
    "room-1000-100hz": Load("one room of 1,000, 100 states of 512 bytes a second", tick="10ms"),
    "room-10000": Load("one room of 10,000, 5 states of 512 bytes a second", clients=10_000, tick="200ms"),
    "rooms-500x10": Load("500 rooms of 10, 20 states of 512 bytes a second", clients=5000, rooms=500),
    "saturation-1000": Load("one room of 1,000, as many states of 512 bytes as can be", tick="1ms", saturates=True),
    "saturation-5000": Load("one room of 5,000, as many states of 512 bytes as can be", clients=5000, tick="1ms",
                            saturates=True),
    "saturation-500x10": Load("500 rooms of 10, as many states of 512 bytes as can be", clients=5000, rooms=500,
                              tick="1ms", saturates=True),
    "idle": Load("10,000 clients that say nothing, each pinged every 4 to 5 s", kind="idle", clients=10_000,
                 tick="1h", payload=0, server=("--ping", "5s", "--pong", "10m")),
    "churn": Load("one room of 1,000, 20 states a second, and 200 clients a second come, are greeted and leave",
                  churn=200),
    "echo": Load("1,000 clients get 64 bytes back, 20 times a second each", kind="echo", every="50ms", payload=64),
    "echo-saturation": Load("1,000 clients get 64 bytes back, each four times at once, again and again", kind="echo",
                            at_once=4, payload=64, saturates=True),
    "slow": Load("890 clients that read, 20 states of 512 bytes a second; beside them 10 that never read and 100 "
                 "that read 1 KiB a second", clients=890, stalled=10, slow=100, server=("--ping", "10m")),
    "deflate": Load("one room of 1,000, 10 states of 4,096 bytes a second, compressed", tick="100ms", payload=4096,
                    deflate=True, server=("--kart-deflate",)),
    "send": Load("1,000 clients say 64 bytes 40 times a second each, and nobody answers", kind="send", tick="1h",
                 payload=64),
    "quiet": Load("500 rooms of 10 people who say nothing and are not pinged", kind="quiet", clients=5000, rooms=500,
                  payload=0),
}


def brief(load):
    """The same for a moment with few clients: whether it is measured, not how fast it is."""
    few = {"clients": min(load.clients, 20), "rooms": min(load.rooms, 2), "churn": min(load.churn, 20),
           "stalled": min(load.stalled, 2), "slow": min(load.slow, 2)}
    if load.kind == "idle":
        few["server"] = ("--ping", "200ms", "--pong", "60s")
    if load.stalled:
        few |= {"payload": 8192, "tick": "20ms"}  # so that they stall soon
    return dataclasses.replace(load, **few)


class Side:
    """A server and its crowd, under one load."""

    def __init__(self, binary, bench, load, seconds, cores, folder, stack, progress=None):
        self.load, self.seconds, self.folder, self.stack = load, seconds, folder, stack
        self.bench_path, self.cores, self.progress = bench, cores, progress
        self.server = self.start_server(binary)
        stack.callback(self.end)
        self.server.wait_until_ready()
        words = self.crowd_command()
        self.empty = memory.read(self.server.process.pid)
        self.crowd = common.Steered(cores[1], words, progress=progress)
        stack.callback(common.end, self.crowd.process)
        self.crowd.wait_until_asking()
        self.full = memory.read(self.server.process.pid)
        self.churner = self.start_churn() if load.churn else None

    def start_server(self, binary):
        environment = avalon.environment() if self.load.kind == "quiet" else {}
        return common.Server(binary, self.cores[0], self.folder, *self.server_options(), environment=environment)

    def server_options(self):
        load = self.load
        if load.kind == "quiet":
            return [*ALWAYS, "--ping", "1h", *avalon.options(load.rooms, MEMBERS)]
        return [*ALWAYS, "--kart-tick", load.tick, "--kart-payload", load.payload, "--rooms",
                max(load.rooms, 1), *MORE.get(load.kind, ()), *load.server]

    def crowd_command(self):
        load = self.load
        own = ["--server", self.server.address, "--rate", RATE, "--seconds", self.seconds, "--server-pid",
               self.server.process.pid]
        if load.kind == "receive":
            path = "/ws" if load.rooms == 1 else "/ws/kart/bench-#"
            return [self.bench_path, "--steered", *own, "--path", path, "--clients", load.clients, "--rooms",
                    load.rooms, "--tick", load.tick, *(["--deflate"] if load.deflate else [])]
        words = [self.bench_path, "send", *own]
        if load.kind == "quiet":
            return [*words, "--every", "0ms", "--targets", self.make_targets()]
        words += ["--clients", load.clients]
        if load.kind == "idle":
            return [*words, "--every", "0ms"]
        words += ["--every", load.every, "--size", load.payload]
        if load.kind == "echo":
            return [*words, "--path", "/echo", "--echo", *(["--at-once", load.at_once] if load.at_once else [])]
        return [*words, "--probe", "40"]

    def make_targets(self):
        path = os.path.join(self.folder, f"targets-{self.server.port}")
        with open(path, "w") as file:
            for place, token, *_ in avalon.make_rooms(self.server, self.load.rooms, MEMBERS):
                file.write(f"{place} {token}\n")
        return path

    def start_churn(self):
        churner = common.Steered(self.cores[1], [
            self.bench_path, "knock", "--server", self.server.address, "--at-once", 64, "--rate", self.load.churn,
            "--seconds", self.seconds + 2])
        self.stack.callback(common.end, churner.process)
        return churner.wait_until_asking()

    def stop(self):
        self.server.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.server.process.send_signal(signal.SIGCONT)
        time.sleep(1.5)  # what fell due while it was stopped

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            self.server.process.send_signal(signal.SIGCONT)
        common.end(self.server.process)

    def window(self):
        """The figures of one window, with what the server itself counted from before it to after it."""
        before = self.server.metrics()
        with self.beside() as beside:
            figures = self.crowd.window()
        figures |= beside
        after = self.server.metrics()
        figures["server_counts"] = {name: after[name] - before.get(name, 0) for name in after
                                    if name.endswith("_total")}
        figures["server_told"] = sum(after.get(name, 0) - before.get(name, 0) for name in TOLD)
        figures["server_heard"] = after.get("ringcast_messages_received_total", 0)
        figures["seconds"] = figures["window_ns"] / 1e9
        figures["reach"] = figures["delivered"] / figures["due"] if figures["due"] else 1.0
        return figures

    @contextlib.contextmanager
    def beside(self):
        """What else is done to the server during a window; yields what that showed, once it is over."""
        shown = {}
        if self.churner is not None:
            asking = threading.Thread(target=lambda: shown.update(churn=self.churner.window()))
            asking.start()
            time.sleep(CHURN_WARM_SECONDS + 0.1)
            yield shown
            asking.join()
        elif self.load.stalled + self.load.slow > 0:
            yield from self.slowly(shown)
        else:
            yield shown

    def slowly(self, shown):
        load = self.load
        os.sched_setaffinity(0, {self.cores[1]})  # who reads slowly does not disturb the server
        them = stalled.Misbehaving(self.server, load.stalled, load.slow, load.slow_rate)
        try:
            self.server.wait_for(load.clients + len(them.all))
            stalled.wait_until_stalled(self.server, len(them.all), share=0.7)  # the slow ones do read a tenth
            before, read = self.server.metrics()[common.CONFLATED], them.read
            yield shown
            shown["conflated"] = self.server.metrics()[common.CONFLATED] - before
            shown["read_slowly"] = them.read - read
            self.server.wait_for(load.clients + len(them.all))  # nobody was closed for it
        finally:
            them.leave()

    def finish(self):
        """Everybody says goodbye; what is against that."""
        complaints = []
        if self.churner is not None and self.churner.finish() != 0:
            complaints.append(f"those who came and went: {self.churner.said}")
        said, code = self.crowd.said, self.crowd.finish()
        lost = self.load.kind == "receive"  # 1: states were missed, which the windows tell better
        if code != 0 and not (lost and code == 1):
            complaints.append(f"ringcast-bench ended with exit code {code}: {said}")
        return complaints


class BareServer:
    """ringcast-bench's own loop that broadcasts the same states and does nothing else."""

    def __init__(self, bench, load, core):
        self.port = common.free_ports(1)[0]
        self.address = f"127.0.0.1:{self.port}"
        self.process = common.start_on(core, [
            bench, "broadcast", "--server", self.address, "--tick", load.tick, "--payload", load.payload, "--clients",
            load.clients], stderr=subprocess.PIPE, text=True)

    def wait_until_ready(self):
        said = self.process.stderr.readline()
        if "listening" not in said:
            raise common.NotMeasured(f"the bare loop ended: {said}")

    def metrics(self):
        return {}


class BareSide(Side):
    def start_server(self, binary):
        return BareServer(self.bench_path, self.load, self.cores[0])


def has_bare_loop(bench):
    """Whether this ringcast-bench has one."""
    asked = subprocess.run([bench, "broadcast", "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return asked.stdout.startswith("usage: ringcast-bench broadcast")


def complaints_of(load, name, figures):
    """What makes a window worth nothing, or shows a broken promise. Being late is neither."""
    if figures["faults"]:
        yield f"{name}: faults of the server: {figures['faults']}"
    if figures["closed"]:
        yield f"{name}: clients were closed: {figures['closed']}"
    if load.kind == "receive" and not load.saturates:
        made = figures["ticks_seen"] * figures["clients"] // figures["rooms"]
        if figures["delivered"] != made:
            yield f"{name}: {figures['delivered']} of {made} states were delivered"
    if load.kind in ("send", "echo") and figures["delivered"] != figures["due"]:
        yield f"{name}: {figures['delivered']} of {figures['due']} messages were taken, or came back"
    if load.kind in ("send", "echo") and figures["server_heard"] != figures["said_ever"]:
        yield f"{name}: the server has heard {figures['server_heard']:.0f} of {figures['said_ever']} messages"
    if load.deflate and figures["inflated"] == 0:
        yield f"{name}: nothing was compressed"
    if load.kind in ("idle", "quiet"):
        made = figures["server_counts"]["ringcast_frame_encodes_total"]
        if made + figures["server_told"] > 0:
            yield f"{name}: {made:.0f} states were made and {figures['server_told']:.0f} sent, though nothing changed"
    if load.kind == "idle" and figures["delivered"] == 0:
        yield f"{name}: nobody was pinged"
    if load.churn:
        yield from complaints_of_churn(name, figures["churn"])


def complaints_of_churn(name, churn):
    if churn["faults"] or churn["closed"]:
        yield f"{name}: those who came and went: {churn['faults']} {churn['closed']}"
    if not churn["came"] == churn["greeted"] == churn["left"]:
        yield (f"{name}: of {churn['came']} that came {churn['greeted']} were greeted and {churn['left']} "
               "answered")
