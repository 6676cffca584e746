"""tests/e2e/test_room_limits.py: how often members of a room may do what others pay for, against the default
configuration: chat, state, coming and going (THREATS.md R8, R9, R11)."""
import json
import re
import time

from harness import Server, wait_until
from rawclient import CLOSE, TEXT, Ended
import test_backend
import test_lobby
import test_vote
from test_avalon import ENV, chat, come, create, enter, expect_event, expect_silence, join, read, say

LIMITED = "ringcast_rate_limited_total"


def messages(client, seconds):
    """All that comes until it is quiet for so long, or closed: (messages, (code, reason) or None)."""
    heard = []
    try:
        while True:
            frame = client.read_message(seconds)
            if frame.opcode == CLOSE:
                return heard, (int.from_bytes(frame.payload[:2], "big"), frame.payload[2:].decode())
            assert frame.opcode == TEXT
            heard.append(json.loads(frame.payload))
    except (TimeoutError, Ended):
        return heard, None


def events(heard, name):
    return [message for message in heard if message["event"] == name]


def test_chat_is_limited():
    """ten messages at once are said, the next are refused with their correlation_id and when to go on, and who waits so
    long goes on; nobody else is concerned (R9)"""
    with Server("--workers", "2", env=ENV) as server:
        a = create(server)
        b = join(server, a)
        with enter(server, a) as one, enter(server, b) as two:
            expect_event(one, "participant_joined")
            for number in range(15):
                say(two, chat(f"m{number}", f"c{number}"))
            heard, closed = messages(two, 0.5)
            assert closed is None
            said, refused = events(heard, "chat"), events(heard, "rate_limited")
            assert len(said) in (10, 11) and len(said) + len(refused) == 15, heard
            for message in refused:
                assert list(message) == ["type", "event", "payload", "correlation_id"] and message["type"] == "error"
                assert message["payload"]["code"] == "rate_limited" and message["payload"]["message"]
                assert 0 < message["payload"]["retry_ms"] <= 200, message
            assert [m["correlation_id"] for m in said + refused] == [f"c{number}" for number in range(15)]
            assert len(events(messages(one, 0.3)[0], "chat")) == len(said)
            say(one, chat("me too"))
            expect_event(two, "chat")
            expect_event(one, "chat")
            time.sleep(refused[-1]["payload"]["retry_ms"] / 1000)
            say(two, chat("again"))
            expect_event(two, "chat")
            assert server.metric(LIMITED, scope="chat") == len(refused)
            assert server.metric("ringcast_disconnects_total") == 0


def test_who_goes_on_is_closed():
    """who does not wait as it is told is closed with 4429 and a hint, and not forgiven when it comes back at once; others
    of the room hear a bounded number of messages (R9)"""
    with Server(env=ENV) as server:
        a = create(server)
        b = join(server, a)
        with enter(server, a) as one, enter(server, b) as two:
            expect_event(one, "participant_joined")
            for number in range(60):
                say(two, chat(f"m{number}", f"c{number}"))
            heard, closed = messages(two, 3)
            assert closed and closed[0] == 4429, closed
            assert int(re.fullmatch(r"rate_limited;retry_ms=(\d+)", closed[1])[1]) == 20000
            assert 21 <= len(events(heard, "rate_limited")) <= 24, len(heard)
            assert 10 <= len(events(messages(one, 0.3)[0], "chat")) <= 13
            assert server.metric("ringcast_disconnects_total", code=4429, reason="rate_limited") == 1
        with enter(server, b) as again:
            for number in range(20):
                say(again, chat("x", f"c{number}"))
            _, closed = messages(again, 3)
            assert closed and closed[0] == 4429


def test_a_room_has_its_own_rate():
    """what all members say together is limited, too, and told to who is refused (R9)"""
    with Server("--chat-rate", "0", "--room-chat-rate", "2", "--workers", "1", env=ENV) as server:
        a = create(server)
        b = join(server, a)
        other = create(server, "Cid")
        with enter(server, a) as one, enter(server, b) as two, enter(server, other) as three:
            expect_event(one, "participant_joined")
            for client in (one, two, one, two):
                say(client, chat("hi"))
                for listener in (one, two):
                    expect_event(listener, "chat")
            say(two, chat("hi", "c1"))
            error = expect_event(two, "rate_limited", "error")
            assert error["correlation_id"] == "c1" and 0 < error["payload"]["retry_ms"] <= 500, error
            expect_silence(one)
            say(three, chat("another room"))
            expect_event(three, "chat")
            assert server.metric(LIMITED, scope="room_chat") == 1


def test_sync_loops():
    """who asks for the whole state in a loop gets some kilobytes of it a second and refusals for the rest (R11)"""
    with Server(env=ENV) as server:
        a = create(server)
        for number in range(9):
            join(server, a, f"player {number}" + "x" * 40)
        with enter(server, a) as client:
            begun, sizes, refused = time.monotonic(), [], 0
            for number in range(40):
                say(client, {"type": "sync_state", "correlation_id": f"s{number}"})
                answer = read(client)
                message = json.loads(answer)
                assert message["correlation_id"] == f"s{number}"
                if message["event"] == "rate_limited":
                    refused += 1
                    assert message["payload"]["retry_ms"] > 0
                    time.sleep(message["payload"]["retry_ms"] / 1000 / 4 if refused < 10 else 0.2)
                else:
                    sizes.append(len(answer))
            took = time.monotonic() - begun
            assert refused > 5 and sum(sizes) <= 1.5 * (8192 + 4096 * took), (sizes, took)
            assert server.metric(LIMITED, scope="state") == refused


def test_types_are_counted():
    """messages are counted by the types that the kind knows, and all others as one (R9)"""
    with Server("--message-rate", "0", "--workers", "2", env=ENV) as server:
        a = create(server)
        with enter(server, a) as client:
            say(client, chat("hi"))
            say(client, {"type": "sync_state"})
            client.send(TEXT, b"nonsense")
            expect_event(client, "chat")
            expect_event(client, "room", "state")
            expect_event(client, "bad_message", "error")
            for number in range(7):  # the ninth that means nothing would be the last
                say(client, {"type": f"type{number}", "correlation_id": f"c{number}"})
                expect_event(client, "unsupported", "error")
        name, body = "ringcast_messages_received_total", server.get("/metrics").body.decode()
        counts = {kind: server.metric(name, kind="avalon", type=kind) for kind in ("chat", "sync_state", "unknown")}
        assert counts == {"chat": 1, "sync_state": 1, "unknown": 8}, counts
        assert "type3" not in body and len(body.splitlines()) < 1000


def test_comings_and_goings_are_one():
    """a player that connects and leaves again and again is told to the others once, within the grace (R8)"""
    with Server(env=ENV) as server:
        a = create(server)
        b = join(server, a)
        with enter(server, a) as watcher:
            for _ in range(60):
                come(server, b).reset()
            with enter(server, b):
                expect_event(watcher, "participant_joined")
                expect_silence(watcher, 1.0)
            left = wait_until(lambda: messages(watcher, 7)[0], 12, "it has left")
            assert [message["event"] for message in left] == ["participant_left"], left
        assert server.metric("ringcast_connections_accepted_total", kind="avalon") == 62


def test_a_rush_into_a_vote_is_told_together():
    """when many join a vote at once its members hear of a few one by one and of the rest together, with the right number
    at the end; each who joins learns the status (R8)"""
    with Server("--workers", "2", env=ENV) as server:
        room = test_vote.acquire(server)
        with test_vote.join(server, room) as watcher:
            assert test_vote.read(watcher) == test_vote.STATUS % (room, "LOBBY", 1)
            begun, clients = time.monotonic(), []
            for number in range(300):
                clients.append(test_vote.join(server, room))
            for number, client in enumerate(clients):
                assert test_vote.read(client) == test_vote.STATUS % (room, "LOBBY", number + 2)
            heard, _ = messages(watcher, 0.5)
            took = time.monotonic() - begun
            counts = [message["data"]["participants_count"] for message in heard]
            assert {message["type"] for message in heard} == {"participant_joined"}
            assert counts[:19] == list(range(2, 21)) and counts == sorted(counts) and counts[-1] == 301, counts
            assert len(counts) <= 20 + 10 * took + 1, (len(counts), took)
            for client in clients:
                client.socket.close()


def test_churn_in_a_vote_is_bounded():
    """who joins and leaves a vote again and again is told of ten times a second at most (R8)"""
    with Server("--workers", "2", env=ENV) as server:
        room = test_vote.acquire(server)
        with test_vote.join(server, room) as watcher:
            test_vote.read(watcher)
            begun = time.monotonic()
            for _ in range(400):
                test_vote.join(server, room).reset()
            heard, closed = messages(watcher, 0.5)
            assert closed is None and len(heard) <= 22 + 10 * (time.monotonic() - begun), len(heard)


# ---- lobbies and rooms of backends

def two_in_each(server, settle=0.3):
    """(kind, Ann, Bob) in a lobby and in a backend's room, who have heard all that there is to hear."""
    test_backend.make(server, "r1", chat=True)
    for kind, enter_one, room in (("lobby", test_lobby.enter, "g1"), ("relay", test_backend.enter, "r1")):
        with enter_one(server, "ann", room) as one, enter_one(server, "bob", room) as two:
            messages(one, settle)
            messages(two, settle)
            yield kind, one, two


def answers(heard):
    """Those that repeat a correlation_id: {it: message}"""
    return {message["correlation_id"]: message for message in heard if "correlation_id" in message}


def test_chat_in_the_canonical_dialect_is_limited():
    """in a lobby and in a backend's room, too: ten messages at once, then refusals that say when to go on, after which the
    same message is said under the same correlation_id; all that are said are numbered without a gap (R9)"""
    with Server("--workers", "2", env=test_backend.ENV) as server:
        limited = 0
        for kind, one, two in two_in_each(server):
            for number in range(15):
                say(two, chat(f"m{number}", f"c{number}"))
            heard, closed = messages(two, 0.5)
            got = answers(heard)
            assert closed is None and list(got) == [f"c{number}" for number in range(15)], (kind, heard)
            said = [message for message in got.values() if message["type"] == "ack"]
            refused = [message for message in got.values() if message["type"] == "error"]
            assert len(said) in (10, 11) and len(said) + len(refused) == 15, (kind, heard)
            for message in refused:
                assert list(message) == ["type", "event", "payload", "correlation_id"]
                assert list(message["payload"]) == ["code", "message", "retry_ms"], message
                assert message["event"] == message["payload"]["code"] == "rate_limited"
                assert 0 < message["payload"]["retry_ms"] <= 200, message
            others, _ = messages(one, 0.3)
            assert [m["payload"]["message"] for m in others] == [f"m{i}" for i in range(15) if got[f"c{i}"] in said]
            assert [m["seq"] for m in others] == list(range(others[0]["seq"], others[0]["seq"] + len(said)))
            time.sleep(refused[-1]["payload"]["retry_ms"] / 1000)
            again = refused[0]["correlation_id"]
            say(two, chat("again", again))
            assert answers(messages(two, 0.3)[0])[again]["type"] == "ack"
            assert [m["payload"]["message"] for m in messages(one, 0.3)[0]] == ["again"]
            limited += len(refused)
            assert server.metric(LIMITED, scope="chat") == limited
        assert server.metric("ringcast_disconnects_total", code=4429) == 0


def test_who_goes_on_in_the_canonical_dialect_is_closed():
    """there, too, who does not wait as it is told is closed with 4429 and a hint, and the others hear little of it (R9)"""
    with Server(env=test_backend.ENV) as server:
        for kind, one, two in two_in_each(server):
            for number in range(60):
                say(two, chat(f"m{number}", f"c{number}"))
            heard, closed = messages(two, 3)
            assert closed == (4429, "rate_limited;retry_ms=20000"), (kind, closed)
            assert 21 <= len([m for m in heard if m["type"] == "error"]) <= 24, (kind, len(heard))
            assert 10 <= len(events([m for m in messages(one, 0.3)[0] if m["type"] == "event"], "chat")) <= 13
        assert server.metric("ringcast_disconnects_total", code=4429, reason="rate_limited") == 2


def test_rooms_of_the_canonical_dialect_have_their_own_rate():
    """what all members of a lobby or of a backend's room say together is limited, for each room by itself (R9)"""
    with Server("--chat-rate", "0", "--room-chat-rate", "2", env=test_backend.ENV) as server:
        for kind, one, two in two_in_each(server):
            for client in (one, two, one, two):
                say(client, chat("hi"))
            say(two, chat("hi", "c1"))
            refusal = answers(messages(two, 0.3)[0])["c1"]
            assert refusal["event"] == "rate_limited" and 0 < refusal["payload"]["retry_ms"] <= 500, (kind, refusal)
            assert len(messages(one, 0.3)[0]) == 4, kind
        assert server.metric(LIMITED, scope="room_chat") == 2


def loop(client, kind):
    """Asks for so much for so long; the bytes that came in answers, and how many refusals."""
    begun, size, refused = time.monotonic(), 0, 0
    for number in range(40):
        say(client, {"type": kind, "correlation_id": f"s{number}"})
        answer = read(client)
        message = json.loads(answer)
        assert message["correlation_id"] == f"s{number}", answer
        if message["type"] == "error":
            refused += 1
            assert message["event"] == "rate_limited" and message["payload"]["retry_ms"] > 0
            time.sleep(message["payload"]["retry_ms"] / 1000 / 4 if refused < 10 else 0.2)
        else:
            size += len(answer)
    assert refused > 5 and size <= 1.5 * (8192 + 4096 * (time.monotonic() - begun)), (kind, size, refused)
    return refused


def test_state_of_the_canonical_dialect_costs_its_size():
    """who asks a lobby or a backend's room for the state, or for who is there, in a loop gets some kilobytes of it a second
    (R11)"""
    with Server(env=test_backend.ENV) as server:
        test_backend.make(server, "r1", state={"text": "x" * 3000})
        with test_lobby.enter(server, "ann", name="A" * 64) as client:
            messages(client, 0.3)
            refused = loop(client, "sync_state")
        with test_backend.enter(server, "ann", name="A" * 64) as one, test_backend.enter(server, "bob") as two:
            members = [test_backend.enter(server, f"{number}" * 60, name=f"{number}" * 64) for number in range(6)]
            messages(one, 0.3)
            messages(two, 0.3)
            refused += loop(one, "sync_state")
            refused += loop(two, "presence")
            for member in members:
                member.leave()
            assert server.metric(LIMITED, scope="state") == refused


def test_types_of_the_canonical_dialect_are_counted():
    """messages in lobbies and backends' rooms are counted by the types that the kind knows, and all others as one (R9)"""
    types = {"lobby": ("action", "chat", "sync_state", "ping", "auth"),
             "relay": ("chat", "sync_state", "presence", "ping", "auth")}
    with Server("--message-rate", "0", env=test_backend.ENV) as server:
        for kind, one, _ in two_in_each(server):
            for times, name in enumerate(types[kind], 1):
                for _ in range(times):
                    say(one, {"type": name, "payload": {"t0": 1, "message": "hi", "move": "sit", "token": "x"}})
            for number in range(3):  # with the five bad tokens that makes eight; the ninth would be the last
                say(one, {"type": f"type{number}"})
            assert messages(one, 0.5)[1] is None
            for times, name in enumerate(types[kind], 1):
                assert server.metric("ringcast_messages_received_total", kind=kind, type=name) == times, (kind, name)
            assert server.metric("ringcast_messages_received_total", kind=kind, type="unknown") == 3
        assert "type2" not in server.get("/metrics").body.decode()
