// Promises: `npm run pages` shows the pages for people as a browser draws them, wide and narrow, light and dark, as pictures in
// .local/pages, and ends with a non-zero exit code when one needs to be scrolled sideways, or the browser complains.

import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ExactEvmScheme } from '@x402/evm';
import { wrapFetchWithPaymentFromConfig } from '@x402/fetch';
import { privateKeyToAccount } from 'viem/accounts';
import { readFlags } from './lib/args.mjs';
import { openBrowser } from './lib/browser.mjs';
import { buildWorker } from './lib/build.mjs';
import { NETWORK } from './lib/chain.mjs';
import { root } from './lib/paths.mjs';
import { Stop, fail, green, red, say } from './lib/say.mjs';
import { checkPrerequisites } from './lib/toolchain.mjs';
import { startWorld } from './lib/world.mjs';

const HELP = `
npm run pages -- [options]

Draws the pages for people with a headless Chromium, wide and narrow, light and
dark, and writes the pictures to .local/pages. Needs Chromium, and installs
playwright-core into .local/browser. It is not part of npm test.

  --url <url>   the page at / of a worker that runs already; otherwise one is
                started, and a plan is bought so that /admin shows something
`;
const WIDTHS = [1200, 360];
const SCHEMES = /** @type {const} */ (['light', 'dark']);
const folder = join(root, '.local', 'pages');

async function main() {
  const { url } = readFlags(HELP, { url: { type: 'string' } });
  mkdirSync(folder, { recursive: true });
  if (url) return draw(String(url));
  await checkPrerequisites();
  await buildWorker();
  const state = mkdtempSync(join(tmpdir(), 'key0-pages-'));
  const world = await startWorld({ state, buyers: 1, sampleRoutes: true });
  try {
    await buy(world);
    return await draw(world.worker.url, world.adminSecret);
  } finally {
    await world.stop();
    rmSync(state, { recursive: true, force: true });
  }
}

/** @param {import('./lib/world.mjs').World} world */
async function buy({ worker, buyers: [{ privateKey }] }) {
  const pay = wrapFetchWithPaymentFromConfig(fetch, { schemes: [{ network: NETWORK, client: new ExactEvmScheme(privateKeyToAccount(privateKey)) }] });
  const body = JSON.stringify({ planId: 'basic', requestId: randomUUID() });
  const answer = await pay(`${worker.url}/x402/access`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  if (!answer.ok) throw new Stop(`The plan could not be bought: ${answer.status} ${await answer.text()}`);
}

/** @param {string} url @param {string} [secret]  without it /admin is left out */
async function draw(url, secret) {
  const browser = await openBrowser();
  let wrong = 0;
  try {
    for (const [name, path] of [['front', '/'], ...(secret ? [['admin', '/admin']] : [])]) {
      for (const width of WIDTHS) {
        for (const colorScheme of SCHEMES) {
          const faults = [];
          const page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme });
          page.on('console', (line) => line.type() === 'error' && faults.push(line.text()));
          page.on('pageerror', (error) => faults.push(error.message));
          await page.goto(url + path);
          if (name === 'admin') {
            await page.fill('#secret', secret);
            await page.click('button');
            await page.waitForSelector('#view:not([hidden])');
          }
          const file = join(folder, `${name}-${width}-${colorScheme}.png`);
          await page.screenshot({ path: file, fullPage: true });
          // In the page.
          const over = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth');
          if (over > 0) faults.push(`${over} pixels are to the right of the window`);
          say(`  ${faults.length ? red('✗') : green('✓')} ${file}`);
          for (const fault of faults) say(`      ${fault}`);
          wrong += faults.length;
          await page.close();
        }
      }
    }
  } finally {
    await browser.close();
  }
  if (wrong) throw new Stop(`\n${wrong} faults.`);
}

main().catch(fail);
