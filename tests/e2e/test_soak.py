"""tests/e2e/test_soak.py: perf/soak.py for 20 s, and that it finds what is wrong.
(What it promises at length is measured by itself: perf/README.md.)"""
import json
import pathlib
import subprocess
import sys

from harness import alone, binary
from rawclient import CLOSE, PONG, TEXT, make_frame

PERF = pathlib.Path(__file__).resolve().parent.parent.parent / "perf"
sys.path.insert(0, str(PERF))
import soak  # noqa: E402

SIZE = 300


@alone
def test_soak_for_20_seconds():
    """odd readers of three rooms on two workers, under each policy, get no wrong byte for 20 s (R1, C8)"""
    run = subprocess.run([sys.executable, str(PERF / "soak.py"), "--server", binary(), "--for", "20s",
                          "--round", "4s"], capture_output=True, text=True, timeout=55)
    print(run.stdout[-6000:], run.stderr[-2000:])
    assert run.returncode == 0, run.returncode
    assert "soak: holds: " in run.stdout


def payload(number, size=SIZE, pad=b"x"):
    text = (b'{"phase":"idle","pot":0,"time_remaining_ms":0,"t":%d,"s":%d,"pad":"' % (1000 + number, number))
    return text + pad * (size - len(text) - 2) + b'"}'


def frame(opcode, data):
    return make_frame(opcode, data, mask=False)


def state(number, **how):
    return frame(TEXT, payload(number, **how))


def what_is_wrong(*pieces, gapless=False, pings=()):
    """What a stream says of these bytes; another member has got states 1 to 9 before. None: nothing."""
    room = soak.Room(SIZE)
    for number in range(1, 10):
        room.check(payload(number))
    stream = soak.Stream(room, gapless)
    stream.pings.extend(pings)
    try:
        for piece in pieces:
            stream.feed(piece)
    except soak.Wrong as why:
        return str(why)
    return None


def test_soak_believes_what_is_right():
    """the soak's checker finds nothing in right streams, however they are cut"""
    whole = state(1) + state(2) + frame(PONG, b"b") + state(5) + frame(CLOSE, b"\x03\xe8")
    assert what_is_wrong(whole, pings=[b"a", b"b"]) is None
    assert what_is_wrong(*(bytes([byte]) for byte in whole), pings=[b"b"]) is None
    assert what_is_wrong(state(3) + state(4), gapless=True) is None
    room = soak.Room(126)
    stream = soak.Stream(room, True)
    for number in (10, 11):
        stream.feed(state(number, size=126))
    assert (stream.states, stream.last, stream.missed) == (2, 11, 0)


def test_soak_finds_one_wrong_byte():
    """the soak's checker finds any byte of a state that is another than the other members got"""
    right = state(3)
    for at in range(len(right)):
        for bit in (0x01, 0x04, 0x80):
            wrong = bytearray(right)
            wrong[at] ^= bit
            said = what_is_wrong(state(2), bytes(wrong), state(4))
            assert said is not None, f"byte {at} of {right[at]:#x} was {wrong[at]:#x}, and nobody minded"


def test_soak_finds_what_is_out_of_order():
    """the soak's checker finds states that come twice, too late, cut short, or not at all where none may
    be left out"""
    for pieces in ((state(3), state(3)), (state(3), state(2)), (state(3)[:-1] + state(4),),
                   (state(3), state(4)[1:]), (state(10, size=SIZE - 1),), (state(10, pad=b"y"),),
                   (frame(CLOSE, b"\x03\xe8"), state(3)), (frame(TEXT, b"{}"),),
                   (frame(PONG, b"unasked"),)):
        assert what_is_wrong(*pieces) is not None, pieces
    assert what_is_wrong(state(3), state(5)) is None
    assert "1 are missing" in what_is_wrong(state(3), state(5), gapless=True)
    assert "instead of" in what_is_wrong(frame(TEXT, payload(3).replace(b'"pot":0', b'"pot":1')))
    assert json.loads(payload(3))["s"] == 3
