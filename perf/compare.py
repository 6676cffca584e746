"""perf/compare.py: is one build of ringcast slower than another? (`./zigw build perf -- compare OLD NEW`)

OLD and NEW are binaries, or git revisions, which are built in a temporary folder. Both serve at once, each with a
crowd of its own under the same load; they share a core and take turns in windows, and who is not measured is stopped.
What a pair shows is a ratio; what is told is the median of all with the interval of a bootstrap over the pairs
(common.py). For each pair both are started anew, because where a process's memory happens to lie, and when its ticks
fall beside what else the machine does, stays with it for life: pairs of one life are not independent of each other.
Who is started first, and who is measured first, changes from pair to pair.

Exit code 1 when NEW is worse by more than the interval: in CPU, or in how late the 99th percentile is.
"""
import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

import common
import loads

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD_SECONDS = 1200
LEAST = 1e-3  # of what a ratio is made: a server may well use nothing at all
PAIRS_MIN = 6  # by chance all of five lie on one side in 1 of 16 comparisons


def arguments(words):
    parser = argparse.ArgumentParser(prog="perf -- compare", description=__doc__.split("\n")[0],
                                     formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="\n".join(f"{name:18} {load.about}" for name, load in loads.LOADS.items()))
    add = parser.add_argument
    add("--server", type=pathlib.Path, help=argparse.SUPPRESS)
    add("--bench", required=True, type=pathlib.Path, help=argparse.SUPPRESS)
    add("old", metavar="OLD", help="a binary, or a git revision")
    add("new", metavar="NEW", help="the same, or `.`: what is here now")
    add("--load", default="room-1000", choices=loads.LOADS, metavar="NAME", help="see below [room-1000]")
    add("--pairs", type=int, default=12, help="windows of each; the more, the narrower the interval [12]")
    add("--seconds", type=int, default=5, help="of a window [5]")
    add("--clients", type=int, help="in place of the load's own number")
    add("--brief", action="store_true", help="a moment with few clients")
    add("--json", type=pathlib.Path, help="write all figures there")
    return parser.parse_args(words)


# ---- two builds

def git(*words):
    return subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True)


def build_of(revision, stack):
    """The binary of a revision, built for speed as `./zigw build` does."""
    commit = git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").stdout.strip()
    if not commit:
        raise common.NotMeasured(f"{revision} is neither a binary nor a revision")
    folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ringcast-compare-")))
    tree = folder / "tree"
    packed = git("archive", "--format=tar", "-o", str(folder / "tar"), commit)
    if packed.returncode != 0:
        raise common.NotMeasured(f"git archive: {packed.stderr.strip()}")
    with tarfile.open(folder / "tar") as files:
        files.extractall(tree)
    if (ROOT / ".tools").exists():  # so that nothing is fetched again
        os.symlink((ROOT / ".tools").resolve(), tree / ".tools")
    print(f"perf: building {revision} ({commit[:12]})", file=sys.stderr, flush=True)  # takes minutes
    try:
        built = subprocess.run([str(tree / "zigw"), "build", "-Doptimize=ReleaseFast", "--cache-dir",
                                str(ROOT / ".zig-cache")], cwd=tree, text=True, capture_output=True,
                               timeout=BUILD_SECONDS)
    except subprocess.TimeoutExpired:
        raise common.NotMeasured(f"{revision} was not built within {BUILD_SECONDS} s") from None
    if built.returncode != 0:
        raise common.NotMeasured(f"{revision} does not build:\n{built.stderr[-2000:]}")
    return tree / "zig-out" / "bin" / "ringcast"


def binary_of(word, here, stack):
    if word == "." and here is not None:
        return here.resolve()
    path = pathlib.Path(word)
    if path.is_file() and os.access(path, os.X_OK):
        return path.resolve()
    return build_of(word, stack)


# ---- pairs of windows

def cost_of(load, figures):
    """Microseconds of CPU for what the load counts; for `quiet`, which counts nothing, for a second."""
    if load.kind == "quiet":
        used = (figures["server_cpu_ns"] + figures["server_ksoftirqd_ns"]) / 1e3 / figures["seconds"]
    else:
        used = figures["server_cpu_us_per_delivered"]
    return max(used, LEAST)


def late_of(load, figures):
    """Milliseconds, the 99th percentile; None where nothing can be late."""
    if load.kind in ("idle", "quiet"):
        return None
    return max(figures["latency_ns" if load.saturates else "lateness_ns"]["p99"] / 1e6, LEAST)


def turn(side):
    side.go_on()
    figures = side.window()
    side.stop()
    return figures


def show_pair(load, index, old, new):
    line = (f"  {index + 1:4} {cost_of(load, old):10.3f} {cost_of(load, new):9.3f} "
            f"{cost_of(load, new) / cost_of(load, old):9.3f}")
    if late_of(load, old) is not None:
        line += (f"  {late_of(load, old):9.3f} {late_of(load, new):9.3f} "
                 f"{late_of(load, new) / late_of(load, old):9.3f}")
    print(f"{line}  {old['client_load'] * 100:6.0f} {new['client_load'] * 100:5.0f}"
          f"  {old['server_waited'] * 100:6.1f} {new['server_waited'] * 100:5.1f}", flush=True)


def pair(options, load, binaries, index):
    """((old, new), complaints) of servers that are started now."""
    progress = common.Progress(f"compare, pair {index + 1} of {options.pairs}")
    complaints, cores = [], common.two_cores()
    started = (0, 1) if index % 2 == 0 else (1, 0)
    measured = (0, 1) if index // 2 % 2 == 0 else (1, 0)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        sides = {}
        for which in started:
            sides[which] = loads.Side(binaries[which], options.bench, load, options.seconds, cores, folder, stack,
                                      progress)
            sides[which].stop()
        figures = {which: turn(sides[which]) for which in measured}
        for side in sides.values():
            side.go_on()
            complaints += side.finish()
    progress.clear()
    for which, name in enumerate(("old", "new")):
        complaints += loads.complaints_of(load, f"pair {index + 1}, {name}", figures[which])
    return (figures[0], figures[1]), complaints


def judge(ratios):
    """What the ratios of all pairs show."""
    median, low, high = common.median_and_interval(ratios)
    return {"ratio": median, "interval": [low, high], "worse": low > 1, "better": high < 1}


def verdicts(load, pairs):
    """{what: its ratio}"""
    told = {"CPU": judge([cost_of(load, new) / cost_of(load, old) for old, new in pairs])}
    if late_of(load, pairs[0][0]) is not None:
        told["p99"] = judge([late_of(load, new) / late_of(load, old) for old, new in pairs])
    return told


def load_of(options):
    load = loads.LOADS[options.load]
    if options.brief:
        load = loads.brief(load)
    if options.clients:
        rooms = min(load.rooms, options.clients)
        load = dataclasses.replace(load, clients=options.clients // rooms * rooms, rooms=rooms)
    if load.kind == "quiet":
        load = dataclasses.replace(load, clients=load.rooms * loads.MEMBERS)
    if load.kind not in ("idle", "quiet"):
        load = dataclasses.replace(load, server=(*load.server, "--ping", "1h"))  # one that is stopped answers none
    return load


def measure(options, stack):
    """(load, pairs, complaints)"""
    load = load_of(options)
    binaries = [binary_of(word, options.server, stack) for word in (options.old, options.new)]
    common.show_machine(common.machine())
    print(f"  old: {options.old}\n  new: {options.new}\n  {options.load}: {load.about}; windows of {options.seconds} s\n\n"
          f"  CPU {'a second' if load.kind == 'quiet' else 'for each'}, us"
          + ("" if load.kind in ("idle", "quiet") else "                   p99, ms                   ")
          + "        client CPU %     waited %\n"
          "  pair        old       new     ratio" + ("" if load.kind in ("idle", "quiet") else
                                                     "        old       new     ratio")
          + "     old   new     old   new", flush=True)
    pairs, complaints = [], []
    for index in range(options.pairs):
        figures, against = pair(options, load, binaries, index)
        pairs.append(figures)
        complaints += against
        show_pair(load, index, *figures)
    return load, pairs, complaints


def show(told):
    print()
    for name, one in told.items():
        word = "WORSE" if one["worse"] else "better" if one["better"] else "no difference that can be told"
        print(f"  {name}, new / old: {one['ratio']:.3f} [{one['interval'][0]:.3f}, {one['interval'][1]:.3f}]: {word}")


def main(words):
    options = arguments(words)
    about = common.machine()
    common.warn_of_load(about)
    try:
        with contextlib.ExitStack() as stack:
            load, pairs, complaints = measure(options, stack)
    except common.NotMeasured as why:
        print(f"perf: not measured: {why}", file=sys.stderr)
        return 2
    told = verdicts(load, pairs)
    show(told)
    if len(pairs) < PAIRS_MIN:
        print(f"  NOTE with fewer than {PAIRS_MIN} pairs chance decides")
    for complaint in complaints:
        print(f"  AGAINST IT: {complaint}")
    if options.json:
        options.json.write_text(json.dumps({
            "machine": about, "kind": "compare", "old": options.old, "new": options.new, "name": options.load,
            "load": dataclasses.asdict(load), "pairs": pairs, "verdicts": told, "complaints": complaints,
            }, indent=2) + "\n")
    if complaints:
        return 2  # what lost something is not compared
    return 1 if any(one["worse"] for one in told.values()) else 0


if __name__ == "__main__":
    sys.exit("run it as ./zigw build perf -- compare OLD NEW")
