// tests/e2e/ws_client.js URL [SECONDS [OPTIONS EXTENSION]]: npm's `ws` against the server, end to end. OPTIONS are those
// of permessage-deflate in JSON, EXTENSION the name of what must be agreed on. Prints `ok` or what was wrong.
'use strict';
const WebSocket = require('ws');

const url = process.argv[2];
const seconds = Number(process.argv[3] || '0'); // how long to stay, answering pings
const options = process.argv[4] ? { perMessageDeflate: JSON.parse(process.argv[4]) } : {};
const extension = process.argv[5] || '';
const socket = new WebSocket(url, ['ringcast.bare'], options);
const states = [];
let pinged = 0;
let pong = null;

function fail(text) {
  console.log(text);
  process.exit(1);
}

function check(condition, text) {
  if (!condition) fail(text);
}

socket.on('error', (error) => fail(`error: ${error.message}`));
socket.on('unexpected-response', (_, response) => fail(`status ${response.statusCode}`));
socket.on('ping', () => { pinged += 1; });
socket.on('pong', (data) => { pong = data.toString(); });

socket.on('open', () => {
  check(socket.protocol === 'ringcast.bare', `protocol ${socket.protocol}`);
  check(socket.extensions === extension, `extensions ${socket.extensions}`);
  socket.send('CONFIRM_READY');
  socket.send('CONFIRM_READY '.repeat(200)); // long enough for `ws` to compress it
  socket.send(Buffer.from([0, 1, 2, 255]));
  socket.send('in two ', { fin: false });
  socket.send('pieces', { fin: true });
  socket.ping('from ws');
});

socket.on('message', (data, isBinary) => {
  check(!isBinary, 'a state came as binary');
  const text = data.toString();
  const state = JSON.parse(text);
  check(Object.keys(state).join().startsWith('phase,pot,time_remaining_ms'), `keys of ${text}`);
  check(Number.isSafeInteger(state.pot) && Number.isSafeInteger(state.time_remaining_ms), text);
  states.push(text);
  if (states.length === 3 && seconds === 0) socket.close(1000, 'thank you');
});

if (seconds > 0) setTimeout(() => socket.close(1000), seconds * 1000);

socket.on('close', (code) => {
  check(code === 1000, `closed with ${code} after ${states.length} states`);
  check(pong === 'from ws', `pong ${pong}`);
  check(seconds === 0 || pinged >= 2, `${pinged} pings in ${seconds} s`);
  check(states.length >= 3, `${states.length} states`);
  console.log('ok');
});

setTimeout(() => fail('not over in time'), 20000).unref();
