"""perf/soak.py --server PATH [--for 3h]: every byte that a crowd of odd readers gets is the right one.

Rounds of a minute, each with a server of its own and drawn from the seed: two workers, small socket
buffers, sends past the queue or not, one of the four policies for slow readers, states of odd sizes.
Members of three rooms read at their own speeds, stop, go on, leave, vanish and come back, ping and are
pinged, while a host gives commands. The first wrong byte ends it, with the seed and where it was.
Exit code 0: nothing was wrong; 1: something was; 2: it could not be run.
"""
import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "tests" / "e2e"))
from harness import free_port  # noqa: E402
from rawclient import (BINARY, CLOSE, PING, PONG, STATE, TEXT, Broken, Client,  # noqa: E402
                       check_close, close_payload, make_frame, parse_close,
                       parse_server_frame)

POLICIES = ("conflate", "close", "drop_oldest", "drop_newest")
ROOMS = ("/ws", "/ws", "/ws", "/ws/kart/one", "/ws/kart/two")
MEMBERS = 60
REMEMBERED = 1000  # payloads of a room, to show where one differs
NUMBER = re.compile(rb'"t":(\d+),"s":(\d+)')
SECONDS = {"s": 1, "m": 60, "h": 3600}
NATURAL_MAX = 400  # bytes of a state that is not padded, and more
KEY = "soak"


class Wrong(Exception):
    """What a member was sent is not what it should be. The sentence says where."""


class NotRun(Exception):
    """The sentence says what stands in the way."""


# ---- what is right

class Room:
    """What all its members must agree on: a number is one state, byte for byte."""

    def __init__(self, payload_size):
        self.payload_size = payload_size
        self.hashes, self.payloads = {}, collections.OrderedDict()

    def check(self, payload):
        """(when it was encoded, its number)"""
        found = NUMBER.search(payload, 0, 200)
        if not found:
            raise Wrong(f"no stamp in {payload[:200]!r}")
        number = int(found[2])
        if number not in self.hashes:
            self.learn(number, payload)
        elif self.hashes[number] != hash(payload):
            raise Wrong(f"state {number} is not what another member got{self.difference(number, payload)}")
        return int(found[1]), number

    def learn(self, number, payload):
        if not STATE.fullmatch(payload.decode("ascii", "replace")):
            raise Wrong(f"not a state: {payload[:200]!r} ... {payload[-40:]!r}")
        natural = len(payload.partition(b',"pad":"')[0]) + 1
        if len(payload) != self.payload_size and not (b'"pad"' not in payload and
                                                      natural + 10 > self.payload_size):
            raise Wrong(f"state {number} has {len(payload)} bytes, not {self.payload_size}")
        json.loads(payload)
        self.hashes[number] = hash(payload)
        self.payloads[number] = payload
        if len(self.payloads) > REMEMBERED:
            self.payloads.popitem(last=False)

    def difference(self, number, payload):
        other = self.payloads.get(number)
        if other is None:
            return f": {payload[:120]!r}"
        at = next((i for i, (ours, theirs) in enumerate(zip(payload, other)) if ours != theirs),
                  min(len(payload), len(other)))
        return (f" from byte {at} on: {payload[max(at - 20, 0):at + 40]!r} instead of "
                f"{other[max(at - 20, 0):at + 40]!r}; {len(payload)} and {len(other)} bytes")


class Stream:
    """One member's bytes, from the first behind the handshake. Feed it what comes; it raises Wrong."""

    def __init__(self, room, gapless):
        self.room, self.gapless = room, gapless
        self.buffer = bytearray()
        self.taken = 0  # bytes of whole frames
        self.last = self.encoded_ns = 0
        self.states = self.missed = self.pongs = 0
        self.pings = collections.deque()  # payloads that the server may answer, oldest first
        self.close = None

    def feed(self, piece):
        """The payloads of the pings in it, which want an answer."""
        self.buffer += piece
        asked = []
        try:
            while (parsed := parse_server_frame(self.buffer)) is not None:
                frame, used = parsed
                self.hear(frame, asked)
                del self.buffer[:used]
                self.taken += used
            self.check_length()
        except (Wrong, Broken, ValueError) as why:
            raise Wrong(f"{why}\n    at byte {self.taken} of its stream, after {self.states} states, "
                        f"the last being {self.last}; there: {bytes(self.buffer[:48]).hex(' ')}") from None
        return asked

    def check_length(self):
        """Of a frame that is not whole: nothing so long is ever sent."""
        head = bytes(self.buffer[:10])
        size = 0 if len(head) < 2 else {126: 4, 127: 10}.get(head[1] & 0x7F, 2)
        if size > 2 and len(head) >= size:
            declared = int.from_bytes(head[2:size], "big")
            if declared > max(self.room.payload_size, NATURAL_MAX):
                raise Wrong(f"a frame of {declared} bytes is announced")

    def hear(self, frame, asked):
        if self.close is not None:
            raise Wrong(f"{frame} after the close frame")
        if frame.opcode == TEXT and frame.final:
            self.hear_state(frame.payload)
        elif frame.opcode == PING:
            asked.append(frame.payload)
        elif frame.opcode == PONG:
            self.hear_pong(frame.payload)
        elif frame.opcode == CLOSE:
            check_close(frame.payload)
            self.close = parse_close(frame.payload)
        else:
            raise Wrong(f"unexpected {frame}")

    def hear_state(self, payload):
        self.encoded_ns, number = self.room.check(payload)
        if number <= self.last:
            raise Wrong(f"state {number} after {self.last}")
        if self.last > 0:
            self.missed += number - self.last - 1
            if self.gapless and number != self.last + 1:
                raise Wrong(f"state {number} after {self.last}: {number - self.last - 1} are missing")
        self.last = number
        self.states += 1

    def hear_pong(self, payload):
        """It answers a ping, and those before it (RFC 6455 §5.5.3)."""
        while self.pings:
            if self.pings.popleft() == payload:
                self.pongs += 1
                return
        raise Wrong(f"a pong that answers no ping: {payload!r}")


# ---- the crowd

class Member:
    """Reads at its own speed, which changes."""

    def __init__(self, chance, port, path, room, gapless, anchor):
        self.chance, self.port, self.path, self.room = chance, port, path, room
        self.gapless, self.anchor = gapless, anchor
        self.finishing, self.done, self.ends = False, [], collections.Counter()
        self.join()

    def join(self):
        size = 262144 if self.anchor else self.chance.choice((2048, 4096, 16384))
        self.client = Client(self.port, self.path, receive_buffer=size, timeout=20)
        self.client.socket.setblocking(False)
        self.stream, self.out, self.leaving = Stream(self.room, self.gapless), bytearray(), False
        self.next_at = time.monotonic()
        self.change_speed(self.next_at)
        first = bytes(self.client.buffer)  # what came with the answer to the handshake
        self.answer(self.stream.feed(first))

    def change_speed(self, now):
        if self.anchor or self.finishing or self.leaving:
            self.most, self.pause, self.change_at = 1 << 20, 0.0, now + 3600
            self.client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262144)
            return
        self.most = self.chance.choice((50, 700, 3000, 20000, 200000))
        self.pause = self.chance.choice((0.0, 0.0, 0.005, 0.05, 0.3))
        self.change_at = now + self.chance.random() * 20
        if self.chance.random() < 0.1:
            self.next_at = now + self.chance.random() * 5  # reads nothing for a while

    def is_gone(self):
        return self.client is None

    def turn(self, now):
        if now >= self.change_at:
            self.change_speed(now)
            if not self.finishing and not self.anchor and self.chance.random() < 0.1:
                return self.vanish() if self.chance.random() < 0.5 else self.leave()
        if not self.leaving and self.chance.random() < 0.02:
            self.speak()
        self.flush()
        try:
            piece = self.client.socket.recv(1 + self.chance.randrange(self.most))
        except BlockingIOError:
            self.next_at = now + 0.002
            return None
        except ConnectionError as why:
            return self.on_end(str(why))
        if not piece:
            return self.on_end("the end of the stream")
        self.answer(self.stream.feed(piece))
        self.next_at = now + self.chance.random() * 2 * self.pause
        return None

    def speak(self):
        """A ping, or a word that the room does not care for."""
        payload = self.chance.randbytes(self.chance.choice((0, 1, 8, 125)))
        if self.chance.random() < 0.5:
            self.out += make_frame(PING, payload)
            self.stream.pings.append(payload)
        else:
            self.out += make_frame(self.chance.choice((TEXT, BINARY)), payload.hex().encode())

    def answer(self, pings):
        if self.leaving:
            return  # nothing may follow the close frame (RFC 6455 §5.5.1)
        for payload in pings:
            self.out += make_frame(PONG, payload)
        if self.stream.close is not None:
            self.out += make_frame(CLOSE, close_payload(self.stream.close[0]))
        self.flush()

    def flush(self):
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            while self.out:
                del self.out[:self.client.socket.send(self.out)]

    def leave(self):
        """Says goodbye, and reads on until it is answered."""
        if self.stream.close is None:
            self.leaving, self.left_at = True, time.monotonic()
            self.out += make_frame(CLOSE, close_payload(1000))
        self.change_speed(time.monotonic())

    def vanish(self):
        self.client.reset()
        self.gone("vanished")

    def on_end(self, how):
        close, rest = self.stream.close, len(self.stream.buffer)
        if close == (4508, "slow_consumer") and self.gapless:
            return self.gone("closed as slow")
        if close is not None and close[0] == 1000 and self.leaving:
            return self.gone("said goodbye")
        if close is None and self.may_be_given_up():
            return self.gone("were given up")
        if close is None:
            raise Wrong(f"{how} after {self.stream.taken} bytes and {rest} of a frame, without a goodbye")
        raise Wrong(f"closed with {close}")

    def may_be_given_up(self):
        """Who does not take even a goodbye is not waited for: not for longer than two seconds."""
        said_goodbye = self.leaving and time.monotonic() - self.left_at > 1.5
        was_closed_as_slow = self.gapless and not self.anchor
        return said_goodbye or was_closed_as_slow

    def gone(self, how):
        self.ends[how] += 1
        self.client.socket.close()
        self.client = None
        self.done.append(self.stream)


# ---- the server of a round

class Server:
    def __init__(self, path, folder, options):
        self.port, self.admin = free_port(), free_port()
        self.log = pathlib.Path(folder) / "server.log"
        command = [path, "serve", "--listen", f"127.0.0.1:{self.port}", "--admin",
                   f"127.0.0.1:{self.admin}", "--log-format", "logfmt", "--limit-exempt", "127.0.0.0/8",
                   "--control-rate", "0", *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log,
                                            env=os.environ | {"RINGCAST_API_KEY": KEY})
        deadline = time.monotonic() + 20
        while "listening" not in self.log.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise NotRun(f"the server did not start:\n{self.log.read_text()}")
            time.sleep(0.05)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def open_url(self, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.admin}{path}", data=body,
                                         headers={"Authorization": f"Bearer {KEY}"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read().decode()

    def command(self, line):
        with contextlib.suppress(urllib.error.HTTPError):  # 409: not now
            json.loads(self.open_url("/v1/rooms/kart/commands", json.dumps({"command": line}).encode()))

    def metrics(self):
        samples = re.findall(r"^(\w+(?:\{[^}]*\})?) (\S+)$", self.open_url("/metrics"), re.M)
        return {name: float(value) for name, value in samples}

    def counters(self):
        """Those that are not 0, where it still answers."""
        with contextlib.suppress(OSError):
            return "\n".join(f"{name} {value:.0f}" for name, value in self.metrics().items() if value)
        return "it does not answer any more"

    def members_of_workers(self):
        return collections.Counter(re.findall(r"worker=(\d+) event=connected", self.log.read_text()))

    def check_rest(self):
        """Everybody has left: nothing is kept, and it ends as it should."""
        gauges = ("ringcast_outbox_storage_in_use", "ringcast_message_buffers_in_use",
                  "ringcast_frames_lent", "ringcast_outbox_bytes", 'ringcast_members{kind="kart"}')
        deadline = time.monotonic() + 20
        while left := {name: value for name, value in self.metrics().items()
                       if name in gauges and value != 0}:
            if time.monotonic() > deadline:
                raise Wrong(f"left behind when all have gone: {left}")
            time.sleep(0.05)
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(60)
        except subprocess.TimeoutExpired:
            raise Wrong("the server did not end within 60 s of SIGTERM") from None
        if code != 0:
            raise Wrong(f"the server ended with {code}:\n{self.log.read_text()[-2000:]}")
        said = re.findall(r"^.*(?:level=error|ssertion|runtime error|anitizer).*$", self.log.read_text(), re.M)
        if said:
            raise Wrong("the server said: " + "\n".join(said[:5]))


def kernels_view(client):
    """Both ends of a loopback connection: what waits in the kernel, and for which of its timers."""
    port = f":{client.getsockname()[1]:04X} "
    rows = pathlib.Path("/proc/net/tcp").read_text().splitlines()
    fields = "    (local, remote, state, unsent:unread, timer:jiffies left, retransmissions ... the last: window and more)"
    return "\n".join([fields, *(f"    {row}" for row in rows if port in f"{row} ")])


# ---- a round

COMMANDS = ("/host bonus 1", "/host bonus 250000", "/host pot 9007199254740991", "/host pot 0",
            "/host start", "/host reset", "/host pause", "/host resume", "/host extend 5", "/host finish")


class Round:
    def __init__(self, options, index, totals):
        self.server_path, self.index, self.totals = options.server, index, totals
        self.seed = f"{options.seed}/{index}"
        self.chance = random.Random(self.seed)
        self.policy = POLICIES[index % 4]
        self.fast = (index + index // 4) % 2 == 0
        self.gapless = self.policy == "close"
        # Who is closed must be slow by choice: a queue lasts for seconds.
        self.tick = self.chance.choice((20, 40)) if self.gapless else self.chance.choice((3, 5, 10, 20))
        sizes = (0, 125, 126, 600, 4000) if self.gapless else (0, 126, 600, 4000, 9000, 16000, 65535, 65536)
        self.payload = self.chance.choice(sizes)
        self.flags = ["--workers", "2", f"--fast-path={'on' if self.fast else 'off'}",
                      "--kart-slow", self.policy, "--kart-tick", f"{self.tick}ms", "--kart-payload",
                      str(self.payload), "--kart-stamp", "--send-buffer",
                      self.chance.choice(("4KiB", "8KiB", "32KiB", "0")), "--not-sent-low",
                      self.chance.choice(("1KiB", "16KiB")), "--ping", self.chance.choice(("100ms", "1s")),
                      # no pong in time or too much memory for all together: other reasons to be closed
                      "--pong", "5m", "--frame-memory", "512MiB", "--drain", "1s", "--log-burst", "1000000",
                      f"--kart-autostart={'off' if self.gapless else 'on'}"]

    def run(self, seconds):
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            self.server = Server(self.server_path, folder, self.flags)
            stack.callback(self.server.end)
            try:
                self.steps(seconds)
            except Wrong as why:
                raise Wrong(f"{why}\n    the server's log ends:\n{self.server.log.read_text()[-3000:]}"
                            f"{self.server.counters()}") from None

    def steps(self, seconds):
        self.make_members()
        self.read(seconds)
        self.catch_up()
        self.note(self.server.metrics())
        self.say_goodbye()
        self.server.check_rest()
        self.count()

    def guard(self, member, does, *arguments):
        if member.is_gone():
            return
        try:
            does(*arguments)
        except Wrong as why:
            place = self.members.index(member) if member in self.members else "a new one"
            raise Wrong(f"member {place} in {member.path}: {why}") from None

    def make_members(self):
        rooms = {path: Room(self.payload) for path in ROOMS}
        self.members = []
        for index in range(MEMBERS):
            path = ROOMS[index % len(ROOMS)]
            # The first one of a room stays and keeps up, so that the room goes on.
            anchor = all(member.path != path for member in self.members)
            self.members.append(Member(random.Random(self.chance.random()), self.server.port, path,
                                       rooms[path], self.gapless, anchor))

    def read(self, seconds):
        end, command_at = time.monotonic() + seconds, 0.0
        while (now := time.monotonic()) < end:
            for member in self.members:
                if member.is_gone():
                    if member.anchor:
                        self.totals["cut short"] += 1
                        return
                    member.join()
                elif member.next_at <= now:
                    self.guard(member, member.turn, now)
            if now >= command_at:
                # A change makes a joiner's state one of its own, whose number nobody else gets.
                if not self.gapless:
                    self.server.command(self.chance.choice(COMMANDS))
                    self.totals["commands"] += 1
                command_at = now + self.chance.random()
            earliest = min((member.next_at for member in self.members), default=now)
            time.sleep(min(max(earliest - time.monotonic(), 0.0002), 0.01))
            self.totals.show()

    def catch_up(self):
        """Everybody reads all there is, and must come to a state that was made since."""
        # A sender whose peer had no room looks again by a timer that grows up to 120 s (TCP_RTO_MAX).
        since, deadline = time.monotonic_ns(), time.monotonic() + 150
        for member in self.members:
            member.finishing = True
            self.guard(member, member.change_speed, time.monotonic())
        while behind := [member for member in self.members
                         if not member.is_gone() and member.stream.encoded_ns < since]:
            if time.monotonic() > deadline:
                raise Wrong(f"{len(behind)} members read all they get, and no new state comes: {behind[0].path}, "
                            f"after state {behind[0].stream.last}\n{kernels_view(behind[0].client.socket)}")
            self.turn_all()

    def turn_all(self):
        for member in self.members:
            self.guard(member, member.turn, time.monotonic())
        time.sleep(0.0005)
        self.totals.show()

    def say_goodbye(self):
        deadline = time.monotonic() + 60
        for member in self.members:
            self.guard(member, member.leave)
        while left := [member for member in self.members if not member.is_gone()]:
            if time.monotonic() > deadline:
                raise Wrong(f"{len(left)} goodbyes were not answered within 60 s")
            self.turn_all()

    def note(self, metrics):
        for key, name in (("sent past queues", "ringcast_sends_fast_total"),
                          ("fell short there", "ringcast_sends_fast_short_total"),
                          ("taken in part", "ringcast_sends_partial_total")):
            self.totals[key] += int(metrics[name])
        for name, value in metrics.items():
            dropped = re.fullmatch(r'ringcast_dropped_total\{policy="(\w+)",reason="(slow|frames|bytes)"\}', name)
            if dropped and dropped[1] in POLICIES and value > 0:
                if dropped[1] != self.policy:
                    raise Wrong(f"{name} is {value:.0f} with --kart-slow {self.policy}")
                self.totals[f"dropped by {dropped[1]}"] += int(value)
        workers = self.server.members_of_workers()
        if len(workers) != 2:
            raise Wrong(f"not every worker had members: {dict(workers)}")
        self.totals["joined worker 0"] += workers["0"]
        self.totals["joined worker 1"] += workers["1"]

    def count(self):
        for member in self.members:
            self.totals.update(member.ends)
            for stream in member.done:
                self.totals["bytes"] += stream.taken
                self.totals["states"] += stream.states
                self.totals["states missed"] += stream.missed
                self.totals["pongs"] += stream.pongs
        self.totals["rounds"] += 1


class Totals(collections.Counter):
    def __init__(self):
        super().__init__()
        self.started = time.monotonic()
        self.show_at = self.started + 60

    def line(self):
        counts = ", ".join(f"{name} {count:,}" for name, count in sorted(self.items()))
        return f"{time.monotonic() - self.started:.0f} s: {counts}"

    def show(self):
        if time.monotonic() >= self.show_at:
            self.show_at += 60
            print(f"soak: {self.line()}", flush=True)


def seconds_of(text):
    found = re.fullmatch(r"(\d+)([smh])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 20s, 10m or 3h")
    return int(found[1]) * SECONDS[found[2]]


def arguments():
    parser = argparse.ArgumentParser(prog="soak", description=__doc__.split("\n")[0])
    parser.add_argument("--server", required=True, type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("--for", dest="seconds", type=seconds_of, default=3 * 3600, metavar="TIME",
                        help="how long: 20s, 10m, 3h [3h]")
    parser.add_argument("--round", type=seconds_of, default=60, metavar="TIME", help="[60s]")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--first", type=int, default=0, help="begin with that round of the seed [0]")
    return parser.parse_args()


def main():
    options, totals = arguments(), Totals()
    print(f"soak: seed {options.seed}, {options.seconds} s", flush=True)
    end, index = time.monotonic() + options.seconds, options.first
    while (left := end - time.monotonic()) > 0:
        one = Round(options, index, totals)
        try:
            one.run(min(options.round, max(left, 1)))
        except Wrong as why:
            print(f"soak: WRONG in round {index}, seed {options.seed} (--seed {options.seed} --first "
                  f"{index}): {why}\n    the server had {' '.join(one.flags)}\n    {totals.line()}", flush=True)
            return 1
        except (NotRun, OSError) as why:
            print(f"soak: not run: round {index}: {why!r}", flush=True)
            return 2
        index += 1
    print(f"soak: {totals.line()}\nsoak: holds: {totals['bytes']:,} bytes in {totals['states']:,} states to "
          f"{MEMBERS} members at a time, and every byte was the right one", flush=True)
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
