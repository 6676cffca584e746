"""tests/conformance/client.py URL CONCURRENCY PATTERN...: runs Autobahn's cases against a server, a verdict as JSON on each line.

A process of its own, because the client keeps Python's one lock for itself, and because it may abort when it ends.
"""
import asyncio
import json
import os
import sys

import kosoku
import kosoku.cases

OPCODES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
SHOWN = 120


def short(value):
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(text)} characters)"


def wire(result):
    """What went over the wire, a line for each frame, and for each timer of the case that ran out."""
    for kind, *entry in result.wirelog:
        if kind in ("TF", "RF"):
            payload, opcode, final, reserved = entry[:4]
            size, data = payload or ("no", "")
            yield (f"{'sent' if kind == 'TF' else 'came'} {OPCODES.get(opcode, f'opcode {opcode}')}"
                   f"{'' if final else ', to be continued'}{f', reserved bits {reserved}' if reserved else ''}"
                   f", {size} bytes {short(data)}".rstrip())
        elif kind not in ("TO", "RO"):  # octets, which the frames tell
            yield f"timer {kind} {' '.join(map(str, entry))}".rstrip()


def explanation(result):
    """Autobahn's own words, and what they are about."""
    frames = list(wire(result))
    yield f"Autobahn: {result.result} {result.result_close}".rstrip()
    if result.behavior.value == "ERROR":
        return  # it never came to the case itself
    yield f"the case: {' '.join(result.description.split())}"
    yield f"expected: {' '.join(result.expectation.split())}"
    yield f"events that would do: {short(result.expected)}; that came: {short(result.received)}"
    yield (f"close expected: {short(result.expected_close)}; the server's: {result.remote_close_code} "
           f"{result.remote_close_reason!r}; clean: {result.was_clean} {result.was_not_clean_reason or ''}".rstrip())
    yield from frames[:40]
    if len(frames) > 40:
        yield f"… and {len(frames) - 40} more frames"


def verdict(result):
    return {
        "case": result.case_id,
        "behavior": result.behavior.value,
        "close": result.behavior_close.value,
        "dropped_by_client": result.dropped_by_me,
        "why": list(explanation(result)),
    }


def hear_bytes(heard):
    """Groups 12 and 13 hash what came, and hashing wants bytes. kosoku gives them those of a message that was compressed; an
    echo that was sent plain, as RFC 7692 §6 leaves open, comes as a string, of Latin-1 when it is binary."""
    def on_message(case, message, binary):
        if isinstance(message, str):
            message = message.encode("latin-1" if binary else "utf-8")
        heard(case, message, binary)
    return on_message


def mend_compression_cases():
    for case in kosoku.cases.CASES.values():
        if case.__name__.startswith(("Case12_", "Case13_")):
            case.onMessage = hear_bytes(case.onMessage)


async def run(url, concurrency, patterns):
    try:
        return await kosoku.run_fuzzingclient(url, patterns, concurrency=concurrency)
    except kosoku.FailureError as failed:  # it has the results of all
        return failed.results


def main():
    mend_compression_cases()
    for result in asyncio.run(run(sys.argv[1], int(sys.argv[2]), sys.argv[3:])):
        print(json.dumps(verdict(result)))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
