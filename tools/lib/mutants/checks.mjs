// Promises: each way to notice a mutation says who noticed it, or that nobody did. A mutation that does not compile is an
// error of the list, not a success.

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { Stop } from '../say.mjs';
import { tree } from './tree.mjs';

const MINUTE = 60_000;
/** How long what is told to end may take. */
const GRACE = 10_000;
const LIMITS = { build: 20 * MINUTE, simulation: 15 * MINUTE, native: 5 * MINUTE, e2e: 6 * MINUTE };

/**
 * @typedef {object} Verdict
 * @property {boolean} caught
 * @property {string} detail
 */

/** @param {string} by @param {{seeds: number}} options @returns {Promise<Verdict>} */
export function check(by, { seeds }) {
  if (by === 'simulation') return simulation(seeds);
  if (by === 'native') return native('key0-core');
  if (by === 'validator') return native('key0-validator');
  if (/^tests\/.*\.test\.mjs$/.test(by)) return blackBox(by);
  throw new Stop(`"${by}" is none of: simulation, native, validator, a file in tests/.`);
}

/** @param {number} seeds */
async function simulation(seeds) {
  await build('cargo', ['build', '--quiet', '--profile', 'simulation', '--locked', '--package', 'key0-simulation']);
  const program = join(tree, 'target', 'simulation', 'key0-simulation');
  const { code, output } = await run(program, ['--seeds', String(seeds), '--stop'], LIMITS.simulation);
  if (code === undefined) return { caught: true, detail: 'a run does not come to an end' };
  const numbers = /^seeds=(\d+) purchases=(\d+) .*violations=(\d+)$/m.exec(output);
  if (code === 0 && numbers) return { caught: false, detail: `${numbers[1]} seeds, ${numbers[2]} purchases, no violation` };
  const rules = [...output.matchAll(/^(\w+): (\d+) times, first in seed (\d+)$/gm)].map(([, rule, , seed]) => ({ rule, seed: Number(seed) }));
  if (code === 1 && numbers && rules.length) {
    const seed = Math.min(...rules.map((rule) => rule.seed));
    const first = rules.filter((rule) => rule.seed === seed).map(({ rule }) => rule);
    return { caught: true, detail: `${first.join(', ')} in seed ${seed}, after ${numbers[2]} purchases` };
  }
  const panic = /^thread .* panicked at (.*)$/m.exec(output);
  if (panic) return { caught: true, detail: `panic at ${panic[1]}` };
  throw new Stop(`The simulation could not run:\n${output.slice(-2_000)}`);
}

/** @param {string} crate */
async function native(crate) {
  const args = ['test', '--quiet', '--locked', '--package', crate];
  await build('cargo', [...args, '--no-run']);
  const { code, output } = await run('cargo', args, LIMITS.native);
  if (code === undefined) return { caught: true, detail: 'the tests do not come to an end' };
  const failed = [...output.matchAll(/^---- (\S+) stdout ----$/gm)].map(([, name]) => name.split('::').at(-1));
  if (code === 0) return { caught: false, detail: 'all native tests pass' };
  if (!failed.length) throw new Stop(`cargo test could not run:\n${output.slice(-2_000)}`);
  return { caught: true, detail: some(failed) };
}

/** @param {string} file */
async function blackBox(file) {
  const tool = (...args) => [process.execPath, [join(tree, 'tools', 'run.mjs'), ...args]];
  await build(...tool('build'));
  const { code, output } = await run(...tool('test', '--only', 'e2e', '--file', file), LIMITS.e2e);
  if (code === undefined) return { caught: true, detail: 'the tests do not come to an end' };
  if (code === 0) return { caught: false, detail: `${file} passes` };
  const failed = [...output.matchAll(/^\s*✖ (.*) \([\d.]+ms\)$/gm)].map(([, name]) => name);
  if (!failed.length) throw new Stop(`${file} could not run:\n${output.slice(-2_000)}`);
  return { caught: true, detail: some([...new Set(failed)].filter((name) => name !== file)) };
}

/** @param {string[]} names */
function some(names) {
  return names.length > 2 ? `${names.slice(0, 2).join(', ')} and ${names.length - 2} more` : names.join(', ');
}

/** @param {string} command @param {string[]} args */
async function build(command, args) {
  const { code, output } = await run(command, args, LIMITS.build);
  if (code !== 0) throw new Stop(`It does not compile:\n${output.slice(-3_000)}`);
}

/**
 * @param {string} command @param {string[]} args @param {number} limit
 * @returns {Promise<{code: number | undefined, output: string}>} no code when the limit was reached
 */
function run(command, args, limit) {
  const env = { ...process.env, CARGO_INCREMENTAL: '1', RUST_BACKTRACE: '0', NO_COLOR: '1' };
  delete env.CARGO_TARGET_DIR;
  delete env.npm_lifecycle_event;
  return new Promise((resolve, reject) => {
    // A group of its own: what it has started must end with it.
    const child = spawn(command, args, { cwd: tree, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    const signal = (name) => {
      try {
        process.kill(-child.pid, name);
      } catch {
        // It is gone.
      }
    };
    const stopIt = () => signal('SIGTERM');
    process.on('exit', stopIt);
    let output = '';
    let late = false;
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
    const timer = setTimeout(() => {
      late = true;
      stopIt();
      setTimeout(() => signal('SIGKILL'), GRACE).unref();
    }, limit);
    child.on('error', (error) => reject(new Stop(`${command} cannot be started (${error.code}).`)));
    child.on('close', (code) => {
      clearTimeout(timer);
      process.off('exit', stopIt);
      resolve({ code: late ? undefined : (code ?? -1), output });
    });
  });
}
