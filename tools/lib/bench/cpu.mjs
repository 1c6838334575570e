// Promises: how much CPU a process has used, as exactly as Linux tells it.

import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

const TICKS_PER_SECOND = 100;
const NANOS_PER_MS = 1_000_000;
const SETTLED_MS = 30;

/** CPU milliseconds that a process has used so far, in its own code and in the kernel's (mostly the disk). @param {number} pid */
export function cpuOf(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' ');
    const ms = (ticks) => (Number(ticks) * 1000) / TICKS_PER_SECOND;
    return { own: ms(fields[11]), kernel: ms(fields[12]) };
  } catch {
    return { own: NaN, kernel: NaN };
  }
}

/** The same in sum, to the microsecond. @param {number} pid */
function exactCpuOf(pid) {
  try {
    const tasks = readdirSync(`/proc/${pid}/task`);
    const nanos = tasks.map((task) => Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]));
    return nanos.reduce((total, each) => total + each, 0) / NANOS_PER_MS;
  } catch {
    return NaN;
  }
}

/** CPU milliseconds used until the process does nothing any more. @param {number} pid */
export async function settledCpuOf(pid) {
  for (let before = exactCpuOf(pid); ; ) {
    await sleep(SETTLED_MS);
    const now = exactCpuOf(pid);
    // Timers of the runtime tick on, so it never stands quite still.
    if (Number.isNaN(now) || now - before < 0.1) return now;
    before = now;
  }
}
