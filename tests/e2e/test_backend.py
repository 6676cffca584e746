"""tests/e2e/test_backend.py: rooms whose rules live in a backend: what their members hear, who gets in,
and how they end (CONTRACT S3-3, S3-4; THREATS.md A8, A15, G4, G5, G16, J5, R7, R8, R9). What backends ask
in the wrong way, or twice, is in test_backend_api.py."""
import contextlib
import concurrent.futures
import json
import signal
import threading
import time
import urllib.error
import urllib.request

from harness import Server, expect_error, request, wait_until
from rawclient import Ended, Refused
from test_avalon import ENV, expect_closed, expect_silence, read, say
from test_lobby import come, expect_answer, take, take_event, take_state

KEY = "the key of this test"
ENV = ENV | {"RINGCAST_API_KEY": KEY}


# ---- what backends and members do

def call(server, method, path="", value=None, *, key=KEY, again=None, **headers):
    """A request to /v1/rooms; `again` is its Idempotency-Key."""
    named = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    named |= {name.replace("_", "-"): text for name, text in headers.items()}
    if again is not None:
        named["Idempotency-Key"] = again
    body = None if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
    return request(server.admin, method, f"/v1/rooms{path}", headers=named, body=body)


def ask(server, method, path="", value=None, status=200, **how):
    """A request that must be answered like this; its answer."""
    response = call(server, method, path, value, **how)
    assert response.status == status, (method, path, response.status, response.body)
    return response.json()


def refused(server, status, code, method, path="", value=None, **how):
    error = expect_error(call(server, method, path, value, **how), status)
    assert error["code"] == code, error
    return error["message"]


def make(server, room="r1", **settings):
    return ask(server, "POST", "", {"id": room} | settings, 201)["room"]


def enter(server, player, room="r1", **how):
    """Comes in, and reads the welcome, who is here, and the state."""
    client = come(server, player, room, **how)
    client.welcome, client.members, client.state = (json.loads(read(client)) for _ in range(3))
    assert client.welcome["event"] == "welcome" and client.welcome["payload"]["kind"] == "relay", client.welcome
    assert client.members["event"] == "members" and client.state["type"] == "state"
    client.seq = client.state["seq"]
    return client


def turned_away(server, player, room="r1", **how):
    """(status, code) of who is not let in."""
    try:
        come(server, player, room, **how)
    except Refused as refusal:
        return refusal.response.status, expect_error(refusal.response, refusal.response.status)["code"]
    raise AssertionError("it was let in")


def every_worker(workers):
    return Server("--workers", str(workers), "--message-rate", "0", env=ENV)


# ---- what it is for

def play_transcript(server, room):
    """A room's life, byte by byte."""
    made = ask(server, "POST", "", {"id": room, "state": {"round": 1}, "chat": True}, 201)["room"]
    assert list(made) == ["id", "kind", "epoch", "seq", "members", "members_max", "locked", "chat", "empty_ttl_ms",
                          "created_at"]
    assert made["id"] == room and made["kind"] == "relay" and made["seq"] == 0
    joined = '{"type":"event","event":"participant_joined","payload":{"player_id":"%s","display_name":"%s"},"seq":%d}'
    with come(server, "ann", room, name="Ann") as one, come(server, "bob", room, name="Bob") as two:
        ann = '{"player_id":"ann","display_name":"Ann","present":true}'
        bob = '{"player_id":"bob","display_name":"Bob","present":true}'
        members = '{"type":"event","event":"members","payload":{"members":[%s],"members_max":32,"locked":false,' \
                  '"chat":true}}'
        welcome = '{"type":"system","event":"welcome","payload":{"room":"%s","kind":"relay","you":{"player_id":"%s",' \
                  '"display_name":"%s"}}}'
        assert read(one) == welcome % (room, "ann", "Ann")
        assert read(one) == members % ann
        assert read(one) == '{"type":"state","payload":{"round":1},"seq":1}'
        assert read(two) == welcome % (room, "bob", "Bob")
        assert read(two) == members % f"{ann},{bob}"
        assert read(two) == '{"type":"state","payload":{"round":1},"seq":2}'
        assert read(one) == joined % ("bob", "Bob", 2)
        assert ask(server, "POST", f"/{room}/publish", {"event": "go", "payload": {"in": [3]}}) == \
            {"seq": 3, "members": 2}
        go = '{"type":"event","event":"go","payload":{"in":[3]},"seq":3}'
        assert read(one) == read(two) == go
        assert ask(server, "POST", f"/{room}/publish", {"event": "hand", "to": ["bob"]}) == {"members": 1}
        assert read(two) == '{"type":"event","event":"hand","payload":{}}'
        assert ask(server, "POST", f"/{room}/state", {"merge": {"round": 2, "board": {"a": 1}}}) == {"seq": 4}
        merged = '{"type":"state","payload":{"round":2,"board":{"a":1}},"seq":4}'
        assert read(one) == read(two) == merged
        assert ask(server, "POST", f"/{room}/state", {"merge": {"board": None}, "if_seq": 4}) == {"seq": 5}
        assert read(one) == read(two) == '{"type":"state","payload":{"round":2},"seq":5}'
        assert ask(server, "POST", f"/{room}/lock", {"locked": True}) == {"locked": True}
        locked = '{"type":"event","event":"room_status","payload":{"locked":true},"seq":6}'
        assert read(one) == read(two) == locked
        shown = ask(server, "GET", f"/{room}")
        assert shown["state"] == {"round": 2} and [member["player_id"] for member in shown["members"]] == ["ann", "bob"]
        assert shown["room"] == made | {"seq": 6, "members": 2, "locked": True}
        assert ask(server, "POST", f"/{room}/kick", {"player": "bob", "reason": "bye"}) == \
            {"player_id": "bob", "present": True}
        assert read(two) == '{"type":"system","event":"kicked","payload":{"reason":"bye"}}'
        expect_closed(two, 4403, "kicked")
        assert read(one) == '{"type":"event","event":"participant_left","payload":{"player_id":"bob",' \
                            '"display_name":"Bob"},"seq":7}'
        assert ask(server, "DELETE", f"/{room}") == {"closed": True, "members": 1}
        assert read(one) == '{"type":"event","event":"room_closed","payload":{},"seq":8}'
        expect_closed(one, 4410, "room_closed")
    refused(server, 404, "room_not_found", "GET", f"/{room}")


def test_transcript():
    """a backend's room, byte by byte, wherever it lives and whoever accepts its members (S3-3, S3-4, A15,
    G16)"""
    for workers in (1, 4):
        with every_worker(workers) as server:
            for index in range(1 + 7 * (workers > 1)):
                play_transcript(server, f"room-{index}")
            server.wait_metric(0, "ringcast_rooms", kind="relay")


def open_url(server, method, path, value=None, **headers):
    """As a backend would that has only Python's own library."""
    data = None if value is None else json.dumps(value).encode()
    named = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"} | headers
    asked = urllib.request.Request(f"http://localhost:{server.admin}/v1/rooms{path}", data, named, method=method)
    with urllib.request.urlopen(asked, timeout=5) as response:
        return response.status, json.load(response)


def test_a_backend_in_python():
    """Python's urllib makes a room, publishes, changes the state and closes; refusals are HTTP errors with
    a code"""
    with every_worker(2) as server:
        status, made = open_url(server, "POST", "", {"chat": True})
        assert status == 201
        room = made["room"]["id"]
        with enter(server, "ann", room) as member:
            assert open_url(server, "POST", f"/{room}/publish", {"event": "x"})[1]["members"] == 1
            assert take_event(member, "x") == {}
            assert open_url(server, "POST", f"/{room}/state", {"replace": {"a": "\u00e9\u2028"}})[1]["seq"] == 3
            assert take_state(member) == {"a": "\u00e9\u2028"}
            try:
                open_url(server, "POST", f"/{room}/state", {"replace": {}, "if_seq": 1})
                raise AssertionError("it was accepted")
            except urllib.error.HTTPError as error:
                assert error.code == 409 and json.load(error)["error"]["code"] == "seq_mismatch"
            assert open_url(server, "DELETE", f"/{room}")[1] == {"closed": True, "members": 1}
            take_event(member, "room_closed")


def test_events_in_order():
    """what a backend publishes comes to every member, in the order of its asking, without a gap in seq"""
    with every_worker(4) as server:
        make(server)
        with contextlib.ExitStack() as stack:
            members = [stack.enter_context(enter(server, f"p{index}")) for index in range(4)]
            for member in members:
                for _ in range(3 - members.index(member)):
                    take_event(member, "participant_joined")
            for index in range(150):
                if index % 3 == 2:
                    ask(server, "POST", "/r1/state", {"replace": {"n": index}})
                else:
                    ask(server, "POST", "/r1/publish", {"event": "n", "payload": {"n": index}})
            for member in members:
                assert [take(member)["payload"]["n"] for _ in range(150)] == list(range(150))
        assert server.metric("ringcast_frame_encodes_total", kind="relay") < 200, "once, whoever gets it"


# ---- who gets in

def race(server, players, room="r1"):
    """All of them come at the same time; the clients who got in, and what the others were told."""
    barrier, entered, others = threading.Barrier(len(players)), [], []

    def run(player):
        barrier.wait(10)
        try:
            entered.append(come(server, player, room))
        except Refused as refusal:
            others.append((refusal.response.status, refusal.response.json()["error"]["code"]))

    threads = [threading.Thread(target=run, args=(player,)) for player in players]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return entered, others


def test_the_last_places():
    """a hundred come at once for the last seven places: seven get in, the others are 409 (G4)"""
    for workers in (1, 4):
        with every_worker(workers) as server, contextlib.ExitStack() as stack:
            make(server, members_max=10)
            for index in range(3):
                stack.enter_context(enter(server, f"first-{index}"))
            entered, others = race(server, [f"p{index}" for index in range(100)])
            for client in entered:
                stack.callback(client.socket.close)
            assert len(entered) == 7 and others == [(409, "room_full")] * 93, (len(entered), set(others))
            assert ask(server, "GET", "/r1")["room"]["members"] == 10
            with enter(server, "first-0"):  # who has a place always gets in
                pass


def test_a_lock_while_many_come():
    """of a hundred who come while the room is locked each is in, or is told 423 and is not (G4)"""
    with every_worker(4) as server:
        make(server, members_max=100)
        locking = threading.Timer(0.03, lambda: ask(server, "POST", "/r1/lock", {"locked": True}))
        locking.start()
        entered, others = race(server, [f"p{index}" for index in range(100)])
        locking.join()
        assert len(entered) + len(others) == 100 and set(others) <= {(423, "room_locked")}, set(others)
        assert len(ask(server, "GET", "/r1")["members"]) == len(entered)
        for client in entered:
            client.socket.close()


def test_locked():
    """a locked room takes nobody new, but who was there comes back, also after having left (G4)"""
    with Server("--relay-leave", "100ms", env=ENV) as server:
        make(server)
        with enter(server, "ann") as member:
            ask(server, "POST", "/r1/lock", {"locked": True})
            assert take_event(member, "room_status") == {"locked": True}
            assert turned_away(server, "bob") == (423, "room_locked")
            member.leave()
        wait_until(lambda: not ask(server, "GET", "/r1")["members"][0]["present"], 5, "ann has left")
        with enter(server, "ann"):
            assert turned_away(server, "bob") == (423, "room_locked")
        ask(server, "POST", "/r1/lock", {"locked": False})
        with enter(server, "bob"):
            pass
        made = make(server, "r2", locked=True)
        assert made["locked"] and turned_away(server, "ann", "r2") == (423, "room_locked")


def test_kicked():
    """who was kicked is closed with 4403, and no token of theirs opens the room while it lives (A15)"""
    for workers in (1, 4):
        with every_worker(workers) as server:
            make(server)
            with enter(server, "ann") as one, enter(server, "bob") as two:
                take_event(one, "participant_joined")
                ask(server, "POST", "/r1/kick", {"player": "bob"})
                assert json.loads(read(two)) == {"type": "system", "event": "kicked", "payload": {}}
                expect_closed(two, 4403, "kicked")
                assert take_event(one, "participant_left")["player_id"] == "bob"
                for seconds in (60, 6000):
                    assert turned_away(server, "bob", seconds=seconds) == (403, "kicked")
                assert ask(server, "POST", "/r1/kick", {"player": "bob"}) == {"player_id": "bob", "present": False}
                expect_silence(one)
            ask(server, "DELETE", "/r1")
            make(server)
            with enter(server, "bob"):
                pass


def test_told_after_the_upgrade():
    """with --lobby-auth-fail=close who was kicked is told so by an error and 4403; a lock stays a 423"""
    with Server("--lobby-auth-fail", "close", env=ENV) as server:
        make(server, locked=True)
        ask(server, "POST", "/r1/kick", {"player": "bob"})
        with come(server, "bob", "r1") as client:
            assert json.loads(read(client))["event"] == "kicked"
            expect_closed(client, 4403, "kicked")
        assert turned_away(server, "ann") == (423, "room_locked")


# ---- the end of rooms

def test_nobody_takes_over_a_closed_room():
    """who comes back to a room that its backend has closed gets 410 and makes no lobby of it; the backend may open it again"""
    for workers in (1, 4):
        with every_worker(workers) as server:
            make(server, "r1")
            with enter(server, "ann", "r1"):
                ask(server, "DELETE", "/r1")
            assert turned_away(server, "ann") == (410, "room_closed")
            assert turned_away(server, "bob") == (410, "room_closed")
            assert server.metric("ringcast_rooms", kind="lobby") == 0
            with come(server, "ann", "another"):  # which nobody has closed
                server.wait_metric(1, "ringcast_rooms", kind="lobby")
            make(server, "r1")
            with enter(server, "ann", "r1"):
                server.wait_metric(1, "ringcast_connections", kind="relay")


def test_a_lobby_that_was_deleted_stays_so():
    """a lobby that a backend has deleted is not made again by those who were in it"""
    with every_worker(1) as server:
        with come(server, "ann", "r1"):
            server.wait_metric(1, "ringcast_connections", kind="lobby")
            assert ask(server, "DELETE", "/r1") == {"closed": True, "members": 1}
        assert turned_away(server, "ann") == (410, "room_closed")
        make(server, "r1")



def test_release_with_members():
    """a room that is closed says so to all who are in it, and then 4410 (G16)"""
    for workers in (1, 4):
        with every_worker(workers) as server, contextlib.ExitStack() as stack:
            crowd = {}
            for room in ("r1", "r2", "r3"):
                make(server, room)
                crowd[room] = [stack.enter_context(enter(server, f"p{index}", room)) for index in range(8)]
            assert ask(server, "DELETE", "/r2") == {"closed": True, "members": 8}
            for index, member in enumerate(crowd["r2"]):
                for _ in range(7 - index):
                    take_event(member, "participant_joined")
                assert take_event(member, "room_closed") == {}
                expect_closed(member, 4410, "room_closed")
            for room in ("r1", "r3"):
                assert all(member.is_alive() for member in crowd[room][-1:])
            server.wait_metric(16, "ringcast_connections", kind="relay")
            server.wait_metric(2, "ringcast_rooms", kind="relay")
            server.signal(signal.SIGTERM)
            for member in crowd["r1"] + crowd["r3"]:
                with contextlib.suppress(Ended, OSError):
                    member.socket.close()
            assert server.wait_exit(40) == 0


def test_empty_rooms():
    """a room in which nobody is ends after its time, as the operator has it or its backend (G16)"""
    with Server("--relay-empty", "300ms", "--lobby=off", env=ENV) as server:
        make(server)
        make(server, "r2", empty_ttl_ms=60_000)
        with enter(server, "ann"):
            make(server, "r3", empty_ttl_ms=500)
            wait_until(lambda: call(server, "GET", "/r3").status == 404, 5, "r3 is over, after more than 300 ms")
            assert ask(server, "GET", "/r1")["room"]["members"] == 1
        wait_until(lambda: call(server, "GET", "/r1").status == 404, 5, "r1 is over")
        assert ask(server, "GET", "/r2")["room"]["empty_ttl_ms"] == 60_000
        assert turned_away(server, "ann") == (410, "room_closed")


def test_rooms_are_bounded():
    """beyond --rooms a backend gets 503, and a place again when one has ended (R7)"""
    for workers in (1, 4):
        with Server("--workers", str(workers), "--rooms", "5", env=ENV) as server:
            for index in range(5):
                make(server, f"r{index}")
            refused(server, 503, "too_many_rooms", "POST", "", {"id": "another"})
            refused(server, 503, "too_many_rooms", "POST", "", {}, again="k")
            ask(server, "DELETE", "/r3")
            ask(server, "POST", "", {}, 201, again="k")


def test_draining():
    """while the server goes down no room is made, and those that are there still answer"""
    with Server("--drain", "3s", env=ENV) as server:
        make(server)
        with enter(server, "ann"):
            server.signal(signal.SIGTERM)
            wait_until(lambda: server.get("/readyz").status == 503, 3, "it drains")
            refused(server, 503, "draining", "POST", "", {"id": "r2"})
            assert ask(server, "GET", "/r1")["room"]["id"] == "r1"
        assert server.wait_exit(10) == 0


# ---- beside other rooms

def test_kinds_side_by_side():
    """a lobby of that name is not a backend's, which can look at it and end it; and the other way round (R7)"""
    with every_worker(2) as server:
        with come(server, "ann", "g1") as one:
            assert json.loads(read(one))["payload"]["kind"] == "lobby"
            refused(server, 409, "room_exists", "POST", "", {"id": "g1"})
            shown = ask(server, "GET", "/g1")["room"]
            assert (shown["id"], shown["kind"], shown["members"], shown["locked"]) == ("g1", "lobby", 1, False)
            for method, path, value in (("POST", "/g1/publish", {"event": "x"}),
                                        ("POST", "/g1/state", {"replace": {}}), ("POST", "/g1/lock", {"locked": True}),
                                        ("POST", "/g1/kick", {"player": "ann"})):
                refused(server, 409, "not_a_backend_room", method, path, value)
            assert one.is_alive()
        for room in ("g1", "g3", "g4", "g5"):  # on any worker: who was there first does not keep the id
            with come(server, "ann", room) as one:
                assert [json.loads(read(one))["type"] for _ in range(2)] == ["system", "state"]
                with come(server, "bob", room) as two:
                    assert [json.loads(read(two))["type"] for _ in range(2)] == ["system", "state"]
                    assert [json.loads(read(one))["type"] for _ in range(2)] == ["event", "state"]
                    assert ask(server, "DELETE", f"/{room}") == {"closed": True, "members": 2}
                    make(server, room)
                    expect_closed(two, 4410, "room_closed")
                expect_closed(one, 4410, "room_closed")
            with enter(server, "ann", room) as member:
                assert member.seq == 1
            refused(server, 409, "room_exists", "POST", "", {"id": room})
        make(server, "g2")
        with enter(server, "ann", "g2") as member:
            say(member, {"type": "action", "correlation_id": "a", "payload": {"move": 3}})
            message = expect_answer(member, "error", "a", "unsupported")["message"]
            assert "backend" in message, message


# ---- what members say

def test_what_members_say():
    """members chat where that is on, ask for the state and who is here, and are heard once for each
    correlation id (J5, R9)"""
    with every_worker(2) as server:
        make(server, chat=True, state={"a": 1})
        make(server, "quiet")
        with enter(server, "ann", name="Ann") as one, enter(server, "bob") as two, enter(server, "ann", "quiet") as alone:
            take_event(one, "participant_joined")
            for _ in range(2):
                say(one, {"type": "chat", "correlation_id": "c1", "payload": {"message": "hi"}})
            assert expect_answer(one, "ack", "c1") == {"ok": True, "seq": 3}
            for member in (one, two):
                heard = take_event(member, "chat")
                assert (heard["player_id"], heard["display_name"], heard["message"]) == ("ann", "Ann", "hi")
            assert expect_answer(one, "ack", "c1") == {"ok": True, "seq": 3}
            say(two, {"type": "presence", "correlation_id": "p"})
            answer = json.loads(read(two))
            assert answer["event"] == "members" and answer["correlation_id"] == "p"
            say(two, {"type": "sync_state", "correlation_id": "s"})
            answer = json.loads(read(two))
            assert (answer["type"], answer["payload"], answer["seq"], answer["correlation_id"]) == \
                ("state", {"a": 1}, 3, "s")
            say(two, {"type": "ping", "payload": {"t0": 5}})
            answer = json.loads(read(two))
            assert answer["event"] == "pong" and abs(answer["payload"]["t1"] / 1000 - time.time()) < 60
            say(alone, {"type": "chat", "correlation_id": "c", "payload": {"message": "hi"}})
            expect_answer(alone, "error", "c", "chat_off")
            for index in range(9):
                say(alone, b"{" if index % 2 else b'{"type":"chat","type":"chat"}')
                expect_answer(alone, "error", None, "bad_message")
            expect_closed(alone, 4400, "bad_messages")


def test_replaced():
    """a second connection of a player takes the place of the first, and the others hear nothing (G5)"""
    with every_worker(4) as server:
        make(server)
        with enter(server, "ann") as one, enter(server, "bob") as other:
            take_event(one, "participant_joined")
            with enter(server, "ann") as newer:
                expect_closed(one, 4409, "replaced")
                expect_silence(other)
                ask(server, "POST", "/r1/publish", {"event": "x", "to": ["ann"]})
                assert json.loads(read(newer))["event"] == "x"


def test_a_token_that_ends():
    """a member whose token expires is warned, told, and closed with 4401 (A8, A16)"""
    with Server("--jwt-leeway", "0", env=ENV) as server:
        make(server)
        with enter(server, "ann", seconds=2) as member:
            for kind, event in (("event", "auth_expiring"), ("error", "token_expired")):
                message = json.loads(read(member, 5))
                assert (message["type"], message["event"]) == (kind, event), message
            expect_closed(member, 4401, "token_expired")


def test_many_rooms_leave_nothing():
    """hundreds of rooms, made and closed under members who come and go, leave nothing behind (R7, R8)"""
    with every_worker(4) as server, concurrent.futures.ThreadPoolExecutor(8) as pool:
        def live(index):
            room = make(server, f"r{index}", state={"x": "y" * 500})["id"]
            with enter(server, "ann", room), enter(server, "bob", room) as two:
                ask(server, "POST", f"/{room}/state", {"merge": {"n": index}})
                while json.loads(read(two))["type"] != "state":
                    pass
                if index % 2:
                    ask(server, "POST", f"/{room}/kick", {"player": "ann"})
                ask(server, "DELETE", f"/{room}")
                assert two.read_close() == (4410, "room_closed")

        for future in [pool.submit(live, index) for index in range(200)]:
            future.result()
        server.wait_metric(0, "ringcast_rooms", kind="relay")
        server.wait_metric(0, "ringcast_connections", kind="relay")
        assert server.metric("ringcast_disconnects_total", reason="kicked") == 100
        assert server.metric("ringcast_room_requests_total", kind="relay") == 700
        server.signal(signal.SIGTERM)
        assert server.wait_exit(40) == 0
