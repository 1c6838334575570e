// Promises: the example backend of examples/backend, built from its sources and answering.

import { join } from 'node:path';
import { cargoTarget } from './paths.mjs';
import { choosePort } from './ports.mjs';
import { startProcess } from './process.mjs';
import { Stop, step } from './say.mjs';
import { capture, checkPrerequisites } from './toolchain.mjs';

const PACKAGE = 'key0-example-backend';
const READY_WITHIN_MS = 10_000;

/** cargo knows by itself whether there is anything to do. */
export async function buildBackend() {
  checkPrerequisites();
  await step('Building the example backend', (note) => capture('cargo', ['build', '--locked', '-p', PACKAGE], {}, note));
}

/**
 * @param {{port?: number, secret: string, env?: Record<string, string>, onLine?: (line: string) => void}} options
 *        `secret`: what tokens are checked with · `port` 0 or absent: any free one · `env`: more settings
 * @returns {Promise<import('./process.mjs').Running & {url: string, port: number}>}
 */
export async function startBackend({ port: asked = 0, secret, env = {}, onLine }) {
  const port = await choosePort({ asked, what: 'backend', flag: '--backend-port' });
  const url = `http://127.0.0.1:${port}`;
  const backend = await startProcess(join(cargoTarget, 'debug', PACKAGE), [], {
    name: 'backend',
    env: { HOST: '127.0.0.1', PORT: String(port), KEY0_ACCESS_TOKEN_SECRET: secret, KEY0_NETWORK: 'testnet', ...env },
    onLine,
  });
  const deadline = Date.now() + READY_WITHIN_MS;
  for (;;) {
    if (!backend.alive()) throw new Stop(`The example backend ended at start (${await backend.ended}): ${backend.logs.at(-1) ?? 'it said nothing'}`);
    const healthy = await fetch(`${url}/health`).then(
      (answer) => answer.ok,
      () => false,
    );
    if (healthy) return { ...backend, url, port };
    if (Date.now() > deadline) {
      await backend.kill();
      throw new Stop(`The example backend did not answer GET /health within ${READY_WITHIN_MS / 1000} s.`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
