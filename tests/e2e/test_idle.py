"""tests/e2e/test_idle.py: a room that tells of changes costs nothing while nothing changes."""
import time

from harness import Server
from test_vote import acquire, join

ROOMS, WINDOW_SECONDS = 40, 1.5


def test_rooms_in_which_nothing_changes_wake_nobody_up():
    """40 rooms with two members each, in which nothing happens: the worker sleeps, encodes nothing
    and sends nothing"""
    with Server("--dev", "--workers=1", "--ping=1h", "--vote-lobby=1h") as server:
        rooms = [acquire(server) for _ in range(ROOMS)]
        members = [join(server, room) for room in rooms for _ in range(2)]
        for member in members:
            assert member.is_alive()  # it has been told of those who came
        before, begin = server.metrics(), time.monotonic()
        time.sleep(WINDOW_SECONDS)
        after, seconds = server.metrics(), time.monotonic() - begin
        assert after.get("ringcast_members", kind="vote") == 2 * ROOMS

        def rise(name, **labels):
            return after.get(name, **labels) - before.get(name, **labels)

        # the two questions for metrics, and what ends their connections
        assert rise("ringcast_uring_waits_total") <= 40, rise("ringcast_uring_waits_total")
        assert rise("ringcast_frame_encodes_total", kind="vote") == 0
        assert rise("ringcast_frames_sent_total", lane="event") == 0
        assert rise("ringcast_worker_cpu_seconds_total") < 0.2 * seconds
        for member in members:
            assert member.is_alive()
