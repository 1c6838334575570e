// The RS256 key is changed while backends of every kind check tokens once a second, and none of them refuses one.
//
//  1. The worker signs with key A. A buyer's token and a token of the worker's own calls pass with axum, actix-web, tonic, a caller
//     that cannot wait, and as service tokens.
//  2. Key B is published ahead (KEY0_ACCESS_TOKEN_PUBLIC_KEYS_NEXT): A still signs. Backends read the keys again when they are
//     too old; here after two seconds instead of ten minutes.
//  3. B signs and A is old: every backend takes B's tokens at once, and A's still.
//  4. The same from B, 2048 bits, to C, 4096 bits.
//  5. A key that was not published ahead: callers that can wait accept it as soon as keys may be fetched again, here a second after
//     the last fetch; callers that cannot wait accept it soon afterwards.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { decodeProtectedHeader } from 'jose';
import { cargoTarget } from '../tools/lib/paths.mjs';
import { capture } from '../tools/lib/toolchain.mjs';
import { poll } from './support/poll.mjs';
import { useWorld } from './support/world.mjs';
import { buy } from './support/x402.mjs';

const AUDIENCE = 'https://api.example.com';
const GOOD = { buyer: { axum: 200, actix: 200, tonic: '0', sync: 'good' }, service: { layer: 200, sync: 'good' } };
const UNKNOWN = 'The token is signed with a key that is not known here';
const second = () => new Promise((resolve) => setTimeout(resolve, 1000));

const key = (bits) => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: bits });
  return { secret: privateKey.export({ type: 'pkcs8', format: 'pem' }), open: publicKey.export({ type: 'spki', format: 'pem' }) };
};
const [a, b, c, d] = [2048, 2048, 4096, 2048].map(key);

/** The seller's API: keeps the tokens with which the worker tells it of purchases. */
const notices = [];
const api = createServer((request, response) => {
  notices.push(request.headers.authorization?.replace('Bearer ', ''));
  request.resume();
  response.writeHead(204).end();
});
await new Promise((resolve) => api.listen(0, '127.0.0.1', resolve));
after(() => api.close());

const settings = (signs, others = {}) => ({
  KEY0_TOKEN_ALGORITHM: 'RS256',
  KEY0_ACCESS_TOKEN_PRIVATE_KEY: signs.secret,
  BACKEND_API_URL: `http://127.0.0.1:${api.address().port}`,
  BACKEND_AUTH_STRATEGY: 'jwt',
  BACKEND_AUTH_AUDIENCE: AUDIENCE,
  ...others,
});
const world = useWorld({ backend: false, vars: settings(a) });

let drill;
before(async () => {
  await capture('cargo', ['build', '--locked', '--manifest-path', 'validator/drill/Cargo.toml', '--target-dir', cargoTarget], {}, () => {});
});
after(() => drill?.stdin.end());

/** Has one token checked in every way. */
async function check(kind, token) {
  drill ??= spawn(join(cargoTarget, 'debug', 'key0-validator-drill'), [`${world.url}/.well-known/jwks.json`, AUDIENCE], { stdio: ['pipe', 'pipe', 'inherit'] });
  drill.answers ??= createInterface({ input: drill.stdout })[Symbol.asyncIterator]();
  drill.stdin.write(`${kind} ${token}\n`);
  const { value } = await drill.answers.next();
  return JSON.parse(value);
}

/** A token that is sold now, and the one with which the worker tells of it. */
async function sold() {
  const before = notices.length;
  const { privateKey } = await world.newBuyer();
  const answer = await buy(world.url, privateKey, { planId: 'basic' });
  assert.equal(answer.status, 200, answer.text);
  const service = await poll(() => notices.length > before && notices.at(-1), 'the notice of a purchase');
  return { buyer: answer.body.accessToken, service };
}

/** Every token passes in every way, each second while something happens and for some more. */
async function passes(tokens, seconds) {
  for (let i = 0; i < seconds; i += 1) {
    for (const { buyer, service } of tokens) {
      assert.deepEqual(await check('buyer', buyer), GOOD.buyer);
      assert.deepEqual(await check('service', service), GOOD.service);
    }
    await second();
  }
}

const signer = ({ buyer }) => decodeProtectedHeader(buyer).kid;
const published = async () => (await (await fetch(`${world.url}/.well-known/jwks.json`)).json()).keys.map(({ kid }) => kid);

async function rotate(from, to) {
  const old = await sold();
  await passes([old], 2);
  const changed = world.restartWorker(settings(from, { KEY0_ACCESS_TOKEN_PUBLIC_KEYS_NEXT: to.open }));
  await passes([old], 2);
  await changed;
  assert.equal((await published()).length, 2);
  assert.equal((await published())[0], signer(old), 'the signing key stands first');
  const still = await sold();
  assert.equal(signer(still), signer(old), 'published ahead, a key signs nothing');
  await passes([old, still], 4);

  const now = world.restartWorker(settings(to, { KEY0_ACCESS_TOKEN_PUBLIC_KEYS_OLD: from.open }));
  await passes([old], 1);
  await now;
  const fresh = await sold();
  assert.notEqual(signer(fresh), signer(old));
  await passes([old, still, fresh], 3);
}

test('a key of the same length takes over and no backend refuses a token', () => rotate(a, b));

test('a key of another length takes over and no backend refuses a token', async () => {
  await world.restartWorker(settings(b));
  await rotate(b, c);
});

test('a key that was not published ahead is accepted after the next fetch, also by callers that cannot wait', async () => {
  await world.restartWorker(settings(d, { KEY0_ACCESS_TOKEN_PUBLIC_KEYS_OLD: c.open }));
  const { buyer, service } = await sold();
  // Old keys may have been fetched just before.
  await second();
  const first = await check('buyer', buyer);
  assert.deepEqual({ ...first, sync: 'good' }, GOOD.buyer);
  assert.ok(['good', UNKNOWN].includes(first.sync), first.sync);
  await poll(async () => (await check('buyer', buyer)).sync === 'good', 'the key of a caller that cannot wait', 5000);
  await poll(async () => (await check('service', service)).sync === 'good', 'the key of a service validator', 5000);
});
