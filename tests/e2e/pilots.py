"""tests/e2e/pilots.py: somebody in the world: shows a token, moves, and keeps a record of whom it
sees. What it is told about others is checked as it comes: nobody enters twice, leaves without having
come, or is shown without having entered."""
import base64
import hashlib
import hmac
import json
import math
import time

from rawclient import CLOSE, TEXT, Client

SECRET = "a secret of this test, which is long enough"
ENV = {"SUPABASE_JWT_SECRET": SECRET, "RINGCAST_LIMIT_EXEMPT": "127.0.0.0/8"}
UNTURNED = {"x": 0, "y": 0, "z": 0, "w": 1}


def token_for(sub, seconds=3600, secret=SECRET, **claims):
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    claims = {"sub": sub, "exp": int(time.time()) + seconds} | claims
    head = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(json.dumps(claims).encode())
    return head + "." + part(hmac.new(secret.encode(), head.encode(), hashlib.sha256).digest())


def say(client, kind, payload=None):
    message = {"type": kind} | ({} if payload is None else {"payload": payload})
    client.send(TEXT, json.dumps(message).encode())


class Closed(AssertionError):
    """The server's close frame came in place of a message."""

    def __init__(self, payload):
        self.code, self.reason = int.from_bytes(payload[:2], "big"), payload[2:].decode()
        super().__init__(f"closed with {self.code} {self.reason}")


def hear(client, seconds=5):
    frame = client.read_message(seconds)
    if frame.opcode == CLOSE:
        raise Closed(frame.payload)
    assert frame.opcode == TEXT and frame.final, frame
    return json.loads(frame.payload)


def expect_closed(client, code, reason):
    """The close frame, whatever comes before it."""
    while (frame := client.read_frame(5)).opcode != CLOSE:
        pass
    assert (int.from_bytes(frame.payload[:2], "big"), frame.payload[2:].decode()) == (code, reason), frame.payload
    client.send(CLOSE, frame.payload[:2])
    client.read_end()


class Pilot:
    """A player, in by the time that the constructor returns."""

    def __init__(self, port, sub, path="/ws", sibling=False, **claims):
        self.client = Client(port, path, receive_buffer=None)
        self.sub, self.sibling = sub, sibling
        self.known, self.shown = {}, {}
        self.log = []  # (type, payload) of all but updates
        say(self.client, "C2S_AUTH" if sibling else "auth", {"token": token_for(sub, **claims)})
        result = self.expect("auth_result")
        assert result["success"] is True, result
        self.at = dict(result["spawnPoint"])
        self.seed = self.expect("world_seed")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.__exit__()

    def say(self, kind, payload=None):
        say(self.client, "C2S_" + kind.upper() if self.sibling else kind, payload)

    # ---- what it is told

    def read(self, seconds=5):
        message = hear(self.client, seconds)
        assert set(message) == {"type", "payload"}, message
        kind, payload = message["type"], message["payload"]
        if self.sibling:
            assert kind.startswith("S2C_"), kind
            kind = kind[4:].lower()
        else:
            assert kind == kind.lower(), kind
        self.note(kind, payload)
        if kind != "world_state_update":
            self.log.append((kind, payload))
        return kind, payload

    def heard(self, wanted):
        """The payloads of that type, from the beginning."""
        return [payload for kind, payload in self.log if kind == wanted]

    def note(self, kind, payload):
        for entity in payload.get("entities", ()):
            who = entity["id"]
            if kind == "entity_enter":
                assert who not in self.known, f"{self.sub} is told twice of {who}"
                self.known[who] = entity["position"]
            elif kind == "entity_leave":
                assert who in self.known, f"{self.sub} is told that {who} goes, who was not there"
                del self.known[who]
                self.shown.pop(who, None)
            else:
                assert who in self.known, f"{self.sub} is shown {who}, who has not entered"
                self.shown[who] = entity

    def expect(self, wanted, seconds=5):
        """The payload of the next message of that type."""
        deadline = time.monotonic() + seconds
        while True:
            kind, payload = self.read(deadline - time.monotonic())
            if kind == wanted:
                return payload

    def until(self, happens, seconds=5):
        deadline = time.monotonic() + seconds
        while not happens():
            self.read(deadline - time.monotonic())

    def look(self, seconds):
        """Reads for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                self.read(left)
            except TimeoutError:
                return

    # ---- what it does

    def update(self, at, mode="flying", rotation=UNTURNED, **more):
        self.say("player_update", {"position": at, "rotation": rotation, "mode": mode} | more)

    def fly(self, to, speed=25, step=0.05):
        """To a place by honest steps, reading meanwhile."""
        start, goal = dict(self.at), to
        length = math.dist([start[a] for a in "xyz"], [goal[a] for a in "xyz"])
        begun, ends = time.monotonic(), time.monotonic() + length / speed
        while (now := time.monotonic()) < ends + step:
            part = min(1, (now - begun) / max(length / speed, 1e-9))
            self.at = {a: round(start[a] + (goal[a] - start[a]) * part, 3) for a in "xyz"}
            self.update(self.at)
            self.look(step)
        self.at = dict(goal)
        self.update(self.at)
