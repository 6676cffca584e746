"""tests/e2e/test_vote.py: rooms that are acquired by HTTP, and what their members are told (THREATS.md S1, G2, G3, G16,
R7, X1 to X4, H16, H25)."""
import json
import multiprocessing
import re
import signal
import socket
import subprocess
import threading
import time

import test_clients
from harness import FOLDER, Server, alone, brings, exchange, expect_known, request, wait_until
from rawclient import BINARY, CLOSE, TEXT, Broken, Client, Ended, Refused
import tools  # noqa: E402 -- found by the harness

ROOMS = "/api/rooms"
READY = '{"type":"participant_ready","room_id":"%s","data":{"message":"participant ready"}}'
STARTED = ('{"type":"voting_started","room_id":"%s",'
           '"data":{"message":"voting started","redirect_url":"/voting"}}')
JOINED = ('{"type":"participant_joined","room_id":"%s",'
          '"data":{"message":"participant joined","participants_count":%d}}')
STATUS = '{"type":"room_status","room_id":"%s","data":{"status":"%s","participants_count":%d}}'


# ---- what clients of this API do

def call(server, method, path="", body=None, **headers):
    """A request on the public listener. Header names with `_` for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is None and method == "PATCH":
        body = b""
    return request(server.port, method, ROOMS + path, headers=named, body=body)


def acquire(server, **headers):
    response = call(server, "GET", **headers)
    assert response.status == 200, (response.status, response.body)
    return response.json()["room_id"]


def participate(server, room, body=b'{"text":"x"}'):
    return call(server, "PATCH", f"/{room}/participate", body)


def expect(response, status, error=None):
    """This status, with an empty body or the seed's kind of error."""
    assert response.status == status, (response.status, response.body)
    if error is None:
        assert response.body == b"", response.body
    else:
        assert response.body == json.dumps({"error": error}, separators=(",", ":")).encode(), response.body
        assert response.headers["content-type"] == "application/json"
        expect_known(f"HTTP {status}", error)
    assert response.headers["cache-control"] == "no-store"
    return response


def join(server, room, **how):
    return Client(server.port, f"{ROOMS}/{room}/ws", **how)


def read(client, seconds=5):
    """The next message's exact text."""
    frame = client.read_message(seconds)
    assert frame.opcode == TEXT and frame.final, frame
    return frame.payload.decode()


def expect_silence(client, seconds=0.3):
    try:
        raise AssertionError(f"unexpected: {client.read_message(seconds)}")
    except TimeoutError:
        pass


def members(server):
    return server.metric("ringcast_members", kind="vote")


# ---- the contract's transcript (CONTRACT 1.7)

def play_transcript(server):
    response = call(server, "GET")
    assert response.status == 200
    room = re.fullmatch(rb'\{"room_id":"([0-9]{6})"\}', response.body)[1].decode()
    expect(call(server, "GET", f"/{room}/acquired"), 200)
    expect(call(server, "GET", "/nope/acquired"), 404, "room not found")
    with join(server, room) as a:
        assert read(a) == STATUS % (room, "LOBBY", 1)
        with join(server, room) as b:
            assert read(b) == STATUS % (room, "LOBBY", 2)
            assert read(a) == JOINED % (room, 2)
            expect(participate(server, room), 200)
            assert [read(a), read(b)] == [READY % room] * 2
            expect(participate(server, room, b"{bad"), 400, "incorrect request")
            expect(call(server, "PATCH", f"/{room}/start"), 200)
            assert [read(a), read(b)] == [STARTED % room] * 2
            assert [read(a), read(b)] == [STATUS % (room, "VOTING", 2)] * 2
            expect(call(server, "PATCH", f"/{room}/release"), 200)
            for client in (a, b):
                assert read(client) == STATUS % (room, "FINISHED", 2)
                assert client.read_close() == (4410, "room_closed")
                client.send(CLOSE, b"\x11\x3a")
                client.read_end()
    expect(call(server, "GET", f"/{room}/acquired"), 404, "room not found")


def test_golden_transcript():
    """the contract's transcript, byte by byte (S1-1 to S1-12, G16)"""
    with Server("--dev", "--workers", "1") as server:
        play_transcript(server)
        assert server.metric("ringcast_disconnects_total", code=4410, reason="room_closed") == 2
        assert server.metric("ringcast_rooms", kind="vote") == 0


def test_golden_transcript_on_several_workers():
    """the same on four workers, again and again: whichever accepts a socket, the room answers"""
    with Server("--dev", "--workers", "4") as server:
        for _ in range(12):
            play_transcript(server)
        assert len({line["worker"] for line in server.log_lines(event="connected")}) > 1
        server.wait_metric(0, "ringcast_rooms", kind="vote")


@brings(tools.python_path)
def test_websockets_package():
    """Python's websockets joins with the dialect's subprotocol, hears what happens, and is told of the end"""
    test_clients.bring_websockets()
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect
    with Server("--dev", "--workers", "2") as server:
        room = acquire(server)
        url = f"ws://127.0.0.1:{server.port}{ROOMS}/"
        with connect(f"{url}{room}/ws", subprotocols=["ringcast.room"]) as client:
            assert client.subprotocol == "ringcast.room"
            assert client.recv(timeout=3) == STATUS % (room, "LOBBY", 1)
            client.send("hello"), client.send(b"\x00")
            expect(participate(server, room), 200)
            assert client.recv(timeout=3) == READY % room
            assert client.ping().wait(3), "no pong"
            expect(call(server, "PATCH", f"/{room}/start"), 200)
            assert client.recv(timeout=3) == STARTED % room
            assert client.recv(timeout=3) == STATUS % (room, "VOTING", 1)
            expect(call(server, "PATCH", f"/{room}/release"), 200)
            assert client.recv(timeout=3) == STATUS % (room, "FINISHED", 1)
            try:
                raise AssertionError(client.recv(timeout=3))
            except ConnectionClosed as why:
                assert why.rcvd.code == 4410 and why.rcvd.reason == "room_closed"
        try:
            connect(f"{url}{room}/ws").close()
            raise AssertionError("it was let in")
        except InvalidStatus as why:
            assert why.response.status_code == 404
            assert why.response.body == b'{"error":"room not found"}'


@brings(tools.node_path)
def test_node_ws():
    """npm's ws and Node's fetch: the same, two members of one room"""
    node, environment = test_clients.node_and_modules()
    with Server("--dev", "--workers", "2") as server:
        where = f"127.0.0.1:{server.port}"
        done = subprocess.run([node, str(FOLDER / "ws_vote_client.js"), f"ws://{where}", f"http://{where}"], timeout=40,
                              env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout == "ok\n", done.stdout + done.stderr
        server.wait_metric(0, "ringcast_rooms", kind="vote")


def test_late_joiner_learns_the_status():
    """who comes after the start is told VOTING, and nothing of before (S1-23, D18)"""
    with Server("--dev") as server:
        room = acquire(server)
        expect(participate(server, room), 200)
        expect(call(server, "PATCH", f"/{room}/start"), 200)
        with join(server, room) as client:
            assert read(client) == STATUS % (room, "VOTING", 1)
            expect_silence(client)


def test_rooms_do_not_hear_each_other():
    """a broadcast reaches only its room (S1-13)"""
    with Server("--dev") as server:
        rooms = [acquire(server) for _ in range(8)]
        assert len(set(rooms)) == 8
        clients = [join(server, room) for room in rooms]
        for client, room in zip(clients, rooms):
            assert read(client) == STATUS % (room, "LOBBY", 1)
        expect(participate(server, rooms[3]), 200)
        assert read(clients[3]) == READY % rooms[3]
        for client in clients[:3] + clients[4:]:
            expect_silence(client, 0.05)
            client.socket.close()


def test_what_members_say_is_ignored():
    """inbound frames are checked, counted and ignored: text, binary, empty, JSON (S1-19, C6)"""
    with Server("--dev") as server, join(server, acquire(server)) as client:
        read(client)
        for opcode, payload in ((TEXT, b""), (TEXT, b'{"type":"start"}'), (BINARY, b"\xff"), (TEXT, b"x" * 4096)):
            client.send(opcode, payload)
        expect_silence(client)
        assert client.is_alive()
        assert server.metric("ringcast_messages_received_total", kind="vote", type="text") == 3
        assert server.metric("ringcast_messages_received_total", kind="vote", type="binary") == 1
        client.send(TEXT, b"\xff")
        assert client.read_close()[0] == 1007
    with Server("--dev") as server, join(server, acquire(server)) as client:
        client.send(TEXT, b"x" * 4097)
        read(client)
        assert client.read_close()[0] == 1009


def test_a_message_is_encoded_once():
    """one encode for each message, however many members there are; none when nobody is there (S1-16, D4)"""
    with Server("--dev") as server:
        room = acquire(server)
        encodes = lambda: server.metric("ringcast_frame_encodes_total", kind="vote")
        expect(participate(server, room), 200)
        assert encodes() == 0
        clients = [join(server, room) for _ in range(20)]
        server.wait_metric(20, "ringcast_members", kind="vote")
        before = encodes()
        assert before == 20 + 19, "each joiner's status, and each but the first is announced once"
        for _ in range(5):
            expect(participate(server, room), 200)
        assert encodes() == before + 5
        for client in clients:
            client.socket.close()


def test_an_empty_room_stays():
    """a room stays while it is acquired, with members or without, and counts who is there now (C9, D13)"""
    with Server("--dev") as server:
        room = acquire(server)
        with join(server, room) as client:
            read(client)
            client.leave()
        server.wait_metric(0, "ringcast_members", kind="vote")
        expect(call(server, "GET", f"/{room}/acquired"), 200)
        with join(server, room) as client:
            assert read(client) == STATUS % (room, "LOBBY", 1)
        expect(call(server, "PATCH", f"/{room}/release"), 200)
        assert server.metric("ringcast_rooms", kind="vote") == 0


# ---- the host

def test_host_token():
    """without --dev acquiring gives a token, and only who has it starts and releases (S1-21, D17, G2)"""
    with Server("--workers", "2") as server:
        answer = call(server, "GET").json()
        assert list(answer) == ["room_id", "host_token"], answer
        room, token = answer["room_id"], answer["host_token"]
        assert re.fullmatch(r"[A-Za-z0-9_-]{32}", token), token
        other = call(server, "GET").json()
        assert other["host_token"] != token
        with join(server, room) as client:
            assert read(client) == STATUS % (room, "LOBBY", 1)
            wrong = [{}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {token}"}, {"Authorization": token},
                     {"Authorization": f"Bearer {other['host_token']}"}, {"Authorization": f"Bearer {token}x"},
                     {"Authorization": f"Bearer {token[:-1]}"}, {"Authorization": f"Bearer {token.swapcase()}"},
                     {"Authorization": "Bearer " + "x" * 2000}]
            for verb in ("start", "release"):
                for headers in wrong:
                    expect(call(server, "PATCH", f"/{room}/{verb}", **headers), 403, "only the host may do this")
            expect(participate(server, room), 200)
            assert read(client) == READY % room
            for scheme, wanted in (("bearer", 200), ("Bearer", 409)):
                response = call(server, "PATCH", f"/{room}/start", Authorization=f"{scheme} {token}")
                assert response.status == wanted
            assert [read(client), read(client)] == [STARTED % room, STATUS % (room, "VOTING", 1)]
            expect(call(server, "PATCH", f"/{room}/release", Authorization=f"Bearer {token}"), 200)
            assert client.read_close() == (4410, "room_closed")
        assert token not in server.log_text()


def test_a_second_start():
    """a second start, and participating after it, is 409; there is exactly one voting_started (G3)"""
    with Server("--dev") as server:
        room = acquire(server)
        with join(server, room) as client:
            read(client)
            answers = []
            start = lambda: answers.append(call(server, "PATCH", f"/{room}/start").status)
            threads = [threading.Thread(target=start) for _ in range(20)]
            [thread.start() for thread in threads], [thread.join() for thread in threads]
            assert sorted(answers) == [200] + [409] * 19, answers
            expect(participate(server, room), 409, "voting has started")
            assert [read(client), read(client)] == [STARTED % room, STATUS % (room, "VOTING", 1)]
            expect_silence(client)


# ---- requests that are wrong

def test_incorrect_requests():
    """a body that is no {"text":string} is 400 with the seed's words, and nobody is told (S1-5, X2)"""
    with Server("--dev", "--workers", "2") as server:
        for room in [acquire(server) for _ in range(4)]:
            with join(server, room) as client:
                read(client)
                for body in (b"", b"{", b"{bad", b"[]", b"null", b'"x"', b"{}", b'{"text":1}', b'{"text":null}',
                             b'{"TEXT":"x"}', b'{"text":"x"} x', b'{"text":"x","text":"y"}', b'{"text":"\xff"}',
                             b'{"text":"a\\u0000b"}', b"[" * 3000, b"\x00" * 100):
                    expect(participate(server, room, body), 400, "incorrect request")
                expect(participate(server, room, b'{"text":""}'), 200)
                expect(participate(server, room, b' {"text":"\xc3\xa4\\ud83c\\udfc1<>","x":[1]}\n'), 200)
                assert [read(client), read(client)] == [READY % room] * 2
                expect_silence(client, 0.1)


def test_bodies_that_http_refuses():
    """a body too large is 413, one in chunks 501, one that never comes ends at the handshake's deadline; its
    type is not looked at: a page of another origin cannot send a PATCH unasked (X1)"""
    with Server("--dev", "--handshake", "1s") as server:
        room = acquire(server)
        path = f"{ROOMS}/{room}/participate"
        assert participate(server, room, b'{"text":"' + b"x" * 5000 + b'"}').status == 413
        head = f"PATCH {path} HTTP/1.1\r\nHost: x\r\n"
        assert exchange(server.port, (head + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n").encode()).status == 501
        both = head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
        assert exchange(server.port, both.encode()).status == 400
        assert exchange(server.port, (head + "Content-Length: 50\r\n\r\n{").encode(), 4).status == 408
        assert call(server, "PATCH", f"/{room}/participate", b'{"text":"x"}', Content_Type="text/plain").status == 200


def test_unknown_rooms():
    """a room that nobody has acquired is 404 for every verb, and for a WebSocket before the upgrade, all alike; no
    room is made (D16, H16)"""
    with Server("--dev", "--workers", "2") as server:
        refusals = set()
        for room in ("nope", "000000", "123456", "a" * 64, "a" * 65, "%C3%A4", "a.b", "-1", "%20"):
            expect(call(server, "GET", f"/{room}/acquired"), 404, "room not found")
            for verb in ("participate", "start", "release"):
                expect(call(server, "PATCH", f"/{room}/{verb}", b'{"text":"x"}'), 404, "room not found")
            try:
                join(server, room).socket.close()
                raise AssertionError(f"{room} was let in")
            except Refused as why:
                expect(why.response, 404, "room not found")
                refusals.add(tuple(sorted(why.response.headers.items())))
        assert len(refusals) == 1, refusals
        assert server.metric("ringcast_rooms", kind="vote") == 0


def test_wrong_paths_and_methods():
    """other methods are 405 with Allow, other paths 404, a WebSocket where none is acquires nothing (H25)"""
    with Server("--dev") as server:
        room = acquire(server)
        for path, allow in (("", "GET, POST, OPTIONS"), (f"/{room}/acquired", "GET, OPTIONS"),
                            (f"/{room}/start", "PATCH, OPTIONS"), (f"/{room}/participate", "PATCH, OPTIONS"),
                            (f"/{room}/release", "PATCH, OPTIONS"), (f"/{room}/ws", "GET")):
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - set(allow.split(", ")):
                response = call(server, method, path)
                assert response.status == 405 and response.headers["allow"] == allow, (method, path)
        for path in ("/", f"/{room}/", f"/{room}/start/", f"/{room}/x", f"/{room}/start/x", "//start",
                     f"//{room}/start"):
            assert call(server, "PATCH", path).status == 404, path
        assert request(server.port, "GET", "/api/roomsx").status == 404
        for path in (ROOMS, f"{ROOMS}/{room}/acquired"):
            try:
                server.client(path).socket.close()
                raise AssertionError(f"{path} was upgraded")
            except Refused as why:
                assert why.response.status in (200, 404)
        assert server.metric("ringcast_rooms", kind="vote") == 1
        with Client(server.port, handshake=False) as client:
            client.send_bytes(f"GET {ROOMS}/{room}/ws HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert client.read_response().status == 426
        assert server.get(ROOMS).status == 404, "the internal listener has no rooms"
        posted = call(server, "POST", body=b"")
        assert posted.status == 200 and re.fullmatch(r"[0-9]{6}", posted.json()["room_id"])


def test_vote_can_be_off():
    """with --vote=off there is nothing under /api/rooms"""
    with Server("--dev", "--vote=off") as server:
        assert call(server, "GET").status == 404
        assert call(server, "PATCH", "/123456/start").status == 404


# ---- the guards of a GET that changes something, and of pages of other origins

def test_prefetch_acquires_nothing():
    """a prefetch is 403 and takes no room; no answer may be stored (C13, D19, X4)"""
    with Server("--dev") as server:
        for headers in ({"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"},
                        {"purpose": "Prefetch"}, {"sec-purpose": "prefetch; anonymous-client-ip"}):
            expect(request(server.port, "GET", ROOMS, headers=headers), 403, "not to be fetched in advance")
        with Client(server.port, handshake=False) as client:  # looking at the head acquires nothing
            client.send_bytes(f"HEAD {ROOMS} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert client.read_to_end().startswith(b"HTTP/1.1 405 ")
        assert server.metric("ringcast_rooms", kind="vote") == 0
        assert call(server, "GET", Sec_Purpose="other").headers["cache-control"] == "no-store"


def test_origins():
    """a page of another origin gets 403 from every route, one on the list may read the answers, and * is never
    said (X3, S1-20)"""
    with Server("--workers", "2", "--allow-origin", "https://good.example", "--vote-require-host=off") as server:
        rooms = [acquire(server) for _ in range(4)]  # on both workers
        for room in rooms:
            for method, path in (("GET", ""), ("POST", ""), ("GET", f"/{room}/acquired"), ("PATCH", f"/{room}/start"),
                                 ("PATCH", f"/{room}/release"), ("OPTIONS", f"/{room}/start"), ("OPTIONS", "")):
                for origin in ("https://evil.example", "null", "http://good.example", "https://good.example.evil.example",
                               "https://good.example:444", "x" * 400):
                    response = expect(call(server, method, path, Origin=origin), 403, "origin not allowed")
                    assert not any(name.startswith("access-control") for name in response.headers)
            assert server.metric("ringcast_rooms", kind="vote") == 4
            for response in (call(server, "GET", f"/{room}/acquired", Origin="https://good.example"),
                             call(server, "PATCH", f"/{room}/participate", b"{", Origin="https://good.example"),
                             call(server, "PATCH", f"/{room}/start", Origin="https://good.example"),
                             call(server, "PATCH", f"/{room}/start", Origin="https://good.example")):
                assert response.headers["access-control-allow-origin"] == "https://good.example", response.headers
                assert response.headers["vary"] == "Origin"
                assert "access-control-allow-credentials" not in response.headers
            own = f"http://127.0.0.1:{server.port}"
            assert call(server, "GET", f"/{room}/acquired", Origin=own).status == 200
            for origin, status in (("https://evil.example", 403), ("https://good.example", 101)):
                try:
                    with join(server, room, headers=[f"Origin: {origin}"]) as client:
                        assert status == 101 and read(client).startswith('{"type":"room_status"')
                except Refused as why:
                    assert why.response.status == status


def test_preflight():
    """a browser that asks before it sends a PATCH with a token is told that it may, and nothing happens (X3)"""
    with Server("--allow-origin", "https://good.example") as server:
        room = acquire(server)
        response = call(server, "OPTIONS", f"/{room}/start", Origin="https://good.example",
                        Access_Control_Request_Method="PATCH", Access_Control_Request_Headers="authorization")
        assert response.status == 200 and response.body == b""
        assert response.headers["access-control-allow-origin"] == "https://good.example"
        assert "PATCH" in response.headers["access-control-allow-methods"].split(", ")
        allowed = response.headers["access-control-allow-headers"].lower().split(", ")
        assert {"authorization", "content-type"} <= set(allowed)
        with join(server, room) as client:
            assert read(client) == STATUS % (room, "LOBBY", 1)
        assert call(server, "OPTIONS").headers["allow"] == "GET, POST, OPTIONS"


# ---- how many

def from_address(server, address, path=ROOMS):
    with Client(server.port, handshake=False, source=address) as client:
        client.send_bytes(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return client.read_response()


def test_acquiring_is_limited_by_address():
    """an address acquires so many rooms a second, and has so many at once, over all workers; then 429, and others are
    not disturbed; a released room is a place again (R7, X4)"""
    with Server("--workers", "2", "--address-acquires", "5", "--address-rooms", "0") as server:
        answers = [from_address(server, "127.0.0.2") for _ in range(30)]
        statuses = [answer.status for answer in answers]
        assert statuses[:10] == [200] * 10 and 429 in statuses, statuses
        refused = answers[statuses.index(429)]
        expect(refused, 429, "too many requests")
        assert int(refused.headers["retry-after"]) >= 1
        assert from_address(server, "127.0.0.3").status == 200
        assert server.metric("ringcast_rate_limited_total", scope="address_acquires") == statuses.count(429)
        wait_until(lambda: from_address(server, "127.0.0.2").status == 200, 3, "a second later it may again")
    with Server("--workers", "2", "--address-acquires", "0", "--address-rooms", "3") as server:
        held = [from_address(server, "127.0.0.2").json() for _ in range(3)]
        expect(from_address(server, "127.0.0.2"), 429, "too many rooms of your address")
        assert from_address(server, "127.0.0.3").status == 200
        token = {"Authorization": f"Bearer {held[0]['host_token']}"}
        expect(call(server, "PATCH", f"/{held[0]['room_id']}/release", **token), 200)
        assert from_address(server, "127.0.0.2").status == 200
        expect(from_address(server, "127.0.0.2"), 429, "too many rooms of your address")
        assert server.metric("ringcast_rate_limited_total", scope="address_rooms") == 2


def test_rooms_are_bounded():
    """past --rooms acquiring is 503, races count as well, and a room that is released makes place (R7)"""
    with Server("--dev", "--rooms", "4", "--workers", "2") as server, server.client("/ws/kart/one") as race:
        race.read_state()
        rooms = [acquire(server) for _ in range(3)]
        response = expect(call(server, "GET"), 503, "too many rooms")
        assert "retry-after" in response.headers
        expect(call(server, "PATCH", f"/{rooms[1]}/release"), 200)
        acquire(server)
        assert call(server, "GET").status == 503
        assert server.metric("ringcast_rooms", kind="vote") == 3


def test_orphans_are_released():
    """a room that nobody touches is released, sooner in the lobby than in voting; its members are told (G16)"""
    with Server("--dev", "--vote-lobby", "1s", "--vote-voting", "3s", "--workers", "2") as server:
        lobby, voting, touched = acquire(server), acquire(server), acquire(server)
        expect(call(server, "PATCH", f"/{voting}/start"), 200)
        begin = time.monotonic()
        with join(server, lobby) as client:
            assert read(client) == STATUS % (lobby, "LOBBY", 1)
            for _ in range(4):
                time.sleep(0.4)
                expect(participate(server, touched), 200)
            assert read(client) == STATUS % (lobby, "FINISHED", 1)
            assert client.read_close() == (4410, "room_closed")
        expect(call(server, "GET", f"/{lobby}/acquired"), 404, "room not found")
        expect(call(server, "GET", f"/{voting}/acquired"), 200)
        expect(call(server, "GET", f"/{touched}/acquired"), 200)
        with join(server, voting) as client:  # who comes touches it, who sits there does not
            came = time.monotonic()
            assert read(client) == STATUS % (voting, "VOTING", 1)
            assert read(client, 8) == STATUS % (voting, "FINISHED", 1), "voting ends, too"
            assert client.read_close() == (4410, "room_closed")
            assert 2.9 < time.monotonic() - came < 8 and time.monotonic() - begin > 2.9
        expect(call(server, "GET", f"/{voting}/acquired"), 404, "room not found")
        server.wait_metric(0, "ringcast_rooms", kind="vote")
        server.wait_metric(0, "ringcast_members", kind="vote")


# ---- many at once

def patch_fast(port, path, count, body=b'{"text":"x"}'):
    """The statuses of so many PATCHes, as fast as one thread can."""
    asks = f"PATCH {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    statuses = []
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            plain.sendall(asks)
            answer = b""
            while piece := plain.recv(4096):
                answer += piece
            statuses.append(int(answer[9:12]))
    return statuses


def patch_all(server, room, count, processes=4):
    """The statuses of so many participations from several processes at once: in threads they would keep
    those who read from reading."""
    arguments = (server.port, f"{ROOMS}/{room}/participate", count // processes)
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        statuses = sum(pool.starmap(patch_fast, [arguments] * processes), [])
    assert len(statuses) == count
    return statuses


class Ears(threading.Thread):
    """Counts a member's events; each must be `wanted`."""

    def __init__(self, client, wanted):
        super().__init__(daemon=True)
        self.client, self.wanted, self.count, self.failure = client, wanted.encode(), 0, None
        self.start()

    def run(self):
        try:
            while True:
                frame = self.client.read_message(30)
                assert frame.opcode == TEXT and frame.payload == self.wanted, frame
                self.count += 1
        except Exception as why:  # noqa: BLE001 -- looked at by the test
            self.failure = why


def check_ten_thousand(workers):
    # The kernel holds more than it need: at 7,000 events a second a process that reads and is not let run for 60 ms
    # would be one that does not read.
    with Server("--dev", "--workers", workers, "--not-sent-low", "1MiB") as server:
        room = acquire(server)
        clients = [join(server, room, receive_buffer=1 << 20) for _ in range(4)]
        server.wait_metric(4, "ringcast_members", kind="vote")
        for number, client in enumerate(clients, 1):
            assert read(client) == STATUS % (room, "LOBBY", number)
            for other in range(number + 1, 5):
                assert read(client) == JOINED % (room, other)
        ears = [Ears(client, READY % room) for client in clients]
        statuses = patch_all(server, room, 10_000)
        accepted = statuses.count(200)
        assert accepted == 10_000, {status: statuses.count(status) for status in set(statuses)}
        wait_until(lambda: all(ear.count == accepted for ear in ears), 10,
                   lambda: [(ear.count, ear.failure) for ear in ears])
        assert members(server) == 4
        assert server.metric("ringcast_room_requests_total", kind="vote") == accepted


@alone
def test_ten_thousand_requests():
    """10,000 accepted PATCHes are 10,000 events for every member that reads (D11)"""
    check_ten_thousand("1")


@alone
def test_ten_thousand_requests_on_two_workers():
    """the same when half of them come by another worker (D11)"""
    check_ten_thousand("2")


@alone
def test_a_slow_member_pays_alone():
    """a member that does not read is closed as slow and its socket freed, the others miss nothing, and nobody
    who asks waits (S1-15, S1-17, D12, C8, R1)"""
    with Server("--dev", "--send-buffer", "4KiB", "--ping", "60s") as server:
        room = acquire(server)
        quick, slow = join(server, room), join(server, room, receive_buffer=2048)
        read(quick), read(quick), read(slow)
        ears = Ears(quick, READY % room)
        descriptors = server.descriptors()
        sent = 0
        while members(server) == 2 and sent < 20_000:
            assert set(patch_all(server, room, 400)) == {200}
            sent += 400
        assert members(server) == 1, f"nobody was closed after {sent} events"
        wait_until(lambda: ears.count == sent, 10, lambda: (ears.count, sent, ears.failure))
        assert server.metric("ringcast_disconnects_total", code=4508, reason="slow_consumer") == 1
        wait_until(lambda: server.descriptors() < descriptors, 5, "its descriptor is closed")
        slow.socket.close(), quick.socket.close()


def test_release_under_load():
    """a room is released while members come and go and requests pour in: every answer is one of the contract's,
    everybody is closed with 4410, and nothing is left (S1-8, D10)"""
    with Server("--dev", "--workers", "2") as server:
        frames = server.metric("ringcast_frames_live")
        for _ in range(3):
            room = acquire(server)
            clients = [join(server, room) for _ in range(20)]
            statuses, answers = [], []
            path = f"{ROOMS}/{room}/participate"
            pour = lambda: [statuses.extend(patch_fast(server.port, path, 10)) for _ in range(15)]
            flood = [threading.Thread(target=pour) for _ in range(4)]
            churn = threading.Thread(target=come_and_go, args=(server, room, answers))
            [thread.start() for thread in flood + [churn]]
            wait_until(lambda: len(statuses) > 100, 10, "the flood has begun")
            expect(call(server, "PATCH", f"/{room}/release"), 200)
            [thread.join() for thread in flood + [churn]]
            assert set(statuses) == {200, 404}, set(statuses)
            assert set(answers) <= {4410, 404, "left"}, answers
            for client in clients:
                assert client.read_close(10) == (4410, "room_closed")
                client.socket.close()
        server.wait_metric(0, "ringcast_members", kind="vote")
        server.wait_metric(0, "ringcast_rooms", kind="vote")
        server.wait_metric(frames, "ringcast_frames_live")
        server.signal(signal.SIGTERM)
        assert server.wait_exit(10) == 0


def come_and_go(server, room, answers):
    for _ in range(60):
        try:
            with join(server, room) as client:
                client.read_message()
                answers.append("left")
                client.socket.close()
        except Refused as why:
            answers.append(why.response.status)
        except Ended:
            answers.append(4410)


def test_drain():
    """a shutdown closes members with 1012, and requests get 503 meanwhile; nothing is left (D9)"""
    with Server("--dev", "--workers", "2", "--drain", "2s") as server:
        rooms = [acquire(server) for _ in range(4)]
        clients = [join(server, room) for room in rooms]
        for client in clients:
            read(client)
        server.signal(signal.SIGTERM)
        for client in clients:
            code, reason = client.read_close()
            assert code == 1012 and reason.startswith("restart;retry_ms="), (code, reason)
            client.socket.close()
        assert server.wait_exit(6) == 0
        assert all(line["everything_home"] == "yes" for line in server.log_lines(event="stopped"))


def test_a_vanished_member_is_let_go():
    """a member that cannot be sent to is gone at once, and the others hear every event (D15)"""
    with Server("--dev", "--workers", "2") as server:
        room = acquire(server)
        stays, gone = join(server, room), join(server, room)
        read(stays), read(stays), read(gone)
        gone.reset()
        for _ in range(20):
            expect(participate(server, room), 200)
            assert read(stays) == READY % room
        server.wait_metric(1, "ringcast_members", kind="vote")
        assert sum(server.metric("ringcast_disconnects_total", code=1006, reason=reason)
                   for reason in ("recv_error", "send_error", "peer_left")) == 1
        stays.socket.close()


def try_to_enter(server, room, stopping, slowest):
    """Comes, asks and goes until the server is gone; how long the slowest attempt took."""
    while not stopping.is_set():
        began = time.monotonic()
        try:
            with join(server, room, timeout=10) as client:
                client.socket.close()
            participate(server, room)
        except (Refused, Ended, Broken):  # cut off at the very end, an answer is none
            pass
        except OSError:  # nobody listens any more
            return
        finally:
            slowest.append(time.monotonic() - began)


def test_nobody_waits_for_a_hub_that_stops():
    """while the server goes down, who comes is answered or turned away at once: nobody hangs in a register that
    nobody reads (D14)"""
    with Server("--dev", "--workers", "2", "--drain", "2s") as server:
        room, stopping, slowest = acquire(server), threading.Event(), []
        threads = [threading.Thread(target=try_to_enter, args=(server, room, stopping, slowest)) for _ in range(8)]
        [thread.start() for thread in threads]
        wait_until(lambda: len(slowest) > 40, 10, "they come and go")
        server.signal(signal.SIGTERM)
        assert server.wait_exit(6) == 0
        stopping.set()
        [thread.join(10) for thread in threads]
        assert not any(thread.is_alive() for thread in threads) and max(slowest) < 3, max(slowest)
        assert all(line["everything_home"] == "yes" for line in server.log_lines(event="stopped"))


def test_log():
    """the log names the room of who comes and goes, and no body (S1-22)"""
    with Server("--dev", "--log-level", "debug") as server:
        room = acquire(server)
        with join(server, room) as client:
            read(client)
            expect(participate(server, room, b'{"text":"a secret wish"}'), 200)
            client.leave()
        wait_until(lambda: server.log_lines(event="disconnected", room=f"vote/{room}"), 3, "the end is told")
        assert server.log_lines(event="connected", room=f"vote/{room}", kind="vote")
        assert server.log_lines(event="room_request", room=f"vote/{room}", verb="participate")
        assert "secret wish" not in server.log_text()
