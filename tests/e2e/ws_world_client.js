// tests/e2e/ws_world_client.js URL TOKEN: a short life in the world with npm's `ws`. Prints `ok` or what was wrong.
'use strict';
const assert = require('assert');
const WebSocket = require('ws');

const [url, token] = process.argv.slice(2);
const socket = new WebSocket(url, ['ringcast.world']);
const heard = [];
const waiting = [];

const say = (type, payload) => socket.send(JSON.stringify({ type, payload }));

socket.on('message', (data, isBinary) => {
  assert(!isBinary);
  heard.push(JSON.parse(data.toString()));
  for (const look of waiting.splice(0)) look();
});
socket.on('error', (error) => { console.log(error.message); process.exit(1); });

// The payload of the first message of that type, from now on, that `fits`.
function next(type, fits = () => true) {
  let at = heard.length;
  return new Promise((resolve) => {
    const look = () => {
      for (; at < heard.length; at += 1) {
        const { type: kind, payload } = heard[at];
        if (kind === type && fits(payload)) return resolve(payload);
      }
      return waiting.push(look);
    };
    look();
  });
}

async function live() {
  await new Promise((resolve) => { socket.on('open', resolve); });
  assert.equal(socket.protocol, 'ringcast.world');
  const [result, seed, update] = [next('auth_result'), next('world_seed'), next('world_state_update')];
  say('auth', { token });
  const { success, spawnPoint } = await result;
  assert.equal(success, true);
  assert.equal((await seed).persistent, false);
  assert.equal((await update).entities[0].id, 'ann');
  const order = heard.map((message) => message.type);
  assert.deepEqual(order.slice(0, 2), ['auth_result', 'world_seed']);
  assert(order.indexOf('entity_enter') < order.indexOf('world_state_update'));

  const rotation = { x: 0, y: 0, z: 0, w: 1 };
  const position = { ...spawnPoint, y: spawnPoint.y + 2 };
  const moved = next('world_state_update', (payload) => payload.entities.some((entity) => entity.mode === 'flying'));
  say('player_update', { position, rotation, mode: 'flying', velocity: { x: 0, y: 2, z: 0 } });
  assert.equal((await moved).entities[0].velocity.y, 2);

  const correction = next('correction');
  say('player_update', { position: { ...position, x: position.x + 300 }, rotation, mode: 'flying' });
  assert.equal((await correction).reason, 'too_far');

  const tiles = next('chunk_meta');
  say('chunk_request', { tiles: [{ x: -1, z: -1, lod: 'near' }] });
  assert.equal((await tiles).tiles[0].lod, 'near');

  const refused = next('error');
  socket.send('{"type":');
  assert.equal((await refused).code, 'bad_message');

  const pong = new Promise((resolve) => { socket.on('pong', (data) => resolve(data.toString())); });
  socket.ping('still there?');
  assert.equal(await pong, 'still there?');
  const closed = new Promise((resolve) => { socket.on('close', resolve); });
  socket.close(1000);
  assert.equal(await closed, 1000);
}

live().then(() => { console.log('ok'); process.exit(0); }, (error) => { console.log(error.message); process.exit(1); });
setTimeout(() => { console.log('not over in time'); process.exit(1); }, 20000).unref();
