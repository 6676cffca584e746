"""perf/stalled.py: do clients that misbehave make others wait? (`./zigw build perf -- stalled`, or `isolation`)

A crowd that reads at once is measured in windows, by turns alone and beside 10 clients that never
read and 50 that read 1 KiB a second. The figure is the 99th percentile of how late the crowd's
states are after their due times. In `isolation` twice as many read slowly, and beside them one floods
and one is malformed: both are closed each time, and come back.
"""
import contextlib
import itertools
import os
import socket
import struct
import sys
import tempfile
import threading
import time

import common

RECEIVE_BUFFER = 4096  # SO_RCVBUF of those that misbehave
RATIO_MAX = 1.1
PAUSE_SECONDS = 0.05  # until who was closed comes back
FLOOD = bytes((0x81, 0x80, 0, 0, 0, 0)) * 2000  # empty messages, far more than --message-rate lets pass
CLOSE = b"\x88"  # the first byte of a close frame, and no byte of a state in ASCII or of its header
MALFORMED = (  # each breaks RFC 6455 in another way, and is closed with 1002 or 1007
    bytes((0x81, 0x02)) + b"hi",                     # §5.1: not masked
    bytes((0xC1, 0x80, 0, 0, 0, 0)),                 # §5.2: a reserved bit
    bytes((0x83, 0x80, 0, 0, 0, 0)),                 # §5.2: a reserved opcode
    bytes((0x81, 0xFE, 0, 2, 0, 0, 0, 0)) + b"hi",   # §5.2: a length in more bytes than it needs
    bytes((0x09, 0x80, 0, 0, 0, 0)),                 # §5.5: a ping in pieces
    bytes((0x80, 0x80, 0, 0, 0, 0)),                 # §5.4: the rest of nothing
    bytes((0x81, 0x82, 0, 0, 0, 0)) + b"\xff\xfe",   # §8.1: not UTF-8
)


def come(server, receive_buffer=None):
    """A socket behind the opening handshake."""
    one = socket.socket()
    if receive_buffer is not None:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    one.settimeout(10)
    one.connect(("127.0.0.1", server.port))
    one.sendall(f"GET /ws HTTP/1.1\r\nHost: {server.address}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n".encode())
    if not one.recv(12).startswith(b"HTTP/1.1 101"):
        raise common.NotMeasured("a client that is to misbehave was not let in")
    return one


class Offender:
    """Comes, says what nobody may, is closed for it, and comes back."""

    def __init__(self, server, says):
        self.server, self.says, self.closed = server, itertools.cycle(says), 0
        self.ended, self.failed = threading.Event(), None
        self.thread = threading.Thread(target=self.offend, daemon=True)
        self.thread.start()

    def offend(self):
        try:
            while not self.ended.wait(PAUSE_SECONDS):
                self.offend_once()
        except (OSError, common.NotMeasured) as why:
            self.failed = why

    def offend_once(self):
        with contextlib.closing(come(self.server)) as one:
            with contextlib.suppress(ConnectionError):  # it may be closed while there is more to say
                one.sendall(next(self.says))
                while (piece := one.recv(65536)) and CLOSE not in piece:
                    pass
            self.closed += 1

    def leave(self):
        self.ended.set()
        self.thread.join()


class Misbehaving:
    """`stalled` clients that never read and `slow` ones that read `rate` bytes a second."""

    def __init__(self, server, stalled, slow, rate):
        self.rate, self.read, self.ended = rate, 0, threading.Event()
        self.all = [self.connect(server) for _ in range(stalled + slow)]
        self.slow = self.all[stalled:]
        self.thread = threading.Thread(target=self.read_slowly, daemon=True)
        self.thread.start()

    def connect(self, server):
        one = come(server, RECEIVE_BUFFER)
        one.setblocking(False)
        return one

    def read_slowly(self):
        """All within a second, evenly."""
        while not self.ended.is_set():
            for one in self.slow:
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    self.read += len(one.recv(self.rate))
                if self.ended.wait(1 / len(self.slow)):
                    return

    def leave(self):
        """At once: what they have not read goes with them."""
        self.ended.set()
        self.thread.join()
        for one in self.all:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()


def wait_until_stalled(server, count, share=0.9):
    """Until nearly every state of theirs is replaced before it can be sent."""
    deadline = time.monotonic() + 15
    while True:
        before = server.metrics()
        time.sleep(0.5)
        after = server.metrics()
        expected = count * (after["ringcast_ticks_total"] - before["ringcast_ticks_total"])
        if after[common.CONFLATED] - before[common.CONFLATED] >= share * expected > 0:
            return
        if time.monotonic() > deadline:
            raise common.NotMeasured("those that are to misbehave did not stall within 15 s")


class Stalled:
    def __init__(self, options, cores, folder, stack):
        self.options = options
        server_core, client_core, _ = cores
        os.sched_setaffinity(0, {client_core})  # who reads slowly does not disturb the server
        self.server = common.Server(options.server, server_core, folder, "--workers", "1",
                                    "--kart-tick", options.tick, "--kart-payload", options.payload,
                                    "--ping", "10m")
        stack.callback(common.end, self.server.process)
        self.server.wait_until_ready()
        self.bench = common.SteeredBench(options.bench, client_core, self.server, options.clients,
                                         options.seconds, options.tick)
        stack.callback(common.end, self.bench.process)

    def conflated(self):
        return self.server.metrics()[common.CONFLATED]

    def measure(self, misbehaving):
        """The window's figures, with how many states were replaced meanwhile."""
        before = self.conflated()
        figures = self.bench.window()
        figures["conflated"] = self.conflated() - before
        figures["misbehaving"] = misbehaving
        return figures

    def with_them(self):
        options = self.options
        them = Misbehaving(self.server, options.stalled, options.slow, options.slow_rate)
        offenders = {}
        try:
            self.server.wait_for(options.clients + len(them.all))
            wait_until_stalled(self.server, len(them.all))
            offenders = {what: Offender(self.server, says) for what, says in self.offences().items()}
            time.sleep(1)
            before = {what: offender.closed for what, offender in offenders.items()}
            read = them.read
            figures = self.measure(True)
            figures["read_slowly"] = them.read - read
            figures["offenders_closed"] = {what: offender.closed - before[what]
                                           for what, offender in offenders.items()}
            self.server.wait_for(options.clients + len(them.all), more=len(offenders))  # no other was closed
        finally:
            for offender in offenders.values():
                offender.leave()
            them.leave()
        failed = [f"{what}: {offender.failed}" for what, offender in offenders.items() if offender.failed]
        if failed:
            raise common.NotMeasured(f"who was to misbehave could not: {failed}")
        return figures

    def offences(self):
        return {"flooding": [FLOOD], "malformed": MALFORMED} if self.options.scenario == "isolation" else {}

    def alone(self):
        self.server.wait_for(self.options.clients)
        time.sleep(2)
        return self.measure(False)

    def pair(self, index):
        """(alone, beside them); which comes first changes from pair to pair."""
        if index % 2 == 0:
            alone = self.alone()
            return alone, self.with_them()
        beside = self.with_them()
        return self.alone(), beside


def p99(figures):
    return figures["lateness_ns"]["p99"] / 1e6


def show_pair(index, alone, beside):
    print(f"  {index + 1:4}  {p99(alone):9.3f} {p99(beside):9.3f} {p99(beside) / p99(alone):9.3f}"
          f" {alone['conflated']:10.0f} {beside['conflated']:10.0f}"
          f" {alone['client_load'] * 100:7.0f} {beside['client_load'] * 100:6.0f}"
          f" {alone['server_load'] * 100:7.0f} {beside['server_load'] * 100:6.0f}", flush=True)


def complaints_of(options, pairs):
    for index, pair in enumerate(pairs):
        for name, figures in zip(("alone", "beside them"), pair):
            yield from common.complaints_of_window(f"pair {index + 1}, {name}", figures)
        alone, beside = pair
        if alone["conflated"] > 0:
            yield f"pair {index + 1}: {alone['conflated']:.0f} states of the crowd alone were replaced"
        due = (options.stalled + options.slow) * beside["ticks_due"]
        if beside["conflated"] < 0.8 * due:
            yield f"pair {index + 1}: they did not stall: {beside['conflated']:.0f} of {due} were replaced"
        for what, closed in beside["offenders_closed"].items():
            if closed == 0:
                yield f"pair {index + 1}: the one that was {what} was never closed"
    alone, beside = left_out(alone for alone, _ in pairs), left_out(beside for _, beside in pairs)
    if beside > 1.1 * alone + len(pairs):
        yield f"beside them {beside} ticks were left out, alone {alone}"
    busiest = max(figures["client_load"] for pair in pairs for figures in pair)
    if busiest > common.CLIENT_LOAD_MAX:
        yield f"the client used {busiest * 100:.0f} % of its core: it is what was measured"


def left_out(windows):
    """How many ticks the server did not make, because it was late by a whole one."""
    return sum(figures["ticks_due"] - figures["ticks_seen"] for figures in windows)


def show(options, pairs, median, low, high):
    windows = [figures for pair in pairs for figures in pair]
    delivered, due = sum(w["delivered"] for w in windows), sum(w["due"] for w in windows)
    print(f"\n  the crowd's states due / delivered  {due} / {delivered} in all windows")
    print(f"  ticks left out, for lack of time    alone {left_out(alone for alone, _ in pairs)}, "
          f"beside {left_out(beside for _, beside in pairs)}")
    print(f"  a reading pass of the client, p99   "
          f"{max(w['client_pass_ns']['p99'] for w in windows) / 1e6:.3f} ms in the worst window")
    print(f"  cores waited for, at most           server "
          f"{max(w['server_waited'] for w in windows) * 100:.1f} %, client "
          f"{max(w['client_waited'] for w in windows) * 100:.1f} % of a window")
    slowly = [beside["read_slowly"] / options.slow / options.seconds for _, beside in pairs if options.slow]
    if slowly:
        print(f"  the slow ones read                  {min(slowly):.0f} to {max(slowly):.0f} bytes/s each")
    if options.scenario == "isolation":
        for what in ("flooding", "malformed"):
            closed = [beside["offenders_closed"][what] for _, beside in pairs]
            print(f"  the {what} one was closed         {min(closed)} to {max(closed)} times a window")
    print(f"\n  p99 with / without: {median:.3f} [{low:.3f}, {high:.3f}], the median of {len(pairs)} pairs")


def run(options):
    """(all figures, complaints)"""
    cores = common.two_cores()
    beside = ", one that floods and one that is malformed" if options.scenario == "isolation" else ""
    print(f"\n  {options.clients} readers, {options.tick} ticks, states of {options.payload} bytes; by turns "
          f"alone and beside {options.stalled} that never read and {options.slow} that read "
          f"{options.slow_rate} bytes/s{beside}; windows of {options.seconds} s\n\n"
          f"  lateness p99, ms:                      states replaced    client CPU %   server CPU %\n"
          f"  pair      alone    beside     ratio      alone     beside   alone beside   alone beside")
    pairs = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stalled = Stalled(options, cores, folder, stack)
        for index in range(options.pairs):
            pairs.append(stalled.pair(index))
            show_pair(index, *pairs[-1])
        code = stalled.bench.finish()
    median, low, high = common.median_and_interval([p99(beside) / p99(alone) for alone, beside in pairs])
    show(options, pairs, median, low, high)
    complaints = list(complaints_of(options, pairs))
    if code not in (0, 1):  # 1: states were missed, which the windows tell better
        complaints.append(f"ringcast-bench ended with exit code {code}")
    if median > RATIO_MAX:
        complaints.append(f"the crowd's p99 is {median:.3f} times as large beside them")
    others = ", a flooding and a malformed one" if options.scenario == "isolation" else ""
    claim = f"{options.stalled} stalled and {options.slow} slow clients{others}: others' p99 at most {RATIO_MAX} times"
    return {"pairs": pairs, "ratio": median, "interval": [low, high]}, complaints, claim


if __name__ == "__main__":
    sys.exit("run it as ./zigw build perf -- stalled")
