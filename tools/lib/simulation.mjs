// Promises: builds the simulation with its own profile, runs it with its output shown as it is, and answers its exit
// code: 0 fine, 1 a rule is broken, anything else it could not run.

import { spawn } from 'node:child_process';
import { root } from './paths.mjs';
import { Stop, say } from './say.mjs';

/** @param {string[]} options @returns {Promise<number>} */
export function simulate(options) {
  const args = ['run', '--quiet', '--profile', 'simulation', '--locked', '--package', 'key0-simulation', '--', ...options];
  say(`$ ${['cargo', ...args].join(' ')}`);
  return new Promise((resolve, reject) => {
    const child = spawn('cargo', args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
    const stopIt = () => child.kill();
    process.on('exit', stopIt);
    child.on('error', (error) => reject(new Stop(`cargo cannot be started (${error.code}).`)));
    child.on('exit', (code) => {
      process.off('exit', stopIt);
      resolve(code ?? 2);
    });
  });
}
