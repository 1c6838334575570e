// Promises: the validator's `inspect` example, built, and asked about many tokens at once.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { cargoTarget, root } from './paths.mjs';
import { Stop, step } from './say.mjs';
import { capture } from './toolchain.mjs';

/** Built as `cargo test` builds it, so that nothing is built twice. */
export async function buildInspector() {
  await step("Building the validator's inspector", (note) => capture('cargo', ['build', '--locked', '--example', 'inspect'], {}, note));
}

/**
 * @param {string[]} flags as `inspect --help` tells
 * @param {string[]} lines tokens or Authorization headers
 * @param {Record<string, string>} [env]
 * @returns {{verdict: 'valid' | 'invalid' | 'expired', code: string | null, message: string, claims?: any}[]}
 */
export function inspect(flags, lines, env = {}) {
  const input = lines.map((line) => `${line}\n`).join('');
  const { status, stdout, stderr } = spawnSync(join(cargoTarget, 'debug', 'examples', 'inspect'), flags, { cwd: root, env, input, encoding: 'utf8' });
  if (status !== 0) throw new Stop(`inspect failed: ${stderr}`);
  return stdout.trimEnd().split('\n').map((line) => JSON.parse(line));
}
