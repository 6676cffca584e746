"""tests/sim/mutate.py MUTATION SOURCE OUTPUT: the source with the mutation made.

A mutation is `file:` and `what:` lines, `---`, text that the file has once, `+++`, its replacement. When the text is no
longer there the build fails: then say anew what to break.
"""
import pathlib
import sys

mutation, source, output = map(pathlib.Path, sys.argv[1:])
old, new = mutation.read_text().split("\n---\n")[1].split("\n+++\n")
text = source.read_text()
if text.count(old) != 1:
    sys.exit(f"{mutation.name}: {source.name} holds its text {text.count(old)} times, wanted once: say anew what to break")
output.write_text(text.replace(old, new.removesuffix("\n")))
