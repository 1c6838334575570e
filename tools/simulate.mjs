// Promises: `npm run simulate -- --seeds N` runs the purchase logic against a model world that fails in every way, and
// ends with one line `seeds=… purchases=… faults=… violations=…`; the exit code says whether a money rule was broken.

import { randomInt } from 'node:crypto';
import { Stop, fail, say } from './lib/say.mjs';
import { simulate } from './lib/simulation.mjs';
import { checkPrerequisites } from './lib/toolchain.mjs';

const HELP = `
npm run simulate -- [options]

  --seeds <number>      how many runs, default 100
  --first <number>      the first seed, default 1
  --new                 begin at a random seed instead, which is printed
  --purchases <number>  buyers' purchases in each run, default 100
  --seed <number>       this seed only; with --trace step by step
  --trace               print what happened
  --rule <name>         show only runs that break this rule
  --faults              tell how often each fault struck
  --stop                begin no other run once a rule is broken
  --without <fault>     switch a fault off; may be repeated (their names:
                        simulation/src/faults.rs)

  npm run simulate -- --seed 7 --trace
`;

async function main() {
  const options = process.argv.slice(2);
  if (options.includes('--help') || options.includes('-h')) {
    process.stdout.write(`${HELP.trim()}\n`);
    return;
  }
  const isNew = options.indexOf('--new');
  if (isNew >= 0) {
    const first = String(randomInt(1_000_000, 2 ** 40));
    options.splice(isNew, 1, '--first', first);
    say(`  the first seed is ${first}`);
  }
  checkPrerequisites();
  const code = await simulate(options);
  if (code === 1) throw new Stop('A money rule is broken. Each failing seed above replays with --seed <number> --trace.');
  if (code !== 0) throw new Stop('The simulation could not run. --help tells the options.');
}

main().catch(fail);
