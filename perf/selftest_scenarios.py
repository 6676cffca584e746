"""perf/selftest_scenarios.py: for selftest.py: that the commands measure, with a real server and few clients for a
moment each; not how fast anything is, nor how late on a machine that does something else.
"""
import asyncio
import json
import math
import pathlib
import sys
import xml.dom.minidom

import compare
import loads
import plot

HERE = pathlib.Path(__file__).resolve().parent
SECONDS = 60
AT_ONCE = asyncio.Semaphore(8)  # all of them together would only wait for each other


class Command:
    """One command of perf/run.py."""
    exit_code = 0

    async def run(self, programs, folder):
        async with AT_ONCE:
            code, said = await self.ask(programs, *self.words(programs, pathlib.Path(folder)))
        assert code == self.exit_code, f"exit code {code}: {said}"
        self.judge(said, pathlib.Path(folder))

    async def ask(self, programs, *words):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-B", HERE / "run.py", "--server", programs["server"], "--bench", programs["bench"],
            *map(str, words), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        try:
            said, _ = await asyncio.wait_for(process.communicate(), SECONDS)
        except BaseException:
            process.terminate()  # ends what it has started, too
            raise
        return process.returncode, said.decode()


class Scenario(Command):
    name = None

    def words(self, _, folder):
        return ["scenario", self.name, "--brief", "--json", folder / f"scenario-{self.name}.json"]

    def judge(self, said, folder):
        report = json.loads((folder / f"scenario-{self.name}.json").read_text())
        window, load = report["windows"][0], report["load"]
        assert report["complaints"] == [] and window["faults"] == window["closed"] == [], report["complaints"]
        assert 0 < window["client_load"] and 0 <= window["server_load"], window  # one that sleeps uses none
        assert all(math.isfinite(row["median"]) for row in report["summary"].values()), report["summary"]
        assert report["memory"]["full"]["resident"] > 0 and "server memory for a connection" in said
        if load["kind"] == "quiet":
            assert window["server_counts"]["ringcast_frame_encodes_total"] == 0, window["server_counts"]
            assert window["server_told"] == 0 and window["heard_ever"] > 0, window
        else:
            assert window["delivered"] > 0 and window["server_cpu_us_per_delivered"] > 0, window
        if load["kind"] in ("receive", "echo", "send"):
            assert window["lateness_ns"]["count"] > 0 and len(window["lateness_ns"]["curve"]) > 1
            shares, values = zip(*window["lateness_ns"]["curve"])
            assert list(shares) == sorted(shares) and list(values) == sorted(values), window["lateness_ns"]
        if load["deflate"]:
            assert window["inflated"] >= window["delivered"] > 0 and 0 < window["deflate_ratio"] < 0.5, window
        if load["churn"]:
            assert window["churn"]["came"] == window["churn"]["left"] > 0, window["churn"]
        if load["slow"]:
            assert window["conflated"] > 0, window


def scenario(name):
    return type("Brief", (Scenario,), {"name": name, "sentence": f"scenario {name} measures"})


class Curve(Command):
    sentence = "the curves measure each of their points, and are drawn"

    def words(self, _, folder):
        return ["curve", "--brief", "--json", folder / "curve.json"]

    def judge(self, said, folder):
        report = json.loads((folder / "curve.json").read_text())
        assert report["complaints"] == [] and set(report["curves"]) == {"members", "rooms"}
        assert all(point["ringcast"]["median"] > 0 for curve in report["curves"].values() for point in curve)
        assert [point["at"] for point in report["curves"]["rooms"]] == [1, 5, 50]
        drawn = list(plot.draw([report], folder))
        assert [path.name for path in drawn] == ["cost-members.svg", "cost-rooms.svg"], drawn
        for path in drawn:
            check_picture(path)


class Isolation(Command):
    sentence = "who floods and who is malformed are closed, and others' lateness is measured beside them"

    def words(self, _, folder):
        return ["isolation", "--clients", 20, "--pairs", 1, "--seconds", 1, "--stalled", 2, "--slow", 2, "--payload",
                8192, "--json", folder / "isolation.json"]

    async def run(self, programs, folder):
        async with AT_ONCE:
            code, said = await self.ask(programs, *self.words(programs, pathlib.Path(folder)))
        assert code in (0, 1), f"exit code {code}: {said}"  # how late anybody is proves nothing here
        alone, beside = json.loads((pathlib.Path(folder) / "isolation.json").read_text())["pairs"][0]
        assert alone["faults"] == alone["closed"] == beside["faults"] == beside["closed"] == [], said
        assert alone["conflated"] == 0 < beside["conflated"], said
        assert min(beside["offenders_closed"].values()) > 0, said
        assert alone["lateness_ns"]["count"] > 0 and beside["lateness_ns"]["count"] > 0, said


class Compare(Command):
    """The new one is the same binary, with states 32 times as large."""
    sentence = "a build that was made slower is told"
    exit_code = 1

    def words(self, programs, folder):
        slow = folder / "slower"
        slow.write_text(f'#!/bin/sh\nexec "{programs["server"]}" "$@" --kart-payload 65536\n')
        slow.chmod(0o755)
        return ["compare", programs["server"], slow, "--brief", "--pairs", 2, "--seconds", 1, "--json",
                folder / "compare.json"]

    def judge(self, said, folder):
        report = json.loads((folder / "compare.json").read_text())
        assert report["verdicts"]["CPU"]["worse"] and report["verdicts"]["CPU"]["ratio"] > 1, report["verdicts"]
        assert "CPU, new / old" in said and "WORSE" in said


class Judgement:
    sentence = "two builds that cost the same are not told apart, and one that costs a tenth more is worse"

    async def run(self, programs, folder):
        same = [0.93, 1.08, 1.01, 0.97, 1.05, 0.96, 0.99, 1.02, 0.9, 1.1, 1.0, 1.03]
        verdict = compare.judge(same)
        low, high = verdict["interval"]
        assert low <= 1 <= high and not verdict["worse"] and not verdict["better"], verdict
        slower = compare.judge([ratio * 1.1 for ratio in same])
        assert slower["worse"] and 1.05 < slower["ratio"] < 1.15, slower
        faster = compare.judge([ratio / 1.1 for ratio in same])
        assert faster["better"] and not faster["worse"], faster


class Pictures:
    sentence = "figures become pictures that are well formed, with each curve inside its frame"

    async def run(self, programs, folder):
        folder = pathlib.Path(folder) / "pictures"
        folder.mkdir()
        drawn = list(plot.draw([self.result("one", 1), self.result("an <odd> & name", 40)], folder))
        assert [path.name for path in drawn] == ["percentiles-lateness.svg", "percentiles-latency.svg", "memory.svg"]
        for path in drawn:
            check_picture(path)
        assert list(plot.draw([{"kind": "compare"}], folder)) == []

    def result(self, name, factor):
        curve = [[1 - 0.5 ** index, factor * 100_000 * (index + 1)] for index in range(12)]
        histogram = {"count": 4000, "p99": curve[-1][1], "curve": curve}
        return {"kind": "scenario", "name": name, "load": {"saturates": False},
                "machine": {"date": "2026-01-01 00:00 UTC", "kernel": "6.18", "cores": 2, "cpu": "a CPU"},
                "windows": [{"lateness_ns": histogram, "latency_ns": histogram}] * 3,
                "memory": {"each": {"resident": 400.0 * factor, "socket_objects": None, "socket_buffers": -20.0}}}


def check_picture(path):
    """Well-formed, and nothing of it lies outside."""
    root = xml.dom.minidom.parse(str(path)).documentElement
    assert root.tagName == "svg" and root.getAttribute("xmlns") == "http://www.w3.org/2000/svg"
    places = [tuple(map(float, point.split(","))) for line in root.getElementsByTagName("polyline")
              for point in line.getAttribute("points").split()]
    places += [(float(one.getAttribute("x")), float(one.getAttribute("y")))
               for one in root.getElementsByTagName("text")]
    places += [(float(box.getAttribute("x") or 0) + float(box.getAttribute("width")),
                float(box.getAttribute("y") or 0) + float(box.getAttribute("height")))
               for box in root.getElementsByTagName("rect")]
    assert places and all(0 <= x <= plot.WIDTH and 0 <= y <= plot.HEIGHT for x, y in places), (path, places)


CASES = [Compare, Curve, Isolation, *map(scenario, loads.LOADS), Judgement, Pictures]  # the longest first
