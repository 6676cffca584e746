"""tests/e2e/test_memory.py: what slow readers keep in memory is bounded for all of them together;
beyond the bound those who owe most are closed, and only as many as must be (THREATS.md R2, D12)."""
import contextlib
import time

from harness import Crowd, Reader, Server, alone, expect_error, longest_gap, wait_until
from rawclient import Refused

MIB = 1024 * 1024
FRAME_MEMORY = 8 * MIB
FRAME = 128 * 1024  # what a state of 64 KiB occupies in memory
TICK = 0.02
OPTIONS = ("--dev", "--workers", "1", "--kart-payload", "65536", "--kart-tick", "20ms", "--kart-stamp",
           "--ping", "60s", "--frame-memory", "8MiB")

# Who is closed keeps the one frame that was under way for the time of a goodbye, 2 s, and a worker
# makes one frame a tick. Half a second more is for a machine that is busy.
LEAVING = int(2.5 / TICK) * FRAME

GAUGES = ("ringcast_connections_open", "ringcast_frames_live", "ringcast_frame_memory_bytes",
          "ringcast_outbox_bytes", "ringcast_outbox_storage_in_use", "ringcast_message_buffers_in_use",
          "ringcast_request_buffers_in_use", "ringcast_receive_buffers_free", "ringcast_frames_lent")


def join_and_leave(server):
    """Afterwards the gauges are what they are with nobody there."""
    with server.client() as client:
        client.read_state()
        client.leave()
    server.wait_metric(1, "ringcast_connections_open")
    return server.metrics()


def frame_memory(server):
    return server.metric("ringcast_frame_memory_bytes")


def stall(server, count, stack, samples):
    """Clients that never read. They join one a tick, so that the frame that each of them keeps is one of
    its own. Samples the memory meanwhile."""
    for index in range(count):
        client = server.client(receive_buffer=4096, timeout=10)
        stack.callback(client.socket.close)
        time.sleep(TICK)
        if index % 10 == 9:
            samples.append(frame_memory(server))


def sample_for(server, seconds, samples):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        samples.append(frame_memory(server))
        time.sleep(0.05)


@alone
def test_slow_readers_of_large_states():
    """300 stalled readers of 64 KiB states keep no more than --frame-memory and what is leaving, those
    who must go are closed with 4508, one who reads misses nothing for long, and all comes home"""
    with Server(*OPTIONS) as server, contextlib.ExitStack() as stack:
        before, samples = join_and_leave(server), []
        with server.client(timeout=10) as good:
            good.read_state()
            reader = Reader(good)
            stall(server, 300, stack, samples)
            sample_for(server, 3.0, samples)
            seen = reader.stop()
            assert good.is_alive()
            good.leave()
        gap = longest_gap(seen[len(seen) // 2:])
        assert gap < 0.5, f"{gap:.2f} s without a state"
        assert max(samples) > FRAME_MEMORY, f"at most {max(samples)} bytes: no pressure"
        assert max(samples) <= FRAME_MEMORY + LEAVING, f"{max(samples) / MIB:.1f} MiB"
        assert samples[-1] <= FRAME_MEMORY + FRAME, f"{samples[-1] / MIB:.1f} MiB after all goodbyes"
        shed = server.metric("ringcast_connections_shed_total")
        slow = server.metric("ringcast_disconnects_total", code=4508, reason="slow_consumer")
        assert shed > 0 and shed == slow == len(server.log_lines(reason="slow_consumer")), (shed, slow)
        stack.close()
        server.wait_metric(1, "ringcast_connections_open", seconds=8)
        after = server.metrics()
        for gauge in GAUGES:
            assert after.get(gauge) == before.get(gauge), (gauge, before.get(gauge), after.get(gauge))
        assert after.get("ringcast_members", kind="kart") == 0


@alone
def test_no_more_are_closed_than_must_be():
    """when 120 stalled readers keep twice what --frame-memory allows, about half of them stay"""
    with Server(*OPTIONS) as server, contextlib.ExitStack() as stack:
        samples = []
        stall(server, 120, stack, samples)
        sample_for(server, 3.0, samples)
        left = server.metric("ringcast_members", kind="kart")
        assert 30 <= left <= 80, f"{left:.0f} of 120 are left, with {samples[-1] / MIB:.1f} MiB"


def stays(server, seconds):
    """Joins and reads: "stays", or what the server said instead."""
    try:
        with server.client() as client:
            client.read_state()
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                frame = client.read_message()
                if client.close_seen:
                    return f"closed: {frame.payload[2:].decode()} after {client.states} more states"
                client.states += 1
            return "stays"
    except Refused as why:
        return f"refused: {why.response.status} {expect_error(why.response, 503)['code']}"
    except Exception as why:  # noqa: BLE001 -- shown by the caller
        return repr(why)[:200]


@alone
def test_a_newcomer_who_reads_does_not_pay():
    """while stalled readers are closed for want of memory, who joins and reads stays or is told 503"""
    with Server(*OPTIONS) as server, contextlib.ExitStack() as stack:
        answers, samples = [], []
        for _ in range(10):
            stall(server, 20, stack, samples)
            answers.append(stays(server, 0.2))
        assert server.metric("ringcast_connections_shed_total") > 0, "no pressure"
        assert set(answers) <= {"stays", "refused: 503 overloaded"}, answers


@alone
def test_crowd_that_has_left():
    """1,000 clients cost less than 1 KiB each, and after they have left their memory is given back"""
    with Server("--dev", "--workers", "1", "--kart-tick", "1h") as server:
        join_and_leave(server)
        empty = server.memory()
        with Crowd(server.port, 1000):
            server.wait_metric(1000, "ringcast_members", kind="kart")
            full = server.memory()
        server.wait_metric(1, "ringcast_connections_open")
        assert 1000 * 200 < full - empty < 1000 * 1024, f"{full - empty} bytes for 1,000 clients"
        left = lambda: server.memory() - empty
        wait_until(lambda: server.get("/healthz").status == 200 and left() < 128 * 1024, 3,
                   lambda: f"{left()} bytes more than at the start")
