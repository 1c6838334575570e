// Promises: package-lock.json fits package.json on every registry. `npm ci` refuses a lock that lacks an optional
// platform package, and npm leaves out those that the registry at hand does not carry: they are added here, with the
// checksum the old lock knows, else without one. The old lock stays until the new one is whole.

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readFlags } from './lib/args.mjs';
import { root } from './lib/paths.mjs';
import { Stop, fail, say } from './lib/say.mjs';

const HELP = `
npm run lock

Writes package-lock.json anew from package.json, after a change of a version
there. It installs nothing.
`;
const file = join(root, 'package-lock.json');
const OS = { win32: 'win32', windows: 'win32', darwin: 'darwin', linux: 'linux' };
const CPU = { amd64: 'x64', 64: 'x64', x64: 'x64', arm64: 'arm64' };

const readLock = (path) => JSON.parse(readFileSync(path, 'utf8'));

/** What npm makes of package.json with the registry at hand. */
function resolved() {
  const folder = mkdtempSync(join(tmpdir(), 'key0-lock-'));
  try {
    for (const name of ['package.json', '.npmrc']) copyFileSync(join(root, name), join(folder, name));
    const args = ['install', '--package-lock-only', '--ignore-scripts', '--loglevel=error', '--no-progress'];
    const { status } = spawnSync('npm', args, { cwd: folder, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
    if (status !== 0) throw new Stop('npm could not resolve the packages, it says why above. package-lock.json is as it was.');
    return readLock(join(folder, 'package-lock.json'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** An entry for a package that this registry does not carry. */
function platformPackage(name, version) {
  const words = name.split('-');
  const [os, cpu] = [OS[words.at(-2)], CPU[words.at(-1)]];
  if (!os || !cpu) throw new Stop(`${name} is missing and its name tells no platform. package-lock.json is as it was.`);
  return { version, cpu: [cpu], dev: true, optional: true, os: [os] };
}

function main() {
  readFlags(HELP, {});
  const before = existsSync(file) ? readLock(file).packages : {};
  const lock = resolved();
  for (const { optionalDependencies = {} } of Object.values(lock.packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      const key = `node_modules/${name}`;
      if (lock.packages[key]) continue;
      const known = before[key]?.version === version ? before[key] : undefined;
      lock.packages[key] = known ?? platformPackage(name, version);
      say(`  ${name} ${version} is not at this registry: added ${known?.integrity ? 'with its known checksum' : 'without a checksum'}`);
    }
  }
  for (const [key, entry] of Object.entries(lock.packages)) {
    const old = before[key];
    if (!old?.integrity || old.version !== entry.version) continue;
    entry.integrity ??= old.integrity;
    // A published version never changes, so one that does is for a person to look at.
    if (entry.integrity !== old.integrity) throw new Stop(`${key} ${entry.version} has another checksum than before. package-lock.json is as it was.`);
  }
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
  writeFileSync(`${file}.new`, `${JSON.stringify(lock, null, 2)}\n`);
  renameSync(`${file}.new`, file);
  say(`  package-lock.json has ${Object.keys(lock.packages).length - 1} packages`);
}

try {
  main();
} catch (error) {
  fail(error);
}
