"""fuzz/fuzzing.py: builds fuzz targets with Clang, for run.py and selftest.py.

A target is a file of this folder that defines LLVMFuzzerTestOneInput; every other C file here helps any target that
uses it. All of them share one archive of the server's files that are neither the kernel's edge nor the hub. What is
built lies in .zig-cache/fuzz/, one folder for each set of flags, and is built again when a file or a header changes.
"""
import concurrent.futures
import dataclasses
import hashlib
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = ROOT / "fuzz"
CACHE = ROOT / ".zig-cache" / "fuzz"
sys.path.insert(0, str(ROOT / "tests" / "tools"))
import tools  # noqa: E402

LAYERS = ("base", "http", "ws", "auth", "outbox", "conn", "room", "game")
LIBRARIES = ("bearssl", "yyjson", "zlib")  # those of vendor/ that these layers use
FROM_THE_HUB = ("src/hub/config.c",)  # what of it is a parser
SHARED_WITH_TESTS = ("tests/unit/ws_listener.c",)
UNTRACED = ["-fno-sanitize=fuzzer-no-link"]  # for them: their loops over bytes teach the fuzzer nothing, and take its time

OURS = ["-std=c23", "-D_GNU_SOURCE", "-UNDEBUG", "-Wall", "-Wextra", "-Wshadow", "-Wvla", "-Werror", "-Wno-unused-command-line-argument", "-g",
        "-fno-omit-frame-pointer", '-DRINGCAST_VERSION="fuzz"', "-iquote", "src", "-iquote", "tests", "-iquote", "fuzz"]
FUZZING = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fsanitize=fuzzer-no-link"]
LIBRARIES_FUZZED = ["-fsanitize=address", "-fsanitize=fuzzer-no-link"]  # theirs is not ours to judge by UBSan
COVERAGE = ["-O1", "-fprofile-instr-generate", "-fcoverage-mapping", "-fsanitize=fuzzer-no-link"]

# The longest inputs, in bytes: where a short one shows as much, it shows it sooner.
LENGTHS = {"ws_reader": 512, "base_utf8": 256, "http_target": 256, "http_extension": 256, "http_proxy": 512, "http_forwarded": 256,
           "ws_deflate": 1024, "base_base64": 256, "base_json": 1024, "auth_jwt": 1024, "game_avalon": 1024, "game_lobby": 1024,
           "http_query": 512, "base_plain": 256, "base_address": 128}
LENGTH = 2048


def targets():
    """The names of all targets."""
    return sorted(path.stem for path in HERE.glob("*.c") if "LLVMFuzzerTestOneInput" in path.read_text())


def corpus(target):
    return HERE / "corpus" / target


def options(target):
    """What every run of a target gives libFuzzer."""
    path = HERE / "dictionaries" / f"{target}.dict"
    dictionary = [f"-dict={path}"] if path.exists() else []
    # Inputs that take long are mutated less often: a large message costs as much as a hundred small ones.
    return [f"-max_len={LENGTHS.get(target, LENGTH)}", "-timeout=30", "-entropic_scale_per_exec_time=1", *dictionary]


# ---- canaries: the thing under test, broken on purpose


@dataclasses.dataclass
class Canary:
    """fuzz/canaries/TARGET.NAME.txt: `file:` and `what:` lines, `---`, text that the file has once, `+++`, its replacement."""

    name: str
    target: str
    file: str
    what: str
    old: str
    new: str

    def source(self):
        """The broken file, written into the cache. Fails loudly when the text is no longer there."""
        text = (ROOT / self.file).read_text()
        if text.count(self.old) != 1:
            raise SystemExit(f"FAILED fuzz/canaries/{self.name}.txt: {self.file} holds its text {text.count(self.old)} times, "
                             "wanted once: say anew what to break.")
        path = CACHE / "canaries" / self.name / self.file
        path.parent.mkdir(parents=True, exist_ok=True)
        broken = text.replace(self.old, self.new)
        if not path.exists() or path.read_text() != broken:
            path.write_text(broken)
        return path


def canaries(target=None):
    for path in sorted((HERE / "canaries").glob("*.txt")):
        head, rest = path.read_text().split("\n---\n")
        old, new = rest.split("\n+++\n")
        field = dict(line.split(": ", 1) for line in head.splitlines())
        canary = Canary(path.stem, path.stem.split(".")[0], field["file"], field["what"], old, new.removesuffix("\n"))
        if target in (None, canary.target):
            yield canary


# ---- building


class Build:
    """Everything that is compiled with one set of flags."""

    def __init__(self, clang, flags):
        self.clang, self.flags = clang, [*OURS, *flags]
        self.link_flags = [*flags, "-fsanitize=fuzzer"]
        key = hashlib.sha256(repr((self.flags, str(clang))).encode()).hexdigest()[:8]
        self.folder = CACHE / f"build-{key}"
        self.environment = {**os.environ, **clang.environment}
        ours = (ROOT / "src").rglob("*.h")
        test_headers = [*(ROOT / "tests").glob("*.h"), *HERE.glob("*.h")]
        self.newest_header = max(path.stat().st_mtime_ns for path in ours)
        self.newest_test_header = max(self.newest_header, *(path.stat().st_mtime_ns for path in test_headers))
        self.includes, self.libraries = self.library_sources(LIBRARIES_FUZZED if flags is FUZZING else [])
        self.archive, self.newest_shared = None, 0

    @staticmethod
    def library_sources(more):
        """(flags for every file, [(source, flags)])"""
        includes, sources = [], []
        for pin in tools.bring.libraries():
            if pin["name"] not in LIBRARIES:
                continue
            folder = tools.bring.source_folder(pin)
            zon = (ROOT / "vendor" / pin["name"] / "library.zon").read_text()
            lists = {name: re.findall(r'"([^"]*)"', body) for name, body in re.findall(r"\.(\w+) = \.\{(.*?)\}", zon, re.S)}
            own = ["-isystem", str(folder / pin["include"])]
            own += ["-isystem", str(ROOT / pin["generated"])] if "generated" in pin else []
            includes += own
            private = ["-isystem", str(folder / pin["private"])] if "private" in pin else []
            flags = ["-std=gnu11", "-w", "-O2", "-g", *more, *own, *private, *lists.get("flags", [])]
            sources += [(folder / name, flags) for name in lists["files"]]
        return includes, sources

    def command(self, *arguments):
        done = subprocess.run([str(self.clang.folder / "clang"), *self.clang.flags, *map(str, arguments)], cwd=ROOT,
                              env=self.environment, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, stdout=subprocess.PIPE)
        if done.returncode != 0:
            raise SystemExit(f"FAILED clang {' '.join(map(str, arguments))}\n{done.stdout.decode(errors='replace')}")

    def compile(self, source, flags=None):
        """The object file of a source, made when it is older than the source or any header that it may include."""
        path = pathlib.Path(source)
        name = str(path.relative_to(ROOT) if path.is_absolute() else path)
        made = self.folder / (name.replace("/", "_") + ".o")
        newest = (ROOT / path).stat().st_mtime_ns
        if flags is None:  # else it is a library's
            flags = [*self.flags, *self.includes, *(UNTRACED if name in SHARED_WITH_TESTS else [])]
            newest = max(newest, self.newest_header if name.startswith("src/") else self.newest_test_header)
        if not made.exists() or made.stat().st_mtime_ns < newest:
            made.parent.mkdir(parents=True, exist_ok=True)
            self.command(*flags, "-c", name, "-o", made)
        return made

    def compile_all(self, sources):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as several:
            return list(several.map(lambda source: self.compile(*source), sources))

    def shared(self):
        """The objects that every target may use, in one archive, so that each links only what it uses."""
        if self.archive is None:
            mains = set(targets())
            ours = [path.relative_to(ROOT) for layer in LAYERS for path in sorted((ROOT / "src" / layer).glob("*.c"))]
            ours += [path.relative_to(ROOT) for path in sorted(HERE.glob("*.c")) if path.stem not in mains]
            ours += map(pathlib.Path, FROM_THE_HUB + SHARED_WITH_TESTS)
            objects = self.compile_all([*((path, None) for path in ours), *self.libraries])
            self.newest_shared = max(path.stat().st_mtime_ns for path in objects)
            self.archive = self.folder / "shared.a"
            self.archive.unlink(missing_ok=True)
            subprocess.run([str(self.clang.folder / "llvm-ar"), "rcs", str(self.archive), *map(str, objects)], check=True,
                           env=self.environment)
        return self.archive

    def target(self, name, canary=None):
        """The program of a target; with a canary, the same around a broken part of the server."""
        archive = self.shared()
        objects = [self.compile(f"fuzz/{name}.c")]
        if canary is not None:  # found before the archive's own
            objects.append(self.compile(canary.source()))
        program = self.folder / (canary.name if canary else name)
        # Other targets' objects and canaries' do not matter: a program must not be linked again while it runs.
        newest = max(self.newest_shared, *(path.stat().st_mtime_ns for path in objects))
        if not program.exists() or program.stat().st_mtime_ns < newest:
            self.command(*self.link_flags, *objects, archive, "-o", program)
        return program
