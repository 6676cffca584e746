"""perf/curve.py: what a delivered state costs against members, and against rooms. (`./zigw build perf -- curve`)

Two curves: one room of 100 to 15,000 members, and 5,000 clients in 1 to 5,000 rooms; the tick is so long that the
same number of states is due a second at each point. At each point ringcast and, where ringcast-bench has one, a bare
loop that broadcasts the same take turns on one core, each with a crowd of its own; without it the cost stands alone.
"""
import argparse
import contextlib
import dataclasses
import json
import pathlib
import statistics
import sys
import tempfile

import common
import loads

DUE_A_SECOND = 50_000
MEMBERS = (100, 300, 1000, 3000, 10_000, 15_000)
CLIENTS, ROOMS = 5000, (1, 5, 50, 500, 5000)
PAYLOAD = 512
SPREAD_MAX = 1.15  # the dearest point over the cheapest: flat within 15 %


def arguments(words):
    parser = argparse.ArgumentParser(prog="perf -- curve", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--server", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    add("--bench", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    add("--windows", type=int, default=5, help="at each point [5]")
    add("--seconds", type=int, default=3, help="of each [3]")
    add("--due", type=int, default=DUE_A_SECOND, help=f"states a second at each point [{DUE_A_SECOND}]")
    add("--most", type=int, default=15_000, help="leave out points with more clients [15000]")
    add("--brief", action="store_true", help="a moment with few clients")
    add("--json", type=pathlib.Path, help="write all figures there")
    options = parser.parse_args(words)
    if options.brief:
        options.windows, options.seconds, options.due, options.most = 1, 1, 500, 100
    return options


def points_of(options):
    """{curve: [(at, load)]}"""
    members = [count for count in MEMBERS if count <= options.most]
    clients = min(CLIENTS, options.most)
    rooms = [count for count in ROOMS if count <= clients]
    return {"members": [(count, load_of(options, count, 1)) for count in members],
            "rooms": [(count, load_of(options, clients, count)) for count in rooms]}


def load_of(options, clients, rooms):
    tick_ms = max(round(clients * 1000 / options.due), 1)
    return loads.Load(f"{clients} clients in {rooms} rooms", clients=clients, rooms=rooms, tick=f"{tick_ms}ms",
                      payload=PAYLOAD, server=("--ping", "1h"))


def turn(side, others):
    """One window; who is not measured is stopped."""
    if not others:
        return side.window()
    side.go_on()
    figures = side.window()
    side.stop()
    return figures


def measure(options, load, stack, progress):
    """({server: [window]}, complaints) at one point"""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    kinds = {"ringcast": loads.Side} | ({"floor": loads.BareSide} if loads.has_bare_loop(options.bench) else {})
    sides = {}
    for name, kind in kinds.items():
        sides[name] = kind(options.server, options.bench, load, options.seconds, common.two_cores(), folder, stack,
                           progress)
        if len(kinds) > 1:
            sides[name].stop()
    windows = {name: [] for name in sides}
    for index in range(options.windows):
        for name in sides if index % 2 == 0 else reversed(sides):
            windows[name].append(turn(sides[name], len(sides) > 1))
    complaints = [complaint for name in sides for index, figures in enumerate(windows[name])
                  for complaint in loads.complaints_of(load, f"{load.about}, {name}, window {index + 1}", figures)]
    for side in sides.values():
        side.go_on()
        complaints += side.finish()
    progress.clear()
    return windows, complaints


def point_of(at, load, windows):
    """What one point of a curve shows."""
    costs = {name: [figures["server_cpu_us_per_delivered"] for figures in some] for name, some in windows.items()}
    point = {"at": at, "load": dataclasses.asdict(load), "windows": windows}
    for name, some in costs.items():
        point[name] = {"median": statistics.median(some), "lowest": min(some), "highest": max(some)}
    point["p99_ms"] = statistics.median(figures["lateness_ns"]["p99"] / 1e6 for figures in windows["ringcast"])
    if "floor" in costs:
        ratio, low, high = common.median_and_interval([ours / bare for ours, bare in zip(costs["ringcast"],
                                                                                        costs["floor"])])
        point["ratio"] = {"median": ratio, "interval": [low, high]}
    return point


def show_point(at, load, point):
    ours, windows = point["ringcast"], point["windows"]["ringcast"]
    busiest = max(figures["client_load"] for some in point["windows"].values() for figures in some)
    line = f"  {at:8}  {load.tick:>7}  {ours['median']:8.3f} [{ours['lowest']:6.3f}, {ours['highest']:6.3f}]"
    if "ratio" in point:
        low, high = point["ratio"]["interval"]
        line += f"  {point['floor']['median']:8.3f}  {point['ratio']['median']:6.3f} [{low:.3f}, {high:.3f}]"
    line += (f"  {point['p99_ms']:12.3f}  {statistics.median(f['server_load'] for f in windows) * 100:8.1f}"
             f"  {busiest * 100:8.1f}  {min(f['reach'] for f in windows):.6f}")
    print(line + ("  the client is the bottleneck" if busiest > common.CLIENT_LOAD_MAX else ""), flush=True)


def draw_one(options, axis, points, complaints):
    """[point] of one curve"""
    bare = loads.has_bare_loop(options.bench)
    print(f"\n  CPU for a delivered state of {PAYLOAD} bytes, some {options.due} a second; {options.windows} windows of "
          f"{options.seconds} s\n  {axis:>8}     tick  us, median [lowest, highest]"
          + ("  bare loop   ratio [95 %]     " if bare else "") + "  p99 late, ms  server %  client %  reach",
          flush=True)
    curve = []
    for at, load in points:
        with contextlib.ExitStack() as stack:
            windows, against = measure(options, load, stack, common.Progress(f"{at} {axis}"))
        complaints += against
        curve.append(point_of(at, load, windows))
        show_point(at, load, curve[-1])
    return curve


def flatness_of(axis, curve):
    """The dearest point over the cheapest: of the ratios where there are some."""
    bare = "ratio" in curve[0]
    values = [point["ratio" if bare else "ringcast"]["median"] for point in curve]
    most = max(values) / min(values)
    if bare:
        print(f"  {axis}: the ratio to the bare loop lies between {min(values):.3f} and {max(values):.3f}, "
              f"{most:.3f} times: {'flat' if most <= SPREAD_MAX else 'NOT FLAT'} within {SPREAD_MAX - 1:.0%}")
    else:
        print(f"  {axis}: the dearest point costs {most:.3f} times the cheapest (there is no bare loop to divide by)")
    return most


def main(words):
    options = arguments(words)
    about = common.machine()
    common.warn_of_load(about)
    common.show_machine(about)
    complaints, curves = [], {}
    try:
        for axis, points in points_of(options).items():
            curves[axis] = draw_one(options, axis, points, complaints)
    except common.NotMeasured as why:
        print(f"perf: not measured: {why}", file=sys.stderr)
        return 2
    flatness = {axis: flatness_of(axis, curve) for axis, curve in curves.items()}
    for complaint in complaints:
        print(f"  AGAINST IT: {complaint}")
    if options.json:
        options.json.write_text(json.dumps({"machine": about, "kind": "curve", "curves": curves,
                                            "dearest_over_cheapest": flatness, "complaints": complaints},
                                           indent=2) + "\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit("run it as ./zigw build perf -- curve")
