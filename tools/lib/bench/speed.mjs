// Promises: the worker's answers and purchases on the real runtime, as fast as one machine goes, with the CPU that they take.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { call } from '../../../tests/support/calls.mjs';
import { startOrigin } from '../../../tests/support/origin.mjs';
import { access, buy, encodeHeader, signPayment } from '../../../tests/support/x402.mjs';
import { SIZE_BUDGET, compressedSize } from '../build.mjs';
import { load, quantile } from '../load.mjs';
import { watch } from '../perf.mjs';
import { Stop, step } from '../say.mjs';
import { startWorker } from '../worker.mjs';
import { testAccount } from '../world.mjs';
import { cpuOf } from './cpu.mjs';
import { table } from './table.mjs';

const TOKEN_ROUNDS = 10;
const CALLS_IN_FLIGHT = 8;
const CALLED = '/weather/oslo';
const ROUTE = { routeId: 'weather', method: 'GET', path: '/weather/:city', unitAmount: '$0.01', plans: ['basic'] };

/** Runs `work` and says how much CPU the runtime took for each of `count` things. */
async function measured(world, count, work) {
  const before = cpuOf(world.worker.pid);
  const result = await work();
  const after = cpuOf(world.worker.pid);
  const each = (part) => (after[part] - before[part]) / count;
  return { ...result, cpuMs: each('own'), kernelMs: each('kernel') };
}

async function documents(world, requests) {
  const body = () => JSON.stringify({ planId: 'basic', requestId: randomUUID() });
  const card = { path: '/.well-known/agent-card.json', method: 'GET', expect: 200 };
  const challenge = { path: '/x402/access', method: 'POST', body, expect: 402 };
  const run = (what) => measured(world, requests, () => load(world.worker.url, what, { requests, inFlight: 16 }));
  await load(world.worker.url, card, { requests: 200, inFlight: 16 });
  await load(world.worker.url, challenge, { requests: 200, inFlight: 16 });
  return { card: await run(card), challenge: await run(challenge) };
}

async function purchases(world, count, inFlight) {
  const { url } = world.worker;
  const orders = await step('Signing the payments', async () => {
    const made = [];
    for (let i = 0; i < count; i += 1) {
      const buyer = testAccount();
      await world.chain.mint(buyer.address, 1_000_000n);
      const body = { planId: 'basic', requestId: randomUUID() };
      const { required } = await access(url, body);
      made.push({ body, payment: await signPayment(buyer.privateKey, required) });
    }
    return made;
  });
  await world.chain.setBlockTime(world.blockTime);
  const watched = await watch(world.worker.pid, join(world.state, 'perf.data'));
  const result = await measured(world, count, async () => {
    const times = [];
    let repeats = 0;
    const queue = [...orders];
    const started = performance.now();
    const buyer = async () => {
      for (let order = queue.pop(); order; order = queue.pop()) {
        const begun = performance.now();
        let { status, text } = await access(url, order.body, { payment: order.payment });
        // A machine too busy for its own chain is slow, not broken: go on as a client does.
        for (let tries = 0; [502, 503].includes(status) && tries < 60; tries += 1) {
          repeats += 1;
          await new Promise((resolve) => setTimeout(resolve, 1000));
          ({ status, text } = await access(url, order.body, { payment: order.payment }));
        }
        if (status !== 200) throw new Stop(`A purchase was answered ${status}: ${text}`);
        times.push(performance.now() - begun);
      }
    };
    await Promise.all(Array.from({ length: inFlight }, buyer));
    return { perSecond: (count * 1000) / (performance.now() - started), times, repeats };
  });
  return { ...result, ownPart: await watched() };
}

/**
 * What it takes to make a token, in CPU milliseconds. A buyer who asks again gets the token made again; somebody else who
 * pays under the same request id is refused after the same work up to there. The difference is the token and the answer
 * around it: an upper bound. The two take turns, so that whatever else the machine does meets both alike.
 */
async function tokens(world, count) {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  const algorithms = { HS256: {}, RS256: { KEY0_TOKEN_ALGORITHM: 'RS256', KEY0_ACCESS_TOKEN_PRIVATE_KEY: String(rsa) } };
  const made = {};
  for (const [algorithm, vars] of Object.entries(algorithms)) {
    const worker = await startWorker({ state: join(world.state, algorithm), env: { ...world.settings, ...vars } });
    try {
      const body = { planId: 'basic', requestId: randomUUID() };
      const { required } = await access(worker.url, body);
      const stranger = await signPayment(testAccount().privateKey, required);
      const buyer = testAccount();
      await world.chain.mint(buyer.address, 1_000_000n);
      const bought = await buy(worker.url, buyer.privateKey, body);
      if (bought.status !== 200) throw new Stop(`A purchase was answered ${bought.status}: ${bought.text}`);
      const ask = (payment, expect) => ({ path: '/x402/access', method: 'POST', body: () => JSON.stringify(body), headers: { 'payment-signature': encodeHeader(payment) }, expect });
      const again = ask(bought.payment, 200);
      const refused = ask(stranger, 409);
      const cpu = async (what, requests) => (await measured({ worker }, count, () => load(worker.url, what, { requests, inFlight: 8 }))).cpuMs;
      const round = Math.ceil(count / TOKEN_ROUNDS);
      // Until the runtime has compiled what is used often.
      for (const what of [again, refused]) await cpu(what, count);
      made[algorithm] = 0;
      for (let left = count; left > 0; left -= round) {
        const requests = Math.min(round, left);
        made[algorithm] += (await cpu(again, requests)) - (await cpu(refused, requests));
      }
    } finally {
      await worker.stop();
    }
  }
  return made;
}

/**
 * Calls of an API: of itself, through the worker with a token, and paid one by one on a chain that makes a block for each
 * transaction, so that what is measured is not how long a block takes. All in one run, because only their ratio means anything.
 */
async function calls(world, count) {
  const origin = await startOrigin();
  const vars = { PLANS: JSON.stringify([{ planId: 'basic', unitAmount: '$0.015' }]), ROUTES: JSON.stringify([ROUTE]), PROXY_TO_BASE_URL: origin.url };
  const worker = await startWorker({ state: join(world.state, 'calls'), env: { ...world.settings, ...vars } });
  try {
    const buyer = testAccount();
    await world.chain.mint(buyer.address, 1_000_000_000n);
    const { body: grant, status, text } = await buy(worker.url, buyer.privateKey, { planId: 'basic', requestId: randomUUID() });
    if (status !== 200) throw new Stop(`A purchase was answered ${status}: ${text}`);
    const what = { path: CALLED, method: 'GET', expect: 200 };
    const opened = { ...what, headers: { authorization: `Bearer ${grant.accessToken}` } };
    const amount = { requests: count * 10, inFlight: CALLS_IN_FLIGHT };
    const warm = { ...amount, requests: 200 };
    await load(origin.url, what, warm);
    await load(worker.url, opened, warm);
    const direct = await load(origin.url, what, amount);
    const token = await measured({ worker }, amount.requests, () => load(worker.url, opened, amount));
    const url = `${worker.url}${CALLED}`;
    const payments = [];
    for (let i = 0; i < count; i += 1) payments.push(await signPayment(buyer.privateKey, (await call(`${url}?${i}`)).required));
    const paid = await measured({ worker }, count, async () => {
      const times = [];
      const queue = payments.map((payment, i) => ({ payment, url: `${url}?${i}` }));
      const started = performance.now();
      const caller = async () => {
        for (let one = queue.pop(); one; one = queue.pop()) {
          const begun = performance.now();
          const { status, text } = await call(one.url, { payment: one.payment });
          if (status !== 200) throw new Stop(`A paid call was answered ${status}: ${text}`);
          times.push(performance.now() - begun);
        }
      };
      await Promise.all(Array.from({ length: CALLS_IN_FLIGHT }, caller));
      return { perSecond: (count * 1000) / (performance.now() - started), times };
    });
    return { direct, token, paid };
  } finally {
    await worker.stop();
    await origin.stop();
  }
}

const ms = (value) => `${value.toFixed(value < 10 ? 2 : 0)} ms`;

function row(name, { perSecond, times, cpuMs, kernelMs }, budget = '') {
  const parts = [`${perSecond.toFixed(perSecond < 100 ? 1 : 0)} a second`, `half of them within ${ms(quantile(times, 0.5))}`, `99 % within ${ms(quantile(times, 0.99))}`];
  const cpu = Number.isNaN(cpuMs) ? [] : [`CPU ${ms(cpuMs + kernelMs)} each, ${ms(kernelMs)} of it the kernel's`];
  return [name, [...parts, ...cpu].join('; '), budget];
}

/** How much longer half of the calls take than calls of the API itself. */
function overhead(name, { direct, [name]: through }) {
  const [ours, theirs] = [through, direct].map(({ times }) => quantile(times, 0.5));
  return `${(ours / theirs).toFixed(1)} times the API itself, ${(ours - theirs).toFixed(1)} ms more`;
}

/** The budget is for the worker's own code. @param {{cpuMs: number, kernelMs: number, ownPart?: number}} bought */
function wholePurchase(bought, challenge) {
  const total = bought.cpuMs + bought.kernelMs + challenge.cpuMs + challenge.kernelMs;
  if (bought.ownPart === undefined) return `perf is not installed; ${ms(total)} of the runtime's process`;
  return `${ms(total * bought.ownPart)}; ${ms(total)} of the runtime's process`;
}

/**
 * @param {any} world
 * @param {{requests: number, purchases: number, inFlight: number, tokens: number, calls: number, blockTime: number}} plan
 * @returns {Promise<string>} a table
 */
export async function speed(world, plan) {
  const { card, challenge } = await step('Asking for documents and prices', () => documents(world, plan.requests));
  const made = await step('Making tokens', () => tokens(world, plan.tokens));
  const called = await step('Calling an API', () => calls(world, plan.calls));
  const bought = await purchases({ ...world, blockTime: plan.blockTime }, plan.purchases, plan.inFlight);
  const repeats = bought.repeats ? [['', `${bought.repeats} answers were 502 or 503 and the request was repeated`, '']] : [];
  const token = (algorithm, budget) => [`${algorithm} token, and the answer around it`, `CPU ${ms(made[algorithm])}`, `${budget} ms`];
  return table(['what', 'measured', 'budget'], [
    ['size of the upload after gzip', `${(compressedSize() / 1000).toFixed(1)} kB`, `${SIZE_BUDGET / 1000} kB`],
    row('agent card', card),
    row('offer (402)', challenge),
    ['offer : card', `${(challenge.perSecond / card.perSecond).toFixed(2)} of its rate, ${(challenge.cpuMs / card.cpuMs).toFixed(2)} of its CPU`, 'at least 0.95 of its rate'],
    token('HS256', 0.3),
    token('RS256', 2),
    row('the API itself', { ...called.direct, cpuMs: NaN, kernelMs: NaN }),
    row('call with a token', called.token),
    ['overhead of a token', overhead('token', called), ''],
    row('paid call', called.paid),
    ['overhead of a payment', overhead('paid', called), ''],
    row(`purchase, ${plan.inFlight} at once`, bought),
    ...repeats,
    ["whole purchase, CPU in the worker's own code", wholePurchase(bought, challenge), '5 ms'],
  ]);
}
