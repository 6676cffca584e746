"""perf/avalon.py: avalon's rooms with real people in them: made and joined by HTTP, each with the
token that the server gave."""
import json
import secrets
import socket

from common import NotMeasured

NAMES = "p{}"  # as ringcast-bench expects them: by the place in the room, from 0


def environment():
    """A secret for one run, which the server signs tokens with."""
    return {"RINGCAST_JWT_SECRET": secrets.token_hex(32)}


def options(rooms, members):
    """Of a server that shall have so many rooms from one address."""
    return ["--rooms", rooms, "--avalon-players", members, "--avalon-empty", "1h", "--vote=off"]


def post(server, path, body):
    """The answer to a request whose connection the server ends."""
    text = json.dumps(body)
    request = (f"POST {path} HTTP/1.1\r\nHost: {server.address}\r\nContent-Type: application/json\r\n"
               f"Content-Length: {len(text)}\r\n\r\n{text}")
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as one:
        one.sendall(request.encode())
        answer = b""
        while piece := one.recv(65536):
            answer += piece
    head, _, content = answer.partition(b"\r\n\r\n")
    if head[:12] not in (b"HTTP/1.1 200", b"HTTP/1.1 201"):
        raise NotMeasured(f"POST {path}: {answer[:200].decode(errors='replace')}")
    return json.loads(content)


def make_rooms(server, rooms, members):
    """Yields for each place (path, token, room id, player id, name): `members` for each room, one
    room after the other."""
    for _ in range(rooms):
        first = post(server, "/api/rooms", {"kind": "avalon", "display_name": NAMES.format(0)})
        code = first["room"]["code"]
        others = (post(server, f"/api/rooms/{code}/join", {"display_name": NAMES.format(index)})
                  for index in range(1, members))
        for place in (first, *others):
            yield (f"/ws/rooms/{code}", place["token"], place["room"]["id"], place["room_player"]["id"],
                   place["room_player"]["display_name"])
