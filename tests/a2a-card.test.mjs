// The agent card, as A2A clients read it.
//
//  1. It leads to the A2A door in versions 1.0 and 0.3, says what is for sale, and declares the x402 extension in both
//     versions. The pure 1.0 card has no member that 1.0 does not know; the hybrid has three more.
//  2. With A2A_CARD_KEY it is signed: the JavaScript SDK and a JOSE library accept both forms with the key that the signature
//     leads to, and refuse them after any change. The same card keeps its ETag, and is not sent again to who has it.
//  3. Another key: another signature, and its key is published. SEC1 and PKCS#8 are the same key. Without one the card is
//     not signed, and no key is published.
//  4. A key without KEY0_PUBLIC_URL, or what is no such key, is a fault of the settings that is named and not shown.
//  5. With A2A_ENABLED=false the card names no A2A door, and there is none.

import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, test } from 'node:test';
import { canonicalizeAgentCard, verifyAgentCardSignature } from '@a2a-js/sdk';
import { base64url, calculateJwkThumbprint, decodeProtectedHeader, flattenedVerify, importJWK } from 'jose';
import { NETWORK, USDC_ADDRESS } from '../tools/lib/chain.mjs';
import { useWorld } from './support/world.mjs';

const CARD = '/.well-known/agent-card.json';
const KEYS = '/.well-known/agent-card-keys.json';
const X402_EXTENSIONS = ['https://github.com/google-agentic-commerce/a2a-x402/blob/main/spec/v0.2', 'https://github.com/google-a2a/a2a-x402/v0.1'];
const MEMBERS_1_0 = ['name', 'description', 'supportedInterfaces', 'provider', 'version', 'documentationUrl', 'capabilities', 'defaultInputModes', 'defaultOutputModes', 'skills', 'signatures'];
const PURE = { headers: { 'a2a-version': '1.0' } };
const FORMS = { pure: PURE, hybrid: {} };

const newKey = () => generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const pem = (key, type = 'pkcs8') => String(key.export({ type, format: 'pem' }));
const jwk = (key) => createPublicKey(key).export({ format: 'jwk' });
const key = newKey();

const PROVIDER = { PROVIDER_NAME: 'Clouds Ltd', PROVIDER_URL: 'https://clouds.example' };
const world = useWorld({ backend: false, vars: PROVIDER }, () => signWith(pem(key)));
const get = (path, init) => fetch(world.url + path, init);
const json = async (path, init) => (await get(path, init)).json();
/** Starts the worker anew with this key for the card. */
const signWith = (text, vars = {}) => world.restartWorker({ KEY0_PUBLIC_URL: world.url, A2A_CARD_KEY: text, ...vars });

/** Fetches the key as the signature names it, and only from where it says. */
async function retrieve(kid, jku) {
  const answer = await fetch(jku);
  assert.equal(answer.status, 200, jku);
  const { keys } = await answer.json();
  return importJWK(keys.find((entry) => entry.kid === kid), 'ES256');
}
/** The SDK tells why it refuses only with `console.debug`. */
const verify = verifyAgentCardSignature(retrieve);
const isRefused = (card) => assert.rejects(verify(card), /No valid signatures/);

/** Changes each text of a card in turn, in one character, and passes the changed card. */
async function eachChange(card, pass) {
  const walk = async (holder) => {
    for (const [name, value] of Object.entries(holder)) {
      if (typeof value === 'object') await walk(value);
      else {
        holder[name] = typeof value === 'boolean' ? !value : `${value.slice(0, -1)}${value.endsWith('~') ? '!' : '~'}`;
        await pass(`${name}: ${holder[name]}`);
        holder[name] = value;
      }
    }
  };
  await walk(card);
}

describe('what it says', () => {
  for (const [form, init] of Object.entries(FORMS)) {
    test(`${form}: the A2A door in both versions, the newest first`, async () => {
      const card = await json(CARD, init);
      const url = `${world.url}/a2a`;
      assert.deepEqual(card.supportedInterfaces, ['1.0', '0.3'].map((protocolVersion) => ({ url, protocolBinding: 'JSONRPC', protocolVersion })));
      const { streaming, pushNotifications } = card.capabilities;
      assert.deepEqual([streaming, pushNotifications], [false, false]);
      assert.deepEqual(card.defaultInputModes, ['application/json', 'text/plain']);
      assert.deepEqual(card.provider, { organization: 'Clouds Ltd', url: 'https://clouds.example' });
      assert.equal(card.documentationUrl, `${world.url}/discover`);
    });
  }

  test('the pure card has only members of 1.0; the hybrid has the three more that 0.3 requires', async () => {
    const [pure, hybrid] = await Promise.all([json(CARD, PURE), json(CARD)]);
    assert.deepEqual(Object.keys(pure).sort(), [...MEMBERS_1_0].sort());
    const { url, preferredTransport, protocolVersion, ...common } = hybrid;
    assert.deepEqual([url, preferredTransport, protocolVersion], [`${world.url}/a2a`, 'JSONRPC', '0.3.0']);
    assert.deepEqual(common, pure);
    assert.deepEqual(await json('/.well-known/agent.json', PURE), pure);
    assert.deepEqual(await json(CARD, { headers: { 'a2a-version': '1.0.1' } }), pure);
    for (const version of ['', '0.3', '2.0', 'nonsense']) assert.deepEqual(await json(CARD, { headers: { 'a2a-version': version } }), hybrid, version);
  });

  test('both versions of the x402 extension, none required; the newest says what is for sale, as /discover does', async () => {
    const [{ capabilities }, { plans, nextStep }] = await Promise.all([json(CARD, PURE), json('/discover')]);
    assert.deepEqual(capabilities.extensions.map(({ uri }) => uri), X402_EXTENSIONS);
    for (const extension of capabilities.extensions) assert.ok(extension.description && !('required' in extension));
    const [{ params }, { params: none }] = capabilities.extensions;
    assert.equal(none, undefined);
    assert.deepEqual(params.plans, plans.map(({ planId, unitAmount, description }) => ({ planId, unitAmount, description })));
    assert.deepEqual([params.network, params.asset.toLowerCase(), params.payTo.toLowerCase()], [NETWORK, USDC_ADDRESS.toLowerCase(), world.seller.address.toLowerCase()]);
    assert.equal(params.httpUrl, nextStep.url);
  });

  test('a skill\'s example is what the door is sent', async () => {
    const [{ skills }, { plans }] = await Promise.all([json(CARD, PURE), json('/discover')]);
    const examples = Object.fromEntries(skills.map(({ id, examples: [first] }) => [id, JSON.parse(first)]));
    assert.deepEqual(examples, { 'discover-plans': {}, 'request-access': { type: 'AccessRequest', planId: plans[0].planId } });
  });
});

describe('signed', () => {
  for (const [form, init] of Object.entries(FORMS)) {
    test(`${form}: the JavaScript SDK accepts it with the key that it leads to`, async () => {
      const card = await json(CARD, init);
      await verify(card);
      assert.equal(card.signatures.length, 1);
      const { alg, typ, kid, jku } = decodeProtectedHeader(card.signatures[0]);
      assert.deepEqual([alg, typ, jku], ['ES256', 'JOSE', world.url + KEYS]);
      assert.equal(kid, await calculateJwkThumbprint(jwk(key)));
    });
  }

  test('what the SDK checks is the pure card without its signatures, to the letter', async () => {
    const text = await (await get(CARD, PURE)).text();
    const { signatures, ...card } = JSON.parse(text);
    const canonical = canonicalizeAgentCard(JSON.parse(text));
    assert.equal(canonical, JSON.stringify(card), 'the members that are sent are sorted');
    const { payload } = await flattenedVerify({ ...signatures[0], payload: base64url.encode(canonical) }, await importJWK(jwk(key), 'ES256'));
    assert.equal(Buffer.from(payload).toString(), canonical);
  });

  test('after any change the SDK refuses it', async (t) => {
    t.mock.method(console, 'debug', () => {});
    const card = await json(CARD, PURE);
    const { signatures, ...signed } = card;
    let changes = 0;
    await eachChange(signed, async (change) => {
      changes += 1;
      await assert.rejects(verify({ ...signed, signatures }), /No valid signatures/, change);
    });
    assert.ok(changes > 30, String(changes));
    const [{ protected: header, signature }] = signatures;
    await isRefused({ ...signed, signatures: [{ protected: header, signature: `${signature[0] === 'A' ? 'B' : 'A'}${signature.slice(1)}` }] });
    await isRefused({ ...signed, signatures: [{ signature, protected: base64url.encode(JSON.stringify({ ...decodeProtectedHeader({ protected: header }), typ: 'JWT' })) }] });
    await verify(card);
  });

  test('the key is published alone, without its private half, and is not among the keys for tokens', async () => {
    const { keys } = await json(KEYS);
    const { x, y, crv, kty } = jwk(key);
    assert.deepEqual(keys, [{ kty, use: 'sig', alg: 'ES256', kid: await calculateJwkThumbprint({ kty, crv, x, y }), crv, x, y }]);
    assert.deepEqual(await json('/.well-known/jwks.json'), { keys: [] });
  });

  for (const [path, init] of [[CARD, PURE], [CARD, {}], [KEYS, {}]]) {
    test(`${path}, ${init === PURE ? 'pure' : 'as anybody asks for it'}: cached, revalidated, readable by browsers`, async () => {
      const first = await get(path, init);
      assert.equal(first.status, 200);
      assert.match(first.headers.get('content-type'), /^application\/json/);
      assert.match(first.headers.get('cache-control'), /^public, max-age=\d+/);
      assert.equal(first.headers.get('access-control-allow-origin'), '*');
      if (path === CARD) assert.match(first.headers.get('vary'), /A2A-Version/i);
      const etag = first.headers.get('etag');
      const body = await first.text();
      const again = await get(path, init);
      assert.deepEqual([again.headers.get('etag'), await again.text()], [etag, body], 'signed again, and the same');
      const known = await get(path, { headers: { ...init.headers, 'if-none-match': etag }, cache: 'no-store' });
      assert.deepEqual([known.status, known.headers.get('etag'), await known.text()], [304, etag, '']);
      assert.equal(known.headers.get('access-control-allow-origin'), '*');
      if (path === CARD) assert.match(known.headers.get('vary'), /A2A-Version/i);
      const preflight = await get(path, { method: 'OPTIONS', headers: { origin: 'https://agent.example', 'access-control-request-method': 'GET', 'access-control-request-headers': 'a2a-version' } });
      assert.equal(preflight.status, 204);
      assert.match(preflight.headers.get('access-control-allow-headers'), /A2A-Version/i);
      const wrong = await get(path, { method: 'POST', body: '{}' });
      assert.deepEqual([wrong.status, wrong.headers.get('allow')], [405, 'GET, HEAD, OPTIONS']);
    });
  }

  test('one form\'s ETag does not stand for the other', async () => {
    const etags = await Promise.all(Object.values(FORMS).map(async (init) => (await get(CARD, init)).headers.get('etag')));
    assert.equal(new Set(etags).size, 2);
    assert.equal((await get(CARD, { headers: { ...PURE.headers, 'if-none-match': etags[1] }, cache: 'no-store' })).status, 200);
  });
});

test('after a restart the same key signs the same, in whatever form it was given; another signs otherwise', async (t) => {
  t.mock.method(console, 'debug', () => {});
  const before = await json(CARD, PURE);
  for (const text of [pem(key, 'sec1'), pem(key).replaceAll('\n', '\\n')]) {
    await signWith(text);
    assert.deepEqual(await json(CARD, PURE), before);
  }
  await signWith(pem(newKey()));
  const after = await json(CARD, PURE);
  assert.notDeepEqual(after.signatures, before.signatures);
  await verify(after);
  await isRefused({ ...after, signatures: before.signatures });
});

test('any text that a seller may write is signed as the SDK reads it', async () => {
  const odd = 'Ünïcode 🌦 "quotes" \\ back/slash \u2028 <b>&amp;</b>';
  const plans = [
    { planId: 'odd', unitAmount: '$1', description: `${odd}\n\t\r\b\f\u0001\u001f\u007f` },
    { planId: 'bare', unitAmount: '$2.50' },
  ];
  await signWith(pem(key), { AGENT_NAME: odd, AGENT_DESCRIPTION: odd, PLANS: JSON.stringify(plans), PROVIDER_NAME: odd });
  for (const init of Object.values(FORMS)) {
    const card = await json(CARD, init);
    await verify(card);
    assert.equal(card.name, odd);
    const [{ params }] = card.capabilities.extensions;
    assert.equal(params.plans[0].description, plans[0].description);
    assert.ok(!('description' in params.plans[1]), 'no empty member');
  }
});

test('without a key the card is not signed, and none is published', async () => {
  await world.restartWorker({ A2A_CARD_KEY: '' });
  for (const init of Object.values(FORMS)) assert.ok(!('signatures' in (await json(CARD, init))));
  const answer = await get(KEYS);
  assert.deepEqual([answer.status, (await answer.json()).code], [404, 'NOT_FOUND']);
});

test('a key that does not fit is named, and shown nowhere', async () => {
  const { privateKey: rsa, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { privateKey: other } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  const wrong = {
    'an RSA key': pem(rsa),
    'a key on another curve': pem(other),
    'the same in SEC1': pem(other, 'sec1'),
    'a public key': String(publicKey.export({ type: 'spki', format: 'pem' })),
    'two keys': pem(key) + pem(newKey()),
    'a key with a password': String(key.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' })),
  };
  const problems = async () => (await json('/health')).problems;
  for (const [what, text] of Object.entries(wrong)) {
    await signWith(text);
    const listed = await problems();
    assert.deepEqual(listed.map(({ name }) => name), ['A2A_CARD_KEY'], what);
    const secret = text.split('\n')[1];
    assert.ok(!JSON.stringify(listed).includes(secret), what);
    assert.ok(!world.logs.some((line) => line.includes(secret)), what);
    assert.equal((await get(CARD)).status, 500);
  }
  await signWith(pem(key), { KEY0_PUBLIC_URL: '' });
  assert.deepEqual((await problems()).map(({ name }) => name), ['KEY0_PUBLIC_URL']);
});

test('with A2A_ENABLED=false the card leads to the x402 door, and there is no other', async () => {
  await signWith(pem(key), { A2A_ENABLED: 'false' });
  for (const init of Object.values(FORMS)) {
    const card = await json(CARD, init);
    await verify(card);
    assert.deepEqual(card.supportedInterfaces.map(({ url }) => url), [`${world.url}/x402/access`]);
    assert.ok(!JSON.stringify(card.supportedInterfaces).includes('JSONRPC'));
    if (init !== PURE) assert.equal(card.url, `${world.url}/x402/access`);
  }
  const call = { method: 'POST', headers: { 'content-type': 'application/json', ...PURE.headers }, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'GetTask', params: { id: 'x' } }) };
  for (const path of ['/a2a', '/agent']) assert.equal((await get(path, call)).status, 404, path);
  await signWith(pem(key));
  assert.equal((await get('/a2a', call)).status, 200, 'and there is one otherwise');
});
