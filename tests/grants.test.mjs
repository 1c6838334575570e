// What a wallet has bought with limits: it sees what is left, gets its token again and takes access back, with nothing but its key.
//
//  1. A published client signs in (sign-in-with-x) from another machine: the list, the token again, which opens the route.
//  2. Who has only the token reads how it stands, and cannot take it back.
//  3. Taken back by its payer, a grant opens nothing from then on; calls under way end well; the signed list names it, and the list is
//     no access token.
//  4. A stranger's signature, an old one, one for another domain, another action, a repeated one, a bent one: all find nothing, by one
//     and the same answer. Nothing is stored for a wallet without grants.
//  5. The operator looks at a grant and takes it back, once and for all.
//  6. SIGKILL between a revocation and its report: the list has it after the restart, and no revocation that was told is forgotten.
//  7. Plans without limits have nothing to see and nothing to take back.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, createHmac, randomUUID } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, beforeEach, test } from 'node:test';
import { decodePaymentRequiredHeader } from '@x402/core/http';
import { createSIWxPayload, encodeSIWxHeader } from '@x402/extensions/sign-in-with-x';
import { privateKeyToAccount } from 'viem/accounts';
import { root } from '../tools/lib/paths.mjs';
import { operator } from './support/admin.mjs';
import { call } from './support/calls.mjs';
import { stored } from './support/facts.mjs';
import { startOrigin } from './support/origin.mjs';
import { poll } from './support/poll.mjs';
import { selling } from './support/routes.mjs';
import { useWorld } from './support/world.mjs';
import { buy } from './support/x402.mjs';

const PLANS = [
  { planId: 'plain', unitAmount: '$0.015' },
  { planId: 'twenty', unitAmount: '$0.015', quota: { calls: 20 }, concurrency: 5 },
  { planId: 'credit', unitAmount: '$0.015', quota: { credit: '$0.05' } },
];
const ROUTES = [{ routeId: 'weather', method: 'GET', path: '/api/weather/:city', unitAmount: '$0.01', plans: PLANS.map(({ planId }) => planId) }];
const origin = await startOrigin();
after(() => origin.stop());
const world = useWorld(selling(origin, { PLANS: JSON.stringify(PLANS), ROUTES: JSON.stringify(ROUTES), PROXY_TIMEOUT_MS: '15000' }));
beforeEach(() => {
  origin.behave('works');
  origin.calls.length = 0;
});

const path = '/api/weather/oslo';
const claimsOf = (jwt) => JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString());
const listedAs = (grant) => createHash('sha256').update(grant).digest('hex').slice(0, 16);
const knows = (buyer) => poll(() => (stored(world).PayerObject?.grants ?? []).some(({ id }) => id === buyer.grant), 'the book to know the grant');

/** Buys a plan. @returns its buyer, and what calls with its token */
async function bought(planId, buyer) {
  const { privateKey, address } = buyer ?? (await world.newBuyer());
  const grant = randomUUID();
  const { status, text, body } = await buy(world.url, privateKey, { planId, requestId: grant });
  assert.equal(status, 200, text);
  const headers = { authorization: `Bearer ${body.accessToken}` };
  const owner = { privateKey, address, grant, token: body.accessToken, get: () => call(`${world.url}${path}`, { headers }) };
  if (planId !== 'plain') await knows(owner);
  return owner;
}

/** Asks for the challenge of an action. */
async function challenge(action, method = 'GET') {
  const answer = await fetch(`${world.url}${action}`, { method });
  const body = await answer.json();
  assert.equal(answer.status, 402, JSON.stringify(body));
  assert.equal(body.code, 'SIGN_IN_REQUIRED');
  const required = decodePaymentRequiredHeader(answer.headers.get('payment-required'));
  const { info, supportedChains } = required.extensions['sign-in-with-x'];
  assert.deepEqual(required.accepts, [], 'it is free');
  assert.deepEqual(body.details['sign-in-with-x'].info, info);
  return { info, chain: supportedChains[0], body };
}

/** Signs a challenge with the published library. @returns the value of the header */
async function sign({ info, chain }, privateKey, change = (payload) => payload) {
  const payload = await createSIWxPayload({ ...info, ...chain }, privateKeyToAccount(privateKey), info.uri);
  return encodeSIWxHeader(change(payload));
}

async function show(action, method, header, headers = {}) {
  const answer = await fetch(`${world.url}${action}`, { method, headers: { ...(header && { 'sign-in-with-x': header }), ...headers } });
  assert.equal(answer.headers.get('cache-control'), 'no-store');
  return { status: answer.status, body: await answer.json() };
}

/** All of it: from another machine, with the wallet's key alone. */
async function as(privateKey, action = '/grants', method = 'GET') {
  return show(action, method, await sign(await challenge(action, method), privateKey));
}

async function revoked() {
  const answer = await fetch(`${world.url}/.well-known/revoked`);
  const text = await answer.text();
  assert.equal(answer.status, 200, text);
  return { text, headers: answer.headers, claims: claimsOf(text) };
}
const isListed = async (grant) => (await revoked()).claims.revoked.includes(listedAs(grant));

test('a wallet finds what it has bought, what is left of it, and its token, from another machine', async () => {
  const owner = await bought('twenty');
  assert.equal((await owner.get()).status, 200);
  const second = await bought('credit', owner);
  const { status, body } = await as(owner.privateKey);
  assert.equal(status, 200, JSON.stringify(body));
  assert.equal(body.more, 0);
  const found = Object.fromEntries(body.grants.map((grant) => [grant.grant, grant]));
  assert.deepEqual(Object.keys(found).sort(), [owner.grant, second.grant].sort());
  const { endsAt, ...shown } = found[owner.grant];
  assert.deepEqual(shown, { grant: owner.grant, planId: 'twenty', condition: 'ACTIVE', limits: { quota: { calls: 20 }, concurrency: 5 }, left: { calls: 19 } });
  assert.equal(Date.parse(endsAt) / 1000, claimsOf(owner.token).exp);
  assert.deepEqual(found[second.grant].left, { credit: '$0.05' });
  const one = await as(owner.privateKey, `/grants/${owner.grant}`);
  assert.equal(one.body.left.calls, 19);
  assert.equal(one.body.access.accessToken, owner.token, 'the same token');
  assert.equal(one.body.access.type, 'AccessGrant');
  const again = await call(`${world.url}${path}`, { headers: { authorization: `Bearer ${one.body.access.accessToken}` } });
  assert.equal(again.headers.get('key0-left'), '18');
});

test('who has only the token reads how it stands', async () => {
  const [owner, other] = [await bought('twenty'), await bought('twenty')];
  const bearer = { authorization: `Bearer ${owner.token}` };
  const { status, body } = await show(`/grants/${owner.grant}`, 'GET', undefined, bearer);
  assert.equal(status, 200);
  assert.deepEqual([body.condition, body.left, body.planId, body.access], ['ACTIVE', { calls: 20 }, 'twenty', undefined]);
  for (const [action, method] of [['/grants', 'GET'], [`/grants/${owner.grant}`, 'DELETE'], [`/grants/${other.grant}`, 'GET']]) {
    assert.equal((await show(action, method, undefined, bearer)).body.code, 'SIGN_IN_REQUIRED', `${method} ${action}`);
  }
  assert.equal((await owner.get()).status, 200);
});

test('a grant that its payer takes back opens nothing from then on, and the signed list names it', async () => {
  const owner = await bought('twenty');
  assert.equal(await isListed(owner.grant), false);
  origin.behave('waits');
  const underWay = owner.get();
  await poll(() => origin.calls.length === 1, 'the call');
  const { status, body } = await as(owner.privateKey, `/grants/${owner.grant}`, 'DELETE');
  assert.equal(status, 200, JSON.stringify(body));
  assert.deepEqual([body.condition, body.revoked.by, body.access], ['REVOKED', 'payer', undefined]);
  for (let time = 0; time < 3; time += 1) {
    const refused = await owner.get();
    assert.equal(refused.status, 401, refused.text);
    assert.equal(refused.body.code, 'GRANT_REVOKED');
    assert.equal(refused.headers.get('payment-required'), null, 'nothing is offered for it');
  }
  origin.behave('works');
  assert.equal((await underWay).status, 200, 'what was under way ends well');
  assert.equal(origin.calls.length, 1);
  // Again is the same as once.
  assert.deepEqual((await as(owner.privateKey, `/grants/${owner.grant}`, 'DELETE')).body.revoked, body.revoked);
  const shown = await as(owner.privateKey, `/grants/${owner.grant}`);
  assert.deepEqual([shown.body.condition, shown.body.left, shown.body.access], ['REVOKED', { calls: 19 }, undefined]);
  assert.equal((await call(`${world.url}${path}`)).status, 402, 'without the token the call has its price');

  await poll(() => isListed(owner.grant), 'the list to name it', 15_000);
  const { text, headers, claims } = await revoked();
  assert.equal(JSON.parse(Buffer.from(text.split('.')[0], 'base64url').toString()).typ, 'revoked+jwt');
  assert.equal(claims.exp - claims.iat, 300);
  assert.equal(claims.truncated, false);
  assert.equal(headers.get('cache-control'), 'public, max-age=10');
  const [header, payload, signature] = text.split('.');
  assert.equal(signature, createHmac('sha256', world.tokenSecret).update(`${header}.${payload}`).digest('base64url'));
  const unchanged = await fetch(`${world.url}/.well-known/revoked`, { headers: { 'if-none-match': headers.get('etag') } });
  assert.ok([200, 304].includes(unchanged.status));
  const posed = await call(`${world.url}${path}`, { headers: { authorization: `Bearer ${text}` } });
  assert.equal(posed.status, 402, 'the list opens nothing');
});

test('whatever is wrong with a signature, it finds nothing, by one and the same answer', async () => {
  const [owner, stranger] = [await bought('twenty'), await bought('twenty')];
  const own = `/grants/${owner.grant}`;
  const before = (stored(world).PayerObject?.nonces ?? []).length;
  const [asked, elsewhere] = [await challenge(own), await challenge('/grants')];
  const shown = new Set();
  for (const [what, header, method] of [
    ['a stranger who has grants of its own', await sign(asked, stranger.privateKey)],
    ['a stranger who says that it is the owner', await sign(asked, stranger.privateKey, (payload) => ({ ...payload, address: owner.address }))],
    ['another domain', await sign({ ...asked, info: { ...asked.info, domain: 'evil.example', uri: 'https://evil.example/' } }, owner.privateKey)],
    ['another action', await sign(elsewhere, owner.privateKey)],
    ['showing does not take back', await sign(asked, owner.privateKey), 'DELETE'],
    ['another chain', await sign({ ...asked, chain: { ...asked.chain, chainId: 'eip155:1' } }, owner.privateKey)],
    ['a later end', await sign({ ...asked, info: { ...asked.info, expirationTime: new Date(Date.now() + 3_600_000).toISOString() } }, owner.privateKey)],
    ['a nonce of its own', await sign({ ...asked, info: { ...asked.info, nonce: '0'.repeat(64) } }, owner.privateKey)],
    ['no header at all', 'nonsense'],
    ['nothing signed', encodeSIWxHeader({ ...asked.info, address: owner.address })],
  ]) {
    const { status, body } = await show(own, method ?? 'GET', header);
    assert.equal(status, 402, what);
    delete body.details;
    shown.add(JSON.stringify(body));
  }
  const { body } = asked;
  delete body.details;
  assert.deepEqual([...shown], [JSON.stringify(body)]);
  assert.equal((await owner.get()).status, 200, 'nothing was taken back');

  // The stranger's own signature above was good, for a grant that it does not have: that nonce is used.
  const after = (stored(world).PayerObject?.nonces ?? []).length;
  assert.equal(after - before, 1);
  const good = await sign(asked, owner.privateKey);
  assert.equal((await show(own, 'GET', good)).status, 200);
  assert.equal((await show(own, 'GET', good)).status, 402, 'a repeated signature finds nothing');
  const shouted = await sign(asked, owner.privateKey, (payload) => ({ ...payload, nonce: payload.nonce.toUpperCase() }));
  assert.equal((await show(own, 'GET', shouted)).status, 402, 'nor in other letters');

  // A wallet that has bought nothing finds an empty list as often as it likes, and nothing is stored for it.
  const nobody = await world.newBuyer();
  const nothing = await sign(elsewhere, nobody.privateKey);
  for (let time = 0; time < 2; time += 1) assert.deepEqual((await show('/grants', 'GET', nothing)).body, { grants: [], more: 0 });
  for (const [action, method, status] of [['/grants', 'DELETE', 405], [own, 'POST', 405], ['/grants/%20', 'GET', 404], [own, 'OPTIONS', 204]]) {
    assert.equal((await fetch(`${world.url}${action}`, { method })).status, status, `${method} ${action}`);
  }
});

test('the operator looks at a grant and takes it back', async () => {
  const owner = await bought('twenty');
  assert.equal((await owner.get()).status, 200);
  const shown = await operator(world, `/grants/${owner.grant}`);
  assert.equal(shown.status, 200, shown.text);
  assert.deepEqual([shown.body.condition, shown.body.left, shown.body.payer.toLowerCase()], ['ACTIVE', { calls: 19 }, owner.address.toLowerCase()]);
  const tool = (...args) => {
    const env = { ...process.env, KEY0_ADMIN_SECRET: world.adminSecret };
    return JSON.parse(execFileSync(process.execPath, [join(root, 'tools/admin.mjs'), ...args, '--url', world.url], { env, encoding: 'utf8' }));
  };
  assert.deepEqual(tool('grant', owner.grant), shown.body);
  const first = { body: tool('revoke', owner.grant) };
  assert.deepEqual([first.body.condition, first.body.revoked.by], ['REVOKED', 'operator']);
  assert.equal((await owner.get()).body.code, 'GRANT_REVOKED');
  // The payer sees it, and cannot make it its own doing.
  const { body } = await as(owner.privateKey, `/grants/${owner.grant}`, 'DELETE');
  assert.deepEqual(body.revoked, first.body.revoked);
  await world.restartWorker();
  assert.equal((await owner.get()).body.code, 'GRANT_REVOKED', 'it was written');
  await poll(() => isListed(owner.grant), 'the list to name it', 15_000);
});

test('a plan without limits has nothing to see and nothing to take back', async () => {
  const owner = await bought('plain');
  assert.equal((await operator(world, `/grants/${owner.grant}`, { method: 'DELETE' })).status, 404);
  assert.equal((await owner.get()).status, 200);
  assert.deepEqual((await as(owner.privateKey)).body, { grants: [], more: 0 });
});

const folder = (className) => join(world.state, 'objects', `key0-${className}`);
const files = (className) => (existsSync(folder(className)) ? readdirSync(folder(className)) : []).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name)).map((name) => join(folder(className), name));

test('a revocation that was stored and not reported when the runtime was killed is on the list after the restart', async () => {
  const owner = await bought('twenty');
  await as(owner.privateKey, `/grants/${owner.grant}`, 'DELETE');
  await poll(() => isListed(owner.grant), 'the list to name it', 15_000);
  // As the moment between the two leaves it: the revocation is written with its intent, and the list has heard nothing.
  await world.killWorker();
  let edited = 0;
  for (const file of files('GrantObject')) {
    const database = new DatabaseSync(file);
    const isEmpty = !database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'meter'").get();
    const row = isEmpty ? undefined : database.prepare('SELECT body FROM meter').get();
    const body = row && JSON.parse(String(row.body));
    if (body?.revoked && body.granted.payer.toLowerCase() === owner.address.toLowerCase()) {
      assert.equal(body.unlisted, undefined, 'the list has heard of it');
      database.prepare('UPDATE meter SET body = ?').run(JSON.stringify({ ...body, unlisted: owner.grant }));
      database.prepare('UPDATE _cf_METADATA SET value = ? WHERE key = 1').run(BigInt(Date.now() + 1_000) * 1_000_000n);
      const metadata = new DatabaseSync(join(folder('GrantObject'), 'metadata.sqlite'));
      metadata.prepare('UPDATE _cf_ALARM SET scheduled_time = ?').run(BigInt(Date.now() + 1_000) * 1_000_000n);
      metadata.close();
      edited += 1;
    }
    database.close();
  }
  assert.equal(edited, 1);
  for (const file of files('RevocationObject')) {
    const database = new DatabaseSync(file);
    database.prepare('DELETE FROM revoked WHERE id = ?').run(listedAs(owner.grant));
    database.close();
  }
  await world.restartWorker();
  await poll(() => isListed(owner.grant), 'the alarm to report it', 40_000);
  assert.equal((await owner.get()).body.code, 'GRANT_REVOKED');
});

test('killed while grants are taken back, the runtime forgets none that it has stored', async () => {
  const owners = [];
  for (let number = 0; number < 6; number += 1) owners.push(await bought('twenty'));
  const deleting = owners.map(async ({ grant }, at) => {
    await sleep(at * 10);
    return operator(world, `/grants/${grant}`, { method: 'DELETE' }).catch(() => undefined);
  });
  assert.equal((await deleting[0]).status, 200);
  await world.killWorker();
  const told = (await Promise.all(deleting)).map((answer) => answer?.status === 200);
  await world.restartWorker();
  for (const [at, owner] of owners.entries()) {
    const { body } = await operator(world, `/grants/${owner.grant}`);
    assert.ok(body.condition === 'REVOKED' || !told[at], 'what was told is stored');
    if (body.condition === 'REVOKED') await poll(() => isListed(owner.grant), 'the list to name it', 40_000);
    else assert.equal((await owner.get()).status, 200);
  }
});
