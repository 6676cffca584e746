"""tests/tools/static.py BINARY: the release is one static, stripped file under 2 MB that runs anywhere."""
import os
import re
import struct
import subprocess
import sys

SIZE_MAX = 2_000_000
PT_DYNAMIC, PT_INTERP = 2, 3


def elf(path):
    """(program header types, section names) of a 64-bit little-endian ELF file."""
    data = open(path, "rb").read()
    assert data[:6] == b"\x7fELF\x02\x01", "not a 64-bit little-endian ELF file"
    phoff, shoff = struct.unpack_from("<QQ", data, 32)
    phentsize, phnum, shentsize, shnum, shstrndx = struct.unpack_from("<HHHHH", data, 54)
    types = {struct.unpack_from("<I", data, phoff + i * phentsize)[0] for i in range(phnum)}
    headers = [struct.unpack_from("<IIQQQQ", data, shoff + i * shentsize) for i in range(shnum)]
    names = data[headers[shstrndx][4]:] if shnum else b""
    return types, {names[h[0]:names.index(b"\0", h[0])].decode() for h in headers}


def run(path, *arguments):
    return subprocess.run([path, *arguments], capture_output=True, text=True, timeout=10, env={})


def main():
    path = sys.argv[1]
    types, sections = elf(path)
    size = os.path.getsize(path)
    version = run(path, "version")
    wanted = re.search(r'^const version = "(.*)";', open("build.zig").read(), re.M)[1]
    checks = {
        "it needs no dynamic linker and no library": not types & {PT_INTERP, PT_DYNAMIC},
        "it has no symbols and no debug information": not {n for n in sections if n == ".symtab" or n.startswith(".debug")},
        f"it is under {SIZE_MAX} bytes (it has {size})": size < SIZE_MAX,
        f"`version` says {wanted} and exits 0": version.returncode == 0 and wanted in version.stdout,
    }
    for sentence, holds in checks.items():
        if not holds:
            print(f"FAILED {path}: {sentence}")
    print(f"static: {sum(checks.values())} passed, {sum(not holds for holds in checks.values())} failed")
    sys.exit(0 if all(checks.values()) else 1)


if __name__ == "__main__":
    main()
