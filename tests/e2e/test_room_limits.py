"""tests/e2e/test_room_limits.py: how often members of a room may do what others pay for, against the default
configuration: chat, state, coming and going (THREATS.md R8, R9, R11)."""
import json
import re
import time

from harness import Server, wait_until
from rawclient import CLOSE, TEXT, Ended
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
            for number in range(500):
                say(client, {"type": f"type{number}", "correlation_id": f"c{number}"})
                expect_event(client, "unsupported", "error")
        name, body = "ringcast_messages_received_total", server.get("/metrics").body.decode()
        counts = {kind: server.metric(name, kind="avalon", type=kind) for kind in ("chat", "sync_state", "unknown")}
        assert counts == {"chat": 1, "sync_state": 1, "unknown": 501}, counts
        assert "type123" not in body and len(body.splitlines()) < 1000


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
