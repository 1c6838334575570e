// Promises: a bounded number of identical requests to a server on this machine, as fast as a few connections go,
// each answer checked for its status and timed.

import { Agent, request } from 'node:http';
import { Stop } from './say.mjs';

/** @param {number[]} times @param {number} q 0 to 1 */
export function quantile(times, q) {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN;
}

/**
 * @param {string} url
 * @param {{path: string, method: string, body?: () => string, headers?: Record<string, string>, expect: number}} what
 * @param {{requests: number, inFlight: number}} amount
 * @returns {Promise<{perSecond: number, times: number[]}>} times in milliseconds
 */
export async function load(url, { path, method, body, headers: more, expect }, { requests, inFlight }) {
  const agent = new Agent({ keepAlive: true, maxSockets: inFlight });
  const { hostname, port } = new URL(url);
  const one = () =>
    new Promise((resolve, reject) => {
      const headers = { ...(body && { 'content-type': 'application/json' }), ...more };
      const outgoing = request({ hostname, port, path, method, agent, headers }, (answer) => {
        answer.resume();
        answer.on('end', () =>
          answer.statusCode === expect ? resolve() : reject(new Stop(`${method} ${path} answered ${answer.statusCode}, not ${expect}.`)),
        );
      });
      outgoing.on('error', reject);
      outgoing.end(body?.());
    });
  const times = [];
  let left = requests;
  const started = performance.now();
  const worker = async () => {
    while (left-- > 0) {
      const begun = performance.now();
      await one();
      times.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, worker));
  agent.destroy();
  return { perSecond: (requests * 1000) / (performance.now() - started), times };
}
