"""fuzz/run.py: builds and runs one fuzz target; `./zigw build fuzz -- ...` calls it. See README.md beside it.

    TARGET [LIBFUZZER ARGUMENTS]   fuzzes until something is found, or Ctrl-C (-max_total_time=60, -runs=100000)
    TARGET FILE...                 runs these inputs only: a crash, again
    canary TARGET                  fuzzes its broken builds, which must be found
    coverage [TARGET...]           what the committed corpus reaches, and how fast
    keep TARGET                    adds what was found to the committed corpus, as far as it reaches more
"""
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import fuzzing

FOUND = fuzzing.ROOT / "zig-out" / "fuzz"


def environment(clang):
    options = {"ASAN_OPTIONS": "quarantine_size_mb=16:malloc_context_size=8:detect_stack_use_after_return=1",
               "UBSAN_OPTIONS": "print_stacktrace=1"}
    return {**options, **os.environ, **clang.environment}


def own_corpus(target):
    """What this machine has found; not committed."""
    folder = fuzzing.CACHE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def folders(target):
    return [str(own_corpus(target)), *([str(fuzzing.corpus(target))] if fuzzing.corpus(target).exists() else [])]


def fuzz(clang, target, arguments):
    """Becomes the target, so that signals and the exit code are its own."""
    program = fuzzing.Build(clang, fuzzing.FUZZING).target(target)
    FOUND.mkdir(parents=True, exist_ok=True)
    files = [word for word in arguments if not word.startswith("-")]
    command = [str(program), *fuzzing.options(target), f"-artifact_prefix={FOUND}/{target}-", "-print_final_stats=1",
               *arguments, *([] if files else folders(target))]
    os.execve(command[0], command, environment(clang))


def run_canary(clang, build, canary, seconds):
    """(seconds until it was found, or None; the reason in one line)"""
    program = build.target(canary.target, canary)
    with tempfile.TemporaryDirectory() as folder:
        command = [str(program), *fuzzing.options(canary.target), f"-artifact_prefix={folder}/",
                   f"-max_total_time={seconds}", folder, str(fuzzing.corpus(canary.target))]
        started = time.monotonic()
        done = subprocess.run(command, env=environment(clang), capture_output=True, text=True, errors="replace")
        took = time.monotonic() - started
        if done.returncode == 0:
            return None, f"not found in {seconds} s"
        why = re.search(r"^(?:MUST: .*|.*Assertion.*|.*runtime error.*|SUMMARY: .*)$", done.stderr, re.M)
        return took, why[0].strip() if why else f"exit code {done.returncode}: {done.stderr.strip()[-300:]}"


def canary(clang, target):
    build = fuzzing.Build(clang, fuzzing.FUZZING)
    missed = 0
    for one in fuzzing.canaries(target):
        seconds, why = run_canary(clang, build, one, 60)
        missed += seconds is None
        print(f"{one.name} ({one.what}): " + (why if seconds is None else f"found after {seconds:.1f} s: {why}"), flush=True)
    sys.exit(1 if missed else 0)


def coverage(clang, names):
    build = fuzzing.Build(clang, fuzzing.COVERAGE)
    fast = fuzzing.Build(clang, fuzzing.FUZZING)
    for name in names:
        program, folder = build.target(name), build.folder
        inputs = sorted(map(str, fuzzing.corpus(name).iterdir()))
        raw, data = folder / f"{name}.profraw", folder / f"{name}.profdata"
        subprocess.run([program, *inputs], env={**environment(clang), "LLVM_PROFILE_FILE": str(raw)}, check=True,
                       capture_output=True)
        subprocess.run([clang.folder / "llvm-profdata", "merge", raw, "-o", data], env=environment(clang), check=True)
        with tempfile.TemporaryDirectory() as scratch:
            said = subprocess.run([fast.target(name), "-seed=1", "-max_total_time=5", "-print_final_stats=1",
                                   *fuzzing.options(name), scratch, str(fuzzing.corpus(name))],
                                  env=environment(clang), capture_output=True, text=True, errors="replace").stderr
        speed = re.search(r"average_exec_per_sec:\s*(\d+)", said)
        reached = re.findall(r"cov: (\d+) ft: (\d+)", said)
        print(f"\n{name}: {len(inputs)} inputs; {speed[1] if speed else '?'} executions/s; "
              f"cov {reached[-1][0] if reached else '?'}, ft {reached[-1][1] if reached else '?'}", flush=True)
        report(clang, program, data)


def report(clang, program, data):
    """One line a source file of ours that the target is about: lines and branches reached."""
    said = subprocess.run([clang.folder / "llvm-cov", "report", program, f"-instr-profile={data}", fuzzing.ROOT / "src"],
                          env=environment(clang), capture_output=True, text=True, check=True).stdout
    for line in said.splitlines():
        words = line.split()
        if len(words) == 13 and words[0].endswith(".c") and words[9] != "0.00%":
            print(f"  {words[0]:24} lines {words[9]:>8}   branches {words[12]:>8}")


def keep(clang, target):
    """Only what reaches code that nothing else reaches; how often it does so would keep thousands."""
    program = fuzzing.Build(clang, fuzzing.FUZZING).target(target)
    committed = fuzzing.corpus(target)
    committed.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        merged = pathlib.Path(folder) / "merged"
        shutil.copytree(committed, merged)
        command = [program, "-merge=1", "-use_counters=0", *fuzzing.options(target), str(merged), str(own_corpus(target))]
        subprocess.run(command, env=environment(clang), check=True, capture_output=True)
        kept = {path.name for path in committed.iterdir()}
        for path in merged.iterdir():
            if path.name not in kept:
                name = "found-" + hashlib.sha256(path.read_bytes()).hexdigest()[:12]
                shutil.copy(path, committed / name)
    print(f"{committed.relative_to(fuzzing.ROOT)}: {len(list(committed.iterdir()))} inputs, "
          f"{sum(path.stat().st_size for path in committed.iterdir())} bytes")


def main():
    words = sys.argv[1:]
    names = fuzzing.targets()
    verb = words[0] if words and words[0] in ("canary", "coverage", "keep") else None
    wanted = words[1:] if verb else words[:1]
    if not words or (verb != "coverage" and len(wanted) != 1) or any(name not in names for name in wanted):
        sys.exit(f"{__doc__}\nThe targets: {' '.join(names)}")
    clang = fuzzing.tools.clang()
    if clang is None:
        sys.exit(1)
    if verb == "canary":
        canary(clang, wanted[0])
    elif verb == "coverage":
        coverage(clang, wanted or names)
    elif verb == "keep":
        keep(clang, wanted[0])
    else:
        fuzz(clang, words[0], words[1:])


if __name__ == "__main__":
    main()
