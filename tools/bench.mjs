// Promises: `npm run bench` measures the worker's size, its answers and its purchases on the real runtime and prints
// them. Nothing fails here for being slow: the machine decides about that.

import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { call } from '../tests/support/calls.mjs';
import { startOrigin } from '../tests/support/origin.mjs';
import { access, buy, encodeHeader, signPayment } from '../tests/support/x402.mjs';
import { readFlags } from './lib/args.mjs';
import { SIZE_BUDGET, buildWorker, compressedSize } from './lib/build.mjs';
import { load, quantile } from './lib/load.mjs';
import { watch } from './lib/perf.mjs';
import { Stop, bold, fail, say, step } from './lib/say.mjs';
import { onShutdown } from './lib/shutdown.mjs';
import { startWorker } from './lib/worker.mjs';
import { startWorld, testAccount } from './lib/world.mjs';

const HELP = `
npm run bench -- [options]

Measures size, answers and purchases on the real runtime and a local chain, and
prints them; nothing fails for being slow. That takes about a minute, and some
more when the worker is built first.

  --requests <number>     for each of the two documents, default 5000
  --purchases <number>    default 200
  --in-flight <number>    purchases at the same time, default 50
  --block-time <seconds>  of the chain, default 1
  --tokens <number>       for each algorithm, default 5000
  --calls <number>        paid calls of an API, default 100; ten times as many
                          calls with a token, and of the API without the worker

  npm run bench -- --purchases 500
`;
const TICKS_PER_SECOND = 100;
const TOKEN_ROUNDS = 10;
const CALLS_IN_FLIGHT = 8;
const CALLED = '/weather/oslo';
const ROUTE = { routeId: 'weather', method: 'GET', path: '/weather/:city', unitAmount: '$0.01', plans: ['basic'] };

/** CPU seconds that a process has used so far, in its own code and in the kernel's (mostly the disk). @param {number} pid */
function cpuSeconds(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    return { own: Number(fields[11]) / TICKS_PER_SECOND, kernel: Number(fields[12]) / TICKS_PER_SECOND };
  } catch {
    return { own: NaN, kernel: NaN };
  }
}

/** Runs `work` and says how much CPU the runtime took for each of `count` things. */
async function measured(world, count, work) {
  const before = cpuSeconds(world.worker.pid);
  const result = await work();
  const after = cpuSeconds(world.worker.pid);
  const each = (part) => ((after[part] - before[part]) * 1000) / count;
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

/** How much longer half of the calls take than calls of the API itself. */
function overhead(name, { direct, [name]: through }) {
  const [ours, theirs] = [through, direct].map(({ times }) => quantile(times, 0.5));
  return `${(ours / theirs).toFixed(1)} times the API itself, ${(ours - theirs).toFixed(1)} ms more`;
}

function print(name, { perSecond, times, cpuMs, kernelMs }) {
  const ms = (value) => `${value.toFixed(value < 10 ? 2 : 0)} ms`.padStart(9);
  const parts = [`${perSecond.toFixed(perSecond < 100 ? 1 : 0).padStart(6)} /s`, `p50 ${ms(quantile(times, 0.5))}`, `p99 ${ms(quantile(times, 0.99))}`];
  const cpu = Number.isNaN(cpuMs) ? '' : `   CPU ${ms(cpuMs)} each, kernel ${ms(kernelMs)}`;
  process.stdout.write(`  ${name.padEnd(20)} ${parts.join('   ')}${cpu}\n`);
}

/** The budget is for the worker's own code. @param {{cpuMs: number, kernelMs: number, ownPart?: number}} bought */
function wholePurchase(bought, challenge) {
  const total = bought.cpuMs + bought.kernelMs + challenge.cpuMs + challenge.kernelMs;
  const all = `${total.toFixed(1)} ms CPU of the runtime's process`;
  if (bought.ownPart === undefined) return `${all}; install perf to see how much of it is the worker's, budget 10 ms`;
  return `${(total * bought.ownPart).toFixed(1)} ms CPU in the worker's own code, budget 10 ms; ${all}`;
}

async function main() {
  const flags = readFlags(HELP, {
    requests: { type: 'string', default: '5000' },
    purchases: { type: 'string', default: '200' },
    'in-flight': { type: 'string', default: '50' },
    'block-time': { type: 'string', default: '1' },
    tokens: { type: 'string', default: '5000' },
    calls: { type: 'string', default: '100' },
  });
  const number = (name) => {
    if (!/^[1-9]\d{0,5}$/.test(flags[name])) throw new Stop(`--${name} wants a number from 1, not "${flags[name]}".`);
    return Number(flags[name]);
  };
  const plan = { requests: number('requests'), purchases: number('purchases'), inFlight: number('in-flight'), tokens: number('tokens'), calls: number('calls') };
  const blockTime = number('block-time');
  const state = mkdtempSync(join(tmpdir(), 'key0-bench-'));
  /** @type {import('./lib/world.mjs').World | undefined} */
  let world;
  const cleanUp = async () => {
    await world?.stop();
    rmSync(state, { recursive: true, force: true });
  };
  onShutdown(cleanUp);
  await buildWorker();
  try {
    world = await startWorld({ state, backend: false, buyers: 0 });
    const { card, challenge } = await step('Asking for documents and prices', () => documents(world, plan.requests));
    const made = await step('Making tokens', () => tokens({ ...world, state }, plan.tokens));
    const called = await step('Calling an API', () => calls({ ...world, state }, plan.calls));
    const bought = await purchases({ ...world, state, blockTime }, plan.purchases, plan.inFlight);

    say(bold('\nkey0 in numbers'));
    process.stdout.write(`  ${'size after gzip'.padEnd(20)} ${(compressedSize() / 1000).toFixed(1)} kB of ${SIZE_BUDGET / 1000} kB\n`);
    print('agent card', card);
    print('challenge (402)', challenge);
    process.stdout.write(`  ${'challenge : card'.padEnd(20)} ${(card.perSecond / challenge.perSecond).toFixed(2)} in time, ${(challenge.cpuMs / card.cpuMs).toFixed(2)} in CPU, budget 2\n`);
    for (const [algorithm, budget] of [['HS256', 0.3], ['RS256', 2]]) {
      process.stdout.write(`  ${`${algorithm} token`.padEnd(20)} ${made[algorithm].toFixed(2)} ms CPU, budget ${budget} ms\n`);
    }
    print('the API itself', { ...called.direct, cpuMs: NaN, kernelMs: NaN });
    print('call with a token', called.token);
    print('paid call', called.paid);
    for (const [name, of] of [['token', 'overhead, token'], ['paid', 'overhead, paid']]) process.stdout.write(`  ${of.padEnd(20)} ${overhead(name, called)}\n`);
    print(`purchase, ${plan.inFlight} at once`, bought);
    if (bought.repeats) process.stdout.write(`  ${''.padEnd(20)} ${bought.repeats} answers were 502 or 503 and the request was repeated\n`);
    process.stdout.write(`  ${'whole purchase'.padEnd(20)} ${wholePurchase(bought, challenge)}\n`);
  } finally {
    await cleanUp();
  }
  process.exit(0);
}

main().catch(fail);
