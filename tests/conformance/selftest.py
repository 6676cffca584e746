"""tests/conformance/selftest.py: the judging code against verdicts that were recorded, from servers that are right and from
servers that were made wrong: what must not pass does not, and nothing that is missing passes."""
import sys

sys.dont_write_bytecode = True
import verdict  # noqa: E402


def recorded(case, behavior="OK", close="OK", dropped=False, why="Actual events match at least one expected."):
    return {"case": case, "behavior": behavior, "close": close, "dropped_by_client": dropped, "why": [f"Autobahn: {why}"]}


# The verdict, and what fault() says of it: None, or words of it.
RECORDED = [
    (recorded("1.1.1"), None),
    (recorded("7.1.6", "INFORMATIONAL", "INFORMATIONAL"), None),
    (recorded("7.13.1", "INFORMATIONAL", "INFORMATIONAL"), None),
    (recorded("7.13.2", "INFORMATIONAL", "INFORMATIONAL"), None),
    # a server that takes reserved bits for granted
    (recorded("3.1", "FAILED", "FAILED BY CLIENT", True, "Actual events differ from any expected."), "end TCP (FAILED"),
    # one that fails the connection before it has echoed the message in front
    (recorded("3.2", "NON-STRICT"), "NON-STRICT"),
    # one that finds bad UTF-8 at the end of the message only
    (recorded("6.4.1", "NON-STRICT"), "NON-STRICT"),
    # one that never answers a close frame
    (recorded("1.1.2", "OK", "UNCLEAN", True), "end TCP (OK, close UNCLEAN"),
    (recorded("7.1.6", "INFORMATIONAL", "INFORMATIONAL", True), "end TCP"),
    (recorded("2.1", "OK", "UNCLEAN"), "close UNCLEAN"),
    # one that answers the close inside a fragmented message with 1002
    (recorded("7.1.5", "FAILED", "WRONG CODE", False, "The close code should have been 1000 or empty"), "WRONG CODE"),
    # one that knows no compression, one that is not there, one that takes no more than so many fragments
    (recorded("12.1.1", "UNIMPLEMENTED"), "UNIMPLEMENTED"),
    (recorded("1.1.1", "ERROR", "FAILED", False, "connect: Connection refused"), "ERROR"),
    (recorded("9.3.1", "FAILED", "FAILED", False, "Did not receive message within 100 seconds."), "FAILED"),
    # only three cases may be informational, and both verdicts must be
    (recorded("7.1.5", "INFORMATIONAL", "INFORMATIONAL"), "INFORMATIONAL"),
    (recorded("7.1.6", "INFORMATIONAL", "UNCLEAN"), "UNCLEAN"),
    (recorded("7.1.6", "OK", "INFORMATIONAL"), "INFORMATIONAL"),
    (recorded("1.1.1", "OK", "OK or so"), "OK or so"),
]


def judged():
    """Each recorded verdict gets the fault that it has."""
    for given, words in RECORDED:
        found = verdict.fault(given)
        assert (found is None) if words is None else (words in (found or "")), f"{given} gave {found!r}, wanted {words!r}"


def counted():
    """what has failed is counted, named and explained, and what has passed is not named"""
    tally = verdict.Tally()
    tally.add(verdict.Part("3", ["3.*"], 3), [recorded("3.1"), recorded("3.2", "NON-STRICT"), recorded("3.3", "FAILED")], 1.5)
    tally.add(verdict.Part("7", ["7.*"], 1), [recorded("7.1.6", "INFORMATIONAL", "INFORMATIONAL")], 0.5)
    assert (tally.passed(), tally.failed()) == (2, 2), (tally.passed(), tally.failed())
    text = "\n".join(tally.explanations())
    assert "NOT OK 3.2: NON-STRICT" in text and "NOT OK 3.3: FAILED" in text and "3.1:" not in text and "7.1.6" not in text
    assert text.count("Autobahn: Actual events match") == 2
    many = [recorded(f"6.22.{index}", "FAILED") | {"why": ["first", "second"]} for index in range(145)]
    tally.add(verdict.Part("6", ["6.*"], 145), many, 1)
    text = "\n".join(tally.explanations())
    assert text.count("NOT OK") == 147 and text.count("first") == 145 and text.count("second") == verdict.EXPLAINED_MAX - 2
    rows = [line.split() for line in tally.table()]
    assert rows[1] == ["3", "reserved", "bits", "3", "1", "0", "2", "1.5"], rows[1]
    assert rows[3] == ["7", "close", "handling", "1", "0", "1", "0", "0.5"], rows[2]


def missing():
    """verdicts that did not come are failures, and the client's last words are told"""
    tally = verdict.Tally()
    tally.add(verdict.Part("1", ["1.*"], 16), [recorded("1.1.1")] * 16, 1)  # sixteen times the same is one
    tally.add(verdict.Part("2", ["2.*"], 11), [], 1, "it said this\nthe client ended with exit code -6")
    tally.add(verdict.Part("9", ["9.1.1"], None), [], 1)  # a case that was picked by its id
    assert (tally.passed(), tally.failed()) == (1, 27), (tally.passed(), tally.failed())
    assert "exit code -6" in "\n".join(tally.explanations())


def every_case():
    """all cases are 517, and the sample has groups 1 to 10 whole and a tenth of 12 and 13, some of each sub-group"""
    assert sum(part.count for part in verdict.parts(True)) == 517
    sample = verdict.parts(False)
    assert sum(part.count for part in sample if part.group not in verdict.SAMPLED) == 301
    cases = [case for part in sample if part.group in verdict.SAMPLED for case in part.patterns]
    assert len(cases) == len(set(cases)) == 22 and sample == verdict.parts(False), cases
    assert {case.rpartition(".")[0] for case in cases} == {f"12.{n}" for n in range(1, 6)} | {f"13.{n}" for n in range(1, 8)}
    assert all(1 <= int(case.rpartition(".")[2]) <= 18 for case in cases)


def picked():
    """a word picks a group, a sub-group or a case, and not its neighbours"""
    def patterns(*words):
        return [(part.patterns, part.count) for part in verdict.parts(True, words)]
    assert patterns("1") == [(["1.*"], 16)] and patterns("10") == [(["10.*"], 1)]
    assert patterns("12.3") == [(["12.3.*"], 18)] and len(patterns("9")) == 8
    assert patterns("7.1.5") == [(["7.1.5"], None)] and patterns("7.1") == [(["7.1.*"], None)]
    assert patterns("3.2", "3.4") == [(["3.2", "3.4"], None)] and patterns("13.7.18") == [(["13.7.18"], None)]
    assert patterns("8") == [] and patterns("11") == []


def main():
    passed = failed = 0
    for test in (judged, counted, missing, every_case, picked):
        try:
            test()
            passed += 1
        except AssertionError as why:
            failed += 1
            print(f"FAILED {test.__doc__}: {why}")
    print(f"conformance self-test: {passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
