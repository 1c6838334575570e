// Promises: after `installPackages` the packages of package-lock.json are in node_modules, and `modernNode`
// names a Node that is new enough for them. Runs on Node 18 and newer, before anything is installed.

import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nodeModules, root } from './paths.mjs';
import { hashOf, readStamp, withLock, writeStamp } from './once.mjs';
import { Stop, say } from './say.mjs';

const WANTED = [22, 12];
const stampFile = join(nodeModules, '.installed-from');

/** @param {string} version like `22.23.3` */
function isModern(version) {
  const [major, minor] = version.split('.').map(Number);
  return major > WANTED[0] || (major === WANTED[0] && minor >= WANTED[1]);
}

export async function installPackages() {
  const wanted = hashOf(readFileSync(join(root, 'package-lock.json')), process.platform, process.arch);
  if (readStamp(stampFile) === wanted) return;
  await withLock('packages', async () => {
    if (readStamp(stampFile) === wanted) return;
    say('Installing the packages of package-lock.json (about 200 MB to fetch, once) …');
    // No package here needs its install script: programs are found in their platform packages.
    // Its spinner is for terminals; in a log every turn of it stays.
    const quiet = process.stderr.isTTY ? [] : ['--no-progress'];
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', ...quiet]);
    writeStamp(stampFile, wanted);
  });
}

/** The Node to run the tools with: this one when it is new enough, else the one among the packages. */
export function modernNode() {
  if (isModern(process.versions.node)) return process.execPath;
  const pinned = join(nodeModules, `node-${process.platform}-${process.arch}`, 'bin', 'node');
  if (existsSync(pinned)) return pinned;
  throw new Stop(
    `Node ${WANTED.join('.')} or newer is needed, this is ${process.versions.node}, and none is packaged for ` +
      `${process.platform}-${process.arch}: install a newer Node and run this again.`,
  );
}

/** @param {string} command @param {string[]} args @returns {Promise<void>} */
function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
    child.on('error', () => reject(new Stop(`"${command}" cannot be started: install Node with npm and run this again.`)));
    child.on('exit', (code) =>
      code === 0
        ? resolve()
        : reject(new Stop('The packages could not be installed: npm says why above. Is the npm registry reachable?')),
    );
  });
}
