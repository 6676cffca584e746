"""perf/frames.py: RFC 6455 for the small servers of the self-test: what they write, and what the bench
sends them."""
import base64
import hashlib
import struct


def accept_of(key):
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest)


def header(first, size):
    if size < 126:
        return struct.pack(">BB", first, size)
    return struct.pack(">BBH", first, 126, size)


def text(payload):
    return header(0x81, len(payload)) + payload


def close(code, reason=b""):
    return header(0x88, 2 + len(reason)) + struct.pack(">H", code) + reason


def fields_of(head):
    """The fields of a request, by their names in small letters."""
    pairs = (line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    return {name.lower(): value for name, value in pairs}


def switching(accept):
    return (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")


async def read_frame(reader):
    """(first byte, payload) of a client's frame."""
    first, second = await reader.readexactly(2)
    assert second & 0x80, "a client's frame is masked (RFC 6455 §5.1)"
    size = second & 0x7F
    if size == 126:
        size, = struct.unpack(">H", await reader.readexactly(2))
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(size)
    return first, bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
