"""tests/e2e/test_avalon.py: rooms of people with names and tokens: the contract's transcript, every
refusal, and what is said to whom (CONTRACT S2; THREATS.md J, A11, A15, G4, G5, H24, H25, F16, F17,
R9)."""
import base64
import hashlib
import hmac
import json
import re
import signal
import subprocess
import threading
import time

import test_clients
from harness import FOLDER, Server, brings, exchange, expect_error, expect_known, request, wait_until
from rawclient import BINARY, CLOSE, TEXT, Client, Ended, Refused, upgrade_request
import tools  # noqa: E402 -- found by the harness

SECRET = "a secret of this test, which is long enough"
ENV = {"RINGCAST_JWT_SECRET": SECRET, "RINGCAST_LIMIT_EXEMPT": "127.0.0.0/8"}


# ---- what clients do

def call(server, method, path, value=None, **headers):
    body = None if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return request(server.port, method, f"/api/rooms{path}", headers=named, body=body)


def create(server, name="Ann"):
    response = call(server, "POST", "", {"kind": "avalon", "display_name": name})
    assert response.status == 201, (response.status, response.body)
    return response.json()


def join(server, place, name="Bob"):
    response = call(server, "POST", f"/{place['room']['code']}/join", {"display_name": name})
    assert response.status == 200, (response.status, response.body)
    return response.json()


def come(server, place, suffix="", **how):
    """A WebSocket with the place's token in a header."""
    headers = [f"Authorization: Bearer {place['token']}"]
    return Client(server.port, f"/ws/rooms/{place['room']['code']}{suffix}", headers=headers, **how)


def read(client, seconds=5):
    """The next message's exact text."""
    frame = client.read_message(seconds)
    assert frame.opcode == TEXT and frame.final, frame
    return frame.payload.decode()


def enter(server, place, **how):
    """Comes in and reads the state."""
    client = come(server, place, **how)
    client.state = json.loads(read(client))
    assert (client.state["type"], client.state["event"]) == ("state", "room")
    return client


def say(client, value):
    client.send(TEXT, value if isinstance(value, bytes) else json.dumps(value).encode())


def chat(message, correlation=None, **more):
    envelope = {"type": "chat", "payload": {"message": message} | more}
    return envelope | ({"correlation_id": correlation} if correlation else {})


def expect_silence(client, seconds=0.3):
    try:
        raise AssertionError(f"unexpected: {client.read_message(seconds)}")
    except TimeoutError:
        pass


def expect_event(client, event, kind="event"):
    message = json.loads(read(client))
    assert (message["type"], message["event"]) == (kind, event), message
    if kind == "error":
        expect_known("error", event)
    return message


def expect_closed(client, code, reason):
    assert client.read_close() == (code, reason)
    client.send(CLOSE, code.to_bytes(2, "big"))
    client.read_end()


def part(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(claims, secret=SECRET):
    """A token as a backend would make it."""
    head = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(json.dumps(claims).encode())
    return head + "." + part(hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest())


def claims_of(token):
    middle = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))


def refused(server, place_or_code, *, query="", headers=()):
    """The error of a WebSocket that is not opened."""
    code = place_or_code if isinstance(place_or_code, str) else place_or_code["room"]["code"]
    try:
        Client(server.port, f"/ws/rooms/{code}{query}", headers=headers)
    except Refused as refusal:
        response = refusal.response
        return response.status, expect_error(response, response.status)["code"]
    raise AssertionError("it was let in")


# ---- the contract's transcript (CONTRACT 1.7)

def play_transcript(server):
    a = create(server, "Ann")
    assert list(a) == ["room", "room_player", "token", "expires_at"]
    assert list(a["room"]) == ["id", "code", "kind"] and a["room"]["kind"] == "avalon"
    assert list(a["room_player"]) == ["id", "display_name"]
    code = a["room"]["code"]
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{6}", code), code
    b = join(server, a, "Bob")
    p1, p2 = a["room_player"]["id"], b["room_player"]["id"]
    with Client(server.port, f"/ws/rooms/{code}?player_id={p1}&token={a['token']}") as one, \
            come(server, b, "/connect") as two:
        players = '{"player_id":"%s","display_name":"Ann","present":%s},' \
                  '{"player_id":"%s","display_name":"Bob","present":%s}'
        state = '{"type":"state","event":"room","payload":{"room":{"id":"%s","code":"%s",' \
                '"kind":"avalon"},"you":"%s","players":[%s]}}'
        room_id = a["room"]["id"]
        assert read(one) == state % (room_id, code, p1, players % (p1, "true", p2, "false"))
        assert read(two) == state % (room_id, code, p2, players % (p1, "true", p2, "true"))
        assert read(one) == '{"type":"event","event":"participant_joined",' \
                            '"payload":{"player_id":"%s","display_name":"Bob"}}' % p2
        say(one, b'{"type":"chat","correlation_id":"c1","payload":{"message":"hi"}}')
        heard = read(two)
        assert re.fullmatch(r'\{"type":"event","event":"chat","payload":\{"player_id":"%s",'
                            r'"display_name":"Ann","message":"hi","ts":\d{13}\}\}' % p1, heard), heard
        assert read(one) == heard[:-1] + ',"correlation_id":"c1"}'
        say(one, b'{"type":"vote","correlation_id":"c2","payload":{}}')
        assert re.fullmatch(r'\{"type":"error","event":"unsupported","payload":\{"code":"unsupported",'
                            r'"message":"[^"]+"\},"correlation_id":"c2"\}', read(one))
        assert one.is_alive() and two.is_alive()
    assert refused(server, code, query=f"?token={a['token']}x")[0] == 401


def test_golden_transcript():
    """the contract's transcript, byte by byte (S2-1 to S2-13, S2-20 to S2-24)"""
    with Server("--dev", "--workers", "1") as server:
        play_transcript(server)


def test_golden_transcript_on_several_workers():
    """the same on four workers, again and again: whichever accepts a socket, the room answers"""
    with Server("--dev", "--workers", "4") as server:
        for _ in range(12):
            play_transcript(server)
        assert len({line["worker"] for line in server.log_lines(event="connected")}) > 1


@brings(tools.python_path)
def test_transcript_with_websockets():
    """Python's websockets: header, subprotocol and query, chat, replacement, refusal"""
    test_clients.bring_websockets()
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect
    with Server("--dev", "--workers", "2") as server:
        a = create(server)
        b = join(server, a)
        url = f"ws://127.0.0.1:{server.port}/ws/rooms/{a['room']['code']}"
        bearer = {"Authorization": f"Bearer {b['token']}"}
        with connect(f"{url}?token={a['token']}") as one, connect(
                f"{url}/connect", additional_headers=bearer, subprotocols=["ringcast.event"]) as two:
            assert json.loads(one.recv(2))["type"] == json.loads(two.recv(2))["type"] == "state"
            assert two.subprotocol == "ringcast.event"
            one.recv(2)
            one.send(json.dumps(chat("hi", "c1")))
            heard = two.recv(2)
            assert one.recv(2) == heard[:-1] + ',"correlation_id":"c1"}'
            two.send(json.dumps(chat("hello")))
            heard = one.recv(2)
            assert json.loads(heard)["payload"]["display_name"] == "Bob" and two.recv(2) == heard
            assert one.ping().wait(2) and two.ping().wait(2), "no pong"
            with connect(url, subprotocols=["ringcast.event", f"bearer.{a['token']}"]) as again:
                assert again.subprotocol == "ringcast.event"
                assert json.loads(again.recv(2))["type"] == "state"
                try:
                    one.recv(2)
                    raise AssertionError("the first connection stays")
                except ConnectionClosed as why:
                    assert (why.rcvd.code, why.rcvd.reason) == (4409, "replaced")
        try:
            connect(f"{url}?token=bad")
            raise AssertionError("let in")
        except InvalidStatus as why:
            assert why.response.status_code == 401
            assert json.loads(why.response.body)["error"]["code"] == "token_malformed"


@brings(tools.node_path)
def test_transcript_with_ws():
    """npm's ws: the same"""
    node, environment = test_clients.node_and_modules()
    with Server("--dev", "--workers", "2") as server:
        a = create(server)
        b = join(server, a)
        done = subprocess.run(
            [node, str(FOLDER / "ws_avalon_client.js"), f"ws://127.0.0.1:{server.port}",
             a["room"]["code"], a["token"], b["token"]],
            timeout=40, env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout == "ok\n", done.stdout + done.stderr


# ---- rooms by HTTP

def test_rooms_by_http():
    """a room is made, found whatever the case of its code, joined once under a name, and looked at"""
    with Server("--dev", "--workers", "2") as server:
        a = create(server, "  Ann \u00e9\u732b  ")
        assert a["room_player"]["display_name"] == "Ann \u00e9\u732b"
        code = a["room"]["code"]
        b = join(server, {"room": {"code": code.lower().replace("0", "o").replace("1", "l")}})
        assert b["room"] == a["room"] and b["token"] != a["token"]
        claims = claims_of(b["token"])
        assert claims["room_id"] == a["room"]["id"] and claims["code"] == code
        assert claims["room_player_id"] == b["room_player"]["id"]
        assert claims["display_name"] == "Bob" and claims["exp"] * 1000 == b["expires_at"]
        assert abs(claims["exp"] - time.time() - 4 * 3600) < 5
        look = call(server, "GET", f"/{code.lower()}").json()
        assert look == {"room": a["room"], "players_max": 10, "players": [
            {"display_name": "Ann \u00e9\u732b", "present": False},
            {"display_name": "Bob", "present": False}]}
        with enter(server, b):
            look = call(server, "GET", f"/{code}").json()
            assert [player["present"] for player in look["players"]] == [False, True]


def test_http_errors():
    """every refusal of the API by its status and code (H25, J8, X1)"""
    with Server("--dev", "--avalon-players", "2") as server:
        a = create(server)
        code = a["room"]["code"]

        def expect(status, error, method, path, value=None, **headers):
            answer = call(server, method, path, value, **headers)
            assert expect_error(answer, status)["code"] == error, answer.body

        for body in (b"{", b"[]", b"{}", {"display_name": 7}, {"display_name": ""},
                     {"display_name": " \u3000 "}, {"display_name": "a\u202eb"},
                     {"display_name": "a\u0000b"}, {"display_name": "x" * 65},
                     b'{"display_name":"a","display_name":"b"}', b'{"display_name":"\\ud800"}'):
            expect(400, "bad_display_name", "POST", f"/{code}/join", body)
        expect(400, "bad_display_name", "POST", "", {"kind": "avalon"})
        expect(400, "bad_display_name", "POST", "", {"kind": "avalon", "display_name": "\t"})
        expect(400, "unknown_kind", "POST", "", {"kind": "chess", "display_name": "Ann"})
        for body in (b'{"kind":"avalon"', b'{"kind":7}', b'{"kind":""}', b'{"kind":"vote","kind":"vote"}', b'"avalon"',
                     b'kind=avalon', b"[" * 20):  # no vote's room is made of what may have been meant for another (J5)
            expect(400, "unknown_kind", "POST", "", body)
        expect(404, "room_not_found", "POST", "/ZZZZZZ/join", {"display_name": "Bob"})
        expect(404, "room_not_found", "POST", "/nope/join", {"display_name": "Bob"})
        expect(404, "room_not_found", "GET", "/ZZZZZZ")
        expect(404, "room_not_found", "GET", "/UUUUUU")
        expect(405, "method_not_allowed", "GET", f"/{code}/join")
        expect(405, "method_not_allowed", "POST", f"/{code}", {})
        expect(409, "name_taken", "POST", f"/{code}/join", {"display_name": "aNN"})
        join(server, a)
        expect(409, "room_full", "POST", f"/{code}/join", {"display_name": "Cid"})
        expect(409, "name_taken", "POST", f"/{code}/join", {"display_name": "Bob"})
        expect(413, "body_too_big", "POST", f"/{code}/join", b"x" * 5000)
        answer = exchange(server.port, upgrade_request(server.port, f"/api/rooms/{code}"))
        assert expect_error(answer, 404)["code"] == "not_found"
        assert server.metric("ringcast_rooms", kind="avalon") == 1  # the failed ones left none


def test_vote_beside_avalon():
    """vote's paths answer as before, and a kind that is named is served"""
    with Server("--dev") as server:
        assert re.fullmatch(rb'\{"room_id":"\d{6}"\}', call(server, "GET", "").body)
        assert re.fullmatch(rb'\{"room_id":"\d{6}"\}', call(server, "POST", "").body)
        answer = call(server, "POST", "", {"kind": "vote"})
        room = re.fullmatch(rb'\{"room_id":"(\d{6})"\}', answer.body)[1].decode()
        assert call(server, "GET", f"/{room}/acquired").status == 200
        assert call(server, "GET", f"/{room}").status == 404  # a vote's room is none of avalon's
        code = create(server)["room"]["code"]
        assert call(server, "GET", f"/{code}/acquired").status == 404


def test_avalon_without_vote():
    """with vote off, avalon's paths are there"""
    with Server("--dev", "--vote=off") as server:
        a = create(server)
        assert call(server, "GET", f"/{a['room']['code']}").status == 200
        assert call(server, "GET", "").status == 404
        assert call(server, "POST", "", {"kind": "vote"}).status == 404
        asked = call(server, "OPTIONS", "", Origin="https://game.example")
        assert asked.status == 200 and asked.headers["allow"] == "POST, OPTIONS"
    with Server("--vote=off", env=ENV) as server:
        for method in ("OPTIONS", "POST"):
            answer = call(server, method, "", {"kind": "avalon"}, Origin="https://evil.example")
            assert expect_error(answer, 403)["code"] == "origin_not_allowed"


def test_origins():
    """a page that is allowed reads the answers, another one gets none (X3)"""
    with Server("--allow-origin", "https://game.example", env=ENV) as server:
        answer = call(server, "POST", "", {"kind": "avalon", "display_name": "Ann"},
                      Origin="https://game.example")
        assert answer.status == 201
        assert answer.headers["access-control-allow-origin"] == "https://game.example"
        path = f"/{answer.json()['room']['code']}"
        answer = call(server, "OPTIONS", path + "/join", Origin="https://game.example")
        assert answer.status == 200 and "POST" in answer.headers["access-control-allow-methods"]
        answer = call(server, "GET", path, Origin="https://evil.example")
        assert expect_error(answer, 403)["code"] == "origin_not_allowed"


def test_unclaimed_places():
    """who knows a room's code cannot fill it: a place to which nobody comes is soon another's, and
    one to which somebody has come is not (G4)"""
    with Server("--avalon-players", "3", "--avalon-unclaimed", "2s", "--workers", "2", env=ENV) as server:
        a = create(server)
        path = f"/{a['room']['code']}/join"
        with enter(server, a) as one:
            squatted, bob = join(server, a, "x"), join(server, a, "Bob")
            with enter(server, bob):
                expect_event(one, "participant_joined")
            assert expect_error(call(server, "POST", path, {"display_name": "Cid"}), 409)["code"] == "room_full"
            wait_until(lambda: call(server, "POST", path, {"display_name": "x"}).status == 200, 5,
                       "the place is free, and the name with it")
            assert refused(server, a, query=f"?token={squatted['token']}") == (401, "unknown_player")
            enter(server, bob).socket.close()
            expect_silence(one)


def test_names_taken_at_once():
    """of many who want one name at once exactly one gets it; of many names as many as there are
    places (G4)"""
    with Server("--workers", "4", env=ENV) as server:
        a = create(server)
        path = f"/{a['room']['code']}/join"

        def rush(name_of):
            statuses = []
            threads = [threading.Thread(target=lambda i=i: statuses.append(
                call(server, "POST", path, {"display_name": name_of(i)}).status)) for i in range(40)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return sorted(statuses)

        assert rush(lambda _: "Bob") == [200] + 39 * [409]
        assert rush(lambda i: f"player {i}") == 8 * [200] + 32 * [409]
        assert len(call(server, "GET", path[:-5]).json()["players"]) == 10


# ---- the secret

def test_without_a_secret():
    """without a secret the paths are off, the log says what to set, and vote goes on"""
    with Server(env={"RINGCAST_LIMIT_EXEMPT": "127.0.0.0/8"}) as server:
        line, = server.log_lines(event="avalon_off")
        assert "RINGCAST_JWT_SECRET" in line["meaning"]
        answer = call(server, "POST", "", {"kind": "avalon", "display_name": "Ann"})
        assert expect_error(answer, 404)["code"] == "avalon_off"
        assert call(server, "GET", "/ABC234").status == 404
        assert refused(server, "ABC234", query="?token=x") == (404, "not_found")
        assert call(server, "GET", "").status == 200
    with Server("--avalon=off", env=ENV) as server:
        assert not server.log_lines(event="avalon_off")
        assert refused(server, "ABC234", query="?token=x") == (404, "not_found")


def test_wrong_keys():
    """a secret that is too short, or a key file that is none, ends the start with 78 (A13)"""
    for options, env, word in (((), {"RINGCAST_JWT_SECRET": "short"}, "RINGCAST_JWT_SECRET"),
                               (("--jwt-keys", "/nonexistent"), {}, "/nonexistent")):
        server = Server(*options, env=env, ready=False)
        assert server.wait_exit(5) == 78
        server.stopped = True
        assert word in server.log_text()
        server.__exit__(None)


def test_token_outlives_a_start():
    """with one secret a token is good after a restart, but its room is gone; under --dev each start
    has a secret of its own"""
    with Server(env=ENV) as server:
        a = create(server)
    with Server(env=ENV) as server:
        assert refused(server, a, query=f"?token={a['token']}") == (404, "room_not_found")
    with Server("--dev") as server:
        assert refused(server, a, query=f"?token={a['token']}") == (401, "bad_signature")


# ---- the door

def test_ways_to_show_a_token():
    """a token comes by header, subprotocol or query; only the dialect is echoed (S2-2)"""
    with Server("--dev", "--workers", "2") as server:
        a = create(server)
        path, token = f"/ws/rooms/{a['room']['code']}", a["token"]
        offer = f"Sec-WebSocket-Protocol: bearer.{token}, ringcast.event"
        for suffix in ("", "/connect"):
            for query, headers, echoed in (
                    (f"?token={token}", [], None),
                    (f"?x=1&player_id={a['room_player']['id']}&token={token}", [], None),
                    ("", [f"Authorization: Bearer {token}"], None),
                    ("", [f"authorization: bearer {token}", offer], "ringcast.event"),
                    ("", [offer], "ringcast.event")):
                with Client(server.port, path + suffix + query, headers=headers) as client:
                    assert client.response.headers.get("sec-websocket-protocol") == echoed
                    assert json.loads(read(client))["payload"]["you"] == a["room_player"]["id"]
        lone = [f"Sec-WebSocket-Protocol: bearer.{token}"]
        assert refused(server, a, headers=lone) == (400, "subprotocol")


def forgeries(server, a, other):
    """(query, code of the refusal) of tokens that let nobody in."""
    claims = claims_of(a["token"])
    good = {"room_id": claims["room_id"], "room_player_id": claims["room_player_id"]}
    later = int(time.time()) + 600
    return [
        ("", "no_token"), ("?token=", "no_token"), ("?token=x", "token_malformed"),
        (f"?token={a['token']}&token={a['token']}", "token_twice"),
        (f"?token={a['token']}.x", "token_malformed"),
        (f"?token={sign(good | {'exp': later}, 'another secret, which is long enough')}", "bad_signature"),
        (f"?token={sign(good | {'exp': later - 700})}", "expired"),
        (f"?token={sign(good)}", "no_expiry"),
        (f"?token={sign({'exp': later})}", "bad_claims"),
        (f"?token={sign(good | {'room_player_id': 7, 'exp': later})}", "bad_claims"),
        (f"?token={sign(good | {'room_id': 'x' * 33, 'exp': later})}", "bad_claims"),
        (f"?token={sign(good | {'room_id': 'elsewhere', 'exp': later})}", "unknown_player"),
        (f"?token={sign(good | {'room_player_id': 'nobody', 'exp': later})}", "unknown_player"),
        (f"?token={sign(good | {'code': 'ZZZZZZ', 'exp': later})}", "wrong_room"),
        (f"?token={other['token']}", "wrong_room"),
        (f"?token={a['token']}&player_id={other['room_player']['id']}", "wrong_player"),
        (f"?token={a['token']}&player_id=", "wrong_player"),
    ]


def test_refused_before_the_upgrade():
    """who shows no good token gets 401 with a code, and a room that is not there 404 only with a token
    for it (A1, A7, A8, A11, A18, D21, S2-3)"""
    with Server("--workers", "2", env=ENV) as server:
        a, other = create(server), create(server)
        for query, code in forgeries(server, a, other):
            assert refused(server, a, query=query) == (401, code), query
        assert refused(server, "ZZZZZZ", query=f"?token={a['token']}") == (401, "wrong_room")
        gone = sign({"room_id": "r", "room_player_id": "p", "exp": int(time.time()) + 60})
        assert refused(server, "ZZZZZZ", query=f"?token={gone}") == (404, "room_not_found")
        assert refused(server, "ZZZZZZ") == (401, "no_token")  # nobody learns what rooms there are
        assert refused(server, "nope", query=f"?token={gone}") == (404, "not_found")
        plain = request(server.port, "POST", f"/ws/rooms/{a['room']['code']}?token={a['token']}", body=b"")
        assert expect_error(plain, 405)["code"] == "method_not_allowed"


def test_refused_after_the_upgrade():
    """with --avalon-auth-fail=close the same are let in, told why, and closed with 4401 (S2-5)"""
    with Server("--workers", "2", "--avalon-auth-fail", "close", env=ENV) as server:
        a, other = create(server), create(server)
        for query, code in forgeries(server, a, other):
            with Client(server.port, f"/ws/rooms/{a['room']['code']}{query}") as client:
                error = expect_event(client, code, "error")
                assert list(error) == ["type", "event", "payload"]
                assert error["payload"]["code"] == code and error["payload"]["message"]
                expect_closed(client, 4401, "unauthorized")
        gone = sign({"room_id": "r", "room_player_id": "p", "exp": int(time.time()) + 60})
        with Client(server.port, f"/ws/rooms/ZZZZZZ?token={gone}") as client:
            expect_event(client, "room_not_found", "error")
            expect_closed(client, 4410, "room_closed")
        assert server.metric("ringcast_members", kind="avalon") == 0


def test_tokens_are_in_no_log():
    """a token never comes into the log, however it was shown and whatever became of it (H24, D20)"""
    with Server("--dev", "--log-level", "debug") as server:
        a = create(server)
        with enter(server, a):
            pass
        with Client(server.port, f"/ws/rooms/{a['room']['code']}?token={a['token']}") as client:
            read(client)
        refused(server, a, query=f"?token={a['token']}x")
        refused(server, "ZZZZZZ", query=f"?token={a['token']}")
        call(server, "GET", f"/{a['room']['code']}?token={a['token']}")
        wait_until(lambda: len(server.log_lines(event="disconnected")) == 2, 5, "they are gone")
        assert a["token"] not in server.log_text() and "token=" not in server.log_text()


def test_backends_token():
    """a token that a backend has signed with the secret lets a player in until its own end (A15)"""
    with Server("--jwt-leeway", "0", "--avalon-leave", "100ms", env=ENV) as server:
        a = create(server)
        b = join(server, a)
        claims = {"room_id": b["room"]["id"], "room_player_id": b["room_player"]["id"],
                  "exp": int(time.time()) + 2}
        with enter(server, a) as one, \
                Client(server.port, f"/ws/rooms/{a['room']['code']}?token={sign(claims)}") as two:
            read(two)
            expect_event(one, "participant_joined")
            expect_event(two, "auth_expiring")
            expect_event(two, "token_expired", "error")
            expect_closed(two, 4401, "token_expired")
            expect_event(one, "participant_left")
            with enter(server, b):  # the other token of the same player is good for longer
                expect_event(one, "participant_joined")


def test_token_expires():
    """a token serves until its end and not longer; then the place and the name are free (A15)"""
    with Server("--jwt-leeway", "0", "--avalon-token", "2s", "--avalon-leave", "0", env=ENV) as server:
        a = create(server)
        with enter(server, a) as one:
            expect_event(one, "auth_expiring")
            expect_event(one, "token_expired", "error")
            expect_closed(one, 4401, "token_expired")
        assert refused(server, a, query=f"?token={a['token']}")[1] in ("expired", "unknown_player")
        path = f"/{a['room']['code']}/join"
        wait_until(lambda: call(server, "POST", path, {"display_name": "Ann"}).status == 200, 5,
                   "the name is free")


# ---- in the room

def test_second_connection_replaces_the_first():
    """a player has one connection, the newest; the others notice nothing (S2-25, G5)"""
    with Server("--dev", "--workers", "2", "--avalon-leave", "0") as server:
        a = create(server)
        b = join(server, a)
        with enter(server, a) as watcher, enter(server, b) as first:
            expect_event(watcher, "participant_joined")
            with enter(server, b) as second:
                assert [player["present"] for player in second.state["payload"]["players"]] == [True, True]
                expect_closed(first, 4409, "replaced")
                say(second, chat("still here"))
                assert expect_event(watcher, "chat")["payload"]["display_name"] == "Bob"
                expect_event(second, "chat")
                expect_silence(watcher)
            assert expect_event(watcher, "participant_left")["payload"]["display_name"] == "Bob"


def test_many_connections_of_one_player():
    """of many connections of a player at once one stays, and the room counts one (G5)"""
    with Server("--workers", "4", env=ENV) as server:
        a = create(server)
        clients, threads = [], []
        for _ in range(20):
            threads.append(threading.Thread(target=lambda: clients.append(enter(server, a))))
            threads[-1].start()
        for thread in threads:
            thread.join()
        server.wait_metric(1, "ringcast_members", kind="avalon")
        assert server.metric("ringcast_disconnects_total", code=4409, reason="replaced") == 19
        alive = 0
        for client in clients:
            say(client, {"type": "sync_state"})
            try:
                alive += client.read_message(2).opcode == TEXT
            except Ended:
                pass
            client.socket.close()
        assert alive == 1


def test_presence():
    """who comes back within the grace was never gone; who does not has left, and joins again"""
    with Server("--dev", "--avalon-leave", "700ms") as server:
        a = create(server)
        b = join(server, a)
        with enter(server, a) as watcher:
            enter(server, b).reset()
            expect_event(watcher, "participant_joined")
            with enter(server, b) as again:
                expect_silence(watcher, 1.0)
                again.leave()
                begun = time.monotonic()
                left = expect_event(watcher, "participant_left")
                assert left["payload"] == {"player_id": b["room_player"]["id"], "display_name": "Bob"}
                assert 0.6 < time.monotonic() - begun < 3
            with enter(server, b):
                expect_event(watcher, "participant_joined")


def test_chat():
    """chat goes to all or to some, is measured, cleaned, and never interpreted (S2-9, S2-12, S2-23,
    C11, J8, J9)"""
    with Server("--dev", "--workers", "2") as server:
        a = create(server, 'A"}<b>')
        b, c = join(server, a, "Bob"), join(server, a, "Cid")
        with enter(server, a) as one, enter(server, b) as two, enter(server, c) as three:
            for _ in range(2):
                expect_event(one, "participant_joined")
            expect_event(two, "participant_joined")
            text = '<script>"}\\ \u2028\u0007\u202ex\n'
            say(one, chat(text))
            for client in (one, two, three):
                heard = expect_event(client, "chat")["payload"]
                assert heard["message"] == '<script>"}\\  x' and heard["display_name"] == 'A"}<b>'
                assert abs(heard["ts"] - time.time() * 1000) < 5000
            say(one, chat("psst", "w", to=[c["room_player"]["id"]]))
            assert "correlation_id" not in expect_event(three, "chat")
            assert expect_event(one, "chat")["correlation_id"] == "w"
            say(one, chat("\U0001f408" * 300))
            for client in (one, two, three):
                expect_event(client, "chat")  # Bob heard nothing of the whisper
            for wish, error in ((chat("x" * 501, "e"), "too_long"),
                                (chat("\U0001f408" * 301, "e"), "too_long"),
                                (chat(" \u200b\n", "e"), "empty"),
                                (chat("x", "e", to=["nobody"]), "no_such_player"),
                                ({"type": "action", "correlation_id": "e"}, "unsupported"),
                                ({"type": "system", "correlation_id": "e"}, "unsupported"),
                                ({"type": "z" * 32, "correlation_id": "e"}, "unsupported")):
                say(one, wish)
                answer = expect_event(one, error, "error")
                assert answer["correlation_id"] == "e" and answer["payload"]["code"] == error
            say(one, {"type": "sync_state", "correlation_id": "s"})
            state = expect_event(one, "room", "state")
            assert state["correlation_id"] == "s" and len(state["payload"]["players"]) == 3
            expect_silence(two)


def test_chat_without_echo():
    """with --avalon-chat-echo=off a sender hears only the others (C11)"""
    with Server("--dev", "--avalon-chat-echo=off") as server:
        a = create(server)
        b = join(server, a)
        with enter(server, a) as one, enter(server, b) as two:
            expect_event(one, "participant_joined")
            say(one, chat("hi", "c1"))
            expect_event(two, "chat")
            expect_silence(one)


BAD = [b"", b"hello", b"[]", b'{"type":"chat"}', b"[" * 4000, b'{"type":"chat","type":"vote"}',
       b'{"type":"chat","payload":{"message":1e999}}', b'{"type":"a","payload":{"x":"\\ud800"}}',
       b'\xef\xbb\xbf{"type":"chat"}', b'{"type":7}', b'{"type":""}', b'{"type":"a","payload":[]}',
       b'{"type":"a","correlation_id":{}}', b'{"type":"a","correlation_id":"%s"}' % (b"x" * 65),
       b'{"type":"%s"}' % (b"x" * 3000), b'{"type":"chat","payload":{"message":"a\\u0000"}}',
       b'{"type":"chat","payload":{"message":"a","to":7}}', b'{"type":"a"}{"type":"b"}', b"{'type':1}"]


def test_bad_messages():
    """a message that means nothing is answered, and the ninth within a minute is the last (S2-15, J1,
    J2, J3, J4, J5, J7, F17)"""
    with Server("--message-rate", "0", env=ENV) as server:
        a = create(server)
        for first in range(0, len(BAD), 8):
            with enter(server, create(server)) as client:
                for bad in BAD[first:first + 8]:
                    say(client, bad)
                    error = expect_event(client, "bad_message", "error")
                    assert "correlation_id" not in error, (bad, error)
                assert client.is_alive()
        with enter(server, a) as client:
            for i in range(9):
                say(client, b'{"correlation_id":"c%d","type":null}' % i)
                assert expect_event(client, "bad_message", "error")["correlation_id"] == f"c{i}"
            expect_closed(client, 4400, "bad_messages")
        with enter(server, a) as client:  # coming again does not forgive
            say(client, b"x")
            expect_event(client, "bad_message", "error")
            expect_closed(client, 4400, "bad_messages")
        assert server.metric("ringcast_disconnects_total", code=4400, reason="bad_messages") == 2


def test_binary_and_too_big():
    """binary is closed with 1003, a message over 4 KiB with 1009 (F16, F18)"""
    with Server("--dev") as server:
        a = create(server)
        with enter(server, a) as client:
            client.send(BINARY, b"\x00")
            expect_closed(client, 1003, "binary_message")
        with enter(server, a) as client:
            client.send(TEXT, b"x" * 4097)
            assert client.read_close() == (1009, "message_too_big")


def test_flood():
    """who says too much too fast is closed with 4429, and no kind of message is remembered (R9)"""
    with Server("--message-rate", "20", env=ENV) as server:
        a = create(server)
        b = join(server, a)
        with enter(server, a) as one, enter(server, b) as two:
            for i in range(100):
                try:
                    say(two, {"type": "sync_state", "correlation_id": f"c{i}"})
                except Ended:
                    break
            code, reason = two.read_close()
            assert code == 4429 and reason.startswith("rate_limited;retry_ms="), (code, reason)
            expect_event(one, "participant_joined")
            say(one, chat("peace"))
            while json.loads(read(one))["event"] != "chat":
                pass


def test_slow_member():
    """who does not read is closed with 4508 at 256 messages; the others get every one (S2-16, S2-18)"""
    with Server("--message-rate", "0", "--chat-rate", "0", "--room-chat-rate", "0", "--send-buffer", "4096",
                env=ENV) as server:
        a = create(server)
        b = join(server, a)
        with enter(server, a) as one, enter(server, b, receive_buffer=2048) as slow:
            expect_event(one, "participant_joined")
            heard = 0
            for i in range(3000):
                say(one, chat("x" * 400, f"c{i}"))
                message = json.loads(read(one))
                if message["event"] == "chat":
                    assert message["correlation_id"] == f"c{heard}"
                    heard += 1
                if server.process.poll() is None and i % 50 == 0 and server.metric(
                        "ringcast_disconnects_total", code=4508, reason="slow_consumer") == 1:
                    break
            assert server.metric("ringcast_disconnects_total", code=4508, reason="slow_consumer") == 1
            assert slow.read_close(10) == (4508, "slow_consumer")


def test_pong_timeout_ends_the_room():
    """who answers no ping is closed with 4408, and a room that stays empty is gone (S2-8, S2-17,
    S2-19, S2-22, D16)"""
    with Server("--ping", "300ms", "--pong", "200ms", "--avalon-empty", "500ms", env=ENV) as server:
        a = create(server)
        with enter(server, a, answer_pings=False) as client:
            assert client.read_close(3) == (4408, "pong_timeout")
        assert call(server, "GET", f"/{a['room']['code']}").status == 200
        server.wait_metric(0, "ringcast_rooms", kind="avalon")
        assert call(server, "GET", f"/{a['room']['code']}").status == 404
        assert refused(server, a, query=f"?token={a['token']}") == (404, "room_not_found")


def test_rooms_of_one_address():
    """rooms are counted with the address that made them, and come back when they are over (R7)"""
    with Server("--address-rooms", "2", "--avalon-empty", "1s", env={"RINGCAST_JWT_SECRET": SECRET}) as server:
        create(server), create(server)
        full = call(server, "POST", "", {"kind": "avalon", "display_name": "Ann"})
        assert expect_error(full, 429)["code"] == "address_rooms"
        wait_until(lambda: call(server, "POST", "", {"kind": "avalon", "display_name": "A"}).status == 201,
                   5, "a place is free")


def test_drain():
    """a shutdown closes everybody with 1012 and leaves nothing behind, on several workers (D9)"""
    with Server("--dev", "--workers", "2", "--drain", "2s") as server:
        places = [create(server, f"host {i}") for i in range(6)]
        clients = [enter(server, place) for place in places]
        for client in clients:
            say(client, chat("last words"))
            expect_event(client, "chat")
        server.signal(signal.SIGTERM)
        for client in clients:
            code, reason = client.read_close(5)
            assert code == 1012 and reason.startswith("restart;retry_ms="), (code, reason)
            client.send(CLOSE, b"\x03\xf4")
        assert server.wait_exit(10) == 0
        assert "everything_home=no" not in server.log_text()
