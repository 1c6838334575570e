// Promises: a copy of the sources, as they are now, in .local/mutants: nothing done there touches the clone. Files keep
// their times unless their text changes, so cargo builds again only what depends on a change.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { nodeModules, root } from '../paths.mjs';

export const tree = join(root, '.local', 'mutants');
/** What is not copied: made there, or shared. */
const KEPT = new Set(['target', 'build', 'node_modules', '.local', '.wrangler']);

/** Makes the copy equal to the clone, uncommitted changes included. */
export function refreshTree() {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' });
  const files = listed.split('\0').filter((file) => file && existsSync(join(root, file)));
  const wanted = new Set(files);
  mkdirSync(tree, { recursive: true });
  for (const file of filesIn(tree)) if (!wanted.has(file)) rmSync(join(tree, file));
  for (const file of files) write(file, readFileSync(join(root, file)));
  if (!existsSync(join(tree, 'node_modules'))) symlinkSync(nodeModules, join(tree, 'node_modules'));
}

/** @param {string} file @param {Buffer | string} content */
export function write(file, content) {
  const path = join(tree, file);
  if (existsSync(path) && readFileSync(path).equals(Buffer.from(content))) return;
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

/** @param {string} folder @returns {string[]} */
function filesIn(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (folder === tree && KEPT.has(entry.name)) return [];
    return entry.isDirectory() ? filesIn(path) : [relative(tree, path)];
  });
}
