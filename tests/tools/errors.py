"""tests/tools/errors.py [--self-test]: ERRORS.md has every error that a client can meet, and no other.

    import errors; errors.knows("HTTP 404", "not_found")      for tests that meet one

What clients can meet is read from the sources by the patterns below, one line for each way in which an error is written
there: a new way is a new line. Whoever adds an error adds its row, and a test that names it; this says which one is
missing, or too much. The self-test takes codes out of the page, the sources and the tests, puts some in, and sees that each
is missed.
"""
import functools
import re
import sys

import tools

CODE, STATUS = r'"(?P<code>[a-z_0-9]+)"', r"(?P<status>\d{3,4})"
TEXT = r'TEXT\("(?P<code>[^"]+)"\)'

# (files, pattern, where). `{}` in `where` takes the pattern's status. Lines are joined where a macro or a call goes on in
# the next one.
PATTERNS = [
    ("", rf"X\([A-Z_0-9]+, (?=[45]\d\d,){STATUS}, {CODE}", ["HTTP {}"]),  # tables of refusals
    ("", rf"X\([A-Z_0-9]+, (?=[14]\d{{3}},){STATUS}, (?:LOG_\w+, )?{CODE}", ["close {}"]),  # tables of ends
    ("auth/", rf'X\([A-Z_0-9]+, {CODE}, "', ["HTTP 401", "error"]),  # tables of what is wrong with a token
    ("hub/verify.c", rf'X\([A-Z_0-9]+, {CODE}, "', ["HTTP 401", "error"]),
    ("hub/door.c", rf"X\([A-Z_0-9]+, {CODE}, {STATUS}, ", ["HTTP {}"]),
    ("hub/door.c", rf"X\([A-Z_0-9]+, {CODE}, \d+, (?!NONE)", ["error"]),  # with --avalon-auth-fail=close and its like
    ("game/", rf'X\([A-Z_0-9]+, {CODE}, "(?![CS]2[SC]_)', ["error"]),  # tables of what cannot be done; not those of spellings
    ("", rf"conn_answer_error\(\w+, {STATUS}, {TEXT}", ["HTTP {}"]),
    ("hub/vote_routes.c", rf'refuse(?:_with)?\(conn, {STATUS}, TEXT\("\w+"\), {TEXT}', ["HTTP {}"]),
    ("game/vote.c", rf"write_text\(reply, {TEXT}", ["HTTP ..."]),  # vote_routes_answer has the status
    ("game/", rf"\b(?:say_error|canonical_error|forbid)\([^;{{]*?{TEXT}", ["error"]),
    ("game/", rf"\(struct refusal\)\{{{TEXT}", ["error"]),
    ("game/world", rf"\b(?:answer_error|world_refuse|world_say_error)\([^;{{]*?{TEXT}", ["error"]),
]
OTHERWISE = {  # where the pattern's place is not the client's
    ("close 1000", "peer_closed"): None,  # the peer's own code
    ("HTTP ...", "unknown request"): None,  # paths bound which requests there are
}
UNTESTED = {  # what no test can bring about by itself
    "too_large": "no answer of this server comes near 64 KiB",
}


def sources():
    """path below src: text, with what goes on in the next line joined"""
    root = tools.root() / "src"
    return {path.relative_to(root).as_posix(): joined(path.read_text()) for path in sorted(root.rglob("*.[ch]"))}


def tests():
    """The text of all tests that may name an error."""
    root = tools.root() / "tests"
    files = sorted(path for folder in ("e2e", "unit") for path in (root / folder).rglob("*") if path.suffix in (".py", ".js", ".go", ".c"))
    return "\n".join(path.read_text() for path in files)


def joined(text):
    return re.sub(r"([,({])\s+", lambda cut: cut[1] + (" " if cut[1] == "," else ""), re.sub(r"\s*\\\n\s*", " ", text))


def in_sources(src):
    """{(where, code)}"""
    found = set()
    for files, pattern, places in PATTERNS:
        for name, text in src.items():
            for match in re.finditer(pattern, text) if name.startswith(files) else []:
                error = match.groupdict()
                found |= {(place.format(error.get("status")), error["code"]) for place in places}
    places = {(OTHERWISE.get(error, error[0]), error[1]) for error in found}
    return {error for error in places if error[0] is not None}


def rows(page):
    """(places, codes, meaning, what to do) of each row"""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == 4 and cells[0] != "where":
            yield cells[0].split(", "), re.findall(r"`([^`]+)`", cells[1]), cells[2], cells[3]


def in_page(page):
    return {(place, code) for places, codes, _, _ in rows(page) for place in places for code in codes}


@functools.cache
def page_errors():
    return in_page((tools.root() / "ERRORS.md").read_text())


def knows(place, code):
    """True when the page has a row for this code there."""
    return (place, code) in page_errors()


def unnamed(page, tested):
    for code in sorted({code for _, code in in_page(page)} - set(UNTESTED)):
        word = re.escape(code)  # first, so that it is searched for quickly; then what is around it
        if not re.search(rf"{word}(?<![\w ]{word})(?![\w ])", tested):
            yield f"no test names the error {code}"


def faults(page, src, tested):
    yield from unnamed(page, tested)
    real, told = in_sources(src), in_page(page)
    any_status = {code for place, code in real if place == "HTTP ..."}
    real = {error for error in real if error[0] != "HTTP ..."}
    for code in sorted(any_status - {code for place, code in told if place.startswith("HTTP")}):
        yield f"the error {code} is not in ERRORS.md"
    yield from (f"{place} {code} is not in ERRORS.md" for place, code in sorted(real - told))
    yield from (f"ERRORS.md tells of {place} {code}, which is not in src" for place, code in sorted(told - real)
                if code not in any_status)
    for places, codes, meaning, do in rows(page):
        if not codes or not all(re.fullmatch(r"HTTP [45]\d\d|close [14]\d{3}|error", place) for place in places):
            yield f"a row of ERRORS.md has no code, or an unknown place: {', '.join(places)}"
        if len(meaning) < 10 or not do:
            yield f"ERRORS.md does not say what {', '.join(codes)} means, or what to do"
    codes = [(place, code) for places, listed, _, _ in rows(page) for place in places for code in listed]
    yield from (f"ERRORS.md has {place} {code} twice" for place, code in sorted(set(codes)) if codes.count((place, code)) > 1)


# ---- its own test

PAGE_CHANGES = [  # what is replaced in the page, and words of a sentence that must come
    ("`bad_deflate`", "", "close 1007 bad_deflate is not in"),
    ("`slow_consumer`", "`slow_consumer`, `too_slow`", "close 4508 too_slow, which is not"),
    ("`head_too_big`", "", "HTTP 431 head_too_big is not in"),
    ("| HTTP 431 |", "| HTTP 432 |", "HTTP 431 head_too_big is not in"),
    ("| close 1012 | `restart`", "| close 1012 | `restarts`", "close 1012 restart is not in"),
    ("HTTP 401, error | `no_token`", "HTTP 401 | `no_token`", "error no_token is not in"),
    ("`room not found`", "`no room`", "HTTP 404 room not found is not in"),
    ("`voting has started`", "`voting`", "the error voting has started is not in"),
    ("| error | `unsupported`", "| error | `unsupported`, `unsupported`", "error unsupported twice"),
    ("| close 1012 | `restart`", "| mail | `restart`", "an unknown place"),
    ("| Fix: fewer cookies and headers |", "|  |", "what to do"),
]
SOURCE_CHANGES = [  # file, what is replaced in it
    ("hub/routes.c", '"draining"', '"leaving"', "HTTP 503 leaving is not in"),
    ("hub/door.c", '"unknown_player"', '"stranger"', "HTTP 401 stranger is not in"),
    ("hub/door.c", '"token_twice"', '"twice"', "error twice is not in"),
    ("hub/verify.c", '"wrong_room"', '"elsewhere"', "error elsewhere is not in"),
    ("game/match.h", '"not_your_turn"', '"later"', "error later is not in"),
    ("conn/reasons.h", '4429, LOG_INFO, "rate_limited"', '4428, LOG_INFO, "rate_limited"', "close 4428 rate_limited is not in"),
    ("conn/reasons.h", '"replaced"', '"displaced"', "close 4409 replaced, which is not"),
    ("ws/reader.h", '"bad_utf8"', '"not_utf8"', "close 1007 not_utf8 is not in"),
    ("game/chat.h", '"too_long"', '"much_too_long"', "error much_too_long is not in"),
    ("game/avalon.c", 'TEXT("bad_message")', 'TEXT("bad")', "error bad is not in"),
    ("game/vote.c", 'TEXT("only the host may do this")', 'TEXT("only hosts")', "the error only hosts is not in"),
    ("auth/jwt.h", '"no_expiry"', '"for_ever"', "error for_ever is not in"),
    ("hub/vote_routes.c", 'TEXT("too many rooms")', 'TEXT("rooms")', "HTTP 503 rooms is not in"),
]


def self_test(page, src, tested):
    passed = failed = 0
    cases = [(old, page.replace(old, new, 1), src, tested, old in page, words) for old, new, words in PAGE_CHANGES]
    cases += [(old, page, {**src, file: src[file].replace(old, new)}, tested, old in src[file], words)
              for file, old, new, words in SOURCE_CHANGES]
    cases += [(code, page, src, tested.replace(code, "something"), code in tested, f"no test names the error {code}")
              for code in ("bad_host", "voting has started", "slow_consumer", "no_such_player")]
    for old, changed_page, changed_src, changed_tests, is_there, words in cases:
        seen = is_there and any(words in fault for fault in faults(changed_page, changed_src, changed_tests))
        passed, failed = passed + seen, failed + (not seen)
        if not seen:
            print(f"FAILED: {old} is changed, and no fault says \"{words}\"")
    print(f"errors self-test: {passed} passed, {failed} failed")
    return failed == 0


def main():
    page, src, tested = (tools.root() / "ERRORS.md").read_text(), sources(), tests()
    if "--self-test" in sys.argv[1:]:
        sys.exit(0 if self_test(page, src, tested) else 1)
    wrong = list(faults(page, src, tested))
    for sentence in wrong:
        print(sentence)
    print(f"errors: {max(0, len(in_page(page)) - len(wrong))} passed, {len(wrong)} failed")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
