// Promises: purchases that are brought to a named point and are held there, without any sleeping or luck: the node or the
// seller's backend does not answer for this one purchase, or its storage takes no more writes. And what storage and chain
// say about them.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { keccak256 } from 'viem';
import { poll } from './poll.mjs';
import { access, signPayment } from './x402.mjs';

export const PRICE = 15_000n;
export const MONEY = 1_000_000_000n;
const REACH_MS = 60_000;
/** The gas wallet's jobs, those that are done included. */
export const ALL_JOBS = 'SELECT key FROM jobs UNION ALL SELECT key FROM done';

/** @param {string} address as calldata has it */
const word = (address) => address.slice(2).toLowerCase().padStart(64, '0');

/** One purchase of one buyer, signed once. */
export class Purchase {
  /** How many purchases the buyer had made before. */
  earlier = 0;

  /** @param {import('./world.mjs').TestWorld} world @param {import('../../tools/lib/world.mjs').TestAccount} buyer */
  static async signed(world, buyer) {
    const purchase = new Purchase();
    Object.assign(purchase, { world, buyer, order: { planId: 'basic', requestId: randomUUID() } });
    const { required } = await access(world.url, purchase.order);
    purchase.payment = await signPayment(buyer.privateKey, required);
    return purchase;
  }

  get requestId() {
    return this.order.requestId;
  }

  /** The one signed request. @param {{signal?: AbortSignal}} [options] */
  ask(options) {
    return access(this.world.url, this.order, { payment: this.payment, ...options });
  }

  /** The same, by somebody who may never get an answer, but repeats it when told so. @returns what makes him hang up */
  start() {
    const connection = new AbortController();
    const answered = async () => {
      for (;;) {
        const answer = await this.ask({ signal: connection.signal }).catch(() => undefined);
        if (answer?.body?.code !== 'ADAPTER_ERROR') return answer;
      }
    };
    this.answer = answered();
    return () => connection.abort();
  }

  /** @param {'payment' | 'refund'} which @returns {(params: any[]) => boolean} whether a call is about that transfer */
  about(which) {
    const ways = { payment: [this.buyer.address, this.world.seller.address], refund: [this.world.seller.address, this.buyer.address] };
    const words = ways[which].map(word).join('');
    const moves = (params) => JSON.stringify(params).toLowerCase().includes(words);
    const sent = () => this.world.rpc.callsOf('eth_sendRawTransaction').filter(({ params }) => moves(params));
    return (params) => moves(params) || sent().some((call) => keccak256(call.params[0]) === params[0]);
  }

  /** @param {'payment' | 'refund'} which @param {string} method @param {'hang' | 'mute'} kind */
  hold(which, method, kind = 'hang') {
    return this.world.rpc.on(method, { kind, match: this.about(which) });
  }

  /** How far it is by its own storage: `none`, `PENDING settling`, `PAID`, `PAID undelivered`, … */
  stage() {
    const body = this.#record();
    if (!body) return 'none';
    const [[status, inner]] = Object.entries(body.state);
    const attempt = inner.attempt ?? inner.refund;
    if (status === 'PAID' && inner.failure) return 'PAID undelivered';
    if (!status.endsWith('PENDING')) return status;
    return `${status} ${typeof attempt.stage === 'string' ? attempt.stage : Object.keys(attempt.stage)[0]}`;
  }

  #record() {
    this.file ??= fileOf(this.world, 'PurchaseObject', 'SELECT body FROM record', this.requestId);
    return this.file && JSON.parse(rows(this.file, 'SELECT body FROM record')[0].body);
  }

  /** How many of its transactions the gas wallet has on record. */
  jobs() {
    const file = fileOf(this.world, 'GasWalletObject', ALL_JOBS, this.requestId);
    return file ? rows(file, ALL_JOBS).filter(({ key }) => key.startsWith(this.requestId)).length : 0;
  }

  /** @param {string} stage */
  reach(stage) {
    return poll(() => this.stage() === stage, `${this.requestId} at ${stage}`, REACH_MS);
  }

  /** Transfers from the buyer to the seller. */
  async charges() {
    const all = await this.world.chain.transfers({ from: this.buyer.address, to: this.world.seller.address });
    return all.slice(this.earlier);
  }

  /** Transfers from the seller to the buyer. */
  refunds() {
    return this.world.chain.transfers({ from: this.world.seller.address, to: this.buyer.address });
  }

  /** Keeps the purchase's own storage from being written. @returns what ends that */
  lock() {
    return lock(this.file);
  }

  /** One charge, and the grant, the same for everybody who asks. */
  async assertGranted() {
    const answer = await this.ask();
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.type, 'AccessGrant');
    assert.equal((await this.ask()).text, answer.text);
    const charges = await this.charges();
    assert.deepEqual(charges.map(({ args, transactionHash }) => [args.value, transactionHash]), [[PRICE, answer.body.txHash]]);
    assert.deepEqual(await this.refunds(), []);
    assert.equal(await this.world.chain.usdcBalance(this.buyer.address), MONEY - PRICE);
    return answer;
  }

  /** One charge and one refund of all of it, and no grant. */
  async assertRefunded() {
    const answer = await this.ask();
    assert.equal(answer.status, 502, answer.text);
    assert.equal(answer.body.details.state, 'REFUNDED');
    assert.doesNotMatch(answer.text, /accessToken|opaque-/);
    assert.deepEqual((await this.charges()).map(({ args }) => args.value), [PRICE]);
    const refunds = await this.refunds();
    assert.deepEqual(refunds.map(({ args, transactionHash }) => [args.value, transactionHash]), [[PRICE, answer.body.details.refundTransaction]]);
    assert.equal(await this.world.chain.usdcBalance(this.buyer.address), MONEY);
  }
}

/** Reads where it lies: the tests wait by it, and a copy each time would starve what they wait for. */
function rows(file, query) {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    return database.prepare(query).all();
  } catch (error) {
    if (error.message.startsWith('no such table')) return [];
    throw error;
  } finally {
    database.close();
  }
}

/** The file of the object of this class of which a query gives something that contains `text`, once it exists. */
export function fileOf(world, className, query, text) {
  const folder = join(world.state, 'objects', `key0-${className}`);
  const files = readdirSync(folder).filter((entry) => /^[0-9a-f]{64}\.sqlite$/.test(entry));
  return files.map((entry) => join(folder, entry)).find((file) => JSON.stringify(rows(file, query)).includes(text));
}

/** Keeps one file of the runtime's storage from being written; reading goes on. @param {string} file */
export function lock(file) {
  const database = new DatabaseSync(file);
  database.exec('PRAGMA busy_timeout = 1000; BEGIN IMMEDIATE');
  return () => database.close();
}

/** @param {ReturnType<Purchase['hold']>} held */
export const met = (held) => poll(() => held.calls.length > 0, 'the call that is held', REACH_MS);
