"""tests/e2e/test_kart.py: the race dashboard on the wire (THREATS.md S0-1 to S0-18,
and F16, F17, H17)."""
import random
import threading
import time

from harness import STATE_IDLE, Reader, Server, alone, is_gapless, longest_gap, sequence, wait_until
from rawclient import (BINARY, CONTINUATION, PING, PONG, TEXT, Client, make_frame, upgrade_request)

PHASES = ("idle", "staging", "ignition", "racing", "cooldown")


def test_golden_transcript():
    """the golden transcript of S0: 101, the state at once, anything is ignored, the state goes on"""
    with Server("--dev") as server:
        server.do("/host reset")
        with Client(server.port, handshake=False) as client:
            client.send_bytes(b"GET /ws HTTP/1.1\r\nHost: example\r\nUpgrade: websocket\r\n"
                              b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            client.read_upgrade(b"dGhlIHNhbXBsZSBub25jZQ==")  # the accept key of RFC 6455 §1.3
            assert client.response.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
            assert client.response.body == b""
            assert client.read_state_text() == STATE_IDLE
            client.send(TEXT, b"CONFIRM_READY")
            for _ in range(3):
                assert client.read_state_text(1.0) == STATE_IDLE


def test_first_frame_needs_no_tick():
    """the first frame after 101 is the state, at once, however far away the next tick is (S0-4)"""
    with Server("--dev", "--kart-tick", "20s") as server:
        server.do("/host reset")
        for _ in range(20):
            start = time.monotonic()
            with server.client() as client:
                assert client.read_state_text(1.0) == STATE_IDLE
                assert time.monotonic() - start < 1.0


def test_state_is_the_contracts():
    """the state has exactly phase, pot and time_remaining_ms, in that order, numbers as integers"""
    with Server("--dev") as server, server.client() as client:
        server.do("/host reset")
        server.do("/host bonus 500")
        server.do("/host start")
        state = client.read_state_text()
        while '"staging","pot":500' not in state:
            state = client.read_state_text()
        left = int(state.removeprefix('{"phase":"staging","pot":500,"time_remaining_ms":')[:-1])
        assert 40000 < left <= 45000, state


@alone
def test_cadence():
    """the whole state comes every 500 ms, changed or not (S0-7)"""
    with Server("--dev") as server, server.client() as client:
        server.do("/host reset")
        client.read_state()
        reader, start = Reader(client), time.monotonic()
        time.sleep(3.0)
        seen = reader.stop()
        count = sum(1 for at, _ in seen if at <= start + 3.0)
        assert 5 <= count <= 7, f"{count} states in 3 s"
        assert longest_gap(seen) < 0.75, longest_gap(seen)


@alone
def test_ticks_do_not_drift():
    """100 ticks of 40 ms take 4 s: lateness never adds up"""
    with Server("--dev", "--kart-tick", "40ms", "--kart-stamp") as server, server.client() as client:
        first = client.read_state()
        while (state := client.read_state())["s"] < first["s"] + 100:
            pass
        took = (state["t"] - first["t"]) / 1e9
        # A tick that a late worker missed takes its time, too, and has no number. The first frame may
        # have been encoded for its joiner, up to a tick before the next one.
        due = 0.040 * (100 + server.metric("ringcast_tick_overruns_total", kind="kart"))
        assert due - 0.1 < took < due + 0.1, f"100 ticks took {took:.3f} s, not {due:.3f}"


def test_joining_at_any_moment():
    """who joins at a random moment gets the state first, and neither time nor sequence go back
    (S0-11, S0-18)"""
    failures = []

    def join_often(port, seed):
        chance = random.Random(seed)
        try:
            for _ in range(40):
                time.sleep(chance.random() * 0.05)
                with Client(port) as client:
                    states = [client.read_state() for _ in range(3)]
                numbers, stamps = ([state[key] for state in states] for key in "st")
                assert numbers[0] < numbers[1] < numbers[2] and is_gapless(numbers), numbers
                assert stamps[0] < stamps[1] < stamps[2], stamps
                for earlier, later in zip(states, states[1:]):
                    same = earlier["phase"] == later["phase"]
                    assert not same or (later["time_remaining_ms"] <= earlier["time_remaining_ms"])
        except Exception as why:  # noqa: BLE001 -- shown below
            failures.append(repr(why))

    options = ("--dev", "--kart-tick", "20ms", "--kart-stamp", "--kart-autostart")
    with Server(*options) as server, server.client() as watcher:
        reader = Reader(watcher)
        threads = [threading.Thread(target=join_often, args=(server.port, n)) for n in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures, failures
        assert is_gapless(sequence(reader.stop()))
        watcher.leave()
        server.wait_metric(0, "ringcast_connections", kind="kart")


def test_a_tick_of_several_states():
    """with --kart-burst each tick makes several states, and everybody gets them all, in order; conflate keeps
    the last of those that wait"""
    options = ("--kart-tick", "50ms", "--kart-stamp", "--kart-burst", "4", "--workers", "2")
    with Server(*options, "--kart-slow", "drop_oldest") as server:
        clients = [server.client() for _ in range(4)]
        for client in clients:
            states = [client.read_state() for _ in range(20)][4:]
            assert is_gapless([state["s"] for state in states]), states
            spans = [later["t"] - earlier["t"] for earlier, later in zip(states, states[1:])]
            assert sum(span < 20e6 for span in spans) >= len(spans) // 2, spans
        encodes, ticks = server.metric("ringcast_frame_encodes_total"), server.metric("ringcast_ticks_total")
        assert encodes > 3 * ticks, (encodes, ticks)
    with Server(*options[:-2], "--workers", "1") as server, server.client() as client:
        numbers = [client.read_state()["s"] for _ in range(10)][2:]
        assert all(later - earlier == 4 for earlier, later in zip(numbers, numbers[1:])), numbers


def test_everyone_gets_the_same_bytes():
    """members get the very same bytes for the same sequence number"""
    with Server("--dev", "--kart-tick", "50ms", "--kart-stamp", "--kart-payload", "300") as server:
        clients = [server.client() for _ in range(5)]
        texts = [[client.read_state_text() for _ in range(20)] for client in clients]
        by_number = {}
        for text in (text for of_client in texts for text in of_client):
            assert len(text) == 300, len(text)
            number = text.split('"s":')[1].split(",")[0]
            assert by_number.setdefault(number, text) == text
        assert len(by_number) < 40, "the members saw different snapshots"
        for client in clients:
            client.leave()


def test_input_is_ignored_and_counted():
    """text, binary, empty and fragmented messages are counted and ignored; the member stays (S0-9)"""
    with Server("--dev") as server, server.client() as client:
        client.read_state()
        before = server.metric("ringcast_messages_received_total", kind="kart")
        client.send(TEXT, b"CONFIRM_READY")
        client.send(TEXT, b'{"type":"chat","payload":{"message":"hi"}}')
        client.send(TEXT, b"/host bonus 1000000")
        client.send(TEXT, b"")
        client.send(BINARY, b"")
        client.send(BINARY, bytes(range(256)))
        client.send(TEXT, b"x" * 4096)
        client.send(TEXT, "zwei Hälften: ".encode()[:8], final=False)
        client.send(PING, b"between")
        client.send(CONTINUATION, "zwei Hälften: ".encode()[8:])
        assert client.read_until_pong()[0] == b"between"
        assert client.is_alive()
        assert server.metric("ringcast_messages_received_total", kind="kart") == before + 8
        assert client.read_state()["pot"] == 0
        assert client.is_alive()


def test_a_bonus_reaches_everyone():
    """a host's bonus is in everyone's next state (S0-2, S0-3, S0-15)"""
    with Server("--dev") as server:
        server.do("/host reset")
        clients = [server.client() for _ in range(10)]
        for client in clients:
            assert client.read_state()["pot"] == 0
        start = time.monotonic()
        assert server.do("/host bonus 500") == {"phase": "idle", "pot": 500, "time_remaining_ms": 0}
        for client in clients:
            while client.read_state()["pot"] != 500:
                assert time.monotonic() - start < 1.5, "the bonus does not arrive"
        with server.client() as late:
            assert late.read_state()["pot"] == 500


def encodes_and_ticks(server):
    metrics = server.metrics()
    return [metrics.get(name, kind="kart")
            for name in ("ringcast_frame_encodes_total", "ringcast_ticks_total")]


@alone
def test_one_encode_a_tick():
    """a tick is encoded once, for 1, 50 and 200 members alike, and sent to each of them (S0-3, D4)"""
    with Server("--dev", "--kart-tick", "100ms") as server:
        clients = []
        for count in (1, 50, 200):
            while len(clients) < count:
                clients.append(server.client())
            server.wait_metric(count, "ringcast_members", kind="kart")
            encodes, ticks = encodes_and_ticks(server)
            sent = server.metric("ringcast_frames_sent_total", lane="state")
            wait_until(lambda: encodes_and_ticks(server)[1] >= ticks + 10, 5, "ten ticks")
            more_encodes, more_ticks = encodes_and_ticks(server)
            more_sent = server.metric("ringcast_frames_sent_total", lane="state")
            assert more_encodes - encodes == more_ticks - ticks, (count, encodes, ticks,
                                                                  more_encodes, more_ticks)
            frames = (more_sent - sent) / (more_ticks - ticks)
            assert 0.8 * count <= frames <= 1.2 * count, f"{frames} frames a tick for {count}"
            assert server.metric("ringcast_connections", kind="kart") == count
        for client in clients:
            client.socket.close()
        server.wait_metric(0, "ringcast_members", kind="kart")


def test_joiners_cost_no_encode():
    """who joins between two ticks gets the last snapshot; only a change in between costs one encode"""
    with Server("--dev", "--kart-tick", "20s") as server:
        server.do("/host reset")
        with server.client() as first:
            first.read_state()
            encodes = encodes_and_ticks(server)[0]
            for _ in range(10):
                with server.client() as client:
                    client.read_state()
            assert encodes_and_ticks(server)[0] == encodes
            server.do("/host bonus 5")
            for _ in range(10):
                with server.client() as client:
                    assert client.read_state()["pot"] == 5
            assert encodes_and_ticks(server)[0] <= encodes + 2


def test_frames_behind_the_request():
    """frames in the same segment as the request are read after the 101 (THREATS H17)"""
    key = b"dGhlIHNhbXBsZSBub25jZQ=="
    with Server("--dev") as server, Client(server.port, handshake=False) as client:
        client.send_bytes(upgrade_request(server.port) + make_frame(TEXT, b"early") +
                          make_frame(PING, b"bird"))
        client.read_upgrade(key)
        frames = [client.read_frame(), client.read_frame()]
        assert frames[0].opcode == TEXT, "the state comes first"
        assert (frames[1].opcode, frames[1].payload) == (PONG, b"bird")
        assert client.is_alive()


def test_a_race_runs_by_itself():
    """with --kart-autostart a race is on: its clock runs down in real time"""
    with Server("--dev", "--kart-autostart") as server, server.client() as client:
        first, start = client.read_state(), time.monotonic()
        assert first["phase"] == "staging", first
        for _ in range(4):
            state = client.read_state()
        ran = first["time_remaining_ms"] - state["time_remaining_ms"]
        took = (time.monotonic() - start) * 1000
        assert state["phase"] == "staging" and abs(ran - took) < 600, (ran, took)


def test_phases_on_the_wire():
    """each phase that the host enters is shown under its name, with its own clock or none"""
    lengths = dict(zip(PHASES, (0, 45000, 5000, 120000, 15000)))
    with Server("--dev", "--kart-tick", "50ms") as server, server.client() as client:
        for phase in PHASES:
            answer = server.do(f"/host phase {phase}")
            assert answer["phase"] == phase
            state = client.read_state()
            while state["phase"] != phase:
                state = client.read_state()
            length, left = lengths[phase], state["time_remaining_ms"]
            assert max(length - 1000, 0) <= left <= length, state


def test_padding_to_the_byte():
    """--kart-payload makes every state exactly that long, up to 64 KiB"""
    for size in (100, 125, 126, 127, 4096, 65535, 65536):
        with Server("--dev", "--kart-payload", str(size), "--kart-tick", "50ms") as server:
            with server.client() as client:
                for _ in range(3):
                    assert len(client.read_state_text()) == size
