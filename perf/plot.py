"""perf/plot.py: figures as pictures. (`./zigw build perf -- plot FILE.json... --to FOLDER`)

Reads what `--json` has kept and writes SVG files, each whole in itself: any browser shows them.

    percentiles-WHAT.svg  of how late the states of each scenario were, a curve for each, of the window whose 99th
                          percentile is the median one; WHAT is what that lateness is counted from
    cost-WHAT.svg         CPU for a delivered state against members, or rooms: of `curve`
    memory.svg            of a connection, of each scenario: the server's, and the kernel's for its sockets
"""
import argparse
import json
import math
import pathlib
import sys
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 860, 480
LEFT, RIGHT, TOP, BOTTOM = 76, 260, 56, 64  # margins of the area; the names of the curves are to its right
COLORS = ("#1f6fb4", "#d1495b", "#3a8f5d", "#8a5fb0", "#c98a1b", "#14868c", "#a0522d", "#6b7280", "#b5179e", "#5c7f1f")
DASHES = ("", "7 4", "2 3")


# ---- drawing

class Axis:
    """From a figure to a place; `log` for figures that differ by magnitudes."""

    def __init__(self, low, high, begin, end, log=False):
        self.log, self.begin, self.end = log, begin, end
        self.low, self.high = low, high if high != low else low * 2 or 1

    def place(self, value):
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)


def step_of(high):
    """A round step that gives four to nine marks up to there."""
    magnitude = 10 ** math.floor(math.log10(high / 4))
    return next(magnitude * one for one in (1, 2, 5, 10) if high / (magnitude * one) <= 9)


def marks_of(axis):
    if not axis.log:
        step = step_of(axis.high - axis.low)
        first = math.ceil(axis.low / step)
        return [index * step for index in range(first, math.floor(axis.high / step + 1e-9) + 1)]
    first, last = math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high))
    few = last - first <= 3
    marks = [10 ** power * one for power in range(first, last + 1) for one in ((1, 2, 5) if few else (1,))]
    return [mark for mark in marks if axis.low * 0.999 <= mark <= axis.high * 1.001]


def number(value):
    """As people write it: 0.05, 2, 15,000."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.6f}".rstrip("0").rstrip(".")


class Picture:
    def __init__(self, title, about):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>']
        self.text(LEFT, 24, title, size=16)
        self.text(LEFT, 42, about, color="#666666")

    def text(self, x, y, words, anchor="start", size=12, color="#222222", turn=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
                          f'fill="{color}"{turn}>{escape(words)}</text>')

    def line(self, x1, y1, x2, y2, color, width=1):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" '
                          f'stroke-width="{width}"/>')

    def box(self, x, y, width, height, color):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{height:.1f}" '
                          f'fill="{color}"/>')

    def curve(self, places, index):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        dash = DASHES[index // len(COLORS) % len(DASHES)]
        self.parts.append(f'<polyline points="{points}" fill="none" stroke="{COLORS[index % len(COLORS)]}" '
                          'stroke-width="2"' + (f' stroke-dasharray="{dash}"' if dash else "") + "/>")

    def frame(self, x_axis, y_axis, x_name, y_name, x_labels=None):
        bottom = HEIGHT - BOTTOM
        for mark in marks_of(y_axis):
            y = y_axis.place(mark)
            self.line(LEFT, y, WIDTH - RIGHT, y, "#e4e4e4")
            self.text(LEFT - 8, y + 4, number(mark), anchor="end")
        for mark, label in x_labels or [(mark, number(mark)) for mark in marks_of(x_axis)]:
            x = x_axis.place(mark)
            self.line(x, TOP, x, bottom, "#e4e4e4")
            self.text(x, bottom + 18, label, anchor="middle")
        self.line(LEFT, TOP, LEFT, bottom, "#222222")
        self.line(LEFT, bottom, WIDTH - RIGHT, bottom, "#222222")
        self.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 20, x_name, anchor="middle")
        middle = (TOP + bottom) / 2
        self.text(20, middle, y_name, anchor="middle", turn=f' transform="rotate(-90 20 {middle:.1f})"')

    def names(self, names):
        for index, name in enumerate(names):
            y = TOP + 10 + index * 18
            if y > HEIGHT - 12:
                break
            self.curve([(WIDTH - RIGHT + 14, y), (WIDTH - RIGHT + 40, y)], index)
            self.text(WIDTH - RIGHT + 46, y + 4, name)

    def write(self, path):
        path.write_text("\n".join([*self.parts, "</svg>"]) + "\n")
        return path


# ---- pictures

def about_of(machine):
    return f"{machine['date']}, Linux {machine['kernel']}, {machine['cores']} x {machine['cpu']}"


def median_window(windows, field):
    return sorted(windows, key=lambda window: window[field]["p99"])[len(windows) // 2]


def percentiles(field, what, results, folder):
    """x is the share that is slower, by magnitudes; y the milliseconds."""
    curves = []
    for result in results:
        histogram = median_window(result["windows"], field)[field]
        points = [(1 - share, max(value, 1000) / 1e6) for share, value in histogram["curve"]]
        curves.append((result["name"], [(rest, value) for rest, value in points if rest > 0]))
    lowest = min(rest for _, points in curves for rest, _ in points)
    values = [value for _, points in curves for _, value in points]
    x_axis = Axis(1, lowest, LEFT, WIDTH - RIGHT, log=True)
    y_axis = Axis(min(values), max(values), HEIGHT - BOTTOM, TOP, log=True)
    picture = Picture(f"How late: {what}", about_of(results[0]["machine"]))
    labels = [(10 ** -power, f"{100 * (1 - 10 ** -power):.{max(power - 2, 0)}f} %")
              for power in range(0, math.floor(-math.log10(lowest)) + 1)]
    picture.frame(x_axis, y_axis, "share that is not later", "milliseconds", labels)
    for index, (_, points) in enumerate(curves):
        picture.curve([(x_axis.place(rest), y_axis.place(value)) for rest, value in points], index)
    picture.names([name for name, _ in curves])
    return picture.write(folder / f"percentiles-{field.removesuffix('_ns')}.svg")


def cost(result, axis, folder):
    """Of one curve: the median CPU of each point, with the lowest and the highest as a bar."""
    points = result["curves"][axis]
    x_axis = Axis(points[0]["at"], points[-1]["at"], LEFT + 10, WIDTH - RIGHT - 10, log=True)
    names = [name for name in ("ringcast", "floor") if name in points[0]]
    top = max(point[name]["highest"] for point in points for name in names)
    y_axis = Axis(0, top * 1.1, HEIGHT - BOTTOM, TOP)
    picture = Picture(f"CPU for a delivered state against {axis}", about_of(result["machine"]))
    picture.frame(x_axis, y_axis, f"{axis}, as many deliveries a second at each", "microseconds")
    for index, name in enumerate(names):
        places = []
        for point in points:
            x, one = x_axis.place(point["at"]), point[name]
            picture.line(x, y_axis.place(one["lowest"]), x, y_axis.place(one["highest"]), COLORS[index], 1)
            places.append((x, y_axis.place(one["median"])))
        picture.curve(places, index)
    picture.names(names)
    return picture.write(folder / f"cost-{axis}.svg")


def memory(results, folder):
    """A bar for each scenario: the server's own bytes, then the kernel's, both ends."""
    parts = (("resident", "the server"), ("socket_objects", "kernel: socket objects, both ends"),
             ("socket_buffers", "kernel: buffers, both ends"))
    rows = [(result["name"], [max(result["memory"]["each"][key] or 0, 0) / 1024 for key, _ in parts])
            for result in results]
    x_axis = Axis(0, max(sum(sizes) for _, sizes in rows) * 1.05, LEFT + 90, WIDTH - RIGHT)
    height = min(34, (HEIGHT - TOP - BOTTOM) / len(rows))
    picture = Picture("Memory for a connection", about_of(results[0]["machine"]))
    for mark in marks_of(x_axis):
        picture.line(x_axis.place(mark), TOP, x_axis.place(mark), HEIGHT - BOTTOM, "#e4e4e4")
        picture.text(x_axis.place(mark), HEIGHT - BOTTOM + 18, number(mark), anchor="middle")
    picture.text((LEFT + 90 + WIDTH - RIGHT) / 2, HEIGHT - 20, "KiB", anchor="middle")
    for row, (name, sizes) in enumerate(rows):
        y, at = TOP + row * height, 0
        picture.text(LEFT + 82, y + height / 2 + 4, name, anchor="end")
        for index, size in enumerate(sizes):
            picture.box(x_axis.place(at), y + 2, x_axis.place(at + size) - x_axis.place(at), height - 4, COLORS[index])
            at += size
    picture.names([name for _, name in parts])
    return picture.write(folder / "memory.svg")


# ---- from files

def arguments(words):
    parser = argparse.ArgumentParser(prog="perf -- plot", description=__doc__.split("\n")[0])
    parser.add_argument("--server", help=argparse.SUPPRESS)
    parser.add_argument("--bench", help=argparse.SUPPRESS)
    parser.add_argument("files", nargs="+", metavar="FILE.json", type=pathlib.Path,
                        help="what `scenario` or `curve` has kept; a folder means all in it")
    parser.add_argument("--to", required=True, type=pathlib.Path, metavar="FOLDER")
    return parser.parse_args(words)


def read(files):
    paths = [path for one in files for path in (sorted(one.glob("*.json")) if one.is_dir() else [one])]
    return [json.loads(path.read_text()) for path in paths]


def with_curve(results, field):
    """Scenarios whose every window has that histogram, and not an empty one."""
    return [result for result in results
            if all(window.get(field, {}).get("curve") for window in result["windows"])]


def draw(results, folder):
    """Yields the paths."""
    scenarios = [result for result in results if result.get("kind") == "scenario"]
    for field, what in (("lateness_ns", "from when it was due"), ("latency_ns", "from when it was made or sent")):
        shown = with_curve(scenarios, field)
        if field == "lateness_ns":  # where more is due than can be done, all is late
            shown = [result for result in shown if not result["load"]["saturates"]]
        if shown:
            yield percentiles(field, what, shown, folder)
    for result in results:
        if result.get("kind") == "curve":
            yield from (cost(result, axis, folder) for axis in result["curves"])
    if scenarios:
        yield memory(scenarios, folder)


def main(words):
    options = arguments(words)
    try:
        results = read(options.files)
    except (OSError, ValueError) as why:
        print(f"perf: not drawn: {why}", file=sys.stderr)
        return 2
    options.to.mkdir(parents=True, exist_ok=True)
    paths = list(draw(results, options.to))
    for path in paths:
        print(path)
    if not paths:
        print("perf: not drawn: none of these is of a scenario or a curve", file=sys.stderr)
    return 0 if paths else 2


if __name__ == "__main__":
    sys.exit("run it as ./zigw build perf -- plot FILE.json... --to FOLDER")
