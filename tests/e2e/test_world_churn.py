"""tests/e2e/test_world_churn.py: the world while everybody does everything at once (S4-1, R8, D24; O1).

    E2E_BINARY=... test_world_churn.py SECONDS      the same for longer, with figures
"""
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import sys
import tempfile
import threading
import time

from harness import alone, wait_until
from pilots import Closed, Pilot
from rawclient import TEXT, Ended
from test_world import FLAT, point, world
from test_world_log import ended, replay, stop

PILOTS = 12
NAMES = [f"pilot-{number}" for number in range(2 * PILOTS)]  # so few that some take another's place
EXPECTED = {4403, 4409, 4400, 4429, 1013}  # who cheats, is replaced, talks nonsense, asks for too much
GAUGES = ("ringcast_connections_open", "ringcast_frames_live", "ringcast_frame_memory_bytes", "ringcast_outbox_bytes",
          "ringcast_outbox_storage_in_use", "ringcast_message_buffers_in_use", "ringcast_request_buffers_in_use",
          "ringcast_receive_buffers_free", "ringcast_frames_lent")


class Life(threading.Thread):
    """One who comes, does what chance says, goes, and comes again, until told to end."""

    def __init__(self, port, seed):
        super().__init__(daemon=True)
        self.port, self.chance, self.is_over, self.failure = port, random.Random(seed), False, None
        self.lives, self.closed = 0, {}
        self.start()

    def run(self):
        while not self.is_over and self.failure is None:
            try:
                self.live()
            except Closed as why:
                self.closed[why.code] = self.closed.get(why.code, 0) + 1
                if why.code not in EXPECTED:
                    self.failure = why
            except (Ended, ConnectionError, TimeoutError):
                pass  # a socket that was closed under it
            except Exception as why:  # noqa: BLE001 -- told by the test
                self.failure = why

    def live(self):
        self.lives += 1
        with Pilot(self.port, self.chance.choice(NAMES), sibling=self.chance.random() < 0.3) as pilot:
            for _ in range(self.chance.randrange(1, 60)):
                if self.is_over:
                    break
                self.chance.choice(self.DEEDS)(self, pilot)
            if self.chance.random() < 0.5:
                pilot.client.leave()

    def fly(self, pilot):
        step = {axis: pilot.at[axis] + self.chance.uniform(-1.2, 1.2) for axis in "xz"}
        if all(abs(step[axis]) < 280 for axis in step):
            pilot.at |= {axis: round(value, 3) for axis, value in step.items()} | {"y": 15}
        pilot.update(pilot.at)
        pilot.look(0.05)
        for correction in pilot.heard("correction")[-1:]:
            pilot.at = dict(correction["position"])

    def cheat(self, pilot):
        pilot.update(point(self.chance.uniform(-290, 290), self.chance.uniform(-290, 290), 60))
        pilot.look(0.05)

    def race(self, pilot):
        pilot.say("start_race", {"routeId": "round"})
        pilot.look(0.05)

    def ask(self, pilot):
        tiles = [{"x": self.chance.randrange(-2, 2), "z": self.chance.randrange(-2, 2), "lod": "mid"} for _ in range(8)]
        pilot.say("chunk_request", {"tiles": tiles})
        pilot.say("presence")
        pilot.say("interact", {"kioskId": "start"})
        pilot.look(0.05)

    def babble(self, pilot):
        pilot.client.send(TEXT, b'{"type":')
        pilot.look(0.05)

    def sleep(self, pilot):
        time.sleep(self.chance.uniform(0, 0.8))  # and reads nothing meanwhile

    DEEDS = (fly,) * 16 + (race,) * 3 + (ask, ask, cheat, babble, sleep)


def live_for(server, seconds, seed, during=lambda: None):
    """(lives, closes by code); all have gone when it returns."""
    lives = [Life(server.world, f"{seed}-{number}") for number in range(PILOTS)]
    until = time.monotonic() + seconds
    while time.monotonic() < until and not any(life.failure for life in lives):
        during()
        time.sleep(0.5)
    for life in lives:
        life.is_over = True
    closed = {}
    for life in lives:
        life.join(15)
        assert life.failure is None, repr(life.failure)
        assert not life.is_alive()
        for code, count in life.closed.items():
            closed[code] = closed.get(code, 0) + count
    server.wait_metric(0, "ringcast_members", kind="world")
    return sum(life.lives for life in lives), closed


def at_rest(server):
    """The gauges once nobody is there."""
    server.wait_metric(1, "ringcast_connections_open")
    metrics = server.metrics()
    return {gauge: metrics.get(gauge) for gauge in GAUGES}


def soak(seconds, warm_seconds):
    """Lives for so long; what is left must be what was left after the first of them."""
    with tempfile.TemporaryDirectory() as folder:
        path, log = pathlib.Path(folder, "world.json"), folder + "/world.log"
        path.write_text(json.dumps(FLAT))
        changes = [0]

        def reload():
            if random.random() < 0.3:
                changes[0] += 1
                kiosk = FLAT["kiosks"][0] | {"answer": f"Go {changes[0]}."}
                path.write_text(json.dumps(FLAT | {"kiosks": [kiosk]}) if changes[0] % 3 else "{")
                server.process.send_signal(signal.SIGHUP)

        with world("--world", str(path), "--world-log", log, "--workers", "2", "--world-leave", "400ms", "--drain", "1s",
                   "--world-players", "64", "--log-level", "info") as server:
            gauges = at_rest(server)
            live_for(server, warm_seconds, "warm")
            wait_until(lambda: at_rest(server) == gauges, 10, lambda: f"{gauges} at first: {at_rest(server)}")
            memory = server.memory()
            lives, closed = live_for(server, seconds, "soak", reload)
            wait_until(lambda: at_rest(server) == gauges, 10, lambda: f"{gauges} at first: {at_rest(server)}")
            grown = server.memory() - memory
            assert grown < 4 * 1024 * 1024, f"{grown} bytes more than before"
            metrics = server.metrics()
            assert metrics.get("ringcast_dropped_total", policy="shed") == 0
            slow = metrics.get("ringcast_tick_overruns_total", kind="world")
            stop(server)
            line = ended(server)
            assert server.log_lines(event="stopped")[-1]["everything_home"] == "yes"
        code, printed = replay(log)
        assert code == 0 and "every hash is the server's" in printed, printed[-500:]
        return {"lives": lives, "closed": closed, "grown": grown, "overruns": slow, "inputs": line["inputs"],
                "ticks": line["ticks"], "log_bytes": line["bytes"], "verdicts": len(re.findall(r"^verdict ", printed, re.M))}


@alone
def test_world_under_churn():
    """twelve walk, race, cheat, babble, sleep, drop, and take each other's place: nothing is left of it, and played again it
    comes to the same"""
    told = soak(12, 3)
    assert told["lives"] > 10 and int(told["inputs"]) > 1000 and told["verdicts"] > 5, told


if __name__ == "__main__":
    os.environ.setdefault("E2E_PORTS", "31000")
    with contextlib.suppress(KeyboardInterrupt):
        print(soak(float(sys.argv[1]), 10))
