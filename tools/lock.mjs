// Promises: package-lock.json fits package.json on every registry. `npm ci` refuses a lock that lacks an optional
// platform package, and npm leaves out those that the registry at hand does not carry: they are added here, without
// a checksum, so that only machines of that platform ever ask for them. Run it after changing a version.

import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './lib/paths.mjs';
import { say } from './lib/say.mjs';

const file = join(root, 'package-lock.json');
const OS = { win32: 'win32', windows: 'win32', darwin: 'darwin', linux: 'linux' };
const CPU = { amd64: 'x64', 64: 'x64', x64: 'x64', arm64: 'arm64' };

rmSync(file, { force: true });
const flags = ['--package-lock-only', '--ignore-scripts', '--loglevel=error'];
execFileSync('npm', ['install', ...flags], { cwd: root, stdio: 'inherit' });
const lock = JSON.parse(readFileSync(file, 'utf8'));
for (const { optionalDependencies = {} } of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const key = `node_modules/${name}`;
    if (lock.packages[key]) continue;
    const words = name.split('-');
    const [os, cpu] = [OS[words.at(-2)], CPU[words.at(-1)]];
    if (!os || !cpu) throw new Error(`${name} is missing and its name tells no platform`);
    say(`added ${name} ${version}, which this registry does not carry`);
    lock.packages[key] = { version, cpu: [cpu], dev: true, optional: true, os: [os] };
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
