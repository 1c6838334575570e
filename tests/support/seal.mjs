// Promises: offers sealed as the worker seals them, by whoever has the secret: with any wallet, price and time.

import { createHmac, hkdfSync } from 'node:crypto';

const VERSION = 2;
const CHOSEN = 1;
const PLAN = 0;
const TAG_BYTES = 16;

/**
 * @param {string} secret KEY0_SEAL_SECRET, or KEY0_ACCESS_TOKEN_SECRET without it
 * @param {{requestId: string, chosen?: boolean, planId?: string, resourceId?: string, amount?: bigint, chainId?: number, payTo: string, issuedAt: number, expiresAt: number, lifetime?: number}} terms `requestId` is a UUID
 * @returns {string} the challenge id
 */
export function seal(secret, { requestId, chosen = true, planId = 'basic', resourceId = 'default', amount = 15_000n, chainId = 84532, payTo, issuedAt, expiresAt, lifetime = 3600 }) {
  const hex = (digits) => Buffer.from(digits, 'hex');
  const text = (value) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  const body = Buffer.concat([
    Buffer.from([VERSION, chosen ? CHOSEN : 0, PLAN]),
    hex(requestId.replaceAll('-', '')),
    text(planId),
    text(resourceId),
    hex(payTo.slice(2)),
    ...[chainId, amount, issuedAt, expiresAt - issuedAt, lifetime].map(number),
  ]);
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'key0 offer seal v2', 32));
  const tag = createHmac('sha256', key).update(body).digest().subarray(0, TAG_BYTES);
  return Buffer.concat([body, tag]).toString('base64url');
}

/** LEB128. @param {number | bigint} value @returns {Buffer} */
export function number(value) {
  const groups = [];
  let rest = BigInt(value);
  do {
    groups.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(groups);
}
