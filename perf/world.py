"""perf/world.py: what the world costs beside a room that sends everybody the same.
(`./zigw build perf -- world`)

Three worlds with 2,000 players each, and beside each a room of the kart kind with as many members,
whose states are as long as what a player is told in a tick. The world's players walk; the room's
members say the very same, and nobody listens. World and room take turns, one stopped while the other
is measured. In the third world everybody stands in one cell; with it each server has a crowd of kart's
beside its world, which must not notice.
"""
import concurrent.futures
import contextlib
import os
import signal
import statistics
import sys
import tempfile
import time

import common
import worlds

RATIO_MAX = 1.3
NEAR_MAX = 1.25       # bytes for each entity in sight, at one density over the other: cells have words of their own
NOTICE_MAX = 1.1      # lateness beside a world in which all are in one cell, over one in which they are not
TICK_MS = 50
TICK_MAX_MS = 5       # simulation and encoding
ENCODES_MAX = 3       # for each occupied cell
SETTLE_SECONDS = 1.0  # after it was stopped
BESIDE = 100          # members of kart's room beside a world
BESIDE_PAYLOAD = 512
PING = ("--ping", "3600s", "--pong", "10m")


def start_server(options, core, folder, stack, *how, environment=None):
    server = common.Server(options.server, core, folder, "--workers", "1", *PING, "--kart-tick", f"{TICK_MS}ms",
                           *how, environment=environment)
    stack.callback(end_stopped, server.process)
    return server.wait_until_ready()


def end_stopped(process):
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGCONT)
    common.end(process)


class Side:
    """A server, and a crowd that is measured when the server is not stopped."""

    def __init__(self, name, server):
        self.name, self.server, self.windows = name, server, []

    def start_crowd(self, core, command, environment, stack):
        self.crowd = common.Steered(core, command, env={**os.environ, **environment})
        stack.callback(common.end, self.crowd.process)
        self.crowd.wait_until_asking()

    def stop(self):
        self.server.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.server.process.send_signal(signal.SIGCONT)
        time.sleep(SETTLE_SECONDS)

    def turn(self, kind):
        self.go_on()
        figures = self.crowd.window(kind)
        self.stop()
        self.windows.append(figures)
        return figures

    def finish(self):
        self.go_on()
        return self.crowd.finish()


class Place(Side):
    """A world and its players."""

    def __init__(self, options, world, cores, folder, stack):
        self.world = world
        self.file = world.write(folder)
        environment = worlds.environment()
        port, = common.free_ports(1)
        super().__init__(world.name, start_server(
            options, cores[0], folder, stack, "--kart-payload", BESIDE_PAYLOAD,
            *worlds.server_options(options, world, self.file, port), environment=environment))
        rate = 200 if world.crowded else 1000  # in a crowd each who comes is told to all
        self.start_crowd(cores[1], [
            options.bench, *worlds.crowd_options(options, world, options.seconds), "--rate", rate, "--server",
            f"127.0.0.1:{port}", "--server-pid", self.server.process.pid], environment, stack)
        self.turn("walk")  # shows how long an update is

    def metrics(self):
        self.go_on()
        metrics = self.server.metrics()
        self.stop()
        return metrics


class Room(Side):
    """A room of the kart kind, whose members say what players say."""

    def __init__(self, options, place, cores, folder, stack):
        payload = round(each(place.windows[0], "bytes")) - 4
        super().__init__(f"{place.name}, room", start_server(options, cores[0], folder, stack,
                                                             "--kart-payload", payload))
        self.start_crowd(cores[1], [
            options.bench, *worlds.crowd_options(options, place.world, options.seconds), "--room", "--server",
            self.server.address, "--server-pid", self.server.process.pid], {}, stack)
        self.stop()


def each(figures, name):
    """Of an update, on average."""
    return figures[name] / max(figures["delivered"], 1)


def cost(figures):
    return figures["server_cpu_us_per_delivered"]


def cpu_ns(figures):
    return figures["server_cpu_ns"] + figures["server_ksoftirqd_ns"]


# ---- world and room by turns

def show_head():
    print("\n  what one tick brings one client (an update): server CPU, us       server CPU %    client CPU %\n"
          "  world     kind      room    world     ratio                        room  world     room  world",
          flush=True)


def show_pair(place, kind, room, world):
    print(f"  {place.name:9} {kind:5} {cost(room):8.3f} {cost(world):8.3f} {cost(world) / cost(room):9.3f}"
          f"                  {room['server_load'] * 100:10.1f} {world['server_load'] * 100:6.1f}"
          f" {room['client_load'] * 100:8.1f} {world['client_load'] * 100:6.1f}", flush=True)


def complaints_of_window(name, figures):
    if figures["faults"]:
        yield f"{name}: faults: {figures['faults']}"
    if figures["closed"]:
        yield f"{name}: clients were closed: {figures['closed']}"
    if figures["delivered"] != figures["made"]:
        yield f"{name}: {figures['delivered']} of {figures['made']} updates were delivered"
    if figures["short"]:
        yield f"{name}: {figures['short']} updates left somebody out"
    if figures["client_load"] > common.CLIENT_LOAD_MAX:
        yield f"{name}: the client used {figures['client_load'] * 100:.0f} % of its core"


def take_turns(place, room, kind, count, complaints):
    """Pairs (room, world)."""
    pairs = []
    for index in range(count):
        order = (room, place) if index % 2 == 0 else (place, room)
        figures = {side: side.turn(kind) for side in order}
        pairs.append((figures[room], figures[place]))
        show_pair(place, kind, *pairs[-1])
        for side, window in figures.items():
            complaints += complaints_of_window(f"{side.name}, {kind}, pair {index + 1}", window)
    return pairs


def compare(options, place, cores, folder, complaints):
    """{kind: pairs}"""
    with contextlib.ExitStack() as own:
        room = Room(options, place, cores, folder, own)
        pairs = {"walk": take_turns(place, room, "walk", options.pairs, complaints),
                 "still": take_turns(place, room, "still", max(options.pairs // 3, 1), complaints)}
        if room.finish() != 0:
            complaints.append(f"{room.name}: the crowd ended with {room.crowd.process.returncode}: {room.crowd.said}")
    return pairs


# ---- who is beside

class Beside:
    """A crowd of kart's on the server of a side, measured together with the side's own crowd."""

    def __init__(self, options, side, core, stack):
        self.side, self.lateness = side, []
        if side.crowd is not None:
            side.go_on()
        self.bench = common.SteeredBench(options.bench, core, side.server, BESIDE, options.seconds, f"{TICK_MS}ms")
        stack.callback(common.end, self.bench.process)
        side.stop()

    def turn(self, pool, complaints):
        self.side.go_on()
        other = pool.submit(self.side.crowd.window, "walk") if self.side.crowd is not None else None
        kart = self.bench.window()
        world = other.result() if other is not None else None
        self.side.stop()
        self.lateness.append(kart["lateness_ns"]["p99"] / 1e6)
        complaints += common.complaints_of_window(f"beside {self.side.name}", kart)
        if world is not None:
            complaints += complaints_of_window(f"{self.side.name}, with others beside", world)
        return kart, world


class Empty(Side):
    """A server whose world has nobody in it."""
    crowd = None

    def __init__(self, options, cores, folder, stack):
        super().__init__("nobody", start_server(options, cores[0], folder, stack, "--kart-payload", BESIDE_PAYLOAD))


def notice(options, crowded, spread, cores, folder, stack, complaints):
    """Windows of three servers in rotated order; {name: [(kart, world)]}"""
    sides = [Beside(options, side, cores[1], stack) for side in (Empty(options, cores, folder, stack), spread, crowded)]
    taken = {one.side.name: [] for one in sides}
    print(f"\n  {BESIDE} members of a kart room on the same worker, lateness p99, ms\n"
          "  beside nobody   beside the spread world   beside all in one cell     the last two's ratio", flush=True)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for index in range(max(options.pairs // 2, 1)):
            for one in sides[index % 3:] + sides[:index % 3]:
                taken[one.side.name].append(one.turn(pool, complaints))
            late = [one.lateness[-1] for one in sides]
            print(f"  {late[0]:13.3f} {late[1]:25.3f} {late[2]:24.3f} {late[2] / late[1]:24.3f}", flush=True)
    return taken


# ---- the figures

def show_ratios(place, pairs, micro):
    """The ratio of walking."""
    ticks_us = (micro["tick_ns"]["median"] + micro["frames_ns"]["median"]) / 1e3
    update_us = ticks_us / place.windows[0]["clients"]
    ratios = {}
    for kind, windows in pairs.items():
        ratio = ratios[kind] = common.median_and_interval([cost(world) / cost(room) for room, world in windows])
        bare = statistics.median((cost(world) - update_us) / cost(room) for room, world in windows)
        print(f"  {place.name}, {kind}: {ratio[0]:.3f} [{ratio[1]:.3f}, {ratio[2]:.3f}], the median of {len(windows)} "
              f"pairs; without simulation and encoding {bare:.3f}")
    return ratios


def split(pairs, micro):
    """Of a worker's core in one world: shares for the whole, for receiving, for simulation and encoding, and
    for sending; and how much of it all is outside the kernel."""
    walk = statistics.median(world["server_load"] for _, world in pairs["walk"])
    still = statistics.median(world["server_load"] for _, world in pairs["still"])
    simulation = (micro["tick_ns"]["median"] + micro["frames_ns"]["median"]) / (TICK_MS * 1e6)
    user = statistics.median(world["server_user_ns"] / cpu_ns(world) for _, world in pairs["walk"])
    return {"whole": walk, "receiving": walk - still, "simulation": simulation, "sending": still - simulation,
            "user": user}


def show_world(place, pairs, micro):
    windows = [world for _, world in pairs["walk"]]
    one = {name: statistics.median(each(window, name) for window in windows)
           for name in ("bytes", "entities", "cells")}
    shares = split(pairs, micro)
    print(f"  {place.name}: an update has {one['entities']:.1f} entities of {one['cells']:.1f} cells in "
          f"{one['bytes']:.0f} bytes; p99 from the tick to the last byte "
          f"{statistics.median(window['latency_ns']['p99'] for window in windows) / 1e6:.1f} ms")
    print(f"    of the worker's core {shares['whole'] * 100:.1f} %: receiving {shares['receiving'] * 100:.1f}, "
          f"simulation and encoding {shares['simulation'] * 100:.1f}, sending {shares['sending'] * 100:.1f} "
          f"({shares['user'] * 100:.0f} % of all outside the kernel)")
    print(f"    simulation and encoding of a tick {micro['tick_ns']['median'] / 1e6:.2f} ms, p99 "
          f"{micro['tick_ns']['p99'] / 1e6:.2f} ms, and {micro['frames_ns']['median'] / 1e6:.2f} ms for frames; "
          f"{micro['encodes'] / max(micro['cells'], 1):.2f} encodes a cell; each client's update encoded for itself "
          f"would take {micro['single_ns']['median'] / 1e6:.0f} ms")
    return one | {"split": shares}


def complaints_of_micro(name, micro):
    if micro["tick_ns"]["p99"] > TICK_MAX_MS * 1e6:
        yield f"{name}: simulation and encoding take {micro['tick_ns']['p99'] / 1e6:.2f} ms at p99"
    if micro["encodes"] > ENCODES_MAX * micro["cells"]:
        yield f"{name}: {micro['encodes']:.0f} encodes for {micro['cells']:.0f} cells"


def tick_p99_ms(before, after):
    """From the server's own histogram: the bound that 99 of 100 of the world's ticks kept; None where it has none."""
    start = 'ringcast_tick_duration_seconds_bucket{kind="world",le="'
    counts = sorted((float(name[len(start):-2]), count - before.get(name, 0))
                    for name, count in after.items() if name.startswith(start))
    return next((bound * 1e3 for bound, count in counts if count >= 0.99 * counts[-1][1] > 0), None)


def complaints_of_server(place, settling):
    metrics = place.metrics()
    place.tick_ms = tick_p99_ms(settling, metrics)
    for name in ("ringcast_disconnects_total", "ringcast_dropped_total", "ringcast_snapshots_failed_total",
                 "ringcast_uring_cq_overflow_total"):
        grown = metrics.get(name, 0) - settling.get(name, 0)
        if grown > 0:
            yield f"{place.name}: {name} went up by {grown:.0f}"


def show_near(sparse, dense):
    """How much more an entity in sight costs in bytes at one density than at the other."""
    per_entity = [one["bytes"] / one["entities"] for one in (sparse, dense)]
    ratio = max(per_entity) / min(per_entity)
    print(f"  bytes for each entity in sight: {per_entity[0]:.0f}, and {per_entity[1]:.0f} where "
          f"{dense['entities'] / sparse['entities']:.2f} times as many are near and just as many in the world")
    return ratio


def show_crowd(crowded, windows):
    late = statistics.median(window["latency_ns"]["p99"] for window in windows) / 1e6
    left_out = sum(window["ticks_due"] - window["ticks_seen"] for window in windows)
    turn = max(window["waited_for_turn_ms"] for window in windows)
    print(f"  {crowded.name}: an update has {each(windows[0], 'entities'):.1f} of {windows[0]['clients']} entities, and "
          f"everybody is in one again after {turn} ms; p99 from the tick to the last byte of all {late:.1f} ms; "
          f"{left_out} ticks left out")
    if crowded.tick_ms is not None:
        print(f"    99 of 100 of its ticks take at most {crowded.tick_ms:g} ms, by the server's own count")
    return late, left_out


# ---- the whole

def run(options):
    """(all figures, complaints, the claim)"""
    cores = common.two_cores()
    complaints, figures = [], {}
    far = worlds.World("far", 3840, options.walkers)
    near = worlds.World("near", 1920, options.walkers)
    one_cell = worlds.World("one cell", 512, 0, crowded=True)
    show_head()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        places = {}
        for world in (far, near):
            place = places[world.name] = Place(options, world, cores, folder, stack)
            settling = place.metrics()
            pairs = compare(options, place, cores, folder, complaints)
            complaints += complaints_of_server(place, settling)
            figures[world.name] = {"pairs": pairs, "micro": worlds.micro(options, world, place.file, cores[0])}
        crowded = Place(options, one_cell, cores, folder, stack)
        settling = crowded.metrics()
        beside = notice(options, crowded, places["near"], cores, folder, stack, complaints)
        complaints += complaints_of_server(crowded, settling)
        figures["one cell"] = {"micro": worlds.micro(options, one_cell, crowded.file, cores[0]), "beside": beside}
        for place in (*places.values(), crowded):
            if place.finish() != 0:
                complaints.append(f"{place.name}: the crowd ended with {place.crowd.process.returncode}: "
                                  f"{place.crowd.said}")
    print("\n  CPU of an update, world / room:")
    for name, place in places.items():
        ratios = show_ratios(place, figures[name]["pairs"], figures[name]["micro"])
        figures[name]["ratios"] = ratios
        if ratios["walk"][0] > RATIO_MAX:
            complaints.append(f"{name}: an update costs {ratios['walk'][0]:.3f} times a room's")
    print()
    seen = {name: show_world(place, figures[name]["pairs"], figures[name]["micro"]) for name, place in places.items()}
    if show_near(seen["far"], seen["near"]) > NEAR_MAX:
        complaints.append("bytes are not in proportion to what is near")
    late, left_out = show_crowd(crowded, [world for _, world in beside["one cell"]])
    if late > TICK_MS or left_out:
        complaints.append("in one cell they are not told within the tick")
    ratios = [one["lateness_ns"]["p99"] / other["lateness_ns"]["p99"]
              for (one, _), (other, _) in zip(beside["one cell"], beside["near"])]
    ratio, low, high = common.median_and_interval(ratios)
    print(f"  beside all in one cell over beside the spread world: {ratio:.3f} [{low:.3f}, {high:.3f}]")
    if ratio > NOTICE_MAX:
        complaints.append(f"who is beside notices: {ratio:.3f} times as late")
    for name in figures:
        complaints += complaints_of_micro(name, figures[name]["micro"])
    claim = (f"{options.clients} players and {options.walkers} walkers on one worker: an update costs at most "
             f"{RATIO_MAX} times a room's of as many bytes, and nobody notices a crowd")
    return figures | {"seen": seen, "notice": [ratio, low, high]}, complaints, claim


if __name__ == "__main__":
    sys.exit("run it as ./zigw build perf -- world")
