"""tests/e2e/run.py --binary PATH [words...]: runs the end-to-end tests against the real binary.

Without words all of them, else those whose file, name or sentence holds each word. Every test runs
in a process of its own, on ports of its own, several at once; those marked `alone` run after the
others, one by one, because they load the machine or measure time finely. What a test started is
ended with it. One line each, then `e2e: N passed, N failed`; the exit code is 1 when one failed or
none ran.
"""
import argparse
import concurrent.futures
import contextlib
import importlib
import inspect
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import threading
import time

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))
sys.dont_write_bytecode = True
import harness  # noqa: E402

TEST_SECONDS = 60
TRIES = 4
STALL_SECONDS = 0.020
SKIPPED = 77


class Test:
    def __init__(self, module, name, function):
        self.module, self.name = module, name
        self.sentence = " ".join((function.__doc__ or "").split())
        self.is_alone = getattr(function, "alone", False)
        self.brings = getattr(function, "brings", None)
        assert self.sentence, f"{module}.{name} has no sentence"

    def is_wanted(self, words):
        return all(any(word in text for text in (self.module, self.name, self.sentence))
                   for word in words)


def bring_tools(tests):
    """What tests need and the machine has not; the first time that may take longer than a test may. What
    cannot be had is told by those who need it."""
    for bring in dict.fromkeys(test.brings for test in tests if test.brings is not None):
        with contextlib.suppress(SystemExit):
            bring()


def find_tests(words):
    tests = []
    for path in sorted(FOLDER.glob("test_*.py")):
        module = importlib.import_module(path.stem)
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("test_") and function.__module__ == path.stem:
                tests.append(Test(path.stem, name, function))
    return [test for test in tests if test.is_wanted(words)]


def run_one(module, name):
    """In the test's own process."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        getattr(importlib.import_module(module), name)()
    except harness.Skip as why:
        print(why)
        sys.exit(SKIPPED)


def end_group(process):
    """The test and whatever it left behind."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def run_test(test, binary, ports):
    """(outcome, seconds, output)"""
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, str(FOLDER / "run.py"), "--binary", binary, "--one", test.module, test.name],
        env=os.environ | {"E2E_PORTS": str(ports)}, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output = process.communicate(timeout=TEST_SECONDS)[0].decode(errors="replace")
        outcome = {0: "passed", SKIPPED: "skipped"}.get(process.returncode, "FAILED")
    except subprocess.TimeoutExpired:
        output, outcome = f"not over after {TEST_SECONDS} s\n", "FAILED"
    finally:
        end_group(process)
    return outcome, time.monotonic() - start, output


def tell(test, outcome, seconds, output):
    print(f"{outcome:7} {seconds:5.1f} s  {test.module}: {test.sentence}", flush=True)
    if outcome != "passed":
        print("".join(f"    {line}\n" for line in output.splitlines()[-60:]), end="", flush=True)
    return outcome


def stall():
    """Notes how much longer than asked a short sleep takes, until told to end: on a machine that is
    shared, the host may take the cores away for tens of milliseconds, and no test of time can tell that
    from a slow server."""
    worst, ended = [0.0], threading.Event()

    def watch():
        while not ended.is_set():
            start = time.monotonic()
            time.sleep(0.005)
            worst[0] = max(worst[0], time.monotonic() - start - 0.005)

    threading.Thread(target=watch, daemon=True).start()
    return worst, ended


def run_again(test, binary, ports):
    """A test that failed is run alone, and once more for each time that the machine itself stood still
    meanwhile; what fails on a machine that runs has failed."""
    for attempt in range(2, TRIES + 1):
        worst, ended = stall()
        outcome, seconds, output = run_test(test, binary, ports)
        ended.set()
        if outcome != "FAILED":
            print(f"{test.module}.{test.name}: passed when it was run alone (try {attempt})", flush=True)
            return outcome, seconds, output
        if worst[0] < STALL_SECONDS:
            break
        print(f"{test.module}.{test.name}: failed while the machine stood still for "
              f"{worst[0] * 1000:.0f} ms (try {attempt})", flush=True)
    return outcome, seconds, output


def run_all(tests, binary, jobs):
    # A range of ports is used again when its test is long over.
    ranges = min(len(tests), 150)
    first = random.randrange(12000, 32000 - harness.PORTS_EACH * ranges)
    ports = {test: first + harness.PORTS_EACH * (index % ranges) for index, test in enumerate(tests)}
    outcomes, failures = [], []

    def note(test, result):
        if result[0] == "FAILED":
            failures.append(test)
            print(f"failed  {result[1]:5.1f} s  {test.module}: {test.sentence}; it is run again, alone",
                  flush=True)
            print("".join(f"    {line}\n" for line in result[2].splitlines()[-40:]), end="", flush=True)
        else:
            outcomes.append(tell(test, *result))

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(run_test, test, binary, ports[test]): test
                   for test in tests if not test.is_alone}
        for future in concurrent.futures.as_completed(running):
            note(running[future], future.result())
    for test in tests:
        if test.is_alone:
            note(test, run_test(test, binary, ports[test]))
    for test in failures:
        outcomes.append(tell(test, *run_again(test, binary, ports[test])))
    return outcomes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", required=True, help="the ringcast to test")
    parser.add_argument("--jobs", type=int, default=6, help="tests at once (6)")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("words", nargs="*", help="only tests that hold each of these words")
    arguments = parser.parse_args()
    binary = os.environ["E2E_BINARY"] = str(pathlib.Path(arguments.binary).resolve())
    if arguments.one:
        return run_one(*arguments.one)
    if not os.access(binary, os.X_OK):
        sys.exit(f"{binary} is not there: build it first.")
    tests = find_tests(arguments.words)
    bring_tools(tests)
    outcomes = run_all(tests, binary, arguments.jobs)
    skipped, failed = outcomes.count("skipped"), outcomes.count("FAILED")
    if skipped:
        print(f"e2e: {skipped} skipped")
    print(f"e2e: {outcomes.count('passed')} passed, {failed} failed")
    sys.exit(1 if failed or not outcomes.count("passed") else 0)


if __name__ == "__main__":
    main()
