"""tests/tools/layers.py [--self-test]: who includes whom. The table is the architecture: it is the map of src in README.md.

Every file of src is one check. The self-test builds a small tree, breaks each rule once, and sees that it is caught.
"""
import fnmatch
import pathlib
import re
import sys
import tempfile

import tools

# Folder: the folders that it may include besides itself and limits.h. hub and main know everything.
MAY_INCLUDE = {
    "base": "",
    "ring": "base",
    "tls": "base",
    "http": "base",
    "ws": "base",
    "auth": "base",
    "outbox": "base ws",
    "conn": "base ring tls http ws outbox",
    "room": "base outbox",
    "game": "base room",
    "cluster": "base ring outbox",
    "store": "base",
    "hub": "base ring tls http ws auth outbox conn room game cluster store",
    ".": "base ring tls http ws auth outbox conn room game cluster store hub",  # main.c
}

# A library, and the only files that may include it.
LIBRARY_HOME = {
    "liburing.h": ["ring/uring.c"],
    "liburing/*": ["ring/uring.c"],
    "bearssl*.h": ["http/*", "auth/*", "tls/*"],
    "sodium*": ["auth/*"],
    "yyjson.h": ["base/json.c"],
    "zlib.h": ["ws/deflate.c"],
    "sqlite3.h": ["store/*"],
    "hiredis*": ["cluster/*"],
    "stdatomic.h": ["base/mailbox.[ch]"],  # everything else belongs to one worker
}

# Pure: bytes in, values out. No I/O, no clock, no log, no allocation.
PURE = ("tls", "http", "ws", "auth")
NOT_PURE = ("stdio.h", "stdlib.h", "time.h", "unistd.h", "fcntl.h", "poll.h", "signal.h", "pthread.h", "threads.h",
            "malloc.h", "netdb.h", "sys/*", "netinet/*", "arpa/*", "linux/*", "base/log.h", "base/arena.h")
# A game replays from its input: no clock, no socket, no malloc, no libm.
NOT_IN_GAME = ("math.h", *(name for name in NOT_PURE if not name.startswith("base/")), "base/log.h")

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
ATOMIC = re.compile(r"\b(_Atomic|__atomic_\w+|__sync_\w+)\b")
ATOMIC_HOME = ("base/mailbox.[ch]", "ring/uring.c")  # the second shares words with the kernel
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.S)


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def faults(root, path):
    """One sentence for each rule that the file breaks. `path` is relative to `root`, the folder src."""
    name = path.as_posix()
    folder = path.parent.as_posix()
    text = (root / path).read_text()
    includes = INCLUDE.findall(COMMENT.sub(" ", text))
    if folder not in MAY_INCLUDE:
        yield f"the folder {folder} is not in the table of layers.py: say there what it may include"
        return
    if name == "limits.h" and any(mark == '"' for mark, _ in includes):
        yield "limits.h includes nothing of ours"
    own = path.with_suffix(".h")
    if path.suffix == ".c" and (root / own).exists() and includes[:1] != [('"', own.as_posix())]:
        yield f'it includes its own header "{own.as_posix()}" first'
    allowed = {folder, *MAY_INCLUDE[folder].split()}
    for mark, target in includes:
        if mark == '"':
            yield from faults_of_ours(root, folder, allowed, target)
        elif (root / target).exists() and "/" in target:
            yield f"<{target}> is ours: write it in quotes"
        if matches(target, [p for p in LIBRARY_HOME]):
            homes = [home for pattern, home in LIBRARY_HOME.items() if fnmatch.fnmatchcase(target, pattern)][0]
            if not matches(name, homes):
                yield f"{target} belongs to {' '.join(homes)} alone"
        if folder in PURE and matches(target, NOT_PURE):
            yield f"{folder} is pure and does not include {target}"
        if folder == "game" and matches(target, NOT_IN_GAME):
            yield f"a game replays from its input and does not include {target}"
    if ATOMIC.search(COMMENT.sub(" ", text)) and not matches(name, ATOMIC_HOME):
        yield "atomics belong to base/mailbox alone"


def faults_of_ours(root, folder, allowed, target):
    if target == "limits.h":
        return
    if not (root / target).exists() or ".." in target or target.startswith("."):
        yield f'"{target}" is not a file of src: write the path from src, as in "ws/reader.h"; a library goes in <>'
    elif target.split("/")[0] not in allowed:
        yield f"{'main' if folder == '.' else folder} may not include {target}"


def check(root):
    """(number of files, list of `file: sentence`)"""
    paths = sorted(p.relative_to(root) for p in root.rglob("*.[ch]"))
    return paths, {path: list(faults(root, path)) for path in paths}


# ---- its own test

GOOD = {
    "limits.h": "#include <stdint.h>\n",
    "main.c": '#include "hub/worker.h"\n#include "base/bytes.h"\n#include <stdio.h>\n',
    "base/bytes.h": '#include "limits.h"\n#include <stdio.h>\n',
    "base/bytes.c": '#include "base/bytes.h"\n#include <stdlib.h>\n',
    "base/log.h": "",
    "base/mailbox.c": "#include <stdatomic.h>\n",
    "ring/ring.h": '#include "base/bytes.h"\n',
    "ring/uring.c": '#include "ring/ring.h"\n#include <liburing.h>\n',
    "ws/reader.h": '#include "base/bytes.h"\n',
    "ws/reader.c": '#include "ws/reader.h"\n#include <string.h>\n/* #include "conn/conn.h" */\n',
    "http/upgrade.h": "",
    "http/upgrade.c": '#include "http/upgrade.h"\n#include <bearssl.h>\n',
    "tls/engine.h": "",
    "auth/jwt.h": "",
    "outbox/frame.h": '#include "ws/reader.h"\n',
    "conn/conn.h": '#include "outbox/frame.h"\n#include "ring/ring.h"\n',
    "room/room.h": '#include "outbox/frame.h"\n',
    "game/game.h": '#include "room/room.h"\n',
    "cluster/resp.h": "",
    "store/store.h": "",
    "hub/worker.h": '#include "conn/conn.h"\n#include "game/game.h"\n',
    "base/json.c": "#include <yyjson.h>\n",
}

BROKEN = [  # (file, its text, a word of the sentence that must come)
    ("limits.h", '#include "base/bytes.h"\n', "includes nothing"),
    ("base/bytes.h", '#include "ws/reader.h"\n', "may not include"),
    ("base/bytes.c", '#include <stdlib.h>\n#include "base/bytes.h"\n', "own header"),
    ("base/bytes.c", '#include "bytes.h"\n', "path from src"),
    ("base/bytes.c", '#include "base/bytes.h"\n#include "../ws/reader.h"\n', "path from src"),
    ("base/bytes.c", '#include "base/bytes.h"\n#include <stdatomic.h>\n', "alone"),
    ("base/bytes.c", '#include "base/bytes.h"\nstatic _Atomic int count;\n', "atomics"),
    ("ring/ring.h", '#include "conn/conn.h"\n', "may not include"),
    ("ring/ring.h", "#include <liburing.h>\n", "alone"),
    ("conn/conn.h", "#include <liburing/io_uring.h>\n", "alone"),
    ("ws/reader.h", '#include "http/upgrade.h"\n', "may not include"),
    ("ws/reader.h", '#include "ring/ring.h"\n', "may not include"),
    ("ws/reader.h", "#include <bearssl.h>\n", "alone"),
    ("ws/reader.h", "#include <sodium/utils.h>\n", "alone"),
    ("ws/reader.c", '#include "ws/reader.h"\n#include <stdio.h>\n', "pure"),
    ("ws/reader.c", '#include "ws/reader.h"\n#  include <stdlib.h>\n', "pure"),
    ("ws/reader.c", '#include "ws/reader.h"\n#include "base/log.h"\n', "pure"),
    ("http/upgrade.h", '#include "ws/reader.h"\n', "may not include"),
    ("http/upgrade.c", '#include "http/upgrade.h"\n#include <sys/socket.h>\n', "pure"),
    ("http/upgrade.c", '#include "http/upgrade.h"\n#include <yyjson.h>\n', "alone"),
    ("hub/worker.h", "#include <yyjson.h>\n", "alone"),
    ("tls/engine.h", "#include <unistd.h>\n", "pure"),
    ("auth/jwt.h", "#include <time.h>\n", "pure"),
    ("auth/jwt.h", '#include "tls/engine.h"\n', "may not include"),
    ("outbox/frame.h", '#include "conn/conn.h"\n', "may not include"),
    ("conn/conn.h", '#include "room/room.h"\n', "may not include"),
    ("conn/conn.h", '#include "hub/worker.h"\n', "may not include"),
    ("room/room.h", '#include "conn/conn.h"\n', "may not include"),
    ("room/room.h", '#include "ws/reader.h"\n', "may not include"),
    ("game/game.h", '#include "outbox/frame.h"\n', "may not include"),
    ("game/game.h", "#include <time.h>\n", "replays"),
    ("game/game.h", "#include <math.h>\n", "replays"),
    ("cluster/resp.h", '#include "conn/conn.h"\n', "may not include"),
    ("store/store.h", '#include "ring/ring.h"\n', "may not include"),
    ("hub/worker.h", '#include <conn/conn.h>\n', "in quotes"),
    ("hub/worker.h", '#include <liburing.h>\n', "alone"),
    ("fresh/thing.h", "", "not in the table"),
]


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)


def self_test():
    passed, failed = 0, 0
    cases = [({}, None)] + [({name: text}, (name, word)) for name, text, word in BROKEN]
    for change, wanted in cases:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            write(root, {**GOOD, **change})
            found = {path.as_posix(): sentences for path, sentences in check(root)[1].items() if sentences}
        # Exactly the broken file is named, by the rule that it breaks.
        right = not found if wanted is None else list(found) == [wanted[0]] and any(wanted[1] in s for s in found[wanted[0]])
        passed, failed = passed + right, failed + (not right)
        if not right:
            print(f"FAILED: {change or 'the tree without faults'} gave {found}, wanted {wanted}")
    print(f"layers self-test: {passed} passed, {failed} failed")
    return failed == 0


def main():
    if "--self-test" in sys.argv[1:]:
        sys.exit(0 if self_test() else 1)
    paths, found = check(tools.root() / "src")
    for path, sentences in found.items():
        for sentence in sentences:
            print(f"src/{path.as_posix()}: {sentence}")
    failed = sum(bool(sentences) for sentences in found.values())
    print(f"layers: {len(paths) - failed} passed, {failed} failed")
    sys.exit(1 if failed or not paths else 0)


if __name__ == "__main__":
    main()
