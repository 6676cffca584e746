// tests/e2e/ws_avalon_client.js URL CODE TOKEN_A TOKEN_B: the transcript of S2 with npm's `ws`. Prints
// `ok` or what was wrong.
'use strict';
const assert = require('assert');
const WebSocket = require('ws');

const [url, code, tokenA, tokenB] = process.argv.slice(2);

// A connection whose messages are taken one by one.
class Member {
  constructor(path, protocols, options) {
    this.socket = new WebSocket(`${url}${path}`, protocols, options);
    this.waiting = [];
    this.come = [];
    this.closed = new Promise((resolve) => this.socket.on('close', (number, reason) => resolve([number, reason.toString()])));
    this.ponged = new Promise((resolve) => this.socket.on('pong', (data) => resolve(data.toString())));
    this.socket.on('message', (data) => {
      const text = data.toString();
      if (this.waiting.length > 0) this.waiting.shift()(text);
      else this.come.push(text);
    });
    this.open = new Promise((resolve, reject) => {
      this.socket.on('open', resolve);
      this.socket.on('unexpected-response', (_, response) => reject(new Error(`status ${response.statusCode}`)));
      this.socket.on('error', reject);
    });
  }

  take() {
    if (this.come.length > 0) return Promise.resolve(this.come.shift());
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  say(value) {
    this.socket.send(JSON.stringify(value));
  }
}

async function play() {
  const a = new Member(`/ws/rooms/${code}?token=${tokenA}`, []);
  await a.open;
  assert.equal(JSON.parse(await a.take()).type, 'state');
  const b = new Member(`/ws/rooms/${code}/connect`, ['ringcast.event', `bearer.${tokenB}`]);
  await b.open;
  assert.equal(b.socket.protocol, 'ringcast.event');
  assert.equal(JSON.parse(await b.take()).type, 'state');
  assert.equal(JSON.parse(await a.take()).event, 'participant_joined');

  a.say({ type: 'chat', correlation_id: 'c1', payload: { message: 'hi' } });
  const got = await b.take();
  assert.match(got, /^\{"type":"event","event":"chat","payload":\{"player_id":"[\w-]{16}","display_name":"Ann","message":"hi","ts":\d{13}\}\}$/);
  assert.equal(await a.take(), `${got.slice(0, -1)},"correlation_id":"c1"}`);

  b.say({ type: 'chat', payload: { message: 'hello' } });
  const answer = await a.take();
  assert.match(answer, /"display_name":"Bob","message":"hello","ts":\d{13}\}\}$/);
  assert.equal(await b.take(), answer);
  a.socket.ping('from ws');
  assert.equal(await a.ponged, 'from ws');

  a.say({ type: 'vote', correlation_id: 'c2', payload: {} });
  assert.match(await a.take(), /^\{"type":"error","event":"unsupported","payload":\{"code":"unsupported","message":"[^"]+"\},"correlation_id":"c2"\}$/);

  const again = new Member(`/ws/rooms/${code}`, [], { headers: { Authorization: `Bearer ${tokenA}` } });
  await again.open;
  assert.deepEqual(await a.closed, [4409, 'replaced']);
  await again.take();
  again.socket.close(1000);
  assert.deepEqual(await again.closed, [1000, '']);
  b.socket.close(1000);
  await b.closed;

  const refused = new Member(`/ws/rooms/${code}?token=${tokenA}x`, []);
  await assert.rejects(refused.open, /status 401/);
}

play().then(() => { console.log('ok'); process.exit(0); }, (error) => { console.log(error.message); process.exit(1); });
setTimeout(() => { console.log('not over in time'); process.exit(1); }, 20000).unref();
