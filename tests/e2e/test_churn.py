"""Several workers under load: connections move between threads, frames are lent and come home."""
import contextlib
import random
import signal
import threading
import time

from harness import Server, alone, wait_until
from rawclient import Ended, Refused

NUISANCES = (Ended, Refused, OSError, TimeoutError, AssertionError)


def come_and_go(server, seed, end):
    """Joins the race or a race of its own, reads a little, leaves well or badly."""
    chance = random.Random(seed)
    while time.monotonic() < end:
        path = "/ws" if chance.random() < 0.5 else f"/ws/kart/r{chance.randrange(12)}"
        with contextlib.suppress(*NUISANCES):
            client = server.client(path=path)
            for _ in range(chance.randrange(4)):
                client.read_state()
            if chance.random() < 0.3:
                client.leave()
            client.socket.close()


def command_and_look(server, seed, end, troubles):
    chance = random.Random(seed)
    while time.monotonic() < end:
        room = "" if chance.random() < 0.3 else f"/r{chance.randrange(12)}"
        answer = server.post(f"/v1/rooms/kart{room}/commands", b'{"command":"/host bonus 1"}')
        if answer.status not in (200, 404):
            troubles.append(f"command: {answer.status} {answer.body}")
        if server.get("/metrics").status != 200:
            troubles.append("metrics")


@alone
def test_workers_under_churn():
    """four workers under churn, commands and metrics: every frame comes home, no race is seen"""
    with Server("--workers", "4", "--kart-tick", "5ms", "--drain", "2s", "--address-handshakes", "100000",
                "--address-acquires", "0",
                env={"RINGCAST_API_KEY": "churn"}) as server:  # not --dev: addresses are counted
        end, troubles = time.monotonic() + 4, []
        threads = [threading.Thread(target=come_and_go, args=(server, seed, end)) for seed in range(10)]
        threads += [threading.Thread(target=command_and_look, args=(server, seed, end, troubles)) for seed in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not troubles, troubles[:3]
        server.wait_metric(0, "ringcast_members", seconds=5, kind="kart")
        server.wait_metric(0, "ringcast_frames_lent", seconds=5)
        assert server.metric("ringcast_workers") == 4
        server.signal(signal.SIGTERM)
        assert server.wait_exit(10) == 0, server.log_text()[-2000:]
        assert "ThreadSanitizer" not in server.log_text(), server.log_text()[-4000:]


def workers_of(server, count):
    """The workers that log `count` connected clients, once all of these lines are written."""
    wait_until(lambda: len(server.log_lines(event="connected")) >= count, 3, "the log has them all")
    return {line["worker"] for line in server.log_lines(event="connected")}


def test_members_of_one_race_are_on_several_workers():
    """a race spans the workers: all members get the same frames, encoded once"""
    with Server("--dev", "--workers", "3", "--kart-tick", "50ms", "--kart-stamp") as server:
        clients = [server.client() for _ in range(30)]
        for client in clients:
            client.read_state()
        seen = [[client.read_state()["s"] for _ in range(10)] for client in clients]
        for numbers in seen:
            assert numbers == list(range(numbers[0], numbers[0] + 10)), numbers
        assert len(workers_of(server, 30)) > 1
        encodes = server.metric("ringcast_frame_encodes_total", kind="kart")
        ticks = server.metric("ringcast_ticks_total", kind="kart")
        assert encodes <= ticks + 3, (encodes, ticks)
        for client in clients:
            client.socket.close()


def test_small_races_live_on_one_worker():
    """members of a further race are handed to its home, whoever accepted them"""
    with Server("--dev", "--workers", "3") as server:
        clients = [server.client(path="/ws/kart/home") for _ in range(12)]
        for client in clients:
            client.read_state()
        assert len(workers_of(server, 12)) == 1
        for client in clients:
            client.socket.close()
