// Promises: what the worker asks of its platform, counted by a module that runs in place of the worker's own and wraps it. The
// artifact knows nothing of it.

import { setTimeout as sleep } from 'node:timers/promises';
import { readWorkerShape } from '../runtime-config.mjs';
import { Stop } from '../say.mjs';

const COUNTS_PATH = '/.counts';
const LOOK_MS = 200;
/** An alarm that is due later than this belongs to the time after the request, as the removal of a history does. */
const SOON_MS = 10 * 60_000;
const QUIET_WITHIN_MS = 180_000;

/** Text of a module: the counters, and what wraps a class. */
const WRAPPER = `
import * as worker from 'index.js';

const counts = {};
const mostRead = {};
const add = (what, of, number = 1) => { (counts[what] ??= {})[of] = (counts[what][of] ?? 0) + number; };
/** What is under way, and when the alarm of each object is due. */
let busy = 0;
const alarms = new Map();
const owners = new WeakMap();
const ownerOf = (storage) => owners.get(storage) ?? { name: 'unknown' };

const send = globalThis.fetch;
globalThis.fetch = (...args) => {
  add('fetches', 'outside');
  return send(...args);
};

function patch(prototype, method, make) {
  const original = prototype[method];
  if (original.isCounting) return;
  prototype[method] = make(original);
  prototype[method].isCounting = true;
}

function watchStorage(state, owner) {
  const { storage } = state;
  owners.set(storage, owner);
  owners.set(storage.sql, owner);
  patch(Object.getPrototypeOf(storage.sql), 'exec', (exec) => function (query, ...bindings) {
    const cursor = exec.call(this, query, ...bindings);
    const { name } = ownerOf(this);
    const { toArray } = cursor;
    cursor.toArray = () => {
      const rows = toArray.call(cursor);
      add('statements', name);
      add('rowsRead', name, cursor.rowsRead);
      add('rowsWritten', name, cursor.rowsWritten);
      const text = name + ': ' + query.replace(/\\s+/g, ' ');
      add('times', text);
      add('written', text, cursor.rowsWritten);
      mostRead[text] = Math.max(mostRead[text] ?? 0, cursor.rowsRead);
      return rows;
    };
    return cursor;
  });
  const prototype = Object.getPrototypeOf(storage);
  patch(prototype, 'setAlarm', (setAlarm) => function (at, ...rest) {
    const { name, id } = ownerOf(this);
    add('alarmsSet', name);
    alarms.set(id, Number(at));
    return setAlarm.call(this, at, ...rest);
  });
  for (const method of ['deleteAlarm', 'deleteAll']) {
    patch(prototype, method, (remove) => function (...args) {
      const { name, id } = ownerOf(this);
      add(method, name);
      alarms.delete(id);
      return remove.apply(this, args);
    });
  }
  patch(prototype, 'transactionSync', (transaction) => function (body) {
    add('transactions', ownerOf(this).name);
    return transaction.call(this, body);
  });
}

/**
 * Does something that is under way for as long as it takes. Counts the time in which something of an object is under way: the
 * platform charges for it.
 */
async function during(owner = { name: 'worker', inside: 0 }, work) {
  busy += 1;
  if (owner.inside++ === 0) owner.since = Date.now();
  try {
    return await work();
  } finally {
    busy -= 1;
    if (--owner.inside === 0) add('activeMs', owner.name, Date.now() - owner.since);
  }
}

/** What goes on after the answer. */
function watchRest(context) {
  patch(Object.getPrototypeOf(context), 'waitUntil', (waitUntil) => function (promise) {
    return waitUntil.call(this, during(owners.get(this), () => promise));
  });
}

export function counted(name) {
  return new Proxy(worker[name], {
    construct(target, [state, env], newTarget) {
      const owner = { name, id: state.id.toString(), inside: 0, since: 0 };
      watchStorage(state, owner);
      owners.set(state, owner);
      watchRest(state);
      const object = Reflect.construct(target, [state, env], newTarget);
      const handlers = {
        fetch: (request) => {
          add('calls', name);
          return during(owner, () => object.fetch(request));
        },
        alarm: (info) => {
          add('alarms', name);
          alarms.delete(owner.id);
          return during(owner, () => object.alarm(info));
        },
      };
      return new Proxy(object, { get: (_, key) => (key in handlers && object[key] ? handlers[key] : object[key]) });
    },
  });
}

export default {
  async fetch(request, env, ctx) {
    if (new URL(request.url).pathname === '${COUNTS_PATH}') return Response.json({ counts, mostRead, busy, nextAlarm: Math.min(...alarms.values()) });
    add('requests', 'worker');
    watchRest(ctx);
    return during(undefined, () => new worker.default(ctx, env).fetch(request));
  },
};
`;

/** The module that counts what the worker and its objects do. @returns {string} */
export function countingEntry() {
  const classes = readWorkerShape().objects.map(({ className }) => `export const ${className} = counted('${className}');`);
  return [WRAPPER, ...classes].join('\n');
}

/** @typedef {Record<string, Record<string, number>>} Counts  what → of which class → how often */

async function look(url) {
  const answer = await fetch(`${url}${COUNTS_PATH}`);
  return /** @type {Promise<{counts: Counts, mostRead: Record<string, number>, busy: number, nextAlarm: number | null}>} */ (answer.json());
}

/** The most rows that each statement has read at once, after the name of its class. @param {string} url */
export const mostRead = async (url) => new Map(Object.entries((await look(url)).mostRead));

/** Waits until the worker has nothing to do now or soon. @param {string} url @returns {Promise<Counts>} what was counted until then */
export async function whenQuiet(url) {
  const deadline = Date.now() + QUIET_WITHIN_MS;
  for (;;) {
    const { counts, busy, nextAlarm } = await look(url);
    if (busy === 0 && (nextAlarm ?? Infinity) > Date.now() + SOON_MS) return counts;
    if (Date.now() > deadline) throw new Stop(`The worker does not come to rest: ${busy} under way, next alarm in ${(nextAlarm ?? Infinity) - Date.now()} ms.`);
    await sleep(LOOK_MS);
  }
}

/** @param {Counts} after @param {Counts} before @returns {Counts} */
export function difference(after, before) {
  const inner = (what) => Object.entries(after[what]).map(([of, number]) => [of, number - (before[what]?.[of] ?? 0)]);
  const all = Object.keys(after).map((what) => [what, Object.fromEntries(inner(what).filter(([, number]) => number))]);
  return Object.fromEntries(all);
}

/** @param {Record<string, number> | undefined} each */
export const sum = (each) => Object.values(each ?? {}).reduce((total, number) => total + number, 0);
