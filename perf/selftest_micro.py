"""perf/selftest_micro.py: for selftest.py: that each part of ringcast-micro measures, not how fast
anything is. Nothing else runs them, so a change in src/ could break them unseen."""
import asyncio
import json
import re
import struct

SECONDS = 60
PARTS = ("yyjson", "frame", "envelope", "game", "whole")


async def output_of(micro, *words):
    """What it prints; it must end well."""
    process = await asyncio.create_subprocess_exec(micro, *map(str, words), stdout=asyncio.subprocess.PIPE,
                                                   stderr=asyncio.subprocess.PIPE)
    try:
        said, errors = await asyncio.wait_for(process.communicate(), SECONDS)
    except BaseException:
        process.kill()
        raise
    assert process.returncode == 0, f"exit code {process.returncode}: {errors.decode()}"
    return said.decode()


class Fanout:
    sentence = "ringcast-micro fanout sends by seven methods, and every byte arrives"

    async def run(self, micro, folder):
        path = f"{folder}/fanout.json"
        said = await output_of(micro, "fanout", "--members", 20, "--rounds", 10, "--json", path)
        assert "should be none): 0 bare, 0 fast, 0 plain" in said, said
        with open(path) as file:
            methods = json.load(file)["methods"]
        assert len(methods) == 7 and all(method["us_median"] > 0 for method in methods), methods
        assert methods[0]["ratio"] == 1 and methods[0]["rounds"] == 10, methods[0]


class Pure:
    sentence = "ringcast-micro pure measures unmasking, UTF-8 and headers, and all results are right"

    async def run(self, micro, folder):
        said = await output_of(micro, "pure", "--rounds", 3, "--memory", 1)
        tables = re.findall(r"^(unmask|UTF-8, \w+|frames with ASCII text)$", said, re.M)
        assert len(tables) == 8, tables
        rows = [row for row in said.splitlines() if " ns " in row and "GB/s" not in row]
        assert len(rows) == 7 * 8 + 5, said
        for row in rows:
            assert all(float(ns) > 0 for ns in re.findall(r"([\d.]+) ns", row)), row


class Inbound:
    sentence = "ringcast-micro inbound measures each part of a message's way in, and all results are right"

    async def run(self, micro, folder):
        said = await output_of(micro, "inbound", "--rounds", 3)
        rows = [row.split("|") for row in said.splitlines()[2:]]
        assert [int(row[0]) for row in rows] == [64, 128, 256, 512, 1024, 4096], said
        for row in rows:
            assert len(row) == 1 + len(PARTS) and all(float(cell.split()[0]) > 0 for cell in row[1:]), row
        for part in PARTS:
            assert await output_of(micro, "inbound", "--only", part, "--size", 4096, "--count", 100) == ""


class World:
    sentence = "ringcast-micro world measures a tick with as many encodes as cells, and what each for itself would take"

    async def run(self, micro, folder):
        for words in ((), ("--crowd",)):
            said = json.loads(await output_of(micro, "world", "--players", 20, "--walkers", 30, "--ticks", 10,
                                              "--json", *words))
            assert said["encodes"] >= said["cells"] > 0 and said["update_bytes"] > 0, said
            assert all(said[name]["p99"] >= said[name]["median"] > 0 for name in ("tick_ns", "single_ns")), said


class Pings:
    sentence = "ringcast-micro pinger pings, and its crowd answers"

    async def run(self, micro, folder):
        path = f"{folder}/answered"
        pinger = await asyncio.create_subprocess_exec(micro, "pinger", "--count", "5", "--period", "100",
                                                      "--waits", stdout=asyncio.subprocess.PIPE)
        crowd = None
        try:
            port = (await pinger.stdout.readline()).decode().strip()
            crowd = await asyncio.create_subprocess_exec(micro, "crowd", "--port", port, "--count", "5",
                                                         "--bare", "--answered", path,
                                                         stdout=asyncio.subprocess.PIPE)
            async with asyncio.timeout(SECONDS):
                assert await crowd.stdout.readline() == b"ready\n"
                while self.answered(path) < 10:
                    await asyncio.sleep(0.05)
        finally:
            for process in (crowd, pinger):
                if process is not None and process.returncode is None:
                    process.kill()
                    await process.wait()

    def answered(self, path):
        with open(path, "rb") as file:
            return struct.unpack("=Q", file.read())[0]


CASES = [Fanout, Pure, Inbound, World, Pings]
