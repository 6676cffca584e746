"""tests/tools/format.py [--fix]: every C file looks as .clang-format says, fits into 100 columns, and ends its lines cleanly."""
import subprocess
import sys

import tools

COLUMNS = 100
FOLDERS = ("src", "tests", "fuzz", "perf", "vendor")


def files():
    for folder in FOLDERS:
        yield from sorted(p for p in (tools.root() / folder).rglob("*.[ch]") if p.is_file())


def plain_faults(path):
    """What clang-format does not mend: it leaves comments alone."""
    text = path.read_text()
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > COLUMNS:
            yield f"{number}: {len(line)} columns; {COLUMNS} is the limit"
        if line != line.rstrip():
            yield f"{number}: white space at the end of the line"
        if "\t" in line:
            yield f"{number}: a tab"
    if not text.endswith("\n") or text.endswith("\n\n"):
        yield f"{text.count(chr(10))}: the file must end with one newline"


def main():
    clang_format = tools.clang_format()
    paths = list(files())
    if "--fix" in sys.argv[1:]:
        if clang_format is None:
            sys.exit(1)
        subprocess.run([clang_format, "-i", *map(str, paths)], check=True)
    failed = 0
    for path in paths:
        faults = [f"{path.relative_to(tools.root())}:{fault}" for fault in plain_faults(path)]
        if clang_format:
            check = subprocess.run([clang_format, "--dry-run", "-Werror", "--ferror-limit=5", str(path)],
                                   capture_output=True, text=True)
            if check.returncode != 0:
                faults.append(f"{path.relative_to(tools.root())}: not as .clang-format says; `./zigw build fmt` mends it\n"
                              + check.stderr.rstrip().replace(f"{tools.root()}/", ""))
        failed += bool(faults)
        for fault in faults:
            print(fault)
    if clang_format is None and not failed:
        print("only columns and white space were looked at")
        sys.exit(77)
    print(f"format: {len(paths) - failed} passed, {failed} failed")
    sys.exit(1 if failed or not paths else 0)


if __name__ == "__main__":
    main()
