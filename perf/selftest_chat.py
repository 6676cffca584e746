"""perf/selftest_chat.py: servers for selftest.py in which people talk, or only come and go. Each has
one habit, which `ringcast-bench talk` or `knock` must find."""
import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import pathlib
import re
import tempfile

import frames

ROOMS, MEMBERS, PERIODS = 2, 3, 5
PERIOD = 0.1
DUE = ROOMS * MEMBERS * PERIODS
ODD = 3  # the message around which habits show: inside the window, and not the last of it
SECRET = "what the self-test signs with, 32 bytes"


async def next_window(process, line):
    """Asks for a window and returns its figures."""
    process.stdin.write(line)
    lines = [await process.stdout.readline()]
    while lines[-1] != b"}\n":
        lines.append(await process.stdout.readline())
        assert lines[-1], "the bench ended"
    return json.loads(b"".join(lines))


async def until_asking(process):
    said = b""
    while b"asking" not in said:
        line = await process.stderr.readline()
        assert line, f"the bench ended: {said.decode()}"
        said += line


class Case:
    """Runs the bench against `serve`; the cases below say how."""
    exit_code = 0
    fault = None  # a part of the sentence that the bench must say
    asked = False  # for a window; from then on
    line = b"\n"  # which asks for a window

    def command(self, bench, folder, port):
        raise NotImplementedError

    def judge(self, report):
        raise NotImplementedError

    async def accept(self, reader, writer):
        """(path, fields) of a client that was let in."""
        head = await reader.readuntil(b"\r\n\r\n")
        fields = frames.fields_of(head)
        writer.write(frames.switching(frames.accept_of(fields[b"sec-websocket-key"])))
        return head.split(b" ")[1].decode(), fields

    async def serve_one(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self.serve(reader, writer)
        writer.close()

    @contextlib.asynccontextmanager
    async def listening(self):
        """The port."""
        server = await asyncio.start_server(self.serve_one, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def run(self, bench, folder):
        with tempfile.TemporaryDirectory(dir=folder) as own:
            async with self.listening() as port:
                await self.ask(self.command(bench, pathlib.Path(own), port))

    async def ask(self, command):
        process = await asyncio.create_subprocess_exec(
            *map(str, command), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, env={"RINGCAST_JWT_SECRET": SECRET, "SUPABASE_JWT_SECRET": SECRET})
        try:
            async with asyncio.timeout(30):
                await until_asking(process)
                self.asked = True
                report = await next_window(process, self.line)
                process.stdin.close()
                said = (await process.stderr.read()).decode()
                code = await process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        assert code == self.exit_code, f"exit code {code}: {said} {report}"
        faults = str(report["faults"])
        assert self.fault is None or self.fault in faults, f"not said: {self.fault}: {faults}"
        assert self.fault is not None or report["faults"] == [], faults
        self.judge(report)


class Chat(Case):
    sentence = "a server in which people talk as they should passes, and each message is told from all others"

    def __init__(self):
        self.rooms = {room: {} for room in range(ROOMS)}
        self.waiting = set()

    def command(self, bench, folder, port):
        targets = folder / "targets"
        targets.write_text("".join(f"/{room}/{place} t{room}.{place}\n"
                                   for room in range(ROOMS) for place in range(MEMBERS)))
        return [bench, "talk", "--server", f"127.0.0.1:{port}", "--targets", targets, "--members", MEMBERS,
                "--period", f"{PERIOD * 1000:.0f}ms", "--periods", PERIODS, "--rate", 200]

    def event(self, room, place, message, correlation):
        said = {"type": "event", "event": "chat",
                "payload": {"player_id": f"{room}.{place}", "display_name": f"p{place}", "message": message,
                            "ts": 1795290761000}}
        return said | ({"correlation_id": correlation} if correlation else {})

    def wire(self, room, place, hearer, number, message, correlation):
        """What one member gets of a message; None leaves it out."""
        own = correlation if hearer == place else None
        return frames.text(json.dumps(self.event(room, place, message, own)).encode())

    def judge(self, report):
        assert report["kept"] and report["delivered"] == report["due"] == DUE, report
        assert report["said"] == ROOMS * PERIODS and report["fewest"] == PERIODS and report["gaps"] == 0
        assert report["latency_ns"]["count"] == DUE

    async def send(self, writer, data):
        writer.write(data)

    async def serve(self, reader, writer):
        path, fields = await self.accept(reader, writer)
        room, place = map(int, path[1:].split("/"))
        assert fields[b"authorization"] == f"Bearer t{room}.{place}".encode()
        writer.write(frames.text(b'{"type":"state","event":"room","payload":{"players":[{"present":true},'
                                 b'[1,-2.5e3,null,"\\u20ac\\n"]]}}'))
        self.rooms[room][place] = writer
        while True:
            first, payload = await frames.read_frame(reader)
            if first == 0x88:
                if place in self.rooms[room]:  # else this is the answer to ours
                    writer.write(frames.close(1000))
                return
            await self.hear(room, place, json.loads(payload))

    async def hear(self, room, place, said):
        assert said["type"] == "chat" and list(said) == ["type", "correlation_id", "payload"], said
        message = said["payload"]["message"]
        number = int(re.match(r"r\d+ n(\d+) t\d+ ", message)[1])
        assert (number % MEMBERS, f"c{number}") == (place, said["correlation_id"]), said
        for hearer, writer in list(self.rooms[room].items()):
            data = self.wire(room, place, hearer, number, message, said["correlation_id"])
            if data is not None:
                task = asyncio.create_task(self.send(writer, data))
                self.waiting.add(task)
                task.add_done_callback(self.waiting.discard)


class SlowChat(Chat):
    sentence = "30 ms from the due time of a message until it is heard are found"

    async def send(self, writer, data):
        await asyncio.sleep(0.03)
        writer.write(data)

    def judge(self, report):
        super().judge(report)
        assert report["latency_ns"]["p50"] >= 30e6, report["latency_ns"]


class OddChat(Chat):
    """Does one thing once, for one member."""
    exit_code = 1
    odd_hearer = 1  # number ODD is said by 0, so this is somebody else

    def odd(self, room, place, hearer, number, message, correlation):
        raise NotImplementedError

    def wire(self, room, place, hearer, number, message, correlation):
        if (room, hearer, number) == (1, self.odd_hearer, ODD):
            return self.odd(room, place, hearer, number, message, correlation)
        return super().wire(room, place, hearer, number, message, correlation)

    def judge(self, report):
        assert not report["kept"]


class LeavesOut(OddChat):
    sentence = "a chat message that one member does not hear is a gap, and not delivered"

    def odd(self, *_):
        return None

    def judge(self, report):
        super().judge(report)
        assert (report["delivered"], report["gaps"], report["missed"]) == (DUE - 1, 1, 1), report
        assert report["fewest"] == PERIODS - 1


class ClosesOneChat(OddChat):
    sentence = "a member who is closed while others talk is told of"

    def odd(self, room, place, hearer, *_):
        del self.rooms[room][hearer]
        return frames.close(4508, b"slow_consumer")

    def judge(self, report):
        super().judge(report)
        assert report["closed"] == [{"code": 4508, "count": 1, "reason": "slow_consumer"}], report["closed"]


def odd(sentence, fault, hearer, make):
    """A case whose wrong bytes are `make(event)`, for that member. Place 0 says number ODD."""
    def wrong(self, room, place, hearer, number, message, correlation):
        own = correlation if hearer == place else None
        return make(self.event(room, place, message, own))
    return type("Odd", (OddChat,), {"sentence": sentence, "fault": fault, "odd_hearer": hearer, "odd": wrong})


def as_text(event):
    return frames.text(json.dumps(event).encode())


def with_payload(event, **changes):
    return as_text(event | {"payload": event["payload"] | changes})


class Floor(Chat):
    sentence = "the bare loop gives what one says to all of its group, and to nobody else"

    ping = "0ms"

    def command(self, bench, folder, port):
        return [*super().command(bench, folder, self.port), "--bare"]

    def judge(self, report):
        super().judge(report)
        assert (report["pings_answered"] > 0) == (self.ping != "0ms"), report["pings_answered"]

    async def run(self, bench, folder):
        async with self.listening() as port:
            self.port = port
        process = await asyncio.create_subprocess_exec(
            bench, "floor", "--server", f"127.0.0.1:{self.port}", "--members", str(MEMBERS), "--clients",
            str(ROOMS * MEMBERS), "--ping", self.ping, stderr=asyncio.subprocess.PIPE)
        try:
            assert b"listening" in await process.stderr.readline()
            with tempfile.TemporaryDirectory(dir=folder) as own:
                await self.ask(self.command(bench, pathlib.Path(own), self.port))
            assert process.returncode is None, "the bare loop has ended"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class FloorPings(Floor):
    sentence = "the bare loop pings when it shall, and is answered"
    ping = "100ms"


class Knock(Case):
    sentence = "who comes with a token of its own, is greeted and leaves is counted, and each token is another"
    greeting = frames.text(b'{"type":"state"}')
    goodbye = frames.close(1000)

    def __init__(self):
        self.tokens, self.came = set(), 0

    def command(self, bench, folder, port):
        targets = folder / "targets"
        targets.write_text("".join(f"/{i} room{i} player{i} p{i}\n" for i in range(3)))
        return [bench, "knock", "--server", f"127.0.0.1:{port}", "--targets", targets, "--at-once", 4,
                "--seconds", 1]

    async def serve(self, reader, writer):
        path, fields = await self.accept(reader, writer)
        self.came += 1
        self.check(path, fields[b"authorization"].removeprefix(b"Bearer "))
        writer.write(self.greeting)
        while (await frames.read_frame(reader))[0] != 0x88:
            pass
        writer.write(self.goodbye)

    def check(self, path, token):
        """RFC 7515 §5.2, HS256."""
        signed, _, signature = token.rpartition(b".")
        right = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
        assert base64.urlsafe_b64encode(right).rstrip(b"=") == signature, token
        claims = json.loads(base64.urlsafe_b64decode(signed.split(b".")[1] + b"=="))
        number = path[1:]
        assert (claims["room_id"], claims["room_player_id"], claims["display_name"]) == (
            f"room{number}", f"player{number}", f"p{number}"), claims
        assert token not in self.tokens
        self.tokens.add(token)

    def judge(self, report):
        assert report["kept"] and report["faults"] == [] and report["closed"] == []
        assert report["came"] == report["greeted"] == report["left"] == self.came == len(self.tokens)
        assert 0 < report["handshakes"] < self.came


class WrongGreeting(Knock):
    sentence = "a first message that tells nothing of the room is a fault"
    exit_code = 1
    fault = "does not tell who is in the room"
    greeting = frames.text(b'{"type":"event"}')

    def judge(self, report):
        assert not report["kept"]


class NoGoodbye(Knock):
    sentence = "a goodbye that is not answered is missed"
    exit_code = 1
    goodbye = b""

    def judge(self, report):
        assert not report["kept"] and report["left"] == 0 and report["greeted"] == report["came"], report


CASES = [
    Chat, SlowChat, LeavesOut, ClosesOneChat, Floor, FloorPings, Knock, WrongGreeting, NoGoodbye,
    odd("a chat message that comes twice is a fault", "came twice", 1, lambda e: as_text(e) * 2),
    odd("a chat message of another room is a fault", "of another room", 1,
        lambda e: with_payload(e, message=e["payload"]["message"].replace("r1", "r0"))),
    odd("a chat message that was changed is a fault", "not as it was said", 1,
        lambda e: with_payload(e, message=e["payload"]["message"][:-1] + "!")),
    odd("a chat message of another time is a fault", "of another time", 1,
        lambda e: with_payload(e, message=re.sub(r"t(\d+)", lambda t: f"t{int(t[1]) - 10**6:0{len(t[1])}}",
                                                 e["payload"]["message"], count=1))),
    odd("a chat message that nobody said yet is a fault", "nobody said yet", 1,
        lambda e: with_payload(e, message=e["payload"]["message"].replace(f"n{ODD}", "n6", 1))),
    odd("a chat message that is cut is a fault", "another size", 1,
        lambda e: with_payload(e, message=e["payload"]["message"][:-1])),
    odd("a chat message under another's name is a fault", "under another's name", 1,
        lambda e: with_payload(e, display_name="p2")),
    odd("another's correlation_id is a fault", "a correlation_id that is another's", 1,
        lambda e: as_text(e | {"correlation_id": f"c{ODD}"})),
    odd("one's own chat message without its correlation_id is a fault", "without the correlation_id", 0,
        lambda e: as_text({key: value for key, value in e.items() if key != "correlation_id"})),
    odd("an error in place of a chat message is a fault", "answered with an error", 0,
        lambda e: as_text({"type": "error", "event": "rate_limited", "payload": {}})),
    odd("JSON that ends too soon is a fault", "a comma or an end is missing", 1,
        lambda e: frames.text(json.dumps(e).encode()[:-1])),
    odd("JSON with an escape that is none is a fault", "an escape that is none", 1,
        lambda e: frames.text(json.dumps(e).encode().replace(b'"p0"', b'"\\p0"'))),
    odd("JSON with a key twice is a fault", "a key twice", 1,
        lambda e: frames.text(json.dumps(e).encode().replace(b'"type"', b'"type": "event", "type"', 1))),
    odd("a binary chat message is a fault", "a binary message", 1,
        lambda e: b"\x82" + as_text(e)[1:]),
]
