// Promises: whether a worker that answers can also sell, asked as the doctor asks: nothing may call itself ready that cannot.

import { checkEndpoints, checkHealth, checkSettlement } from './doctor/health.mjs';
import { newReport } from './doctor/report.mjs';
import { bold, red, say, wrap, yellow } from './say.mjs';
import { aboutUnknown, unknownSettings } from './settings.mjs';

/**
 * @param {string} url  the worker's
 * @returns {Promise<{sells: boolean, faults: string[]}>} each fault in a sentence; some leave a way to sell
 */
export async function whetherItSells(url) {
  const report = newReport();
  const health = await checkHealth(report, url);
  if (health.status === 'misconfigured') return { sells: false, faults: problemsOf(health) };
  checkEndpoints(report, health);
  checkSettlement(report, health);
  const faults = report.findings.filter(({ result }) => result === 'fault');
  const ways = (health.settlement ?? []).filter(({ status, gasWallet }) => status === 'ok' || (gasWallet && gasWallet.balanceWei !== '0'));
  const reads = (health.rpc ?? []).some(({ status }) => status === 'ok' || status === 'behind');
  const delivers = health.deliveries?.status !== 'failing';
  return { sells: Boolean(ways.length && reads && delivers), faults: faults.map(({ message }) => message) };
}

/** The headline above the faults. @param {{sells: boolean, faults: string[]}} found @param {string} what  the name of the worker */
export function sayWhether({ sells, faults }, what) {
  if (!sells) say(red(bold(`${what} runs but cannot sell:`)));
  else say(bold(faults.length ? `${what} is ready, but:` : `${what} is ready`));
  sayFaults(faults);
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
