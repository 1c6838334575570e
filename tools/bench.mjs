// Promises: `npm run bench` measures the worker's size, its answers and its purchases on the real runtime, counts what they make the
// platform and the chain do, and prints that as docs/benchmarks.md has it. Nothing fails here for being slow: the machine decides
// about that.

import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { readFlags } from './lib/args.mjs';
import { showCounts } from './lib/bench/counts.mjs';
import { countRequests } from './lib/bench/requests.mjs';
import { speed } from './lib/bench/speed.mjs';
import { start } from './lib/bench/start.mjs';
import { buildWorker } from './lib/build.mjs';
import { Stop, bold, fail, say, step } from './lib/say.mjs';
import { onShutdown } from './lib/shutdown.mjs';
import { startWorld } from './lib/world.mjs';

const HELP = `
npm run bench -- [options]

Measures size, answers and purchases on the real runtime and a local chain, and
prints them; nothing fails for being slow. That takes about five minutes, and
some more when the worker is built first.

  --only <part>           one part alone; may be repeated:
                          start   an isolate's first request, and answers beside
                                  a JavaScript worker that sends the same bytes
                          speed   answers, tokens, calls and purchases
                          counts  what each kind of request makes the platform
                                  and the chain do, its price, and the budgets
  --requests <number>     for each of the two documents, default 5000
  --purchases <number>    default 200
  --in-flight <number>    purchases at the same time, default 50; as many of
                          each kind are counted
  --block-time <seconds>  of the chain, default 1; counts are made with 2
  --tokens <number>       for each algorithm, default 5000
  --calls <number>        paid calls of an API, default 100; ten times as many
                          calls with a token, and of the API without the worker
  --statements            prints each counted SQL statement, too

  npm run bench -- --only counts --in-flight 20
`;
const PARTS = ['start', 'speed', 'counts'];

async function main() {
  const flags = readFlags(HELP, {
    only: { type: 'string', multiple: true, default: PARTS },
    requests: { type: 'string', default: '5000' },
    purchases: { type: 'string', default: '200' },
    'in-flight': { type: 'string', default: '50' },
    'block-time': { type: 'string', default: '1' },
    tokens: { type: 'string', default: '5000' },
    calls: { type: 'string', default: '100' },
    statements: { type: 'boolean', default: false },
  });
  const number = (name) => {
    if (!/^[1-9]\d{0,5}$/.test(flags[name])) throw new Stop(`--${name} wants a number from 1, not "${flags[name]}".`);
    return Number(flags[name]);
  };
  const strange = flags.only.filter((part) => !PARTS.includes(part));
  if (strange.length) throw new Stop(`--only wants ${PARTS.join(', ')}, not "${strange[0]}".`);
  const plan = {
    requests: number('requests'),
    purchases: number('purchases'),
    inFlight: number('in-flight'),
    tokens: number('tokens'),
    calls: number('calls'),
    blockTime: number('block-time'),
  };
  const state = mkdtempSync(join(tmpdir(), 'key0-bench-'));
  /** @type {import('./lib/world.mjs').World | undefined} */
  let world;
  const cleanUp = async () => {
    await world?.stop();
    rmSync(state, { recursive: true, force: true });
  };
  onShutdown(cleanUp);
  await buildWorker();
  try {
    world = await startWorld({ state, backend: false, buyers: 0 });
    const place = { ...world, state };
    const parts = {
      start: () => step('Starting isolates', () => start(place, plan.requests)),
      speed: () => speed(place, plan),
      counts: async () => {
        const kinds = await step('Counting', (note) => countRequests(place, plan.inFlight, note));
        return showCounts(kinds, flags);
      },
    };
    for (const part of PARTS.filter((name) => flags.only.includes(name))) {
      const busy = `${cpus().length} cores, ${loadavg()[0].toFixed(1)} runnable processes before`;
      const text = await parts[part]();
      say(bold('\nkey0 in numbers'));
      process.stdout.write(`\n${part} (${busy}):\n\n${text}\n`);
    }
  } finally {
    await cleanUp();
  }
  process.exit(0);
}

main().catch(fail);
