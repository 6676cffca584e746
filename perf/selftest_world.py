"""perf/selftest_world.py: worlds for selftest.py in which three players walk and two walkers stand.
Each server has one habit, which `ringcast-bench world` must find."""
import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import time

import frames
from selftest_chat import SECRET, Case

PLAYERS, WALKERS, SHARE = 3, 2, 6
TICK = 0.1
TICKS = 10   # of a window
ODD = 18     # the tick after everybody has come in at which habits show; about the middle of the window
SPAWN = {"x": 20, "y": 60, "z": 20}
UNTURNED = {"x": 0, "y": 0, "z": 0, "w": 1}
STILL = {"x": 0, "y": 0, "z": 0}


def player_id(number):
    return f"5f0c3e1a-7b2d-4c6e-9a41-{number:012}"


def as_text(message):
    return frames.text(json.dumps(message, separators=(",", ":")).encode())


def said(kind, **payload):
    return {"type": kind, "payload": payload}


def ids(*names):
    return [{"id": name} for name in names]


class World(Case):
    sentence = "a world that tells each player what is near passes, and is counted"
    line = b"walk\n"

    def __init__(self):
        self.writers, self.places, self.tick, self.ticking = {}, {}, 0, None

    def command(self, bench, folder, port):
        return [bench, "world", "--server", f"127.0.0.1:{port}", "--clients", PLAYERS, "--walkers", WALKERS,
                "--share", SHARE, "--tick", f"{TICK * 1000:.0f}ms", "--seconds", 1, "--corner", "0,0", "--side", 40,
                "--spread", 10, "--flying", 50, "--step", "100ms"]

    def judge(self, report):
        assert report["kept"] and report["short"] == 0 and report["closed"] == [], report
        assert report["delivered"] == report["made"] == PLAYERS * report["ticks_seen"] > 0, report
        assert report["ticks_due"] == TICKS and report["said"] == PLAYERS * TICKS, report
        assert report["entities"] == (PLAYERS + WALKERS) * report["delivered"], report
        assert report["cells"] == 2 * report["delivered"] and report["bytes"] > 900 * report["delivered"], report

    # What may be changed

    def odd(self, number, messages):
        """What one player is told in the odd tick, in place of `messages`."""
        return messages

    odd_player = 1

    def welcome(self, number):
        return [said("auth_result", success=True, spawnPoint=SPAWN),
                said("world_seed", seed=7, chunkSize=64, tickMs=100, persistent=False)]

    def goodbye(self, number):
        return frames.close(1000)

    # ---- the server

    def check(self, number, token):
        """RFC 7515 §5.2, HS256."""
        signed, _, signature = token.rpartition(".")
        right = hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest()
        assert base64.urlsafe_b64encode(right).rstrip(b"=").decode() == signature, token
        claims = json.loads(base64.urlsafe_b64decode(signed.split(".")[1] + "=="))
        assert claims["exp"] > time.time(), claims
        return int(claims["sub"].removeprefix(player_id(0)[:24]))

    def sight(self, name, place):
        return {"id": name, "position": place, "mode": "walking"}

    def entity(self, name, place):
        return {"id": name, "position": place, "rotation": UNTURNED, "mode": "walking", "velocity": STILL}

    def walker_place(self, number):
        return {"x": -5 - number, "y": 60.5, "z": 3}

    def everybody(self):
        return {**{player_id(i): place for i, place in sorted(self.places.items())},
                **{f"walker-{i}": self.walker_place(i) for i in range(WALKERS)}}

    def cells(self, now_ms):
        here = self.everybody()
        return [said("world_state_update", cell=cell, timestamp=now_ms, entities=[
                    self.entity(name, place) for name, place in here.items() if name.startswith("walker") == far])
                for cell, far in (("0,0", False), ("-1,0", True))]

    async def tell(self):
        """Each tick, once all have come in."""
        begun = time.monotonic()
        for number in self.writers:
            self.write(number, [said("entity_enter", entities=[self.sight(*one) for one in self.everybody().items()])])
        while True:
            self.tick += 1
            cells = self.cells(int(time.time() * 1000))
            for number in list(self.writers):
                odd = self.tick == ODD and number == self.odd_player
                self.write(number, self.odd(number, cells) if odd else cells)
            await asyncio.sleep(max(begun + self.tick * TICK - time.monotonic(), 0))

    def write(self, number, messages):
        for message in messages:
            self.writers[number].write(message if isinstance(message, bytes) else as_text(message))

    async def serve(self, reader, writer):
        await self.accept(reader, writer)
        first, payload = await frames.read_frame(reader)
        auth = json.loads(payload)
        assert (first, auth["type"], list(auth)) == (0x81, "auth", ["type", "payload"]), payload
        number = self.check(0, auth["payload"]["token"])
        self.writers[number], self.places[number] = writer, SPAWN
        self.write(number, self.welcome(number))
        if len(self.writers) == PLAYERS:
            self.ticking = asyncio.create_task(self.tell())
        while (await self.hear(number, *await frames.read_frame(reader))):
            pass
        del self.writers[number]
        if not self.writers:
            self.ticking.cancel()
        writer.write(self.goodbye(number))

    async def hear(self, number, first, payload):
        if first == 0x88:
            return False
        message = json.loads(payload)
        assert message["type"] == "player_update", message
        told = message["payload"]
        before, self.places[number] = self.places[number], told["position"]
        hop = sum((told["position"][axis] - before[axis]) ** 2 for axis in "xyz") ** 0.5
        speed = sum(told["velocity"][axis] ** 2 for axis in "xyz") ** 0.5
        most = {"walking": 5, "flying": 50}[told["mode"]]
        assert hop <= most * 0.1 + 0.003 and abs(speed - hop * 10) < 0.05, message
        assert abs(sum(part ** 2 for part in told["rotation"].values()) - 1) < 0.01, message
        assert all(0 <= told["position"][axis] <= 40 for axis in "xz"), message
        return True

    @contextlib.asynccontextmanager
    async def listening(self):
        async with super().listening() as port:
            yield port
        if self.ticking is not None:
            self.ticking.cancel()


class Habit(World):
    exit_code = 1

    def judge(self, report):
        assert not report["kept"], report


def odd(sentence, fault, change):
    """A case that tells player 1 `change(cells, all cells of the world's case)` in the odd tick."""
    return type("Odd", (Habit,), {"sentence": sentence, "fault": fault,
                                  "odd": lambda self, number, messages: change(messages)})


def changed(messages, cell, change):
    """The same with one cell changed; the others' messages stay as they are."""
    copy = json.loads(json.dumps(messages))
    change(copy[cell]["payload"])
    return copy


def move(entities, by):
    entities[0]["position"]["x"] += by


class NeverEntered(Habit):
    sentence = "an entity in an update that has not entered is a fault"
    fault = "had not entered"

    def everybody(self):
        here = super().everybody()
        if self.tick == 0:  # what is told on entering
            del here["walker-1"]
        return here


class LeavesOut(Habit):
    sentence = "somebody in sight who is left out of an update is missed"
    fault = None

    def cells(self, now_ms):
        cells = super().cells(now_ms)
        if self.tick == ODD:
            cells[1]["payload"]["entities"].pop()
        return cells

    def judge(self, report):
        super().judge(report)
        assert report["short"] == PLAYERS and report["delivered"] == report["made"], report


class LosesUpdate(World):
    sentence = "an update that does not come is not counted as delivered"

    def odd(self, number, messages):
        return []

    def judge(self, report):
        assert not report["kept"] and report["delivered"] == report["made"] - 1, report


class Astray(Habit):
    sentence = "a player who is told of where it has not been is a fault"
    fault = "where it has not been"

    def cells(self, now_ms):
        cells = super().cells(now_ms)
        if self.tick == ODD:
            cells[0] = json.loads(json.dumps(cells[0]))
            move(cells[0]["payload"]["entities"], 0.001)
        return cells


class Crowded(Habit):
    sentence = "a cell of more entities than its share is a fault"
    fault = "more entities than its share"

    def command(self, bench, folder, port):
        return [PLAYERS - 1 if word == SHARE else word for word in super().command(bench, folder, port)]


class TooSoon(Habit):
    sentence = "who is told of the world before it was let in is a fault"
    fault = "before it was let in"

    def welcome(self, number):
        entering = said("entity_enter", entities=[self.sight("walker-0", STILL)])
        leaving = said("entity_leave", entities=ids("walker-0"))
        return ([entering, leaving] if number == 1 else []) + super().welcome(number)


class Closed(Habit):
    sentence = "a player who is closed is told of"

    def odd(self, number, messages):
        return [frames.close(4403, b"cheat")]

    def goodbye(self, number):
        return b"" if number == self.odd_player else super().goodbye(number)

    def write(self, number, messages):
        if self.tick <= ODD or number != self.odd_player:
            super().write(number, messages)

    def judge(self, report):
        super().judge(report)
        assert report["closed"] == [{"code": 4403, "count": 1, "reason": "cheat"}], report["closed"]


class Room(Case):
    sentence = "a room of states passes, whose members say the same and are told as much"
    line = b"still\n"

    def __init__(self):
        self.writers, self.ticking, self.number, self.heard = [], None, 0, 0

    def command(self, bench, folder, port):
        return [*World().command(bench, folder, port), "--room"]

    def stamp(self, number, index):
        return (self.at, number)

    async def tell(self):
        begun = time.monotonic()
        while True:
            self.number += 1
            self.at = time.monotonic_ns()
            for index, writer in enumerate(self.writers):
                at, number = self.stamp(self.number, index)
                writer.write(frames.text(b'{"t":%d,"s":%d}' % (at, number)))
            await asyncio.sleep(max(begun + self.number * TICK - time.monotonic(), 0))

    async def serve(self, reader, writer):
        await self.accept(reader, writer)
        self.writers.append(writer)
        if self.ticking is None:
            self.ticking = asyncio.create_task(self.tell())
        while (await frames.read_frame(reader))[0] != 0x88:
            self.heard += 1
        self.writers.remove(writer)
        writer.write(frames.close(1000))
        if not self.writers:
            self.ticking.cancel()

    def judge(self, report):
        assert report["kept"] and report["delivered"] == report["made"] == PLAYERS * report["ticks_seen"], report
        assert report["due"] == PLAYERS * TICKS and abs(report["ticks_seen"] - TICKS) <= 1, report
        assert self.heard == report["said"] == 0, report


class RoomTwice(Room):
    sentence = "a state of a room that was encoded at two times is a fault"
    exit_code = 1
    fault = "was encoded at two times"

    def stamp(self, number, index):
        return (self.at - (number == ODD and index == 1), number)

    def judge(self, report):
        assert not report["kept"]


CASES = [
    World, NeverEntered, LeavesOut, LosesUpdate, Astray, Crowded, TooSoon, Closed, Room, RoomTwice,
    odd("an entity that is told of after it left is a fault", "or had left",
        lambda cells: [said("entity_leave", entities=ids("walker-0")), *cells]),
    odd("an entity that enters twice is a fault", "in sight already",
        lambda cells: [said("entity_enter", entities=[{"id": "walker-0", "position": STILL, "mode": "flying"}]), *cells]),
    odd("an entity that leaves twice is a fault", "that was not in sight",
        lambda cells: [said("entity_leave", entities=ids("walker-0")), said("entity_leave", entities=ids("walker-0"))]),
    odd("a cell that two are told of in two ways is a fault", "differs from what others were told",
        lambda cells: changed(cells, 1, lambda cell: move(cell["entities"], 1))),
    odd("a cell that comes twice in a tick is a fault", "came twice", lambda cells: [*cells, cells[0]]),
    odd("an entity twice in a cell is a fault", "twice in one cell",
        lambda cells: changed(cells, 1, lambda cell: cell.update(
            timestamp=cell["timestamp"] + 1, entities=cell["entities"] + cell["entities"][:1]))),
    odd("an entity in two cells of a tick is a fault", "in two cells at once",
        lambda cells: [*cells, said("world_state_update", **cells[1]["payload"] | {"cell": "5,5"})]),
    odd("JSON that ends too soon is a fault", "not the JSON", lambda cells: [
        frames.text(json.dumps(cells[0], separators=(",", ":")).encode()[:-1]), cells[1]]),
    odd("an entity without a velocity is a fault", "not the JSON",
        lambda cells: changed(cells, 0, lambda cell: cell["entities"][0].pop("velocity"))),
    odd("a rotation that is none is a fault", "not the JSON",
        lambda cells: changed(cells, 0, lambda cell: cell["entities"][0].update(rotation=UNTURNED | {"w": 2}))),
    odd("a number that JSON does not have is a fault", "not the JSON",
        lambda cells: changed(cells, 0, lambda cell: cell["entities"][0]["position"].update(x=float("nan")))),
    odd("an id that nobody has is a fault", "that is not there",
        lambda cells: changed(cells, 1, lambda cell: cell.update(
            timestamp=cell["timestamp"] + 1, entities=[cell["entities"][0] | {"id": "walker-7"}]))),
    odd("a correction of who walks honestly is a fault", "was put back",
        lambda cells: [said("correction", position=SPAWN, rotation=UNTURNED, reason="too_far"), *cells]),
    odd("an error is a fault", "or refused", lambda cells: [said("error", code="bad_message", message="no"), *cells]),
    odd("a message that nobody has asked for is a fault", "of a type that nobody has asked for",
        lambda cells: [said("kiosk", kioskId="k"), *cells]),
    odd("an update of an earlier tick is a fault", "an older state",
        lambda cells: [*cells, *changed(cells, 1, lambda cell: cell.update(timestamp=cell["timestamp"] - 5))]),
    odd("a binary message is a fault", "a binary message", lambda cells: [b"\x82" + as_text(cells[0])[1:], cells[1]]),
]
