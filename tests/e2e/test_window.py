"""tests/e2e/test_window.py: events that wait to be sent together (--flush-window), and workers that
sleep on for more to come in (--wake-batch)."""
import statistics
import time

from harness import Server, alone, is_gapless

WINDOW_MS = 100
TICK_MS = 40
EVENTS = ("--dev", "--workers=1", f"--kart-tick={TICK_MS}ms", "--kart-stamp", "--kart-slow=close",
          f"--flush-window={WINDOW_MS}ms")


def hear(client, count):
    """(number, how old it was when it came, in ms, and when that was) of so many states"""
    heard = []
    for _ in range(count):
        state = client.read_state()
        now_ns = time.monotonic_ns()
        heard.append((state["s"], (now_ns - state["t"]) / 1e6, now_ns / 1e6))
    return heard


def test_events_linger_for_the_window_and_no_longer():
    """events of less than a window come two or three in one piece, in order, none is missing, and
    the oldest of them is as old as the window allows"""
    with Server(*EVENTS, "--flush-load=0") as server, server.client() as client:
        hear(client, 5)  # the window opens once the load has been weighed
        heard = hear(client, 60)
        assert is_gapless([number for number, _, _ in heard]), heard
        oldest = [heard[i][1] for i in range(1, len(heard)) if heard[i][2] - heard[i - 1][2] > TICK_MS / 2]
        assert 15 <= len(oldest) <= 35, f"{len(oldest)} pieces: {heard}"
        # late machines make a few late, never most
        assert WINDOW_MS * 0.7 < statistics.median(oldest) < WINDOW_MS * 1.25, oldest
        assert min(age for _, age, _ in heard) < WINDOW_MS / 2, "nothing was younger than half a window"
        metrics = server.metrics()
        assert metrics.get("ringcast_flush_windows_open") == 1
        assert 15 <= metrics.get("ringcast_flushes_lingered_total") <= 45
        assert metrics.get("ringcast_outbox_storage_in_use") == 0


def test_a_pong_takes_along_what_lingers():
    """a ping is answered at once, behind the events that were made before it"""
    with Server(*EVENTS, "--flush-load=0") as server, server.client() as client:
        hear(client, 5)
        took = []
        for _ in range(20):
            begin = time.monotonic()
            assert client.is_alive()
            took.append(time.monotonic() - begin)
        assert statistics.median(took) < WINDOW_MS / 2000, took


def test_a_drain_sends_what_lingers_before_the_goodbye():
    """SIGTERM while events linger: each event is heard, then the goodbye, and all comes home"""
    with Server(*EVENTS, "--flush-load=0", "--drain=1s") as server:
        clients = [server.client() for _ in range(10)]
        for client in clients:
            hear(client, 4)
        server.signal(15)
        for client in clients:
            numbers = [0, 0]
            while (frame := client.read_frame()).opcode == 1:
                state = int(frame.payload.split(b'"s":')[1].rstrip(b"}"))
                assert numbers[-1] == 0 or state == numbers[-1] + 1, (numbers, state)
                numbers.append(state)
            assert frame.opcode == 8 and frame.payload[:2] == (1012).to_bytes(2, "big"), frame
        assert server.wait_exit(5) == 0


@alone
def test_nothing_lingers_where_it_must_not():
    """states of which only the newest waits never linger; and of a worker that is not busy nothing
    does"""
    options = [word for word in EVENTS if "slow" not in word]
    with Server(*options, "--flush-load=0") as server, server.client() as client:
        hear(client, 5)
        ages = [age for _, age, _ in hear(client, 30)]
        assert statistics.median(ages) < WINDOW_MS / 4, ages
        assert server.metric("ringcast_flushes_lingered_total") == 0
    with Server(*EVENTS) as server, server.client() as client:
        hear(client, 20)
        assert server.metric("ringcast_flushes_lingered_total") == 0
        assert server.metric("ringcast_flush_windows_open") == 0


def test_batched_wake_ups_make_no_tick_late():
    """a worker that may sleep on for 10 ms still ticks each 5 ms, and answers pings"""
    with Server("--dev", "--workers=1", "--kart-tick=5ms", "--kart-stamp",
                "--wake-batch=10ms") as server, server.client() as client:
        hear(client, 5)
        before = server.metric("ringcast_ticks_total", kind="kart")
        begin = time.monotonic()
        for _ in range(20):
            assert client.is_alive()
            hear(client, 10)
        ticks = server.metric("ringcast_ticks_total", kind="kart") - before
        due = (time.monotonic() - begin) / 0.005
        assert ticks > 0.5 * due, f"{ticks} of {due:.0f} ticks"
        assert server.metric("ringcast_worker_cpu_seconds_total") > 0
