// tests/e2e/ws_vote_client.js URL HTTP: the transcript of S1 with npm's `ws` and Node's fetch. Prints `ok` or what was
// wrong.
'use strict';
const assert = require('assert');
const WebSocket = require('ws');

const [url, http] = process.argv.slice(2);

async function call(status, method, path, body) {
  const response = await fetch(`${http}/api/rooms${path}`, { method, body });
  const answer = await response.text();
  assert.equal(response.status, status, `${method} ${path}: ${answer}`);
  return answer;
}

// A connection whose messages are taken one by one.
function open(path, protocols) {
  const socket = new WebSocket(`${url}${path}`, protocols);
  const come = [];
  const waiting = [];
  socket.on('message', (data, isBinary) => {
    assert.ok(!isBinary);
    if (waiting.length > 0) waiting.shift()(data.toString());
    else come.push(data.toString());
  });
  socket.take = () => (come.length > 0 ? Promise.resolve(come.shift()) : new Promise((resolve) => waiting.push(resolve)));
  socket.expect = async (wanted) => assert.equal(await socket.take(), wanted);
  socket.closed = new Promise((resolve) => socket.on('close', (code, reason) => resolve([code, reason.toString()])));
  socket.ponged = new Promise((resolve) => socket.on('pong', (data) => resolve(data.toString())));
  return new Promise((resolve, reject) => {
    socket.on('open', () => resolve(socket));
    socket.on('unexpected-response', (_, response) => reject(new Error(`status ${response.statusCode}`)));
    socket.on('error', reject);
  });
}

async function play() {
  const room = JSON.parse(await call(200, 'POST', '')).room_id;
  const message = (type, data) => JSON.stringify({ type, room_id: room, data });
  const status = (name, count) => message('room_status', { status: name, participants_count: count });
  const a = await open(`/api/rooms/${room}/ws`, ['ringcast.room']);
  assert.equal(a.protocol, 'ringcast.room');
  await a.expect(status('LOBBY', 1));
  const b = await open(`/api/rooms/${room}/ws`, []);
  await b.expect(status('LOBBY', 2));
  await a.expect(message('participant_joined', { message: 'participant joined', participants_count: 2 }));
  const both = (wanted) => Promise.all([a.expect(wanted), b.expect(wanted)]);

  a.send('nobody listens');
  a.ping('from ws');
  assert.equal(await a.ponged, 'from ws');
  assert.equal(await call(200, 'PATCH', `/${room}/participate`, '{"text":"pizza"}'), '');
  await both(message('participant_ready', { message: 'participant ready' }));
  assert.equal(await call(400, 'PATCH', `/${room}/participate`, '{bad'), '{"error":"incorrect request"}');
  await call(200, 'PATCH', `/${room}/start`);
  await both(message('voting_started', { message: 'voting started', redirect_url: '/voting' }));
  await both(status('VOTING', 2));
  assert.equal(await call(409, 'PATCH', `/${room}/start`), '{"error":"voting has started"}');
  await call(200, 'PATCH', `/${room}/release`);
  await both(status('FINISHED', 2));
  assert.deepEqual(await a.closed, [4410, 'room_closed']);
  assert.deepEqual(await b.closed, [4410, 'room_closed']);
  await assert.rejects(open(`/api/rooms/${room}/ws`, []), /status 404/);
}

play().then(() => { console.log('ok'); process.exit(0); }, (error) => { console.log(error.message); process.exit(1); });
setTimeout(() => { console.log('not over in time'); process.exit(1); }, 20000).unref();
