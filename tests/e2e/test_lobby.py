"""tests/e2e/test_lobby.py: games of two under /ws/games: whole games, the judge's refusals, who comes
again, every token that lets nobody in, and what becomes of rooms (CONTRACT S3, C2, C3, C8, C12;
THREATS.md J, A11, A15, A18, G1, G3, G4, G5, R7, R9, F16, F18, H24)."""
import itertools
import json
import signal
import subprocess
import threading
import time

import test_clients
from harness import FOLDER, Server, expect_error, request, wait_until
from rawclient import BINARY, CLOSE, TEXT, Client, Ended, Refused
from test_avalon import BAD, ENV, SECRET, expect_closed, expect_silence, read, say, sign

names = itertools.count()
DRAW = "114233422562342465101534411626660030530055"


# ---- what clients do

def token(player, seconds=600, **claims):
    return sign({"sub": player, "exp": int(time.time()) + seconds} | claims)


def come(server, player, game="g1", **how):
    """A WebSocket with a token of its own in a header."""
    claims = {key: how.pop(key) for key in ("name", "room", "seconds") if key in how}
    headers = [f"Authorization: Bearer {token(player, **claims)}"]
    return Client(server.port, f"/ws/games/{game}", headers=headers, **how)


def enter(server, player, game="g1", **how):
    """Comes in and reads the welcome and the state."""
    client = come(server, player, game, **how)
    client.welcome, client.state = json.loads(read(client)), json.loads(read(client))
    assert (client.welcome["type"], client.welcome["event"]) == ("system", "welcome")
    assert client.state["type"] == "state"
    client.seq = client.state["seq"]
    return client


def take(client):
    """The next message that is for the whole room, which must follow the last one."""
    message = json.loads(read(client))
    assert "seq" in message and message["seq"] == client.seq + 1, (client.seq, message)
    client.seq = message["seq"]
    return message


def take_state(client):
    message = take(client)
    assert message["type"] == "state", message
    return message["payload"]


def take_event(client, event):
    message = take(client)
    assert (message["type"], message["event"]) == ("event", event), message
    return message["payload"]


def action(move, correlation=None):
    return {"type": "action", "payload": {"move": move}} | ({"correlation_id": correlation} if correlation else {})


def chat(message, correlation=None, **more):
    envelope = {"type": "chat", "payload": {"message": message} | more}
    return envelope | ({"correlation_id": correlation} if correlation else {})


def expect_answer(client, kind, correlation, code=None):
    """The answer to one wish of the client's."""
    message = json.loads(read(client))
    assert message["type"] == kind and message.get("correlation_id") == correlation, message
    if code:
        assert message["event"] == message["payload"]["code"] == code and message["payload"]["message"], message
    return message["payload"]


def expect_refusal(client, wish, code):
    """The wish is answered with an error, and nothing else happens."""
    name = f"w{next(names)}"  # one that came before would get its first answer again
    say(client, wish | {"correlation_id": name})
    expect_answer(client, "error", name, code)


def move(mover, what, clients):
    """A move that is accepted; the state that everybody has then."""
    say(mover, action(what, f"m{mover.seq}"))
    assert expect_answer(mover, "ack", f"m{mover.seq}") == {"ok": True, "seq": mover.seq + 1}
    states = [take_state(client) for client in clients]
    assert all(state == states[0] for state in states)
    return states[0]


def play(columns, first, second, others=()):
    """Drops discs by turns; the state after the last one."""
    clients = [first, second, *others]
    for i, column in enumerate(columns):
        state = move((first, second)[i % 2], int(column), clients)
    return state


def begin(server, **how):
    """Ann, who has x, and Bob."""
    one = enter(server, "ann", name="Ann", **how)
    two = enter(server, "bob", name="Bob", **how)
    take_event(one, "participant_joined")
    take_state(one)
    return one, two


def refused(server, game="g1", *, query="", headers=()):
    """The error of a WebSocket that is not opened."""
    try:
        Client(server.port, f"/ws/games/{game}{query}", headers=headers)
    except Refused as refusal:
        return refusal.response.status, expect_error(refusal.response, refusal.response.status)["code"]
    raise AssertionError("it was let in")


# ---- games

EMPTY = '[".......",".......",".......",".......",".......","......."]'


def play_transcript(server, game):
    """A short game, byte by byte."""
    with come(server, "ann", game, name="Ann") as one:
        welcome = '{"type":"system","event":"welcome","payload":{"room":"%s","kind":"lobby","you":{"player_id":"%s",' \
                  '"display_name":"%s"}}}'
        ann = '{"player_id":"ann","display_name":"Ann","present":true}'
        bob = '{"player_id":"b\\"ob","display_name":"b\\"ob","present":true}'
        state = '{"type":"state","payload":{"game":"four_in_a_row","phase":"%s","board":%s,"moves":%d,"players":' \
                '{"x":"ann","o":%s},"turn":%s,"result":null,"rematch":[],"people":[%s]},"seq":%d}'
        assert read(one) == welcome % (game, "ann", "Ann")
        assert read(one) == state % ("waiting", EMPTY, 0, "null", "null", ann, 2)
        with come(server, 'b"ob', game) as two:
            begun = state % ("playing", EMPTY, 0, '"b\\"ob"', '"ann"', f"{ann},{bob}", 4)
            assert read(two) == welcome % (game, 'b\\"ob', 'b\\"ob')
            assert read(two) == begun
            assert read(one) == '{"type":"event","event":"participant_joined","payload":{"player_id":"b\\"ob",' \
                                '"display_name":"b\\"ob"},"seq":3}'
            assert read(one) == begun
            say(two, b'{"type":"action","correlation_id":"a1","payload":{"move":3}}')
            assert read(two) == '{"type":"error","event":"not_your_turn","payload":{"code":"not_your_turn","message":' \
                                '"It is the other player\'s turn."},"correlation_id":"a1"}'
            say(one, b'{"type":"action","correlation_id":"a1","payload":{"move":3}}')
            assert read(one) == '{"type":"ack","payload":{"ok":true,"seq":5},"correlation_id":"a1"}'
            moved = state % ("playing", EMPTY[:-10] + '"...x..."]', 1, '"b\\"ob"', '"b\\"ob"', f"{ann},{bob}", 5)
            assert read(one) == read(two) == moved
            say(two, b'{"type":"action","payload":{"move":"resign"}}')
            over = json.loads(read(two))
            assert over["payload"]["result"] == {"winner": "ann", "by": "resignation"} and over["seq"] == 6


def test_transcript():
    """a game, byte by byte, whichever worker accepts a socket (S3-1 to S3-5, S3-10)"""
    with Server("--workers", "4", "--address-rooms", "0", env=ENV) as server:
        for i in range(12):
            play_transcript(server, f"game-{i}")
        assert len({line["worker"] for line in server.log_lines(event="connected")}) > 1


def test_a_game_to_its_end():
    """a line wins, nobody moves afterwards, colours swap for the rematch, and that one is a draw
    (S3-3, G1, G3)"""
    with Server("--workers", "2", "--message-rate", "0", env=ENV) as server, \
            enter_all(server) as (one, two, three):
        state = play("0011223", one, two, [three])
        assert state["phase"] == "over" and state["turn"] is None
        assert state["result"] == {"winner": "ann", "by": "line", "line": [[0, 0], [1, 0], [2, 0], [3, 0]]}
        assert state["board"] == [".......", ".......", ".......", ".......", "ooo....", "xxxx..."]
        for client in (one, two):
            expect_refusal(client, action(4), "game_over")
        state = move(one, "rematch", [one, two, three])
        assert (state["phase"], state["rematch"]) == ("over", ["ann"])
        state = move(two, "rematch", [one, two, three])
        assert state["players"] == {"x": "bob", "o": "ann"} and state["turn"] == "bob" and state["moves"] == 0
        expect_refusal(one, action(3), "not_your_turn")
        state = play(DRAW, two, one, [three])
        assert state["result"] == {"winner": None, "by": "draw"} and state["moves"] == 42
        assert all("." not in row for row in state["board"])


class enter_all:
    """Ann and Bob, who play, and Cid, who watches."""

    def __init__(self, server):
        self.server = server

    def __enter__(self):
        one, two = begin(self.server)
        three = enter(self.server, "cid", name="Cid")
        for client in (one, two):
            assert take_event(client, "participant_joined") == {"player_id": "cid", "display_name": "Cid"}
        self.clients = one, two, three
        return self.clients

    def __exit__(self, *_):
        for client in self.clients:
            client.socket.close()


def test_the_judge():
    """who may not move, and moves that are none, are refused by code; nobody else notices (G1)"""
    with Server("--workers", "2", env=ENV) as server:
        with enter(server, "solo", "g0") as alone:
            for wish in (3, "resign", "rematch"):
                expect_refusal(alone, action(wish), "not_started")
        with enter_all(server) as (one, two, three):
            for client, wish, code in (
                    (two, 3, "not_your_turn"), (one, 7, "illegal_move"), (one, -1, "illegal_move"),
                    (one, 2 ** 63 - 1, "illegal_move"), (one, 2 ** 80, "illegal_move"), (one, 1.5, "illegal_move"),
                    (one, "up", "illegal_move"), (one, "rematch", "illegal_move"), (three, 3, "forbidden"),
                    (three, "resign", "forbidden"), (three, "rematch", "forbidden"), (three, "sit", "forbidden")):
                expect_refusal(client, action(wish), code)
            play("000000", one, two, [three])
            expect_refusal(one, action(0), "illegal_move")
            for client in (one, two, three):
                expect_silence(client, 0.1)


def test_spectators():
    """who comes third watches and chats, and takes a seat when one is free (G1)"""
    with Server("--lobby-leave", "0", env=ENV) as server, enter_all(server) as (one, two, three):
        assert three.state["payload"]["players"] == {"x": "ann", "o": "bob"}
        say(three, chat("who wins?", "c"))
        assert expect_answer(three, "ack", "c") == {"ok": True, "seq": three.seq + 1}
        for client in (one, two, three):
            heard = take_event(client, "chat")
            assert list(heard) == ["player_id", "display_name", "message", "ts"]
            assert (heard["player_id"], heard["message"]) == ("cid", "who wins?")
        move(two, "resign", [one, two, three])
        two.leave()
        for client in (one, three):
            assert take_event(client, "participant_left")["player_id"] == "bob"
            assert take_state(client)["players"] == {"x": "ann", "o": None}
        state = move(three, "sit", [one, three])
        assert state["phase"] == "playing" and state["players"] == {"x": "ann", "o": "cid"}
        play("0011223", one, three)


def test_done_once():
    """what comes again under one correlation_id is answered again and not done again"""
    with Server(env=ENV) as server, enter_all(server) as (one, two, three):
        for i in range(3):
            say(one, action(3, "a"))
            assert expect_answer(one, "ack", "a") == {"ok": True, "seq": three.seq + 1}
            if i == 0:
                take_state(one)
        say(one, chat("hi", "a"))  # the same wish, as far as anybody can tell
        expect_answer(one, "ack", "a")
        assert take_state(three)["moves"] == take_state(two)["moves"] == 1
        expect_silence(three)
        with enter(server, "ann", name="Ann") as again:  # another connection has its own
            say(again, chat("hi", "a"))
            expect_answer(again, "ack", "a")
            assert take_event(again, "chat")["message"] == "hi"


# ---- coming and going

def test_reconnect_in_a_game():
    """who comes back within the grace was never gone, later has joined again, and plays on (G5)"""
    with Server("--workers", "2", "--lobby-leave", "600ms", env=ENV) as server, enter_all(server) as (one, two, three):
        play("33", one, two, [three])
        one.reset()
        with enter(server, "ann", name="Ann") as again:
            assert again.state["payload"]["moves"] == 2 and again.state["payload"]["turn"] == "ann"
            state = move(again, 3, [again, two, three])
            assert state["board"][3] == "...x..."
            expect_silence(two, 1.0)
        left = take_event(two, "participant_left")
        assert left == {"player_id": "ann", "display_name": "Ann"}
        take_event(three, "participant_left")
        state = move(two, 2, [two, three])  # Ann's turn now; the seat is kept
        assert state["turn"] == "ann" and state["people"][0]["present"] is False
        with enter(server, "ann", name="Ann") as again:
            assert take_event(two, "participant_joined")["player_id"] == "ann"
            take_event(three, "participant_joined")
            assert move(again, 2, [again, two, three])["moves"] == 5


def test_forfeit():
    """a player who stays away has lost, and the seat is free for who comes next"""
    with Server("--lobby-leave", "100ms", "--lobby-seat", "700ms", env=ENV) as server:
        one, two = begin(server)
        gone = time.monotonic()
        one.leave()
        assert take_event(two, "participant_left")["player_id"] == "ann"
        state = take_state(two)
        assert 0.6 < time.monotonic() - gone < 3
        assert state["result"] == {"winner": "bob", "by": "forfeit"}
        assert state["players"] == {"x": None, "o": "bob"}
        with enter(server, "cid") as three:
            assert three.state["payload"]["phase"] == "playing"
            assert three.state["payload"]["players"] == {"x": "cid", "o": "bob"}
        two.socket.close()


def test_second_connection_replaces_the_first():
    """a player has one connection, the newest; the others notice nothing (C12, G5)"""
    with Server("--workers", "2", "--lobby-leave", "0", env=ENV) as server, enter_all(server) as (one, two, three):
        with enter(server, "ann", name="Ann") as again:
            expect_closed(one, 4409, "replaced")
            move(again, 3, [again, two, three])
            expect_silence(two)
        assert take_event(two, "participant_left")["player_id"] == "ann"


def test_many_at_once():
    """of many connections of one player at once one stays; of many players two play, and the room takes
    no more than it may (G4, G5)"""
    with Server("--workers", "4", "--lobby-people", "8", env=ENV) as server:
        clients, threads, codes = [], [], []

        def rush(count, player_of, game):
            def one(i):
                try:
                    clients.append(enter(server, player_of(i), game))
                except Refused as refusal:
                    codes.append((refusal.response.status, expect_error(refusal.response, 409)["code"]))
            threads[:] = [threading.Thread(target=one, args=(i,)) for i in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        rush(20, lambda _: "ann", "same")
        server.wait_metric(1, "ringcast_members", kind="lobby")
        assert server.metric("ringcast_disconnects_total", code=4409, reason="replaced") == 19
        rush(30, lambda i: f"p{i}", "many")
        assert codes == 22 * [(409, "room_full")]
        server.wait_metric(9, "ringcast_members", kind="lobby")
        with enter(server, "ann", "same") as watcher:
            assert watcher.state["payload"]["players"] == {"x": "ann", "o": None}
        players = clients[-1].state["payload"]["players"]
        assert None not in players.values() and players["x"] != players["o"]
        for client in clients:
            client.socket.close()


def test_room_is_gone_when_empty():
    """a room in which nobody is any more goes, and the next one of its name is a new one (S3-2)"""
    with Server("--workers", "2", "--lobby-empty", "700ms", "--lobby-leave", "0", "--lobby-seat", "0",
                "--address-rooms", "1", env={"RINGCAST_JWT_SECRET": SECRET}) as server:
        one, two = begin(server)
        play("33", one, two)
        assert refused(server, "g2", query=f"?token={token('cid')}") == (429, "address_rooms")
        assert server.metric("ringcast_rooms", kind="lobby") == 1
        one.leave()
        take_event(two, "participant_left")
        two.leave()
        server.wait_metric(0, "ringcast_rooms", kind="lobby")
        with enter(server, "cid") as three:
            assert three.seq == 2 and three.state["payload"]["phase"] == "waiting"


def test_rooms_are_bounded():
    """an address makes so many rooms at a time, and all of them together so many (R7, X4)"""
    with Server("--address-acquires", "2", "--address-rooms", "0", env={"RINGCAST_JWT_SECRET": SECRET}) as server:
        met = set()
        for i in range(12):
            try:
                come(server, "ann", f"g{i}").socket.close()
            except Refused as refusal:
                met.add((refusal.response.status, expect_error(refusal.response, 429)["code"]))
        assert met == {(429, "address_acquires")}
        with enter(server, "bob", "g0"):  # a room that is there costs nothing
            pass
    with Server("--rooms", "2", "--workers", "2", env=ENV) as server:
        with enter(server, "ann", "g1"), enter(server, "ann", "g2"):
            assert refused(server, "g3", query=f"?token={token('ann')}") == (503, "too_many_rooms")


# ---- tokens

def forgeries():
    """(query, code of the refusal) of tokens that do not let anybody into g1."""
    good = token("ann")
    later = int(time.time()) + 600
    return [
        ("", "no_token"), ("?token=", "no_token"), ("?token=x", "token_malformed"),
        (f"?token={good}&token={good}", "token_twice"), (f"?token={good}.x", "token_malformed"),
        (f"?token={sign({'sub': 'ann', 'exp': later}, 'another secret, which is long enough')}", "bad_signature"),
        (f"?token={token('ann', -700)}", "expired"), (f"?token={sign({'sub': 'ann'})}", "no_expiry"),
        (f"?token={sign({'exp': later})}", "bad_claims"), (f"?token={sign({'sub': 7, 'exp': later})}", "bad_claims"),
        (f"?token={token('')}", "bad_claims"), (f"?token={token('x' * 65)}", "bad_claims"),
        (f"?token={token('a' + chr(0x202e))}", "bad_claims"), (f"?token={token('a' + chr(0))}", "bad_claims"),
        (f"?token={token('ann', name=7)}", "bad_claims"), (f"?token={token('ann', name=['Ann'])}", "bad_claims"),
        (f"?token={token('ann', room='g2')}", "wrong_room"), (f"?token={token('ann', room='')}", "wrong_room"),
        (f"?token={token('ann', room=['g1'])}", "wrong_room"), (f"?token={token('ann', room='G1')}", "wrong_room"),
        (f"?token={good}&player_id=bob", "wrong_player"), (f"?token={good}&player_id=", "wrong_player"),
        (f"?token={good}&player_id=ann&player_id=ann", "token_twice"),
    ]


def test_refused_before_the_upgrade():
    """who shows no good token gets 401 with a code, and makes no room (S3-6, C3, A1, A7, A8, A11, A18,
    D21)"""
    with Server("--workers", "2", env=ENV) as server:
        for query, code in forgeries():
            assert refused(server, query=query) == (401, code), query
        assert server.metric("ringcast_rooms", kind="lobby") == 0
        good = f"?token={token('ann')}"
        for game in ("", "a/b", "a%2fb", "x" * 65, "g.1", "\u00e9"):
            assert refused(server, game.encode().decode("latin-1"), query=good)[0] in (400, 404), game
        plain = request(server.port, "POST", f"/ws/games/g1{good}", body=b"")
        assert expect_error(plain, 405)["code"] == "method_not_allowed"


def test_refused_after_the_upgrade():
    """with --lobby-auth-fail=close the same are let in, told why, and closed with 4401 (C3)"""
    with Server("--workers", "2", "--lobby-auth-fail", "close", env=ENV) as server:
        for query, code in forgeries():
            with Client(server.port, f"/ws/games/g1{query}") as client:
                error = json.loads(read(client))
                assert list(error) == ["type", "event", "payload"] and error["type"] == "error"
                assert error["event"] == error["payload"]["code"] == code and error["payload"]["message"]
                expect_closed(client, 4401, "unauthorized")
        assert server.metric("ringcast_rooms", kind="lobby") == 0
        assert server.metric("ringcast_members", kind="lobby") == 0
        enter(server, "ann").socket.close()


def test_ways_to_show_a_token():
    """a token comes by header, subprotocol or query; only the dialect is echoed (C2)"""
    with Server("--workers", "2", env=ENV) as server:
        good = token("ann", room="g1")
        offer = f"Sec-WebSocket-Protocol: bearer.{good}, ringcast.v1"
        for query, headers, echoed in (
                (f"?token={good}", [], None), (f"?player_id=ann&token={good}", [], None),
                ("", [f"Authorization: Bearer {good}"], None), ("", [offer], "ringcast.v1")):
            with Client(server.port, f"/ws/games/g1{query}", headers=headers) as client:
                assert client.response.headers.get("sec-websocket-protocol") == echoed
                assert json.loads(read(client))["payload"]["you"] == {"player_id": "ann", "display_name": "ann"}
        for other in (f"bearer.{good}", f"ringcast.event, bearer.{good}"):
            assert refused(server, headers=[f"Sec-WebSocket-Protocol: {other}"]) == (400, "subprotocol")


def test_names():
    """a name is shown without what cannot be seen, and not longer than 64 characters; an id as it is
    (J8, J9)"""
    with Server("--workers", "2", env=ENV) as server:
        for name, shown in (("  Ann \u732b ", "Ann \u732b"), ("x" * 65, "x" * 64),
                            ("\U0001f408" * 70, "\U0001f408" * 64),
                            ("a\u202eb\u0007", "ab"), ("\u200b \n", "p"), ("", "p"), ('<b>"}\\', '<b>"}\\')):
            with enter(server, "p", name=name) as client:
                assert client.welcome["payload"]["you"] == {"player_id": "p", "display_name": shown}, name
        longest = "\U0001f408" * 16
        with enter(server, longest, "g2") as client:
            assert client.welcome["payload"]["you"] == {"player_id": longest, "display_name": longest}
            assert client.state["payload"]["players"] == {"x": longest, "o": None}


def test_tokens_made_by_gen_token():
    """the program's own tokens let in where they name the room"""
    from harness import binary, environment
    with Server(env=ENV) as server:
        made = subprocess.run([binary(), "gen-token", "--sub", "ann", "--name", "Ann", "--room", "g1"],
                              env=environment(ENV), capture_output=True, text=True, check=True).stdout.strip()
        headers = [f"Authorization: Bearer {made}"]
        with Client(server.port, "/ws/games/g1", headers=headers) as client:
            assert json.loads(read(client))["payload"]["you"] == {"player_id": "ann", "display_name": "Ann"}
        assert refused(server, "g2", headers=headers) == (401, "wrong_room")


def test_token_expires():
    """a token serves until its end and not longer (A15)"""
    with Server("--jwt-leeway", "0", "--lobby-leave", "0", env=ENV) as server:
        one, two = begin(server, seconds=600)
        with enter(server, "cid", seconds=2) as three:
            take_event(one, "participant_joined")
            assert expect_answer(three, "event", None)["expires_at"] % 1000 == 0  # it is warned
            expect_answer(three, "error", None, "token_expired")
            expect_closed(three, 4401, "token_expired")
            assert take_event(one, "participant_left")["player_id"] == "cid"
        one.socket.close()
        two.socket.close()


def test_without_a_key():
    """without a key for tokens there is no such path, and the log says what to set; neither with
    --lobby=off"""
    for options, env, told in (((), {}, 1), (("--lobby=off",), ENV, 0), (("--lobby=off",), {}, 0)):
        with Server(*options, env=env) as server:
            assert refused(server, query=f"?token={token('ann')}") == (404, "not_found")
            lines = server.log_lines(event="lobby_off")
            assert len(lines) == told and all("--jwt-keys" in line["meaning"] for line in lines)


def test_tokens_are_in_no_log():
    """a token never comes into the log, however it was shown and whatever became of it (H24, D20)"""
    with Server("--log-level", "debug", env=ENV) as server:
        good = token("ann")
        with Client(server.port, f"/ws/games/g1?token={good}") as client:
            read(client)
        refused(server, query=f"?token={good}x")
        wait_until(lambda: len(server.log_lines(event="disconnected")) == 1, 5, "it is gone")
        assert good not in server.log_text() and "token=" not in server.log_text()
        line, = server.log_lines(event="connected")
        assert (line["kind"], line["room"]) == ("lobby", "lobby/g1")


# ---- messages

TO_SEVEN = b'{"type":"chat","payload":{"message":"a","to":7}}'  # there is no payload.to here, of any type


def test_bad_messages():
    """a message that means nothing is answered, and the ninth within a minute is the last (J1 to J5,
    J7, F17)"""
    with Server("--message-rate", "0", "--address-rooms", "0", env=ENV) as server:
        for first in range(0, len(BAD), 8):
            with enter(server, "ann", f"bad-{first}") as client:
                for bad in BAD[first:first + 8]:
                    say(client, bad)
                    error = json.loads(read(client))
                    wanted = "unsupported" if bad == TO_SEVEN else "bad_message"
                    assert (error["type"], error["event"]) == ("error", wanted), (bad, error)
                assert client.is_alive()
        with enter(server, "ann") as client:
            for i in range(9):
                say(client, b'{"correlation_id":"c%d","type":null}' % i)
                expect_answer(client, "error", f"c{i}", "bad_message")
            expect_closed(client, 4400, "bad_messages")
        assert server.metric("ringcast_disconnects_total", code=4400, reason="bad_messages") == 1


def test_what_else_is_said():
    """unknown types are unsupported, pings are answered, the state can be had again, and each wish has
    one answer (J7, S3-3)"""
    with Server(env=ENV) as server, enter_all(server) as (one, _, three):
        for wish in ("vote", "system", "start", "z" * 32):
            say(one, {"type": wish, "correlation_id": "u", "payload": {}})
            expect_answer(one, "error", "u", "unsupported")
        say(one, {"type": "ping", "correlation_id": "p", "payload": {"t0": 12}})
        pong = expect_answer(one, "event", "p")
        assert pong["t0"] == 12 and abs(pong["t1"] - time.time() * 1000) < 5000
        say(one, {"type": "sync_state", "correlation_id": "s"})
        assert expect_answer(one, "state", "s") == three.state["payload"]
        for wish, code in ((chat("x" * 501), "too_long"), (chat(" \u200b"), "empty"),
                           (chat("psst", to=["bob"]), "unsupported")):
            say(one, wish)
            expect_answer(one, "error", None, code)
        expect_silence(three)


def test_binary_and_too_big():
    """binary is closed with 1003, a message over 4 KiB with 1009 (F16, F18)"""
    with Server(env=ENV) as server:
        with enter(server, "ann") as client:
            client.send(BINARY, b"\x00")
            expect_closed(client, 1003, "binary_message")
        with enter(server, "ann") as client:
            client.send(TEXT, b"x" * 4097)
            assert client.read_close() == (1009, "message_too_big")


def test_flood():
    """who says too much too fast is closed with 4429; the others play on (S3-7, R9)"""
    with Server("--message-rate", "20", env=ENV) as server:
        one, two = begin(server)
        with enter(server, "cid") as three:
            for i in range(100):
                try:
                    say(three, {"type": "sync_state", "correlation_id": f"c{i}"})
                except Ended:
                    break
            code, reason = three.read_close()
            assert code == 4429 and reason.startswith("rate_limited;retry_ms="), (code, reason)
        for client in (one, two):
            take_event(client, "participant_joined")
        move(one, 3, [one, two])
        one.socket.close()
        two.socket.close()


def test_slow_spectator():
    """who does not read is closed with 4508; the players get every message (C8)"""
    with Server("--message-rate", "0", "--send-buffer", "4096", env=ENV) as server:
        one, two = begin(server)
        with enter(server, "cid", receive_buffer=2048) as slow:
            take_event(one, "participant_joined")
            for i in range(3000):
                say(one, chat("x" * 400))
                take_one = take(one)
                if take_one["event"] == "participant_left" or i % 50 == 0 and server.metric(
                        "ringcast_disconnects_total", code=4508, reason="slow_consumer") == 1:
                    break
            assert slow.read_close(10) == (4508, "slow_consumer")
        one.socket.close()
        two.socket.close()


def test_drain():
    """a shutdown closes everybody with 1012 and leaves nothing behind, on several workers (D9)"""
    with Server("--workers", "2", "--drain", "2s", env=ENV) as server:
        clients = [enter(server, f"p{i}", f"g{i // 3}") for i in range(12)]
        server.signal(signal.SIGTERM)
        for client in clients:
            code, reason = client.read_close(5)
            assert code == 1012 and reason.startswith("restart;retry_ms="), (code, reason)
            client.send(CLOSE, b"\x03\xf4")
        assert server.wait_exit(10) == 0
        assert "everything_home=no" not in server.log_text()


# ---- clients that people use

def test_with_websockets():
    """Python's websockets: two play a game to its end, a third watches and is refused, a fourth shows
    nothing"""
    test_clients.bring_websockets()
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect
    with Server("--workers", "2", env=ENV) as server:
        url = f"ws://127.0.0.1:{server.port}/ws/games/g1"

        def join(player):
            socket = connect(url, subprotocols=["ringcast.v1", f"bearer.{token(player)}"])
            assert socket.subprotocol == "ringcast.v1"
            assert json.loads(socket.recv(2))["event"] == "welcome"
            return socket

        def wait(socket, wanted):
            """Reads up to a message of that kind."""
            while True:
                message = json.loads(socket.recv(2))
                if wanted(message):
                    return message

        with join("ann") as one, join("bob") as two, join("cid") as three:
            for i, column in enumerate((0, 0, 1, 1, 2, 2, 3)):
                mover = (one, two)[i % 2]
                mover.send(json.dumps(action(column, f"m{i}")))
                assert wait(mover, lambda message: message["type"] == "ack")["correlation_id"] == f"m{i}"
                for socket in (one, two, three):
                    wait(socket, lambda message, i=i: message["type"] == "state" and
                         message["payload"]["moves"] == i + 1)
            three.send(json.dumps(action(3, "x")))
            assert wait(three, lambda message: message["type"] == "error")["event"] == "forbidden"
            two.send(json.dumps({"type": "sync_state"}))
            over = wait(two, lambda message: message["type"] == "state")["payload"]
            assert over["result"]["winner"] == "ann" and over["result"]["by"] == "line"
            with join("ann"):
                try:
                    while True:
                        one.recv(2)
                except ConnectionClosed as why:
                    assert (why.rcvd.code, why.rcvd.reason) == (4409, "replaced")
        try:
            connect(url)
            raise AssertionError("let in")
        except InvalidStatus as why:
            assert why.response.status_code == 401
            assert json.loads(why.response.body)["error"]["code"] == "no_token"


def test_with_ws():
    """npm's ws: two play a game to its end"""
    node, environment = test_clients.node_and_modules()
    with Server("--workers", "2", env=ENV) as server:
        done = subprocess.run(
            [node, str(FOLDER / "ws_lobby_client.js"), f"ws://127.0.0.1:{server.port}/ws/games/g1",
             token("ann"), token("bob")],
            timeout=40, env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout == "ok\n", done.stdout + done.stderr
