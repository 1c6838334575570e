// Promises: a tool in the foreground ends when it is told to (Ctrl-C, SIGTERM, a closed terminal) or when whoever
// started it is gone, and takes down everything it started first.

import { readFileSync } from 'node:fs';

const PARENT_CHECK_MS = 500;
const IMPATIENCE_MS = 1_500;

const held = new Set();

/**
 * Nothing ends before this work is over.
 * @template T @param {Promise<T>} work @returns {Promise<T>}
 */
export function hold(work) {
  const over = work.then(() => {}, () => {}).finally(() => held.delete(over));
  held.add(over);
  return work;
}

/**
 * @param {(reason: string) => Promise<void>} stopEverything  called once
 * @returns {(reason: string, code?: number) => Promise<never>} ends the tool from inside
 */
export function onShutdown(stopEverything) {
  let since = 0;
  const end = async (reason, code = 0) => {
    if (since) {
      // Ctrl-C arrives several times at once, through npm and the terminal; a later one is a person losing patience.
      if (Date.now() - since > IMPATIENCE_MS && !held.size) process.exit(1);
      return new Promise(() => {});
    }
    since = Date.now();
    try {
      await Promise.all(held);
      await stopEverything(reason);
    } finally {
      process.exit(code);
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void end(signal));
  if (process.channel) {
    process.on('disconnect', () => void end('the process that started this is gone'));
    process.channel.unref();
  }
  if (process.env.npm_lifecycle_event && !process.channel) watchParent(end);
  return end;
}

/**
 * Under `npm run` our parent is npm or its shell, whose parent is npm: when that is killed with SIGKILL, nobody could
 * stop us any more, so its disappearance does.
 * @param {(reason: string) => unknown} end
 */
export function watchParent(end) {
  const ancestors = () => [process.ppid, parentOf(process.ppid)].join();
  const before = ancestors();
  setInterval(() => {
    if (ancestors() !== before) void end('the process that started this is gone');
  }, PARENT_CHECK_MS).unref();
}

/** @param {number} pid @returns {string} its parent's pid, where the system tells */
function parentOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8').match(/^PPid:\s*(\d+)/m)?.[1] ?? '';
  } catch {
    return '';
  }
}
