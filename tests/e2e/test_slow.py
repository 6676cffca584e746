"""tests/e2e/test_slow.py: clients that do not read, are stopped, are killed, or flood: only they pay
(THREATS.md R1, C8, D3, D12)."""
import contextlib
import json
import signal
import subprocess
import sys
import time

from harness import FOLDER, Crowd, Reader, Server, alone, is_gapless, longest_gap, sequence, wait_until
from rawclient import CLOSE, TEXT, Client, parse_close

FAST = ("--dev", "--kart-tick", "20ms", "--kart-payload", "16000", "--kart-stamp")


def drops(server):
    return server.metric("ringcast_dropped_total", policy="conflate", reason="slow")


def read_for(client, seconds):
    """The states that come within this time."""
    states, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        states.append(client.read_state())
    return states


def test_stalled_reader_gets_the_newest():
    """who stops reading and reads again gets the frame that was under way, whole, then the newest
    state; meanwhile nobody else misses one and its queue stays small"""
    with Server(*FAST) as server, server.client() as quick:
        quick.read_state()
        reader = Reader(quick)
        frames_before = server.metric("ringcast_frames_live")
        with server.client(receive_buffer=4096) as stalled:
            first = stalled.read_state()["s"]
            time.sleep(3.0)
            assert drops(server) > 50, drops(server)
            assert server.metric("ringcast_frames_live") <= frames_before + 4
            newest = reader.seen[-1][1]["s"]
            numbers = [first] + [state["s"] for state in read_for(stalled, 1.0)]
            check_jump(numbers, newest)
            assert stalled.is_alive()
        seen = reader.stop()
        assert is_gapless(sequence(seen)), "the other member missed a state"
        assert longest_gap(seen) < 0.5, longest_gap(seen)


def test_goodbyes_that_nobody_takes():
    """a close frame that a client does not take is counted beside its reason; one that was taken is not (D12)"""
    with Server(*FAST, "--ping", "1s", "--pong", "500ms") as server, server.client() as quick:
        reader = Reader(quick)
        with server.client(receive_buffer=4096):
            server.wait_metric(1, "ringcast_disconnects_total", code=4408, reason="pong_timeout")
            server.wait_metric(1, "ringcast_goodbyes_unsent_total")
        reader.stop()
        assert quick.leave()[0] == 1000
        server.wait_metric(1, "ringcast_connections_open")
        assert server.metric("ringcast_goodbyes_unsent_total") == 1


def check_jump(numbers, newest):
    """Sequence numbers rise; what was in the kernel's hands is old, then they jump to now."""
    assert all(later > earlier for earlier, later in zip(numbers, numbers[1:])), numbers
    jump, at = max((later - earlier, index) for index, (earlier, later)
                   in enumerate(zip(numbers, numbers[1:]), 1))
    assert jump > 50, f"no jump: {numbers}"
    assert at <= 60, f"{at} old states before the newest"
    assert numbers[at] >= newest - 10, f"after the jump {numbers[at]}, the newest was {newest}"
    rest = numbers[at + 1:]
    assert len(rest) > 10 and is_gapless(rest[5:]), f"afterwards it keeps up: {rest}"


def test_a_reader_that_never_reads_costs_little():
    """100 members that never read cost a few frames in all, and no memory that grows"""
    with Server(*FAST, "--ping", "60s") as server, server.client() as quick:
        quick.read_state()
        reader = Reader(quick)
        frames = server.metric("ringcast_frames_live")
        stalled = [server.client(receive_buffer=4096) for _ in range(100)]
        time.sleep(1.5)
        memory = server.memory()
        time.sleep(1.5)
        assert server.memory() < memory + 4_000_000, "memory grows while nobody reads"
        # each may pin the frame that is partly sent, and all share the newest
        assert server.metric("ringcast_frames_live") <= frames + 110
        for client in stalled:
            client.socket.close()
        server.wait_metric(1, "ringcast_members", kind="kart")
        wait_until(lambda: server.metric("ringcast_frames_live") <= frames + 1, 3,
                   lambda: server.metric("ringcast_frames_live"))
        seen = reader.stop()
        assert is_gapless(sequence(seen)) and longest_gap(seen) < 0.6, longest_gap(seen)
        server.wait_metric(0, "ringcast_outbox_storage_in_use")


def test_pings_of_a_stalled_reader():
    """a stalled reader does not collect pings, and is gone after ping + pong"""
    with Server(*FAST, "--ping", "1s", "--pong", "1s") as server:
        with server.client(receive_buffer=4096) as client:
            client.read_state()
            start = time.monotonic()
            server.wait_metric(0, "ringcast_members", seconds=4, kind="kart")
            assert time.monotonic() - start < 3
            server.wait_metric(1, "ringcast_connections_open", seconds=4)


def test_stopped_for_a_while():
    """members of a process that is stopped for 3 s stay, and read on when it continues"""
    with Server(*FAST, "--ping", "60s") as server, server.client() as quick:
        quick.read_state()
        reader = Reader(quick)
        with Crowd(server.port, 5) as crowd:
            crowd.signal(signal.SIGSTOP)
            time.sleep(3.0)
            crowd.signal(signal.SIGCONT)
            _, least, _ = crowd.ask("counts")
            time.sleep(1.0)
            still_open, more, _ = crowd.ask("counts")
            assert still_open == 5, f"{still_open} of 5 are still connected"
            assert more - least > 15 * 16000, f"only {more - least} bytes in a second"
        seen = reader.stop()
        assert is_gapless(sequence(seen)) and longest_gap(seen) < 0.5, longest_gap(seen)


GAUGES = ("ringcast_connections_open", "ringcast_frames_live", "ringcast_outbox_storage_in_use",
          "ringcast_message_buffers_in_use", "ringcast_request_buffers_in_use",
          "ringcast_receive_buffers_free")


@alone
def test_half_a_crowd_is_killed():
    """kill -9 of half of 1,000 clients, then of the rest: every gauge returns to its start"""
    with Server("--dev", "--kart-tick", "100ms", "--kart-stamp", "--ping", "60s") as server:
        with server.client() as client:
            client.read_state()
            client.leave()
        server.wait_metric(1, "ringcast_connections_open")
        before, descriptors = server.metrics(), server.descriptors()
        with Crowd(server.port, 500) as one, Crowd(server.port, 500) as other:
            with server.client() as watcher:
                watcher.read_state()
                reader = Reader(watcher)
                server.wait_metric(1001, "ringcast_members", kind="kart")
                one.kill()
                server.wait_metric(501, "ringcast_members", seconds=3, kind="kart")
                time.sleep(0.5)
                assert other.ask("counts")[0] == 500, "the others stay"
                other.kill()
                server.wait_metric(1, "ringcast_members", seconds=3, kind="kart")
                seen = reader.stop()
                assert is_gapless(sequence(seen)) and longest_gap(seen) < 0.6, longest_gap(seen)
                watcher.leave()
        server.wait_metric(1, "ringcast_connections_open", seconds=5)
        after = server.metrics()
        for gauge in GAUGES:
            assert after.get(gauge) == before.get(gauge), (gauge, before.get(gauge), after.get(gauge))
        for gauge in ("ringcast_connections", "ringcast_members", "ringcast_rooms"):
            assert after.get(gauge, kind="kart") == before.get(gauge, kind="kart"), gauge
        gone = after.get("ringcast_disconnects_total") - before.get("ringcast_disconnects_total")
        assert gone == 1001, f"{gone} disconnects counted"
        wait_until(lambda: server.descriptors() <= descriptors, 3, server.descriptors)


@alone
def test_flood_of_tiny_frames():
    """where messages are not limited, a flood of tiny frames does not disturb another member (F13)"""
    with Server("--kart-tick", "100ms", "--kart-stamp", "--message-rate", "0") as server, server.client() as member:
        member.read_state()
        reader = Reader(member)
        flood = subprocess.run([sys.executable, str(FOLDER / "flood.py"), str(server.port), "3"],
                               capture_output=True, text=True, timeout=30)
        seen = reader.stop()
        assert flood.stdout.strip().isdigit(), f"the flood says {flood.stdout!r} {flood.stderr[-500:]}"
        assert is_gapless(sequence(seen)), "the member missed a state"
        assert longest_gap(seen) < 0.6, f"{longest_gap(seen):.3f} s without a state"
        encoded = [state["t"] / 1e9 for _, state in seen]
        late = max(after - before for before, after in zip(encoded, encoded[1:])) - 0.1
        assert late < 0.06, f"a tick was {late * 1000:.0f} ms late: the flood takes whole turns"
        assert int(flood.stdout) > 100_000, flood.stdout
        server.wait_metric(1, "ringcast_members", kind="kart")


def test_partial_frames_are_finished():
    """a reader that takes a few bytes now and then still gets whole frames, in order"""
    with Server(*FAST) as server, Client(server.port, receive_buffer=2048) as client:
        numbers, end = [], time.monotonic() + 4
        client.socket.settimeout(1)
        while time.monotonic() < end:
            time.sleep(0.001)
            client.buffer += client.socket.recv(400)
            with contextlib.suppress(TimeoutError):
                numbers.append(client.read_state(0)["s"])
        assert len(numbers) > 5, numbers
        assert all(later > earlier for earlier, later in zip(numbers, numbers[1:])), numbers
        assert numbers[-1] - numbers[0] > len(numbers), "it was never behind: the test is too kind"


# ---- --kart-slow: who pays when the queue is full

SMALL, LARGE = 600, 16000  # the bytes of a state; so the queue's bound is frames, or bytes
QUEUE = {SMALL: 252, LARGE: 64}  # how many states it holds at least; a policy that drops leaves places for pings
BOUND = {SMALL: "frames", LARGE: "bytes"}


@contextlib.contextmanager
def stalled(policy, payload):
    """(the server, a member that does not read, what it read before)"""
    with Server("--dev", "--kart-tick", "5ms", "--kart-stamp", "--kart-payload", str(payload),
                "--send-buffer", "8KiB", "--ping", "60s", "--kart-slow", policy) as server:
        with server.client(receive_buffer=4096) as client:
            yield server, client, client.read_state()["s"]


def dropped(server, policy, **labels):
    return server.metric("ringcast_dropped_total", policy=policy, **labels)


def read_until_fresh(client, first):
    """The states up to one that was encoded less than 50 ms ago, and `first` before them."""
    numbers, encoded = [first], [0]
    while encoded[-1] < time.monotonic_ns() - 50_000_000:
        state = client.read_state()
        numbers.append(state["s"])
        encoded.append(state["t"])
    return numbers, encoded


def gaps(numbers):
    """(index behind it, how many states are missing there) of each; the order must be right."""
    assert all(later > earlier for earlier, later in zip(numbers, numbers[1:])), numbers
    return [(index, later - earlier - 1) for index, (earlier, later)
            in enumerate(zip(numbers, numbers[1:]), 1) if later > earlier + 1]


def drop_and_read(policy, payload, least):
    """Stalls until so many states were dropped, then reads: (numbers, gaps, when it began to read, and
    when each state was encoded). What the client misses is what the server has counted."""
    with stalled(policy, payload) as (server, client, first):
        wait_until(lambda: dropped(server, policy, reason=BOUND[payload]) >= least, 20,
                   lambda: f"{least} dropped: {dropped(server, policy)}")
        resumed = time.monotonic_ns()
        numbers, encoded = read_until_fresh(client, first)
        until = time.monotonic() + 5
        while sum(gap for _, gap in gaps(numbers)) < dropped(server, policy, reason=BOUND[payload]) and time.monotonic() < until:
            state = client.read_state()  # one that was dropped behind the last one shows with the next
            numbers.append(state["s"])
            encoded.append(state["t"])
        missing = gaps(numbers)
        assert client.is_alive()
        for name in ("conflate", "close", "drop_oldest", "drop_newest"):
            for reason in ("slow", *BOUND.values()):
                wanted = sum(gap for _, gap in missing) if (name, reason) == (policy, BOUND[payload]) else 0
                counted = dropped(server, name, reason=reason)
                assert counted == wanted, f"{name}, {reason}: {counted} counted, {wanted} missing"
        server.wait_metric(1, "ringcast_members", kind="kart")
        return numbers, missing, resumed, encoded


def check_drop_oldest(payload):
    numbers, missing, resumed, encoded = drop_and_read("drop_oldest", payload, 300)
    assert missing, f"no gap: {numbers}"
    at = missing[-1][0]
    kept = sum(1 for time_ns in encoded[at:] if time_ns < resumed)
    assert kept >= QUEUE[payload] * 3 // 4, f"only {kept} of those before the resumption: {missing}"


def test_drop_oldest_by_frames():
    """--kart-slow drop_oldest: who stops reading misses states in the middle; the newest 250 that waited
    are kept, in order, and each that is missing is counted as `frames`"""
    check_drop_oldest(SMALL)


def test_drop_oldest_by_bytes():
    """--kart-slow drop_oldest with large states: the newest MiB is kept, the missing are counted as `bytes`"""
    check_drop_oldest(LARGE)


def check_drop_newest(payload):
    numbers, missing, resumed, encoded = drop_and_read("drop_newest", payload, 300)
    assert missing, f"no gap: {numbers}"
    at = missing[0][0]
    assert at > QUEUE[payload], f"only the {at} oldest were kept: {missing}"
    assert encoded[at] > resumed - 20_000_000, "what follows the oldest is from before the resumption"


def test_drop_newest_by_frames():
    """--kart-slow drop_newest: who stops reading gets the oldest 250 that waited, in order, then those
    encoded since it reads again; each that is missing is counted as `frames`"""
    check_drop_newest(SMALL)


def test_drop_newest_by_bytes():
    """--kart-slow drop_newest with large states: the oldest MiB is kept, the missing are counted as `bytes`"""
    check_drop_newest(LARGE)


def check_close(payload):
    with stalled("close", payload) as (server, client, first):
        server.wait_metric(1, "ringcast_disconnects_total", seconds=20, code="4508", reason="slow_consumer")
        assert dropped(server, "close", reason=BOUND[payload]) == 1
        numbers, frame = [first], client.read_message()
        while frame.opcode == TEXT:
            numbers.append(json.loads(frame.payload)["s"])
            frame = client.read_message()
        assert parse_close(frame.payload) == (4508, "slow_consumer"), frame
        assert is_gapless(numbers), "a state is missing before the goodbye"
        client.send(CLOSE, frame.payload)
        client.read_end()
        server.wait_metric(0, "ringcast_members", kind="kart")
        assert dropped(server, "conflate") == 0
        return numbers


def test_close_by_frames():
    """--kart-slow close: who stops reading is closed with 4508 when 256 states wait; up to there it
    misses none"""
    check_close(SMALL)


def test_close_by_bytes():
    """--kart-slow close with large states: 4508 when a MiB waits"""
    check_close(LARGE)


def test_conflate_is_counted_as_slow():
    """--kart-slow conflate: who stops reading misses states, counted as `slow`, and gets the newest"""
    with stalled("conflate", SMALL) as (server, client, first):
        wait_until(lambda: dropped(server, "conflate", reason="slow") >= 300, 20, "300 are replaced")
        resumed = time.monotonic_ns()
        numbers, encoded = read_until_fresh(client, first)
        missing = gaps(numbers)
        at, size = max(missing, key=lambda gap: gap[1])
        assert size >= 250 and encoded[at] > resumed - 20_000_000, missing
        counted = dropped(server, "conflate", reason="slow")
        for _ in range(20):  # one may be replaced after the fresh one: then it is missing before the next
            numbers.append(client.read_state()["s"])
        counted_since = dropped(server, "conflate", reason="slow")
        lost = sum(gap for _, gap in gaps(numbers))
        assert counted <= lost <= counted_since, f"{counted} to {counted_since} counted, {lost} missing"
        assert dropped(server, "conflate") == dropped(server, "conflate", reason="slow")


def test_a_replica_keeps_the_policy():
    """--kart-slow holds on every worker, not only where the room lives"""
    with Server("--dev", "--kart-tick", "5ms", "--kart-stamp", "--kart-payload", str(LARGE), "--workers",
                "2", "--send-buffer", "8KiB", "--ping", "60s", "--kart-slow", "close") as server:
        clients = [server.client(receive_buffer=4096) for _ in range(12)]  # by chance all on one: 1 in 2048
        server.wait_metric(12, "ringcast_disconnects_total", seconds=20, code="4508")
        for client in clients:
            assert client.read_close()[0] == 4508
            client.socket.close()
