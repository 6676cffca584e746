"""perf/handshakes.py: how many clients a core lets in a second, with tokens and without.
(`./zigw build perf -- handshakes`)

One server. Two crowds take turns: one comes to places in avalon's rooms, each time with a token that
nobody has shown before, the other to /ws, which asks for none. Who comes is greeted and leaves.
"""
import contextlib
import os
import sys
import tempfile

import avalon
import common

TOKENS_MIN = 2000  # a second of the server's CPU


class Crowd:
    def __init__(self, options, server, environment, targets, core, stack):
        command = [options.bench, "knock", "--server", server.address, "--at-once", options.clients,
                   "--seconds", options.seconds, "--server-pid", server.process.pid]
        if targets is not None:
            command += ["--targets", targets]
        self.bench = common.Steered(core, command, env={**os.environ, **environment})
        stack.callback(common.end, self.bench.process)
        self.bench.wait_until_asking()

    def turn(self):
        return self.bench.window()


def per_core(figures):
    """Handshakes for a second of the server's CPU, ksoftirqd's included."""
    return 1e6 / figures["server_cpu_us_per_handshake"]


def cost(figures):
    return figures["server_cpu_us_per_handshake"]


def show_pair(index, plain, tokens):
    print(f"  {index + 1:4} {cost(plain):10.1f} {cost(tokens):9.1f} {cost(tokens) / cost(plain):9.3f}"
          f" {per_core(plain):10.0f} {per_core(tokens):8.0f}"
          f" {plain['per_second']:10.0f} {tokens['per_second']:8.0f}"
          f" {plain['server_load'] * 100:7.0f} {tokens['server_load'] * 100:6.0f}"
          f" {plain['client_load'] * 100:7.0f} {tokens['client_load'] * 100:6.0f}", flush=True)


def complaints_of_window(name, figures):
    if figures["faults"]:
        yield f"{name}: faults: {figures['faults']}"
    if figures["closed"]:
        yield f"{name}: clients were closed before they left: {figures['closed']}"
    if not figures["came"] == figures["greeted"] == figures["left"]:
        yield (f"{name}: of {figures['came']} that came {figures['greeted']} were greeted and "
               f"{figures['left']} answered")


def complaints_of_count(server, tokens, plain):
    """Whether the server has counted the same; the metrics are of its whole life."""
    metrics = server.metrics()
    for kind, came in (("avalon", tokens), ("kart", plain)):
        counted = metrics.get(f'ringcast_connections_accepted_total{{kind="{kind}"}}', 0)
        if counted != came:
            yield f"the server counts {counted:.0f} who came to {kind}, the crowd {came}"
    if metrics.get("ringcast_handshakes_rejected_total", 0) > 0:
        yield f"the server refused {metrics['ringcast_handshakes_rejected_total']:.0f} handshakes"


def start(options, core, folder, stack):
    """(server, its environment, the file of places)"""
    environment = avalon.environment()
    server = common.Server(options.server, core, folder, "--workers", "1",
                           *avalon.options(options.rooms, options.members), environment=environment)
    stack.callback(common.end, server.process)
    server.wait_until_ready()
    targets = os.path.join(folder, "targets")
    with open(targets, "w") as file:
        for path, _, room, player, name in avalon.make_rooms(server, options.rooms, options.members):
            file.write(f"{path} {room} {player} {name}\n")
    return server, environment, targets


def measure(options, cores, folder, stack):
    """(pairs, complaints)"""
    server, environment, targets = start(options, cores[0], folder, stack)
    plain = Crowd(options, server, environment, None, cores[1], stack)
    tokens = Crowd(options, server, environment, targets, cores[1], stack)
    pairs, complaints = [], []
    print(f"\n  {options.clients} at once, {options.rooms * options.members} places, windows of "
          f"{options.seconds} s\n\n"
          "  server CPU a handshake, us            for a CPU second      for a second    server CPU %  client CPU %\n"
          "  pair      plain    tokens     ratio      plain   tokens      plain   tokens   plain tokens  plain tokens",
          flush=True)
    for index in range(options.pairs):
        crowds = (plain, tokens) if index % 2 == 0 else (tokens, plain)
        figures = {crowd: crowd.turn() for crowd in crowds}
        pairs.append((figures[plain], figures[tokens]))
        show_pair(index, *pairs[-1])
        for name, crowd in (("plain", plain), ("tokens", tokens)):
            complaints += complaints_of_window(f"pair {index + 1}, {name}", figures[crowd])
    complaints += complaints_of_count(server, pairs[-1][1]["came"], pairs[-1][0]["came"])
    for crowd in (plain, tokens):
        if crowd.bench.finish() != 0:
            complaints.append(f"a crowd ended with exit code {crowd.bench.process.returncode}: {crowd.bench.said}")
    return pairs, complaints


def run(options):
    """(all figures, complaints, the claim)"""
    cores = common.two_cores()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        pairs, complaints = measure(options, cores, folder, stack)
    ratio, low, high = common.median_and_interval([cost(tokens) / cost(plain) for plain, tokens in pairs])
    rate, rate_low, rate_high = common.median_and_interval([per_core(tokens) for _, tokens in pairs])
    print(f"\n  with a token / without: {ratio:.3f} [{low:.3f}, {high:.3f}], the median of {len(pairs)} pairs"
          f"\n  with a token: {rate:.0f} [{rate_low:.0f}, {rate_high:.0f}] for a second of the server's CPU")
    if rate < TOKENS_MIN:
        complaints.append(f"a core lets {rate:.0f} clients with tokens in a second")
    claim = f"a core lets at least {TOKENS_MIN} clients in a second that show a token each (HS256)"
    return {"pairs": pairs, "ratio": ratio, "interval": [low, high], "per_cpu_second": rate,
            "per_cpu_second_interval": [rate_low, rate_high]}, complaints, claim


if __name__ == "__main__":
    sys.exit("run it as ./zigw build perf -- handshakes")
