// Promises: the operator's door, asked as an operator asks it.

import { poll } from './poll.mjs';
import { records } from './facts.mjs';

/**
 * One request to /admin with the world's secret; everything of the answer decoded.
 * @param {import('./world.mjs').TestWorld} world @param {string} path below /admin @param {RequestInit} [init]
 */
export async function operator(world, path, init = {}) {
  const answer = await fetch(`${world.url}/admin${path}`, { ...init, headers: { authorization: `Bearer ${world.adminSecret}`, ...init.headers } });
  const text = await answer.text();
  const isJson = answer.headers.get('content-type')?.startsWith('application/json');
  return { status: answer.status, headers: answer.headers, text, body: isJson ? JSON.parse(text) : undefined };
}

/** @param {import('./world.mjs').TestWorld} world @param {string} path */
export const command = (world, path) => operator(world, path, { method: 'POST' });

/** Waits until the ledger knows what every purchase says of itself. @param {import('./world.mjs').TestWorld} world */
export const reported = (world) =>
  poll(() => Object.values(records(world)).every(({ outbox }) => !outbox?.report), 'all purchases to be reported');
