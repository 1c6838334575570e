// Promises: offers sealed as the worker seals them, by whoever has the token secret: with any wallet, price and time.

import { createHmac, hkdfSync } from 'node:crypto';

const VERSION = 1;
const PLAN = 0;
const TAG_BYTES = 16;

/**
 * @param {string} secret KEY0_ACCESS_TOKEN_SECRET
 * @param {{requestId: string, planId?: string, resourceId?: string, amount?: bigint, chainId?: number, payTo: string, issuedAt: number, expiresAt: number}} terms
 * @returns {string} the challenge id
 */
export function seal(secret, { requestId, planId = 'basic', resourceId = 'default', amount = 15_000n, chainId = 84532, payTo, issuedAt, expiresAt }) {
  const number = (value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(value));
    return bytes;
  };
  const text = (value) => Buffer.concat([Buffer.from([value.length]), Buffer.from(value)]);
  const body = Buffer.concat([
    Buffer.from([VERSION]),
    ...[issuedAt, expiresAt, amount, chainId].map(number),
    Buffer.from(payTo.slice(2), 'hex'),
    Buffer.from([PLAN]),
    ...[requestId, planId, resourceId].map(text),
  ]);
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'key0 challenge seal v1', 32));
  const tag = createHmac('sha256', key).update(body).digest().subarray(0, TAG_BYTES);
  return Buffer.concat([body, tag]).toString('base64url');
}
