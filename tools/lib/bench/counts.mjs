// Promises: what each kind of request makes the platform and the chain do, its price there, and whether the budgets hold.

import { sum } from './counting.mjs';
import { RATES, priceOf } from './rates.mjs';
import { figure, table } from './table.mjs';

/** @typedef {import('./requests.mjs').Kind} Kind */

const PER = 1_000;
const MILLION = 1_000_000;

/** What one request of a kind does. Setting an alarm is charged as a row. @param {Kind} kind */
function each({ times, counts, rpc, cpuMs }) {
  const one = (what) => sum(counts[what]) / times;
  return {
    requests: one('requests'),
    calls: one('calls'),
    alarms: one('alarms'),
    statements: one('statements'),
    rowsWritten: one('rowsWritten') + one('alarmsSet'),
    alarmsSet: one('alarmsSet'),
    rowsRead: one('rowsRead'),
    rpcRequests: rpc.requests / times,
    rpcEntries: sum(rpc.methods) / times,
    subrequests: one('calls') + one('fetches'),
    activeMs: one('activeMs'),
    cpuMs,
  };
}

const nameOf = ({ name, about }) => (about ? `${name} (${about})` : name);

/** @param {Kind[]} kinds */
function countTable(kinds) {
  const columns = {
    'object calls': 'calls',
    alarms: 'alarms',
    'SQL statements': 'statements',
    'rows written': 'rowsWritten',
    'of them `setAlarm`': 'alarmsSet',
    'rows read': 'rowsRead',
    'RPC requests': 'rpcRequests',
    'RPC calls in them': 'rpcEntries',
    subrequests: 'subrequests',
  };
  const rows = kinds.map((kind) => [nameOf(kind), ...Object.values(columns).map((key) => figure(each(kind)[key]))]);
  return table(['for one', ...Object.keys(columns)], rows);
}

const short = (name) => name.replace(/Object$/, '');

/** The same by class and by method. @param {Kind[]} kinds */
function partTable(kinds) {
  const parts = (times, of = {}) =>
    Object.entries(of).filter(([, number]) => number / times >= 0.05).map(([name, number]) => `${short(name)} ${figure(number / times)}`).join(', ');
  const rows = kinds.map((kind) => {
    const { times, counts, rpc } = kind;
    const written = { ...counts.rowsWritten };
    for (const [name, number] of Object.entries(counts.alarmsSet ?? {})) written[name] = (written[name] ?? 0) + number;
    return [nameOf(kind), parts(times, counts.calls), parts(times, counts.alarms), parts(times, written), parts(times, rpc.methods)];
  });
  return table(['for one', 'object calls', 'alarms', 'rows written', 'RPC calls'], rows);
}

const dollars = (value) => {
  if (value === 0) return '0';
  return value < 0.00005 ? 'below $0.0001' : `$${value.toFixed(4)}`;
};

/** @param {Kind[]} kinds */
function priceTable(kinds) {
  const rows = kinds.map((kind) => {
    const { requests, objects, duration, written, read, cpu, sum: total } = priceOf(each(kind));
    return [nameOf(kind), ...[requests, objects, duration, written, read, cpu, total].map((price) => dollars((price * PER) / MILLION))];
  });
  return table(['1,000 of', 'requests', 'object calls and alarms', 'time of active objects', 'rows written', 'rows read', 'CPU, at most', 'sum'], rows);
}

/** @param {Kind[]} kinds */
function budgetTable(kinds) {
  const find = (name) => each(kinds.find((kind) => kind.name === name));
  const purchase = find('purchase, known payer');
  const offer = find('offer');
  const counted = kinds.filter(({ name }) => name === 'counted call').map(each).at(-1);
  const budgets = [
    ['an offer', 'object calls, rows written and RPC calls', offer.calls + offer.rowsWritten + offer.rpcRequests, 0],
    ['a purchase', 'object calls', purchase.calls, 4],
    ['a purchase', 'alarms', purchase.alarms, 2],
    ['a purchase', 'rows written', purchase.rowsWritten, 20],
    ['a purchase', 'RPC requests', purchase.rpcRequests, 4],
    ['a counted call', 'object calls', counted.calls, 1],
    ['a counted call', 'rows written', counted.rowsWritten, 0.1],
  ];
  const rows = budgets.map(([whose, what, value, budget]) => [whose, what, figure(value), String(budget), value <= budget + 0.005 ? 'met' : 'not met']);
  return table(['of', 'what', 'measured', 'budget', ''], rows);
}

/** The statements of each kind. @param {Kind[]} kinds */
function statementTable(kinds) {
  const rows = kinds.flatMap((kind) =>
    Object.entries(kind.counts.times ?? {}).sort().map(([text, times]) => [
      nameOf(kind),
      figure(times / kind.times),
      figure((kind.counts.written?.[text] ?? 0) / kind.times),
      short(text).slice(0, 140).replaceAll('|', '\\|'),
    ]),
  );
  return table(['for one', 'times', 'rows written', 'statement'], rows);
}

/** @param {Kind[]} kinds @param {{statements: boolean}} options @returns {string} tables */
export function showCounts(kinds, { statements }) {
  const gas = kinds.filter(({ gas: used, name }) => used !== undefined && name.startsWith('purchase,')).map((kind) => [nameOf(kind), Math.round(/** @type {number} */ (kind.gas)).toLocaleString('en-US')]);
  const million = kinds.filter(({ name }) => name === 'counted call').map((kind) => [nameOf(kind), `$${priceOf(each(kind)).sum.toFixed(2)}`]);
  const parts = [
    countTable(kinds),
    partTable(kinds),
    budgetTable(kinds),
    table(['gas of one payment', ''], gas),
    `The platform's prices of ${RATES.read}, from ${RATES.pages.join(' and ')}, beyond what is included:`,
    priceTable(kinds),
    table(['a million of', ''], million),
    ...(statements ? [statementTable(kinds)] : []),
  ];
  return parts.join('\n\n');
}
