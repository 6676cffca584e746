"""tests/e2e/test_fast_path.py: frames that are sent past a member's queue, and those that fall short
there: nobody hears a byte that is not the next one."""
import contextlib
import json
import random
import selectors
import time

from harness import Server, alone
from rawclient import PING, PONG, STATE, TEXT, parse_server_frame

CROWD = 50
PAYLOAD = 9000
SECONDS = 5.0
OPTIONS = ("--dev", "--kart-tick", "2ms", "--kart-payload", str(PAYLOAD), "--kart-stamp",
           "--send-buffer", "8KiB", "--ping", "1s", "--pong", "20s")


class Listener:
    """A member that reads at its own speed, and believes nothing."""

    def __init__(self, server, chance):
        self.client = server.client(receive_buffer=chance.choice((2048, 4096, 16384)))
        self.client.socket.setblocking(False)
        self.chance = chance
        # bytes at a time, and how long it does something else in between
        self.most = chance.choice((50, 700, 3000, 20000, 200000))
        self.pause = chance.choice((0.0, 0.0, 0.005, 0.05, 0.3))
        self.next_at, self.last, self.states, self.pings, self.bytes = 0.0, 0, 0, 0, 0

    def read(self, now):
        piece = self.client.socket.recv(1 + self.chance.randrange(self.most))
        assert piece, f"the server ended the connection after state {self.last}"
        self.bytes += len(piece)
        self.client.buffer += piece
        while (parsed := parse_server_frame(self.client.buffer)) is not None:
            frame, used = parsed
            del self.client.buffer[:used]
            self.hear(frame)
        self.next_at = now + self.chance.random() * 2 * self.pause

    def hear(self, frame):
        if frame.opcode == PING:
            self.pings += 1
            with contextlib.suppress(BlockingIOError):
                self.client.send(PONG, frame.payload)
            self.client.socket.setblocking(False)
            return
        assert frame.opcode == TEXT and frame.final, frame
        assert len(frame.payload) == PAYLOAD, f"{len(frame.payload)} bytes after state {self.last}"
        text = frame.payload.decode("ascii")
        assert STATE.fullmatch(text), f"damaged after state {self.last}: {text[:200]}"
        state = json.loads(text)
        assert state["s"] > self.last, f"state {state['s']} after {self.last}"
        self.last = state["s"]
        self.states += 1


def listen(listeners, seconds):
    """Each reads as it likes for a while."""
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        for listener in listeners:
            selector.register(listener.client.socket, selectors.EVENT_READ, listener)
        while (now := time.monotonic()) < end:
            idle = True
            for key, _ in selector.select(0.01):
                if key.data.next_at <= now:
                    key.data.read(now)
                    idle = False
            if idle:
                time.sleep(0.0005)


def run_crowd(fast_path):
    """(sends past queues, those that fell short, states that were replaced)"""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with Server(*OPTIONS, f"--fast-path={fast_path}") as server:
        frames = server.metric("ringcast_frames_live")
        listeners = [Listener(server, random.Random(chance.random())) for _ in range(CROWD)]
        listen(listeners, SECONDS)
        metrics = server.metrics()
        assert metrics.get("ringcast_members", kind="kart") == CROWD, "somebody was thrown out"
        heard = sorted(listener.states for listener in listeners)
        assert sum(heard) > 1000, f"too little was heard: {heard}"
        assert heard[-1] > 3 * heard[0], f"all were equally fast: {heard}"
        for listener in listeners:
            listener.client.socket.close()
        server.wait_metric(0, "ringcast_members", kind="kart")
        server.wait_metric(0, "ringcast_outbox_storage_in_use")
        assert server.metric("ringcast_frames_live") <= frames + 2
        sent = metrics.get("ringcast_sends_fast_total")
        short = metrics.get("ringcast_sends_fast_short_total")
        return sent, short, metrics.get("ringcast_dropped_total", policy="conflate", reason="slow")


@alone
def test_random_speeds_with_the_fast_path():
    """50 members with small buffers read at random speeds: every state is whole and newer than the
    one before, while sends past the queue go through and fall short"""
    sent, short, conflated = run_crowd("on")
    assert sent > 1000, f"{sent} sends past queues"
    assert 100 < short < sent, f"{short} of {sent} fell short"
    assert conflated > 1000, f"{conflated} states were replaced"


@alone
def test_random_speeds_without_the_fast_path():
    """the same with --fast-path=off: no send goes past a queue"""
    sent, short, conflated = run_crowd("off")
    assert sent == short == 0, f"{sent} sends past queues, {short} fell short"
    assert conflated > 1000, f"{conflated} states were replaced"


def test_a_member_that_keeps_up_costs_no_completion():
    """who reads at once gets each state past its queue, with pings and pongs in between; none falls
    short, none is missing"""
    with Server("--dev", "--kart-tick", "20ms", "--kart-payload", str(PAYLOAD), "--kart-stamp",
                "--ping", "500ms", "--pong", "5s") as server, server.client() as client:
        numbers = []
        for turn in range(100):
            numbers.append(client.read_state()["s"])
            if turn % 10 == 5:
                assert client.is_alive()
        assert all(later > earlier for earlier, later in zip(numbers, numbers[1:])), numbers
        assert client.pings > 0, "no ping came in between"
        metrics = server.metrics()
        assert metrics.get("ringcast_sends_fast_total") >= 90
        assert metrics.get("ringcast_sends_fast_short_total") == 0
        assert metrics.get("ringcast_dropped_total", policy="conflate", reason="slow") == 0
