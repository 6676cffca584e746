"""tests/e2e/test_backend_api.py: what backends ask on the internal listener: who may, what is wrong with a
body, what is done once, and the list of rooms (THREATS.md A19, J1 to J5, R12, X1; FIELD T11)."""
import concurrent.futures
import json
import threading
import time

from harness import Server, exchange, expect_error, request
from test_avalon import expect_silence
from test_backend import ENV, KEY, ask, call, enter, every_worker, make, refused
from test_lobby import come, take_event, take_state


# ---- who may ask

PATHS = [("POST", "", {}), ("GET", "", None), ("GET", "/r1", None), ("DELETE", "/r1", None),
         ("POST", "/r1/publish", {"event": "x"}), ("POST", "/r1/state", {"replace": {"x": 1}}),
         ("POST", "/r1/kick", {"player": "ann"}), ("POST", "/r1/lock", {"locked": True}),
         ("POST", "/kart/commands", {"command": "/host bonus 1"}), ("PUT", "/nothing", {})]


def test_the_key():
    """nothing under /v1 answers without the key, and nothing is done (A19)"""
    with every_worker(2) as server:
        make(server)
        before = ask(server, "GET", "/r1")
        for method, path, value in PATHS:
            for key in ("", "dev", KEY[:-1], KEY + "x", KEY.upper()):
                response = call(server, method, path, value, key=key)
                assert expect_error(response, 401)["code"] == "unauthorized", (method, path, key)
                assert response.headers["www-authenticate"] == "Bearer"
        assert ask(server, "GET", "/r1") == before and len(ask(server, "GET")["rooms"]) == 1
        assert KEY not in server.log_text() and "Bearer" not in server.log_text()
    with Server(env={"RINGCAST_JWT_SECRET": "x" * 32}) as server:
        message = expect_error(call(server, "GET", key="dev"), 401)["message"]
        assert "RINGCAST_API_KEY" in message, message


def test_no_pages():
    """a browser's page gets nowhere: not with an Origin, nor by a name that it has pointed here (A19)"""
    with Server("--admin-host", "ringcast.internal,hub", env=ENV) as server:
        make(server)
        for origin in ("http://evil.example", "null", f"http://127.0.0.1:{server.admin}"):
            for method, path, value in PATHS:
                refused(server, 403, "origin_not_allowed", method, path, value, Origin=origin)
            for path in ("/metrics", "/healthz", "/nothing"):
                expect_error(server.get(path, Origin=origin), 403)
        for host in ("evil.example", f"evil.example:{server.admin}", "localhost.evil.example", "hub.evil.example",
                     "127.0.0.1.evil.example", "2130706433"):
            for method, path, value in PATHS:
                refused(server, 403, "host_not_allowed", method, path, value, Host=host)
        for host in ("127.0.0.1", "localhost", f"LOCALHOST:{server.admin}", "[::1]:9090", "10.1.2.3", "hub",
                     "Ringcast.Internal:9090"):
            assert call(server, "GET", Host=host).status == 200, host
        assert server.get("/healthz", Host="evil.example").status == 200, "a balancer asks by any name"


# ---- what is asked wrongly

def test_bodies():
    """a body that is not right is refused with what is wrong, and nothing is done (X1, J1 to J5)"""
    with every_worker(2) as server:
        make(server)
        before = ask(server, "GET", "/r1")
        for path, body, words in (
                ("/publish", b"", "The body is empty."),
                ("/publish", b"{", "The body is not valid JSON."),
                ("/publish", b"[]", "The body is not a JSON object."),
                ("/publish", b'{"event":"x"} {}', "The body is not valid JSON."),
                ("/publish", b'{"event":"x","event":"y"}', "The body has a key twice."),
                ("/publish", b'{"event":"x","payload":{"a":{"b":1,"b":1}}}', "The body has a key twice."),
                ("/publish", b'{"event":"x","payload":' + b'{"a":' * 16 + b"1" + b"}" * 17,
                 "The body is nested too deeply."),
                ("/publish", b'{"event":"x","payload":{"a":1e999}}',
                 "The body has a number that is malformed or too large."),
                ("/publish", b'{"event":"x","payload":{"a":"\\ud800"}}', "The body is not valid JSON."),
                ("/publish", b'{"event":"x","payload":{"a":"\xff"}}', "The body is not valid JSON."),
                ("/publish", b'{"event":"x","playload":{}}',
                 'The body has a key that is not known here: "playload".'),
                ("/publish", b'{"payload":{}}', "The body has no event, the event's name."),
                ("/publish", b'{"event":"x","to":[]}',
                 'The body has a member "to" that is not a list of 1 to 16 player ids, none of them twice.'),
                ("/state", b"{}", "The body must have either replace or merge, an object."),
                ("/state", b'{"merge":[]}', 'The body has a member "merge" that is not an object.'),
                ("/state", b'{"merge":{},"if_seq":"1"}',
                 'The body has a member "if_seq" that is not a whole number from 0 to 9223372036854775807.'),
                ("/kick", b"{}", "The body has no player, a player's id."),
                ("/lock", b'{"locked":0}', 'The body has a member "locked" that is neither true nor false.'),
                ("", b'{"id":"a/b"}', "The body has an id that is not 1 to 64 letters, digits, - and _."),
                ("", b'{"id":7}', "The body has an id that is not 1 to 64 letters, digits, - and _."),
                ("", b'{"id":"x","members_max":101}',
                 'The body has a member "members_max" that is not a whole number from 1 to 100.'),
                ("", b'{"max_members":3}', 'The body has a key that is not known here: "max_members".')):
            assert refused(server, 400, "bad_request", "POST", f"/r1{path}" if path else "", body) == words, body
        assert ask(server, "GET", "/r1") == before and len(ask(server, "GET")["rooms"]) == 1


def test_sizes_and_types():
    """bodies over 17 KiB are 413, in chunks 501, of another type than JSON 415; a state or a payload has 16
    KiB (X1)"""
    with every_worker(2) as server:
        make(server)
        assert refused(server, 413, "body_too_big", "POST", "/r1/state", b" " * 17409)
        head = f"POST /v1/rooms HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
        for lines, status in (("Content-Length: 1000000000", 413), ("Transfer-Encoding: chunked", 501)):
            expect_error(exchange(server.admin, f"{head}{lines}\r\n\r\n".encode()), status)
        large = {"replace": {"a": "x" * 16376}}
        assert len(json.dumps(large["replace"], separators=(",", ":"))) == 16384
        with enter(server, "ann") as member:
            ask(server, "POST", "/r1/state", large)
            assert take_state(member) == large["replace"]
            refused(server, 413, "state_too_large", "POST", "/r1/state", {"replace": {"a": "x" * 16377}})
            refused(server, 413, "state_too_large", "POST", "/r1/state", {"merge": {"b": 1}})
            refused(server, 413, "state_too_large", "POST", "", {"id": "r2", "state": {"a": "x" * 16377}})
            refused(server, 404, "room_not_found", "GET", "/r2")
            refused(server, 413, "payload_too_large", "POST", "/r1/publish",
                    {"event": "x", "payload": {"a": "x" * 16377}})
            ask(server, "POST", "/r1/publish", {"event": "x", "payload": large["replace"]})
            assert take_event(member, "x") == large["replace"]
        assert ask(server, "GET", "/r1")["state"] == large["replace"]
        for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""):
            refused(server, 415, "unsupported_media_type", "POST", "/r1/lock", {"locked": True}, Content_Type=kind)
        for kind in ("Application/JSON", "application/json; charset=utf-8", "application/json ;x=y"):
            assert call(server, "POST", "/r1/lock", {"locked": True}, Content_Type=kind).status == 200, kind


def test_methods_and_paths():
    """another method is 405 with the right ones, another path 404"""
    with every_worker(2) as server:
        make(server)
        for method, path, allow in (("PUT", "", "GET, POST"), ("PATCH", "/r1", "GET, DELETE"),
                                    ("POST", "/r1", "GET, DELETE"), ("GET", "/r1/publish", "POST"),
                                    ("DELETE", "/r1/lock", "POST"), ("GET", "/kart/commands", "POST")):
            response = call(server, method, path, None if method == "GET" else {})
            assert expect_error(response, 405)["code"] == "method_not_allowed"
            assert response.headers["allow"] == allow, (method, path, response.headers)
        for path in ("/r1/explode", "/r1/", "/r1/publish/x", "/r1/commands"):
            refused(server, 404, "not_found", "POST", path, {})
        for path in ("/unknown", "/a.b", "/" + "x" * 65, "/", "//r1"):
            refused(server, 404, "room_not_found", "DELETE", path)
        for path in ("x", "x/r1"):
            assert call(server, "GET", path).status == 404
        expect_error(request(server.port, "GET", "/v1/rooms", headers={"Authorization": f"Bearer {KEY}"}), 404)


# ---- once

def test_idempotency():
    """under one key a request is done once, and answered the same again; another one is 422 (FIELD T11)"""
    for workers in (1, 4):
        with every_worker(workers) as server:
            made = ask(server, "POST", "", {"id": "r1"}, 201, again="k0")
            assert ask(server, "POST", "", {"id": "r1"}, 201, again="k0") == made
            refused(server, 409, "room_exists", "POST", "", {"id": "r1"})
            refused(server, 422, "idempotency_key_reused", "POST", "", {"id": "r1", "chat": True}, again="k0")
            drawn = [ask(server, "POST", "", {}, 201, again="drawn")["room"]["id"] for _ in range(5)]
            assert len(set(drawn)) == 1 and len(ask(server, "GET")["rooms"]) == 2
            with enter(server, "ann") as member:
                for _ in range(3):
                    answer = ask(server, "POST", "/r1/publish", {"event": "x"}, again="k1")
                    assert answer == {"seq": 2, "members": 1}
                assert take_event(member, "x") == {}
                refused(server, 422, "idempotency_key_reused", "POST", "/r1/publish", {"event": "y"}, again="k1")
                refused(server, 422, "idempotency_key_reused", "POST", "/r1/state", {"replace": {}}, again="k1")
                refused(server, 409, "seq_mismatch", "POST", "/r1/state", {"replace": {"a": 1}, "if_seq": 99},
                        again="k2")
                ask(server, "POST", "/r1/state", {"replace": {"a": 1}, "if_seq": 0}, again="k2")  # nothing was done
                assert take_state(member) == {"a": 1}
                ask(server, "POST", f"/{drawn[0]}/publish", {"event": "z"}, again="k1")  # a key is its room's
                assert ask(server, "DELETE", "/r1", again="k3") == {"closed": True, "members": 1}
                take_event(member, "room_closed")
                assert ask(server, "DELETE", "/r1", again="k3") == {"closed": True, "members": 1}
                refused(server, 404, "room_not_found", "DELETE", "/r1", again="k4")
        for bad in ("", "x" * 65, "a b", "\xe9", "a\tb"):
            with every_worker(1) as server:
                refused(server, 400, "bad_idempotency_key", "POST", "", {}, again=bad)


def test_at_the_same_time():
    """thirty tries of one request at once are one, and thirty requests at once are thirty"""
    for workers in (1, 4):
        with every_worker(workers) as server, concurrent.futures.ThreadPoolExecutor(30) as pool:
            make(server)
            with enter(server, "ann") as member:
                for key in (lambda index: "one", lambda index: f"k{index}"):
                    answers = [future.result() for future in
                               [pool.submit(ask, server, "POST", "/r1/publish", {"event": "x"}, again=key(index))
                                for index in range(30)]]
                    wanted = len({key(index) for index in range(30)})
                    assert len({answer["seq"] for answer in answers}) == wanted
                    for _ in range(wanted):
                        take_event(member, "x")
                expect_silence(member)


def test_nothing_is_lost_between_two_backends():
    """two backends that count in one state by if_seq lose no count"""
    def count(server, times):
        for _ in range(times):
            while True:
                shown = ask(server, "GET", "/r1")
                wish = {"merge": {"n": shown["state"]["n"] + 1}, "if_seq": shown["room"]["seq"]}
                response = call(server, "POST", "/r1/state", wish)
                if response.status == 200:
                    break
                assert expect_error(response, 409)["code"] == "seq_mismatch"

    with every_worker(4) as server:
        make(server, state={"n": 0})
        threads = [threading.Thread(target=count, args=(server, 25)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert ask(server, "GET", "/r1")["state"] == {"n": 100}


# ---- the list of rooms

def listed(server, limit):
    """All rooms, page by page."""
    rooms, after, pages = [], "", 0
    while after is not None:
        page = ask(server, "GET", f"?limit={limit}{after and '&after=' + after}")
        assert len(page["rooms"]) <= limit
        rooms, pages, after = rooms + page["rooms"], pages + 1, page.get("next")
    return rooms, pages


def test_list():
    """rooms of all kinds are listed page by page, each exactly once, wherever they live"""
    for workers in (1, 4):
        with every_worker(workers) as server:
            assert ask(server, "GET") == {"rooms": []}
            wanted = {("relay", f"r{index}") for index in range(60)}
            for _, room in wanted:
                make(server, room, locked=room == "r7")
            vote = request(server.port, "GET", "/api/rooms").json()["room_id"]
            with server.client("/ws/kart/side"), server.client("/ws"), come(server, "ann", "g1"), \
                    enter(server, "ann", "r9"):
                wanted |= {("vote", vote), ("kart", "side"), ("lobby", "g1")}
                for limit in (1, 7, 200):
                    rooms, pages = listed(server, limit)
                    assert len(rooms) == len(wanted) and {(room["kind"], room["id"]) for room in rooms} == wanted
                    assert pages >= len(wanted) / limit
                members = {room["id"]: room["members"] for room in rooms}
                assert members["r9"] == members["g1"] == members["side"] == 1 and members["r8"] == 0
                assert [room["id"] for room in rooms if room["locked"]] == ["r7"]
                assert all(abs(room["created_at"] / 1000 - time.time()) < 60 for room in rooms)
            assert len(ask(server, "GET")["rooms"]) == 50, "so many without a limit"
        with every_worker(workers) as server:
            for query in ("limit=0", "limit=201", "limit=x", "limit=-1", "limit=1&limit=2", "after=9", "after=x",
                          "after=0.1", "after=0.xyz4567890123456", "after=0.0123456789ABCDEF", "after=0&after=0",
                          f"after=0.{'1' * 40}", "limit=", "after="):
                refused(server, 400, "bad_query", "GET", f"?{query}")


def test_list_while_rooms_come_and_go():
    """a room that is there all the while is on exactly one page, whatever comes and goes meanwhile"""
    with every_worker(4) as server:
        for index in range(40):
            make(server, f"stays-{index}")
        ending = threading.Event()

        def churn():
            while not ending.is_set():
                room = make(server, f"goes-{time.monotonic_ns()}")["id"]
                ask(server, "DELETE", f"/{room}")

        thread = threading.Thread(target=churn)
        thread.start()
        try:
            for _ in range(5):
                rooms, _ = listed(server, 3)
                stay = sorted(room["id"] for room in rooms if room["id"].startswith("stays-"))
                assert stay == sorted(f"stays-{index}" for index in range(40))
        finally:
            ending.set()
            thread.join(10)
