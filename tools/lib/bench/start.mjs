// Promises: what an isolate's first request takes, and what an answer takes beside a JavaScript worker that sends the same bytes.

import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { load, quantile } from '../load.mjs';
import { readWorkerShape } from '../runtime-config.mjs';
import { Stop } from '../say.mjs';
import { startWorker } from '../worker.mjs';
import { cpuOf, settledCpuOf } from './cpu.mjs';
import { table } from './table.mjs';

const STARTS = 7;
const ROUNDS = 5;
const IN_FLIGHT = 16;
const WARM_UP = 500;
const CARD = { path: '/.well-known/agent-card.json', method: 'GET', expect: 200 };
const OFFER = { path: '/x402/access', method: 'POST', body: () => JSON.stringify({ planId: 'basic', requestId: randomUUID() }), expect: 402 };

const send = (url, { path, method, body }) => fetch(`${url}${path}`, { method, ...(body && { headers: { 'content-type': 'application/json' }, body: body() }) });

/** CPU milliseconds of the first request, and of the second. */
async function firstRequests(world, what, folder) {
  const worker = await startWorker({ state: join(world.state, folder), env: world.settings, untouched: true });
  try {
    const used = [await settledCpuOf(worker.pid)];
    for (let i = 0; i < 2; i += 1) {
      const answer = await send(worker.url, what);
      await answer.arrayBuffer();
      if (answer.status !== what.expect) throw new Stop(`The first request was answered ${answer.status}.`);
      used.push(await settledCpuOf(worker.pid));
    }
    return used.slice(1).map((after, i) => after - used[i]);
  } finally {
    await worker.stop();
  }
}

/** The text of a worker that sends what this one sends. */
async function sameBytes(url) {
  const answers = {};
  for (const what of [CARD, OFFER]) {
    const answer = await send(url, what);
    const headers = [...answer.headers].filter(([name]) => !['content-length', 'transfer-encoding'].includes(name));
    answers[what.path] = { body: await answer.text(), init: { status: answer.status, headers } };
  }
  return `const answers = ${JSON.stringify(answers)};
export default {
  async fetch(request) {
    if (request.body) await request.text();
    const { body, init } = answers[new URL(request.url).pathname];
    return new Response(body, init);
  },
};`;
}

/** CPU milliseconds of one answer, of each worker; they take turns. */
async function besideEachOther(workers, what, requests) {
  const used = workers.map(() => 0);
  for (const { url } of workers) await load(url, what, { requests: WARM_UP, inFlight: IN_FLIGHT });
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [i, { pid, url }] of workers.entries()) {
      const before = cpuOf(pid);
      await load(url, what, { requests: Math.ceil(requests / ROUNDS), inFlight: IN_FLIGHT });
      const after = cpuOf(pid);
      used[i] += after.own + after.kernel - before.own - before.kernel;
    }
  }
  return used.map((ms) => ms / requests);
}

/** @param {any} world @param {number} requests @returns {Promise<string>} a table */
export async function start(world, requests) {
  const first = [];
  for (let i = 0; i < STARTS; i += 1) first.push(await firstRequests(world, OFFER, `start-${i}`));
  const half = (which) => `${quantile(first.map((both) => both[which]), 0.5).toFixed(1)} ms`;
  const shape = { ...readWorkerShape(), objects: [], rateLimits: [], vars: {} };
  const floor = await startWorker({ state: join(world.state, 'floor'), shape, entry: await sameBytes(world.worker.url), untouched: true });
  try {
    const beside = async (name, what, budget) => {
      const [ours, theirs] = await besideEachOther([world.worker, floor], what, requests);
      return [`${name}, CPU`, `${ours.toFixed(2)} ms; in JavaScript ${theirs.toFixed(2)} ms, so ${(ours / theirs).toFixed(1)} times as much`, budget];
    };
    return table(['what', 'measured', 'budget'], [
      ['first request of an isolate (an offer), CPU', `${half(0)}; the second ${half(1)}`, '10 ms'],
      await beside('agent card', CARD, ''),
      await beside('offer (402)', OFFER, '2.5 times as much'),
    ]);
  } finally {
    await floor.stop();
  }
}
