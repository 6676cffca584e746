"""perf/compare.py: is one build of ringcast slower than another? (`./zigw build perf -- compare OLD NEW`)

OLD and NEW are binaries, or git revisions, which are built in a temporary worktree. Both serve at once, each with a
crowd of its own under the same load; they share a core and take turns in windows, and who is not measured is stopped.
Which of them comes first changes from pair to pair. What a pair shows is a ratio; what is told is the median of all.
After a few pairs both are started anew: where a process's memory happens to lie, and when its ticks fall beside what
else the machine does, stays with it for life, so the pairs of one life are not independent. The interval is that of
a bootstrap over lives, each with all its pairs.

Exit code 1 when NEW is worse by more than the interval: in CPU, or in how late the 99th percentile is.
"""
import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile

import common
import loads

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD_SECONDS = 1200


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
    add("--pairs", type=int, default=12, help="windows of each [12]")
    add("--seconds", type=int, default=5, help="of a window [5]")
    add("--lives", type=int, default=6, help="how often both are started anew; the more, the narrower [6]")
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
    made = git("worktree", "add", "--detach", str(tree), commit)
    if made.returncode != 0:
        raise common.NotMeasured(f"git worktree: {made.stderr.strip()}")
    try:
        if (ROOT / ".tools").exists():  # so that nothing is fetched again
            os.symlink((ROOT / ".tools").resolve(), tree / ".tools")
        print(f"perf: building {revision} ({commit[:12]})", file=sys.stderr, flush=True)  # takes minutes
        built = subprocess.run([str(tree / "zigw"), "build", "-Doptimize=ReleaseFast", "--cache-dir",
                                str(ROOT / ".zig-cache")], cwd=tree, text=True, capture_output=True,
                               timeout=BUILD_SECONDS)
        if built.returncode != 0:
            raise common.NotMeasured(f"{revision} does not build:\n{built.stderr[-2000:]}")
        shutil.copy2(tree / "zig-out" / "bin" / "ringcast", folder / "ringcast")
    except subprocess.TimeoutExpired:
        raise common.NotMeasured(f"{revision} was not built within {BUILD_SECONDS} s") from None
    finally:
        git("worktree", "remove", "--force", str(tree))
    return folder / "ringcast"


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
        return (figures["server_cpu_ns"] + figures["server_ksoftirqd_ns"]) / 1e3 / figures["seconds"]
    return figures["server_cpu_us_per_delivered"]


def late_of(load, figures):
    """Milliseconds, the 99th percentile; None where nothing can be late."""
    if load.kind in ("idle", "quiet"):
        return None
    return figures["latency_ns" if load.saturates else "lateness_ns"]["p99"] / 1e6


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


def life(options, load, binaries, number, first, count):
    """(pairs, complaints) of servers that are started now; who is started first changes from life to life."""
    progress = common.Progress(f"compare, pair {first + 1} of {options.pairs}")
    pairs, complaints = [], []
    cores = common.two_cores()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        sides = {}
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            sides[which] = loads.Side(binaries[which], options.bench, load, options.seconds, cores, folder, stack,
                                      progress)
            sides[which].stop()
        for index in range(first, first + count):
            figures = {which: turn(sides[which]) for which in ((0, 1) if index % 2 == 0 else (1, 0))}
            pairs.append((figures[0], figures[1]))
            progress.clear()
            show_pair(load, index, *pairs[-1])
            for which, name in enumerate(("old", "new")):
                complaints += loads.complaints_of(load, f"pair {index + 1}, {name}", figures[which])
        for side in sides.values():
            side.go_on()
            complaints += side.finish()
    return pairs, complaints


def judge(lives):
    """What the ratios of all pairs show, as a list for each life."""
    chance = random.Random(1)
    medians = sorted(statistics.median([ratio for life in chance.choices(lives, k=len(lives)) for ratio in life])
                     for _ in range(10_000))
    low, high = medians[250], medians[9749]
    return {"ratio": statistics.median([ratio for life in lives for ratio in life]), "interval": [low, high],
            "worse": low > 1, "better": high < 1}


def verdicts(load, lives):
    """{what: its ratio}"""
    told = {"CPU": judge([[cost_of(load, new) / cost_of(load, old) for old, new in pairs] for pairs in lives])}
    if late_of(load, lives[0][0][0]) is not None:
        told["p99"] = judge([[late_of(load, new) / late_of(load, old) for old, new in pairs] for pairs in lives])
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
    """(load, pairs of each life, complaints)"""
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
    lives = min(options.lives, options.pairs)
    for number in range(lives):
        first = options.pairs * number // lives
        count = options.pairs * (number + 1) // lives - first
        more, against = life(options, load, binaries, number, first, count)
        pairs.append(more)
        complaints += against
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
            load, lives, complaints = measure(options, stack)
    except common.NotMeasured as why:
        print(f"perf: not measured: {why}", file=sys.stderr)
        return 2
    told = verdicts(load, lives)
    show(told)
    for complaint in complaints:
        print(f"  AGAINST IT: {complaint}")
    if options.json:
        options.json.write_text(json.dumps({
            "machine": about, "kind": "compare", "old": options.old, "new": options.new, "name": options.load,
            "load": dataclasses.asdict(load), "lives": lives, "verdicts": told, "complaints": complaints,
            }, indent=2) + "\n")
    if complaints:
        return 2  # what lost something is not compared
    return 1 if any(one["worse"] for one in told.values()) else 0


if __name__ == "__main__":
    sys.exit("run it as ./zigw build perf -- compare OLD NEW")
