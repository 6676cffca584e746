"""perf/selftest_send.py: servers for selftest.py that hear what clients say, give it back, ping, or compress. Each
has one habit, which `ringcast-bench send`, `knock --rate` or `--deflate` must find."""
import asyncio
import contextlib
import time
import zlib

import frames
from selftest_chat import Case, Knock

CLIENTS, EVERY, SECONDS = 4, 0.05, 1
DUE = round(CLIENTS * SECONDS / EVERY)
ODD = 9  # the message around which habits show: inside the window, and not the last of it
TICK = 0.05
DEFLATE = b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"


class Send(Case):
    sentence = "a server that hears all that is said passes, and probes tell how late it is"

    def __init__(self):
        self.heard, self.under_way = [], 0

    def command(self, bench, folder, port):
        return [bench, "send", "--server", f"127.0.0.1:{port}", "--clients", CLIENTS, "--every",
                f"{EVERY * 1000:.0f}ms", "--seconds", SECONDS, *self.more()]

    def more(self):
        return ["--probe", 4]

    async def serve(self, reader, writer):
        await self.accept(reader, writer)
        number = 0
        while True:
            first, payload = await frames.read_frame(reader)
            if first == 0x88:
                writer.write(frames.close(1000))
                return
            if first == 0x89:
                writer.write(self.pong(payload))
            if first == 0x81:
                number += 1
                self.heard.append(payload)
                await self.on_message(writer, number, payload)

    def pong(self, payload):
        return frames.header(0x8A, len(payload)) + payload

    async def on_message(self, writer, number, payload):
        pass

    def judge(self, report):
        assert report["kept"] and report["delivered"] == report["due"] == report["said"] == DUE, report
        assert len(self.heard) == report["said_ever"] > DUE and len(set(self.heard)) == len(self.heard)
        assert all(len(payload) == 64 for payload in self.heard)
        assert 0 < report["latency_ns"]["count"] <= DUE / 4 + CLIENTS, report["latency_ns"]


class SlowPong(Send):
    sentence = "a server that reads 30 ms late is found by the probes"

    async def on_message(self, writer, number, payload):
        await asyncio.sleep(0.03)

    def judge(self, report):
        super().judge(report)
        assert report["latency_ns"]["p50"] >= 29e6, report["latency_ns"]


class OddPong(Send):
    sentence = "a pong that answers no probe is a fault"
    exit_code = 1
    fault = "a pong came"

    def pong(self, payload):
        return super().pong(payload[::-1])

    def judge(self, report):
        assert not report["kept"] and report["latency_ns"]["count"] == 0, report


class Echo(Send):
    sentence = "a server that gives back what is said passes"

    def more(self):
        return ["--echo", "--size", 200]

    async def on_message(self, writer, number, payload):
        writer.write(self.echo(number, payload))

    def echo(self, number, payload):
        return frames.text(payload)

    def judge(self, report):
        assert report["kept"] and report["delivered"] == report["due"] == DUE, report
        assert report["latency_ns"]["count"] == report["lateness_ns"]["count"] == DUE, report
        assert report["lateness_ns"]["p50"] >= report["latency_ns"]["p50"], report


class SlowEcho(Echo):
    sentence = "an echo that takes 30 ms is found"

    async def on_message(self, writer, number, payload):
        asyncio.get_running_loop().call_later(0.03, writer.write, frames.text(payload))

    def judge(self, report):
        super().judge(report)
        assert report["latency_ns"]["p50"] >= 29e6, report["latency_ns"]


class AtOnce(Echo):
    sentence = "with --at-once each client has so many messages under way, and never more"

    def more(self):
        return ["--echo", "--at-once", 3]

    async def serve(self, reader, writer):
        self.waiting = getattr(self, "waiting", {})
        self.waiting[writer] = 0
        await super().serve(reader, writer)

    async def on_message(self, writer, number, payload):
        self.waiting[writer] += 1
        self.under_way = max(self.under_way, self.waiting[writer])
        asyncio.get_running_loop().call_later(0.02, self.answer, writer, payload)

    def answer(self, writer, payload):
        self.waiting[writer] -= 1
        writer.write(frames.text(payload))

    def judge(self, report):
        assert report["kept"] and report["delivered"] == report["due"] > 0, report
        assert self.under_way == 3, self.under_way


class OddEcho(Echo):
    exit_code = 1

    def judge(self, report):
        assert not report["kept"], report


def odd(sentence, fault, make):
    """A case in which the echo of message ODD of each client is `make(payload)`."""
    def echo(self, number, payload):
        return make(payload) if number == ODD else frames.text(payload)
    return type("Odd", (OddEcho,), {"sentence": sentence, "fault": fault, "echo": echo})


class Idle(Send):
    sentence = "clients that say nothing answer pings, which are counted"

    def more(self):
        return ["--every", "0ms"]

    async def serve(self, reader, writer):
        pinging = asyncio.create_task(self.ping(writer))
        try:
            await super().serve(reader, writer)
        finally:
            pinging.cancel()

    async def ping(self, writer):
        await asyncio.sleep(0.3)  # behind the handshake
        while True:
            writer.write(frames.header(0x89, 4) + b"beat")
            await asyncio.sleep(0.05)

    def judge(self, report):
        assert report["kept"] and report["said_ever"] == 0 == len(self.heard), report
        assert report["delivered"] == report["pings_answered"] > CLIENTS, report


class Rate(Knock):
    sentence = "who comes at a rate comes by the clock"

    def command(self, bench, folder, port):
        return [*super().command(bench, folder, port), "--rate", 40]

    def judge(self, report):
        super().judge(report)
        assert 5 < report["came"] <= 40 * 1.5 + 40, report["came"]


# ---- compression

class Deflate(Case):
    """States every 50 ms, stamped with when they were due, however late they are sent."""
    sentence = "compressed states are inflated, and each is checked"
    extension = DEFLATE

    def command(self, bench, folder, port):
        self.start, self.count = time.monotonic(), 0
        return [bench, "--steered", "--deflate", "--server", f"127.0.0.1:{port}", "--clients", 2, "--tick",
                f"{TICK * 1000:.0f}ms", "--seconds", SECONDS]

    async def serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        fields = frames.fields_of(head)
        assert fields[b"sec-websocket-extensions"] == DEFLATE, fields
        answer = frames.switching(frames.accept_of(fields[b"sec-websocket-key"]))
        if self.extension:
            answer = answer[:-2] + b"Sec-WebSocket-Extensions: " + self.extension + b"\r\n\r\n"
        writer.write(answer)
        pushing = asyncio.create_task(self.push(writer))
        try:
            while (await frames.read_frame(reader))[0] != 0x88:
                pass
            writer.write(frames.close(1000))
        finally:
            pushing.cancel()

    async def push(self, writer):
        sequence = int((time.monotonic() - self.start) / TICK)
        while True:
            writer.write(self.wire(sequence, self.payload(sequence)))
            sequence += 1
            await asyncio.sleep(self.start + sequence * TICK - time.monotonic())

    def payload(self, sequence):
        return b'{"phase":"idle","pad":"%s","t":%d,"s":%d}' % (
            b"x" * 300, int((self.start + sequence * TICK) * 1e9), sequence + 1)

    def compressed(self, payload, cut=4):
        squeezer = zlib.compressobj(wbits=-15)
        data = squeezer.compress(payload) + squeezer.flush(zlib.Z_SYNC_FLUSH)
        return data[:-cut]

    def wire(self, sequence, payload):
        data = self.compressed(payload)
        return frames.header(0xC1, len(data)) + data

    def judge(self, report):
        assert report["kept"] and report["delivered"] == report["due"] == 2 * SECONDS / TICK, report
        assert report["inflated"] >= report["delivered"] and report["inflated_bytes"] > 300 * report["inflated"]
        assert report["bytes_per_second"] < 300 * report["frames_per_second"], report


class LastBlock(Deflate):
    sentence = "a compressed message whose block is the last of its stream is inflated (RFC 7692 §7.2.3.4)"

    def wire(self, sequence, payload):
        squeezer = zlib.compressobj(wbits=-15)
        data = squeezer.compress(payload) + squeezer.flush(zlib.Z_FINISH) + b"\x00"
        return frames.header(0xC1, len(data)) + data


class Uncompressed(Deflate):
    sentence = "who agrees to compression need not use it"

    def wire(self, sequence, payload):
        return frames.text(payload)

    def judge(self, report):
        assert report["kept"] and report["delivered"] == 2 * SECONDS / TICK and report["inflated"] == 0, report


class OddDeflate(Deflate):
    exit_code = 1

    def wire(self, sequence, payload):
        return self.odd(payload) if self.asked else super().wire(sequence, payload)

    def judge(self, report):
        assert not report["kept"]


class Garbage(OddDeflate):
    sentence = "a compressed message that cannot be inflated is broken"
    fault = "cannot be inflated"

    def odd(self, payload):
        return frames.header(0xC1, 3) + b"\x07\xff\xff"


class CutShort(OddDeflate):
    sentence = "a compressed text that is not UTF-8 is broken"
    fault = "not UTF-8"

    def odd(self, payload):
        data = self.compressed(payload.replace(b"idle", b"\xff\xfe"))
        return frames.header(0xC1, len(data)) + data


class NotAgreed(Deflate):
    """It says at once what it may not say."""
    exit_code = 2
    extension = None
    fault = "what is not said"
    said = "states do not come"
    sentence = "a compressed message without agreement is broken"

    async def ask(self, command):
        process = await asyncio.create_subprocess_exec(
            *map(str, command), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE)
        try:
            async with asyncio.timeout(30):
                said = (await process.stderr.read()).decode()
                code = await process.wait()
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        assert code == self.exit_code and self.said in said, (code, said)


class WrongAnswer(NotAgreed):
    sentence = "an answer to the offer of compression that lacks what was asked for is refused"
    extension = b"permessage-deflate"
    said = "may not be given"


class UnaskedAnswer(NotAgreed):
    sentence = "an answer with a parameter that was not offered is refused"
    extension = DEFLATE + b"; client_max_window_bits=12"
    said = "may not be given"


class TwiceAnswered(NotAgreed):
    sentence = "an answer with a parameter twice is refused (RFC 7692 §7.1)"
    extension = DEFLATE + b"; server_max_window_bits=10; server_max_window_bits=10"
    said = "may not be given"


class Smaller(Deflate):
    sentence = "a server may say unasked that its window is smaller (RFC 7692 §7.1.2.1)"
    extension = DEFLATE + b"; server_max_window_bits=10"


CASES = [
    Send, SlowPong, OddPong, Echo, SlowEcho, AtOnce, Idle, Rate, Deflate, LastBlock, Uncompressed, Garbage, CutShort,
    NotAgreed, WrongAnswer, UnaskedAnswer, TwiceAnswered, Smaller,
    odd("an echo that was changed is a fault", "not as it was said", lambda p: frames.text(p[:-1] + b"!")),
    odd("an echo that comes twice is a fault", "not the next", lambda p: frames.text(p) * 2),
    odd("an echo that is cut is a fault", "another size", lambda p: frames.text(p[:-1])),
    odd("an echo of numbers that nobody wrote is a fault", "nothing that was said",
        lambda p: frames.text(b"c-1 n-1 t-1 s-1" + p[15:])),
    odd("an echo that is left out is a fault", "not the next", lambda p: b""),
    odd("an echo of what another says is a fault", "another client",
        lambda p: frames.text(b"c8" + p[2:] if p[:2] != b"c8" else b"c9" + p[2:])),
]
