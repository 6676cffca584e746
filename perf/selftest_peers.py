"""perf/selftest_peers.py: the cases of selftest.py about `ringcast-bench broadcast`, the bare loop beside which peers
are measured."""
import asyncio
import base64
import contextlib
import json
import os
import pathlib
import signal
import socket
import struct
import tempfile

from peers import FLOOR, OURS
from selftest_scenarios import Command

MEASURED_SECONDS = 60  # on a busy machine


class Broadcast:
    """The bare loop, and what is to be found at it."""
    sentence = "the bare loop sends each state to all of its room, whole and of the size that was asked for"
    tick, payload, burst = 100, 300, 1

    async def run(self, bench, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            bench, "broadcast", "--server", f"127.0.0.1:{self.port}", "--tick", f"{self.tick}ms", "--payload",
            str(self.payload), "--burst", str(self.burst), "--clients", "20", stderr=asyncio.subprocess.PIPE)
        try:
            assert b"listening" in await process.stderr.readline()
            async with asyncio.timeout(MEASURED_SECONDS):
                heard = await self.meet(bench, folder)
            assert process.returncode is None, "the bare loop has ended"
            process.send_signal(signal.SIGTERM)
            said = (await process.stderr.read()).decode()
            assert said == f"heard {heard}\n" and await process.wait() == 0, said
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def meet(self, bench, folder):
        """A crowd of ringcast-bench's. A tick that a busy machine lets it miss is missed by all of a room."""
        with tempfile.TemporaryDirectory(dir=folder) as own:
            path = pathlib.Path(own) / "report.json"
            crowd = await asyncio.create_subprocess_exec(
                bench, "--server", f"127.0.0.1:{self.port}", "--path", "/room/#", "--rooms", "4", "--clients", "12",
                "--tick", f"{self.tick // self.burst}ms", "--seconds", "1", "--json", path,
                stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL)
            await crowd.wait()
            report = json.loads(path.read_text())
        assert report["faults"] == [] and report["closed"] == [] and report["gaps"] == 0, report
        assert report["goodbyes_answered"] == report["stayed"] == 12, report
        assert 0 < report["delivered"] == report["ticks_seen"] * 3, report
        sent = report["bytes_per_second"] * report["window_ns"] / 1e9
        assert sent == report["delivered"] * (4 + self.payload), report
        return 0


async def read_frame(reader):
    """(first byte, payload) of a server's frame of up to 65,535 bytes."""
    first, size = await reader.readexactly(2)
    assert size <= 126, "a server's frame is not masked (RFC 6455 §5.1)"
    if size == 126:
        size, = struct.unpack(">H", await reader.readexactly(2))
    return first, await reader.readexactly(size)


class Burst(Broadcast):
    sentence = "the bare loop makes several states a tick"
    tick, burst = 20, 4

    async def meet(self, bench, folder):
        heard = await super().meet(bench, folder)
        async with self.member() as (reader, _):
            states = [json.loads((await read_frame(reader))[1]) for _ in range(3 * self.burst)]
        spans = [later["t"] - earlier["t"] for earlier, later in zip(states, states[1:])]
        between = spans.pop(7) + spans.pop(3)
        assert states[0]["s"] % 4 == 1 and between > 10e6, (between, spans)
        return heard

    @contextlib.asynccontextmanager
    async def member(self):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(f"GET /room/1 HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        try:
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            yield reader, writer
        finally:
            writer.close()


def masked(first, payload):
    key = os.urandom(4)
    return bytes([first, 0x80 | len(payload)]) + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


class Hears(Burst):
    sentence = "the bare loop answers pings and goodbyes, and counts what else it hears"
    burst = 1

    async def meet(self, bench, folder):
        async with self.member() as (reader, writer):
            writer.write(masked(0x81, b"one") + masked(0x89, b"beat") + masked(0x81, b"two"))
            while (frame := await read_frame(reader))[0] == 0x81:
                pass
            assert frame == (0x8A, b"beat"), frame
            writer.write(masked(0x81, b"three") + masked(0x88, b"\x03\xe8"))
            while (frame := await read_frame(reader))[0] == 0x81:
                pass
            assert frame == (0x88, b"\x03\xe8"), frame
        return 3


class PassesOver(Burst):
    sentence = "who does not read misses whole states of the bare loop's, and keeps nobody"
    tick, payload, burst = 1, 20_000, 3

    async def meet(self, bench, folder):
        async with self.member() as (slow, _), self.member() as (quick, _):
            slow._transport.pause_reading()
            for _ in range(600):
                await read_frame(quick)
            slow._transport.resume_reading()
            numbers = []
            while len(numbers) < 3 or numbers[-1] <= numbers[-2] + 1:  # until there is a gap
                first, text = await read_frame(slow)
                assert first == 0x81 and len(text) == self.payload, (first, len(text))
                numbers.append(json.loads(text)["s"])
            assert all(earlier < later for earlier, later in zip(numbers, numbers[1:])), numbers
        return 0


class Peers(Command):
    """How much is lost on a busy machine does not matter here."""
    sentence = "peers measures a bare loop and a peer beside ringcast"

    def words(self, _, folder):
        return ["peers", "burst", "say", "--clients", 20, "--rounds", 1, "--seconds", 1, "--only", OURS, "--only", FLOOR,
                "--only", "node ws", "--json", folder / "peers.json"]

    async def run(self, programs, folder):
        code, said = await self.ask(programs, *self.words(programs, pathlib.Path(folder)))
        assert code in (0, 1), f"exit code {code}: {said}"
        for name, load in json.loads((pathlib.Path(folder) / "peers.json").read_text())["loads"].items():
            assert {OURS, FLOOR} <= set(load["servers"]), said
            for server in load["servers"].values():
                [window] = server["windows"]
                assert window["faults"] == window["closed"] == [] and window["delivered"] > 0, (name, window)
            cost = load["summary"][OURS]["cost / floor"]
            assert 0 < cost[0] < 100 and "not heard" not in said, said


CASES = [Broadcast, Burst, Hears, PassesOver]
COMMANDS = [Peers]
