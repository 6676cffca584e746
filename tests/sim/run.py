"""tests/sim/run.py: what `./zigw build sim -- ...` does. See README.md beside it.

    (nothing)      fresh seeds on all cores for a minute and a half
    SEED           one run with its trace, which ends with `trace hash: HEX`
    FIRST COUNT    that many seeds from there on, on all cores
    mutations      broken hubs, each of which must be found out
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import secrets
import subprocess
import sys
import time

SECONDS = 90  # without arguments
BATCH = 50  # seeds a process
MUTANT_SEEDS = 2000  # after so many a mutation counts as missed
RAN = re.compile(r"^(\d+) seeds from \S+: \S+ s, (\S+) virtual hours", re.M)
AGAIN = re.compile(r"sim: again: .*-- (0x[0-9a-f]+)$", re.M)
HERE = pathlib.Path(__file__).resolve().parent


def run_batch(program, first, count):
    """(seeds, virtual hours, None), or (0, 0, all that was said) when something was found."""
    done = subprocess.run([program, hex(first), str(count)], capture_output=True, text=True, errors="replace")
    ran = RAN.search(done.stdout)
    if done.returncode == 0 and ran:
        return int(ran[1]), float(ran[2]), None
    return 0, 0.0, done.stdout + done.stderr


def run_batches(program, batches, until=None):
    """Runs (first, count) after each other on all cores. (seeds, hours, what was found or None)"""
    seeds, hours, cores = 0, 0.0, os.cpu_count() or 1
    batches = iter(batches)
    with concurrent.futures.ThreadPoolExecutor(cores) as pool:
        running = set()
        while True:
            while len(running) < cores and (until is None or time.monotonic() < until):
                batch = next(batches, None)
                if batch is None:
                    break
                running.add(pool.submit(run_batch, program, *batch))
            if not running:
                return seeds, hours, None
            done, running = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
            for one in done:
                more, virtual, found = one.result()
                seeds, hours = seeds + more, hours + virtual
                if found:
                    return seeds, hours, found


def split(first, count):
    return ((first + i, min(BATCH, count - i)) for i in range(0, count, BATCH))


def report(seeds, hours, took, found):
    print(f"sim: {seeds} seeds in {took:.1f} s: {seeds / max(took, 0.001):.1f} seeds/s, {hours:.2f} virtual hours")
    if found:
        sys.exit(found[-4000:])


def many(program, first, count, seconds=None):
    started = time.monotonic()
    until = started + seconds if seconds else None
    seeds, hours, found = run_batches(program, split(first, count), until)
    report(seeds, hours, time.monotonic() - started, found)


class Mutant:
    def __init__(self, program):
        self.program = program
        self.name = pathlib.Path(program).name.removeprefix("sim-")
        head = (HERE / "mutations" / f"{self.name}.txt").read_text().split("\n---\n")[0]
        self.what = dict(line.split(": ", 1) for line in head.splitlines())["what"]

    def found_after(self, first=1):
        """(number of seeds, or None; how it was found)"""
        ran, place = 0, first
        while ran < MUTANT_SEEDS:
            done = subprocess.run([self.program, hex(place), str(BATCH)], capture_output=True, text=True, errors="replace")
            if done.returncode != 0:
                seed = AGAIN.search(done.stderr)
                lines = [line for line in done.stderr.splitlines() if line and "again:" not in line]
                return (int(seed[1], 16) - first + 1 if seed else ran + 1), (lines[0] if lines else "it ended")
            ran, place = ran + BATCH, place + BATCH
        return None, f"not found within {MUTANT_SEEDS} seeds"


def mutations(programs):
    missed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        mutants = [Mutant(program) for program in programs]
        for mutant, (after, why) in zip(mutants, pool.map(Mutant.found_after, mutants)):
            missed += after is None
            print(f"{mutant.name} ({mutant.what}): " + (why if after is None else f"found by seed {after}: {why[:110]}"),
                  flush=True)
    print(f"sim: {len(programs) - missed} of {len(programs)} mutations found")
    sys.exit(1 if missed or not programs else 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sim", required=True)
    parser.add_argument("--mutant", action="append", default=[])
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()
    words = arguments.words
    if not words:
        many(arguments.sim, secrets.randbits(48), 1 << 40, SECONDS)
    elif words == ["mutations"]:
        mutations(arguments.mutant)
    elif len(words) == 1:
        sys.stdout.flush()
        os.execv(arguments.sim, [arguments.sim, words[0]])
    else:
        many(arguments.sim, int(words[0], 0), int(words[1], 0))


if __name__ == "__main__":
    main()
