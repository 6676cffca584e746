"""tests/conformance/run.py --binary PATH [words...]: Autobahn's cases against the server's echo room, every one strict.

Without words the sample that a pull request must pass: groups 1 to 10, and every tenth case of 12 and 13. With the word
`conformance` all cases; further words are groups or cases: `conformance 9`, `conformance 12.3 7.1.5`. Other words
pick no case. `--url` tests a server that runs already.

Each case counts as a test. It passes when Autobahn calls both its messages and its close OK; NON-STRICT is a failure. Then
come the checks of closing.py. The last line is `conformance: N passed, N failed`; exit code 77 means that the client cannot
be had.
"""
import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import random
import subprocess
import sys
import time
import urllib.parse

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER), str(FOLDER.parent / "e2e"), str(FOLDER.parent / "tools")]
sys.dont_write_bytecode = True
import closing  # noqa: E402
import harness  # noqa: E402
import tools  # noqa: E402
import verdict  # noqa: E402

WORD = "conformance"
SKIPPED = 77
# Autobahn ends a case at a ping that it did not ask for, so the server asks for no sign of life.
SERVER_OPTIONS = ("--dev", "--enable-echo", "--echo-deflate", "--ping", "1h")
CASES_AT_ONCE = 4  # of one part; they mostly wait
PART_SECONDS = 900


def run_part(part, url, client_path):
    """(part, verdicts, seconds, what the client said at the end when it gave too few)"""
    started = time.monotonic()
    command = [sys.executable, str(FOLDER / "client.py"), url, str(CASES_AT_ONCE), *part.patterns]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": client_path}, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        output, errors = process.communicate(timeout=PART_SECONDS)
        last_words = f"{errors}the client ended with exit code {process.returncode}"
    except subprocess.TimeoutExpired:
        process.kill()
        output, errors = process.communicate()
        last_words = f"{errors}the client was not done after {PART_SECONDS} s"
    return part, [json.loads(line) for line in output.splitlines()], time.monotonic() - started, last_words


def run_cases(chosen, url, client_path, jobs):
    tally = verdict.Tally()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for future in concurrent.futures.as_completed([pool.submit(run_part, part, url, client_path) for part in chosen]):
            part, verdicts, seconds, last_words = future.result()
            tally.add(part, verdicts, seconds, last_words)
            print(f"{len(verdicts):4} cases in {seconds:5.1f} s: {' '.join(part.patterns)}", flush=True)
    return tally


def run_closing(port):
    """(passed, failed)"""
    outcomes = list(closing.check(port))
    for sentence, why in outcomes:
        print(f"passed  {sentence}" if why is None else f"FAILED  {sentence}: {why}", flush=True)
    failed = sum(why is not None for _, why in outcomes)
    return len(outcomes) - failed, failed


@contextlib.contextmanager
def serving(arguments):
    """The port of a server: our own for as long as the block takes, or the one at --url."""
    if arguments.url:
        yield urllib.parse.urlsplit(arguments.url).port, arguments.url
        return
    harness.next_port = random.randrange(12000, 32000)
    with harness.Server(*SERVER_OPTIONS) as server:
        yield server.port, f"ws://127.0.0.1:{server.port}{closing.PATH}"


def run_all(arguments, chosen, client_path):
    """(passed, failed)"""
    passed = failed = 0
    try:
        with serving(arguments) as (port, url):
            tally = run_cases(chosen, url, client_path, arguments.jobs)
            print("\n".join([*tally.explanations(), *tally.table()]), flush=True)
            passed, failed = run_closing(port)
            passed, failed = passed + tally.passed(), failed + tally.failed()
    except AssertionError as why:  # the server did not start, ended, or complained
        print(f"FAILED  the server: {why}")
        failed += 1
    return passed, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", help="the ringcast to test")
    parser.add_argument("--url", help="a server that runs already: ws://127.0.0.1:PORT/PATH")
    parser.add_argument("--jobs", type=int, default=max(2, os.cpu_count() or 2), help="clients at once")
    parser.add_argument("words", nargs="*", help=f"`{WORD}` for all cases, or `{WORD}` and groups or cases")
    arguments = parser.parse_args()
    if not arguments.url and not os.access(arguments.binary or "", os.X_OK):
        sys.exit("a server is needed: --binary PATH of a built ringcast, or --url")
    os.environ["E2E_BINARY"] = str(pathlib.Path(arguments.binary or "").resolve())
    prefixes = [word for word in arguments.words if word != WORD]
    chosen = verdict.parts(WORD in arguments.words, prefixes) if WORD in arguments.words or not arguments.words else []
    passed = failed = 0
    if chosen:
        client_path = tools.kosoku_path()
        if client_path is None:
            sys.exit(SKIPPED)
        passed, failed = run_all(arguments, chosen, client_path)
    print(f"conformance: {passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
