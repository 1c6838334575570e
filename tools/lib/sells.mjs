// Promises: whether a worker that answers can also sell, asked as the doctor asks: nothing may call itself ready that cannot.

import { checkEndpoints, checkHealth, checkSettlement } from './doctor/health.mjs';
import { newReport } from './doctor/report.mjs';
import { red, say, wrap, yellow } from './say.mjs';
import { aboutUnknown, unknownSettings } from './settings.mjs';

/**
 * What keeps it from selling, each in a sentence; empty when nothing does.
 * @param {string} url  the worker's @returns {Promise<string[]>}
 */
export async function whatStopsSales(url) {
  const report = newReport();
  const health = await checkHealth(report, url);
  if (health.status === 'misconfigured') return problemsOf(health);
  checkEndpoints(report, health);
  checkSettlement(report, health);
  return report.findings.filter(({ result }) => result === 'fault').map(({ message }) => message);
}

/** What /health says of wrong settings. @param {any} health @returns {string[]} */
export const problemsOf = (health) => (health.problems ?? []).map(({ name, reason }) => `${name} ${reason}`);

/** Names that were given and that the worker ignores. @param {Record<string, unknown>} settings */
export function sayUnknown(settings) {
  for (const each of unknownSettings(Object.keys(settings))) say(`${yellow('!')} ${wrap(aboutUnknown(each), 2)}`);
}

/** @param {string[]} faults */
export function sayFaults(faults) {
  for (const fault of faults) say(`  ${red('✗')} ${wrap(fault, 4)}`);
}
