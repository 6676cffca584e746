"""tests/e2e/rawclient.py: a WebSocket client of our own, over a plain socket, that can misbehave.

It shares no code with the server and believes nothing: what the server sends is parsed strictly by
RFC 6455, and whatever is not allowed raises `Broken`. What it sends itself may be as wrong as a test
wants it.
"""
import base64
import hashlib
import json
import os
import re
import socket
import struct
import time
import zlib

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
STATE = re.compile(
    r'\{"phase":"(idle|staging|ignition|racing|cooldown)","pot":(0|[1-9][0-9]*),'
    r'"time_remaining_ms":(0|[1-9][0-9]*)(,"t":[1-9][0-9]*,"s":[1-9][0-9]*)?(,"pad":"x*")?\}')


# Says whether clients are told of this close code and word; None: nobody knows.
knows_close = None


class Broken(AssertionError):
    """The server sent what RFC 6455 or RFC 9112 does not allow."""


class Ended(Exception):
    """The server's side of the connection is over: at its end, or reset."""


class Refused(Exception):
    """The answer to the handshake was not 101. `response` is what it was."""

    def __init__(self, response):
        super().__init__(f"{response.status} {response.body[:200]!r}")
        self.response = response


class Response:
    """One HTTP response, read to its end. `rest` is what came behind it."""

    def __init__(self, raw):
        head, separator, after = raw.partition(b"\r\n\r\n")
        if not separator:
            raise Broken(f"no whole response head in {raw[:200]!r}")
        lines = head.decode("latin-1").split("\r\n")
        match = re.fullmatch(r"HTTP/1\.1 (\d{3}) ([ -~]*)", lines[0])
        if not match:
            raise Broken(f"bad status line {lines[0]!r}")
        self.status, self.headers = int(match[1]), {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
                raise Broken(f"bad header line {line!r}")
            if name.lower() in self.headers:
                raise Broken(f"header {name} came twice")
            self.headers[name.lower()] = value.strip()
        size = int(self.headers.get("content-length", 0))
        self.body, self.rest = after[:size], after[size:]
        self.whole = len(after) >= size

    def json(self):
        return json.loads(self.body)


class Frame:
    """`payload` is inflated; of a compressed one `wire` is what came."""

    def __init__(self, final, opcode, payload, wire=None):
        self.final, self.opcode, self.payload, self.wire = final, opcode, payload, wire
        self.at = time.monotonic()

    def __repr__(self):
        return f"Frame(final={self.final}, opcode={self.opcode}, payload={self.payload[:80]!r})"


def make_frame(opcode, payload=b"", *, final=True, mask=None, rsv=0, form=None, declared=None):
    """A client's frame as bytes. `mask`: 4 bytes, or False for none. `form`: 7, 16 or 64 forces the
    length's form; `declared` lies about the length."""
    size = len(payload) if declared is None else declared
    form = form or (7 if size < 126 else 16 if size < 65536 else 64)
    mask = os.urandom(4) if mask is None else mask
    masked = 0x80 if mask else 0
    head = bytes([(0x80 if final else 0) | rsv << 4 | opcode])
    head += {7: lambda: bytes([masked | size]), 16: lambda: struct.pack(">BH", masked | 126, size),
             64: lambda: struct.pack(">BQ", masked | 127, size)}[form]()
    if not mask:
        return head + payload
    key = (mask * (len(payload) // 4 + 1))[:len(payload)]
    hidden = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return head + mask + hidden.to_bytes(len(payload), "big")


def close_payload(code, reason=b""):
    return struct.pack(">H", code) + reason


def upgrade_request(port, path="/ws", *, headers=(), key=b"dGhlIHNhbXBsZSBub25jZQ==", without=()):
    """A right handshake as bytes; `without` names headers that are left out, `headers` adds lines."""
    lines = [("Host", f"127.0.0.1:{port}"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
             ("Sec-WebSocket-Key", key.decode()), ("Sec-WebSocket-Version", "13")]
    text = f"GET {path} HTTP/1.1\r\n"
    text += "".join(f"{name}: {value}\r\n" for name, value in lines if name not in without)
    text += "".join(line + "\r\n" for line in headers)
    return text.encode("latin-1") + b"\r\n"


def deflate(data, bits=15):
    """A compressed message's payload (RFC 7692 §7.2.1)."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -bits)
    whole = compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    assert whole.endswith(TAIL)
    return whole[:-len(TAIL)]


TAIL = b"\x00\x00\xff\xff"


def inflate(payload, bits):
    """What a compressed message says, by itself and within this window (RFC 7692 §7.2.2)."""
    inflater = zlib.decompressobj(-bits)
    try:
        data = inflater.decompress(payload + TAIL)
    except zlib.error as why:
        raise Broken(f"a compressed message cannot be read with a window of {bits} bits: {why}") from why
    if inflater.eof or inflater.unused_data or inflater.unconsumed_tail:
        raise Broken("a compressed message ends before its payload does")
    return data


def parse_extension(answer):
    """The window bits that a server may use, by its Sec-WebSocket-Extensions (RFC 7692 §7.1)."""
    form = (r"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            r"(?:; server_max_window_bits=(9|1[0-5]))?")
    match = re.fullmatch(form, answer)
    if not match:
        raise Broken(f"an answer that is none: {answer}")
    return int(match[1] or 15)


def check_server_frame_header(first, second, bits):
    opcode, final = first & 15, bool(first & 0x80)
    if first & (0x30 if bits and opcode in (TEXT, BINARY) else 0x70):
        raise Broken("a reserved bit is set that no extension gave a meaning (§5.2)")
    if second & 0x80:
        raise Broken("a server's frame is masked (§5.1)")
    if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
        raise Broken(f"reserved opcode {opcode} (§5.2)")
    if opcode >= 8 and (not final or second & 0x7F > 125):
        raise Broken("a control frame is fragmented or longer than 125 bytes (§5.5)")


def parse_server_frame(data, bits=0):
    """(the frame at the start of `data`, its bytes), or None when it is not whole. `bits`: the window
    that the server may compress with; 0: it may not."""
    if len(data) < 2:
        return None
    check_server_frame_header(data[0], data[1], bits)
    form = data[1] & 0x7F
    start = {126: 4, 127: 10}.get(form, 2)
    if len(data) < start:
        return None
    size = form if start == 2 else int.from_bytes(data[2:start], "big")
    if size < {2: 0, 4: 126, 10: 65536}[start]:
        raise Broken("a length is not in its shortest form (§5.2)")
    if len(data) < start + size:
        return None
    payload, wire = bytes(data[start:start + size]), None
    if data[0] & 0x40:
        payload, wire = inflate(payload, bits), payload
    return Frame(bool(data[0] & 0x80), data[0] & 15, payload, wire), start + size


class Client:
    """One connection. With `handshake` it is open when the constructor returns, else plain TCP.
    `offer` is a Sec-WebSocket-Extensions; `bits` is then the agreed window, 0 when it was declined."""

    def __init__(self, port, path="/ws", *, headers=(), receive_buffer=None, handshake=True,
                 timeout=5.0, answer_pings=True, source=None, offer=None):
        self.port, self.path, self.timeout, self.answer_pings = port, path, timeout, answer_pings
        self.offer, self.bits = offer, 0
        if offer is not None:
            headers = (*headers, f"Sec-WebSocket-Extensions: {offer}")
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(timeout)
        self.buffer = bytearray()
        self.close_seen = False
        self.pings = self.states = 0
        try:
            if source:
                self.socket.bind((source, 0))
            self.socket.connect(("127.0.0.1", port))
            if handshake:
                self.handshake(headers)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    # ---- bytes

    def send_bytes(self, data):
        self.socket.settimeout(self.timeout)
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as why:
            raise Ended(str(why)) from why

    def receive_more(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("nothing came in time")
        self.socket.settimeout(left)
        try:
            piece = self.socket.recv(65536)
        except ConnectionError as why:
            raise Ended(str(why)) from why
        if not piece:
            raise Ended("end of stream")
        self.buffer += piece

    # ---- HTTP

    def handshake(self, headers=()):
        key = base64.b64encode(os.urandom(16))
        self.send_bytes(upgrade_request(self.port, self.path, headers=headers, key=key))
        self.read_upgrade(key)

    def read_upgrade(self, key):
        """Reads the answer; raises Refused when it is not 101."""
        response = self.read_response()
        if response.status != 101:
            raise Refused(response)
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()
        if response.headers.get("sec-websocket-accept") != accept:
            raise Broken(f"wrong Sec-WebSocket-Accept: {response.headers}")
        if response.headers.get("upgrade", "").lower() != "websocket":
            raise Broken(f"no Upgrade: websocket in {response.headers}")
        if response.headers.get("connection", "").lower() != "upgrade":
            raise Broken(f"no Connection: Upgrade in {response.headers}")
        extension = response.headers.get("sec-websocket-extensions")
        if extension is not None and self.offer is None:
            raise Broken(f"an extension that nobody offered: {response.headers}")
        if extension is not None:
            self.bits = parse_extension(extension)
        self.response = response

    def read_response(self):
        deadline = time.monotonic() + self.timeout
        while b"\r\n\r\n" not in self.buffer:
            self.receive_more(deadline)
        response = Response(bytes(self.buffer))
        while not response.whole:
            self.receive_more(deadline)
            response = Response(bytes(self.buffer))
        self.buffer = bytearray(response.rest)
        return response

    def read_to_end(self, seconds=5.0):
        """Everything until the server ends; fails when it does not."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self.receive_more(deadline)
        except Ended:
            data = bytes(self.buffer)
            self.buffer.clear()
            return data

    # ---- frames

    def send(self, opcode, payload=b"", **how):
        self.send_bytes(make_frame(opcode, payload, **how))

    def read_frame(self, seconds=None):
        """The next frame, whatever it is. After a TimeoutError nothing is lost: call again."""
        deadline = time.monotonic() + (self.timeout if seconds is None else seconds)
        while (parsed := parse_server_frame(self.buffer, self.bits)) is None:
            self.receive_more(deadline)
        frame, used = parsed
        del self.buffer[:used]
        if self.close_seen:
            raise Broken("a frame came after the close frame (§5.5.1)")
        if frame.opcode == CLOSE:
            self.close_seen = True
            check_close(frame.payload)
        return frame

    def read_message(self, seconds=None):
        """The next frame that is not a ping; pings are counted and, if wanted, answered."""
        deadline = time.monotonic() + (self.timeout if seconds is None else seconds)
        while True:
            frame = self.read_frame(max(deadline - time.monotonic(), 0))
            if frame.opcode != PING:
                return frame
            self.pings += 1
            if self.answer_pings:
                self.send(PONG, frame.payload)

    def read_state_frame(self, seconds=None):
        """The next state's frame; anything else but a ping or pong fails."""
        frame = self.read_message(seconds)
        while frame.opcode == PONG:
            frame = self.read_message(seconds)
        if frame.opcode != TEXT or not frame.final:
            raise Broken(f"wanted a state, got {frame}")
        text = frame.payload.decode("utf-8")
        if not STATE.fullmatch(text):
            raise Broken(f"not a state of the contract: {text[:200]}")
        self.states += 1
        return frame

    def read_state_text(self, seconds=None):
        """The next state as the exact text on the wire."""
        return self.read_state_frame(seconds).payload.decode("utf-8")

    def read_state(self, seconds=None):
        return json.loads(self.read_state_text(seconds))

    def read_close(self, seconds=None):
        """Skips states and pings; (code, reason) of the close frame. The code is None when empty."""
        deadline = time.monotonic() + (self.timeout if seconds is None else seconds)
        while True:
            frame = self.read_message(max(deadline - time.monotonic(), 0))
            if frame.opcode == CLOSE:
                return parse_close(frame.payload)

    def read_end(self, seconds=4.0):
        """After the close frame: the server ends the stream and sends nothing more. How long it took."""
        start = time.monotonic()
        try:
            frame = self.read_frame(seconds)
        except Ended:
            return time.monotonic() - start
        raise Broken(f"a frame where the end should be: {frame}")

    def read_until_pong(self, seconds=None):
        """(payload of the next pong, how many states came before it)"""
        deadline = time.monotonic() + (self.timeout if seconds is None else seconds)
        states = 0
        while True:
            frame = self.read_message(max(deadline - time.monotonic(), 0))
            if frame.opcode == PONG:
                return frame.payload, states
            if frame.opcode != TEXT:
                raise Broken(f"wanted a pong, got {frame}")
            states += 1

    def is_alive(self):
        """A ping is answered."""
        payload = os.urandom(8)
        self.send(PING, payload)
        answer, _ = self.read_until_pong()
        while answer != payload:
            answer, _ = self.read_until_pong()
        return True

    def leave(self, code=1000):
        """The closing handshake, from our side."""
        self.send(CLOSE, close_payload(code))
        answer = self.read_close()
        self.read_end()
        self.socket.close()
        return answer

    def reset(self):
        """Vanishes with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def parse_close(payload):
    if not payload:
        return None, ""
    return struct.unpack(">H", payload[:2])[0], payload[2:].decode("utf-8")


def check_close(payload):
    if len(payload) == 1:
        raise Broken("a close frame with one byte (§5.5.1)")
    code, reason = parse_close(payload)
    if code is not None and not (1000 <= code <= 1014 and code not in (1004, 1005, 1006) or
                                 3000 <= code <= 4999):
        raise Broken(f"close code {code} must not be sent (§7.4)")
    if not reason.isascii():
        raise Broken(f"close reason {reason!r} is not ASCII")
    if reason and knows_close is not None and not knows_close(code, reason.partition(";")[0]):
        raise Broken(f"clients are not told what {code} {reason} means (ERRORS.md)")
