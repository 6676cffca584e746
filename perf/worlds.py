"""perf/worlds.py: worlds that are made to be measured, and what ringcast-micro says of them.

All are level with the built-in one in what they look like, but larger, without anything solid, and
with the spawn points in rows over the whole plane at a height above every hill: so clients who know
nothing of the ground can walk straight on, and each begins somewhere else.
"""
import dataclasses
import json
import pathlib
import re
import secrets
import subprocess

from common import NotMeasured

HEIGHT = 60    # of spawn points, and so of everybody: the hills end at 18
ROWS = 8       # of spawn points: as many as a world may have
FLYING = 400   # m/s: the fastest of the worlds' rules; clients keep a fifth below it
WALKING = 6
SHARE = 64     # entities of one cell in one update
CELL = 64
TERRAIN = {"base": 0, "amplitude": 18, "wavelength": 192, "roughness": 0.45, "octaves": 4}


@dataclasses.dataclass
class World:
    name: str
    side: int             # metres
    walkers: int
    crowded: bool = False  # all players stay in the middle of one cell

    def square(self):
        """(least corner, side) of where the clients walk."""
        if self.crowded:
            return CELL * 3 // 16, CELL * 10 // 16
        return -self.side // 2, self.side

    def spawns(self):
        if self.crowded:
            return [{"x": CELL // 2, "y": HEIGHT, "z": CELL // 2}]
        places = [-self.side / 2 + self.side * (2 * i + 1) / (2 * ROWS) for i in range(ROWS)]
        return [{"x": x, "y": HEIGHT, "z": z} for x in places for z in places]

    def write(self, folder):
        """The file's path."""
        half = self.side // 2
        world = {"seed": 20261121, "terrain": TERRAIN, "spawns": self.spawns(),
                 "bounds": {"min": {"x": -half, "y": -64, "z": -half}, "max": {"x": half, "y": 192, "z": half}},
                 "pace": {"walking": WALKING, "flying": FLYING},
                 "interest": {"cell": CELL, "radius": 48, "leaveRadius": 64, "entities": 256,
                              "cellEntities": SHARE}}
        path = pathlib.Path(folder) / f"{self.name}.json"
        path.write_text(json.dumps(world))
        return path


def environment():
    """A secret for one run, which tokens are signed with."""
    return {"SUPABASE_JWT_SECRET": secrets.token_hex(32)}


def server_options(options, world, path, port):
    return ["--world", path, "--world-listen", f"127.0.0.1:{port}", "--world-walkers", world.walkers,
            "--world-players", options.clients, "--world-unauthenticated", options.clients]


def crowd_options(options, world, seconds):
    corner, side = world.square()
    return ["world", "--clients", options.clients, "--walkers", world.walkers, "--share", SHARE,
            "--tick", "50ms", "--seconds", seconds, "--corner", f"{corner},{corner}", "--side", side,
            "--spread", side // 2 if world.crowded else side // (2 * ROWS),
            "--walking", WALKING - 1, "--flying", FLYING * 4 // 5]


def micro(options, world, path, core):
    """What a tick costs without any sending; see perf/micro/world.c."""
    command = ["taskset", "-c", str(core), options.micro, "world", "--players", options.clients, "--walkers",
               world.walkers, "--world", path, "--ticks", 100, "--json", *(["--crowd"] if world.crowded else [])]
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120)
    if run.returncode != 0:
        raise NotMeasured(f"ringcast-micro ended with exit code {run.returncode}: {run.stderr}")
    return json.loads(run.stdout)
