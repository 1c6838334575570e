// Promises: a headless Chromium, driven by playwright-core. Debian's browser is used where it is, and both are installed only when
// they are asked for: nothing else needs them.

import { existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { installOutside } from './install.mjs';
import { withLock } from './once.mjs';
import { root } from './paths.mjs';
import { Stop, step } from './say.mjs';
import { canInstallDebianPackages, capture } from './toolchain.mjs';

const VERSION = '1.65.1';
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const folder = join(root, '.local', 'browser');

async function program() {
  const found = () => [process.env.CHROMIUM, ...PLACES].find((path) => path && existsSync(path));
  if (!found() && canInstallDebianPackages()) {
    await installOutside('Chromium, with apt-get', [['apt-get', 'install', '-yq', '--no-install-recommends', 'chromium', 'fonts-dejavu-core']]);
  }
  return found() ?? stop();
}

const stop = () => {
  throw new Stop('There is no Chromium: install it (Debian: apt-get install chromium), or name its program in CHROMIUM.');
};

export async function openBrowser() {
  const executablePath = await program();
  await withLock('browser', async () => {
    if (existsSync(join(folder, 'node_modules', 'playwright-core'))) return;
    mkdirSync(folder, { recursive: true });
    await step('Installing playwright-core', (note) =>
      capture('npm', ['install', '--prefix', folder, '--no-audit', '--no-fund', '--ignore-scripts', `playwright-core@${VERSION}`], {}, note),
    );
  });
  const { chromium } = createRequire(join(folder, 'x.js'))('playwright-core');
  // As root it has no sandbox; what it opens is our own.
  const args = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath, args });
}
