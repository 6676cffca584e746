// perf/peers/bun/peer.js: rooms' states by Bun's own server, which is uWebSockets: a topic for each
// room, and publish.
//
//   bun peer.js PORT TICK_MS PAYLOAD BURST
//
// A client that has anything left of its last state is passed over (backpressureLimit). Says on stderr
// when it listens, and after SIGTERM how many messages it has heard.
import { dlopen } from "bun:ffi";

const [port, tickMs, payload, burst] = process.argv.slice(2, 6).map(Number);
const tick = BigInt(tickMs) * 1_000_000n;
const rooms = new Map();
let heard = 0;

/* CLOCK_MONOTONIC in ns, which Bun counts too, but from when it was started. Exact for 104 days. */
const { symbols } = dlopen("libc.so.6", { clock_gettime: { args: ["i32", "ptr"], returns: "i32" } });
const clock = new BigInt64Array(2);
function monotonic() {
  symbols.clock_gettime(1, clock);
  return Number(clock[0] * 1_000_000_000n + clock[1]);
}

function encode(room) {
  room.sequence += 1;
  const state = { phase: "idle", pot: 0, time_remaining_ms: 0, t: 0, s: room.sequence };
  state.t = monotonic();
  const missing = payload - JSON.stringify(state).length - ',"pad":""'.length;
  if (missing >= 0) state.pad = "x".repeat(missing);
  return JSON.stringify(state);
}

function show(room) {
  for (let i = 0; i < burst; i++) server.publish(room.path, encode(room));
}

/* By the room's own clock, which does not drift. Ticks that are missed are left out; one that is due
   already when the last has been handled begins at once. */
function run(room) {
  const now = process.hrtime.bigint();
  if (now >= room.due) {
    room.due += ((now - room.due) / tick + 1n) * tick;
    show(room);
  }
  const left = room.due - process.hrtime.bigint();
  if (left > 0n) setTimeout(run, Math.ceil(Number(left) / 1e6), room);
  else setImmediate(run, room);
}

function open(path) {
  if (rooms.has(path)) return;
  const turn = (rooms.size * (Math.sqrt(5) - 1)) / 2; // their ticks lie between each other
  const phase = BigInt(Math.floor((turn % 1) * Number(tick)));
  const room = { path, sequence: 0, due: process.hrtime.bigint() + phase };
  rooms.set(path, room);
  run(room);
}

const server = Bun.serve({
  port,
  hostname: "127.0.0.1",
  fetch(request, server) {
    const path = new URL(request.url).pathname;
    if (!server.upgrade(request, { data: path })) return new Response("", { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    sendPings: false,
    idleTimeout: 0,
    backpressureLimit: 1,
    closeOnBackpressureLimit: false,
    open(client) {
      client.subscribe(client.data);
      open(client.data);
    },
    message() {
      heard += 1;
    },
  },
});
process.on("SIGTERM", () => {
  process.stderr.write(`heard ${heard}\n`, () => process.exit(0));
});
process.stderr.write("listening\n");
