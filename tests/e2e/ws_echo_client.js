// tests/e2e/ws_echo_client.js URL: npm's `ws` against /echo, end to end. Prints `ok` or what was wrong.
'use strict';
const WebSocket = require('ws');

const socket = new WebSocket(process.argv[2], { maxPayload: 32 * 1024 * 1024, perMessageDeflate: false });
const large = Buffer.alloc(16 * 1024 * 1024, (_, i) => i);
large.fill('0123456789abcdef');
const messages = ['', 'grüße', Buffer.alloc(0), Buffer.from([0, 1, 255]), 'x'.repeat(70000), large, 'last'];
let heard = 0;
let pongs = 0;

function fail(text) {
  console.log(text);
  process.exit(1);
}

function isLike(data, isBinary, wanted) {
  return isBinary === Buffer.isBuffer(wanted) && data.equals(Buffer.from(wanted));
}

socket.on('error', (error) => fail(`error: ${error.message}`));
socket.on('pong', (data) => { if (data.toString() === 'from ws') pongs += 1; });
socket.on('open', () => {
  messages.forEach((message) => socket.send(message));
  socket.ping('from ws');
  socket.send('in two ', { fin: false });
  socket.send('pieces', { fin: true });
});

socket.on('message', (data, isBinary) => {
  const wanted = heard < messages.length ? messages[heard] : 'in two pieces';
  if (!isLike(data, isBinary, wanted)) fail(`message ${heard} is not as it was sent`);
  heard += 1;
  if (heard === messages.length + 1) socket.close(1000, 'thank you');
});

socket.on('close', (code) => {
  if (code !== 1000 || heard !== messages.length + 1 || pongs !== 1)
    fail(`closed with ${code} after ${heard} messages and ${pongs} pongs`);
  console.log('ok');
});

setTimeout(() => fail('not over in time'), 20000).unref();
