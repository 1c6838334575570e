// Promises: a program started here never outlives us. Normal ends stop it in `stop()` or at exit; where the
// system offers it (Linux with setpriv) the kernel kills it even when we are killed with SIGKILL.
// Its pid is its own, and every line it writes is kept for tests to look at.

import { spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';

const KEPT_LINES = 50_000;
const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

let guard;
function pdeathsig() {
  guard ??= process.platform === 'linux' && spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true']).status === 0;
  return guard;
}

/**
 * @typedef {object} Running
 * @property {string} name
 * @property {number} pid
 * @property {string[]} logs           every line of stdout and stderr, oldest first
 * @property {import('node:child_process').ChildProcess} child
 * @property {Promise<string>} ended   resolves when it is gone, with how: `code 1`, `signal SIGKILL`
 * @property {() => boolean} alive
 * @property {(graceMs?: number) => Promise<void>} stop  SIGTERM, then SIGKILL; returns when it is gone
 * @property {() => Promise<void>} kill                  SIGKILL; returns when it is gone
 */

/**
 * @param {string} command
 * @param {string[]} args
 * @param {{name: string, cwd?: string, env?: Record<string, string | undefined>, controlFd?: boolean,
 *          onLine?: (line: string) => void}} options  with `controlFd`, descriptor 3 is a pipe to us
 * @returns {Promise<Running>}
 */
export async function startProcess(command, args, { name, cwd, env = process.env, controlFd, onLine }) {
  const guarded = pdeathsig();
  // A session of its own: Ctrl-C in the terminal reaches us, and we stop things in order.
  const child = spawn(guarded ? 'setpriv' : command, guarded ? ['--pdeathsig', 'KILL', '--', command, ...args] : args, {
    cwd,
    env: guarded ? { PATH: process.env.PATH, ...env } : env,
    detached: guarded,
    stdio: ['ignore', 'pipe', 'pipe', ...(controlFd ? ['pipe'] : [])],
  });
  const logs = [];
  const keep = (line) => {
    logs.push(line);
    if (logs.length > KEPT_LINES) logs.shift();
    onLine?.(line);
  };
  createInterface({ input: child.stdout }).on('line', keep);
  createInterface({ input: child.stderr }).on('line', keep);

  await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  running.add(child);
  let isAlive = true;
  const gone = new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      isAlive = false;
      running.delete(child);
      resolve(signal ? `signal ${signal}` : `code ${code}`);
    });
  });
  // `close` follows `exit` once the last output is read.
  const ended = Promise.all([gone, new Promise((resolve) => child.once('close', resolve))]).then(([how]) => how);

  const kill = async () => {
    if (isAlive) child.kill('SIGKILL');
    await ended;
  };
  const stop = async (graceMs = 5_000) => {
    if (isAlive) child.kill('SIGTERM');
    const timer = setTimeout(() => isAlive && child.kill('SIGKILL'), graceMs);
    await ended;
    clearTimeout(timer);
  };
  return { name, pid: child.pid, logs, child, ended, alive: () => isAlive, stop, kill };
}
