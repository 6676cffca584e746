"""tests/e2e/test_limits.py: limits against floods: per address (THREATS.md H23, R13, A17, G13) and per connection
(F15, Z8). Other addresses are 127.0.0.x: all of them are this machine. Without --dev none is exempt."""
import contextlib
import random
import re
import time

from harness import Reader, Server, alone, expect_error, is_gapless, longest_gap, sequence, wait_until
from rawclient import (BINARY, CLOSE, PING, PONG, TEXT, Client, Ended, Refused, Response, close_payload,
                       deflate, make_frame)

LIMITED = "ringcast_rate_limited_total"
FEW = ("--address-connections", "4", "--address-handshakes", "0")
SELDOM = ("--address-connections", "0", "--address-handshakes", "20")


def client_from(server, address, path="/ws"):
    return Client(server.port, path, source=address)


def refusal(server, address):
    """The 429 that this address gets now."""
    try:
        client_from(server, address).socket.close()
    except Refused as why:
        error = expect_error(why.response, 429)
        assert int(why.response.headers["retry-after"]) >= 1, why.response.headers
        return error["code"]
    raise AssertionError(f"{address} was let in")


def admitted(server, address, most):
    """As many clients of an address as are let in, at most so many."""
    clients = []
    with contextlib.suppress(Refused):
        while len(clients) < most:
            clients.append(client_from(server, address))
    return clients


def close_all(clients):
    for client in clients:
        client.socket.close()


def test_connections_of_an_address_are_bounded():
    """past --address-connections an address gets 429, other addresses and its members are unaffected,
    and a place that is left can be taken (H23)"""
    with Server(*FEW) as server:
        members = admitted(server, "127.0.0.2", 10)
        assert len(members) == 4, len(members)
        for _ in range(20):
            assert refusal(server, "127.0.0.2") == "too_many_connections"
        others = admitted(server, "127.0.0.3", 4) + admitted(server, "127.0.0.4", 4)
        assert len(others) == 8
        for client in members + others:
            assert client.is_alive()
        assert server.metric(LIMITED, scope="address_connections") == 21
        assert server.metric("ringcast_handshakes_rejected_total", reason="too_many_connections") == 21
        wait_until(lambda: len(server.log_lines(event="refused", ip="127.0.0.2", status=429)) == 21, 2,
                   "each refusal is in the log")
        members.pop().leave()
        members.pop().reset()
        server.wait_metric(10, "ringcast_members", kind="kart")
        members += wait_until(lambda: admitted(server, "127.0.0.2", 1), 3, "its place is free")
        members += wait_until(lambda: admitted(server, "127.0.0.2", 1), 3, "the other one, too")
        assert refusal(server, "127.0.0.2") == "too_many_connections"
        close_all(members + others)


def test_an_address_is_counted_once_over_all_workers():
    """the limit is one for all workers, and a connection that moves between them counts once (H23)"""
    with Server("--workers", "4", *FEW) as server:
        for _ in range(3):
            clients = []
            for number in range(4):
                clients.append(client_from(server, "127.0.0.2", f"/ws/kart/r{number}"))
                clients[-1].read_state()
            for _ in range(8):
                assert refusal(server, "127.0.0.2") == "too_many_connections"
            close_all(clients)
            server.wait_metric(0, "ringcast_members", kind="kart")
            server.wait_metric(1, "ringcast_connections_open")
        moved = len({line["worker"] for line in server.log_lines(event="connected")})
        assert moved > 1, "all rooms were on one worker"


def test_silent_connections_count():
    """who connects and says nothing takes a place of its address, and gives it back (H23)"""
    with Server(*FEW, "--handshake", "1s") as server:
        silent = [Client(server.port, handshake=False, source="127.0.0.2") for _ in range(4)]
        wait_until(lambda: server.metric("ringcast_connections_open") == 5, 3, "all are accepted")
        assert refusal(server, "127.0.0.2") == "too_many_connections"
        for client in silent:
            assert client.read_to_end(3.0) == b""
        with wait_until(lambda: admitted(server, "127.0.0.2", 1), 3, "the places are free")[0] as one:
            one.read_state()
        close_all(silent)


def churn(server, address, seconds):
    """Connects, upgrades and resets as fast as it can: (how often it got in, how often refused)"""
    end, entered, refused = time.monotonic() + seconds, 0, 0
    while time.monotonic() < end:
        try:
            client_from(server, address).reset()
            entered += 1
        except Refused as why:
            assert why.response.status == 429, why
            refused += 1
        except (Ended, OSError, TimeoutError):
            refused += 1
    return entered, refused


def test_churn_is_capped():
    """connect, upgrade, reset, again and again: no more than the rate gets in, nothing grows, and others
    get in meanwhile (R13)"""
    with Server(*SELDOM) as server, client_from(server, "127.0.0.3") as other:
        other.read_state()
        descriptors = server.descriptors()
        start = time.monotonic()
        entered, refused = churn(server, "127.0.0.2", 3.0)
        most = 40 + 20 * (time.monotonic() - start) + 2
        assert 40 <= entered <= most and refused > 40, (entered, most, refused)
        assert client_from(server, "127.0.0.4").is_alive() and other.is_alive()
        assert server.metric(LIMITED, scope="address_handshakes") == refused
        wait_until(lambda: server.descriptors() <= descriptors + 4, 5, server.descriptors)
        wait_until(lambda: admitted(server, "127.0.0.2", 1), 3, "after a while it is let in")
        server.wait_metric(1, "ringcast_request_buffers_in_use")  # the one that asks


def test_a_flood_of_the_refused_does_not_take_the_places():
    """hundreds of refused sockets that stay open hold a bounded number of slots: others get in (H23)"""
    with Server(*FEW, "--connections", "100") as server:
        members = admitted(server, "127.0.0.2", 4)
        pressing = [Client(server.port, handshake=False, source="127.0.0.2") for _ in range(600)]
        others = []
        for number in range(24):
            others += admitted(server, f"127.0.0.{10 + number}", 4)
        assert len(others) == 96, len(others)
        assert server.metric(LIMITED, scope="address_connections") == 600
        assert server.metric("ringcast_connections_refused_total") >= 100
        for client in members + others:
            assert client.is_alive()
        close_all(members + others + pressing)


def test_exempt_addresses():
    """addresses of --limit-exempt are not counted, and loopback is exempt under --dev (H23)"""
    options = ("--address-connections", "2", "--address-handshakes", "2")
    with Server(*options, "--limit-exempt", "10.0.0.0/8,127.0.0.64/26") as server:
        clients = admitted(server, "127.0.0.127", 30)
        assert len(clients) == 30
        for address in ("127.0.0.63", "127.0.0.128"):
            clients += admitted(server, address, 2)
            refusal(server, address)
        close_all(clients)
    with Server("--dev", *options) as server:
        clients = admitted(server, "127.0.0.1", 15) + admitted(server, "127.9.9.9", 15)
        assert len(clients) == 30
        close_all(clients)


def test_the_internal_listener_does_not_count():
    """requests to the internal listener are neither counted nor refused (H23)"""
    with Server("--address-connections", "1", "--address-handshakes", "1") as server:
        with client_from(server, "127.0.0.1") as client:
            for _ in range(20):
                assert server.get("/healthz").status == 200
            assert client.is_alive()


def test_limits_are_there_by_default():
    """without an option 1,024 connections of an address are let in, and 400 at once (H23, R13)"""
    with Server() as server:
        start = time.monotonic()
        clients = admitted(server, "127.0.0.2", 1500)
        took = time.monotonic() - start
        assert 400 <= len(clients) <= 1024 and len(clients) <= 402 + 200 * took, (len(clients), took)
        assert server.metric(LIMITED, scope="address_handshakes") == 1  # why no more came in
        while len(clients) < 1024 and time.monotonic() < start + 20:
            time.sleep(0.1)
            clients += admitted(server, "127.0.0.2", 1024 - len(clients))
        assert len(clients) == 1024
        time.sleep(0.5)
        assert refusal(server, "127.0.0.2") == "too_many_connections"
        close_all(clients)


def test_forwarded_headers_change_nothing():
    """X-Forwarded-For and the like neither lift a limit nor lay it on somebody else, nor get into the log:
    an address is the socket's (H22)"""
    headers = ("X-Forwarded-For: 10.9.8.7", "X-Real-IP: 10.9.8.7", "Forwarded: for=10.9.8.7",
               "CF-Connecting-IP: 10.9.8.7", "True-Client-IP: 10.9.8.7")
    with Server(*FEW) as server:
        clients = []
        for _ in range(4):
            clients.append(Client(server.port, headers=headers, source="127.0.0.2"))
        for number in range(4):
            lines = (f"X-Forwarded-For: 10.1.1.{number}", "X-Real-IP: 127.0.0.9")
            try:
                clients.append(Client(server.port, headers=lines, source="127.0.0.2"))
            except Refused as why:
                expect_error(why.response, 429)
        assert len(clients) == 4, "another name lifted the limit"
        clients += admitted(server, "127.0.0.9", 4)
        assert len(clients) == 8, "somebody else paid"
        wait_until(lambda: len(server.log_lines(event="connected")) == 8, 2, server.log_text)
        assert "10.9.8.7" not in server.log_text() and "10.1.1." not in server.log_text()
        close_all(clients)


def expect_limited(client, scope, server):
    code, reason = client.read_close(5.0)
    assert code == 4429, (code, reason)
    found = re.fullmatch(r"rate_limited;retry_ms=(\d+)", reason)
    assert found and 1500 <= int(found[1]) <= 2000, reason
    assert server.metric(LIMITED, scope=scope) == 1
    assert server.metric("ringcast_disconnects_total", code=4429, reason="rate_limited") == 1
    client.send(CLOSE, close_payload(4429))
    client.read_end()
    wait_until(lambda: server.log_lines(event="disconnected", code=4429, reason="rate_limited"), 2,
               server.log_text)


def test_control_floods():
    """a burst of 100 pings or unasked pongs is forgiven, a flood is 4429 rate_limited with a hint (F15)"""
    for frames in ([make_frame(PING, b"x" * 125)] * 100, [make_frame(PONG, b"unasked")] * 100,
                   [make_frame(PING), make_frame(PONG)] * 50):
        with Server() as server, server.client() as client, server.client() as other:
            client.read_state()
            client.send_bytes(b"".join(frames))
            assert_no_close(client)
            client.send_bytes(b"".join(frames) * 2)
            expect_limited(client, "control", server)
            assert other.is_alive()


def assert_no_close(client):
    """What comes within a while is no close frame."""
    end = time.monotonic() + 0.3
    with contextlib.suppress(TimeoutError):
        while time.monotonic() < end:
            frame = client.read_message(0.3)
            assert frame.opcode != CLOSE, frame


def test_message_floods():
    """100 messages at once are forgiven, a flood is 4429 rate_limited with a hint (F15)"""
    for opcode, payload in ((TEXT, b""), (TEXT, b"hello"), (BINARY, b"x" * 100)):
        with Server() as server, server.client() as client, server.client() as other:
            client.read_state()
            client.send_bytes(make_frame(opcode, payload) * 100)
            assert_no_close(client)
            client.send_bytes(make_frame(opcode, payload) * 150)
            expect_limited(client, "messages", server)
            assert other.is_alive()


def test_large_messages_cost_more():
    """messages are counted by size, too: half as many of 4 KiB are over the limit (Z8)"""
    with Server() as server, server.client() as client:
        client.read_state()
        client.send_bytes(make_frame(TEXT, b"x" * 4096) * 50)
        assert_no_close(client)
        client.send_bytes(make_frame(TEXT, b"x" * 4096) * 60)
        expect_limited(client, "messages", server)


def test_steady_senders_stay():
    """who keeps below the rates stays: 40 messages and 40 pings a second for three seconds (F15)"""
    with Server() as server, server.client() as client:
        for _ in range(120):
            client.send_bytes(make_frame(TEXT, b"steady") + make_frame(PING, b"steady"))
            time.sleep(0.025)
        assert client.is_alive()
        assert server.metric(LIMITED) == 0


def test_limits_can_be_lifted():
    """a rate of 0 is no limit"""
    with Server("--message-rate", "0", "--control-rate", "0") as server, server.client() as client:
        client.send_bytes((make_frame(TEXT, b"x") + make_frame(PONG)) * 5000)
        assert client.is_alive()
        assert server.metric(LIMITED) == 0


@alone
def test_floods_disturb_nobody():
    """while clients flood with pings and messages, a member misses no tick (F15)"""
    with Server("--kart-tick", "50ms", "--kart-stamp") as server, server.client() as member:
        member.read_state()
        reader, limited, number, end = Reader(member), 0, 0, time.monotonic() + 2
        while time.monotonic() < end:
            number += 1
            time.sleep(0.02)
            frame = make_frame((PING, TEXT)[number % 2], b"flood")
            with server.client() as flooder, contextlib.suppress(Ended):
                flooder.send_bytes(frame * 3000)
                limited += flooder.read_close(5.0)[0] == 4429
        seen = reader.stop()
        assert number >= 20 and limited >= number - 2, (number, limited)
        assert is_gapless(sequence(seen)) and longest_gap(seen) < 0.4, longest_gap(seen)


# ---- rooms asked for in vain

def ask(server, path, *, method="GET", source="127.0.0.2", body=b"", headers=()):
    """One response to a plain request from this address."""
    lines = (f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}" if body else "X: y", *headers)
    with Client(server.port, handshake=False, source=source) as client:
        client.send_bytes("".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body)
        response = Response(client.read_to_end())
    return response


JWT = {"RINGCAST_JWT_SECRET": "a secret of this test, which is long enough"}
LOOKS = (("GET", "/api/rooms/{vote}/acquired", b""), ("PATCH", "/api/rooms/{vote}/participate", b'{"text":"x"}'),
         ("PATCH", "/api/rooms/{vote}/release", b""), ("GET", "/api/rooms/{avalon}", b""),
         ("POST", "/api/rooms/{avalon}/join", b'{"display_name":"Bob"}'))


def rooms_of(server):
    """The ids of a vote room and of an avalon room, and the latter's maker's place."""
    vote = ask(server, "/api/rooms", source="127.0.0.1").json()["room_id"]
    made = ask(server, "/api/rooms", method="POST", source="127.0.0.1", body=b'{"kind":"avalon","display_name":"Ann"}')
    return vote, made.json()["room"]["code"], made.json()


def ask_when_held(server, path, method, body, source):
    """The answer to a right guess while wrong ones are held back. Every 100 ms one is let through, which may be this one
    on a slow machine: then it is asked again."""
    for attempt in range(10):
        while ask(server, f"/api/rooms/{random.randrange(200_000, 900_000)}/acquired", source=source).status != 429:
            pass
        response = ask(server, path, method=method, body=body, source=source)
        if response.status == 429:
            break
    return response


def test_guessing_rooms_is_held_back():
    """by default twenty guesses at once are answered, then 429 before anything is looked up: whether a room is there
    is told no more, also not to a right guess; other addresses and members are not concerned (A17, G13)"""
    with Server("--workers", "4", env=JWT) as server:
        vote, code, place = rooms_of(server)
        for number, source in ((0, "127.0.0.2"), (1, "127.0.0.3"), (3, "127.0.0.4"), (4, "127.0.0.5")):
            method, path, body = LOOKS[number]
            begun, statuses = time.monotonic(), []
            for guess in range(60):
                wrong = path.format(vote=100000 + guess, avalon=f"ZZZZ{guess:02}")
                statuses.append(ask(server, wrong, method=method, body=body, source=source).status)
            most = 20 + 10 * (time.monotonic() - begun) + 1
            assert set(statuses) == {404, 429} and 20 <= statuses.count(404) <= most, (statuses, most)
            held = [ask_when_held(server, other.format(vote=vote, avalon=code), how, what, source)
                    for how, other, what in LOOKS]
            assert [response.status for response in held] == [429] * len(LOOKS), [r.body for r in held]
            assert all(int(response.headers["retry-after"]) >= 1 for response in held)
            assert {response.json()["error"]["code"] for response in held[3:]} == {"address_misses"}
        assert ask(server, f"/api/rooms/{vote}/acquired", source="127.0.0.9").status == 200
        assert ask(server, f"/api/rooms/{code}", source="127.0.0.9").status == 200
        assert server.metric(LIMITED, scope="address_misses") >= 4 * 30
        headers = [f"Authorization: Bearer {place['token']}"]
        with Client(server.port, f"/ws/rooms/{code}", headers=headers, source="127.0.0.5") as player:
            assert b'"you"' in player.read_message().payload  # who has a place needs no guess
        wait_until(lambda: ask(server, f"/api/rooms/{code}", source="127.0.0.4").status == 200, 5,
                   "after a while it may ask again")


def test_guessing_by_websocket_is_held_back():
    """the same for WebSockets of rooms that are not there, before the upgrade (A17, H16)"""
    with Server("--workers", "2", "--address-misses", "2", env=JWT) as server:
        vote, _, _ = rooms_of(server)
        answers = []
        for guess in range(12):
            try:
                client_from(server, "127.0.0.2", f"/api/rooms/{200000 + guess}/ws").socket.close()
            except Refused as why:
                answers.append((why.response.status, why.response.body))
        assert answers[:4] == [(404, b'{"error":"room not found"}')] * 4, answers  # all alike
        assert [status for status, _ in answers].count(429) >= 5, answers
        try:
            client_from(server, "127.0.0.2", f"/api/rooms/{vote}/ws").socket.close()
            raise AssertionError("a right guess was told")
        except Refused as why:
            assert why.response.status == 429 and int(why.response.headers["retry-after"]) >= 1
        client_from(server, "127.0.0.3", f"/api/rooms/{vote}/ws").socket.close()


def test_many_guesses_at_once_are_paid_for():
    """who asks for hundreds of rooms before the first is answered waits as long as if it had asked one by one (A17)"""
    with Server("--workers", "2", env=JWT) as server:
        clients = [Client(server.port, handshake=False, source="127.0.0.2") for _ in range(200)]
        for number, client in enumerate(clients):
            client.send_bytes(f"GET /api/rooms/{300000 + number}/acquired HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        statuses = []
        for client in clients:
            statuses.append(Response(client.read_to_end()).status)
            client.socket.close()
        answered = statuses.count(404)
        assert answered >= 20 and set(statuses) <= {404, 429}, statuses
        wait = int(ask(server, "/api/rooms/300000/acquired").headers.get("retry-after", 0))
        assert wait >= (answered - 20) // 10 - 3, (answered, wait)


def test_looking_is_free():
    """who asks for rooms that are there is never held back, however often; nor who comes back to one that is not: many
    who share an address do when a room is over (A17)"""
    with Server("--workers", "2", "--address-handshakes", "0", env=JWT) as server:
        vote, code, _ = rooms_of(server)
        for path in (f"/api/rooms/{vote}/acquired", f"/api/rooms/{code}"):
            assert {ask(server, path).status for _ in range(100)} == {200}
        for path in ("/api/rooms/100000/acquired", "/api/rooms/ZZZZZZ"):  # one that is over, for instance
            assert {ask(server, path).status for _ in range(100)} == {404}
        assert ask(server, f"/api/rooms/{code}").status == 200
    with Server("--address-misses", "0", env=JWT) as server:
        assert {ask(server, f"/api/rooms/{100000 + guess}/acquired").status for guess in range(60)} == {404}


def test_every_429_says_when_to_come_back():
    """each kind of 429 has a Retry-After of at least a second (H23, R7, A17)"""
    options = ("--address-rooms", "1", "--address-acquires", "3", "--address-misses", "1", "--address-connections", "2")
    with Server("--workers", "1", *options, env=JWT) as server:
        said = {}

        def note(response):
            if response.status == 429:
                said[response.json()["error"] if isinstance(response.json()["error"], str)
                     else response.json()["error"]["code"]] = int(response.headers["retry-after"])
            return response

        for source in ("127.0.0.2", "127.0.0.3"):
            for guess in range(8):
                note(ask(server, "/api/rooms", source=source))
                note(ask(server, "/api/rooms", method="POST", source=source, body=b'{"kind":"avalon","display_name":"A"}'))
                note(ask(server, f"/api/rooms/{100000 + guess}/acquired", source=source))
                note(ask(server, f"/api/rooms/ZZZZZ{guess}", source=source))
        with client_from(server, "127.0.0.4"), client_from(server, "127.0.0.4"):
            note(ask(server, "/api/rooms", source="127.0.0.4"))
        assert set(said) == {"too many rooms of your address", "address_rooms", "too many rooms asked for in vain",
                             "address_misses", "too_many_connections"}, said
        assert min(said.values()) >= 1, said
    with Server("--address-handshakes", "1", env=JWT) as server:
        responses = [ask(server, "/none") for _ in range(6)]
        assert {response.status for response in responses} == {404, 429}
        assert all(response.headers.get("retry-after", "1") >= "1" for response in responses)
    with Server("--address-rooms", "0", "--address-acquires", "1", env=JWT) as server:
        for body in (b"", b'{"kind":"avalon","display_name":"A"}'):
            statuses = [ask(server, "/api/rooms", method="POST", body=body) for _ in range(6)]
            refused = [response for response in statuses if response.status == 429]
            assert refused and all(int(response.headers["retry-after"]) >= 1 for response in refused)


def test_nobody_can_tell_where_a_room_lives():
    """names are hashed with a key that each start draws: the same rooms live on other workers every time (R12)"""
    def homes():
        with Server("--workers", "4", "--address-acquires", "0") as server:
            for number in range(32):
                with client_from(server, "127.0.0.2", f"/ws/kart/r{number}") as client:
                    client.read_state()
            lines = wait_until(lambda: [line for line in server.log_lines(event="connected")
                                        if line["room"] != "kart"][31:] and server.log_lines(event="connected"), 5,
                               server.log_text)
            return {line["room"]: line["worker"] for line in lines}
    first, second = homes(), homes()
    assert len(first) == 32 and first.keys() == second.keys(), first
    assert first != second and len(set(first.values())) > 1, first


def test_compressed_floods():
    """a compressed message counts by its size as the room gets it (Z8)"""
    with Server("--kart-deflate") as server, server.client(offer="permessage-deflate") as client:
        client.read_state()
        small = deflate(b"x" * 4096)
        assert len(small) < 64 and client.bits == 15
        client.send_bytes(make_frame(TEXT, small, rsv=4) * 50)
        assert_no_close(client)
        client.send_bytes(make_frame(TEXT, small, rsv=4) * 60)
        expect_limited(client, "messages", server)


def test_a_spray_of_races_is_bounded():
    """races that are made by coming to them count with the address that came first: past --address-rooms and
    --address-acquires 429, --rooms is not used up, and what is empty is given back (R7)"""
    with Server("--workers", "4", "--address-rooms", "6", "--rooms", "20") as server:
        clients, statuses = [], []
        for number in range(12):
            try:
                clients.append(client_from(server, "127.0.0.2", f"/ws/kart/spray{number}"))
            except Refused as why:
                statuses.append((why.response.status, expect_error(why.response, 429)["code"]))
                assert int(why.response.headers["retry-after"]) >= 1
        assert len(clients) == 6 and set(statuses) == {(429, "address_rooms")}, (len(clients), statuses)
        others = [client_from(server, "127.0.0.3", f"/ws/kart/other{number}") for number in range(6)]
        others.append(client_from(server, "127.0.0.2", "/ws/kart/other0"))  # which is there
        others.append(client_from(server, "127.0.0.2"))
        assert server.metric(LIMITED, scope="address_rooms") == 6
        close_all(clients)
        server.wait_metric(7, "ringcast_rooms", kind="kart")
        wait_until(lambda: admitted_to(server, "127.0.0.2", "/ws/kart/again"), 3, "its rooms are free").socket.close()
        close_all(others)
    with Server("--workers", "2", "--address-rooms", "0") as server:
        codes = []
        for number in range(60):
            try:
                client_from(server, "127.0.0.2", f"/ws/kart/churn{number}").socket.close()
            except Refused as why:
                codes.append(expect_error(why.response, 429)["code"])
        assert len(codes) >= 10 and set(codes) == {"address_acquires"}, codes


def admitted_to(server, address, path):
    with contextlib.suppress(Refused):
        return client_from(server, address, path)
