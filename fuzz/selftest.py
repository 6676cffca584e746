"""fuzz/selftest.py [words]: sees that the fuzz targets find nothing in the server, and what was put there to be found.

For each target: it builds; its committed corpus passes; so does a brief fuzzing from there; and each of its canaries
(fuzz/canaries) is found. With words it runs only when `fuzz` is one of them; the others pick targets. The last line is
`fuzz: N passed, N failed`; exit code 77 means skipped: there is no Clang with libFuzzer.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile
import threading

import fuzzing
import run

SECONDS = 5  # of fuzzing, a target
CANARY_SECONDS = 60  # until one counts as not found; most take one or two
saying = threading.Lock()


def say(outcome, sentence, output=""):
    with saying:
        print(f"{outcome} fuzz: {sentence}" + (f"\n{output}" if output else ""), flush=True)
    return outcome == "passed"


def finds_nothing(clang, program, sentence, arguments):
    done = subprocess.run([program, *arguments], env=run.environment(clang), capture_output=True, text=True, errors="replace")
    speed = re.search(r"average_exec_per_sec:\s*(\d+)", done.stderr)
    if done.returncode == 0:
        return say("passed", sentence + (f" ({speed[1]} executions/s)" if speed else ""))
    return say("FAILED", sentence, done.stderr[-6000:])


def replay(clang, build, target):
    inputs = sorted(map(str, fuzzing.corpus(target).iterdir()))
    left = [path for path in inputs if re.fullmatch(r"[0-9a-f]{40}", os.path.basename(path))]
    if left:  # libFuzzer's own name: nobody has chosen it
        return say("FAILED", f"{target}: fuzzing left {len(left)} inputs in the committed corpus, {left[0]} first; "
                   "take them out, and see `fuzz -- keep`")
    sentence = f"{target}: its {len(inputs)} committed inputs pass"
    return finds_nothing(clang, build.target(target), sentence, [*fuzzing.options(target), *inputs])


def briefly(clang, build, target):
    """What is found lies in zig-out/fuzz, and its text is printed."""
    run.FOUND.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        arguments = [*fuzzing.options(target), f"-artifact_prefix={run.FOUND}/{target}-", f"-max_total_time={SECONDS}",
                     "-print_final_stats=1", folder, str(fuzzing.corpus(target))]
        return finds_nothing(clang, build.target(target), f"{target}: {SECONDS} s of fuzzing find nothing", arguments)


def bites(clang, build, canary):
    seconds, why = run.run_canary(clang, build, canary, CANARY_SECONDS)
    sentence = f"{canary.target} finds that {canary.what}"
    return say("FAILED", sentence, why) if seconds is None else say("passed", f"{sentence} ({seconds:.1f} s: {why[:90]})")


def build_all(build, targets, canaries):
    """Everything is compiled before anything is timed."""
    build.shared()
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as several:
        jobs = [several.submit(build.target, name) for name in targets]
        for job in jobs:
            job.result()
        jobs = [several.submit(build.target, canary.target, canary) for canary in canaries]
        for job in jobs:
            job.result()


def main():
    words = sys.argv[1:]
    picked = [word for word in words if word != "fuzz"]
    targets = [name for name in fuzzing.targets() if all(word in name for word in picked)]
    if (words and "fuzz" not in words) or not targets:
        print("fuzz: 0 passed, 0 failed")
        return
    clang = fuzzing.tools.clang()
    if clang is None:
        sys.exit(77)
    canaries = [canary for canary in fuzzing.canaries() if canary.target in targets]
    build = fuzzing.Build(clang, fuzzing.FUZZING)
    build_all(build, targets, canaries)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as several:
        jobs = [several.submit(replay, clang, build, name) for name in targets]
        jobs += [several.submit(briefly, clang, build, name) for name in targets]
        jobs += [several.submit(bites, clang, build, canary) for canary in canaries]
        outcomes = [job.result() for job in jobs]
    for name in targets:  # a target that nothing was ever put in front of proves nothing
        outcomes.append(any(c.target == name for c in canaries) or say("FAILED", f"{name} has no canary"))
    print(f"fuzz: {sum(outcomes)} passed, {len(outcomes) - sum(outcomes)} failed")
    sys.exit(0 if all(outcomes) else 1)


if __name__ == "__main__":
    main()
