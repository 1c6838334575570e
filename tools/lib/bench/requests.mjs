// Promises: each kind of request that is counted, made many times while nothing else happens.

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { call } from '../../../tests/support/calls.mjs';
import { startIssuer } from '../../../tests/support/issuer.mjs';
import { startOrigin } from '../../../tests/support/origin.mjs';
import { startRpcProxy } from '../../../tests/support/rpc-proxy.mjs';
import { access, signPayment } from '../../../tests/support/x402.mjs';
import { Stop } from '../say.mjs';
import { startWorker } from '../worker.mjs';
import { testAccount } from '../world.mjs';
import { countingEntry, difference, whenQuiet } from './counting.mjs';
import { cpuOf } from './cpu.mjs';

const BLOCK_SECONDS = 2;
/** So many purchases one after the other: each takes a block. */
const ALONE = 5;
const GRANTS = 10;
const CALLS_EACH = 100;
const REFUNDED = 10;
const CALLS_IN_FLIGHT = 8;
const PLANS = [
  { planId: 'basic', unitAmount: '$0.015' },
  { planId: 'limited', unitAmount: '$0.015', quota: { calls: 1_000_000 } },
];
const ROUTES = [
  { routeId: 'weather', method: 'GET', path: '/weather/:city', unitAmount: '$0.01', plans: ['basic', 'limited'], settle: 'after' },
  { routeId: 'note', method: 'POST', path: '/notes', unitAmount: '$0.01', settle: 'before' },
];

/**
 * @typedef {{name: string, about: string, times: number, counts: import('./counting.mjs').Counts, cpuMs: number,
 *            rpc: {requests: number, methods: Record<string, number>}, gas: number | undefined}} Kind
 *          `counts` and `rpc` are of all together
 */

/** Does everything at once, or one after the other. @template T, U @param {T[]} all @param {number} inFlight @param {(one: T) => Promise<U>} act */
async function each(all, inFlight, act) {
  const queue = [...all];
  const results = [];
  const next = async () => {
    for (let one = queue.shift(); one !== undefined; one = queue.shift()) results.push(await act(one));
  };
  await Promise.all(Array.from({ length: inFlight }, next));
  return results;
}

/** The answer, if it is what it should be. */
function expect(answer, status = 200) {
  if (answer.status !== status) throw new Stop(`Answered ${answer.status}, not ${status}: ${answer.text}`);
  return answer;
}

/** Counts what happens at a worker and before its chain. */
class Counter {
  /** @type {Kind[]} */
  kinds = [];

  constructor(world, worker, rpc, note) {
    Object.assign(this, { world, worker, rpc, note });
  }

  /** Does something many times, and counts what came of it until all is at rest. @param {string} name @param {string} about @param {number} times @param {() => Promise<any>} act */
  async count(name, about, times, act) {
    this.note(name);
    const before = await whenQuiet(this.worker.url);
    const { pid } = this.worker;
    this.rpc.forget();
    const [cpu, block] = [cpuOf(pid), await this.world.chain.client.getBlockNumber()];
    const result = await act();
    const counts = difference(await whenQuiet(this.worker.url), before);
    const used = cpuOf(pid);
    const methods = {};
    for (const { method } of this.rpc.calls) methods[method] = (methods[method] ?? 0) + 1;
    const rpc = { requests: this.rpc.exchanges(), methods };
    const cpuMs = (used.own + used.kernel - cpu.own - cpu.kernel) / times;
    this.kinds.push({ name, about, times, counts, cpuMs, rpc, gas: await this.gasSince(block) });
    return result;
  }

  /** What a transfer to the seller has cost, on average. */
  async gasSince(block) {
    const { chain, seller } = this.world;
    const logs = await chain.transfers({ to: seller.address });
    const hashes = logs.filter(({ blockNumber }) => blockNumber > block).map(({ transactionHash }) => transactionHash);
    if (!hashes.length) return undefined;
    const receipts = await Promise.all(hashes.map((hash) => chain.client.getTransactionReceipt({ hash })));
    return receipts.reduce((total, { gasUsed }) => total + Number(gasUsed), 0) / hashes.length;
  }

  /** One signed order for each buyer. */
  signed(buyers, planId = 'basic') {
    return each(buyers, CALLS_IN_FLIGHT, async (buyer) => {
      const body = { planId, requestId: randomUUID() };
      const { required } = await access(this.worker.url, body);
      return { body, payment: await signPayment(buyer.privateKey, required) };
    });
  }

  pay = async ({ body, payment }, status = 200) => expect(await access(this.worker.url, body, { payment }), status);
}

/** Starts the counting worker with these settings, and counts what `act` does to it. */
async function counting(world, folder, vars, note, act) {
  const rpc = await startRpcProxy(world.chain.url);
  const env = { ...world.settings, KEY0_RPC_URL: rpc.url, ...vars };
  const worker = await startWorker({ state: join(world.state, folder), env, entry: countingEntry() });
  const counter = new Counter(world, worker, rpc, note);
  try {
    await act(counter);
  } finally {
    await worker.stop();
    await rpc.close();
  }
  return counter.kinds;
}

async function newBuyers(world, count) {
  const buyers = Array.from({ length: count }, testAccount);
  await each(buyers, CALLS_IN_FLIGHT, ({ address }) => world.chain.mint(address, 1_000_000_000n));
  return buyers;
}

/** @param {any} world @param {number} count @param {(line: string) => void} note @returns {Promise<Kind[]>} */
export async function countRequests(world, count, note) {
  const origin = await startOrigin();
  const issuer = await startIssuer('fails');
  const sells = { PLANS: JSON.stringify(PLANS), ROUTES: JSON.stringify(ROUTES), PROXY_TO_BASE_URL: origin.url };
  const remote = { TOKEN_MODE: 'remote', BACKEND_API_URL: issuer.url, REFUND_MIN_AGE_MS: '4000' };
  try {
    const [early, buyers, unlucky] = [await newBuyers(world, count), await newBuyers(world, count), await newBuyers(world, REFUNDED)];
    await world.chain.mint(world.seller.address, 1_000_000_000n);
    await world.chain.setBlockTime(BLOCK_SECONDS);
    const sold = await counting(world, 'counts', sells, note, (counter) => soldKinds(counter, { count, early, buyers }));
    const refunded = await counting(world, 'refunds', remote, note, async (counter) => {
      const orders = await counter.signed(unlucky);
      const about = 'the backend issues nothing';
      await counter.count('purchase that is refunded', about, REFUNDED, () => each(orders, REFUNDED, (order) => counter.pay(order, 502)));
    });
    return [...sold, ...refunded];
  } finally {
    await world.chain.setBlockTime(0);
    await origin.stop();
    await issuer.stop();
  }
}

async function soldKinds(counter, { count, early, buyers }) {
  const { url } = counter.worker;
  const inFlight = `${count} in flight`;
  const buy = (orders) => each(orders, count, counter.pay);
  // The wallet and the parts of the ledger exist from here on.
  await buy(await counter.signed(early));

  const offer = () => access(url, { planId: 'basic', requestId: randomUUID() });
  await counter.count('offer', '', count, () => each(buyers, CALLS_IN_FLIGHT, async () => expect(await offer(), 402)));
  const first = await counter.signed(buyers);
  await counter.count('purchase, new payer', inFlight, count, () => buy(first));
  const orders = await counter.signed(buyers);
  await counter.count('purchase, known payer', inFlight, count, () => buy(orders));
  const few = await counter.signed(buyers.slice(0, ALONE));
  await counter.count('purchase, known payer', 'one at a time', ALONE, () => each(few, 1, counter.pay));
  await counter.count('paid purchase, repeated', '', count, () => each(orders, CALLS_IN_FLIGHT, counter.pay));

  const calls = [
    ['paid call, charged after', 'GET', '/weather/oslo'],
    ['paid call, charged before', 'POST', '/notes'],
  ];
  for (const [name, method, path] of calls) {
    const options = (i) => ({ method, ...(method === 'POST' && { body: { note: i } }) });
    const payments = await each(buyers.map((buyer, i) => ({ buyer, i })), CALLS_IN_FLIGHT, async ({ buyer, i }) => {
      const { required } = await call(`${url}${path}?${i}`, options(i));
      return { i, payment: await signPayment(buyer.privateKey, required) };
    });
    await counter.count(name, inFlight, count, () =>
      each(payments, count, async ({ i, payment }) => expect(await call(`${url}${path}?${i}`, { ...options(i), payment }))),
    );
  }

  const bearer = ({ body }) => ({ headers: { authorization: `Bearer ${body.accessToken}` } });
  const useToken = async (token) => expect(await call(`${url}/weather/oslo`, token));
  const plain = bearer(await counter.pay(orders[0]));
  const many = (token, times) => each(Array(times).fill(token), CALLS_IN_FLIGHT, useToken);
  await counter.count('call with a token', 'no limits', CALLS_EACH, () => many(plain, CALLS_EACH));
  const grants = (await buy(await counter.signed(buyers.slice(0, GRANTS), 'limited'))).map(bearer);
  await counter.count('counted call', 'the first of its grant', grants.length, () => each(grants, GRANTS, useToken));
  await counter.count('counted call', 'alone', grants.length, () => each(grants, GRANTS, useToken));
  const times = 10 * CALLS_EACH;
  await counter.count('counted call', `${CALLS_IN_FLIGHT} in flight`, times, () => many(grants[0], times));
}
