"""tests/tools/threats.py [--self-test]: every row of tests/THREATS.md is covered, or says why not.

A row is covered by files that exist and either cite its id or hold the case that the row names. REQUIRED are the ids that
must have a row; an id that a test cites must have one, too. Each row with tests is one check; rows that only carry a reason
are told and not counted. The self-test breaks a small table in each way once, and sees that it is caught.
"""
import pathlib
import re
import sys
import tempfile

import tools

REQUIRED = "H1-26 F1-18 U1-8 Z1-8 R1-13 J1-10 A1-18 G1-11 G13-14 G16 O1-8 X1-4"
GROUPS = "HFUZRJAGO"  # an id of these that a test cites must have a row

ROW = re.compile(r"^\|(.+)\|\s*$")
ID = re.compile(r"S\d+-N?\d+|[A-Z][1-9]\d?")
FILE = re.compile(r"(?:tests/)?((?:e2e|unit|tools)/[\w./-]+\.(?:py|c|h|js)|[\w-]+\.h)")
NAME = re.compile(r"`([^`]+)`")
CITED = re.compile(rf"(?<![\w.\\%#-])[{GROUPS}][1-9]\d?(?![\w.-])")
CITED_SPAN = re.compile(rf"(?<!\w)([{GROUPS}])([1-9]\d?) to \1([1-9]\d?)(?!\w)")
SENTENCE = re.compile(r'\bTEST\(\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\)')
REASON_MIN = 12


def required():
    for word in REQUIRED.split():
        first, _, last = word[1:].partition("-")
        yield from (f"{word[0]}{number}" for number in range(int(first), int(last or first) + 1))


def rows(text):
    """(line number, ids, the last cell) of each row whose first cell is ids."""
    for number, line in enumerate(text.split("\n"), 1):
        match = ROW.match(line)
        cells = [cell.strip() for cell in match[1].split(" | ")] if match else [""]
        ids = [word.strip() for word in cells[0].split(",")]
        if all(ID.fullmatch(word) for word in ids):
            yield number, ids, cells[-1] if len(cells) > 2 else ""


def places(cell):
    """(file, names) for each place in a cell, and its reason, or None. The reason runs to the end."""
    tested, mark, reason = cell.partition("-: ")
    found = []
    for part in re.split(r",\s*(?![^()]*\))|;\s*(?![^()]*\))", tested):
        file = FILE.search(part.partition("(")[0])
        if file:
            found.append((file[1], NAME.findall(part.partition("(")[2])))
        elif part.strip() and found and part.strip() not in ("-",):
            found[-1][1].extend(NAME.findall(part))
    return found, reason.strip() if mark else None


def holds(text, name):
    """True when the file has this case: a function, or words of a TEST's sentence."""
    if re.fullmatch(r"test_\w+", name):
        return re.search(rf"^def {name}\(", text, re.M) is not None
    sentences = ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', match[1])) for match in SENTENCE.finditer(text)]
    return any(name in sentence for sentence in sentences)


def cites(text, ids):
    """True when one of the ids stands there, by itself or in a span, "J1 to J5"."""
    if any(re.search(rf"(?<![\w-]){word}(?![\w-])", text) for word in ids):
        return True
    spans = [(span[1], int(span[2]), int(span[3])) for span in CITED_SPAN.finditer(text)]
    return any(word[0] == group and word[1:].isdigit() and first <= int(word[1:]) <= last
               for word in ids for group, first, last in spans)


def faults(root, ids, cell, known):
    """One sentence for each thing that is wrong with a row. `root` is the folder tests."""
    found, reason = places(cell)
    others = ID.findall(cell) if cell.startswith("as ") else []
    if reason is not None and len(reason) < REASON_MIN:
        yield f"a reason of {len(reason)} characters is none"
    if not found and reason is None and not others:
        yield "neither a test nor a reason"
    for other in others:
        if other not in known:
            yield f"it points to {other}, which has no row"
    for file, names in found:
        path = root / file
        if not path.is_file():
            yield f"there is no tests/{file}"
            continue
        text = path.read_text()
        if not names and not cites(text, ids):
            yield f"tests/{file} cites none of {', '.join(ids)}, and the row names no case in it"
        for name in names:
            if not holds(text, name):
                yield f"tests/{file} has no case `{name}`"


def cited(root):
    """id: the first file below `root` that cites it"""
    found = {}
    for path in sorted(p for folder in ("e2e", "unit") for p in (root / folder).glob("*.*")) + sorted(root.glob("*.h")):
        if path.suffix in (".py", ".c", ".h"):
            for word in CITED.findall(path.read_text()):
                found.setdefault(word, path.relative_to(root).as_posix())
    return found


def check(root, wanted):
    """(rows that have tests and no fault, rows that only have a reason, sentences about what is wrong)"""
    table = list(rows((root / "THREATS.md").read_text()))
    known = [word for _, ids, _ in table for word in ids]
    tested, reasoned, wrong = 0, [], []
    for number, ids, cell in table:
        sentences = list(faults(root, ids, cell, known))
        wrong += [f"line {number}, {', '.join(ids)}: {sentence}" for sentence in sentences]
        if not sentences and not places(cell)[0] and not cell.startswith("as "):
            reasoned += ids
        elif not sentences:
            tested += 1
    wrong += [f"{word} has {known.count(word)} rows" for word in sorted(set(known)) if known.count(word) > 1]
    wrong += [f"{word} has no row" for word in wanted if word not in known]
    wrong += [f"tests/{file} cites {word}, which has no row" for word, file in cited(root).items() if word not in known]
    return tested, reasoned, wrong


# ---- its own test

GOOD = """# A table

| id | what | answer | tested in |
|---|---|---|---|
| H1 | a thing | 400 | e2e/test_a.py, unit/b.c |
| H2 | a pipe, `a|b` | 404 | unit/b.c (`is a sentence`, `in two pieces`), tests/c.h; -: the rest is not built yet |
| H3 | nothing | none | -: there is nothing that could be tested |
| J1 | the start of a span | none | unit/b.c |
| J2 | its middle | none | unit/b.c |
| J3 | its end | none | unit/b.c |

| ids | what | tested in |
|---|---|---|
| S0-1, D4 | more | e2e/test_a.py (`test_named`) |
| D5 | the same | as H1 |
"""
FILES = {"e2e/test_a.py": 'def test_named():\n    """a thing (H1)"""\n',
         "unit/b.c": 'TEST("H1 is a sentence")\nTEST(\n    "one in two "\n    "pieces")\n/* J1 to J3 */ int x = 0xF5;\n', "c.h": "/* H2 */\n"}
BROKEN = [  # what is replaced in the table, and words of the one sentence that must come
    ("e2e/test_a.py, unit/b.c", "e2e/test_a.py, unit/gone.c", "no tests/unit/gone.c"),
    ("e2e/test_a.py, unit/b.c", "unit/b.c (`is a sentence`), tests/c.h", "tests/c.h cites none of H1"),
    ("`is a sentence`", "`was a sentence`", "no case `was a sentence`"),
    ("`in two pieces`", "`in three pieces`", "no case `in three pieces`"),
    ("`test_named`", "`test_nam`", "no case `test_nam`"),
    ("-: there is nothing that could be tested", "", "neither a test nor a reason"),
    ("-: there is nothing that could be tested", "-: no", "is none"),
    ("-: there is nothing that could be tested", "not at all", "neither a test nor a reason"),
    ("| H3 |", "| H2 |", "H2 has 2 rows"),
    ("| H3 | nothing", "| nothing | nothing", "H3 has no row"),
    ("as H1", "as H9", "points to H9"),
    ("| J2 | its", "| J4 | its", "cites none of J4"),
]


def self_test():
    passed = failed = 0
    for old, new, words in [("", "", None), *BROKEN, ("", "", "cites O8")]:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            files = {**FILES, **({"e2e/test_d.py": '"""late (O8)"""\n'} if words == "cites O8" else {})}
            for name, text in {**files, "THREATS.md": GOOD.replace(old, new, 1) if old else GOOD}.items():
                (root / name).parent.mkdir(exist_ok=True)
                (root / name).write_text(text)
            tested, reasoned, wrong = check(root, ["H1", "H2", "H3"])
        right = (tested, reasoned, wrong) == (7, ["H3"], []) if words is None else any(words in s for s in wrong)
        passed, failed = passed + right, failed + (not right)
        if not right:
            print(f"FAILED: {new or 'the table'}: {tested} tested, {reasoned} reasoned, {wrong}; wanted {words}")
    print(f"threats self-test: {passed} passed, {failed} failed")
    return failed == 0


def main():
    if "--self-test" in sys.argv[1:]:
        sys.exit(0 if self_test() else 1)
    tested, reasoned, wrong = check(tools.root() / "tests", list(required()))
    for sentence in wrong:
        print(f"tests/THREATS.md: {sentence}")
    if reasoned:
        print(f"threats: {len(reasoned)} have a reason instead of a test: {', '.join(reasoned)}")
    print(f"threats: {tested} passed, {len(wrong)} failed")
    sys.exit(1 if wrong or not tested else 0)


if __name__ == "__main__":
    main()
