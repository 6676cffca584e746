"""tests/tools/readme.py [--self-test]: README.md tells of all that there is, and of nothing else.

Options with their defaults, metrics and files of src are read from the sources; each must stand in README.md, and what
stands in its tables must be in the sources. (The errors that clients can meet are errors.py's.) The self-test takes a part
out of the page, or puts one in, and sees that it is missed.
"""
import re
import sys

import tools


def sources():
    """path below src: text"""
    root = tools.root() / "src"
    return {path.relative_to(root).as_posix(): path.read_text() for path in sorted(root.rglob("*.[ch]"))}


def options(config):
    """flag: (default, default under --dev); None where the table says nullptr"""
    text = r'(?:nullptr|"([^"]*)")'
    rows = re.findall(rf'\{{"([a-z-]+)", {text}, {text}, {text},', config)
    return {f"--{name}" + (f" {value}" if value else ""): (standard, dev) for name, value, standard, dev in rows}


def metrics(src):
    return {name.removeprefix("ringcast_") for name in re.findall(r'"(ringcast_\w+)', src["hub/metrics.c"])}


def section(page, title):
    """What stands below a headline, up to the next one of its kind."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.S | re.M)
    return found[1] if found else ""


def cells(text, column):
    return " ".join(line.split("|")[column] for line in text.splitlines() if line.startswith("| "))


def words(text):
    """What stands between backticks, its first word, without what follows a semicolon."""
    return {re.split(r"[ ;]", quoted)[0] for quoted in re.findall(r"`([^`\n]+)`", text)}


def compare(what, wanted, told):
    yield from (f"{what} {name} is not in README.md" for name in sorted(wanted - told))
    yield from (f"README.md tells of {what} {name}, which is not there" for name in sorted(told - wanted))


def option_faults(page, config):
    rows = dict(re.findall(r"^\| `(--[^`]+)` \| ([^|]*) \|", section(page, "Run it"), re.M))
    table = options(config)
    yield from compare("the option", set(table), set(rows))
    for name in set(table) & set(rows):
        standard, _, dev = rows[name].replace("`", "").partition(" (--dev: ")
        told = tuple("" if value in ("none", "off") else value for value in (standard, dev.rstrip(")")))
        real = tuple("" if value == "off" else value for value in table[name])
        if told != real:
            yield f"{name} is told to default to {rows[name]}, and does to {table[name]}"


def file_faults(page, src):
    the_map = section(page, "The map")
    for name in src:
        stem = name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        if stem != "inside" and not re.search(rf"\b{stem}\b", the_map):
            yield f"the map does not name src/{name}"
    for folder, text in re.findall(r"^    (\w+)/ +((?:.*\n(?= {14}))*.*)", the_map, re.M):
        for file in re.findall(r"\b\w+\.[ch]\b", text):
            if f"{folder}/{file}" not in src:
                yield f"the map names src/{folder}/{file}, which is not there"


def faults(page, src):
    yield from option_faults(page, src["hub/config.c"])
    yield from compare("the metric", metrics(src), {word for word in words(cells(section(page, "Metrics"), 2))
                                                    if "_" in word or word in ("connections", "members", "rooms", "workers",
                                                                               "timers")}
                       - set(re.findall(r'"scope", "(\w+)"', src["hub/metrics.c"])))
    yield from file_faults(page, src)


CHANGES = [  # what is replaced in the page, and words of a sentence that must come
    ("| `--rooms N` | `1024` |", "| `--rooms N` | `1025` |", "--rooms N is told to default"),
    ("| `--rooms N` |", "| `--roots N` |", "--rooms N is not in"),
    ("`frames_lent`", "", "frames_lent is not in"),
    ("`frames_lent`", "`frames_lent`, `frames_kept`", "frames_kept, which is not there"),
    ("shed.c", "", "src/outbox/shed.c"),
    ("shed.c", "shed.c, spare.c", "src/outbox/spare.c, which is not there"),
]


def self_test(page, src):
    passed = failed = 0
    for old, new, sentence in CHANGES:
        seen = old in page and any(sentence in fault for fault in faults(page.replace(old, new, 1), src))
        passed, failed = passed + seen, failed + (not seen)
        if not seen:
            print(f"FAILED: {old} > {new or 'nothing'}: no fault says \"{sentence}\"")
    print(f"readme self-test: {passed} passed, {failed} failed")
    return failed == 0


def main():
    page, src = (tools.root() / "README.md").read_text(), sources()
    if "--self-test" in sys.argv[1:]:
        sys.exit(0 if self_test(page, src) else 1)
    wrong = list(faults(page, src))
    for sentence in wrong:
        print(sentence)
    checked = len(options(src["hub/config.c"])) + len(metrics(src)) + len(src)
    print(f"readme: {checked - len(wrong)} passed, {len(wrong)} failed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
