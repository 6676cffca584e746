"""perf/scenarios.py: what ringcast costs under one load of the table in loads.py.
(`./zigw build perf -- scenario NAME`)

One server on one core, its crowd on another, a few windows one after the other; each figure is told as the median
of the windows, with the lowest and the highest. A scenario claims nothing about speed: it fails when something was
lost, broken or closed that should not be.
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
import memory

WAITED_MAX = 0.01  # of a window; above it others were in the way
SHARES = ("p50", "p90", "p99", "p99_9", "max")
LATENCY = {"receive": ("latency from the encode", "lateness from the due time"),
           "echo": ("there and back, from the sending", "there and back, from the due time"),
           "send": ("at most, from the sending to its reading", "at most, from the due time")}


def arguments(words):
    parser = argparse.ArgumentParser(prog="perf -- scenario", description=__doc__.split("\n")[0],
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="\n".join(f"{name:18} {load.about}" for name, load in loads.LOADS.items()))
    add = parser.add_argument
    add("--server", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    add("--bench", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    add("scenario", nargs="+", metavar="NAME", choices=[*loads.LOADS, "all"], help="see below; all: each in turn")
    add("--windows", type=int, default=3, help="how many, one after the other [3]")
    add("--seconds", type=int, default=5, help="of each [5]")
    add("--clients", type=int, help="in place of the load's own number")
    add("--brief", action="store_true", help="a moment with few clients: does it measure?")
    add("--json", type=pathlib.Path, help="write all figures there; with several scenarios a folder, a file for each")
    options = parser.parse_args(words)
    if options.brief:
        options.windows, options.seconds = 1, 1
    return options


# ---- figures

def value_of(figures, path):
    for name in path.split("."):
        figures = figures[name]
    return figures


def rows_of(load):
    """(what, where in a window's figures, factor, digits behind the point)"""
    if not load.saturates and load.kind not in ("idle", "quiet"):
        yield "delivered, of what was due", "reach", 1, 6
    yield "frames a second", "frames_per_second", 1, 0
    yield "megabytes a second", "bytes_per_second", 1e-6, 3
    if load.kind != "quiet":
        yield f"server CPU for {each_of(load)}, us", "server_cpu_us_per_delivered", 1, 3
        yield "  ksoftirqd's part of it, us", "ksoftirqd_us_per_delivered", 1, 3
    yield "server CPU, % of a core", "server_load", 100, 2
    yield "client CPU, % of a core", "client_load", 100, 2
    yield "the server waited for its core, %", "server_waited", 100, 2
    yield "the client waited for its core, %", "client_waited", 100, 2
    yield from more_rows_of(load)


def more_rows_of(load):
    if load.kind == "receive":
        yield "one reading pass of the client, p99, ms", "client_pass_ns.p99", 1e-6, 3
        if not load.saturates:
            yield "ticks that the server left out", "left_out", 1, 0
    if load.kind in ("send", "echo"):
        yield "said late by the client, p99, ms", "said_late_ns.p99", 1e-6, 3
    if load.deflate:
        yield "bytes of a frame, compressed / not", "deflate_ratio", 1, 4
    if load.churn:
        yield "came a second, were greeted and left", "churn.per_second", 1, 1
        yield "from coming to the greeting, p50, ms", "churn.greeted_ns.p50", 1e-6, 3
        yield "from coming to the greeting, p99, ms", "churn.greeted_ns.p99", 1e-6, 3
    if load.stalled + load.slow:
        yield "states replaced for those beside", "conflated", 1, 0
    if load.kind == "quiet":
        yield "server CPU for a room and second, us", "us_per_room_second", 1, 3
        yield "ticks that the server counts", "server_counts.ringcast_ticks_total", 1, 0
        yield "states that the server made", "server_counts.ringcast_frame_encodes_total", 1, 0
        yield "states and events that the server sent", "server_told", 1, 0


def latencies_of(load):
    """(what, where in a window's figures)"""
    fields = ("latency_ns",) if load.saturates else ("latency_ns", "lateness_ns")
    return list(zip(LATENCY.get(load.kind, ()), fields))


def each_of(load):
    return {"receive": "a delivered state", "send": "a message", "echo": "an echo",
            "idle": "a ping and its pong"}[load.kind]


def add_derived(load, figures):
    """What the rows need beside what was measured."""
    used = figures["server_cpu_ns"] + figures["server_ksoftirqd_ns"]
    delivered = max(figures["delivered"], 1)
    figures["ksoftirqd_us_per_delivered"] = figures["server_ksoftirqd_ns"] / 1e3 / delivered
    if load.kind == "receive":
        figures["left_out"] = figures["ticks_due"] - figures["ticks_seen"]
    if load.deflate:
        figures["deflate_ratio"] = (figures["bytes_per_second"] * figures["seconds"]
                                    / max(figures["inflated_bytes"], 1))
    if load.kind == "quiet":
        figures["us_per_room_second"] = used / 1e3 / load.rooms / figures["seconds"]


def summary_of(load, windows):
    """{row: {"median", "lowest", "highest"}} in the units of the rows."""
    wanted = [(name, path, factor) for name, path, factor, _ in rows_of(load)]
    wanted += [(f"{sentence}, {share}, ms", f"{field}.{share}", 1e-6)
               for sentence, field in latencies_of(load) for share in SHARES]
    told = {}
    for name, path, factor in wanted:
        values = [value_of(figures, path) * factor for figures in windows]
        told[name.strip()] = {"median": statistics.median(values), "lowest": min(values), "highest": max(values)}
    return told


def show(load, windows, told, each):
    print(f"\n  {'':44} {'median':>12} {'lowest':>12} {'highest':>12}   of {len(windows)} windows of "
          f"{windows[0]['seconds']:.1f} s")
    for name, _, _, digits in rows_of(load):
        row = told[name.strip()]
        print(f"  {name:44}" + "".join(f" {row[which]:12.{digits}f}" for which in ("median", "lowest", "highest")))
    show_memory(each)
    if load.kind in LATENCY:
        print(f"\n  {'milliseconds, medians of the windows':44}"
              + "".join(f" {share.replace('_', '.'):>9}" for share in SHARES))
    for sentence, _ in latencies_of(load):
        print(f"  {sentence:44}" + "".join(f" {told[f'{sentence}, {share}, ms']['median']:9.3f}" for share in SHARES))


def show_memory(each):
    print(f"  {'server memory for a connection, bytes':44} {each['resident']:12.0f}")
    if each["socket_objects"] is None:
        print("  (the kernel's memory for sockets is in /proc/slabinfo, which only root may read)")
    else:
        print(f"  {'kernel objects for one, both ends, bytes':44} {each['socket_objects']:12.0f}   "
              + ", ".join(f"{name} {size:.0f}" for name, size in sorted(each["caches"].items(), key=lambda x: -x[1])))
    print(f"  {'kernel buffers for one, both ends, bytes':44} {each['socket_buffers']:12.0f}   when all had connected")


def notes_of(load, windows):
    """What a reader of the table must know."""
    busiest = max(figures["client_load"] for figures in windows)
    if any(figures["client_is_bottleneck"] for figures in windows):
        yield f"the client is the bottleneck: it used {busiest * 100:.0f} % of its core"
    if max(max(figures["server_waited"], figures["client_waited"]) for figures in windows) > WAITED_MAX:
        yield "something else was running on these cores: what is late may not be the server's doing"
    if load.saturates and min(figures["server_load"] for figures in windows) < 0.9:
        yield "the server's core was not full, so this is not all that it can do"


# ---- one of them

def run(options, name, load, progress):
    """(all figures, complaints)"""
    cores = common.two_cores()
    windows, complaints = [], []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        side = loads.Side(options.server, options.bench, load, options.seconds, cores, folder, stack, progress)
        for index in range(options.windows):
            figures = side.window()
            add_derived(load, figures)
            windows.append(figures)
            complaints += loads.complaints_of(load, f"window {index + 1}", figures)
        complaints += side.finish()
    progress.clear()
    each = memory.per_connection(side.empty, side.full, load.clients)
    told = summary_of(load, windows)
    show(load, windows, told, each)
    for note in notes_of(load, windows):
        print(f"  NOTE {note}")
    return {"kind": "scenario", "name": name, "about": load.about, "load": dataclasses.asdict(load),
            "windows": windows, "summary": told, "memory": {"empty": side.empty, "full": side.full, "each": each},
            }, complaints


def load_of(options, name):
    load = loads.LOADS[name]
    if options.brief:
        load = loads.brief(load)
    if options.clients:
        rooms = min(load.rooms, options.clients)
        load = dataclasses.replace(load, clients=options.clients // rooms * rooms, rooms=rooms)
    if load.kind == "quiet":  # whole rooms
        load = dataclasses.replace(load, clients=load.rooms * loads.MEMBERS)
    return load


def write(options, name, figures, several):
    path = options.json
    if several:
        path.mkdir(parents=True, exist_ok=True)
        path = path / f"{name}.json"
    path.write_text(json.dumps(figures, indent=2) + "\n")


def main(words):
    options = arguments(words)
    names = list(loads.LOADS) if "all" in options.scenario else options.scenario
    about = common.machine()
    common.warn_of_load(about)
    code = 0
    for name in names:
        load = load_of(options, name)
        common.show_machine(common.machine())
        print(f"  {name}: {load.about}" + (", but only for a moment with few" if options.brief else ""), flush=True)
        try:
            figures, complaints = run(options, name, load, common.Progress(name))
        except common.NotMeasured as why:
            print(f"perf: {name}: not measured: {why}", file=sys.stderr)
            code = 2
            continue
        for complaint in complaints:
            print(f"  AGAINST IT: {complaint}")
        print(f"\n  {name}: {'measured, and nothing was lost' if not complaints else 'NOT AS IT SHOULD BE'}",
              flush=True)
        if options.json:
            write(options, name, {"machine": about, **figures, "complaints": complaints}, len(names) > 1)
        code = code or (1 if complaints else 0)
    return code


if __name__ == "__main__":
    sys.exit("run it as ./zigw build perf -- scenario NAME")
