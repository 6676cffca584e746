"""perf/stalled.py: do clients that do not read make others wait? (`./zigw build perf -- stalled`)

A crowd that reads at once is measured in windows, by turns alone and beside 10 clients that never
read and 50 that read 1 KiB a second. The figure is the 99th percentile of how late the crowd's
states are after their due times.
"""
import contextlib
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


class Misbehaving:
    """`stalled` clients that never read and `slow` ones that read `rate` bytes a second."""

    def __init__(self, server, stalled, slow, rate):
        self.rate, self.read, self.ended = rate, 0, threading.Event()
        self.all = [self.connect(server) for _ in range(stalled + slow)]
        self.slow = self.all[stalled:]
        self.thread = threading.Thread(target=self.read_slowly, daemon=True)
        self.thread.start()

    def connect(self, server):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        one.settimeout(10)
        one.connect(("127.0.0.1", server.port))
        one.sendall(f"GET /ws HTTP/1.1\r\nHost: {server.address}\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                    "Sec-WebSocket-Version: 13\r\n\r\n".encode())
        if not one.recv(12).startswith(b"HTTP/1.1 101"):
            raise common.NotMeasured("a client that is to misbehave was not let in")
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
        try:
            self.server.wait_for(options.clients + len(them.all))
            wait_until_stalled(self.server, len(them.all))
            time.sleep(1)
            read = them.read
            figures = self.measure(True)
            figures["read_slowly"] = them.read - read
            self.server.wait_for(options.clients + len(them.all))  # nobody was closed for it
        finally:
            them.leave()
        return figures

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
    print(f"\n  p99 with / without: {median:.3f} [{low:.3f}, {high:.3f}], the median of {len(pairs)} pairs")


def run(options):
    """(all figures, complaints)"""
    cores = common.two_cores()
    print(f"\n  {options.clients} readers, {options.tick} ticks, states of {options.payload} bytes; by turns "
          f"alone and beside {options.stalled} that never read and {options.slow} that read "
          f"{options.slow_rate} bytes/s; windows of {options.seconds} s\n\n"
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
    claim = f"{options.stalled} stalled and {options.slow} slow clients: others' p99 at most {RATIO_MAX} times"
    return {"pairs": pairs, "ratio": median, "interval": [low, high]}, complaints, claim


if __name__ == "__main__":
    sys.exit("run it as ./zigw build perf -- stalled")
