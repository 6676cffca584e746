// tests/e2e/ws_lobby_client.js URL TOKEN_A TOKEN_B: a game of two with npm's `ws`. Prints `ok` or what was
// wrong.
'use strict';
const assert = require('assert');
const WebSocket = require('ws');

const [url, tokenA, tokenB] = process.argv.slice(2);

// Whoever plays: keeps the last state, and resolves what waits for another one.
class Player {
  constructor(token) {
    this.socket = new WebSocket(url, ['ringcast.v1', `bearer.${token}`]);
    this.state = null;
    this.acks = 0;
    this.waiting = [];
    this.socket.on('message', (data) => {
      const message = JSON.parse(data.toString());
      if (message.type === 'ack') this.acks += 1;
      if (message.type === 'state') this.state = message.payload;
      this.waiting = this.waiting.filter(([holds, resolve]) => !(this.state && holds(this.state)) || resolve());
    });
    this.socket.on('error', (error) => { console.log(error.message); process.exit(1); });
  }

  until(holds) {
    if (this.state && holds(this.state)) return Promise.resolve();
    return new Promise((resolve) => this.waiting.push([holds, resolve]));
  }

  move(move, id) {
    this.socket.send(JSON.stringify({ type: 'action', correlation_id: id, payload: { move } }));
  }
}

async function play() {
  const a = new Player(tokenA);
  await a.until((state) => state.phase === 'waiting');
  const b = new Player(tokenB);
  await Promise.all([a, b].map((player) => player.until((state) => state.phase === 'playing')));
  const columns = [3, 3, 4, 4, 5, 5, 6];
  for (let i = 0; i < columns.length; i += 1) {
    [a, b][i % 2].move(columns[i], `m${i}`);
    await Promise.all([a, b].map((player) => player.until((state) => state.moves === i + 1)));
  }
  assert.deepEqual(b.state.result, { winner: 'ann', by: 'line', line: [[3, 0], [4, 0], [5, 0], [6, 0]] });
  assert.deepEqual([a.acks, b.acks], [4, 3]);
  b.socket.close(1000);
}

play().then(() => { console.log('ok'); process.exit(0); }, (error) => { console.log(error.message); process.exit(1); });
setTimeout(() => { console.log('not over in time'); process.exit(1); }, 20000).unref();
