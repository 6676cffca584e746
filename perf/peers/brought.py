"""perf/peers/brought.py: the peers' runtimes and packages: pinned, brought once into .tools/ by the ordinary
clients (npm, go, cargo), and checked against hashes that are in the repository.

What cannot be had raises bring.Missing with a sentence; its peer is then left out.
"""
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "tools"))
import tools  # noqa: E402
from tools import bring  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
BUN_VERSION = "1.4.5"
BUN_SHA512 = {  # npm's dist.integrity; npm's `bun` itself would only choose among these
    "@oven/bun-linux-x64": "IWX9BELoGHAUtMonkeSaNaZwXzRk+oDw6Mk+HBFXd3KHYIBNBsIGRupMZPcgNoDbJpLu6gAJjIoIVPZtt1aJ1g==",
    "@oven/bun-linux-x64-baseline":
        "s8yMwYcFnnrA178gji0gZbkE2WVDej/Ti1x770oPfihxyRxSMNhGhiAQNXV53aDeraZxksdvKV/RAdQBCd0qPA==",
    "@oven/bun-linux-aarch64":
        "4BXmsSKnjOrlGWqZV4x/oWa7AVoR+B6lCXddMzOAXBIm3t50eslg9wb66gmtW1AamEQ1l1CDvmmruysEhqOWMg==",
}
CARGO_MINOR_MIN = 85


def said_by(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def gorilla():
    """(program, version)"""
    program = tools.go_program(HERE / "gorilla")
    go = said_by((tools.machine_go() or tools.brought_go())[0], "version").removeprefix("go version go").split()[0]
    return str(program), f"gorilla/websocket 1.5.3, Go {go}"


def node():
    """(program, environment, version)"""
    program, modules = tools.find_node()
    return program, {"NODE_PATH": modules}, f"ws {tools.WS_VERSION}, Node {said_by(program, '--version')[1:]}"


def bun_package():
    if platform.machine() == "aarch64":
        return "@oven/bun-linux-aarch64"
    if platform.machine() != "x86_64":
        raise bring.Missing(f"there is no Bun for {platform.machine()}.")
    has_avx2 = "avx2" in pathlib.Path("/proc/cpuinfo").read_text().split()
    return "@oven/bun-linux-x64" if has_avx2 else "@oven/bun-linux-x64-baseline"


def bun():
    """(program, version)"""
    _, npm = tools.machine_node() or tools.brought_node()
    package = bun_package()
    program = tools.npm_folder(npm, package, BUN_VERSION, BUN_SHA512[package]) / package / "bin" / "bun"
    if said_by(str(program), "--version") != BUN_VERSION:
        raise bring.Missing(f"{package} does not run here.")
    return str(program), f"Bun {BUN_VERSION}"


def write_lock(work, environment):
    """Cargo.lock as rust/crates.lock pins it. That one lacks where the packages come from, which Cargo says
    itself, in the lock that it would make."""
    command = ["cargo", "generate-lockfile", "--quiet"]
    if subprocess.run(command, cwd=work, env=environment, stdout=sys.stderr).returncode != 0:
        raise bring.Missing("Cargo could not find the packages of perf/peers/rust (its own words are above).")
    sources = {line for line in (work / "Cargo.lock").read_text().splitlines() if line.startswith("source = ")}
    if len(sources) != 1:
        raise bring.Missing("Cargo would take the packages of perf/peers/rust from several places.")
    pinned = (work / "crates.lock").read_text()
    (work / "Cargo.lock").write_text(pinned.replace("\nchecksum = ", f"\n{sources.pop()}\nchecksum = "))


def build_rust(folder):
    work = bring.partial()
    home, own = bring.TOOLS / "cargo", pathlib.Path(os.environ.get("CARGO_HOME", "~/.cargo")).expanduser()
    home.mkdir(exist_ok=True)
    for settings in own.glob("config*"):  # where this machine takes packages from
        shutil.copy(settings, home)
    environment = {**os.environ, "CARGO_HOME": str(home), "CARGO_TARGET_DIR": str(work / "target"), "RUSTFLAGS": ""}
    if "RUSTUP_HOME" not in environment and (own.parent / ".rustup").exists():
        environment["RUSTUP_HOME"] = str(own.parent / ".rustup")
    try:
        shutil.copytree(HERE / "rust", work, dirs_exist_ok=True)
        write_lock(work, environment)
        command = ["cargo", "build", "--release", "--locked", "--quiet"]
        if subprocess.run(command, cwd=work, env=environment, stdout=sys.stderr).returncode != 0:
            raise bring.Missing("Cargo could not build perf/peers/rust (its own words are above).")
        folder.mkdir(exist_ok=True)
        os.rename(work / "target" / "release" / "peer", folder / "peer")
    finally:
        shutil.rmtree(work)


def rust():
    """(program, version)"""
    version = said_by("cargo", "--version").split()[1:2] if shutil.which("cargo") else []
    if not version or int(version[0].split(".")[1]) < CARGO_MINOR_MIN:
        raise bring.Missing(f"Rust's cargo, 1.{CARGO_MINOR_MIN} or newer, is not on this machine.")
    files = sorted(path for path in (HERE / "rust").rglob("*") if path.is_file())
    mark = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    program = bring.TOOLS / f"rust-{mark}" / "peer"
    if not program.exists():
        with bring.locked():
            if not program.exists():
                bring.say("ringcast: building the program of perf/peers/rust into .tools/ (once)")
                build_rust(program.parent)
    return str(program), f"tokio-tungstenite 0.30.0, Rust {version[0]}"
