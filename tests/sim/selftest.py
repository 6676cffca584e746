"""tests/sim/selftest.py [words]: what every pull request runs of the simulator.

A fixed set of seeds, fresh ones for a few seconds, the same traces from a build with other flags, and some of the broken
hubs, which must be found out. With words it runs only when `sim` is one of them. The last line is `sim: N passed, N failed`.
"""
import argparse
import concurrent.futures
import os
import secrets
import subprocess
import sys
import time

import run

FIXED = 300
FRESH_SECONDS = 10
HASHED = 20
passed = failed = 0


def say(right, sentence, output=""):
    global passed, failed
    passed, failed = passed + right, failed + (not right)
    print(f"{'passed' if right else 'FAILED'} sim: {sentence}" + (f"\n{output[-4000:]}" if output else ""), flush=True)


def hashes(program):
    done = subprocess.run([program, "1", str(HASHED), "hashes"], capture_output=True, text=True, errors="replace")
    return [line for line in done.stdout.splitlines() if line.startswith("0x")], done.stderr


def judge_many(program, sentence, first, count, seconds=None):
    started = time.monotonic()
    seeds, hours, found = run.run_batches(program, run.split(first, count), started + seconds if seconds else None)
    took = time.monotonic() - started
    say(not found and seeds > 0, f"{sentence} ({seeds} seeds, {seeds / took:.0f} a second, {hours:.2f} virtual hours)", found or "")


def judge_mutants(programs):
    mutants = [run.Mutant(program) for program in programs]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for mutant, (after, why) in zip(mutants, pool.map(run.Mutant.found_after, mutants)):
            say(after is not None, f"{mutant.what}: " + (f"found by seed {after} ({why[:110]})" if after else why))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sim", required=True)
    parser.add_argument("--sim-debug", required=True)
    parser.add_argument("--mutant", action="append", default=[])
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()
    if arguments.words and "sim" not in arguments.words:
        print("sim: 0 passed, 0 failed")
        return
    judge_many(arguments.sim, "nothing is found by the fixed seeds", 1, FIXED)
    first = secrets.randbits(48)
    judge_many(arguments.sim, f"nothing is found by fresh seeds, from {first:#x} on", first, 1 << 40, FRESH_SECONDS)
    left, wrong = hashes(arguments.sim)
    right, wrong_too = hashes(arguments.sim_debug)
    say(len(left) == HASHED and left == right, f"{HASHED} seeds leave the same trace in two build modes", wrong + wrong_too)
    judge_mutants(arguments.mutant)
    print(f"sim: {passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
