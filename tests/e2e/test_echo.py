"""tests/e2e/test_echo.py: /echo sends back what it gets, whole and in order, however slowly that is
taken; who does not read is not read either (THREATS R1, F16, F17, F18)."""
import contextlib
import hashlib
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time

from harness import FOLDER, Server, brings, expect_error, request, wait_until
from rawclient import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Client, Ended, Refused, \
    close_payload, deflate, make_frame, upgrade_request
from test_clients import bring_websockets, node_and_modules
import tools  # noqa: E402 -- found by the harness

MIB = 1024 * 1024
ECHO = ("--dev", "--enable-echo", "--workers", "1")
ZEROS = b"\0\0\0\0"  # as a mask: the payload as it is, cheap to make


@contextlib.contextmanager
def echo(*options, workers="1", receive_buffer=None, **how):
    with Server("--dev", "--enable-echo", *options, "--workers", workers, **how) as server:
        with server.client("/echo", timeout=20, receive_buffer=receive_buffer) as client:
            yield server, client
        server.wait_metric(0, "ringcast_connections", kind="echo", seconds=10)
        server.wait_metric(0, "ringcast_reply_memory_bytes")


def say(client, opcode, payload, **how):
    """Says it and hears it; the client's frames are masked with zeros."""
    client.send(opcode, payload, mask=ZEROS, **how)
    expect(client, opcode, payload)


def expect(client, opcode, payload):
    frame = client.read_message()
    assert frame.opcode == opcode and frame.final, frame
    assert frame.payload == payload, f"{len(frame.payload)} bytes of {len(payload)}"


def pattern(size):
    return (hashlib.sha256(b"echo").digest() * (size // 32 + 1))[:size]


def in_background(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def is_stopped(server, client):
    """Waits until the server has stopped to read this client, which sends and does not read."""
    before = server.metric("ringcast_reads_stopped_total")
    client.socket.settimeout(0.3)
    message, sent = make_frame(BINARY, pattern(2000), mask=ZEROS), 0
    with contextlib.suppress(TimeoutError):
        while sent < 64 * MIB:
            sent += client.socket.send(message[sent % len(message):])
    assert 0 < sent < 64 * MIB, "it reads on and on"
    wait_until(lambda: server.metric("ringcast_reads_stopped_total") > before, 5, "it has stopped")
    return message, sent


def test_off_by_default():
    """/echo is 404 unless it is enabled"""
    with Server("--dev") as server:
        expect_error(request(server.port, "GET", "/echo"), 404)
        try:
            server.client("/echo")
            raise AssertionError("it was let in")
        except Refused as why:
            assert why.response.status == 404
    with Server("--dev", env={"RINGCAST_ENABLE_ECHO": "1"}) as server:
        with Client(server.port, handshake=False) as client:
            client.send_bytes(b"GET /echo HTTP/1.1\r\nHost: here\r\n\r\n")
            assert client.read_response().status == 426
        expect_error(request(server.port, "GET", "/echo/"), 404)
        with server.client("/echo") as client:
            say(client, TEXT, b"on")


def test_what_comes_goes_back():
    """text and binary of every length form come back as they came, empty ones too (F17)"""
    with echo() as (server, client):
        sizes = (0, 1, 125, 126, 127, 1000, 1014, 1018, 1024, 4096, 4222, 8192, 32768, 65535, 65536,
                 131_000, 131_022, 131_023, 131_072, 131_073, 262_144, 1_048_576, 1_500_000)
        for size in sizes:
            say(client, TEXT, b"x" * size)
            say(client, BINARY, pattern(size))
        assert server.metric("ringcast_messages_received_total", kind="echo", type="text") == len(sizes)
        assert server.metric("ringcast_messages_received_total", kind="echo", type="binary") == \
            len(sizes)
        assert server.metric("ringcast_connections", kind="echo") == 1
        client.send(TEXT, "grüße".encode())
        expect(client, TEXT, "grüße".encode())
        assert client.leave(1001) == (1001, "")


def test_largest_message():
    """16 MiB come back, in one frame and in fragments of 64 bytes; its memory goes back to the kernel"""
    with echo("--message", "60s") as (server, client):
        payload = pattern(16 * MIB)
        say(client, BINARY, b"small")
        before = server.memory()
        start = time.monotonic()
        say(client, BINARY, payload)
        print(f"16 MiB there and back: {time.monotonic() - start:.2f} s")
        expect_memory(server, before + 2 * MIB)
        payload = b"t" * (4 * MIB)
        pieces = [bytes([CONTINUATION, 0x80 | 64]) + ZEROS + payload[:64]] * (len(payload) // 64)
        pieces[0] = bytes([TEXT]) + pieces[0][1:]
        pieces[-1] = bytes([0x80 | CONTINUATION]) + pieces[-1][1:]
        client.send_bytes(b"".join(pieces))
        expect(client, TEXT, payload)


def expect_memory(server, most):
    wait_until(lambda: server.memory() <= most, 3,
               lambda: f"at most {most / MIB:.1f} MiB: {server.memory() / MIB:.1f}")


def test_over_the_limit():
    """one byte more than the limit is 1009, from the header, also over fragments (F18)"""
    with echo("--echo-message", "2MiB") as (server, client):
        say(client, BINARY, pattern(2 * MIB))
        client.send_bytes(make_frame(BINARY, b"", declared=2 * MIB + 1, mask=ZEROS))
        assert client.read_close() == (1009, "message_too_big")
    with Server(*ECHO) as server:
        with server.client("/echo") as client:
            client.send_bytes(make_frame(BINARY, b"", declared=16 * MIB + 1, mask=ZEROS))
            assert client.read_close() == (1009, "message_too_big")
        with server.client("/echo", timeout=20) as client:
            client.send(BINARY, pattern(16 * MIB), final=False, mask=ZEROS)
            client.send(CONTINUATION, b"1", mask=ZEROS)
            assert client.read_close() == (1009, "message_too_big")
        with server.client() as member:
            member.send(TEXT, b"x" * 4097)
            assert member.read_close() == (1009, "message_too_big"), "kart's limit is its own"


def test_fragments_and_pings():
    """pings between fragments are each answered at once and in order, the message stays whole (F9)"""
    with echo() as (_, client):
        client.send(TEXT, b"one ", final=False)
        client.send(PING, b"first")
        expect(client, PONG, b"first")
        client.send(CONTINUATION, b"", final=False)
        client.send(PING, b"")
        client.send(CONTINUATION, b"two", final=True)
        expect(client, PONG, b"")
        expect(client, TEXT, b"one two")
        client.send_bytes(b"".join(make_frame(PING, b"payload-%d" % i) for i in range(10)))
        for index in range(10):
            expect(client, PONG, b"payload-%d" % index)
        client.send_bytes(make_frame(PING, b"split")[:7])
        time.sleep(0.05)
        client.send_bytes(make_frame(PING, b"split", mask=ZEROS)[7:])
        assert client.read_message().opcode == PONG


def test_broken_input():
    """what was said before an error is answered, then the error (F1, F11, U1)"""
    bad = ((make_frame(TEXT, b"\xff"), 1007), (make_frame(TEXT, b"x", rsv=4), 1002),
           (make_frame(CONTINUATION, b"x"), 1002),
           (make_frame(TEXT, b"", final=False) + make_frame(CONTINUATION, b"x", final=False) * 300,
            1008))
    with Server(*ECHO) as server:
        for wire, code in bad:
            with server.client("/echo") as client:
                client.send_bytes(make_frame(TEXT, b"before") + wire)
                expect(client, TEXT, b"before")
                assert client.read_close()[0] == code
                client.read_end()


def test_close_behind_messages():
    """a close behind a hundred messages is answered behind their echoes"""
    with echo() as (_, client):
        messages = [os.urandom(700) for _ in range(100)]
        client.send_bytes(b"".join(make_frame(BINARY, each) for each in messages) +
                          make_frame(CLOSE, close_payload(3456, b"done")))
        for each in messages:
            expect(client, BINARY, each)
        assert client.read_close() == (3456, "")
        client.read_end()


def test_pipelined_without_reading():
    """10,000 messages from a client that reads only at the end: none is lost, order is kept, and what
    the server keeps meanwhile is bounded"""
    count, most = 10_000, []
    with echo() as (server, client):
        before = server.memory()

        def number(index):
            return struct.pack(">I", index) + pattern(2000 + index % 7)

        writer = in_background(lambda: client.socket.sendall(
            b"".join(make_frame(BINARY, number(index), mask=ZEROS) for index in range(count))))
        wait_until(lambda: server.metric("ringcast_reads_stopped_total") > 0, 5, "it stops reading")
        for _ in range(5):
            time.sleep(0.1)
            most.append(server.metric("ringcast_reply_memory_bytes"))
        assert max(most) < MIB, most
        assert server.memory() < before + 3 * MIB
        for index in range(count):
            expect(client, BINARY, number(index))
        writer.join(5)
        assert server.metric("ringcast_dropped_total") == 0
        assert server.metric("ringcast_messages_received_total", kind="echo") == count


def test_thousands_of_tiny_ones():
    """20,000 tiny messages and pings in one piece come back one by one (F13)"""
    with echo() as (_, client):
        kinds = (TEXT, BINARY, PING)
        wire = b"".join(make_frame(kinds[i % 3], b"%d" % i if i % 5 else b"", mask=ZEROS)
                        for i in range(20_000))
        writer = in_background(lambda: client.socket.sendall(wire))
        for index in range(20_000):
            expect(client, (TEXT, BINARY, PONG)[index % 3], b"%d" % index if index % 5 else b"")
        writer.join(5)


def test_large_without_reading():
    """three messages of 16 MiB, then a ping, from a client that reads only at the end"""
    with echo("--message", "30s") as (server, client):
        payload = pattern(16 * MIB)
        writer = in_background(lambda: client.socket.sendall(
            make_frame(BINARY, payload, mask=ZEROS) * 3 + make_frame(PING, b"last", mask=ZEROS)))
        wait_until(lambda: server.metric("ringcast_reads_stopped_total") > 0, 5, "it stops reading")
        time.sleep(0.5)
        assert server.metric("ringcast_reply_memory_bytes") < 40 * MIB
        for _ in range(3):
            expect(client, BINARY, payload)
        expect(client, PONG, b"last")
        writer.join(5)


def test_stalls_longer_than_a_message_may_take():
    """who is not read is not timed out in the middle of a message (F10)"""
    with echo("--message", "1500ms") as (server, client):
        message, sent = is_stopped(server, client)
        time.sleep(2.5)
        assert server.metric("ringcast_connections", kind="echo") == 1
        left = message[sent % len(message):] + make_frame(CLOSE, close_payload(1000))
        writer = in_background(lambda: client.socket.sendall(left))
        for _ in range(sent // len(message) + 1):
            expect(client, BINARY, pattern(2000))
        assert client.read_close() == (1000, "")
        writer.join(5)


def test_never_read_again():
    """who is stopped and never reads again is given up on by the kernel when --ping and --pong are over, and
    what it owed is free; who reads a little is not (R1)"""
    with Server(*ECHO, "--ping", "1s", "--pong", "500ms") as server:
        with server.client("/echo", receive_buffer=4096) as stalled, server.client("/echo", receive_buffer=4096) as slow:
            is_stopped(server, stalled), is_stopped(server, slow)
            server.wait_metric(2, "ringcast_connections", kind="echo")
            began = time.monotonic()
            while server.metric("ringcast_connections", kind="echo") == 2:
                assert time.monotonic() - began < 20, "both stay"
                slow.socket.settimeout(1)
                slow.socket.recv(65536)
                time.sleep(0.1)
            assert time.monotonic() - began > 0.5
            assert server.metric("ringcast_disconnects_total", code=1006) == 1
            assert slow.socket.recv(65536), "who reads a little hears its echoes"
        server.wait_metric(0, "ringcast_reply_memory_bytes")
        server.wait_metric(1, "ringcast_connections_open")


def test_vanishing_while_stopped():
    """a client that is stopped and vanishes leaves nothing: by a reset, and with data on the way"""
    with Server(*ECHO) as server:
        for reset in (True, False):
            client = server.client("/echo")
            is_stopped(server, client)
            client.reset() if reset else client.socket.close()
            server.wait_metric(0, "ringcast_connections", kind="echo")
        server.wait_metric(0, "ringcast_reply_memory_bytes")
        server.wait_metric(1, "ringcast_connections_open")
        server.signal(signal.SIGTERM)
        assert server.wait_exit(5) == 0, "not everything came home"


def test_shutdown_while_stopped():
    """SIGTERM while one client is stopped and another reads: both are told, all comes home (D9)"""
    with Server(*ECHO, "--drain", "3s") as server:
        with server.client("/echo") as stalled, server.client("/echo") as good:
            is_stopped(server, stalled)
            say(good, TEXT, b"still here")
            server.signal(signal.SIGTERM)
            code, reason = good.read_close(5)
            assert code == 1012 and reason.startswith("restart;retry_ms="), (code, reason)
            assert server.wait_exit(8) == 0, server.log_text()[-500:]


def test_told_of_shutdown_behind_replies():
    """SIGTERM while stopped: who then reads gets every echo that was owed, whole, and then 1012"""
    with Server(*ECHO, "--drain", "3s") as server, server.client("/echo", timeout=10) as client:
        is_stopped(server, client)
        server.signal(signal.SIGTERM)
        time.sleep(0.2)
        count = 0
        while (frame := client.read_message()).opcode == BINARY:
            assert frame.payload == pattern(2000)
            count += 1
        assert frame.opcode == CLOSE and frame.payload[:2] == struct.pack(">H", 1012), frame
        assert count > 10


def test_one_stalls():
    """while one client stalls, four others and a race go on as before (R1)"""
    with Server(*ECHO, "--kart-tick", "50ms") as server, server.client("/echo") as stalled:
        is_stopped(server, stalled)
        with contextlib.ExitStack() as stack:
            others = [stack.enter_context(server.client("/echo")) for _ in range(4)]
            member = stack.enter_context(server.client())
            slowest = 0
            for index in range(50):
                start = time.monotonic()
                for other in others:
                    say(other, BINARY, pattern(index * 5000))
                slowest = max(slowest, time.monotonic() - start)
                member.read_state()
            assert slowest < 1, slowest
        assert server.metric("ringcast_connections_shed_total") == 0


def test_memory_is_bounded():
    """many who stall owe no more than --echo-memory together, nobody is shed, further ones get 503"""
    with Server(*ECHO, "--echo-memory", "4MiB", "--echo-message", "256KiB") as server, \
            contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.client("/echo", timeout=20, receive_buffer=4096))
                   for _ in range(8)]
        try:
            server.client("/echo")
            raise AssertionError("it was let in")
        except Refused as why:
            assert expect_error(why.response, 503)["code"] == "too_many_echoes"
        payload = pattern(100_000)
        writers = [in_background(lambda client=client: client.socket.sendall(
            make_frame(BINARY, payload, mask=ZEROS) * 100)) for client in clients]
        samples = []
        for _ in range(10):
            samples.append(server.metric("ringcast_reply_memory_bytes"))
            time.sleep(0.05)
        assert 0 < max(samples) <= 4 * MIB, samples
        readers = [in_background(lambda client=client: [expect(client, BINARY, payload)
                                                        for _ in range(100)]) for client in clients]
        for thread in readers + writers:
            thread.join(20)
            assert not thread.is_alive(), "an echo is missing"
        for client in clients:
            say(client, TEXT, b"all there")
        assert server.metric("ringcast_connections_shed_total") == 0


def test_slots_of_the_vanished():
    """clients that come in the moment in which stopped ones vanish do not find their buffers taken"""
    options = ("--echo-memory", "1MiB", "--send-buffer", "4KiB")  # for two
    begin = upgrade_request(0, "/echo") + 140 * make_frame(PING, mask=ZEROS)  # one piece, and stops
    with Server(*ECHO, *options) as server, contextlib.ExitStack() as stack:
        stopped = [stack.enter_context(server.client("/echo", receive_buffer=4096)) for _ in range(2)]
        for client in stopped:
            is_stopped(server, client)
        fresh = [stack.enter_context(Client(server.port, handshake=False)) for _ in range(4)]
        wait_until(lambda: server.metric("ringcast_connections_open") >= 6, 5, "all are accepted")
        server.process.send_signal(signal.SIGSTOP)  # so that all of this is one turn's events
        for client in stopped:
            client.reset()
        for client in fresh:
            client.send_bytes(begin)
        server.process.send_signal(signal.SIGCONT)

        def outcomes():
            refused = server.metric("ringcast_handshakes_rejected_total", reason="too_many_echoes")
            return refused, server.metric("ringcast_connections_accepted_total", kind="echo") - 2

        # Both places are free again by the end of a turn, and it may be that all of this takes two.
        wait_until(lambda: sum(outcomes()) == 4, 5, outcomes)
        assert outcomes()[0] >= 2, outcomes()


def test_large_ones_take_turns():
    """four clients with large messages share one frame for those, and all get theirs"""
    with Server(*ECHO, "--echo-memory", "2MiB", "--echo-message", "1MiB") as server, \
            contextlib.ExitStack() as stack:
        payload, done = pattern(MIB), []

        def talk(client):
            for _ in range(10):
                say(client, BINARY, payload)
            done.append(client)

        threads = [in_background(lambda: talk(stack.enter_context(server.client("/echo", timeout=20))))
                   for _ in range(4)]
        for thread in threads:
            thread.join(30)
        assert len(done) == 4, f"{len(done)} of 4"


def test_rooms_keep_their_frames():
    """what echoes may keep is reserved beside what rooms have, in each size"""
    reserved = []
    for options in ((), ("--enable-echo", "--echo-memory", "2MiB"), ("--enable-echo", "--echo-memory", "1024MiB")):
        with Server("--dev", "--workers", "1", *options) as server:
            reserved.append(server.metric("ringcast_memory_reserved_bytes"))
    assert reserved[0] < reserved[1] and reserved[2] - reserved[0] >= 6 * 512 * MIB, reserved


def test_inflated_ones_wait():
    """a message that was begun, and inflates to a large one, waits for the one frame that another has"""
    options = ("--echo-deflate", "--echo-memory", "2MiB", "--echo-message", "1MiB", "--send-buffer", "4KiB")
    text = b"".join(b"%d:" % number for number in range(60_000))
    first, rest = deflate(text)[:500], deflate(text)[500:]
    assert len(rest) < 128 * 1024 - 500 < len(text) // 2
    with Server(*ECHO, *options) as server, server.client("/echo", receive_buffer=4096) as other, \
            server.client("/echo", offer="permessage-deflate") as client:
        client.send_bytes(make_frame(BINARY, first, final=False, rsv=4))
        client.is_alive()  # so it was begun
        other.send(BINARY, pattern(900_000), mask=ZEROS)
        wait_until(lambda: server.metric("ringcast_sends_partial_total") > 0, 5, "it is on its way")
        before = server.metric("ringcast_reads_stopped_total")
        client.send(CONTINUATION, rest)
        wait_until(lambda: server.metric("ringcast_reads_stopped_total") > before, 5, "it has stopped")
        expect(other, BINARY, pattern(900_000))
        expect(client, BINARY, text)


def test_two_workers():
    """with two workers each client is served where it was accepted"""
    with Server("--dev", "--enable-echo", "--workers", "2") as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.client("/echo")) for _ in range(12)]
        for size in (0, 10, 5000, 300_000):
            for client in clients:
                say(client, BINARY, pattern(size))
        assert server.metric("ringcast_connections", kind="echo") == 12
        server.wait_metric(12 * 4, "ringcast_messages_received_total", kind="echo")


def test_half_frames_at_the_end():
    """a client that ends its side in the middle of a large message leaves nothing (H26)"""
    with echo() as (server, client):
        client.send_bytes(make_frame(BINARY, pattern(3 * MIB), mask=ZEROS)[:2 * MIB])
        wait_until(lambda: server.metric("ringcast_reply_memory_bytes") > MIB, 5, "it is being read")
        client.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(Ended):
            client.read_frame()


@brings(tools.python_path)
def test_websockets():
    """Python's websockets: text, binary, fragments, 16 MiB, pings, close"""
    bring_websockets()
    from websockets.sync.client import connect
    with Server(*ECHO) as server:
        with connect(f"ws://127.0.0.1:{server.port}/echo", max_size=None) as client:
            for message in ("", "grüße", b"", b"\x00\xff", "x" * 70_000, pattern(16 * MIB)):
                client.send(message)
                assert client.recv(timeout=10) == message
            client.send(["in ", "", "pieces"])
            assert client.recv(timeout=2) == "in pieces"
            assert client.ping().wait(2), "no pong"
        assert client.protocol.close_rcvd.code == 1000


@brings(tools.node_path)
def test_node_ws():
    """npm's ws: text, binary, fragments, 16 MiB, pings, close"""
    node, environment = node_and_modules()
    with Server(*ECHO) as server:
        url = f"ws://127.0.0.1:{server.port}/echo"
        done = subprocess.run([node, str(FOLDER / "ws_echo_client.js"), url], timeout=40,
                              env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout == "ok\n", done.stdout + done.stderr


def write_at_random(dice):
    """Random messages in random fragments, with pings between them: the bytes, and what must come back."""
    wire, wanted = bytearray(), []
    for number in range(100):
        opcode, pieces = dice.choice((TEXT, BINARY)), dice.choice((1, 1, 2, 5, 100))
        payload = b"%d:" % number * int(2 ** dice.uniform(0, 18))
        cuts = sorted(dice.randrange(len(payload) + 1) for _ in range(pieces - 1))
        for index, (start, end) in enumerate(zip([0] + cuts, cuts + [len(payload)])):
            if dice.random() < 0.1:
                ping = b"%d/%d" % (number, index)
                wire += make_frame(PING, ping)
                wanted.append((PONG, ping))
            wire += make_frame(opcode if index == 0 else CONTINUATION, payload[start:end],
                               final=index == pieces - 1)
        wanted.append((opcode, payload))
    return bytes(wire), wanted


def send_at_random(client, dice, wire):
    start = 0
    while start < len(wire):
        size = int(2 ** dice.uniform(0, 20))
        client.socket.sendall(wire[start:start + size])
        start += size
        if dice.random() < 0.1:
            time.sleep(0.002)


def test_at_random():
    """six clients say random messages in random fragments and pieces, and read when they like: each
    hears every byte and every pong in its place (F9, F12)"""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    failures = []

    def talk(server, number):
        try:
            dice = random.Random(seed * 10 + number)
            wire, wanted = write_at_random(dice)
            with server.client("/echo", timeout=30, receive_buffer=dice.choice((None, 4096))) as client:
                writer = in_background(
                    lambda: send_at_random(client, random.Random(number), wire))
                for opcode, payload in wanted:
                    expect(client, opcode, payload)
                    if dice.random() < 0.05:
                        time.sleep(0.01)
                writer.join(10)
                assert client.leave()[0] == 1000
        except BaseException as why:  # noqa: BLE001 -- told below
            failures.append(f"client {number}: {why!r}")

    with Server("--dev", "--enable-echo", "--workers", "2", "--echo-memory", "4MiB",
                "--echo-message", "1MiB") as server:
        threads = [in_background(lambda number=number: talk(server, number)) for number in range(6)]
        for thread in threads:
            thread.join(40)
        assert not failures and not any(thread.is_alive() for thread in threads), failures
        server.wait_metric(0, "ringcast_reply_memory_bytes")
