// Promises: an example of examples/ is run as a reader would who has copied its folder: alone, with the packages that its own
// package.json or requirements.txt names.

import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { nodeModules, root } from '../../tools/lib/paths.mjs';
import { ensurePython } from '../../tools/lib/python.mjs';

/** Not the synchronous one: the worker reaches the chain through a proxy in this process. */
const run = promisify(execFile);
const INTERPRETERS = { mjs: () => process.execPath, py: ensurePython, sh: () => 'sh' };

/**
 * What an example prints.
 * @param {string} path below examples/ @param {Record<string, string>} env @param {string[]} [args]
 * @returns {Promise<{ stdout: string, stderr: string }>} rejects when it fails
 */
export async function runExample(path, env, args = []) {
  const copy = mkdtempSync(join(tmpdir(), 'key0-example-'));
  try {
    const source = join(root, 'examples', dirname(path));
    cpSync(source, copy, { recursive: true });
    const manifest = join(source, 'package.json');
    for (const name of existsSync(manifest) ? Object.keys(JSON.parse(readFileSync(manifest, 'utf8')).dependencies) : []) {
      mkdirSync(dirname(join(copy, 'node_modules', name)), { recursive: true });
      symlinkSync(join(nodeModules, name), join(copy, 'node_modules', name));
    }
    const [file] = path.split('/').slice(-1);
    const interpreter = await INTERPRETERS[file.split('.').pop()]();
    const environment = { PATH: `${join(nodeModules, '.bin')}:${process.env.PATH}`, HOME: copy, ...env };
    return await run(interpreter, [file, ...args], { cwd: copy, env: environment, timeout: 120_000 });
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}
