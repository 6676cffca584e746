"""tests/e2e/test_world_clients.py: the world by clients that people use: Python's `websockets` and npm's `ws` (S4-1, S4-10)."""
import asyncio
import json
import subprocess

from harness import FOLDER, Server, brings
from pilots import ENV, UNTURNED, token_for
from test_clients import bring_websockets, node_and_modules
from test_world import world
import tools  # noqa: E402 -- found by the harness


@brings(tools.node_path)
def test_node_ws():
    """npm's ws lives in the world: its token, what it sees, a correction, tiles, a ping, a clean close"""
    with world("--workers", "2") as server:
        node, environment = node_and_modules()
        url = f"ws://127.0.0.1:{server.world}/ws"
        done = subprocess.run([node, str(FOLDER / "ws_world_client.js"), url, token_for("ann")], timeout=40,
                              env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and done.stdout == "ok\n", done.stdout + done.stderr
        server.wait_metric(0, "ringcast_members", kind="world")


async def fly(url, name, others):
    """A flyer that goes round until it has seen all others move."""
    from websockets.asyncio.client import connect

    async with connect(url, subprotocols=["ringcast.world"]) as client:
        assert client.subprotocol == "ringcast.world"

        async def hear(kind):
            while (message := json.loads(await asyncio.wait_for(client.recv(), 5)))["type"] != kind:
                pass
            return message["payload"]

        await client.send(json.dumps({"type": "auth", "payload": {"token": token_for(name)}}))
        at = (await hear("auth_result"))["spawnPoint"]
        seen, step = {}, 0
        while not all(len(seen.get(other, ())) > 3 for other in others):
            step += 1
            at = at | {"y": round(at["y"] + 0.4, 3)} if step < 60 else at
            payload = {"position": at, "rotation": UNTURNED, "mode": "flying"}
            await client.send(json.dumps({"type": "player_update", "payload": payload}))
            for entity in (await hear("world_state_update"))["entities"]:
                seen.setdefault(entity["id"], set()).add(entity["position"]["y"])
            assert step < 400, {name: len(places) for name, places in seen.items()}
        await client.close()
        assert client.close_code == 1000, client.close_code


@brings(tools.python_path)
def test_websockets_async():
    """Python's websockets: four in the world see each other move"""
    bring_websockets()
    names = ["ann", "bob", "cid", "dot"]
    one_place = {"seed": 5, "bounds": {"min": {"x": -100, "y": -10, "z": -100}, "max": {"x": 100, "y": 100, "z": 100}},
                 "terrain": {"amplitude": 0}, "spawns": [{"x": 0, "z": 0}]}

    async def everyone(url):
        await asyncio.gather(*(fly(url, name, names) for name in names))

    import tempfile
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(one_place, file)
        file.flush()
        with world("--world", file.name) as server:
            asyncio.run(everyone(f"ws://127.0.0.1:{server.world}/ws"))
            server.wait_metric(0, "ringcast_members", kind="world")


@brings(tools.python_path)
def test_websockets_refused():
    """Python's websockets, sync: a bad token is told why, then 4401; another path is 404; under --dev it is /ws/world"""
    bring_websockets()
    from websockets.exceptions import ConnectionClosed, InvalidStatus
    from websockets.sync.client import connect
    with world() as server:
        with connect(f"ws://127.0.0.1:{server.world}/ws") as client:
            client.send('{"type":"C2S_AUTH","payload":{"token":"a.b.c"}}')
            result = json.loads(client.recv(timeout=3))
            assert result["type"] == "S2C_AUTH_RESULT" and result["payload"]["success"] is False, result
            try:
                client.recv(timeout=3)
                raise AssertionError("it was let in")
            except ConnectionClosed as why:
                assert (why.rcvd.code, why.rcvd.reason) == (4401, "unauthorized"), why
        try:
            connect(f"ws://127.0.0.1:{server.world}/").close()
            raise AssertionError("it was let in")
        except InvalidStatus as why:
            assert why.response.status_code == 404 and why.response.body.count(b"\n") <= 1, why.response.body
    with Server("--dev", env=ENV) as server, connect(f"ws://127.0.0.1:{server.port}/ws/world") as client:
        client.send(json.dumps({"type": "auth", "payload": {"token": token_for("ann")}}))
        assert json.loads(client.recv(timeout=3))["payload"]["success"] is True
