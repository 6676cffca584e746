"""vendor/bring.py: brings what the build needs and the repository does not hold, once, into .tools/.

    python3 vendor/bring.py zig        the pinned Zig, from PyPI
    python3 vendor/bring.py sources    every library pinned in vendor/*/library.zon

What is there already is left alone, so a second build asks no network. Everything is checked against a pinned
SHA-256, is made in a temporary folder and renamed when complete, so an interrupted run is simply run again.
The machine's own pip and apt settings decide where things come from; no host is named here.
tests/tools/tools.py uses `pip_folder` for the tests' own tools.
"""
import fcntl
import glob
import hashlib
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

ZIG_VERSION = "0.15.2"
ZIG_HASHES = (  # x86_64, aarch64
    "806316453d1ede7174ed3fefb8e5348154629089c3bb5fe812dfd0e172fac130",
    "edc0aa60ec964a4cf462d40f68d7de242ddf37fd9a80f2afaee6397059463230",
)


class Missing(Exception):
    """Something cannot be had. The text is one sentence with the remedy."""


def say(text):
    print(text, file=sys.stderr, flush=True)


class locked:
    """One process at a time changes .tools/; a second one waits, and then finds the work done."""

    def __enter__(self):
        TOOLS.mkdir(exist_ok=True)
        self.file = open(TOOLS / "lock", "w")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        for left_over in TOOLS.glob("partial-*"):  # by a run that was interrupted
            shutil.rmtree(left_over, ignore_errors=True)

    def __exit__(self, *_):
        self.file.close()


def partial():
    return pathlib.Path(tempfile.mkdtemp(prefix="partial-", dir=TOOLS))


# ---- PyPI


def pip_folder(name, version, hashes):
    """The folder that holds the PyPI package, installed when it is not there yet."""
    folder = TOOLS / f"{name}-{version}"
    if folder.exists():
        return folder
    with locked():
        if folder.exists():
            return folder
        say(f"ringcast: bringing {name} {version} into .tools/ (once)")
        work = partial()
        pins = work / "requirements.txt"
        pins.write_text(" ".join([f"{name}=={version}", *(f"--hash=sha256:{h}" for h in hashes)]) + "\n")
        quiet = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore"}  # its advice is for another kind of install
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--target", str(work / "new")]
        command += ["--no-deps", "--no-compile", "--only-binary", ":all:", "--require-hashes", "-r", str(pins)]
        if subprocess.run(command, stdout=sys.stderr, stdin=subprocess.DEVNULL, env=quiet).returncode != 0:
            have_pip = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0
            shutil.rmtree(work)
            if not have_pip:
                raise Missing(f"{name} comes by pip, which python3 lacks here: apt-get install python3-pip, then run this again.")
            raise Missing(f"{name} {version} could not be installed by pip (its own words are above): mend that and run this again.")
        os.rename(work / "new", folder)
        shutil.rmtree(work)
    return folder


def zig():
    """The path of the pinned zig."""
    return pip_folder("ziglang", ZIG_VERSION, ZIG_HASHES) / "ziglang" / "zig"


# ---- the distribution's source packages


def libraries():
    """One dictionary for each vendor/*/library.zon: its text fields (.name, .version, .package, .suite, .tarball, .sha256)."""
    for path in sorted((ROOT / "vendor").glob("*/library.zon")):
        yield dict(re.findall(r'^    \.(\w+) = "([^"]*)",', path.read_text(), re.M))


def source_folder(library):
    return TOOLS / "src" / f"{library['name']}-{library['version']}"


def mirrors():
    """Every (URI, suites) from which this machine takes Debian's main component."""
    for path in sorted(glob.glob("/etc/apt/sources.list.d/*.sources")):
        text = re.sub(r"^#.*\n", "", pathlib.Path(path).read_text(), flags=re.M)
        for stanza in re.split(r"\n\s*\n", text):
            field = {k.lower(): v.split() for k, v in re.findall(r"^([\w-]+):(.*(?:\n[ \t].*)*)", stanza, re.M)}
            if "main" in field.get("components", []) and "no" not in field.get("enabled", []):
                for uri in field.get("uris", []):
                    yield uri, field.get("suites", [])
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*.list"))]:
        if os.path.exists(path):
            lines = pathlib.Path(path).read_text()
            for uri, suite, components in re.findall(r"^deb(?:-src)?\s+(?:\[.*?\]\s+)?(\S+)\s+(\S+)\s+(.*)", lines, re.M):
                if "main" in components.split():
                    yield uri, [suite]


def debian_mirror():
    known = {"bookworm", "trixie", "forky", "sid", "stable", "testing", "unstable"}
    for uri, suites in mirrors():
        if known & set(suites) and not uri.startswith("cdrom:"):
            return uri
    return None


class Apt:
    """apt-get with lists, cache and sources of its own, so that neither root nor the machine's own sources are needed."""

    def __init__(self, folder, suite, types="deb-src"):
        self.folder = folder
        uri = debian_mirror()
        if shutil.which("apt-get") is None or uri is None:
            raise Missing("this machine has no apt-get with a Debian mirror")
        for name in ("lists/partial", "cache/archives/partial", "sources"):
            (folder / name).mkdir(parents=True)
        signed = f"Signed-By: {KEYRING}\n" if os.path.exists(KEYRING) else ""
        entry = f"Types: {types}\nURIs: {uri}\nSuites: {suite}\nComponents: main\n{signed}"
        (folder / "sources" / "debian.sources").write_text(entry)
        (folder / "status").touch()  # nothing is installed, so a package comes with all it depends on
        settings = {
            "Dir::State::Lists": folder / "lists",
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
            "Dir::Etc::SourceList": "/dev/null",
            "Dir::Etc::SourceParts": folder / "sources",
            "APT::Sandbox::User": "root",  # the project's folder need not be open to the user _apt
            "Acquire::Languages": "none",
            "APT::Update::Error-Mode": "any",  # a list that could not be fetched is an error
        }
        lines = [f'{key} "{value}";' for key, value in settings.items()]
        # The machine's own hooks after an update belong to the machine's own lists.
        lines += ["#clear APT::Update::Post-Invoke;", "#clear APT::Update::Post-Invoke-Success;"]
        (folder / "apt.conf").write_text("\n".join(lines) + "\n")
        if not self.run("update"):
            raise Missing(f"apt-get could not fetch the list of Debian {suite}'s packages (is there a network?)")

    def run(self, *arguments):
        command = ["apt-get", "-c", str(self.folder / "apt.conf"), *arguments]
        return subprocess.run(command, cwd=self.folder, stdout=sys.stderr, stdin=subprocess.DEVNULL).returncode == 0

    def tarball(self, library):
        """The upstream tarball of the pinned revision, or of the present one: the hash decides, not the revision."""
        package = library["package"]
        for wanted in (package, package.split("=")[0]):
            self.run("source", "--tar-only", "--download-only", wanted)
            if (self.folder / library["tarball"]).exists():
                break
        return self.folder / library["tarball"]


def unpack(library, tarball, work):
    """Checks the tarball and unpacks it as the library's source folder. False when its hash is another."""
    if hashlib.sha256(tarball.read_bytes()).hexdigest() != library["sha256"]:
        say(f"ringcast: {tarball} is not the pinned {library['tarball']} (SHA-256 {library['sha256']})")
        return False
    new = work / f"unpacked-{library['name']}"
    with tarfile.open(tarball) as archive:
        archive.extractall(new, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))
    inside = list(new.iterdir())
    source_folder(library).parent.mkdir(exist_ok=True)
    os.rename(inside[0] if len(inside) == 1 else new, source_folder(library))
    return True


def remedy(why, library):
    return (f"{why}: put {library['tarball']} (SHA-256 {library['sha256']}) into a folder DIR and run "
            "`./zigw --sources DIR build`.")


def bring_sources():
    given = os.environ.get("RINGCAST_SOURCES")
    if given and not os.path.isdir(given):
        raise Missing(f"the folder of sources {given} does not exist.")
    with locked():
        work, apt = partial(), {}
        try:
            for library in libraries():
                if source_folder(library).exists():
                    continue
                say(f"ringcast: bringing the source of {library['name']} {library['version']} into .tools/ (once)")
                own = pathlib.Path(given) / library["tarball"] if given else None
                if own and own.exists() and unpack(library, own, work):
                    continue
                suite = library["suite"]
                try:
                    apt[suite] = apt.get(suite) or Apt(work / suite, suite)
                except Missing as why:
                    raise Missing(remedy(str(why), library)) from None
                tarball = apt[suite].tarball(library)
                if not tarball.exists() or not unpack(library, tarball, work):
                    raise Missing(remedy(f"apt-get could not bring the pinned {library['name']}", library))
        finally:
            shutil.rmtree(work)


# ---- the distribution's binary packages


def packages_folder(name, suite, packages):
    """The folder .tools/NAME that holds the packages and all they depend on, unpacked: a root of its own, for sysroots.

    Nothing is installed, so neither root nor the machine's state matters; apt-get checks the distribution's signature.
    """
    folder = TOOLS / name
    if folder.exists():
        return folder
    with locked():
        if folder.exists():
            return folder
        say(f"ringcast: bringing {name} into .tools/ (once)")
        work = partial()
        try:
            apt = Apt(work / "apt", suite, "deb")
            wanted = ["install", "--yes", "--quiet", "--download-only", "--no-install-recommends", *packages]
            if not apt.run(*wanted):
                raise Missing(f"apt-get could not bring {' '.join(packages)} of Debian {suite} (its own words are above)")
            for package in sorted((work / "apt" / "cache" / "archives").glob("*.deb")):
                command = ["dpkg-deb", "--extract", str(package), str(work / "new")]
                if subprocess.run(command, stdout=sys.stderr, stdin=subprocess.DEVNULL).returncode != 0:
                    raise Missing(f"{package.name} could not be unpacked (dpkg-deb's own words are above)")
            os.rename(work / "new", folder)
        finally:
            shutil.rmtree(work)
    return folder


def main():
    try:
        if sys.argv[1:] == ["zig"]:
            zig()
        elif sys.argv[1:] == ["sources"]:
            bring_sources()
        else:
            sys.exit("usage: python3 vendor/bring.py zig | sources")
    except Missing as why:
        sys.exit(f"ringcast: {why}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
