"""perf/selftest.py --bench PATH --micro PATH --server PATH: sees that ringcast-bench measures, and that it
forgives nothing, and that ringcast-micro and the commands of run.py measure at all.

Small servers of our own push states every 100 ms, each with one habit: late, slow, dropping, or
breaking one rule. The bench must find exactly that, and find nothing where all is right. Those of one
kind run at the same time. The last line is `the load client and the single measurements: N passed, N failed`.
"""
import argparse
import asyncio
import json
import pathlib
import struct
import tempfile
import time

import frames
import selftest_chat
import selftest_micro
import selftest_peers
import selftest_scenarios
import selftest_send
import selftest_world
from frames import close, header, text

TICK = 0.1
CLIENTS = 3
SECONDS = 2
DUE = CLIENTS * SECONDS * 10
TRIES = 3  # of a case that fails: what else the machine does can make anybody late


class Habit:
    """A server that does everything right; the cases below change one thing each."""
    sentence = "a server that does everything right passes"
    exit_code = 0
    fault = None  # a part of the sentence that the bench must say

    def __init__(self):
        self.clients = []
        self.pongs = []
        self.odd = None    # the number of the state around which habits show, once the window has begun
        self.behind = []   # seconds by which each state was sent later than it should have been

    # What may be changed

    def accept(self, key):
        return frames.accept_of(key)

    def late(self, sequence):
        """Seconds from the due time to the encode."""
        return 0.0

    def payload(self, stamp, sequence, index):
        return b'{"phase":"idle","pot":0,"time_remaining_ms":0,"t":%d,"s":%d}' % (stamp, sequence)

    def wire(self, stamp, sequence, index):
        """The bytes of this state for one client; None leaves it out."""
        return text(self.payload(stamp, sequence, index))

    async def send(self, writer, data):
        writer.write(data)

    def slack(self):
        """Nanoseconds by which this server itself was late: that is no fault of the bench's."""
        return sorted(self.behind)[len(self.behind) * 9 // 10] * 1e9

    def judge(self, report):
        assert report["delivered"] == report["due"] == DUE, (report["delivered"], report["due"])
        assert report["faults"] == [] and report["gaps"] == 0 and report["closed"] == []
        assert report["ticks_seen"] == report["ticks_due"] == SECONDS * 10

    # What is the same for all

    async def serve(self, reader, writer):
        index = len(self.clients)
        self.clients.append(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            key = frames.fields_of(head)[b"sec-websocket-key"]
            writer.write(frames.switching(self.accept(key)))
            ticking = asyncio.create_task(self.push(index, writer))
            try:
                await self.listen(reader, writer)
            finally:
                ticking.cancel()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def listen(self, reader, writer):
        while True:
            first, payload = await frames.read_frame(reader)
            if first == 0x8A:
                self.pongs.append(payload)
            if first == 0x88:
                writer.write(header(0x88, len(payload)) + payload)
                return

    async def push(self, index, writer):
        """All clients of a server share one grid; what they get is the same, made anew."""
        sequence = int((time.monotonic() - self.start) / TICK)
        await self.send(writer, text(Habit.payload(self, self.stamp(sequence), sequence, index)))
        while True:
            sequence += 1
            due = self.start + sequence * TICK + self.late(sequence)
            await asyncio.sleep(due - time.monotonic())
            self.behind.append(time.monotonic() - due)
            data = self.wire(self.stamp(sequence), sequence, index)
            if data is not None:
                await self.send(writer, data)

    def stamp(self, sequence):
        return int((self.start + sequence * TICK + self.late(sequence)) * 1e9)

    async def run(self, bench, folder):
        self.start = time.monotonic() - 10 * TICK  # the room has been there for a while
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        path = pathlib.Path(folder) / f"{port}.json"
        process = await asyncio.create_subprocess_exec(
            bench, "--server", f"127.0.0.1:{port}", "--clients", str(CLIENTS), "--tick", "100ms",
            "--seconds", str(SECONDS), "--json", path, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT)
        try:
            output = await asyncio.wait_for(self.listen_to(process), 30)
        except BaseException:
            process.kill()
            raise
        finally:
            server.close()
        end = "\n".join(output.splitlines()[-12:])
        assert process.returncode == self.exit_code, f"exit code {process.returncode}:\n{end}"
        assert self.fault is None or self.fault in output, f"not said: {self.fault}\n{end}"
        if process.returncode != 2:
            self.judge(json.loads(path.read_text()))


    async def listen_to(self, process):
        """All that the bench says. From the third state of its window on, habits show."""
        output = ""
        while line := (await process.stdout.readline()).decode():
            output += line
            if "measuring" in line:
                self.odd = int((time.monotonic() - self.start) / TICK) + 3
        await process.wait()
        return output


class Broken(Habit):
    """Does one wrong thing, once, to one client; the fault must be named."""
    exit_code = 1

    def wrong(self, stamp, sequence, index):
        raise NotImplementedError

    def wire(self, stamp, sequence, index):
        if index == 1 and sequence == self.odd:
            return self.wrong(stamp, sequence, index)
        return super().wire(stamp, sequence, index)

    def judge(self, report):
        assert not report["kept"]
        assert len(report["faults"]) == 1 or self.fault is None, report["faults"]


def breaking(sentence, fault, make):
    """A case of Broken whose wrong bytes are `make(payload)`."""
    def wrong(self, stamp, sequence, index):
        return make(self.payload(stamp, sequence, index))
    return type("Breaking", (Broken,), {"sentence": sentence, "fault": fault, "wrong": wrong})


class InPieces(Habit):
    sentence = "states that come byte by byte are put together"

    async def send(self, writer, data):
        for byte in data:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)  # a send of its own


class Together(Habit):
    sentence = "two frames in one send are both read, and a ping between them is answered"

    def wire(self, stamp, sequence, index):
        ping = header(0x89, 4) + b"beat"
        return ping + text(self.payload(stamp, sequence, index)) + ping

    def judge(self, report):
        super().judge(report)
        assert report["pings_answered"] >= 2 * DUE, report["pings_answered"]
        assert len(self.pongs) >= 2 * DUE and set(self.pongs) == {b"beat"}


class Long(Habit):
    sentence = "a state of 4,096 bytes and other than ASCII is read"

    def payload(self, stamp, sequence, index):
        short = super().payload(stamp, sequence, index)[:-1] + ',"pad":"€'.encode()
        return short + b"x" * (4096 - len(short) - 2) + b'"}'


class Slow(Habit):
    sentence = "30 ms from the encode to the send are found"

    async def send(self, writer, data):
        await asyncio.sleep(0.03)
        writer.write(data)

    def judge(self, report):
        super().judge(report)
        assert 30e6 <= report["latency_ns"]["p50"] < 60e6 + self.slack(), report["latency_ns"]


class Late(Habit):
    sentence = "ticks that are encoded 40 ms late are late, however fast they are sent then"

    def late(self, sequence):
        return 0.04 if sequence % 2 else 0.0

    def judge(self, report):
        super().judge(report)
        assert report["latency_ns"]["p50"] < 20e6 + self.slack(), report["latency_ns"]
        assert report["lateness_ns"]["p90"] >= 39e6, report["lateness_ns"]


class Steered(Habit):
    """The bench is asked for two windows, and the state in the first that one client lacks is no loss
    of the second."""
    sentence = "a steered client measures one window for each line, each from nothing"
    exit_code = 1

    def wire(self, stamp, sequence, index):
        lacking = index == 1 and sequence == self.lacking
        return None if lacking else super().wire(stamp, sequence, index)

    async def run(self, bench, folder):
        self.start, self.lacking = time.monotonic() - 10 * TICK, 0
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            bench, "--steered", "--server", f"127.0.0.1:{port}", "--clients", str(CLIENTS), "--tick",
            "100ms", "--seconds", str(SECONDS), stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        try:
            async with asyncio.timeout(30):
                while b"asking" not in await process.stderr.readline():
                    pass
                self.lacking = int((time.monotonic() - self.start) / TICK) + 5
                windows = [await self.window(process) for _ in range(2)]
                process.stdin.close()
                output = (await process.stdout.read()).decode()
                code = await process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            server.close()
        assert [report["delivered"] for report in windows] == [DUE - 1, DUE], windows
        assert [report["lateness_ns"]["count"] for report in windows] == [DUE - 1, DUE], windows
        assert [report["fewest"] for report in windows] == [DUE // CLIENTS - 1, DUE // CLIENTS]
        assert [report["states_missed"] for report in windows] == [1, 1], "the sum of both"
        assert (output, code) == ("", 1), (output, code)

    async def window(self, process):
        process.stdin.write(b"\n")
        lines = [await process.stdout.readline()]
        while lines[-1] != b"}\n":
            lines.append(await process.stdout.readline())
            assert lines[-1], "the bench ended"
        return json.loads(b"".join(lines))


class LeavesTicksOut(Habit):
    sentence = "ticks that nobody gets are due all the same"
    exit_code = 1

    def late(self, sequence):
        return TICK if self.odd is not None and sequence > self.odd else 0.0

    def judge(self, report):
        assert report["ticks_seen"] == report["ticks_due"] - 1, report["ticks_seen"]
        assert report["delivered"] == DUE - CLIENTS and report["gaps"] == 0
        assert report["lateness_ns"]["p50"] < 50e6 + self.slack(), report["lateness_ns"]


class Gap(Broken):
    sentence = "a state that one client does not get is a gap and lowers the reach"

    def wrong(self, stamp, sequence, index):
        return None

    def judge(self, report):
        assert (report["gaps"], report["states_missed"]) == (1, 1), report["gaps"]
        assert report["delivered"] == DUE - 1 and report["fewest"] == DUE // CLIENTS - 1
        assert report["faults"] == []


class Twice(Broken):
    sentence = "a state that comes twice is a fault and one delivery"
    fault = "a state came twice"

    def wrong(self, stamp, sequence, index):
        return 2 * text(self.payload(stamp, sequence, index))

    def judge(self, report):
        super().judge(report)
        assert report["delivered"] == DUE


class Older(Broken):
    sentence = "an older state after a newer one is a fault"
    fault = "an older state followed"

    def wrong(self, stamp, sequence, index):
        old = text(self.payload(self.stamp(sequence - 2), sequence - 2, index))
        return old + text(self.payload(stamp, sequence, index))


class EncodedTwice(Broken):
    sentence = "one state that was encoded at two times is a fault"
    fault = "encoded at two times"

    def wrong(self, stamp, sequence, index):
        return text(self.payload(stamp - 1000, sequence, index))


class ClosesOne(Broken):
    sentence = "a client that is closed is told of with its code and reason"

    def wrong(self, stamp, sequence, index):
        return close(4508, b"slow_consumer")

    def judge(self, report):
        assert report["closed"] == [{"code": 4508, "count": 1, "reason": "slow_consumer"}]
        assert report["stayed"] == CLIENTS - 1 and report["reach"] < 1


class TalksAfterClose(Broken):
    sentence = "a frame after the close frame is a fault"
    fault = "followed the close frame"

    def wrong(self, stamp, sequence, index):
        return close(1012) + text(self.payload(stamp, sequence, index))


class HangsUp(Broken):
    sentence = "a stream that ends without a close frame is 1006"

    async def send(self, writer, data):
        if data == b"hang up":
            writer.close()
        elif not writer.is_closing():
            writer.write(data)

    def wrong(self, stamp, sequence, index):
        return b"hang up"

    def judge(self, report):
        assert [(end["code"], end["count"]) for end in report["closed"]] == [(1006, 1)]


class WrongAccept(Habit):
    sentence = "a wrong Sec-WebSocket-Accept is refused"
    exit_code = 2
    fault = "without the right Sec-WebSocket-Accept"

    def accept(self, key):
        return super().accept(key + b" ")


class NoStamp(Habit):
    sentence = "states without a stamp cannot be measured"
    exit_code = 2
    fault = "start the server with --kart-stamp"

    def payload(self, stamp, sequence, index):
        return b'{"phase":"idle"}'

    async def push(self, index, writer):
        while True:
            await self.send(writer, text(self.payload(0, 0, index)))
            await asyncio.sleep(TICK)


def flip(data):
    return data[:5] + b"\xFF" + data[6:]


CASES = [
    Habit, InPieces, Together, Long, Slow, Late, Steered, LeavesTicksOut, Gap, Twice, Older, EncodedTwice,
    ClosesOne, TalksAfterClose, HangsUp, WrongAccept, NoStamp,
    breaking("a masked frame is broken", "(§5.1)",
             lambda p: bytes([0x81, 0x80 | len(p)]) + bytes(4) + p),
    breaking("a reserved bit is broken", "a reserved bit", lambda p: b"\xC1" + text(p)[1:]),
    breaking("a reserved opcode is broken", "a reserved opcode", lambda p: b"\x83" + text(p)[1:]),
    breaking("a fragment is broken", "a fragment", lambda p: b"\x01" + text(p)[1:]),
    breaking("a length in too many bytes is broken", "in the fewest bytes",
             lambda p: struct.pack(">BBH", 0x81, 126, len(p)) + p),
    breaking("a length in eight bytes that needs two is broken", "in the fewest bytes",
             lambda p: struct.pack(">BBQ", 0x81, 127, len(p)) + p),
    breaking("a ping of more than 125 bytes is broken", "more than 125 bytes",
             lambda p: header(0x89, 126) + bytes(126)),
    breaking("a text that is not UTF-8 is broken", "not UTF-8", lambda p: text(flip(p))),
    breaking("a close code that may not be sent is broken", "may not be sent",
             lambda p: close(1005)),
    breaking("a binary message is a fault", "a binary message",
             lambda p: b"\x82" + text(p)[1:] + text(p)),
    breaking("JSON with something behind it is a fault", "not a flat JSON object",
             lambda p: text(p + b" ") + text(p)),
    breaking("a pong that nobody asked for is a fault", "a pong came",
             lambda p: header(0x8A, 0) + text(p)),
    breaking("a stamp from the future is a fault", "later than it arrived",
             lambda p: text(p.replace(b'"t":', b'"t":9'))),
]


async def fault_of(case, program, folder):
    """What it did wrong; None when nothing."""
    try:
        await case().run(program, folder)
    except (AssertionError, asyncio.TimeoutError, OSError, ValueError, KeyError) as error:
        return str(error or repr(error))[:4000]


async def judge_all(cases, program, folder):
    """(how many passed, how many failed). All at the same time; who fails is tried again alone, because a case
    that forgives what is wrong forgives it each time, and a machine that is busy is not busy each time."""
    faults = await asyncio.gather(*(fault_of(case, program, folder) for case in cases))
    failed = 0
    for case, fault in zip(cases, faults):
        for _ in range(TRIES - 1):
            if fault is None:
                break
            print(f"again, alone: {case.sentence}: {fault.splitlines()[0][:200]}", flush=True)
            fault = await fault_of(case, program, folder)
        if fault is not None:
            failed += 1
            print(f"FAILED {case.sentence}: {fault}", flush=True)
    return len(cases) - failed, failed


async def main():
    parser = argparse.ArgumentParser()
    for option in ("--bench", "--micro", "--server"):
        parser.add_argument(option, required=True, type=lambda path: pathlib.Path(path).resolve())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        passed, failed = 0, 0
        for cases, program in ((CASES, arguments.bench), (selftest_chat.CASES, arguments.bench),
                               (selftest_send.CASES, arguments.bench), (selftest_peers.CASES, arguments.bench),
                               (selftest_world.CASES, arguments.bench), (selftest_micro.CASES, arguments.micro),
                               ([*selftest_scenarios.CASES, *selftest_peers.COMMANDS], vars(arguments))):  # one group must not slow another
            counts = await judge_all(cases, program, folder)
            passed, failed = passed + counts[0], failed + counts[1]
    print(f"the load client and the single measurements: {passed} passed, {failed} failed")
    return 0 if failed == 0 else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
