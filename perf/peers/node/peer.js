// perf/peers/node/peer.js: rooms' states by npm's ws.
//
//   node peer.js PORT TICK_MS PAYLOAD BURST ws|raw
//
// "ws" hands each client the state, as a buffer that was encoded once, by ws's own send. "raw" writes
// a frame that was built once to each client's socket, past ws. A client whose socket has not taken
// its last state is passed over. Says on stderr when it listens, and after SIGTERM how many messages
// it has heard.
"use strict";
const { createServer } = require("http");
const { WebSocketServer } = require("ws");

const [port, tickMs, payload, burst] = process.argv.slice(2, 6).map(Number);
const raw = process.argv[6] === "raw";
const tick = BigInt(tickMs) * 1_000_000n;
const rooms = new Map();
let heard = 0;

function encode(room) {
  room.sequence += 1;
  const state = { phase: "idle", pot: 0, time_remaining_ms: 0, t: 0, s: room.sequence };
  state.t = Number(process.hrtime.bigint()); // CLOCK_MONOTONIC; exact for 104 days
  const missing = payload - JSON.stringify(state).length - ',"pad":""'.length;
  if (missing >= 0) state.pad = "x".repeat(missing);
  return Buffer.from(JSON.stringify(state));
}

/* A server's text frame (RFC 6455 §5.2) of up to 65,535 bytes. */
function frame(text) {
  const header = Buffer.alloc(text.length < 126 ? 2 : 4);
  header[0] = 0x81;
  header[1] = text.length < 126 ? text.length : 126;
  if (text.length >= 126) header.writeUInt16BE(text.length, 2);
  return Buffer.concat([header, text]);
}

function show(room) {
  const states = Array.from({ length: burst }, () => encode(room));
  const wire = raw ? Buffer.concat(states.map(frame)) : null;
  for (const client of room.members) {
    if (client.bufferedAmount > 0 || client.readyState !== client.OPEN) continue;
    if (raw) client._socket.write(wire);
    else for (const state of states) client.send(state, { binary: false });
  }
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

function roomOf(path) {
  let room = rooms.get(path);
  if (room === undefined) {
    const turn = (rooms.size * (Math.sqrt(5) - 1)) / 2; // their ticks lie between each other
    const phase = BigInt(Math.floor((turn % 1) * Number(tick)));
    room = { members: new Set(), sequence: 0, due: process.hrtime.bigint() + phase };
    rooms.set(path, room);
    run(room);
  }
  return room;
}

const http = createServer();
const server = new WebSocketServer({ server: http, perMessageDeflate: false });
server.on("connection", (client, request) => {
  const room = roomOf(request.url);
  room.members.add(client);
  client.on("message", () => { heard += 1; });
  client.on("close", () => room.members.delete(client));
  client.on("error", () => client.terminate());
});
process.on("SIGTERM", () => {
  process.stderr.write(`heard ${heard}\n`, () => process.exit(0));
});
http.listen({ port, host: "127.0.0.1", backlog: 4096 }, () => process.stderr.write("listening\n"));
