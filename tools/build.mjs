// Promises: `npm run build` (and wrangler's [build] command) leaves a current worker in build/ and says its size.

import { readFlags } from './lib/args.mjs';
import { SIZE_BUDGET, buildWorker, compressedSize } from './lib/build.mjs';
import { Stop, fail, say } from './lib/say.mjs';

const HELP = `
npm run build -- [options]

Builds the worker into build/ when its sources changed, packs catalog.json with
it if there is one, and prints its size.

  --check-size     fail when it is larger than ${SIZE_BUDGET / 1000} kB after gzip
  --yes            install what is missing without asking
`;

async function main() {
  const flags = readFlags(HELP, { 'check-size': { type: 'boolean' } });
  const built = await buildWorker();
  const size = compressedSize();
  say(`  ${built ? 'built' : 'unchanged'}: ${(size / 1000).toFixed(1)} kB after gzip, budget ${SIZE_BUDGET / 1000} kB`);
  if (flags['check-size'] && size > SIZE_BUDGET) throw new Stop('The worker is larger than its budget.');
}

main().catch(fail);
