"""perf/micro/instructions.py --server PATH: user-space instructions per delivered frame.

Runs the real server twice under `valgrind --tool=callgrind` with the same members and different
numbers of ticks. What is in both runs (start, handshakes, goodbyes) cancels out: the difference of
the instructions by the difference of the deliveries is what one delivery costs, and the same for
each function says what it is made of. All of the process is counted, its system calls' insides not.
The figure repeats within a percent, on a noisy machine too, because time plays no part in it.
"""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

REQUEST = ("GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
START_SECONDS = 60
RUN_SECONDS = 180


class NotMeasured(Exception):
    """The sentence says what stands in the way."""


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", required=True, type=pathlib.Path, help="a release build")
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--payload", type=int, default=512)
    parser.add_argument("--ticks", type=int, default=100,
                        help="of the short run; the long one has four times as many")
    parser.add_argument("--tick", default="100ms")
    parser.add_argument("--slow-path", action="store_true", help="with --fast-path off")
    parser.add_argument("--goal", type=float, default=150)
    parser.add_argument("--top", type=int, default=25, help="lines of the table")
    parser.add_argument("--json", type=pathlib.Path)
    return parser.parse_args()


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def start(options, out):
    """(process, port). valgrind 3.19 takes io_uring_enter for a call that never blocks, and lets no
    other thread run meanwhile; a fair lock lets the main thread see our signal while ticks go on,
    and more than one worker would stop each other. Nobody answers pings here, so none are sent."""
    port = free_port()
    command = ["valgrind", "--tool=callgrind", "--fair-sched=yes", f"--callgrind-out-file={out}",
               options.server, "serve", "--listen", f"127.0.0.1:{port}",
               "--admin", f"127.0.0.1:{free_port()}", "--kart-tick", options.tick,
               "--kart-payload", options.payload, "--drain", "1s", "--ping", "1h",
               "--log-level", "warn", "--limit-exempt", "127.0.0.0/8", "--workers", "1"]
    environment = {**os.environ, "RINGCAST_FAST_PATH": "off" if options.slow_path else "on"}
    with out.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log,
                                   env=environment)
    return process, port


def connect(process, port, log):
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), timeout=START_SECONDS)
        time.sleep(0.1)
    raise NotMeasured("the server did not start under valgrind:\n" + log.read_text())


def seat(process, port, log):
    """An upgraded connection, its 101 read."""
    one = connect(process, port, log)
    one.sendall(REQUEST.encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        got = one.recv(65536)
        if not got:
            raise NotMeasured(f"the server said {answer[:100]!r}")
        answer += got
    if not answer.startswith(b"HTTP/1.1 101"):
        raise NotMeasured(f"the server said {answer[:100]!r}")
    one.setblocking(False)
    return one


def read(selector):
    """The bytes that have come within a second."""
    total = 0
    for key, _ in selector.select(1):
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            got = len(key.fileobj.recv(1 << 20))
            total += got
            if got > 0:
                continue
        selector.unregister(key.fileobj)
    return total


def receive(options, ticks, process, selector):
    """Reads that many ticks, says that the server shall end, and reads on until it has. Returns the
    bytes."""
    total, told = 0, False
    deadline = time.monotonic() + RUN_SECONDS
    while process.poll() is None:
        if time.monotonic() > deadline:
            raise NotMeasured(f"after {total} bytes the server did not "
                              f"{'end' if told else 'go on'} under valgrind")
        if selector.get_map():
            total += read(selector)
        else:
            time.sleep(0.1)
        if total >= ticks * options.members * (options.payload + 4) and not told:
            process.send_signal(signal.SIGTERM)
            told = True
    return total


def run(options, ticks, folder):
    """({function: instructions}, deliveries)"""
    out = folder / f"callgrind.{ticks}"
    process, port = start(options, out)
    members, selector = [], selectors.DefaultSelector()
    try:
        for _ in range(options.members):
            members.append(seat(process, port, out.with_suffix(".log")))
            selector.register(members[-1], selectors.EVENT_READ)
        size = receive(options, ticks, process, selector)
    finally:
        for member in members:
            member.close()
        if process.poll() is None:
            process.kill()
        process.wait()
    return instructions_of(out), size / (options.payload + 4)


NAMED = re.compile(r"\((\d+)\)(?: (.*))?")


def instructions_of(path):
    """Each function's own instructions, from callgrind's file format."""
    names, own = {}, collections.Counter()
    function, skip = None, False
    for line in path.read_text().splitlines():
        if line.startswith("fn="):
            number, name = NAMED.match(line[3:]).groups()
            function = names.setdefault(number, name)
        elif line.startswith("cfn="):
            number, name = NAMED.match(line[4:]).groups()
            names.setdefault(number, name)
        elif line.startswith("calls="):
            skip = True  # the next line is the callee's cost
        elif line and (line[0].isdigit() or line[0] in "+-*"):
            if not skip:
                own[function] += int(line.split()[1])
            skip = False
    return own


def measure(options):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        short, few = run(options, options.ticks, folder)
        long, many = run(options, options.ticks * 4, folder)
    deliveries = many - few
    if deliveries <= 0:
        raise NotMeasured("the long run delivered no more than the short one")
    return {function: (long[function] - short[function]) / deliveries
            for function in long | short}, deliveries


def show(options, costs, deliveries):
    total = sum(costs.values())
    path = "plain path" if options.slow_path else "fast path"
    print(f"\n  {options.members} members, {options.payload} bytes, {path}, "
          f"{deliveries:.0f} deliveries more in the long run\n")
    for function, cost in sorted(costs.items(), key=lambda item: -item[1])[:options.top]:
        print(f"  {cost:9.2f}  {function}")
    print(f"  {total:9.2f}  user-space instructions per delivered frame "
          f"(goal {options.goal:.0f}: {'held' if total <= options.goal else 'MISSED'})\n")
    return total


def main():
    options = arguments()
    if shutil.which("valgrind") is None:
        print("instructions: valgrind is needed: apt-get install valgrind", file=sys.stderr)
        return 2
    try:
        costs, deliveries = measure(options)
    except NotMeasured as why:
        print(f"instructions: not measured: {why}", file=sys.stderr)
        return 2
    total = show(options, costs, deliveries)
    if options.json:
        options.json.write_text(json.dumps(
            {"members": options.members, "payload": options.payload, "total": total,
             "deliveries": deliveries, "functions": costs}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
