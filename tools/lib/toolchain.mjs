// Promises: a Rust toolchain that builds the worker, or one sentence that says what is missing.
// The finding and installing is done by tools/wasm-toolchain.sh; its answer is remembered until an input changes.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { hashOf, readStamp, withLock, writeStamp } from './once.mjs';
import { installOutside } from './install.mjs';
import { memory, root } from './paths.mjs';
import { Stop, say, step } from './say.mjs';

const OLDEST_RUST = 91;
const script = join(root, 'tools', 'wasm-toolchain.sh');
const stampFile = join(memory, 'wasm-toolchain.json');

/** First line a program prints about its version, or undefined when it cannot be started. @param {string} program */
function version(program, ...args) {
  const { status, stdout } = spawnSync(program, args.length ? args : ['--version'], { encoding: 'utf8', cwd: root });
  return status === 0 ? stdout.split('\n')[0] : undefined;
}

const rustMinor = () => Number(/^rustc 1\.(\d+)/.exec(version('rustc') ?? '')?.[1] ?? 0);
export const canInstallDebianPackages = () => process.getuid?.() === 0 && version('apt-get') !== undefined;

/** What cannot be installed from here has to be there. */
export function checkPrerequisites() {
  if (!version('cc')) throw new Stop('A C compiler is missing: install one (Debian: apt-get install gcc libc6-dev) and run this again.');
  if (rustMinor() >= OLDEST_RUST && version('cargo')) return;
  if (canInstallDebianPackages()) return;
  throw new Stop(
    `Rust 1.${OLDEST_RUST} or newer with cargo is missing: install it with rustup, or as root on Debian with ` +
      '"apt-get install rustc-web cargo-web", and run this again.',
  );
}

/** The environment in which `worker-build --panic-unwind` works. @returns {Promise<Record<string, string>>} */
export async function wasmToolchain() {
  checkPrerequisites();
  const path = process.env.PATH ?? '';
  const lock = readFileSync(join(root, 'Cargo.lock'), 'utf8');
  const versions = ['worker', 'wasm-bindgen'].map((name) => new RegExp(`name = "${name}"\nversion = "(.*)"`).exec(lock)?.[1] ?? '');
  const key = hashOf(readFileSync(script), ...versions, version('rustc') ?? '', process.env.WASM_TOOLCHAIN_NO_RUSTUP ?? '');

  const remembered = () => {
    const stamp = readStamp(stampFile);
    if (!stamp) return undefined;
    const { key: of, env } = JSON.parse(stamp);
    const programs = Object.entries(env).filter(([name]) => name.endsWith('_BIN'));
    const usable = of === key && programs.every(([, file]) => existsSync(file)) && existsSync(env.PATH.split(':')[0]);
    return usable ? { ...env, PATH: `${env.PATH}:${path}` } : undefined;
  };
  return (
    remembered() ??
    withLock('wasm-toolchain', async () => {
      const found = remembered();
      if (found) return found;
      const exports = await setUp();
      const env = Object.fromEntries([...exports.matchAll(/^export (\w+)='(.*)'$/gm)].map(([, name, value]) => [name, value]));
      env.PATH = env.PATH.slice(0, -path.length - 1);
      writeStamp(stampFile, JSON.stringify({ key, env }));
      return { ...env, PATH: `${env.PATH}:${path}` };
    })
  );
}

/** What wasm-toolchain.sh exits with when something outside this folder has to be installed first. */
const NEEDS = 3;
/** rustup, Debian's packages, and one more if a first try of either was not enough. */
const MOST_INSTALLATIONS = 3;

/** Runs the script, and installs what it asks for, until it has all it needs. @returns {Promise<string>} its export lines */
async function setUp() {
  /** @type {Record<string, string | undefined>} */
  const env = { ...process.env };
  for (let round = 0; ; round += 1) {
    const exports = await step('Setting up Rust for WebAssembly (once, a few minutes)', (note) =>
      capture('sh', [script, '--unwind', '--ask'], { env, mayEndWith: NEEDS }, note),
    );
    const needs = /^needs (.*)$/m.exec(exports)?.[1] ?? '';
    if (!needs || round === MOST_INSTALLATIONS) return exports;
    const commands = needs.split(' && ').map((command) => command.split(' '));
    try {
      await installOutside(descriptionOf(commands), commands);
    } catch (error) {
      // Where rustup can download nothing, Debian's packages may still be had.
      if (commands[0][0] !== 'rustup' || process.env.WASM_TOOLCHAIN_NO_RUSTUP || !/failed/.test(error.message)) throw error;
      env.WASM_TOOLCHAIN_NO_RUSTUP = '1';
    }
  }
}

function descriptionOf(commands) {
  if (commands[0][0] === 'rustup') return 'what Rust needs for WebAssembly, with rustup';
  const packages = commands.at(-1).filter((word) => !/^(apt-get|install|-.*)$/.test(word));
  return `${packages.length} Debian packages and what they depend on, with apt-get`;
}

/** cargo's progress bar, which it draws for us as if we were a terminal: `Building [==>  ] 93/187: serde, syn`. */
const PROGRESS = /^\s*Building \[[=> ]*\] (\d+)\/(\d+)/;
const WITH_PROGRESS = { CARGO_TERM_PROGRESS_WHEN: 'always', CARGO_TERM_PROGRESS_WIDTH: '80' };

/**
 * Runs a program, passing its stderr lines to `note`, those of cargo with how far it is; on failure their end is shown.
 * @param {string} command @param {string[]} args
 * @param {{env?: Record<string, string | undefined>, cwd?: string, mayEndWith?: number}} options
 *        `mayEndWith`: an exit code that is no failure either
 * @param {(line: string) => void} note
 * @returns {Promise<string>} its stdout
 */
export function capture(command, args, { env = process.env, cwd = root, mayEndWith = 0 }, note) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...env, ...WITH_PROGRESS }, stdio: ['ignore', 'pipe', 'pipe'] });
    const stopIt = () => child.kill();
    process.on('exit', stopIt);
    const tail = [];
    let output = '';
    let crates = '';
    child.stdout.setEncoding('utf8').on('data', (chunk) => (output += chunk));
    createInterface({ input: child.stderr }).on('line', (line) => {
      const [, done, all] = PROGRESS.exec(line) ?? [];
      if (all) {
        crates = `${done} of ${all} crates`;
        return note(crates);
      }
      tail.push(line);
      if (tail.length > 60) tail.shift();
      if (line.trim()) note(crates ? `${crates}: ${line.trim()}` : line);
    });
    child.on('error', (error) => reject(new Stop(`${command} cannot be started (${error.code}).`)));
    child.on('close', (code, signal) => {
      process.off('exit', stopIt);
      if (code === 0 || (code !== null && code === mayEndWith)) return resolve(output);
      say([...tail, output.trim().split('\n').slice(-20).join('\n')].join('\n'));
      reject(new Stop(`${[command, ...args.slice(0, 2)].join(' ')} failed (${signal ?? `exit code ${code}`}); its last lines are above.`));
    });
  });
}
