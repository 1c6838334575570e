// Promises: a port that was free a moment ago, on loopback only.

import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
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

/** Any free port. */
export async function freePort(host = '127.0.0.1') {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const found = await tryPort(randomInt(LOWEST, HIGHEST), host);
    if (found) return found;
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
