"""tests/tools/test.py: everything that a pull request must pass, in stages; `./zigw build test` builds the programs and calls it.

    test.py --unit-ubsan P --unit-release P --server-ubsan P --server-static P -- [words]

A stage is a program whose last line of the form `NAME: N passed, N failed` counts; its output is shown as it comes. Exit
code 77 means skipped, with a sentence, and is a failure with CI=true. Words pick tests: then only the stages that know
words run. The last line here adds up what really ran, and the exit code is 1 when something failed or nothing ran.
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import time

import tools

SKIPPED = 77
COUNTS = re.compile(r"^.*: (\d+) passed, (\d+) failed\s*$")


def stages(arguments):
    """(name, command, whether it takes words, seconds until it counts as stuck)"""
    here = tools.root() / "tests" / "tools"
    python = [sys.executable, "-B"]
    return [
        ("formatting", [*python, here / "format.py"], False, 300),
        ("include table", [*python, here / "layers.py"], False, 60),
        ("include table, its own test", [*python, here / "layers.py", "--self-test"], False, 60),
        ("README", [*python, here / "readme.py"], False, 60),
        ("README, its own test", [*python, here / "readme.py", "--self-test"], False, 60),
        ("every error", [*python, here / "errors.py"], False, 60),
        ("every error, its own test", [*python, here / "errors.py", "--self-test"], False, 60),
        ("threat list", [*python, here / "threats.py"], False, 60),
        ("threat list, its own test", [*python, here / "threats.py", "--self-test"], False, 60),
        ("unit tests, debug with UBSan", [arguments.unit_ubsan], True, 300),
        ("unit tests, release", [arguments.unit_release], True, 300),
        ("static release", [*python, here / "static.py", arguments.server_static], False, 60),
        ("end to end, debug with UBSan",
         [*python, tools.root() / "tests" / "e2e" / "run.py", "--binary", arguments.server_ubsan], True, 900),
        ("the judge of Autobahn's cases, its own test",
         [*python, tools.root() / "tests" / "conformance" / "selftest.py"], False, 60),
        ("Autobahn's cases, debug with UBSan",
         [*python, tools.root() / "tests" / "conformance" / "run.py", "--binary", arguments.server_ubsan],
         True, 3600 if arguments.words else 600),
        ("workers under churn, ThreadSanitizer",
         [*python, tools.root() / "tests" / "e2e" / "run.py", "--binary", arguments.server_tsan, "churn"], False, 300),
        ("the load client and the single measurements",
         [*python, tools.root() / "perf" / "selftest.py", "--bench", arguments.bench, "--micro", arguments.micro,
          "--server", arguments.server_ubsan], False, 300),
        ("the simulator, briefly",
         [*python, tools.root() / "tests" / "sim" / "selftest.py", "--sim", arguments.sim, "--sim-debug",
          arguments.sim_debug, *(word for mutant in arguments.sim_mutant for word in ("--mutant", mutant))], True, 300),
        ("fuzzing, briefly", [*python, tools.root() / "fuzz" / "selftest.py"], True, 900),
    ]


def run_stage(command, seconds):
    """(passed, failed, exit code); the counts are of the stage's last line that has them, None where no line has."""
    # A process group of its own: a stuck stage takes what it started with it.
    process = subprocess.Popen([str(word) for word in command], cwd=tools.root(), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(process.pid, signal.SIGKILL))
    signal.alarm(seconds)
    counts = None
    try:
        for line in process.stdout:
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
            found = COUNTS.match(line.decode(errors="replace"))
            counts = (int(found[1]), int(found[2])) if found else counts
        code = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    finally:
        signal.alarm(0)
    return counts, code


def judge(name, command, seconds, words):
    """(passed, failed) of one stage, with a sentence where its own output does not say all."""
    counts, code = run_stage(command, seconds)
    if code == SKIPPED and counts is None:
        return (0, 1) if tools.in_ci() else (0, 0)
    passed, failed = counts or (0, 0)
    if (passed, failed) == (0, 0) and words and counts and code in (0, 1):
        return 0, 0  # no test of this stage has these words
    if failed == 0 and (code != 0 or passed == 0):
        why = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        print(f"FAILED {name}: it {why} after {passed} passed tests", flush=True)
        failed = 1
    return passed, failed


def main():
    parser = argparse.ArgumentParser()
    for option in ("--unit-ubsan", "--unit-release", "--server-ubsan", "--server-static", "--server-tsan", "--bench", "--micro", "--sim",
                   "--sim-debug"):
        parser.add_argument(option, required=True, type=os.path.abspath)
    parser.add_argument("--sim-mutant", action="append", default=[], type=os.path.abspath)
    parser.add_argument("words", nargs="*")
    arguments = parser.parse_args()

    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    passed_in_all, failed_in_all, failed_stages = 0, 0, []
    for name, command, takes_words, seconds in stages(arguments):
        if arguments.words and not takes_words:
            continue
        print(f"\n== {name}", flush=True)
        started = time.monotonic()
        passed, failed = judge(name, [*command, *arguments.words], seconds, arguments.words)
        print(f"   {time.monotonic() - started:.1f} s", flush=True)
        passed_in_all += passed
        failed_in_all += failed
        failed_stages += [name] if failed else []

    print()
    if failed_stages:
        print("failed: " + "; ".join(failed_stages))
    elif passed_in_all == 0:
        print("no test ran" + (f": none has the words {' '.join(arguments.words)}" if arguments.words else ""))
    tools.bring.TOOLS.mkdir(exist_ok=True)
    verdict = f"{passed_in_all} passed, {failed_in_all} failed"
    (tools.bring.TOOLS / "last-test").write_text(verdict + "\n")  # zigw says it again below zig's own words
    print(verdict, flush=True)
    sys.exit(1 if failed_in_all or passed_in_all == 0 else 0)


if __name__ == "__main__":
    main()
