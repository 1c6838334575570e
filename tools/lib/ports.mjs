// Promises: a port that was free a moment ago, on loopback only, and that no other process that asks here gets while this one
// lives. Between the choice of a port and the start of its program, and while the program is restarted, nothing listens there.

import { randomInt } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Stop, say } from './say.mjs';

/** @param {number} port @param {string} host @returns {Promise<number>} the port, or 0 when it is taken */
function tryPort(port, host) {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => (error.code === 'EADDRINUSE' ? resolve(0) : reject(error)));
    server.listen({ port, host, exclusive: true }, () => {
      const { port: found } = server.address();
      server.close(() => resolve(found));
    });
  });
}

// Below the ports that systems hand out by themselves (from 32768 on Linux): nobody's outgoing connection takes one
// between our look and the start of the program that wants it, nor while that program is restarted.
const LOWEST = 15_000;
const HIGHEST = 32_000;

/** A file for each chosen port, with the id of the process that chose it. */
const CHOSEN = join(tmpdir(), 'key0-ports');
const ours = new Set();
process.on('exit', () => ours.forEach((file) => rmSync(file, { force: true })));

/** Chooses a port for this process, until it ends. @param {number} port @returns {boolean} false: another process has it */
function choose(port) {
  const file = join(CHOSEN, String(port));
  try {
    mkdirSync(CHOSEN, { recursive: true });
    writeFileSync(file, String(process.pid), { flag: 'wx' });
    ours.add(file);
    return true;
  } catch (error) {
    // Where no file can be written, ports are chosen as if nobody else did.
    if (error.code !== 'EEXIST') return true;
  }
  // Of a process that was killed. Whoever removes it takes another port, or two might take this one.
  if (!ours.has(file) && !isAlive(file)) rmSync(file, { force: true });
  return false;
}

/** @param {string} file */
function isAlive(file) {
  try {
    return process.kill(Number(readFileSync(file, 'utf8')), 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Any free port. */
export async function freePort(host = '127.0.0.1') {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const port = randomInt(LOWEST, HIGHEST);
    if (choose(port) && (await tryPort(port, host))) return port;
  }
  return tryPort(0, host);
}

/**
 * The port a person asked for, or else the usual one, or else any free one; then it says so.
 * @param {{asked?: number, usual?: number, what: string, flag: string, host?: string}} wish  `asked` 0 means any
 */
export async function choosePort({ asked, usual, what, flag, host = '127.0.0.1' }) {
  const wanted = asked ?? usual ?? 0;
  if (wanted === 0) return freePort(host);
  let found = 0;
  try {
    found = await tryPort(wanted, host);
  } catch (error) {
    throw new Stop(`Port ${wanted} for the ${what} cannot be used on ${host} (${error.code}): choose another with ${flag}.`);
  }
  if (found) return found;
  if (asked === undefined) {
    const free = await freePort(host);
    say(`  port ${wanted} is taken, using ${free} for the ${what}`);
    return free;
  }
  throw new Stop(`Port ${asked} for the ${what} is taken: choose another with ${flag}, or 0 for any free one.`);
}
