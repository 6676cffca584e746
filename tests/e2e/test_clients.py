"""tests/e2e/test_clients.py: clients that people use: Python's `websockets`, npm's `ws` and Go's `gorilla`. What the first
two do in vote's, avalon's and echo's rooms is in the files of those."""
import asyncio
import json
import os
import signal
import subprocess
import sys
import time

from harness import FOLDER, Server, Skip, brings, request
from rawclient import CLOSE, PING, TEXT, Client, close_payload
import tools  # noqa: E402 -- found by the harness


def bring_websockets():
    folder = tools.python_path()
    if folder is None:
        raise Skip("the package `websockets` could not be brought")
    sys.path.insert(0, folder)


def node_and_modules():
    """Node's path, and an environment in which it finds `ws`."""
    found = tools.node_path()
    if found is None:
        raise Skip("node and npm's `ws` could not be brought")
    node, modules = found
    return node, os.environ | {"NODE_PATH": modules}


def run_node(server, seconds=0):
    node, environment = node_and_modules()
    url = f"ws://127.0.0.1:{server.port}/ws"
    done = subprocess.run([node, str(FOLDER / "ws_client.js"), url, str(seconds)], timeout=40,
                          env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "ok\n", done.stdout + done.stderr


def check_state(text):
    assert isinstance(text, str)
    state = json.loads(text)
    assert list(state) == ["phase", "pot", "time_remaining_ms"], text


@brings(tools.python_path)
def test_websockets_sync():
    """Python's websockets, sync: connects, reads states, pings, talks, closes cleanly"""
    bring_websockets()
    from websockets.sync.client import connect
    with Server("--dev") as server:
        with connect(f"ws://127.0.0.1:{server.port}/ws", subprotocols=["ringcast.bare"]) as client:
            assert client.subprotocol == "ringcast.bare"
            check_state(client.recv(timeout=2))
            client.send("CONFIRM_READY")
            client.send(b"\x00\xff")
            client.send(["in ", "pieces"])
            assert client.ping().wait(2), "no pong"
            for _ in range(3):
                check_state(client.recv(timeout=2))
            server.do("/host pot 1234")
            assert any(json.loads(client.recv(timeout=2))["pot"] == 1234 for _ in range(3))
        assert client.protocol.close_rcvd.code == 1000, client.protocol.close_rcvd
        server.wait_metric(0, "ringcast_connections", kind="kart")


@brings(tools.python_path)
def test_websockets_async():
    """Python's websockets, asyncio: 50 clients at once get every state and stay while they pong"""
    bring_websockets()
    from websockets.asyncio.client import connect

    async def one(url):
        async with connect(url, ping_interval=0.5, ping_timeout=5) as client:
            texts = [await asyncio.wait_for(client.recv(), 3) for _ in range(8)]
            await client.close(1001, "done")
            assert client.close_code == 1001
            return texts

    async def everyone(url):
        return await asyncio.gather(*(one(url) for _ in range(50)))

    with Server("--dev", "--ping", "1s", "--pong", "1s") as server:
        start = time.monotonic()
        for texts in asyncio.run(everyone(f"ws://127.0.0.1:{server.port}/ws")):
            for text in texts:
                check_state(text)
        assert time.monotonic() - start > 2.5, "eight states take seven ticks"
        assert server.metric("ringcast_disconnects_total", reason="pong_timeout") == 0


@brings(tools.python_path)
def test_websockets_refused():
    """Python's websockets is told why: 404 for a room that cannot be"""
    bring_websockets()
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect
    with Server("--dev") as server:
        try:
            connect(f"ws://127.0.0.1:{server.port}/ws/kart/a.b").close()
            raise AssertionError("it was let in")
        except InvalidStatus as why:
            assert why.response.status_code == 404
            assert json.loads(why.response.body)["error"]["code"]


@brings(tools.python_path)
def test_websockets_is_told_of_the_drain():
    """Python's websockets sees 1012 and the retry hint when the server goes"""
    bring_websockets()
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect
    with Server("--dev", "--drain", "1s") as server:
        with connect(f"ws://127.0.0.1:{server.port}/ws") as client:
            client.recv(timeout=2)
            server.signal(signal.SIGTERM)
            try:
                while True:
                    client.recv(timeout=3)
            except ConnectionClosed as why:
                assert why.rcvd.code == 1012, why
                assert why.rcvd.reason.startswith("restart;retry_ms="), why
        assert server.wait_exit(4) == 0


@brings(tools.node_path)
def test_node_ws():
    """npm's ws: connects, reads states, pings, talks, closes cleanly"""
    with Server("--dev") as server:
        run_node(server)
        server.wait_metric(0, "ringcast_connections", kind="kart")


@brings(tools.node_path)
def test_node_ws_stays():
    """npm's ws answers pings and stays"""
    with Server("--dev", "--ping", "1s", "--pong", "1s") as server:
        run_node(server, seconds=4)
        assert server.metric("ringcast_disconnects_total", reason="pong_timeout") == 0


def play_gorilla(server, play):
    program = tools.gorilla_path()
    if program is None:
        raise Skip("Go, or its gorilla/websocket, could not be brought")
    where = f"127.0.0.1:{server.port}"
    done = subprocess.run([program, play, f"ws://{where}", f"http://{where}"], timeout=40, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "ok\n", done.stdout + done.stderr


@brings(tools.gorilla_path)
def test_gorilla_kart():
    """Go's gorilla: watches a race, pings, talks, closes cleanly, and is told why another is none"""
    with Server("--dev") as server:
        play_gorilla(server, "kart")
        server.wait_metric(0, "ringcast_connections", kind="kart")


@brings(tools.gorilla_path)
def test_gorilla_vote():
    """Go's gorilla: the transcript of S1, from acquiring to 4410"""
    with Server("--dev", "--workers", "2") as server:
        play_gorilla(server, "vote")
        server.wait_metric(0, "ringcast_rooms", kind="vote")


@brings(tools.gorilla_path)
def test_gorilla_avalon():
    """Go's gorilla: the transcript of S2, the token by header, by subprotocol and by query"""
    with Server("--dev", "--workers", "2") as server:
        play_gorilla(server, "avalon")
        server.wait_metric(0, "ringcast_members", kind="avalon")


OKHTTP = ("Sec-WebSocket-Extensions: permessage-deflate", "Accept-Encoding: gzip", "User-Agent: okhttp/4.12.0")


def test_like_okhttp():
    """as OkHttp on Android does: its handshake, empty pings, a close that it does not answer by itself, and a
    phone that comes back on another network while the old connection still hangs"""
    with Server("--dev", "--workers", "2", "--avalon-leave", "2s") as server:
        for path in ("/ws", "/ws/kart/phones"):
            with Client(server.port, path, headers=OKHTTP) as phone:
                assert "sec-websocket-extensions" not in phone.response.headers  # or it would have to inflate
                phone.read_state()
                phone.send(PING)
                assert phone.read_until_pong()[0] == b""
                assert phone.leave(1000) == (1000, "")
        body = {"kind": "avalon", "display_name": "Ann"}
        place = request(server.port, "POST", "/api/rooms", body=json.dumps(body).encode()).json()
        path, bearer = f"/ws/rooms/{place['room']['code']}", f"Authorization: Bearer {place['token']}"
        with Client(server.port, path, headers=(*OKHTTP, bearer)) as old:
            assert json.loads(old.read_message().payload)["type"] == "state"
            with Client(server.port, path, headers=(*OKHTTP, bearer)) as new:
                assert json.loads(new.read_message().payload)["type"] == "state"
                assert old.read_close() == (4409, "replaced")  # onClosing; the app calls no close()
                assert old.read_end(4) > 1, "the server waits for an answer, and not for ever"
                new.send(TEXT, b'{"type":"chat","payload":{"message":"on the train"}}')
                assert json.loads(new.read_message().payload)["event"] == "chat"
                new.send(CLOSE, close_payload(1001, b"the app is in the background"))
                assert new.read_close() == (1001, "")
                new.read_end()
        server.wait_metric(0, "ringcast_members", kind="avalon")
