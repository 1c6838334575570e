// Requests that cannot be read, or are too large to be.
//
//  1. A buyer signs a payment that is good in itself.
//  2. It sends it with a body or a header that is malformed, ambiguous or too large.
//  3. Each request is refused with its documented status and code. Nothing is broadcast, nothing stored.
//  4. At the limit itself, the same payment is good.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { describe, test } from 'node:test';
import { NETWORK } from '../tools/lib/chain.mjs';
import { income } from './support/facts.mjs';
import { assertRefused } from './support/refusal.mjs';
import { useWorld } from './support/world.mjs';
import { access, asVersion1, decodeAnswer, encodeHeader, signPayment } from './support/x402.mjs';

const INVALID = { status: 400, code: 'INVALID_REQUEST' };
const UNREADABLE = { ...INVALID, reason: 'invalid_payload' };
const OTHER_VERSION = { ...INVALID, reason: 'invalid_x402_version' };
const TOO_LARGE = { status: 413, code: 'PAYLOAD_TOO_LARGE' };
const LIMIT = 64 * 1024;
let buyer;
const world = useWorld({ backend: false }, async (ready) => {
  buyer = await ready.newBuyer();
});

async function goodPayment(body = { planId: 'basic' }) {
  const { required } = await access(world.url, body);
  return signPayment(buyer.privateKey, required);
}

/**
 * One POST with the header lines exactly as given. Without `end` the body is begun and never ended: the answer must come
 * all the same.
 */
const rawPost = (lines, body, { end = true } = {}) =>
  new Promise((resolve, reject) => {
    const headers = ['host', 'localhost', 'content-type', 'application/json', ...lines.flat()];
    const sent = httpRequest(`${world.url}/x402/access`, { method: 'POST', headers, agent: false }, (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk)).on('error', reject);
      answer.on('end', () => {
        const received = new Headers(Object.entries(answer.headers).map(([name, value]) => [name, String(value)]));
        resolve(decodeAnswer(new Response(Buffer.concat(chunks), { status: answer.statusCode, headers: received })));
        sent.destroy();
      });
    });
    sent.on('error', reject);
    sent.write(body);
    if (end) sent.end();
  });

describe('a body that asks for nothing that is sold', () => {
  const rows = {
    'an unknown plan': [{ planId: 'gold' }, { status: 400, code: 'TIER_NOT_FOUND', message: /\/discover/ }],
    'members that are not known, and no plan': [{ product: 7, colour: 'red' }, { ...INVALID, message: /\/discover/ }],
    'a plan under another name': [{ plan: 'basic' }, { ...INVALID, message: /send `planId`/ }],
    'a plan in another spelling': [{ plan_id: 'basic' }, { ...INVALID, message: /did you mean `planId`\?/ }],
    'a requestId in another spelling': [{ planId: 'basic', requestID: randomUUID() }, { ...INVALID, message: /did you mean `requestId`\?/ }],
    'a requestId in another spelling, and no plan': [{ requestID: randomUUID() }, { ...INVALID, message: /did you mean `requestId`\?/ }],
    'a resourceId in another spelling': [{ planId: 'basic', resource_id: 'photos' }, { ...INVALID, message: /did you mean `resourceId`\?/ }],
    'a proof in another spelling': [{ planId: 'basic', Proof: {} }, { ...INVALID, message: /did you mean `proof`\?/ }],
    'no JSON': ['{"planId":', INVALID],
    'a list': ['["basic"]', INVALID],
    'a plan that is a number': [{ planId: 1 }, { ...INVALID, message: /planId/ }],
    'a plan with a space': [{ planId: 'ba sic' }, { ...INVALID, message: /planId/ }],
    'a plan of 65 letters': [{ planId: 'a'.repeat(65) }, { ...INVALID, message: /planId/ }],
    'a requestId that is no UUID': [{ planId: 'basic', requestId: 'order-1' }, { ...INVALID, message: /requestId/ }],
    'a requestId that is a number': [{ planId: 'basic', requestId: 7 }, { ...INVALID, message: /requestId/ }],
    'an empty requestId': [{ planId: 'basic', requestId: '' }, { ...INVALID, message: /requestId/ }],
    'a resourceId with a space': [{ planId: 'basic', resourceId: 'a b' }, { ...INVALID, message: /resourceId/ }],
    'a resourceId that leads to another folder': [{ planId: 'basic', resourceId: '../admin' }, { ...INVALID, message: /resourceId must not have/ }],
    'a resourceId of two dots, and no plan': [{ resourceId: '..' }, { ...INVALID, message: /resourceId must not have/ }],
    'a resourceId of 129 letters': [{ planId: 'basic', resourceId: 'r'.repeat(129) }, { ...INVALID, message: /resourceId/ }],
  };
  for (const [name, [body, expected]] of Object.entries(rows)) {
    test(`${name}: refused, with a payment as without`, async () => {
      await assertRefused(world, () => access(world.url, body), expected);
      const payment = await goodPayment();
      await assertRefused(world, () => access(world.url, body, { payment }), expected);
    });
  }
});

describe('a PAYMENT-SIGNATURE header that is no payment', () => {
  const base64 = (text) => Buffer.from(text).toString('base64');
  const headers = {
    'no base64': '!!! not base64 !!!',
    empty: '',
    'beyond ASCII': 'caf\u00e9',
    'base64 of no JSON': base64('hello'),
    'base64 of a list': base64('[]'),
    'base64 of bytes': Buffer.from([0xff, 0x00, 0xfe]).toString('base64'),
    'base64 of an empty object': base64('{}'),
  };
  for (const [name, header] of Object.entries(headers)) {
    test(`${name}: invalid_payload`, () => assertRefused(world, () => access(world.url, { planId: 'basic' }, { header }), UNREADABLE));
  }

  /** A good payment with one thing changed, and what the answer says of it. */
  const changed = {
    'x402Version 1': [(payment) => (payment.x402Version = 1), OTHER_VERSION],
    'x402Version 3': [(payment) => (payment.x402Version = 3), OTHER_VERSION],
    'x402Version as a text': [(payment) => (payment.x402Version = '2'), /`x402Version` is a text .* must be the number 2/],
    'no x402Version': [(payment) => delete payment.x402Version, /`x402Version` is missing/],
    'no accepted': [(payment) => delete payment.accepted, /`accepted` is missing/],
    'accepted null': [(payment) => (payment.accepted = null), /`accepted` is null/],
    'accepted as a text': [(payment) => (payment.accepted = 'yes'), /`accepted` is a text/],
    'no payload': [(payment) => delete payment.payload, /`payload` is missing/],
    'no authorization': [(payment) => delete payment.payload.authorization, /`payload.authorization` is missing/],
    'no signature': [(payment) => delete payment.payload.signature, /`payload.signature` is missing/],
    'a signature that is not hex': [(payment) => (payment.payload.signature = '0xzz'), /`payload.signature` .* hex digits/],
    'a signature without 0x': [({ payload }) => (payload.signature = payload.signature.slice(2)), /`payload.signature` .* 0x/],
    'no nonce': [({ payload: { authorization } }) => delete authorization.nonce, /`payload.authorization.nonce` is missing/],
    'a nonce without 0x': [({ payload: { authorization } }) => (authorization.nonce = authorization.nonce.slice(2)), /authorization.nonce` .* 0x and 64 hex/],
    'a nonce of 31 bytes': [({ payload: { authorization } }) => (authorization.nonce = authorization.nonce.slice(0, -2)), /authorization.nonce` .* 64 hex/],
    'a payer of 19 bytes': [({ payload: { authorization } }) => (authorization.from = authorization.from.slice(0, -2)), /authorization.from` .* 40 hex/],
    'a value as a number': [({ payload: { authorization } }) => (authorization.value = 15000), /authorization.value` is a number: it must be a text/],
    'a negative value': [({ payload: { authorization } }) => (authorization.value = '-15000'), /authorization.value` .* decimal digits/],
    'a value in hex': [({ payload: { authorization } }) => (authorization.value = '0x3a98'), /authorization.value` .* decimal digits/],
    'a value above 256 bits': [({ payload: { authorization } }) => (authorization.value = String(2n ** 256n)), /authorization.value` /],
    'a validAfter as a number': [({ payload: { authorization } }) => (authorization.validAfter = Number(authorization.validAfter)), /authorization.validAfter` is a number/],
    'a validBefore as a number': [({ payload: { authorization } }) => (authorization.validBefore = Number(authorization.validBefore)), /authorization.validBefore` is a number/],
    'a validBefore that is empty': [({ payload: { authorization } }) => (authorization.validBefore = ''), /authorization.validBefore` .* decimal digits/],
  };
  for (const [name, [change, told]] of Object.entries(changed)) {
    const expected = told instanceof RegExp ? { ...UNREADABLE, message: told } : told;
    test(`${name}: ${expected.reason}`, async () => {
      const payment = await goodPayment();
      change(payment);
      await assertRefused(world, () => access(world.url, { planId: 'basic' }, { payment }), expected);
    });
  }

  test('a version 1 payment in the header of version 2: invalid_x402_version', async () => {
    const payment = asVersion1(await goodPayment());
    await assertRefused(world, () => access(world.url, { planId: 'basic' }, { payment }), OTHER_VERSION);
  });
});

describe('an X-PAYMENT header that is no payment', () => {
  const send = (payment) => access(world.url, { planId: 'basic' }, { headers: { 'x-payment': typeof payment === 'string' ? payment : encodeHeader(payment) } });
  test('no base64: invalid_payload', () => assertRefused(world, () => send('!!!'), UNREADABLE));
  test('a version 2 payment: invalid_x402_version', async () => {
    const payment = await goodPayment();
    await assertRefused(world, () => send(payment), OTHER_VERSION);
  });
  for (const [name, change, mismatch] of [
    ['another network', { network: 'base' }, ['network']],
    ['the network’s version 2 name', { network: NETWORK }, ['network']],
    ['another scheme and no network', { scheme: 'upto', network: undefined }, ['scheme', 'network']],
  ]) {
    test(`${name}: invalid_payment_requirements`, async () => {
      const payment = { ...asVersion1(await goodPayment()), ...change };
      await assertRefused(world, () => send(payment), { status: 402, code: 'PAYMENT_FAILED', reason: 'invalid_payment_requirements', mismatch, version: 1 });
    });
  }
  test('two of them: refused', async () => {
    const payment = encodeHeader(asVersion1(await goodPayment()));
    await assertRefused(world, () => send(`${payment}, ${payment}`), UNREADABLE);
  });
});

describe('two payments at once', () => {
  const body = '{"planId":"basic"}';
  const length = ['content-length', String(body.length)];
  test('two header lines: refused', async () => {
    const payment = encodeHeader(await goodPayment());
    await assertRefused(world, () => rawPost([length, ['payment-signature', payment], ['Payment-Signature', payment]], body), UNREADABLE);
  });
  test('one line that a proxy joined from two: refused', async () => {
    const payment = encodeHeader(await goodPayment());
    await assertRefused(world, () => rawPost([length, ['payment-signature', `${payment}, ${payment}`]], body), UNREADABLE);
  });
  test('two different payments: refused', async () => {
    const [one, other] = [encodeHeader(await goodPayment()), encodeHeader(await goodPayment())];
    await assertRefused(world, () => rawPost([length, ['payment-signature', one], ['payment-signature', other]], body), UNREADABLE);
  });
});

describe('more than anybody needs', () => {
  const padded = (size) => JSON.stringify({ planId: 'basic' }).padEnd(size, ' ');
  const paid = async () => ['payment-signature', encodeHeader(await goodPayment())];

  test('a body that is announced with 5 MB: PAYLOAD_TOO_LARGE before any of it is read', async () => {
    const payment = await paid();
    await assertRefused(world, () => rawPost([['content-length', '5000000'], payment], padded(100), { end: false }), TOO_LARGE);
  });
  test('a body that does not end: PAYLOAD_TOO_LARGE as soon as it is', async () => {
    const payment = await paid();
    await assertRefused(world, () => rawPost([['transfer-encoding', 'chunked'], payment], padded(LIMIT + 1), { end: false }), TOO_LARGE);
  });
  test('a body one byte too long, its length announced: PAYLOAD_TOO_LARGE', async () => {
    const payment = await paid();
    await assertRefused(world, () => rawPost([['content-length', String(LIMIT + 1)], payment], padded(LIMIT + 1)), TOO_LARGE);
  });
  test('a body one byte too long, its length not announced: PAYLOAD_TOO_LARGE', async () => {
    const payment = await paid();
    await assertRefused(world, () => rawPost([['transfer-encoding', 'chunked'], payment], padded(LIMIT + 1)), TOO_LARGE);
  });

  /** A good payment in a header of exactly this many characters. */
  const headerOf = async (chars) => {
    const payment = await goodPayment({ planId: 'basic', requestId: randomUUID() });
    const bare = JSON.stringify({ ...payment, padding: '' }).length;
    return encodeHeader({ ...payment, padding: 'x'.repeat((chars / 4) * 3 - bare) });
  };
  test('a header above 16 KB, though its payment is good: invalid_payload', async () => {
    const header = await headerOf(16 * 1024 + 4);
    assert.equal(header.length, 16 * 1024 + 4);
    await assertRefused(world, () => access(world.url, { planId: 'basic' }, { header }), UNREADABLE);
  });

  test('a body of 64 KB and a header of 16 KB are good', async () => {
    assert.deepEqual(await income(world), [], 'some refused payment was taken');
    const answer = await access(world.url, padded(LIMIT), { header: await headerOf(16 * 1024) });
    assert.equal(answer.status, 200, answer.text);
    assert.equal((await income(world)).length, 1);
  });
});
