// Promises: an example of the documentation is run word for word, as a reader would who has copied it into a file.

import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { nodeModules, root } from '../../tools/lib/paths.mjs';

/** Not the synchronous one: the worker reaches the chain through a proxy in this process. */
const run = promisify(execFile);

/**
 * The output of the first JavaScript of a document that has this word in it.
 * @param {string} document @param {string} word @param {Record<string, string>} env
 */
export async function runExample(document, word, env) {
  const text = readFileSync(join(root, document), 'utf8');
  const example = text.split(/^```/m).find((block) => block.startsWith('js') && block.includes(word)).slice('js'.length);
  const folder = mkdtempSync(join(tmpdir(), 'key0-example-'));
  try {
    symlinkSync(nodeModules, join(folder, 'node_modules'));
    writeFileSync(join(folder, 'example.mjs'), example);
    const { stdout } = await run(process.execPath, ['example.mjs'], { cwd: folder, env: { ...process.env, ...env }, timeout: 60_000 });
    return stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
