"""tests/e2e/test_defaults.py: what is wrong, against a server that was told nothing but a secret: every
limit and every check as it comes (THREATS.md J, A, X, R7, R12, G). Where such a server could not be
brought that far in a test's time, the row's other tests say how it goes with a shorter one."""
import hashlib
import hmac
import json
import os
import threading
import time

import test_vote
from harness import Server, exchange, expect_error, request
from rawclient import TEXT, Client, Refused
from test_avalon import (BAD, SECRET, call, chat, claims_of, create, enter, expect_closed, expect_event,
                         expect_silence, forgeries, join, part, refused, say, sign)
from test_vote import STATUS, acquire, expect, participate, read

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def default_server():
    return Server(env={"RINGCAST_JWT_SECRET": SECRET})


def at_once(count, do):
    """What so many threads get that begin together, sorted."""
    barrier, answers = threading.Barrier(count), []

    def one(index):
        barrier.wait()
        answers.append(do(index))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert len(answers) == count, f"{count - len(answers)} got no answer"
    return sorted(answers)


# ---- J: JSON

def test_bad_messages():
    """what is no message is answered with bad_message and no more than its own correlation_id, nobody
    else hears of it, and the ninth within a minute ends the connection (J1, J2, J3, J4, J5, J7, J10)"""
    confused = [b'{"type":["chat"],"payload":{"message":"a"}}', b'{"type":{},"payload":{}}', b'{"type":true}',
                b'{"type":"chat","payload":"message"}', b'{"type":"chat","payload":{"message":7}}',
                b'{"type":"chat","payload":{"message":["a"]}}', b'{"type":"chat","payload":{"message":{"text":"a"}}}',
                b'{"type":"chat","payload":{"message":null}}', b'{"type":"chat","payload":{"message":"a","to":"b"}}',
                b'{"type":"chat","payload":{"message":"a","to":[1]}}', b'{"type":"chat","payload":{"message":"a","to":{}}}',
                b'{"type":"chat","payload":{"message":"a","to":[]}}', b'{"type":"chat","correlation_id":7,"payload":{}}',
                b'{"type":"chat","payload":null}']
    numbers = [b'{"type":"a","payload":{"x":%s}}' % number for number in
               (b"1e999", b"-1e999", b"NaN", b"Infinity", b"0x10", b"01", b"+1", b"1.", b".5", b"--1", b"-")]
    with default_server() as server:
        bad = BAD + confused + numbers
        for first in range(0, len(bad), 8):
            a = create(server)
            with enter(server, a) as client, enter(server, join(server, a)) as other:
                expect_event(client, "participant_joined")
                for message in (bad[first:] + bad)[:8]:
                    say(client, message)
                    assert "correlation_id" not in expect_event(client, "bad_message", "error"), message
                say(client, b"the ninth")
                expect_event(client, "bad_message", "error")
                expect_closed(client, 4400, "bad_messages")
                expect_silence(other, 0.05)
                assert other.is_alive()
        with enter(server, create(server)) as client:  # what only looks odd
            for fine in (b'{"type":"sync_state","payload":{"x":[-0,1e-999,1.5E+10,1e308]}}',
                         b'{"type":"sync_state","payload":{"x":%s}}' % (b"[" * 14 + b"]" * 14),
                         b' \t{"payload":{},"type":"sync_state"}\r\n'):
                say(client, fine)
                expect_event(client, "room", "state")


def test_names_of_the_language():
    """keys and texts that mean something to a browser's JavaScript mean nothing here, and only what was
    written as text is passed on (J6)"""
    with default_server() as server:
        a = create(server, "__proto__")
        b = join(server, a, "constructor")
        with enter(server, a) as one, enter(server, b) as two:
            expect_event(one, "participant_joined")
            say(one, b'{"type":"chat","__proto__":{"type":"sync_state"},"constructor":{"prototype":{}},'
                     b'"payload":{"message":"hi","__proto__":{"admin":true},"toString":"x"}}')
            event = expect_event(two, "chat")
            assert list(event) == ["type", "event", "payload"]
            assert list(event["payload"]) == ["player_id", "display_name", "message", "ts"]
            assert event["payload"]["display_name"] == "__proto__" and event["payload"]["message"] == "hi"
            for kind in ("__proto__", "constructor", "hasOwnProperty"):
                say(two, {"type": kind, "correlation_id": "c"})
                assert expect_event(two, "unsupported", "error")["correlation_id"] == "c"


def test_text_stays_text():
    """chat and names come out as the text that went in, whatever is in them, and without what cannot be
    seen; too long and empty is told to who said it (J8, J9)"""
    names = ['A","x":"', "</script>\u00e9\u732b", "\\u0022}"]
    with default_server() as server:
        a = create(server, names[0])
        places = [a, join(server, a, names[1]), join(server, a, names[2])]
        answer = call(server, "POST", f"/{a['room']['code']}/join", {"display_name": "x\u2028y"})
        assert expect_error(answer, 400)["code"] == "bad_display_name"
        clients = [enter(server, place) for place in places]
        for i, client in enumerate(clients):
            for _ in range(len(clients) - 1 - i):
                expect_event(client, "participant_joined")
        said = {'"}]}{"type":"error"': '"}]}{"type":"error"', "a\u202eb\u200b\u0007c\u2028d": "abc d",
                "<img onerror=x>&amp;": "<img onerror=x>&amp;", "\u00e9" * 500: "\u00e9" * 500}
        for text, heard in said.items():
            say(clients[1], chat(text))
            for client in clients:
                payload = expect_event(client, "chat")["payload"]
                assert payload["message"] == heard and payload["display_name"] == names[1]
        for text, code in (("x" * 501, "too_long"), ("\U0001f408" * 301, "too_long"), ("", "empty"), ("\u202e \n", "empty")):
            say(clients[2], chat(text, "c"))
            assert expect_event(clients[2], code, "error")["correlation_id"] == "c"
        expect_silence(clients[0], 0.1)
        [client.socket.close() for client in clients]


# ---- A: tokens

def token_of(head, claims, secret=SECRET):
    """Signed as HS256 whatever the head says; texts are taken as they are."""
    parts = [part(piece.encode() if isinstance(piece, str) else json.dumps(piece).encode()) for piece in (head, claims)]
    signed = ".".join(parts)
    return signed + "." + part(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())


def test_forged_tokens():
    """of all tokens that are not what this server gave, none lets anybody in, and each is told why (A1, A3,
    A4, A7, A8, A9, A11, A18)"""
    with default_server() as server:
        a, other = create(server), create(server)
        good, now = claims_of(a["token"]), int(time.time())
        head = {"alg": "HS256", "typ": "JWT"}
        heads = {"bad_alg": [{"alg": alg} for alg in ("none", "None", "nOnE", "", "HS512", "RS256", "hs256", 7)] + [{}],
                 "critical_header": [head | {"crit": ["exp"]}]}
        claims = {"no_expiry": [{key: good[key] for key in good if key != "exp"}],
                  "expired": [good | {"exp": now - 60}, good | {"exp": 0}],
                  "not_yet_valid": [good | {"nbf": now + 600}, good | {"iat": now + 600}],
                  "bad_claims": [good | {"exp": str(now + 60)}, good | {"nbf": "x"}, good | {"room_player_id": [1]}]}
        forged = [(code, token_of(one, good)) for code, some in heads.items() for one in some]
        forged += [(code, token_of(head, one)) for code, some in claims.items() for one in some]
        forged += [("bad_signature", token_of(head | {"kid": kid}, good, "")) for kid in
                   ("../../../dev/null", "/dev/null", "' or 1=1 --", "x" * 500, "a\0b")]  # no kid finds another key
        doubled = json.dumps(good)[:-1] + ',"room_player_id":"%s"}' % other["room_player"]["id"]
        parts = a["token"].split(".")
        forged += [("token_malformed", token) for token in (
            token_of(head, doubled), token_of(json.dumps(head)[:-1] + ',"alg":"none"}', good), ".".join(parts[:2]),
            a["token"] + ".x", parts[0] + "=." + parts[1] + "." + parts[2], "..")]
        forged += [("bad_signature", token) for token in (
            ".".join(parts[:2]) + ".", a["token"] + "+", a["token"][:-1], token_of(head, good, "defaultkey" * 4))]
        for code, token in forged:
            got = refused(server, a, headers=[f"Authorization: Bearer {token}"])
            assert got == (401, code), (code, got, token)
        for query, code in forgeries(server, a, other):
            assert refused(server, a, query=query) == (401, code), query
        for more in ({"jku": "http://127.0.0.1/", "jwk": {"kty": "oct", "k": "AAAA"}, "x5u": "http://127.0.0.1/"}, {}):
            token = token_of(head | more, good | {"iss": "http://127.0.0.1/.well-known"})  # asked by nobody
            with Client(server.port, f"/ws/rooms/{a['room']['code']}", headers=[f"Authorization: Bearer {token}"]) as client:
                state = expect_event(client, "room", "state")
                assert state["payload"]["you"] == a["room_player"]["id"]
        huge = token_of(head, good | {"x": "y" * 5000})
        answer = exchange(server.port, f"GET /ws/rooms/{a['room']['code']}?token={huge} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert expect_error(answer, 431)["code"] == "head_too_big"
        assert server.metric("ringcast_members", kind="avalon") == 0


def test_who_one_is():
    """a player is who its token says, whatever else it says about itself (A18, G1)"""
    with default_server() as server:
        a = create(server)
        b = join(server, a)
        with enter(server, a) as one, enter(server, b) as two:
            expect_event(one, "participant_joined")
            ann = a["room_player"]["id"]
            say(two, {"type": "chat", "player_id": ann, "payload": {
                "message": "it is me", "player_id": ann, "room_player_id": ann, "display_name": "Ann", "host": True}})
            payload = expect_event(one, "chat")["payload"]
            assert (payload["player_id"], payload["display_name"]) == (b["room_player"]["id"], "Bob")


# ---- X and R: HTTP

def test_bodies():
    """a body too large, in chunks, with a length that lies, or that is no JSON for its path is refused in
    the words of that path (X1, X2)"""
    with default_server() as server:
        room, code = acquire(server), create(server)["room"]["code"]
        for method, path, refusal in (("PATCH", f"/{room}/participate", {"error": "incorrect request"}),
                                      ("POST", f"/{code}/join", None)):
            for body in (b"", b"{bad", b"[" * 4000, b"\xff\xfe", b'{"text":1,"display_name":1}', b"{} {}"):
                answer = call(server, method, path, body)
                assert answer.status == 400 and (refusal or answer.json()) == answer.json(), (path, body, answer.body)
        for method, path in (("PATCH", f"/{room}/participate"), ("POST", f"/{code}/join"), ("POST", "")):
            head = f"{method} /api/rooms{path} HTTP/1.1\r\nHost: x\r\n"
            for more, status in (("Content-Length: 4097\r\n\r\n", 413), ("Content-Length: 99999999999999999999\r\n\r\n", 413),
                                 ("Transfer-Encoding: chunked\r\n\r\nffffffff\r\n", 501), ("Content-Length: -1\r\n\r\n", 400),
                                 ("Content-Length: 3\r\nContent-Length: 4\r\n\r\n{}", 400)):
                answer = exchange(server.port, (head + more).encode())
                assert answer.status == status, (head, more, answer.status, answer.body)
        trailing = f"PATCH /api/rooms/{room}/participate HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n" + '{"text":"x"}'
        assert exchange(server.port, trailing.encode()).status == 400  # what is behind the body is not of it
        with Client(server.port, handshake=False) as client:  # X1: a body that never comes ends with the handshake's time
            client.send_bytes(f"PATCH /api/rooms/{room}/participate HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{{".encode())
            began = time.monotonic()
            assert b" 408 " in client.read_to_end(10) and 4 < time.monotonic() - began < 8


def test_pages_and_prefetches():
    """a page of another origin reads nothing and changes nothing, whatever it asks; a prefetch acquires
    nothing (X3, X4)"""
    with default_server() as server:
        room, code = acquire(server), create(server)["room"]["code"]
        for origin in ("https://evil.example", "null", f"http://127.0.0.1:{server.port}.evil.example", "*"):
            for method, path in (("GET", ""), ("POST", ""), ("OPTIONS", ""), ("PATCH", f"/{room}/participate"), ("GET", f"/{code}"),
                                 ("OPTIONS", f"/{room}/start"), ("POST", f"/{code}/join"), ("OPTIONS", f"/{code}/join")):
                body = {"text": "x", "display_name": "Eve", "kind": "avalon"} if method in ("POST", "PATCH") else None
                answer = call(server, method, path, body, Origin=origin)
                assert answer.status == 403, (origin, method, path, answer.status)
                assert not any(name.startswith("access-control") for name in answer.headers)
            for path in (f"/api/rooms/{room}/ws", f"/ws/rooms/{code}", "/ws"):
                try:
                    Client(server.port, path, headers=[f"Origin: {origin}"]).socket.close()
                    raise AssertionError(f"{origin} got a WebSocket at {path}")
                except Refused as why:
                    assert why.response.status == 403
        own = call(server, "OPTIONS", f"/{room}/start", Origin=f"http://127.0.0.1:{server.port}")
        assert own.status == 200 and "access-control-allow-credentials" not in own.headers
        assert own.headers["access-control-allow-origin"] != "*"
        for headers in ({"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}):
            expect(request(server.port, "GET", "/api/rooms", headers=headers), 403, "not to be fetched in advance")
        assert server.metric("ringcast_rooms", kind="vote") == server.metric("ringcast_rooms", kind="avalon") == 1


def test_a_flood_of_rooms():
    """one address makes so many rooms a second and no more, of both kinds together; ids that are too long,
    or guessed, make none (R7, X4)"""
    with default_server() as server:
        began = time.monotonic()
        statuses = [call(server, "GET", "").status if i % 2 else
                    call(server, "POST", "", {"kind": "avalon", "display_name": "Ann"}).status for i in range(60)]
        made = len([status for status in statuses if status in (200, 201)])
        assert 20 <= made <= 21 + 10 * (time.monotonic() - began) and statuses.count(429) == 60 - made, statuses
        assert server.metric("ringcast_rate_limited_total", scope="address_acquires") == 60 - made
        for path in ("/ws/kart/" + "x" * 65, "/ws/kart/" + "%41" * 65, "/ws/kart/a.b", "/api/rooms/" + "1" * 65 + "/ws"):
            try:
                Client(server.port, path).socket.close()
                raise AssertionError(f"{path} was let in")
            except Refused as why:
                assert why.response.status == 404
        assert server.metric("ringcast_rooms") == made + 1


# ---- G: the rules of a room

def test_the_host_alone():
    """who is not the host starts and releases nothing, by HTTP or by what it says; a second start is 409,
    however many come at once (G1, G2, G3, G16)"""
    with default_server() as server:
        answer = call(server, "GET", "").json()
        room, token = answer["room_id"], {"Authorization": f"Bearer {answer['host_token']}"}
        with test_vote.join(server, room) as member:
            assert read(member) == STATUS % (room, "LOBBY", 1)
            for saying in (b'{"type":"start"}', b'{"type":"voting_started","data":{}}', b"/host start"):
                member.send(TEXT, saying)
            for verb in ("start", "release"):
                expect(test_vote.call(server, "PATCH", f"/{room}/{verb}"), 403, "only the host may do this")
            for _ in range(2):  # a PATCH says nothing of whose it is
                expect(participate(server, room), 200)
                assert read(member) == test_vote.READY % room
            path = f"/{room}/start"
            statuses = at_once(20, lambda _: test_vote.call(server, "PATCH", path, **token).status)
            assert statuses == [200] + [409] * 19, statuses
            assert [read(member), read(member)] == [test_vote.STARTED % room, STATUS % (room, "VOTING", 1)]
            expect(participate(server, room), 409, "voting has started")
            expect_silence(member)
            expect(test_vote.call(server, "PATCH", f"/{room}/release", **token), 200)
            assert read(member) == STATUS % (room, "FINISHED", 1)
            expect_closed(member, 4410, "room_closed")
        for verb in ("participate", "start", "release"):
            expect(test_vote.call(server, "PATCH", f"/{room}/{verb}", b'{"text":"x"}', **token), 404, "room not found")


def test_the_last_seats():
    """of a hundred who come at once, for one name or for nine places, exactly so many get in (G4)"""
    with default_server() as server:
        for name_of, taken in ((lambda _: "Bob", 1), (lambda i: f"player {i}", 9)):
            path = f"/{create(server)['room']['code']}/join"
            statuses = at_once(100, lambda i: call(server, "POST", path, {"display_name": name_of(i)}).status)
            assert statuses == [200] * taken + [409] * (100 - taken), statuses
            assert len(call(server, "GET", path[:-5]).json()["players"]) == taken + 1


def test_one_connection_each():
    """of twenty connections of one player at once one stays, the others are told so, and nobody sees it
    flicker (G5)"""
    with default_server() as server:
        a = create(server)
        b = join(server, a)
        with enter(server, a) as watcher:
            clients = []
            at_once(20, lambda _: clients.append(enter(server, b)) or 0)
            server.wait_metric(2, "ringcast_members", kind="avalon")
            assert server.metric("ringcast_disconnects_total", code=4409, reason="replaced") == 19
            [client.socket.close() for client in clients]
            expect_event(watcher, "participant_joined")
            expect_silence(watcher)


def test_guessing():
    """who guesses a room's code learns nothing where there is none, and of one that is there the names alone:
    no ids, no token, and no word of what is said (G13)"""
    with default_server() as server:
        a = create(server)
        code = a["room"]["code"]
        guesses = {"".join(ALPHABET[byte % 32] for byte in os.urandom(6)) for _ in range(15)} - {code}
        answers = {(answer.status, answer.body) for answer in (call(server, "GET", f"/{guess}") for guess in guesses)}
        assert len(answers) == 1 and answers.pop()[0] == 404
        seen = call(server, "GET", f"/{code}")
        assert seen.json()["players"] == [{"display_name": "Ann", "present": False}]
        assert a["room_player"]["id"].encode() not in seen.body and a["token"].encode() not in seen.body
        assert refused(server, code) == refused(server, sorted(guesses)[0]) == (401, "no_token")
        later = int(time.time()) + 60
        stranger = sign({"room_id": a["room"]["id"], "room_player_id": "nobody", "exp": later})
        assert refused(server, code, query=f"?token={stranger}") == (401, "unknown_player")
