"""tests/e2e/test_world.py: the shared world, by the contract's transcript and by pilots who come,
see each other, race and cheat (CONTRACT S4; THREATS.md A14, A16, G6, G8 to G11, R3, R10, D22, D23)."""
import contextlib
import json
import re
import signal
import tempfile
import time

from harness import Server, free_port, request, wait_until
from pilots import ENV, UNTURNED, Pilot, expect_closed, hear, say, token_for
from rawclient import BINARY, TEXT, Client, Refused

UP = 60  # above what is built


def world(*options, **env):
    """A server whose world has a listener of its own."""
    port = free_port()
    server = Server("--world-listen", f"127.0.0.1:{port}", *options, env=ENV | env)
    server.world = port
    return server


# ---- the listener

def test_transcript():
    """the contract's transcript of S4, message by message (S4-8 to S4-13, D23)"""
    with world("--workers", "2") as server:
        assert request(server.world, "GET", "/anything").status == 404
        with Client(server.world, "/ws") as client:
            say(client, "auth", {"token": token_for("ann")})
            result = hear(client)
            assert result["type"] == "auth_result" and set(result["payload"]) == {"success", "spawnPoint"}, result
            spawn = result["payload"]["spawnPoint"]
            assert result["payload"]["success"] is True and set(spawn) == {"x", "y", "z"}, result
            seed = hear(client)
            assert seed["type"] == "world_seed" and seed["payload"]["persistent"] is False, seed
            assert {"seed", "chunkSize", "lod"} <= set(seed["payload"]), seed

            def expect(kind):
                while (message := hear(client))["type"] != kind:
                    pass
                return message["payload"]

            say(client, "player_update", {"position": spawn | {"y": spawn["y"] + 3}, "rotation": UNTURNED,
                                          "mode": "flying"})
            deadline = time.monotonic() + 2
            while (update := expect("world_state_update"))["entities"][0]["mode"] != "flying":
                assert time.monotonic() < deadline
            assert set(update) == {"cell", "entities", "timestamp"}, update
            entity, = update["entities"]
            assert entity == {"id": "ann", "position": spawn | {"y": entity["position"]["y"]}, "rotation": UNTURNED,
                              "mode": "flying", "velocity": {"x": 0, "y": 0, "z": 0}}, entity
            assert abs(update["timestamp"] / 1000 - time.time()) < 5, update
            say(client, "chunk_request", {"tiles": [{"x": 0, "z": 0, "lod": "near"}]})
            tile, = expect("chunk_meta")["tiles"]
            assert (tile["x"], tile["z"], tile["lod"]) == (0, 0, "near") and {"hash", "biomeHint"} <= set(tile), tile
        with Pilot(server.world, "bob") as bob:
            bob.fly({"x": 20, "y": bob.at["y"] + 2, "z": 4})
            bob.say("start_race", {"routeId": "r1"})
            event = bob.expect("race_event")
            assert (event["event"], event["routeId"], event["data"]) == ("countdown", "r1", {"countdown": 3}), event


def test_listener():
    """the world's listener answers nothing but the upgrade at /ws, in one line (S4-N4)"""
    with world() as server:
        for path in ("/", "/ws/", "/ws/kart/x", "/ws/world", "/api/rooms", "/metrics", "/healthz", "/echo"):
            response = request(server.world, "GET", path)
            assert response.status == 404 and b"\n" not in response.body, (path, response.body)
        assert request(server.world, "POST", "/ws").status == 405
        assert request(server.port, "GET", "/ws/world").status == 404
        try:
            Client(server.world, "/ws", headers=["Origin: https://evil.example"])
            raise AssertionError("a foreign origin was let in (D7)")
        except Refused as refused:
            assert refused.response.status == 403
    with Server("--dev", env=ENV) as server, Pilot(server.port, "ann", "/ws/world") as ann:
        ann.until(lambda: "ann" in ann.shown)


# ---- who comes in

def test_first_message():
    """whoever says anything else first is gone with 4401, and so is a bad token, at once (A14, D22)"""
    with world("--jwt-leeway", "0") as server:
        firsts = [b"{}", b"nonsense", b'{"type":"player_update","payload":{}}', b'{"type":"auth"}',
                  b'{"type":"auth","payload":{"token":5}}', b'{"type":"auth","payload":{"token":""}}',
                  b'{"type":"auth","payload":{"token":"%s"}}' % token_for("ann", secret="x" * 40).encode(),
                  b'{"type":"auth","payload":{"token":"%s"}}' % token_for("ann", seconds=-5).encode(),
                  b'{"type":"auth","payload":{"token":"%s"}}' % token_for("ann", room="elsewhere").encode()]
        for first in firsts:
            with Client(server.world, "/ws") as client:
                client.send(TEXT, first)
                result = hear(client)
                assert result["type"] == "auth_result" and result["payload"]["success"] is False, (first, result)
                assert set(result["payload"]["error"]) == {"code", "message"}, result
                expect_closed(client, 4401, "unauthorized")
        with Client(server.world, "/ws") as client:
            client.send(BINARY, b"\0")
            expect_closed(client, 1003, "binary_message")


def test_silence():
    """who shows no token in time is gone with 4408, who was told nothing before (A14, R3)"""
    with world("--world-auth", "400ms") as server, Client(server.world, "/ws") as client:
        begun = time.monotonic()
        expect_closed(client, 4408, "auth_timeout")
        assert 0.35 < time.monotonic() - begun < 2


def test_default_deadline():
    """without an option a token must come within 10 s (A14)"""
    with world() as server, Client(server.world, "/ws") as client:
        begun = time.monotonic()
        client.timeout = 15
        frame = client.read_frame(12)
        assert frame.payload[:2] == (4408).to_bytes(2, "big"), frame
        assert 9.5 < time.monotonic() - begun < 11.5


def test_strangers():
    """of connections without a token only so many are kept; those who bring one come in (R3)"""
    with world("--world-unauthenticated", "3", "--workers", "1") as server:
        idle = [Client(server.world, "/ws") for _ in range(5)]
        for client in idle[:2]:
            expect_closed(client, 1013, "overloaded")
        with Pilot(server.world, "ann") as ann:
            ann.until(lambda: "ann" in ann.shown)
        say(idle[4], "auth", {"token": token_for("bob")})
        assert hear(idle[4])["payload"]["success"] is True
        for client in idle:
            client.socket.close()


def test_spellings():
    """who says C2S_AUTH is spoken to in that spelling, also where others are not (C18)"""
    with world() as server, Pilot(server.world, "ann") as ann, Pilot(server.world, "bob", sibling=True) as bob:
        for pilot in (ann, bob):
            pilot.until(lambda: {"ann", "bob"} <= set(pilot.shown))
        bob.say("world_chunk_request", {"tiles": [{"x": 0, "z": 0, "lod": "far"}]})
        assert bob.expect("world_chunk_meta")["tiles"][0]["lod"] == "far"
        bob.say("no_such_thing")
        assert set(bob.expect("error")) == {"code", "message"}
        say(bob.client, "interact", {"kioskId": "nowhere"})  # either spelling is understood
        assert bob.expect("error")["code"] == "no_such_kiosk"


def test_refresh():
    """a second auth of the same sub refreshes, one of another ends with 4403, a bad one with 4401 (A16, C16)"""
    with world("--jwt-leeway", "0", "--token-warning", "2s") as server:
        with Pilot(server.world, "ann", seconds=4) as ann:
            expiring = ann.expect("auth_expiring")
            assert expiring["expiresAt"] > time.time() * 1000
            ann.say("auth", {"token": token_for("ann", 3600)})
            assert ann.expect("auth_result")["refreshed"] is True
            ann.look(expiring["expiresAt"] / 1000 + 0.5 - time.time())
            ann.say("auth", {"token": token_for("eve")})
            assert ann.expect("error")["code"] == "wrong_player"
            expect_closed(ann.client, 4403, "wrong_player")
        with Pilot(server.world, "bob", seconds=2) as bob:
            assert bob.expect("error")["code"] == "token_expired"
            expect_closed(bob.client, 4401, "token_expired")
        with Pilot(server.world, "cid") as cid:
            cid.say("auth", {"token": "rubbish"})
            assert cid.expect("auth_result")["success"] is False
            expect_closed(cid.client, 4401, "unauthorized")
        with Pilot(server.world, "dot") as dot:
            for _ in range(8):
                dot.say("auth", {"token": token_for("dot")})
            assert dot.expect("error")["code"] == "too_many_tokens"
            frame = next(iter(lambda: dot.client.read_frame(5), None))
            while frame.opcode != 8:
                frame = dot.client.read_frame(5)
            assert frame.payload[:2] == (4429).to_bytes(2, "big"), frame


def test_one_connection():
    """the newer connection of a player wins, and the place is kept through a blip"""
    with world("--world-leave", "2s", "--workers", "2") as server, Pilot(server.world, "bob") as bob:
        with Pilot(server.world, "ann") as first:
            bob.until(lambda: "ann" in bob.known)
            first.fly({"x": 0, "y": 40, "z": 0})
            with Pilot(server.world, "ann") as second:
                assert second.at == {"x": 0, "y": 40, "z": 0}, second.at
                expect_closed(first.client, 4409, "replaced")
                second.until(lambda: "bob" in second.shown)
        bob.look(0.5)
        with Pilot(server.world, "ann") as third:
            assert third.at == {"x": 0, "y": 40, "z": 0}
            bob.look(0.5)
        assert "ann" in bob.known
        bob.until(lambda: "ann" not in bob.known)  # away for longer
        with Pilot(server.world, "ann") as fourth:
            assert fourth.at != {"x": 0, "y": 40, "z": 0}


# ---- who sees whom

def test_enter_and_leave():
    """two see each other come and go, each exactly once, and nothing of who is far (S4-4, S4-12, G11)"""
    with world("--workers", "2") as server:
        with Pilot(server.world, "ann") as ann, Pilot(server.world, "bob") as bob:
            for pilot in (ann, bob):
                pilot.until(lambda: {"ann", "bob"} <= set(pilot.shown))
                pilot.fly({"x": 0, "y": UP, "z": 0})
            seen = []
            for x in (-60, -230, -60):
                bob.fly({"x": x, "y": UP, "z": 0}, speed=30)
                bob.look(0.2)
                ann.look(0.3)
                assert ("bob" in ann.known) == ("ann" in bob.known), x
                seen.append("bob" in ann.known)
            assert seen == [True, False, True], seen
            ann.look(0.3)
            assert abs(ann.shown["bob"]["position"]["x"] - bob.at["x"]) < 5, ann.shown


def test_presence():
    """who is here is told in numbers, and by name to who asks (S4-2)"""
    with world("--world-leave", "100ms") as server, Pilot(server.world, "ann") as ann:
        assert ann.expect("presence") == {"online": 1, "zones": {"lobby": 1, "world": 0, "race": 0}}
        with Pilot(server.world, "bob") as bob:
            while ann.expect("presence")["online"] != 2:
                pass
            ann.say("presence")
            while "players" not in (answer := ann.expect("presence")):
                pass
            assert sorted(player["id"] for player in answer["players"]) == ["ann", "bob"], answer
            bob.look(0.1)
        while ann.expect("presence")["online"] != 1:
            pass
        for _ in range(4):
            ann.say("presence")
        assert ann.expect("error")["code"] == "too_often"


def test_metrics():
    """how long ticks take is a histogram, and messages are counted by their type, in either spelling"""
    with world() as server, Pilot(server.world, "ann") as ann, Pilot(server.world, "bob", sibling=True) as bob:
        for pilot in (ann, bob):
            pilot.fly({"x": 0, "y": UP, "z": 0}, speed=28)
            pilot.say("nonsense")
        page, name = server.metrics(), "ringcast_tick_duration_seconds"
        assert page.types[name] == "histogram"
        samples = [(sample, labels, value) for sample, labels, value in page.samples
                   if sample.startswith(name) and labels["kind"] == "world"]
        buckets = [(float(labels["le"]), value) for sample, labels, value in samples if sample == name + "_bucket"]
        count, = (value for sample, _, value in samples if sample == name + "_count")
        total, = (value for sample, _, value in samples if sample == name + "_sum")
        assert buckets == sorted(buckets) and [value for _, value in buckets] == sorted(value for _, value in buckets)
        assert buckets[-1] == (float("inf"), count) and count == page.get("ringcast_ticks_total", kind="world") > 20
        assert 0 < total < count * 0.25, (total, count)
        received = {kind: page.get("ringcast_messages_received_total", kind="world", type=kind)
                    for kind in ("auth", "player_update", "unknown", "interact")}
        assert received["auth"] == 2 and received["unknown"] == 2 and received["interact"] == 0, received
        assert received["player_update"] > 20, received


# ---- chunks and kiosks

def test_chunks():
    """tiles come when they are asked for, the same for all, so many a message, and only in reach (S4-5, R10)"""
    with world() as server, Pilot(server.world, "ann") as ann, Pilot(server.world, "bob") as bob:
        tiles = [{"x": x, "z": z, "lod": "near"} for x in range(-4, 4) for z in range(-4, 4)]
        answers = []
        for pilot in (ann, bob):
            pilot.say("chunk_request", {"tiles": tiles})
            got = []
            while len(got) < len(tiles):
                got += pilot.expect("chunk_meta")["tiles"]
            answers.append(got)
        assert answers[0] == answers[1]
        assert [(tile["x"], tile["z"]) for tile in answers[0]] == [(tile["x"], tile["z"]) for tile in tiles]
        assert len({tile["hash"] for tile in answers[0]}) == len(tiles)
        ann.say("chunk_unload", {"tiles": tiles[:2]})
        for wanted, code in ((tiles + tiles[:1], "bad_message"), ([{"x": 500, "z": 0, "lod": "near"}], "out_of_reach"),
                             ([{"x": 2**31 - 1, "z": -2**31, "lod": "far"}], "out_of_reach"),
                             ([{"x": 0, "z": 0, "lod": "close"}], "bad_message"), ([], "bad_message")):
            ann.say("chunk_request", {"tiles": wanted})
            assert ann.expect("error")["code"] == code, wanted[:1]
        for _ in range(7):
            ann.say("chunk_request", {"tiles": tiles})
        assert ann.expect("error")["code"] == "too_many_chunks"


def test_kiosks():
    """a kiosk answers who is near, and nobody else (S4-3)"""
    with world() as server, Pilot(server.world, "ann") as ann:
        ann.fly({"x": 0, "y": ann.at["y"] + 2, "z": 12})
        ann.say("interact", {"kioskId": "welcome"})
        answer = ann.expect("kiosk")
        assert answer["kioskId"] == "welcome" and answer["answer"].startswith("Welcome"), answer
        ann.fly({"x": 0, "y": UP, "z": 60})
        ann.say("interact", {"kioskId": "welcome"})
        assert ann.expect("error")["code"] == "too_far"
        ann.say("interact", {"kioskId": "none"})
        assert ann.expect("error")["code"] == "no_such_kiosk"


# ---- cheats

def test_teleport():
    """who jumps is put back, and who goes on jumping is gone with 4403 (S4-7, G6)"""
    with world() as server, Pilot(server.world, "ann") as ann, Pilot(server.world, "bob") as bob:
        for pilot in (ann, bob):
            pilot.fly({"x": 0, "y": UP, "z": 0})
        far = {"x": 400, "y": UP, "z": 400}
        bob.update(far)
        correction = bob.expect("correction")
        assert set(correction) == {"position", "rotation", "reason"}, correction
        assert correction["position"] == {"x": 0, "y": UP, "z": 0} and correction["reason"] == "too_far", correction
        ann.until(lambda: "bob" in ann.shown)
        ann.look(0.3)
        assert abs(ann.shown["bob"]["position"]["x"]) < 1, ann.shown["bob"]  # nobody else saw it
        while not bob.heard("error"):
            bob.update(far)
            with contextlib.suppress(TimeoutError):
                bob.until(lambda: bob.heard("error"), 0.3)
        assert bob.heard("error") == [{"code": "cheat", "message": "too_far"}], bob.log
        expect_closed(bob.client, 4403, "cheat")
        wait_until(lambda: server.log_text().count("reason=too_far") >= 5, 5, "each strike is in the log")


def test_hops():
    """a flood of small hops is no faster than one long way (G6)"""
    with world() as server, Pilot(server.world, "ann") as ann:
        ann.fly({"x": 0, "y": UP, "z": 0})
        begun, corrections = time.monotonic(), []
        for i in range(1, 150):
            ann.update({"x": -3.0 * i, "y": UP, "z": 0})  # 120 m/s
            ann.look(0.02)
            corrections = ann.heard("correction")
            if corrections:
                break
        assert corrections and corrections[0]["reason"] == "too_far"
        allowed = 30 * 1.2 * (time.monotonic() - begun + 6.5)
        assert -corrections[0]["position"]["x"] <= allowed, (corrections[0], allowed)


def test_lag():
    """who was silent for a while and then says all its steps at once has not cheated (G7)"""
    with world("--message-rate", "400") as server, Pilot(server.world, "ann") as ann:
        ann.fly({"x": 0, "y": UP, "z": 0})
        ann.look(3)
        for i in range(1, 61):
            ann.update({"x": -1.25 * i, "y": UP, "z": 0})
        ann.until(lambda: ann.shown["ann"]["position"]["x"] == -75)
        assert not ann.heard("correction")


def test_impossible_places():
    """places that are no places, walls, and turns that are none are refused (G9, G10, D26)"""
    with world() as server, Pilot(server.world, "ann") as ann:
        ann.fly({"x": 0, "y": UP, "z": 0})
        below = {"x": 0, "y": -60, "z": 0}
        cases = [({"x": 1e308, "y": UP, "z": 0}, UNTURNED, None), (below, UNTURNED, None),
                 ({"x": 0, "y": 1e9, "z": 0}, UNTURNED, None),
                 (ann.at, {"x": 0, "y": 0, "z": 0, "w": 0}, "bad_rotation"),
                 (ann.at, {"x": 3, "y": 0, "z": 0, "w": 1}, "bad_rotation")]
        for position, rotation, reason in cases:
            ann.update(position, rotation=rotation)
            correction = ann.expect("correction")
            assert correction["position"] == ann.at, correction
            assert reason is None or correction["reason"] == reason, correction
        for broken in ({"position": {"x": 1, "y": 2}, "rotation": UNTURNED, "mode": "flying"},
                       {"position": ann.at, "rotation": UNTURNED, "mode": "swimming"},
                       {"position": ann.at, "mode": "flying"}, {"position": [1, 2, 3]}):
            ann.say("player_update", broken)
            assert ann.expect("error")["code"] == "bad_message", broken
        ann.client.send(TEXT, b'{"type":"player_update","payload":{"position":{"x":NaN,"y":0,"z":0}}}')
        assert ann.expect("error")["code"] == "bad_message"


# ---- races

def point(x, z, y=10):
    return {"x": x, "y": y, "z": z}


FLAT = {"seed": 7, "bounds": {"min": point(-300, -300, -10), "max": point(300, 300, 100)},
        "terrain": {"base": 0, "amplitude": 0, "wavelength": 100, "roughness": 0, "octaves": 1},
        "solids": [{"min": point(-40, -20, -5), "max": point(-39, 20, 30)}],
        "spawns": [point(0, 0, 0)],
        "kiosks": [{"id": "start", "position": point(0, 0, 0), "range": 5, "route": "round", "answer": "Go."}],
        "routes": [{"id": "round", "start": {"position": point(20, 0), "radius": 6}, "laps": 1, "racers": 4,
                    "countdownS": 3, "timeoutMs": 20000,
                    "checkpoints": [{"position": point(50, 0), "radius": 5},
                                    {"position": point(50, 30), "radius": 5},
                                    {"position": point(20, 30), "radius": 5}]}]}


def flat_world(folder, *options, **changes):
    path = folder + "/world.json"
    with open(path, "w") as file:
        json.dump(FLAT | changes, file)
    return world("--world", path, *options)


def until_event(pilot, name, seconds=10):
    """The first race event of that name, whether it has come already or comes now."""
    deadline = time.monotonic() + seconds
    while True:
        for event in pilot.heard("race_event"):
            if event["event"] == name:
                return event
        pilot.read(deadline - time.monotonic())


def test_race():
    """two race: held until go, checkpoints count in their order only, places and times agree (S4-6, G8)"""
    with tempfile.TemporaryDirectory() as folder, flat_world(folder, "--workers", "2") as server:
        with Pilot(server.world, "ann") as ann, Pilot(server.world, "bob") as bob, Pilot(server.world, "cid") as cid:
            ann.say("start_race", {"routeId": "nowhere"})
            assert ann.expect("error")["code"] == "no_such_route"
            for pilot in (ann, bob):
                pilot.fly(point(20, 0))
                pilot.say("start_race", {"routeId": "round"})
            until_event(ann, "joined")
            ann.say("start_race", {"routeId": "round"})
            assert ann.expect("error")["code"] == "already_racing"
            ann.update(point(40, 0))
            assert ann.expect("correction")["reason"] == "false_start"
            until_event(ann, "go")
            assert [event["data"]["countdown"] for event in ann.heard("race_event") if event["event"] == "countdown"] == [3, 2, 1]
            for place in (point(20, 20), point(50, 30), point(50, 0), point(50, 30), point(20, 30)):
                ann.fly(place, speed=28)
            assert until_event(ann, "finish")["data"]["place"] == 1
            for place in (point(50, 0), point(50, 30), point(20, 30)):
                bob.fly(place, speed=28)
            results = until_event(bob, "results")["data"]["results"]
            assert [(entry["playerId"], entry["place"], entry["state"]) for entry in results] == [
                ("ann", 1, "finished"), ("bob", 2, "finished")], results
            assert until_event(ann, "results")["data"]["results"] == results
            rejected = [event["data"] for event in ann.heard("race_event") if event["event"] == "rejected"]
            assert {(event["checkpoint"], event["why"]) for event in rejected} == {(1, "skipped")}, rejected
            passed = [event["data"] for event in ann.heard("race_event")
                      if event["event"] == "checkpoint" and event["data"]["playerId"] == "ann"]
            assert [event["checkpoint"] for event in passed] == [0, 1, 2], passed
            assert [event["timeMs"] for event in passed] == sorted(event["timeMs"] for event in passed)
            assert passed[-1]["timeMs"] == results[0]["timeMs"], (passed, results)
            assert until_event(cid, "results")["data"]["results"] == results  # who stands by sees it, too


def test_walls():
    """nobody goes through a wall between two samples, nor into the ground (S4-7, G9)"""
    with tempfile.TemporaryDirectory() as folder, flat_world(folder) as server, Pilot(server.world, "ann") as ann:
        ann.fly(point(-36, 0))
        ann.update(point(-43, 0))
        correction = ann.expect("correction")
        assert correction["reason"] == "through_solid" and correction["position"] == point(-36, 0), correction
        ann.update(point(-39.5, 0))
        assert ann.expect("correction")["reason"] == "inside_solid"
        ann.update(point(-36, 0, -4))
        assert ann.expect("correction")["reason"] in ("underground", "through_ground")
        ann.update(point(-36, 1))
        ann.until(lambda: ann.shown["ann"]["position"] == point(-36, 1))


def test_file():
    """a world that makes no sense is refused at start, with line and column"""
    with tempfile.TemporaryDirectory() as folder:
        server = Server("--world", folder + "/none.json", ready=False, env=ENV)
        assert server.wait_exit(5) == 78 and "none.json cannot be read" in server.log_text(), server.log_text()
        server.stopped = True
        path = folder + "/bad.json"
        with open(path, "w") as file:
            json.dump(FLAT | {"spawns": []}, file, indent=1)
        server = Server("--world", path, ready=False, env=ENV)
        code, said = server.wait_exit(5), server.log_text()
        assert code == 78 and re.search(r"line \d\d+, column \d+: spawns", said), said
        server.stopped = True


def test_reload():
    """SIGHUP has the world read again where that is safe; where it is not, or it is wrong, it stays as it was"""
    with tempfile.TemporaryDirectory() as folder, flat_world(folder, "--workers", "2") as server:
        def reload(**changes):
            with open(folder + "/world.json", "w") as file:
                json.dump(FLAT | changes, file)
            server.process.send_signal(signal.SIGHUP)

        def answer(pilot):
            pilot.say("interact", {"kioskId": "start"})
            return pilot.expect("kiosk")["answer"]

        def logged(words, count=1):
            wait_until(lambda: server.log_text().count(words) >= count, 5, lambda: server.log_text()[-2000:])

        with Pilot(server.world, "ann") as ann:
            assert answer(ann) == "Go."
            kiosk, = FLAT["kiosks"]
            for i in range(5):
                reload(kiosks=[kiosk | {"answer": f"Go {i}."}])
                logged("event=world_reloaded", i + 1)
                assert answer(ann) == f"Go {i}."
            reload(seed=8)
            logged("event=world_kept")
            reload(spawns=[])
            logged("event=reload_failed")
            reload(interest={"radius": 60, "leaveRadius": 70})
            logged("event=world_kept", 2)
            assert answer(ann) == "Go 4."
            ann.fly(point(20, 0))
            ann.say("start_race", {"routeId": "round"})
            ann.expect("race_event")
            reload(routes=[], kiosks=[])
            logged("there are races")
