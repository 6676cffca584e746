"""perf/micro/inbound.py --micro PATH: user-space instructions per inbound message, part by part.

Runs `ringcast-micro inbound --only PART` under callgrind with so many messages and with four times as
many: the difference is the messages', and repeats to the instruction. Nothing of the kernel is in it.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import instructions

PARTS = ("yyjson", "frame", "envelope", "game", "whole")
SIZES = (64, 128, 256, 512, 1024, 4096)


def count(micro, part, size, messages):
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "callgrind"
        subprocess.run(["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}", micro, "inbound",
                        "--only", part, "--size", str(size), "--count", str(messages)],
                       check=True, capture_output=True)
        return sum(instructions.instructions_of(out).values())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--micro", required=True, help="ringcast-micro")
    parser.add_argument("--messages", type=int, default=256)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("inbound: valgrind is needed: apt-get install valgrind", file=sys.stderr)
        return 2
    print("\n  user-space instructions a message\n\n  bytes " + "".join(f"{part:>10}" for part in PARTS)
          + "   whole / yyjson")
    figures = {}
    for size in SIZES:
        costs = {part: (count(options.micro, part, size, 4 * options.messages)
                        - count(options.micro, part, size, options.messages)) / (3 * options.messages)
                 for part in PARTS}
        figures[size] = costs
        print(f"  {size:5} " + "".join(f"{costs[part]:10.0f}" for part in PARTS)
              + f"   {costs['whole'] / costs['yyjson']:14.2f}", flush=True)
    print()
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
