"""tests/sim/selftest.py [words]: what every pull request runs of the simulator.

A fixed set of seeds, and the same traces from a build with other flags. With words it runs only when `sim` is one of them.
The last line is `sim: N passed, N failed`.
"""
import argparse
import subprocess
import sys
import time

import run

FIXED = 300
HASHED = 20
passed = failed = 0


def say(right, sentence, output=""):
    global passed, failed
    passed, failed = passed + right, failed + (not right)
    print(f"{'passed' if right else 'FAILED'} sim: {sentence}" + (f"\n{output[-4000:]}" if output else ""), flush=True)


def hashes(program):
    done = subprocess.run([program, "1", str(HASHED), "hashes"], capture_output=True, text=True, errors="replace")
    return [line for line in done.stdout.splitlines() if line.startswith("0x")], done.stderr


def judge_many(program, sentence, batches, until=None):
    started = time.monotonic()
    seeds, hours, found = run.run_batches(program, batches, until)
    took = time.monotonic() - started
    say(not found, f"{sentence} ({seeds} seeds, {seeds / took:.0f} a second, {hours:.2f} virtual hours)", found or "")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sim", required=True)
    parser.add_argument("--sim-debug", required=True)
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()
    if arguments.words and "sim" not in arguments.words:
        print("sim: 0 passed, 0 failed")
        return
    judge_many(arguments.sim, "nothing is found by the fixed seeds", run.split(1, FIXED))
    left, wrong = hashes(arguments.sim)
    right, wrong_too = hashes(arguments.sim_debug)
    say(len(left) == HASHED and left == right, f"{HASHED} seeds leave the same trace in two build modes", wrong + wrong_too)
    print(f"sim: {passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
