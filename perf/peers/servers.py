"""perf/peers/servers.py: who takes part: ringcast, the bare loop, and the peers that this machine can run.
"""
import dataclasses
import os
import pathlib
import re
import time

import brought
import common

HERE = pathlib.Path(__file__).resolve().parent
OURS, FLOOR = "ringcast", "bare loop"
READY_SECONDS = 10


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
        yield Contender(f"node {name}", version, [program, HERE / "node" / "peer.js"], (name,), environment)


def peers_of_bun():
    program, version = brought.bun()
    yield Contender("bun", version, [program, HERE / "bun" / "peer.js"])


def peers_of_rust():
    program, version = brought.rust()
    yield Contender("tungstenite", version, [program])


PEERS = {("gorilla", "gorilla prepared"): peers_of_go, ("node ws", "node raw"): peers_of_node, ("bun",): peers_of_bun,
         ("tungstenite",): peers_of_rust}


def contenders(options):
    """Ours, the bare loop and the peers; who cannot be had is left out with a sentence."""
    def is_wanted(name):
        return options.only is None or any(word in name for word in options.only)

    version = brought.said_by(options.server, "--version").strip()
    found = [Contender(OURS, version, [])]
    found += [Contender(f"{OURS} {words}", version, [], tuple(words.split())) for words in options.also]
    found.append(Contender(FLOOR, "epoll and send(2)", [options.bench, "broadcast"]))
    for names, peers in PEERS.items():
        try:
            found += peers() if any(map(is_wanted, names)) else ()
        except (brought.bring.Missing, OSError) as why:
            print(f"skipped: {', '.join(names)}: {why}", flush=True)
    return [one for one in found if is_wanted(one.name)]


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
