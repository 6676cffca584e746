"""tests/e2e/test_frames.py: frames that are wrong, and right ones that look wrong (THREATS.md F, U).
Every row: the close code, the reason on the wire, then the end of the stream; against the default
configuration, unless a test needs else."""
import contextlib
import os
import random
import struct
import time

from harness import Reader, Server, alone, is_gapless, longest_gap, sequence, wait_until
from rawclient import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Ended, close_payload, make_frame)

UNMASKED = False


def expect_closed(server, data, code, reason, *, say=""):
    """`data` on a fresh connection is answered with this close, and then the end."""
    with server.client() as client:
        client.read_state()
        with contextlib.suppress(Ended):  # the server may have heard enough before the end of it
            client.send_bytes(data)
        try:
            got = client.read_close(3.0)
            assert got == (code, reason), f"closed with {got}"
            client.read_end()
        except (AssertionError, TimeoutError, Ended) as why:
            raise AssertionError(f"{say or data[:40]!r}: {why!r}, wanted {code} {reason}") from None


def expect_alive(server, data, *, say=""):
    """After `data` the connection still answers."""
    with server.client() as client:
        client.read_state()
        client.send_bytes(data)
        try:
            assert client.is_alive()
        except (AssertionError, TimeoutError, Ended) as why:
            raise AssertionError(f"{say or data[:40]!r}: {why!r}") from None


def test_unmasked():
    """an unmasked frame is 1002 (F1)"""
    with Server() as server:
        for opcode in (TEXT, BINARY, CONTINUATION, PING, PONG, CLOSE):
            expect_closed(server, make_frame(opcode, b"", mask=UNMASKED), 1002, "unmasked_frame")
        expect_closed(server, make_frame(TEXT, b"hello", mask=UNMASKED), 1002, "unmasked_frame")


def test_reserved_bits():
    """a reserved bit is 1002, on data and control frames (F2)"""
    with Server() as server:
        for rsv in range(1, 8):
            for opcode in (TEXT, BINARY, PING, CLOSE):
                expect_closed(server, make_frame(opcode, b"", rsv=rsv), 1002, "reserved_bit")


def test_reserved_opcodes():
    """a reserved opcode is 1002 (F3)"""
    with Server() as server:
        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            expect_closed(server, make_frame(opcode, b"x"), 1002, "reserved_opcode")


def test_highest_length_bit():
    """a 64-bit length with its highest bit set is 1002, and nothing is allocated (F4)"""
    with Server() as server:
        memory = server.memory()
        for size in (0x8000000000000001, 0xFFFFFFFFFFFFFFFF, 0x8000000000000000):
            expect_closed(server, make_frame(TEXT, b"x", form=64, declared=size), 1002,
                          "length_too_long")
        assert server.memory() < memory + 8_000_000


def test_declared_lengths():
    """a huge declared length is 1009 from the header alone (F5, F18)"""
    with Server() as server:
        memory = server.memory()
        for size in (4097, 65535, 65536, 1 << 20, 1 << 32, 1 << 40, (1 << 63) - 1):
            head = make_frame(BINARY, b"", declared=size, form=16 if size < 65536 else 64)
            expect_closed(server, head, 1009, "message_too_big", say=f"{size} declared")
        assert server.memory() < memory + 8_000_000


def test_lengths_not_minimal():
    """a length in a longer form than it needs is 1002 (F6)"""
    with Server() as server:
        for size, form in ((0, 16), (1, 16), (125, 16), (0, 64), (125, 64), (126, 64), (4096, 64),
                           (65535, 64)):
            frame = make_frame(TEXT, b"x" * size, form=form)
            expect_closed(server, frame, 1002, "length_not_minimal", say=f"{size} as {form} bits")


def test_control_frames():
    """a control frame over 125 bytes or in fragments is 1002; one of 125 bytes is fine (F7, F15)"""
    with Server() as server:
        for opcode in (PING, PONG, CLOSE):
            expect_closed(server, make_frame(opcode, b"x" * 126), 1002, "control_too_long")
            expect_closed(server, make_frame(opcode, b"x", final=False), 1002, "control_fragmented")
        with server.client() as client:
            client.send(PING, bytes(range(125)))
            assert client.read_until_pong()[0] == bytes(range(125))
            client.send(PONG, b"nobody asked")
            client.send(PONG)
            assert client.is_alive()


def test_fragment_order():
    """a continuation without a start, and a start inside a message, are 1002 (F8)"""
    with Server() as server:
        start = make_frame(TEXT, b"a", final=False)
        for final in (True, False):
            expect_closed(server, make_frame(CONTINUATION, b"x", final=final), 1002,
                          "continuation_alone")
            expect_closed(server, start + make_frame(TEXT, b"b", final=final), 1002,
                          "message_interrupted")
            expect_closed(server, start + make_frame(BINARY, b"", final=final), 1002,
                          "message_interrupted")
        done = start + make_frame(CONTINUATION, b"b")
        expect_closed(server, done + make_frame(CONTINUATION, b"c"), 1002, "continuation_alone")


def test_control_between_fragments():
    """a ping between fragments is answered before the message is over (F9)"""
    with Server() as server, server.client() as client:
        client.read_state()
        before = server.metric("ringcast_messages_received_total", kind="kart")
        client.send(TEXT, b"one ", final=False)
        for payload in (b"first", b"", b"third"):
            client.send(PING, payload)
            assert client.read_until_pong()[0] == payload
            client.send(CONTINUATION, b"more ", final=False)
            client.send(PONG)
        assert server.metric("ringcast_messages_received_total", kind="kart") == before
        client.send(CONTINUATION)
        assert client.is_alive()
        assert server.metric("ringcast_messages_received_total", kind="kart") == before + 1


def test_endless_fragments():
    """fragments that together pass the limit are 1009, at the header that does it (F10, F18)"""
    with Server() as server:
        start = make_frame(TEXT, b"x" * 64, final=False)
        more = make_frame(CONTINUATION, b"x" * 64, final=False)
        expect_closed(server, start + more * 64, 1009, "message_too_big")
        expect_alive(server, start + more * 62 + make_frame(CONTINUATION, b"x" * 64))
        head = make_frame(CONTINUATION, b"", declared=4096 - 63, form=16)
        expect_closed(server, start + head, 1009, "message_too_big")
        expect_closed(server, make_frame(BINARY, b"x" * 4097), 1009, "message_too_big")
        expect_alive(server, make_frame(BINARY, b"x" * 4096))


def test_tiny_fragments():
    """more than 256 fragments under 16 bytes in one message are 1008, without a buffer for each (F11)"""
    with Server() as server:
        memory = server.memory()
        for payload in (b"", b"x"):
            start = make_frame(TEXT, payload, final=False)
            more = make_frame(CONTINUATION, payload, final=False)
            expect_closed(server, start + more * 300, 1008, "too_many_fragments")
            expect_closed(server, start + more * 131_000, 1008, "too_many_fragments")
            expect_alive(server, start + more * 254 + make_frame(CONTINUATION, payload))
        assert server.memory() < memory + 8_000_000


def test_cut_at_every_byte():
    """frames that come byte by byte are the same frames (F12)"""
    data = (make_frame(TEXT, "Grüße".encode()) + make_frame(PING, b"one") + make_frame(BINARY, b"x" * 200) +
            make_frame(TEXT, b"a", final=False) + make_frame(PING, b"two") + make_frame(CONTINUATION, b"b") +
            make_frame(PING, b"three"))
    with Server() as server, server.client() as client:
        client.read_state()
        before = server.metric("ringcast_messages_received_total", kind="kart")
        for index in range(len(data)):
            client.send_bytes(data[index:index + 1])
            if index % 10 == 0:
                time.sleep(0.001)
        for payload in (b"one", b"two", b"three"):
            assert client.read_until_pong()[0] == payload
        assert server.metric("ringcast_messages_received_total", kind="kart") == before + 3


def test_many_frames_in_one_segment():
    """thousands of tiny frames in one segment are all taken, and the last is answered (F13)"""
    with Server("--message-rate", "0") as server, server.client() as client:
        client.read_state()
        before = server.metric("ringcast_messages_received_total", kind="kart")
        client.send_bytes(make_frame(TEXT, b"") * 1000 + make_frame(BINARY, b"") * 4000)
        assert client.is_alive()
        assert server.metric("ringcast_messages_received_total", kind="kart") == before + 5000


def test_masks():
    """a mask of zeros and one of ones are masks (F14)"""
    with Server() as server, server.client() as client:
        for mask in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\xff\0\xff"):
            client.send(PING, b"payload " + mask, mask=mask)
            assert client.read_until_pong()[0] == b"payload " + mask


@alone
def test_ping_flood():
    """where pings are not limited, a flood of them is answered with its newest, not with all, and disturbs
    nobody (F15)"""
    with Server("--control-rate", "0", "--kart-tick", "100ms", "--kart-stamp") as server:
        with server.client() as member, server.client() as flooder:
            member.read_state()
            reader = Reader(member)
            pings = b"".join(make_frame(PING, struct.pack(">I", n)) for n in range(50_000))
            flooder.timeout = 10
            with contextlib.suppress(Ended):
                for index in range(0, len(pings), 60_000):
                    flooder.send_bytes(pings[index:index + 60_000])
            newest, count = None, 0
            with contextlib.suppress(Ended):
                while newest != 49_999:
                    frame = flooder.read_message(3.0)
                    assert frame.opcode != CLOSE, frame
                    if frame.opcode == PONG:
                        number = struct.unpack(">I", frame.payload)[0]
                        assert newest is None or number > newest, (newest, number)
                        newest, count = number, count + 1
            assert 1 <= count <= 50_000
            seen = reader.stop()
            assert is_gapless(sequence(seen)) and longest_gap(seen) < 0.6, longest_gap(seen)


def test_invalid_utf8():
    """text that is not UTF-8 is 1007 (U1)"""
    broken = (b"\x80", b"\xbf", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xe0\x9f\xbf",
              b"\xf0\x80\x80\xaf", b"\xf0\x8f\xbf\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf",
              b"\xed\xa0\xbd\xed\xb8\x80", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80",
              b"\xfe", b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x8f", b"ok \xc3(", b"\xc3\xa4\xc3",
              b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited")
    with Server() as server:
        for payload in broken:
            expect_closed(server, make_frame(TEXT, payload), 1007, "bad_utf8", say=repr(payload))
        expect_alive(server, make_frame(BINARY, b"".join(broken)))
        expect_alive(server, make_frame(TEXT, "\0\x7f\x80߿ࠀ퟿￿𐀀\U0010ffff".encode()))


def test_invalid_utf8_is_seen_at_once():
    """a byte that no continuation can mend is 1007 before the message or the frame is whole (U1)"""
    with Server() as server:
        expect_closed(server, make_frame(TEXT, b"ok \xff", final=False), 1007, "bad_utf8")
        expect_closed(server, make_frame(TEXT, b"\xed", final=False) +
                      make_frame(CONTINUATION, b"\xa0", final=False), 1007, "bad_utf8")
        half = make_frame(TEXT, b"ok \xff" + b"x" * 996)[:108]
        expect_closed(server, half, 1007, "bad_utf8", say="half a frame")


def test_utf8_in_pieces():
    """a code point may be split over fragments and segments (U2)"""
    text = "κόσμε 🏁 Größe".encode()
    with Server() as server:
        data = make_frame(TEXT, text[:1], final=False)
        data += b"".join(make_frame(CONTINUATION, text[n:n + 1], final=False) for n in range(1, len(text)))
        expect_alive(server, data + make_frame(CONTINUATION))
        with server.client() as client:
            frame = make_frame(TEXT, text)
            for index in range(len(frame)):
                client.send_bytes(frame[index:index + 1])
                time.sleep(0.002)
            assert client.is_alive()
        expect_closed(server, make_frame(TEXT, text[:1], final=False) + make_frame(CONTINUATION), 1007,
                      "bad_utf8")


def test_malformed_closes():
    """a close of one byte, or with a code that must not be sent, is 1002 (U3, U4)"""
    with Server() as server:
        expect_closed(server, make_frame(CLOSE, b"\x03"), 1002, "close_malformed")
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
            expect_closed(server, make_frame(CLOSE, close_payload(code)), 1002, "close_malformed",
                          say=f"code {code}")


def test_close_is_echoed():
    """a close with a code that may be sent is answered with that code, and then the end (U4)"""
    codes = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
             4999)
    with Server() as server:
        for code in codes:
            with server.client() as client:
                client.send(CLOSE, close_payload(code, "auf Wiedersehen ✓".encode()))
                assert client.read_close()[0] == code
                client.read_end()
        with server.client() as client:
            client.send(CLOSE)
            assert client.read_close()[0] in (None, 1000)
            client.read_end()
        wait_until(lambda: len(server.log_lines(reason="peer_closed")) == len(codes) + 1, 2,
                   server.log_text)
        server.wait_metric(0, "ringcast_connections", kind="kart")


def test_close_reasons():
    """a close reason that is not UTF-8 is 1007, one over 123 bytes is 1002 (U5)"""
    with Server() as server:
        for reason in (b"\xff", b"ok \xc3", b"\xed\xa0\x80", b"x" * 122 + b"\xc3"):
            expect_closed(server, make_frame(CLOSE, close_payload(1000, reason)), 1007, "bad_utf8")
        expect_closed(server, make_frame(CLOSE, close_payload(1000, b"x" * 124)), 1002,
                      "control_too_long")
        with server.client() as client:
            client.send(CLOSE, close_payload(1000, b"x" * 123))
            assert client.read_close()[0] == 1000


def test_after_the_close():
    """what follows a close frame is ignored: no pong, no second close, the end (U6)"""
    with Server() as server:
        before = server.metric("ringcast_messages_received_total", kind="kart")
        for tail in (make_frame(PING, b"x"), make_frame(CLOSE, close_payload(1001)),
                     make_frame(TEXT, b"late") + make_frame(PING), b"\xff" * 50,
                     make_frame(CLOSE) * 1000, make_frame(TEXT, b"x", mask=UNMASKED)):
            with server.client() as client:
                client.read_state()
                client.send_bytes(make_frame(CLOSE, close_payload(1000)) + tail)
                assert client.read_close() == (1000, "")
                client.read_end()
        assert server.metric("ringcast_messages_received_total", kind="kart") == before


def test_close_inside_a_message():
    """a close between two fragments is a close like any other"""
    with Server() as server, server.client() as client:
        client.send(TEXT, b"never finished", final=False)
        assert client.leave(1001)[0] == 1001


def test_unanswered_close():
    """who never answers the server's close is cut off after two seconds (U7)"""
    with Server() as server, server.client() as client:
        client.read_state()
        server.metrics()
        client.send(TEXT, b"x", mask=UNMASKED)
        start = time.monotonic()
        assert client.read_close() == (1002, "unmasked_frame")
        client.read_end(3.5)
        # its socket stays open on our side: the server must not wait for it
        server.wait_metric(1, "ringcast_connections_open", seconds=4)
        assert time.monotonic() - start < 4


def test_chatter_after_our_close():
    """who reads nothing and sends for ever after the server's close is cut off (U8)"""
    with Server() as server, server.client() as client:
        client.read_state()
        memory = server.memory()
        client.send(TEXT, b"x", mask=UNMASKED)
        chunk, start, sent = make_frame(TEXT, b"x" * 4000) * 16, time.monotonic(), 0
        client.timeout = 6
        try:
            while time.monotonic() - start < 6:
                client.send_bytes(chunk)
                sent += len(chunk)
            raise AssertionError(f"still taking after 6 s and {sent} bytes")
        except (Ended, TimeoutError):
            pass
        assert time.monotonic() - start < 4.5, time.monotonic() - start
        assert server.memory() < memory + 8_000_000
        server.wait_metric(1, "ringcast_connections_open")


def test_breaking_in_every_way_leaves_nothing():
    """300 connections that break the protocol at random leave no connection, frame or buffer"""
    chance = random.Random(7)
    gauges = ("ringcast_connections_open", "ringcast_frames_live", "ringcast_message_buffers_in_use",
              "ringcast_request_buffers_in_use", "ringcast_outbox_storage_in_use",
              "ringcast_receive_buffers_free")
    with Server() as server:
        with server.client() as client:
            client.read_state()
            client.leave()
        server.wait_metric(1, "ringcast_connections_open")
        before = server.metrics()
        for _ in range(300):
            with server.client() as client, contextlib.suppress(Ended):
                for _ in range(chance.randrange(1, 6)):
                    data = make_frame(chance.choice((0, 1, 2, 8, 9, 10)),
                                      os.urandom(chance.choice((0, 1, 2, 125, 126, 4096))),
                                      final=chance.random() < 0.7)
                    client.send_bytes(data[:chance.choice((3, len(data), len(data)))])
                if chance.random() < 0.3:
                    client.reset()
        server.wait_metric(1, "ringcast_connections_open", seconds=6)
        after = server.metrics()
        for gauge in gauges:
            assert after.get(gauge) == before.get(gauge), (gauge, before.get(gauge), after.get(gauge))
