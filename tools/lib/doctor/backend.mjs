// Promises: whether the seller's backend is there for the worker's calls, asked from here with an empty body and without a
// secret: a backend in order refuses it, and nothing is issued.

import { ask } from './ask.mjs';
import { isLoopback } from './health.mjs';

const ISSUING = '/internal/issue-token';
const NOTIFICATIONS = '/internal/payment-received';

/**
 * @param {import('./report.mjs').Report} report @param {string} backend  BACKEND_API_URL
 * @param {any} health @param {{notifies: boolean}} expected
 */
export async function checkBackend(report, backend, health, { notifies }) {
  const issues = health.tokenMode === 'remote';
  if (!issues && !notifies) return;
  report.about('Backend, asked from here');
  const base = backend.replace(/\/+$/, '');
  const host = new URL(base).host;
  const paths = [...(issues ? [[ISSUING, 'issues credentials']] : []), ...(notifies ? [[NOTIFICATIONS, 'is told of purchases']] : [])];
  for (const [path, role] of paths) {
    const { status, failure } = await ask(`${base}${path}`, { method: 'POST' });
    const say = issues && path === ISSUING ? report.fault : report.warning;
    if (failure) {
      const from = isLoopback(new URL(base).hostname) ? '' : ' (If only Cloudflare can reach it, this means nothing.)';
      const so = path === ISSUING ? 'Nobody gets what they pay for, and the money goes back.' : 'It hears of purchases later, or never.';
      return void say('backend', `Your backend at ${host} gives no answer (${failure}). ${so}`, `Start it, or correct BACKEND_API_URL.${from}`);
    }
    if (status === 404 || status === 405) say('backend', `Your backend at ${host} answers POST ${path} with ${status}: nothing there ${role}.`, `Serve POST ${path}, or correct BACKEND_API_URL.`);
    else if (status < 300 && path === ISSUING) report.warning('backend', `Your backend answers POST ${path} with ${status} although the call had no body and no secret: it issues to anybody who finds it.`, 'Let it check who calls (BACKEND_AUTH_STRATEGY).');
    else if (status >= 500) say('backend', `Your backend at ${host} answers POST ${path} with ${status}.`, 'Look at its log.');
    else report.ok('backend', `Your backend at ${host} answers POST ${path}: it ${role}.`);
  }
}
