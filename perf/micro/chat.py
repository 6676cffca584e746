"""perf/micro/chat.py --server PATH: user-space instructions per chat message in a room.

As instructions.py, but of what people say: the real server runs twice under callgrind with the same
rooms and members, and different numbers of chat messages. One message is under way at a time, as when
rooms are many and each of them is quiet, so a turn of the server's loop for each is in the figure.
"""
import argparse
import contextlib
import json
import pathlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import types

import instructions
from instructions import NotMeasured

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import avalon  # noqa: E402

ANSWER_SECONDS = 30
KEY = b"\x37\xfa\x21\x3d"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", required=True, type=pathlib.Path, help="a release build")
    parser.add_argument("--rooms", type=int, default=20)
    parser.add_argument("--members", type=int, default=10)
    parser.add_argument("--text", type=int, default=64, help="bytes of a message")
    parser.add_argument("--messages", type=int, default=200,
                        help="of the short run; the long one has four times as many")
    parser.add_argument("--top", type=int, default=40, help="lines of the table")
    parser.add_argument("--json", type=pathlib.Path)
    return parser.parse_args()


def start(options, out, environment):
    """(process, port)"""
    port = instructions.free_port()
    command = ["valgrind", "--tool=callgrind", "--fair-sched=yes", f"--callgrind-out-file={out}",
               options.server, "serve", "--listen", f"127.0.0.1:{port}",
               "--admin", f"127.0.0.1:{instructions.free_port()}", "--drain", "1s", "--ping", "1h",
               "--log-level", "warn", "--limit-exempt", "127.0.0.0/8", "--workers", "1",
               *avalon.options(options.rooms, options.members)]
    with out.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log,
                                   env={**os.environ, **environment})
    return process, port


def come(process, port, log, path, token):
    """A member, its 101 read; what came behind that is thrown away."""
    one = instructions.connect(process, port, log)
    one.sendall((f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                 f"Authorization: Bearer {token}\r\n\r\n").encode())
    answer = b""
    while b'"event":"room"' not in answer:
        piece = one.recv(65536)
        answer += piece
        if not piece or not answer.startswith(b"HTTP/1.1 101"[:len(answer)]):
            raise NotMeasured(f"the server said {answer[:200]!r}")
    return one


def empty(members):
    """Throws away what came until now."""
    while ready := select.select(members, [], [], 0.5)[0]:
        for one in ready:
            one.recv(1 << 20)


def frame(number, size):
    text = f"message {number} ".ljust(size, "x")
    said = json.dumps({"type": "chat", "correlation_id": f"c{number}", "payload": {"message": text}},
                      separators=(",", ":")).encode()
    head = bytes([0x81, 0x80 | len(said)]) if len(said) < 126 else bytes([0x81, 0xFE]) + len(said).to_bytes(2)
    return head + KEY + bytes(byte ^ KEY[i % 4] for i, byte in enumerate(said)), text.encode()


def say(members, number, size):
    """One says something; all of the room hear it, whole."""
    wire, text = frame(number, size)
    members[number % len(members)].sendall(wire)
    missing = {one: b"" for one in members}
    deadline = time.monotonic() + ANSWER_SECONDS
    while missing:
        for one in select.select(list(missing), [], [], 1)[0]:
            missing[one] += one.recv(65536)
            if text in missing[one] and missing[one].endswith(b"}"):
                del missing[one]
        if time.monotonic() > deadline:
            raise NotMeasured(f"message {number} did not come to {len(missing)} of {len(members)}")


def run(options, count, folder):
    """{function: instructions}"""
    out = folder / f"callgrind.{count}"
    log = out.with_suffix(".log")
    process, port = start(options, out, avalon.environment())
    members = []
    try:
        instructions.connect(process, port, log).close()
        places = avalon.make_rooms(types.SimpleNamespace(port=port, address=f"127.0.0.1:{port}"),
                                   options.rooms, options.members)
        members = [come(process, port, log, path, token) for path, token, *_ in places]
        empty(members)
        for number in range(count):
            room = number % options.rooms * options.members
            say(members[room:room + options.members], number // options.rooms, options.text)
        process.send_signal(signal.SIGTERM)
        for one in members:
            with contextlib.suppress(OSError):
                one.close()
        process.wait(60)
    finally:
        for one in members:
            one.close()
        if process.poll() is None:
            process.kill()
        process.wait()
    return instructions.instructions_of(out)


def show(options, costs):
    total = sum(costs.values())
    print(f"\n  {options.rooms} rooms of {options.members}, messages of {options.text} bytes, one at a time\n")
    for function, cost in sorted(costs.items(), key=lambda item: -item[1])[:options.top]:
        print(f"  {cost:9.1f}  {function}")
    print(f"  {total:9.1f}  user-space instructions per message, {total / options.members:.1f} per delivery\n")
    return total


def main():
    options = arguments()
    if shutil.which("valgrind") is None:
        print("chat: valgrind is needed: apt-get install valgrind", file=sys.stderr)
        return 2
    try:
        with tempfile.TemporaryDirectory() as name:
            few = run(options, options.messages, pathlib.Path(name))
            many = run(options, options.messages * 4, pathlib.Path(name))
    except NotMeasured as why:
        print(f"chat: not measured: {why}", file=sys.stderr)
        return 2
    costs = {function: (many[function] - few[function]) / (options.messages * 3)
             for function in many | few}
    total = show(options, costs)
    if options.json:
        options.json.write_text(json.dumps({"total": total, "members": options.members,
                                            "functions": costs}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
