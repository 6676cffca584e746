"""tests/conformance/verdict.py: which of Autobahn's cases are run, and when one has passed. Pure: no process, no socket.

A verdict is a dictionary as client.py writes it, one for each case:

    case        "7.1.5"
    behavior    what Autobahn says of the messages: OK, NON-STRICT, INFORMATIONAL, FAILED, UNIMPLEMENTED, ERROR
    close       what it says of the closing handshake: OK, INFORMATIONAL, UNCLEAN, WRONG CODE, FAILED BY CLIENT, FAILED
    dropped_by_client    whether Autobahn's client had to end the TCP connection, which is the server's to end (RFC 6455 §7.1.1)
    why         its own explanation, in lines; shown when the case has not passed
"""
import collections

# Autobahn's cases: group, what it is about, sub-groups with the number of their cases. A run that gives fewer
# verdicts than this has failed. Group 8 is empty in Autobahn itself; 11 does not exist.
GROUPS = {
    "1": ("framing", {"1": 16}),
    "2": ("pings and pongs", {"2": 11}),
    "3": ("reserved bits", {"3": 7}),
    "4": ("opcodes", {"4": 10}),
    "5": ("fragmentation", {"5": 20}),
    "6": ("UTF-8", {"6": 145}),
    "7": ("close handling", {"7": 37}),
    "9": ("limits and performance", {"9.1": 6, "9.2": 6, "9.3": 9, "9.4": 9, "9.5": 6, "9.6": 6, "9.7": 6, "9.8": 6}),
    "10": ("fragments of the sender's choice", {"10": 1}),
    "12": ("compression, five kinds of data", {f"12.{index}": 18 for index in range(1, 6)}),
    "13": ("compression, seven offers", {f"13.{index}": 18 for index in range(1, 8)}),
}
SAMPLED = ("12", "13")  # 216 cases of a thousand messages each: a pull request runs every tenth
SAMPLE_STEP = 10

# What the RFC leaves open: a close straight after 256 KiB, and close codes from 5000 up.
MAY_BE_INFORMATIONAL = ("7.1.6", "7.13.1", "7.13.2")

EXPLAINED_MAX = 20  # failures that are told in full; of the others the first line

# One sub-group of cases for one client: what it asks for (ids, or patterns of Autobahn's), and how many verdicts must come.
Part = collections.namedtuple("Part", "group patterns count")


def parts(every_case, prefixes=()):
    """The parts to run, in order. With prefixes only the cases below those: "12", "12.3", "7.1.5"."""
    position, chosen = 0, []
    for group, (_, subgroups) in GROUPS.items():
        for name, count in subgroups.items():
            patterns, cases = [f"{name}.*"], count
            if group in SAMPLED and not every_case:
                patterns = [f"{name}.{1 + index}" for index in range(count) if (position + index) % SAMPLE_STEP == 0]
                cases = len(patterns)
            position += count if group in SAMPLED else 0
            chosen += narrowed(Part(group, patterns, cases), name, prefixes)
    return chosen


def narrowed(part, name, prefixes):
    """The part itself when a prefix holds it whole; what a longer prefix picks of it, whose number is not known here."""
    if not prefixes or any(is_below(name, prefix) for prefix in prefixes):
        return [part]
    inside = [prefix for prefix in prefixes if is_below(prefix, name)]
    return [Part(part.group, [prefix if is_case(prefix) else f"{prefix}.*" for prefix in inside], None)] if inside else []


def is_case(prefix):
    """Cases have three numbers, and two in the groups that have no sub-groups."""
    return prefix.count(".") == (1 if prefix.split(".")[0] in ("2", "3", "5") else 2)


def is_below(name, prefix):
    return f"{name}.".startswith(f"{prefix}.")


def fault(verdict):
    """None when the case has passed, else why not, in a few words."""
    case, behavior, close = verdict["case"], verdict["behavior"], verdict["close"]
    if verdict["dropped_by_client"]:
        return f"the client had to end TCP ({behavior}, close {close})"
    if (behavior, close) == ("OK", "OK"):
        return None
    if (behavior, close) == ("INFORMATIONAL", "INFORMATIONAL") and case in MAY_BE_INFORMATIONAL:
        return None
    return f"{behavior}, close {close}"


class Tally:
    """The table: a row for each group, and what failed."""

    def __init__(self):
        self.rows = {}
        self.failures = []  # (case or part, why, the lines of the explanation)

    def add(self, part, verdicts, seconds, last_words=""):
        """The verdicts that came for one part; what did not come has failed."""
        row = self.rows.setdefault(part.group, {"cases": 0, "ok": 0, "informational": 0, "failed": 0, "seconds": 0.0})
        row["seconds"] += seconds
        by_case = {verdict["case"]: verdict for verdict in verdicts}
        for case, verdict in by_case.items():
            why = fault(verdict)
            if why is None:
                row["informational" if verdict["behavior"] == "INFORMATIONAL" else "ok"] += 1
            else:
                row["failed"] += 1
                self.failures.append((case, why, verdict["why"]))
        wanted = max(len(by_case), 1) if part.count is None else part.count
        row["cases"] += max(wanted, len(by_case))
        missing = wanted - len(by_case)
        if missing > 0:
            row["failed"] += missing
            self.failures.append((" ".join(part.patterns), f"{missing} of {wanted} cases gave no verdict",
                                  last_words.splitlines()[-5:]))

    def passed(self):
        return sum(row["ok"] + row["informational"] for row in self.rows.values())

    def failed(self):
        return sum(row["failed"] for row in self.rows.values())

    def table(self):
        yield f"{'group':6}{'':34}{'cases':>6}{'OK':>6}{'informational':>15}{'not OK':>8}{'seconds':>9}"
        for group in sorted(self.rows, key=int):
            row = self.rows[group]
            yield (f"{group:6}{GROUPS[group][0]:34}{row['cases']:6}{row['ok']:6}{row['informational']:15}"
                   f"{row['failed']:8}{row['seconds']:9.1f}")

    def explanations(self):
        for index, (case, why, lines) in enumerate(self.failures):
            yield f"NOT OK {case}: {why}"
            yield from (f"    {line}" for line in (lines if index < EXPLAINED_MAX else lines[:1]))
