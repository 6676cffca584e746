"""tests/e2e/test_rooms.py: further races: rooms of their own under /ws/kart/{id}."""
import time

from harness import Server, expect_error, request, wait_until
from rawclient import Refused


def refusal(server, path):
    """The response to a WebSocket request that must not be answered with 101."""
    try:
        server.client(path).socket.close()
    except Refused as why:
        return why.response
    raise AssertionError(f"{path} was upgraded")


def test_rooms_are_their_own():
    """two rooms have two states; a command changes the one that it names"""
    with Server("--dev", "--kart-tick", "50ms") as server:
        server.do("/host reset")
        with server.client("/ws/kart/red") as red, server.client("/ws/kart/blue") as blue:
            red.read_state(), blue.read_state()
            assert server.do("/host pot 111", room="red")["pot"] == 111
            server.do("/host pot 222", room="blue")
            time.sleep(0.2)
            for client, pot in ((red, 111), (blue, 222)):
                wait_until(lambda: client.read_state()["pot"] == pot, 2, f"the pot is {pot}")
            with server.client() as main, server.client("/ws/kart/red") as second:
                assert main.read_state()["pot"] == 0
                assert second.read_state()["pot"] == 111


def test_a_room_is_made_and_removed():
    """a room is made by its first member and removed with its last; the next one finds a new race"""
    with Server("--dev") as server:
        before = server.metric("ringcast_rooms", kind="kart")
        with server.client("/ws/kart/once") as one, server.client("/ws/kart/once") as other:
            one.read_state(), other.read_state()
            server.do("/host pot 77", room="once")
            assert server.metric("ringcast_rooms", kind="kart") == before + 1
            one.leave()
            time.sleep(0.1)
            assert server.metric("ringcast_rooms", kind="kart") == before + 1
            other.leave()
        server.wait_metric(before, "ringcast_rooms", kind="kart")
        expect_error(server.command("/host pot 5", room="once"), 404)
        with server.client("/ws/kart/once") as again:
            assert again.read_state()["pot"] == 0


def test_the_room_of_ws_stays():
    """the race under /ws lives on without members (S0-12)"""
    with Server("--dev") as server:
        server.do("/host reset")
        with server.client() as client:
            client.read_state()
            server.do("/host pot 5")
            client.leave()
        server.wait_metric(0, "ringcast_members", kind="kart")
        with server.client() as client:
            assert client.read_state()["pot"] == 5


def test_good_ids():
    """ids of letters, digits, '_' and '-' up to 64 bytes are rooms, percent-encoded as well"""
    with Server("--dev") as server:
        for name in ("a", "Z", "0", "_", "-", "-_-", "a" * 64, "kart", "commands"):
            with server.client(f"/ws/kart/{name}") as client:
                client.read_state()
                client.leave()
        with server.client("/ws/kart/room") as plain, server.client("/ws/kart/r%6F%6fm") as encoded:
            plain.read_state(), encoded.read_state()
            server.do("/host pot 9", room="room")
            wait_until(lambda: encoded.read_state()["pot"] == 9, 2, "both are in one room")
        with server.client("/ws/kart/room?token=x&y") as client:
            client.read_state()


def test_ids_differ_by_case():
    """Red and red are two rooms"""
    with Server("--dev") as server:
        with server.client("/ws/kart/Red") as upper, server.client("/ws/kart/red") as lower:
            upper.read_state(), lower.read_state()
            server.do("/host pot 9", room="Red")
            wait_until(lambda: upper.read_state()["pot"] == 9, 2, "Red has it")
            assert lower.read_state()["pot"] == 0


def test_bad_ids():
    """other ids and paths are not found, before any room is made (THREATS H15, H16)"""
    paths = ("/ws/kart/", "/ws/kart", "/ws/kart/" + "a" * 65, "/ws/kart/a.b", "/ws/kart/a%2Fb",
             "/ws/kart/a/b", "/ws/kart/a/", "/ws/kart/%C3%A4", "/ws/kart/a%20b", "/ws/kart/%2e%2e",
             "/ws/kart/..", "/ws/kart/../ws", "/ws/kart/%2561", "/ws/kart/a;b", "/ws/other/a",
             "/ws/", "/WS", "/wsx", "/", "/nothing", "//ws", "/ws/kart//a", "/./ws", "/ws/../ws")
    with Server("--dev") as server:
        rooms = server.metric("ringcast_rooms", kind="kart")
        answers = [refusal(server, path) for path in paths]
        for path, answer in zip(paths, answers):
            assert answer.status == 404, f"{path}: {answer.status}"
            expect_error(answer, 404)
        alike = {(tuple(answer.headers.items()), answer.body, answer.rest) for answer in answers}
        assert len(alike) == 1, f"404s must not tell anything apart: {alike}"
        assert server.metric("ringcast_rooms", kind="kart") == rooms
        for path in ("/ws/kart/%00", "/ws/kart/%zz", "/ws/kart/%4", "/ws%00", "/ws/kart/a%"):
            expect_error(refusal(server, path), 400, 404)


def test_rooms_are_bounded():
    """past --rooms a new room is refused with 503; the rooms that are there go on"""
    with Server("--dev", "--rooms", "3") as server:
        clients, answer = [], None
        while answer is None and len(clients) < 10:
            try:
                clients.append(server.client(f"/ws/kart/r{len(clients)}"))
            except Refused as why:
                answer = why.response
        assert answer is not None and len(clients) == 3, f"{len(clients)} rooms were made"
        expect_error(answer, 503)
        assert "retry-after" in answer.headers, answer.headers
        with server.client("/ws/kart/r0") as more, server.client() as main:
            more.read_state(), main.read_state()
        clients.pop().leave()
        with wait_until(lambda: joined(server, "/ws/kart/new"), 3, "there is room again") as client:
            client.read_state()


def joined(server, path):
    try:
        return server.client(path)
    except Refused:
        return None


def test_commands_need_a_room():
    """a command to a room that is not there is 404, and makes none"""
    with Server("--dev") as server:
        rooms = server.metric("ringcast_rooms", kind="kart")
        expect_error(server.command("/host pot 5", room="nowhere"), 404)
        expect_error(server.command("/host pot 5", room="a" * 65), 404)
        assert server.metric("ringcast_rooms", kind="kart") == rooms


def test_many_rooms():
    """300 rooms with a member each tick on their own and are gone when their members are"""
    with Server("--dev", "--kart-tick", "200ms") as server:
        before = server.metrics()
        clients = [server.client(f"/ws/kart/room-{number}") for number in range(300)]
        server.wait_metric(300, "ringcast_members", kind="kart")
        for client in clients:
            for _ in range(3):
                client.read_state()
        for client in clients:
            client.socket.close()
        server.wait_metric(before.get("ringcast_rooms", kind="kart"), "ringcast_rooms", kind="kart")
        server.wait_metric(before.get("ringcast_frames_live"), "ringcast_frames_live")


def test_public_side_has_no_internal_paths():
    """commands, metrics and health are on the internal listener only, and races on the public one (H25)"""
    with Server("--dev") as server:
        for path in ("/metrics", "/readyz", "/v1/rooms/kart/commands"):
            expect_error(server.get(path, port=server.port), 404)
        body = b'{"command":"/host bonus 5"}'
        expect_error(request(server.port, "POST", "/v1/rooms/kart/commands", body=body,
                             headers={"Authorization": "Bearer dev"}), 404)
        expect_error(server.get("/ws"), 404)
