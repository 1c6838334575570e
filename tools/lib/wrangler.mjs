// Promises: the pinned wrangler, silent about usage statistics and asking nothing.

import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Program and first argument: wrangler's own outer process would only be one more to lose. */
export function wranglerCommand() {
  const folder = dirname(createRequire(import.meta.url).resolve('wrangler/package.json'));
  return [process.execPath, '--no-warnings', join(folder, 'wrangler-dist', 'cli.js')];
}

/** @param {Record<string, string | undefined>} [more] */
export function wranglerEnv(more = {}) {
  return { ...process.env, WRANGLER_SEND_METRICS: 'false', ...more };
}
