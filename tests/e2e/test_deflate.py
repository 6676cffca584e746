"""tests/e2e/test_deflate.py: permessage-deflate (RFC 7692; THREATS.md Z1 to Z7)."""
import contextlib
import json
import os
import subprocess
import sys
import zlib

from harness import FOLDER, Server, Skip, brings, exchange, expect_error
from rawclient import (BINARY, CLOSE, CONTINUATION, PING, PONG, TAIL, TEXT, Ended, deflate, make_frame,
                       upgrade_request)
import tools  # noqa: E402 -- found by the harness

OFFER = "permessage-deflate"
NO_CONTEXT = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
WINDOWS = range(9, 16)


def deflating(*options, payload=4000):
    return Server("--dev", "--kart-deflate", "--kart-tick", "50ms", "--kart-payload", str(payload), *options)


def window_offer(bits):
    return f"{OFFER}; server_max_window_bits={bits}"


def read_after(client, sequence):
    """The first state's frame whose number is above `sequence`, and its number."""
    while True:
        frame = client.read_state_frame()
        number = json.loads(frame.payload)["s"]
        if number > sequence:
            return frame, number


# ---- the handshake

def test_offers():
    """the first acceptable offer is answered, with no context taken over; others by silence (Z5, Z6, Z7)"""
    asked = NO_CONTEXT + "; server_max_window_bits="
    rows = [(OFFER, NO_CONTEXT),
            (f"{OFFER}; client_max_window_bits", NO_CONTEXT),
            (f"{OFFER}; client_max_window_bits=8; client_no_context_takeover", NO_CONTEXT),
            (f"{OFFER}; server_no_context_takeover", NO_CONTEXT),
            (f'{OFFER}; server_max_window_bits="10"', asked + "10"),
            (f"{OFFER}; server_max_window_bits=8", None),
            (f"{OFFER}; server_max_window_bits=8, {window_offer(12)}", asked + "12"),
            (f"foo, {OFFER}; bar, {window_offer(9)}, {OFFER}", asked + "9"),
            ("foo; bar=1", None)]
    rows += [(window_offer(bits), asked + str(bits)) for bits in WINDOWS]
    rows += [(f"{OFFER}; {parameter}", None) for parameter in
             ("server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16",
              "server_max_window_bits=0", "server_max_window_bits=-10", "server_max_window_bits=010",
              "server_max_window_bits=10; server_max_window_bits=10", "client_max_window_bits=16",
              "server_no_context_takeover=1", "unknown")]
    with deflating() as server:
        for offer, answer in rows:
            with server.client(offer=offer) as client:
                got = client.response.headers.get("sec-websocket-extensions")
                assert got == answer, f"{offer}: {got}"
                client.read_state()


def test_broken_offers():
    """a Sec-WebSocket-Extensions that is no list of extensions is 400 (Z5)"""
    for options in ((), ("--kart-deflate",)):
        with Server("--dev", *options) as server:
            for value in ("", ";", f"{OFFER};", f"{OFFER}; server_max_window_bits=", f"{OFFER} x",
                          f'{OFFER}; server_max_window_bits="', f'{OFFER}; server_max_window_bits=""'):
                request = upgrade_request(server.port, headers=(f"Sec-WebSocket-Extensions: {value}",))
                error = expect_error(exchange(server.port, request), 400)
                assert error["code"] == "extension_syntax", error


def test_off():
    """it is off unless switched on: who cannot be trusted yet does not reach an inflater (Z1)"""
    with Server("--dev") as server, server.client(offer=OFFER) as client:
        assert client.bits == 0
        client.read_state()
        client.send(TEXT, deflate(b"hello"), rsv=4)
        assert client.read_close() == (1002, "reserved_bit")


# ---- what is sent

def test_every_window():
    """every window is kept to, and what is in the frame is the state (Z6)"""
    with deflating() as server:
        for bits in WINDOWS:
            with server.client(offer=window_offer(bits)) as client:
                assert client.bits == bits
                for _ in range(3):
                    frame = client.read_state_frame()
                    assert frame.wire is not None and len(frame.wire) < 200, frame


def test_once_for_all():
    """a state is compressed once for each window in use, whatever the number of members"""
    with deflating("--kart-stamp", "--workers", "1") as server, contextlib.ExitStack() as stack:
        offers = [OFFER] * 6 + [window_offer(9)] * 4 + [window_offer(13)] + [None] * 4
        clients = [stack.enter_context(server.client(offer=offer)) for offer in offers]
        first = max(read_after(client, 0)[1] for client in clients)
        seen = [read_after(client, first + 2)[0] for client in clients]
        assert len({frame.payload for frame in seen}) == 1, "all were shown the same"
        assert [frame.wire is not None for frame in seen] == [True] * 11 + [False] * 4
        # 4000 bytes fit into 2^13, so that window's twin is the same as that of 2^15
        assert len({frame.wire for frame in seen if frame.wire}) <= 2
        metrics = server.metrics()
        encodes = metrics.get("ringcast_frame_encodes_total", kind="kart")
        deflates = metrics.get("ringcast_frame_deflates_total")
        assert encodes < deflates <= 2 * encodes, (deflates, encodes)
        sizes = [metrics.get("ringcast_frame_deflate_bytes_total", side=side) for side in ("in", "out")]
        assert sizes[0] == deflates * 4000 and 0 < sizes[1] < sizes[0] / 10, sizes
        assert metrics.get("ringcast_frame_deflates_useless_total") == 0


def test_lent_frames():
    """workers that have a frame on loan, and those that rooms are handed to, compress as well"""
    with deflating("--kart-stamp", "--workers", "2") as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.client(offer=OFFER)) for _ in range(12)]
        clients += [stack.enter_context(server.client(f"/ws/kart/room{i}", offer=window_offer(11)))
                    for i in range(8)]
        for client in clients:
            for _ in range(4):
                assert client.read_state_frame().wire is not None
        shared = max(read_after(client, 0)[1] for client in clients[:12])
        texts = {read_after(client, shared)[0].payload for client in clients[:12]}
        assert len(texts) == 1


def test_threshold():
    """small states are sent as they are"""
    with deflating(payload=0) as server, server.client(offer=OFFER) as client:
        for _ in range(3):
            assert client.read_state_frame().wire is None
        assert server.metric("ringcast_frame_deflates_total") == 0
    with deflating("--deflate-threshold", "4001") as server, server.client(offer=OFFER) as client:
        assert client.read_state_frame().wire is None
    with deflating("--deflate-threshold", "4000") as server, server.client(offer=OFFER) as client:
        assert client.read_state_frame().wire is not None


def test_useless():
    """a state that does not shrink is sent as it is, and compressed once only"""
    with deflating("--deflate-threshold", "0", payload=0) as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.client(offer=OFFER)) for _ in range(8)]
        for client in clients:
            for _ in range(5):
                client.read_state_frame()
        metrics = server.metrics()
        assert metrics.get("ringcast_frame_deflates_useless_total") > 0
        encodes = metrics.get("ringcast_frame_encodes_total", kind="kart")
        assert metrics.get("ringcast_frame_deflates_total") <= encodes * os.cpu_count()


# ---- what is received

def send_fragments(client, payload, cuts, opcode=TEXT):
    pieces = [payload[start:end] for start, end in zip((0, *cuts), (*cuts, len(payload)))]
    for index, piece in enumerate(pieces):
        client.send(opcode if index == 0 else CONTINUATION, piece, rsv=4 if index == 0 else 0,
                    final=index == len(pieces) - 1)


def test_messages():
    """compressed messages are inflated, in frames and fragments, beside uncompressed ones"""
    text = ("Größe " * 300).encode()
    final = zlib.compressobj(9, zlib.DEFLATED, -15)
    final = final.compress(text) + final.flush() + b"\x00"  # BFINAL set (RFC 7692 §7.2.3.4)
    with deflating() as server, server.client(offer=OFFER) as client:
        client.read_state()
        client.send(TEXT, deflate(text), rsv=4)
        client.send(BINARY, deflate(os.urandom(1000)), rsv=4)
        client.send(TEXT, b"not compressed")
        client.send(TEXT, deflate(text, 9), rsv=4)
        client.send(TEXT, final, rsv=4)
        client.send(TEXT, b"\x00", rsv=4)
        client.send(TEXT, b"", rsv=4)
        send_fragments(client, deflate(text), (1, 2, 2, 9))
        client.send(TEXT, deflate(text)[:5], rsv=4, final=False)
        client.send(PING, b"in between")
        client.send(CONTINUATION, deflate(text)[5:])
        assert client.is_alive()
        metrics = server.metrics()
        assert metrics.get("ringcast_messages_received_total", type="text") == 8
        assert metrics.get("ringcast_messages_received_total", type="binary") == 1
        assert metrics.get("ringcast_messages_inflated_total") == 8
        assert metrics.get("ringcast_bytes_inflated_total") == 5 * len(text) + 1000
        server.wait_metric(0, "ringcast_message_buffers_in_use")


def expect_closed(server, frames, code, reason):
    with server.client(offer=OFFER) as client:
        client.read_state()
        with contextlib.suppress(Ended):
            client.send_bytes(b"".join(frames))
        got = client.read_close(3.0)
        assert got == (code, reason), f"{frames[0][:20]!r}: closed with {got}"
        client.read_end()


def test_bombs():
    """a bomb is stopped at the limit with 1009, and costs nothing that stays (Z1)"""
    bomb = deflate(bytes(3 * 1024 * 1024))
    assert len(bomb) < 4096
    with deflating() as server:
        expect_closed(server, [make_frame(TEXT, deflate(b"x" * 4097), rsv=4)], 1009, "message_too_big")
        before = server.memory()
        for opcode in (TEXT, BINARY) * 20:
            expect_closed(server, [make_frame(opcode, bomb, rsv=4)], 1009, "message_too_big")
        assert server.memory() - before < 1024 * 1024
        with server.client(offer=OFFER) as client:
            client.send(TEXT, deflate(b"x" * 4096), rsv=4)
            assert client.is_alive()


def test_bombs_in_pieces():
    """a bomb in fragments, or a payload that is too large by itself, is 1009 as well (Z2)"""
    bomb = deflate(bytes(3 * 1024 * 1024))
    pieces = [bomb[i:i + 300] for i in range(0, len(bomb), 300)]
    frames = [make_frame(BINARY if i == 0 else CONTINUATION, piece, rsv=0 if i else 4,
                         final=i == len(pieces) - 1) for i, piece in enumerate(pieces)]
    with deflating() as server:
        expect_closed(server, frames, 1009, "message_too_big")
        expect_closed(server, [make_frame(BINARY, os.urandom(4097), rsv=4)], 1009, "message_too_big")
        with server.client(offer=OFFER) as client:  # no context: each message is measured by itself
            for _ in range(50):
                client.send(TEXT, deflate(b"x" * 4000), rsv=4)
            assert client.is_alive()


def test_corrupt():
    """what is no DEFLATE stream, or stops within one, is 1007 and never hangs (Z3)"""
    hello = deflate(b"Hello")
    context = b"\xf2\x00\x11\x00\x00"  # a second Hello that refers to the first (RFC 7692 §7.2.3.2)
    with deflating() as server:
        for payload in (b"\xff" * 8, b"\x07", hello[:-3], context, hello + TAIL + b"\x55",
                        b"\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff", b"\x00\x05\x00\xfa"):
            expect_closed(server, [make_frame(TEXT, payload, rsv=4)], 1007, "bad_deflate")
        expect_closed(server, [make_frame(TEXT, deflate(b"\xff"), rsv=4)], 1007, "bad_utf8")
        expect_closed(server, [make_frame(TEXT, deflate(b"a\xc3"), rsv=4)], 1007, "bad_utf8")
        with server.client(offer=OFFER) as client:
            client.send(TEXT, hello, rsv=4)
            client.send(BINARY, deflate(b"\xff"), rsv=4)
            assert client.is_alive()


def test_reserved_bits():
    """RSV1 belongs on a message's first frame, RSV2 and RSV3 nowhere (Z4, F2)"""
    begun = make_frame(TEXT, deflate(b"Hello")[:3], rsv=4, final=False)
    with deflating() as server:
        for opcode in (PING, PONG, CLOSE, CONTINUATION):
            expect_closed(server, [make_frame(opcode, b"", rsv=4)], 1002, "reserved_bit")
        for final in (False, True):
            expect_closed(server, [begun, make_frame(CONTINUATION, b"x", rsv=4, final=final)],
                          1002, "reserved_bit")
        for rsv in (1, 2, 3, 5, 6, 7):
            expect_closed(server, [make_frame(TEXT, b"", rsv=rsv)], 1002, "reserved_bit")


def test_no_context():
    """what a client says never changes how long another message is (Z7)"""
    with deflating("--kart-stamp") as server, server.client(offer=OFFER) as quiet, \
            server.client(offer=OFFER) as loud:
        number = 0
        for _ in range(5):
            loud.send(TEXT, deflate(json.dumps({"phase": "staging", "pot": 500, "pad": "x" * 500}).encode()),
                      rsv=4)
            one, number = read_after(quiet, number)
            other, _ = read_after(loud, number - 1)
            while other.payload != one.payload:
                one, number = read_after(quiet, number)
                other, _ = read_after(loud, number - 1)
            assert one.wire == other.wire


# ---- clients that people use

@brings(tools.python_path)
def test_websockets():
    """Python's websockets agrees to every window, and reads and writes compressed messages"""
    folder = tools.python_path()
    if folder is None:
        raise Skip("the package `websockets` could not be brought")
    sys.path.insert(0, folder)
    from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Factory
    from websockets.sync.client import connect
    choices = [{"server_max_window_bits": bits} for bits in WINDOWS]
    choices += [{"client_max_window_bits": bits} for bits in (True, *WINDOWS)]
    choices += [{"server_no_context_takeover": True}, {"client_no_context_takeover": True}, {}]
    choices.append({"server_max_window_bits": 10, "client_max_window_bits": 11,
                    "server_no_context_takeover": True, "client_no_context_takeover": True})
    with deflating() as server:
        url = f"ws://127.0.0.1:{server.port}/ws"
        for choice in choices:
            with connect(url, compression=None, extensions=[Factory(**choice)]) as client:
                assert len(client.protocol.extensions) == 1, choice
                client.send("CONFIRM_READY " * 200)
                client.send(["in pieces ", "of it " * 100])
                for _ in range(2):
                    assert len(json.loads(client.recv(timeout=2))["pad"]) > 3000
        with connect(url, compression="deflate") as client:
            json.loads(client.recv(timeout=2))
            assert client.ping().wait(2)
        assert server.metric("ringcast_messages_inflated_total") == 2 * len(choices)
        with connect(url, compression=None, extensions=[Factory(server_max_window_bits=8)]) as client:
            assert not client.protocol.extensions, "8 is declined (Z6)"
            json.loads(client.recv(timeout=2))


@brings(tools.node_path)
def test_node_ws():
    """npm's ws agrees to every window, and reads and writes compressed messages"""
    found = tools.node_path()
    if found is None:
        raise Skip("node and npm's `ws` could not be brought")
    node, modules = found
    choices = [{"threshold": 0}, {"serverNoContextTakeover": True, "threshold": 0},
               {"clientNoContextTakeover": True, "clientMaxWindowBits": 10},
               *({"serverMaxWindowBits": bits} for bits in (9, 12, 15))]
    with deflating() as server:
        for options in choices:
            command = [node, str(FOLDER / "ws_client.js"), f"ws://127.0.0.1:{server.port}/ws", "0",
                       json.dumps(options), OFFER]
            done = subprocess.run(command, timeout=40, env=os.environ | {"NODE_PATH": modules},
                                  capture_output=True, text=True)
            assert done.returncode == 0 and done.stdout == "ok\n", f"{options}: {done.stdout}{done.stderr}"
        assert server.metric("ringcast_messages_inflated_total") >= len(choices)
