// A backend without the gateway has its calls counted: by name, or by leases. No buyer pays twice, and a seller loses one lease.
//
//  1. The doors open to their secret alone. A wrong one counts against its sender.
//  2. A named call counts once, also across a SIGKILL; its name is known for ten minutes.
//  3. Introspection tells how a token stands, and nothing of one that is not good.
//  4. The example backend asks once for fifty calls while four hundred are left.
//  5. 200 calls are exactly 200, at one backend and at three at once.
//  6. SIGKILL of the worker with a lease out: what is lent goes on being served, then calls stop, and in the end 200 are 200.
//  7. SIGKILL of a backend with a lease out: nobody is told to pay for what may come back, and after the lease it is back.
//  8. A backend that is stopped reports everything and gives everything back.

import assert from 'node:assert/strict';
import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import { startBackend } from '../tools/lib/backend.mjs';
import { call } from './support/calls.mjs';
import { stored } from './support/facts.mjs';
import { poll } from './support/poll.mjs';
import { letTimePass } from './support/time-passes.mjs';
import { useWorld } from './support/world.mjs';
import { buy } from './support/x402.mjs';

const SECRET = randomBytes(32).toString('hex');
const LIMITS = { small: { quota: { calls: 200 } }, large: { quota: { calls: 800 } }, credit: { quota: { credit: '$0.05' } }, plain: {} };
const PLANS = Object.entries(LIMITS).map(([planId, limits]) => ({ planId, unitAmount: '$0.015', ...limits }));
const world = useWorld({ backend: false, vars: { PLANS: JSON.stringify(PLANS), KEY0_METER_SECRET: SECRET } });

/** Between backends and worker: counts what passes. */
let trips = 0;
const proxy = createServer(async (request, response) => {
  trips += 1;
  const body = Buffer.concat(await Array.fromAsync(request));
  const { authorization = '', 'content-type': type = '' } = request.headers;
  try {
    const answer = await fetch(world.url + request.url, { method: 'POST', headers: { authorization, 'content-type': type }, body });
    const retry = answer.headers.get('retry-after');
    response.writeHead(answer.status, { 'content-type': 'application/json', ...(retry && { 'retry-after': retry }) });
    response.end(await answer.text());
  } catch {
    response.destroy();
  }
});
before(() => new Promise((resolve) => proxy.listen(0, '127.0.0.1', () => resolve(undefined))));
after(() => new Promise((resolve) => proxy.close(resolve)));

const backends = [];
after(() => Promise.all(backends.map((backend) => backend.alive() && backend.kill())));
async function newBackend() {
  const { port } = /** @type {import('node:net').AddressInfo} */ (proxy.address());
  const env = { KEY0_METER_URL: `http://127.0.0.1:${port}`, KEY0_METER_SECRET: SECRET };
  const backend = await startBackend({ secret: world.tokenSecret, env });
  backends.push(backend);
  return { ...backend, get: (token) => call(`${backend.url}/api/default`, { headers: { authorization: `Bearer ${token}` } }) };
}

async function bought(planId) {
  const buyer = await world.newBuyer();
  const { status, text, body } = await buy(world.url, buyer.privateKey, { planId, requestId: randomUUID() });
  assert.equal(status, 200, text);
  const token = body.accessToken;
  return { token, grant: JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString()).grant };
}

async function post(path, body, headers) {
  const answer = await fetch(world.url + path, { method: 'POST', body, headers: { authorization: `Bearer ${SECRET}`, ...headers } });
  return { status: answer.status, headers: answer.headers, body: await answer.json() };
}
const consume = (body, key = randomUUID()) => post('/grants/consume', JSON.stringify(body), { 'idempotency-key': key });
const introspect = async (token) => (await post('/introspect', new URLSearchParams({ token }))).body;
const left = async (token) => Number((await introspect(token)).left);
const named = () => stored(world).GrantObject?.consumed ?? [];

/** Calls until it hears that nothing is left; waits when it is told to. @returns how many calls were served */
async function exhaust(backend, token) {
  for (let served = 0; ; ) {
    const { status, text, headers } = await backend.get(token);
    if (status === 402) return served;
    if (status === 200) served += 1;
    else {
      assert.ok(status === 429 || status === 503, `${status} ${text}`);
      await sleep(1_000 * Number(headers.get('retry-after')));
    }
  }
}

test('the doors open to their secret alone', async () => {
  const { grant } = await bought('small');
  for (const authorization of ['', 'Bearer x', `Bearer ${world.tokenSecret}`, `Basic ${SECRET}`]) {
    for (const path of ['/grants/consume', '/introspect']) {
      const { status, headers, body } = await post(path, JSON.stringify({ grant }), { authorization });
      assert.equal(status, 401);
      assert.equal(body.code, 'UNAUTHORIZED');
      assert.match(headers.get('www-authenticate'), /^Bearer realm=/);
    }
  }
  const { status } = await consume({ grant, cost: '9'.repeat(5_000) });
  assert.equal(status, 413);
  assert.equal((await consume({ grant: randomUUID() })).status, 404);
  assert.equal((await fetch(`${world.url}/grants/consume`)).status, 405);
  await world.restartWorker({ KEY0_METER_SECRET: '' });
  for (const path of ['/grants/consume', '/introspect']) assert.equal((await post(path, '{}')).status, 404);
  await world.restartWorker();
});

test('a named call counts once, also when the worker dies, and its name is known for ten minutes', async () => {
  const { token, grant } = await bought('small');
  const first = await consume({ grant, cost: 3 }, 'one');
  assert.equal(first.status, 200);
  assert.equal(first.body.left, 197);
  const again = await Promise.all(Array.from({ length: 5 }, () => consume({ grant, cost: 3 }, 'one')));
  await world.killWorker();
  await world.restartWorker();
  for (const { status, body } of [...again, await consume({ grant, cost: 3 }, 'one')]) assert.deepEqual([status, body], [200, first.body]);
  assert.equal((await consume({ grant }, 'two')).body.left, 196);
  const many = await Promise.all(Array.from({ length: 40 }, () => consume({ grant, cost: 5 })));
  assert.equal(many.filter(({ status }) => status === 200).length, 40, 'the last one takes the rest');
  const refused = await consume({ grant });
  assert.equal(refused.status, 402);
  assert.equal(refused.body.code, 'QUOTA_USED_UP');
  assert.equal(await left(token), 0);
  const credit = await bought('credit');
  assert.equal((await consume({ grant: credit.grant, cost: '$0.0123' })).body.left, '$0.0377');
  assert.equal((await consume({ grant: credit.grant, cost: 1 })).status, 400);
  assert.equal(named().length, 43);
  await letTimePass(world, 10 * 60_000);
  await poll(() => named().length === 0, 'the names to be forgotten', 30_000);
  assert.equal(await left(token), 0);
});

test('introspection tells how a token stands', async () => {
  const { token, grant } = await bought('small');
  const told = await introspect(token);
  const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
  assert.deepEqual(told, { active: true, token_type: 'Bearer', sub: claims.sub, planId: 'small', payer: claims.payer, grant, left: '200', exp: claims.exp });
  const { token: plain } = await bought('plain');
  const { active, left: none } = await introspect(plain);
  assert.deepEqual([active, none], [true, undefined]);
  for (const bad of [`${token}x`, 'x', '']) assert.deepEqual(await introspect(bad), { active: false });
});

test('a backend asks once for fifty calls while four hundred are left', async () => {
  const backend = await newBackend();
  const { token } = await bought('large');
  const { token: plain } = await bought('plain');
  const before = trips;
  for (let number = 0; number < 400; number += 1) assert.equal((await backend.get(token)).status, 200);
  assert.equal((await backend.get(plain)).status, 200, 'a token without limits');
  assert.equal(trips - before, 8);
});

test('200 calls are exactly 200, at one backend and at three', async () => {
  const [first, ...others] = [await newBackend(), await newBackend(), await newBackend()];
  const alone = await bought('small');
  const served = await Promise.all(Array.from({ length: 8 }, () => exhaust(first, alone.token)));
  assert.equal(served.reduce((a, b) => a + b), 200);
  const shared = await bought('small');
  const at = await Promise.all([first, ...others].map((backend) => exhaust(backend, shared.token)));
  assert.equal(at.reduce((a, b) => a + b), 200);
  const refused = await first.get(shared.token);
  assert.equal(refused.body.code, 'QUOTA_USED_UP');
});

test('the worker dies with a lease out: what is lent is served, then calls stop, and in the end 200 are 200', async () => {
  const backend = await newBackend();
  const { token } = await bought('small');
  let served = 0;
  for (; served < 30; served += 1) assert.equal((await backend.get(token)).status, 200);
  await world.killWorker();
  let stopped = await backend.get(token);
  for (; stopped.status === 200; stopped = await backend.get(token)) served += 1;
  assert.ok(served > 30, `${served}`);
  assert.equal(stopped.status, 503);
  assert.equal(stopped.body.code, 'TEMPORARILY_UNAVAILABLE');
  await world.restartWorker();
  assert.equal(served + (await exhaust(backend, token)), 200);
});

test('a backend dies with a lease out: it is not sold meanwhile, and is back after a minute', async () => {
  const backend = await newBackend();
  const { token } = await bought('small');
  for (let number = 0; number < 10; number += 1) assert.equal((await backend.get(token)).status, 200);
  assert.equal(await left(token), 175);
  await backend.kill();
  const next = await newBackend();
  let served = 0;
  let answer = await next.get(token);
  for (; answer.status === 200; answer = await next.get(token)) served += 1;
  assert.equal(served, 175);
  assert.equal(answer.status, 429, 'it may come back');
  await letTimePass(world, 61_000);
  assert.equal(await exhaust(next, token), 25, 'all that was lent is back');
});

test('a backend that is stopped gives everything back', async () => {
  const backend = await newBackend();
  const { token } = await bought('small');
  for (let number = 0; number < 10; number += 1) assert.equal((await backend.get(token)).status, 200);
  await backend.stop();
  assert.equal(await left(token), 190);
});
