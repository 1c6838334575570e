// Promises: the operator's view of a worker, read as a program needs it: every purchase in the ledger, once, with exact
// amounts. Needs the operator's secret and shows it to nobody but the worker.

import { Stop } from './say.mjs';

/**
 * @typedef {object} Entry
 * @property {string} requestId
 * @property {string} challengeId
 * @property {string} status
 * @property {string} network       CAIP-2
 * @property {string} payer         in lower case
 * @property {bigint} amount        micro-units
 * @property {string} transaction   '' when there is none
 * @property {string} refund        '' when there is none
 * @property {string} reason
 * @property {number} createdAt     milliseconds
 * @property {number} changedAt     milliseconds
 *
 * @typedef {Record<string, {count: number, amount: bigint}>} Totals  by state
 */

/** One question to the operator's door. @param {string} url the worker's @param {string} secret @param {string} path @param {'GET' | 'POST'} [method] */
export async function askAdmin(url, secret, path, method = 'GET') {
  const answer = await fetch(new URL(path, url), { method, headers: { authorization: `Bearer ${secret}` }, redirect: 'error' }).catch((error) => {
    throw new Stop(`${url} gives no answer (${error.cause?.code ?? error.message}).`);
  });
  if (answer.status === 401) throw new Stop('The worker refuses the secret: is KEY0_ADMIN_SECRET the one that is set there?');
  if (answer.ok) return answer;
  const text = await answer.text();
  // Behind the door there are paths that know no such purchase; without the door there is only this one answer.
  if (answer.status === 404 && !/under this request id/.test(text)) throw new Stop('The worker has no /admin: set KEY0_ADMIN_SECRET there first.');
  throw new Stop(sentenceIn(text) ?? `${path} answers ${answer.status}: ${text.slice(0, 300)}`);
}

/** What an error of the worker says. */
function sentenceIn(text) {
  try {
    return JSON.parse(text).message;
  } catch {
    return undefined;
  }
}

/** Every purchase, the oldest offer first. @param {string} url @param {string} secret @returns {Promise<Entry[]>} */
export async function readLedger(url, secret) {
  let text = '';
  for (let path = '/admin/export.csv'; path; ) {
    const answer = await askAdmin(url, secret, path);
    text += await answer.text();
    path = /<([^>]+)>; rel="next"/.exec(answer.headers.get('link') ?? '')?.[1];
  }
  const [names, ...rows] = parseCsv(text);
  return rows.map((row) => {
    const field = Object.fromEntries(names.map((name, i) => [name, row[i]]));
    return {
      ...field,
      payer: field.payer.toLowerCase(),
      amount: microUsdc(field.amount),
      createdAt: Date.parse(field.createdAt),
      changedAt: Date.parse(field.changedAt),
    };
  });
}

/**
 * The worker's own sums: of all purchases, and of those that were removed and are not in the ledger any more.
 * @param {string} url @param {string} secret @returns {Promise<{totals: Totals, removed: Totals}>}
 */
export async function readTotals(url, secret) {
  const { totals, removed = [] } = await (await askAdmin(url, secret, '/admin/totals')).json();
  const sums = (lines) => sumUp(lines.map((line) => ({ ...line, amount: microUsdc(line.amount) })));
  return { totals: sums(totals), removed: sums(removed) };
}

/** Two sums together. @param {Totals} a @param {Totals} b @returns {Totals} */
export function together(a, b) {
  return sumUp([a, b].flatMap((totals) => Object.entries(totals).map(([status, sum]) => ({ status, ...sum }))));
}

/** The same sums, made from the entries, or from sums of them. @param {{status: string, amount: bigint, count?: number}[]} entries @returns {Totals} */
export function sumUp(entries) {
  /** @type {Totals} */
  const totals = {};
  for (const { status, amount, count = 1 } of entries) {
    const sum = (totals[status] ??= { count: 0, amount: 0n });
    sum.count += count;
    sum.amount += amount;
  }
  return totals;
}

/** `$1.5` or `1.5` in micro-units, exactly. @param {string} text */
export function microUsdc(text) {
  const [, whole, fraction = ''] = /^\$?(\d+)(?:\.(\d{1,6}))?$/.exec(text) ?? [];
  if (whole === undefined) throw new Stop(`"${text}" is no amount of USDC.`);
  return BigInt(whole) * 1_000_000n + BigInt(fraction.padEnd(6, '0'));
}

/** @param {bigint} micro */
export function dollars(micro) {
  const fraction = String(micro % 1_000_000n).padStart(6, '0').replace(/0{1,4}$/, '');
  return `$${micro / 1_000_000n}.${fraction}`;
}

/** RFC 4180. @param {string} text @returns {string[][]} */
export function parseCsv(text) {
  const rows = [];
  let row = [];
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n|$)/g)) {
    if (end === '' && row.length === 0 && !quoted && !plain) break;
    row.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end === ',') continue;
    rows.push(row);
    row = [];
  }
  return rows;
}
