// Promises: speaking to the MCP door by hand, in both generations of the protocol, so that a test can change anything on the
// way. Every answer that passes here is held to the form of its generation.

import assert from 'node:assert/strict';
import { NETWORK } from '../../tools/lib/chain.mjs';
import { assertNoToken, post } from './a2a.mjs';
import { broadcasts, traces } from './facts.mjs';

export const MODERN_VERSION = '2026-07-28';
export const HANDSHAKE_VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05'];
const META = 'io.modelcontextprotocol';
const TOOL = 'request_access';
/** What is said of the order only, or of a purchase that was paid: then the payment has no receipt that says otherwise. */
const SAYS_NOTHING = ['TIER_NOT_FOUND', 'CHALLENGE_NOT_FOUND'];

/** Clients that begin with a handshake. @typedef {{name: string, wrap: (method: string, params: any) => {params: any, headers: Record<string, string>}}} Era */
export const HANDSHAKE = {
  name: 'with a handshake',
  wrap: (method, params) => ({ params, headers: { 'mcp-protocol-version': HANDSHAKE_VERSIONS[0] } }),
};
/** Clients whose requests describe themselves. @type {Era} */
export const MODERN = {
  name: 'without a handshake',
  wrap: (method, params = {}) => ({
    params: { ...params, _meta: { ...params._meta, [`${META}/protocolVersion`]: MODERN_VERSION, [`${META}/clientCapabilities`]: {} } },
    headers: { 'mcp-protocol-version': MODERN_VERSION, 'mcp-method': method, ...(method === 'tools/call' && { 'mcp-name': params.name }) },
  }),
};
export const ERAS = [HANDSHAKE, MODERN];

/** The door, for one generation of clients. */
export class Mcp {
  /** @param {import('./world.mjs').TestWorld} world @param {Era} [era] */
  constructor(world, era = HANDSHAKE) {
    Object.assign(this, { world, era });
  }

  get url() {
    return `${this.world.url}/mcp`;
  }

  /** Posts a body as it is. @param {unknown} body @param {Record<string, string>} [headers] @param {AbortSignal} [signal] */
  post(body, headers = {}, signal) {
    return post(this.url, body, { headers: { accept: 'application/json, text/event-stream', ...headers }, signal });
  }

  /** @param {string} method @param {any} [params] @param {{id?: unknown, headers?: Record<string, string>, signal?: AbortSignal}} [options] */
  async call(method, params, { id = 7, headers = {}, signal } = {}) {
    const wrapped = this.era.wrap(method, params);
    const answer = await this.post({ jsonrpc: '2.0', id, method, params: wrapped.params }, { ...wrapped.headers, ...headers }, signal);
    if (answer.body?.jsonrpc) assert.deepEqual(answer.body.id, id, answer.text);
    return answer;
  }

  /** The result of a method that must have one. */
  async result(method, params, options) {
    const answer = await this.call(method, params, options);
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers.get('content-type'), /^application\/json/);
    assert.deepEqual(Object.keys(answer.body).sort(), ['id', 'jsonrpc', 'result'], answer.text);
    const { result } = answer.body;
    assert.equal(result.resultType, this.era === MODERN ? 'complete' : undefined);
    if (this.era === MODERN) assert.ok(result._meta[`${META}/serverInfo`].name);
    return result;
  }

  /**
   * Calls a tool. @param {string} name @param {any} [args] @param {{payment?: unknown, headers?: Record<string, string>, signal?: AbortSignal}} [options]
   */
  async tool(name, args, { payment, headers, signal } = {}) {
    const meta = payment === undefined ? {} : { _meta: { 'x402/payment': payment } };
    const result = await this.result('tools/call', { name, arguments: args, ...meta }, { headers, signal });
    const texts = result.content.map(({ type, text }) => (assert.equal(type, 'text'), text));
    return { result, texts, data: result.structuredContent, receipt: result._meta?.['x402/payment-response'], text: JSON.stringify(result) };
  }

  /** Calls the paid tool. @param {any} [args] @param {unknown} [payment] @param {Record<string, string>} [headers] @param {AbortSignal} [signal] */
  access(args = { planId: 'basic' }, payment, headers, signal) {
    return this.tool(TOOL, args, { payment, headers, signal });
  }

  /** The offer, held to its form. @param {any} [args] */
  async offer(args) {
    return assertOffered(await this.access(args));
  }
}
/** @typedef {Awaited<ReturnType<Mcp['tool']>>} Answer */

/** An answer that is an offer, and what it offers. @param {Answer} answer */
export function assertOffered(answer) {
  const { result, texts, data } = answer;
  assert.equal(result.isError, true, answer.text);
  assert.equal(data?.x402Version, 2, answer.text);
  assert.deepEqual(JSON.parse(texts[0]), data);
  assert.deepEqual(result._meta['x402/error'], data);
  assert.equal(data.accepts.length, 1);
  // eslint-disable-next-line no-control-regex
  assert.match(JSON.stringify(data), /^[\x20-\x7e]*$/);
  assertNoToken(answer.text);
  return data;
}

/** An answer with the goods, and the grant in it. @param {Answer} answer */
export function assertGranted(answer) {
  const { result, texts, data, receipt } = answer;
  assert.equal(result.isError, false, answer.text);
  assert.deepEqual([data.type, data.status], ['AccessGrant', 'access_granted'], answer.text);
  assert.deepEqual(texts.map((text) => JSON.parse(text)), [data]);
  const { payer, ...paid } = receipt;
  assert.deepEqual(paid, { success: true, transaction: data.txHash, network: NETWORK });
  assert.match(payer, /^0x[0-9a-fA-F]{40}$/);
  return data;
}

/** An error that invites nobody to pay, and its body. @param {Answer} answer @param {string} code */
export function assertFailed(answer, code) {
  assert.equal(answer.result.isError, true, answer.text);
  assert.deepEqual([answer.data?.type, answer.data?.code], ['Error', code], answer.text);
  assert.doesNotMatch(answer.text, /\\?"accepts\\?"/);
  assert.equal(answer.result._meta?.['x402/error'], undefined);
  assertNoToken(answer.text);
  return answer.data;
}

/** It is not over: repeat the call. @param {Answer} answer */
export function assertUnderWay(answer) {
  const error = assertFailed(answer, 'SETTLEMENT_PENDING');
  assert.match(answer.texts[0], /repeat this call (unchanged\.|with "requestId": "[^"]+"\. However often it is signed, it is charged once\.)$/);
  assert.deepEqual(JSON.parse(answer.texts[1]), error);
  assert.ok(error.details.retryAfterSeconds > 0);
  assert.equal(answer.receipt, undefined);
}

/**
 * A refused payment, looked at as a whole: no token, nothing broadcast, nothing stored of a purchase.
 * @param {import('./world.mjs').TestWorld} world
 * @param {() => Promise<Answer>} send  the call that must be refused
 * @param {{code: string, reason?: string, mismatch?: string[], again?: boolean}} expected
 * `again`: whether there is an offer, so that it may be paid anew
 */
export async function assertRefused(world, send, { code, reason, mismatch, again = true }) {
  const before = { sent: await broadcasts(world), traces: traces(world) };
  const answer = await send();
  const error = again ? JSON.parse(answer.texts[1]) : assertFailed(answer, code);
  assert.equal(error.code, code, answer.text);
  if (reason) assert.equal(error.details?.reason, reason, answer.text);
  if (mismatch) assert.deepEqual(error.details?.mismatch, mismatch, answer.text);
  const { errorReason, payer, ...receipt } = answer.receipt ?? {};
  // Of one that is to be signed anew the answer names the purchase.
  if (SAYS_NOTHING.includes(code) || error.details?.requestId) assert.equal(answer.receipt, undefined, answer.text);
  else {
    assert.deepEqual(receipt, { success: false, transaction: '', network: NETWORK }, answer.text);
    assert.ok(errorReason, answer.text);
  }
  if (again) {
    const offer = assertOffered(answer);
    assert.equal(offer.error, errorReason);
    assert.equal(offer.accepts[0].payTo, world.seller.address);
  }
  assert.equal(await broadcasts(world), before.sent, 'something was broadcast');
  assert.deepEqual(traces(world), before.traces, 'something was stored');
  return answer;
}
