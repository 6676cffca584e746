"""tests/e2e/test_world_hostile.py: those who mean no good to the world, and files that are none (THREATS.md A14, R1, R3, G4, G7, G8,
G11, G14, O3)."""
import contextlib
import json
import pathlib
import signal
import socket
import tempfile
import time

from harness import alone, wait_until
from pilots import UNTURNED, Closed, Pilot, expect_closed, hear, say, token_for
from rawclient import TEXT, Client, Ended
from test_tokens import SECRET as KEY_SECRET, digits, make
from test_world import FLAT, UP, flat_world, point, until_event, world


def longest_wait(pilot, seconds):
    """The longest time from one update to the next."""
    last, worst, until = time.monotonic(), 0.0, time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(TimeoutError):
            if pilot.read(0.5)[0] == "world_state_update":
                worst, last = max(worst, time.monotonic() - last), time.monotonic()
    return max(worst, time.monotonic() - last)


@alone
def test_flood_of_strangers():
    """hundreds who come with bad tokens, with none, or with nonsense, are gone, and who is there sees no pause (A14, R3)"""
    with world("--workers", "2", "--world-unauthenticated", "50", "--jwt-leeway", "0") as server:
        bad = b'{"type":"auth","payload":{"token":"%s"}}' % token_for("eve", secret="x" * 40).encode()
        old = b'{"type":"auth","payload":{"token":"%s"}}' % token_for("eve", seconds=-60).encode()
        with Pilot(server.world, "ann") as ann:
            ann.until(lambda: "ann" in ann.shown)
            silent = [Client(server.world, "/ws") for _ in range(60)]
            worst, closes = 0.0, {}
            for round_ in range(40):
                clients = []
                for first in (bad, old, b"{}", b"\xf0\x9f\x92\xa9", b'{"type":"player_update"}', bad):
                    clients.append(Client(server.world, "/ws"))
                    clients[-1].send(TEXT, first)
                for client in clients:
                    with contextlib.suppress(Ended), client:
                        assert hear(client)["payload"]["success"] is False
                        frame = client.read_frame(5)
                        code = int.from_bytes(frame.payload[:2], "big")
                        closes[code] = closes.get(code, 0) + 1
                worst = max(worst, longest_wait(ann, 0.06))
            assert closes == {4401: 240}, closes
            assert worst < 1, f"{worst:.2f} s without an update"
            for client in silent:
                client.socket.close()
            server.wait_metric(1, "ringcast_members", kind="world")
            assert server.metric("ringcast_tokens_refused_total") == 40 * 3
            assert set(ann.known) == {"ann"}


def test_full():
    """when all places are taken the next one is told so and gone with 1013; those who are away keep theirs for a while (G4)"""
    with world("--world-players", "2", "--world-leave", "500ms") as server:
        with Pilot(server.world, "ann") as ann, contextlib.ExitStack() as stack:
            bob = stack.enter_context(Pilot(server.world, "bob"))
            ann.until(lambda: "bob" in ann.known)

            def knock():
                client = stack.enter_context(Client(server.world, "/ws"))
                say(client, "auth", {"token": token_for("cid")})
                return client, hear(client)["payload"]

            client, answer = knock()
            assert answer["success"] is False and answer["error"]["code"] == "world_full", answer
            expect_closed(client, 1013, "overloaded")
            bob.client.socket.shutdown(socket.SHUT_RDWR)
            client, answer = knock()
            assert answer["error"]["code"] == "world_full", answer
            ann.until(lambda: "bob" not in ann.known)
            client, answer = knock()
            assert answer["success"] is True, answer


@alone
def test_slow_reader():
    """one who reads nothing delays nobody, misses updates of cells and nothing else, and sees the newest once it reads (R1,
    S4-12)"""
    with world("--world-walkers", "600", "--send-buffer", "16KiB", "--not-sent-low", "4KiB") as server:
        slow = Client(server.world, "/ws", receive_buffer=4096)
        say(slow, "auth", {"token": token_for("slow")})
        assert hear(slow)["payload"]["success"] is True
        with slow, Pilot(server.world, "ann") as ann:
            ann.until(lambda: {"ann", "slow"} <= set(ann.shown), 10)
            worst = longest_wait(ann, 4)
            assert worst < 1, f"{worst:.2f} s without an update"
            wait_until(lambda: server.metric("ringcast_dropped_total", policy="conflate", reason="slow") > 20, 10,
                       "updates are left out")
            assert server.metric("ringcast_outbox_bytes") < 2 * 1024 * 1024
            known, newest, until = set(), 0, time.monotonic() + 10
            while newest < time.time() * 1000 - 700:
                assert time.monotonic() < until, "it never sees what is new"
                message = hear(slow)
                ids = [entity["id"] for entity in message["payload"].get("entities", [])]
                if message["type"] == "entity_enter":
                    assert not known & set(ids), "entered twice"
                    known |= set(ids)
                elif message["type"] == "entity_leave":
                    assert known >= set(ids), "left without having entered"
                    known -= set(ids)
                elif message["type"] == "world_state_update":
                    newest = message["payload"]["timestamp"]
                    assert known >= set(ids), "shown without having entered"
            assert server.metric("ringcast_disconnects_total", reason="slow_consumer") == 0


def test_files_that_are_none():
    """SIGHUP while the world's file is gone, a folder, empty, far too large, or cut: each is told, and the world stays (O3)"""
    with tempfile.TemporaryDirectory() as folder, flat_world(folder) as server, Pilot(server.world, "ann") as ann:
        path = pathlib.Path(folder, "world.json")
        good = path.read_text()

        def is_told(number):
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: len(server.log_lines(event="reload_failed")) == number, 5, server.log_text)
            ann.say("interact", {"kioskId": "start"})
            assert ann.expect("kiosk")["answer"] == "Go."
            return server.log_lines(event="reload_failed")[-1]["why"]

        path.unlink()
        assert "No such file" in is_told(1)
        path.mkdir()
        assert "cannot be read" in is_told(2)
        path.rmdir()
        number = 2
        for text, words in (("", "line 1"), (" " * (1024 * 1024 + 1), "too large"), (good[:-1], "line 1, column"),
                            ("\ufeff" + good, "line 1"), (good + good, "line 1"), ("[" * 100_000, "line 1"),
                            (good.replace("{", '{"seed": 7, ', 1), "line 1"), ("\0" + good, "line 1"),
                            (json.dumps(FLAT | {"routes": [FLAT["routes"][0], FLAT["routes"][0]]}, indent=1), "routes[1].id"),
                            (json.dumps(FLAT | {"bounds": {"min": point(-1e9, 0, 0), "max": point(1, 1, 1)}}), "bounds"),
                            (json.dumps(FLAT, indent=1).replace('"laps": 1', '"laps": 1e99'), "laps")):
            number += 1
            path.write_text(text)
            said = is_told(number)
            assert words in said, (text[:40], said)
        path.write_text(good)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.log_lines(event="world_reloaded"), 5, "what is right is taken")


def test_key_file():
    """the world's first message may be signed by a key of --jwt-keys, after SIGHUP by another; aud and iss are looked at (S4-2,
    A11)"""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        def write(kid):
            key = {"kty": "oct", "alg": "HS256", "kid": kid, "k": digits(KEY_SECRET.encode())}
            file.seek(0)
            file.truncate()
            json.dump({"keys": [key]}, file)
            file.flush()

        def answer(claims, kid="one"):
            with Client(server.world, "/ws") as client:
                token = make({"sub": "ann", "exp": int(time.time()) + 600, "aud": "authenticated"} | claims,
                             secret=KEY_SECRET, kid=kid)
                say(client, "auth", {"token": token})
                result = hear(client)["payload"]
                return "good" if result["success"] else result["error"]["code"]

        write("one")
        with world("--jwt-keys", file.name, "--jwt-audience", "authenticated", SUPABASE_JWT_SECRET="") as server:
            assert answer({}) == "good"
            assert answer({"aud": "others"}) not in ("good", "bad_signature")
            assert answer({}, kid="two") != "good"
            write("two")
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: server.log_lines(event="keys_reloaded"), 5, server.log_text)
            assert answer({}, kid="two") == "good"
            assert answer({"sub": ""}, kid="two") != "good"
            assert answer({"sub": 7}, kid="two") != "good"
            assert answer({"sub": "a\u0000b"}, kid="two") != "good"
            assert answer({"sub": "x" * 65}, kid="two") != "good"


def test_never_finished():
    """who gives up, drops for good, or takes too long has not finished, and the results say how; two races at once (S4-6, G8)"""
    route = FLAT["routes"][0] | {"timeoutMs": 6000, "countdownS": 1}
    other = route | {"id": "other", "start": {"position": point(-20, 0), "radius": 6}}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        server = stack.enter_context(flat_world(folder, "--world-leave", "300ms", routes=[route, other]))
        ann, bob, cid, dot = (stack.enter_context(Pilot(server.world, name)) for name in ("ann", "bob", "cid", "dot"))
        dot.fly(point(-20, 0))
        for pilot in (ann, bob, cid):
            pilot.fly(point(20, 0))
        for pilot, name in ((ann, "round"), (bob, "round"), (cid, "round"), (dot, "other")):
            pilot.say("start_race", {"routeId": name})
        until_event(ann, "go")
        bob.say("leave_race")
        cid.client.socket.shutdown(socket.SHUT_RDWR)
        results = until_event(ann, "results", 12)
        outs = {event["data"]["playerId"]: event["data"]["why"] for event in ann.heard("race_event")
                if event["event"] == "out" and event["routeId"] == "round"}
        assert outs == {"ann": "timed_out", "bob": "left", "cid": "left"}, outs
        states = {entry["playerId"]: entry["state"] for entry in results["data"]["results"]}
        assert states == outs and results["routeId"] == "round", results
        theirs = until_event(dot, "results", 12)
        while theirs["routeId"] != "other":
            dot.read(10)
            theirs = [event for event in dot.heard("race_event") if event["event"] == "results"][-1]
        assert [entry["playerId"] for entry in theirs["data"]["results"]] == ["dot"], theirs
        assert theirs["raceId"] != results["raceId"]


def test_too_much_at_once():
    """a message that asks for a million tiles is too large to be read, and one that says a million things is none (R10, F18)"""
    with world() as server:
        for text in (json.dumps({"type": "chunk_request", "payload": {"tiles": [{"x": 0, "z": 0, "lod": "near"}] * 10 ** 5}}),
                     '{"type":"player_update","payload":{"position":{"x":' + "1" * 10 ** 6 + "}}}"):
            with Pilot(server.world, "ann") as ann, contextlib.suppress(ConnectionError, BrokenPipeError):
                ann.client.send(TEXT, text.encode())
                expect_closed(ann.client, 1009, "message_too_big")
        with Pilot(server.world, "ann") as ann:
            tiles = [{"x": 0, "z": 0, "lod": "far"}] * 60  # the same one again and again is as many
            for _ in range(7):
                ann.say("chunk_request", {"tiles": tiles})
            assert ann.expect("error")["code"] == "too_many_chunks"


@alone
def test_suspended():
    """a server that stood still for two seconds counts the ticks that it missed and makes up for none; who flew on meanwhile has
    not cheated, and a countdown goes on where the clock is (G7, G14)"""
    with tempfile.TemporaryDirectory() as folder, flat_world(folder) as server, Pilot(server.world, "ann") as ann:
        ann.fly(point(20, 0))
        ann.say("start_race", {"routeId": "round"})
        assert until_event(ann, "countdown")["data"] == {"countdown": 3}
        ticks = server.metric("ringcast_ticks_total", kind="world")
        missed = server.metric("ringcast_tick_overruns_total", kind="world")
        server.process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        for step in range(1, 21):
            ann.update(point(20, 0, 10 + 0.2 * step))
            time.sleep(0.1)
        server.process.send_signal(signal.SIGCONT)
        ann.until(lambda: ann.shown["ann"]["position"]["y"] == 14)
        took = time.monotonic() - begun
        assert not ann.heard("correction")
        assert server.metric("ringcast_tick_overruns_total", kind="world") - missed >= 30
        assert server.metric("ringcast_ticks_total", kind="world") - ticks < (took - 2) * 20 + 15
        until_event(ann, "go", 4)
        said = [event["data"]["countdown"] for event in ann.heard("race_event") if event["event"] == "countdown"]
        assert said in ([3, 1], [3, 2, 1]), said


def test_after_the_end():
    """who was sent away says nothing more to the world, however much it sends in one go (G6, D22)"""
    with world("--message-rate", "0") as server, Pilot(server.world, "bob") as bob:
        bob.until(lambda: "bob" in bob.shown)
        with Client(server.world, "/ws") as client:
            say(client, "auth", {"token": token_for("eve", secret="x" * 40)})
            for _ in range(50):
                with contextlib.suppress(OSError):
                    say(client, "auth", {"token": token_for("eve")})
                    say(client, "player_update", {"position": point(0, 0, UP), "rotation": UNTURNED, "mode": "flying"})
            answers = []
            with contextlib.suppress(Closed, Ended, ConnectionError):
                while True:
                    answers.append(hear(client))
            assert len(answers) == 1 and answers[0]["payload"]["success"] is False, answers
        bob.look(0.3)
        assert set(bob.known) == {"bob"}
