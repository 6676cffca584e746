"""perf/peers/told.py: the figures of all servers under one load: medians, spreads and ratios, as a table, and what
is against ringcast.
"""
import statistics

import common
import memory
from servers import FLOOR, OURS

WAITED_MAX = 0.01  # of a window; above it others were in the way
ROUNDS_MIN = 3     # fewer have no interval worth the name

VALUES = {  # name: (where in a window's figures, factor)
    "reach": ("reach", 1), "a second": ("frames_per_second", 1), "cost": ("server_cpu_us_per_delivered", 1),
    "server": ("server_load", 100), "client": ("client_load", 100),
    "due p50": ("lateness_ns.p50", 1e-6), "due p99": ("lateness_ns.p99", 1e-6),
    "encode p50": ("latency_ns.p50", 1e-6), "encode p99": ("latency_ns.p99", 1e-6),
}


def value_of(figures, name):
    path, factor = VALUES[name]
    for word in path.split("."):
        figures = figures[word]
    return figures * factor


def values_of(side, name):
    return [value_of(figures, name) for figures in side.windows]


def ratio(side, other, name):
    """Round by round: the median, and where 95 of 100 medians of samples drawn from the rounds lie."""
    pairs = zip(values_of(side, name), values_of(other, name))
    return common.median_and_interval([mine / max(theirs, 1e-9) for mine, theirs in pairs])


def best_of(load, sides):
    """The peer that does it best, or None."""
    peers = [side for side in sides if side.name != FLOOR and not side.name.startswith(OURS)]
    if load.full:
        return max(peers, key=lambda side: statistics.median(values_of(side, "a second")), default=None)
    return min(peers, key=lambda side: statistics.median(values_of(side, "cost")), default=None)


def summary(load, sides):
    """{server: {figure: [median, low, high]}}"""
    best, floor = best_of(load, sides), next((side for side in sides if side.name == FLOOR), None)
    told = {}
    for side in sides:
        mine = told[side.name] = {name: spread(values_of(side, name)) for name in VALUES}
        for name in ("cost", "a second"):
            if floor is not None:
                mine[f"{name} / floor"] = ratio(side, floor, name)
            if best is not None:
                mine[f"{name} / best"] = ratio(side, best, name)
    return told


def spread(values):
    return statistics.median(values), min(values), max(values)


def cell(three, digits):
    if three is None:
        return "-"
    middle, low, high = (f"{value:.{digits}f}" for value in three)
    return f"{middle} [{low}, {high}]"


def show_table(rows):
    """Each column as wide as it must be; the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    print()
    for row in rows:
        print("  " + "  ".join([f"{row[0]:{widths[0]}}"] + [f"{text:>{width}}" for text, width in
                                                            zip(row[1:], widths[1:])]))


def show(load, sides, told):
    what = "message" if load.say else "state"
    best = best_of(load, sides)
    ratios, whose = ("a second", f"{what}s a second") if load.full else ("cost", "CPU")
    rows = [["", "reach", f"{what}s a second", f"CPU for a {what}, us", f"{whose} / bare loop",
             f"{whose} / {best.name if best else 'best peer'}", "server %", "client %"]]
    for side in sides:
        row = told[side.name]
        rows.append([side.name, "-" if load.full else cell(row["reach"], 4), cell(row["a second"], 0),
                     cell(row["cost"], 2), cell(row.get(f"{ratios} / floor"), 3), cell(row.get(f"{ratios} / best"), 3),
                     cell(row["server"], 0), cell(row["client"], 0)])
    show_table(rows)
    late = ("there and back from due", "from sent") if load.say else ("late from due", "from encode")
    rows = [["milliseconds; KiB", *(f"{word}, {share}" for word in late for share in ("p50", "p99")),
             "own memory a client", "kernel's, both ends"]]
    for side in sides:
        row, kernel = told[side.name], memory.kernel(side.memory)
        rows.append([side.name, *(cell(row[f"{kind} {share}"], 2) for kind in ("due", "encode")
                                  for share in ("p50", "p99")),
                     f"{side.memory['resident'] / 1024:.2f}", "-" if kernel is None else f"{kernel / 1024:.2f}"])
    show_table(rows)
    print(flush=True)


def notes_of(load, side):
    """What a reader of the table must know."""
    if any(figures["client_is_bottleneck"] for figures in side.windows):
        yield "its client used more than 80 % of its core"
    if max(figures["client_waited"] for figures in side.windows) > WAITED_MAX:
        yield "something else was running on its client's core"
    if load.full and max(values_of(side, "server")) < 90:
        yield "its core was not full"


def faults_of(load, side):
    """What no server may do."""
    for number, figures in enumerate(side.windows, 1):
        for what in ("faults", "closed"):
            if figures[what]:
                yield f"round {number}: {what}: {figures[what]}"
        if not load.full and figures["reach"] < 1:
            yield f"round {number}: {figures['reach']:.5f} of what was due came"
    if side.unheard != 0:
        yield f"of {side.windows[-1]['said_ever']} messages it has not heard {side.unheard}"


def complaints_of(load, sides, told):
    """What is against ringcast: something was lost, or a peer is better by more than the interval."""
    best = best_of(load, sides)
    ours = next((side for side in sides if side.name == OURS), None)
    if ours is None:
        return
    yield from faults_of(load, ours)
    if best is None or len(ours.windows) < ROUNDS_MIN:
        return
    name = "a second" if load.full else "cost"
    middle, low, high = told[OURS][f"{name} / best"]
    if load.full and high < 1:
        yield f"{best.name} sends more in a second: ours is {middle:.3f} [{low:.3f}, {high:.3f}] of it"
    if not load.full and low > 1:
        yield f"{best.name} takes less CPU: ours is {middle:.3f} [{low:.3f}, {high:.3f}] of it"
