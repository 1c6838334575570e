// Promises: `npm run simulate -- --seeds N` builds the simulation, runs it with the same options, and exits with its code.
// Without a first seed it takes a random one and says which.

import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { cargoTarget, root } from './lib/paths.mjs';
import { Stop, fail, say, step } from './lib/say.mjs';
import { capture, checkPrerequisites } from './lib/toolchain.mjs';

const HELP = `
npm run simulate -- [options]

  --seeds <number>        how many, default 100
  --first <number>        the first seed, default a random one
  --purchases <number>    for each seed, default 100
  --seed <number>         only this one; with --trace step by step
  --rule <name>           show only seeds that break this rule
  --without <fault>       switch a fault off; may be repeated
`;

async function main() {
  const args = process.argv.slice(2);
  if (args.includes('--help')) return say(HELP.trim());
  checkPrerequisites();
  const build = ['build', '--release', '--locked', '-p', 'key0-simulation'];
  await step('Building the simulation', (note) => capture('cargo', build, {}, note));
  if (!args.includes('--first') && !args.includes('--seed')) {
    const first = randomInt(1, 1_000_000_000);
    say(`seeds from ${first} on (--first ${first})`);
    args.push('--first', String(first));
  }
  const program = join(cargoTarget, 'release', 'key0-simulation');
  const child = spawn(program, args, { cwd: root, stdio: 'inherit' });
  child.on('error', (error) => fail(new Stop(`The simulation cannot be started (${error.code}).`)));
  child.on('exit', (code) => process.exit(code ?? 1));
}

main().catch(fail);
