// Promises: `npm run conformance` holds the published MCP conformance suites against the worker, and ends with a non-zero exit
// code if a check fails.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readFlags } from './lib/args.mjs';
import { buildWorker } from './lib/build.mjs';
import { SUITES, runScenario, undecided } from './lib/conformance.mjs';
import { Stop, fail, green, red, say } from './lib/say.mjs';
import { checkPrerequisites } from './lib/toolchain.mjs';
import { startWorld } from './lib/world.mjs';

const HELP = `
npm run conformance -- [options]

Runs the published MCP conformance suites against the worker, for each version
of the protocol. tools/lib/conformance.mjs says which scenarios are left out,
and why. It is part of npm test, too.

  --url <url>   the MCP door of a worker that runs already; otherwise one is
                started
`;

async function main() {
  const { url } = readFlags(HELP, { url: { type: 'string' } });
  if (url) return hold(url);
  await checkPrerequisites();
  await buildWorker();
  const state = mkdtempSync(join(tmpdir(), 'key0-conformance-'));
  const world = await startWorld({ state, buyers: 0, backend: false });
  try {
    return await hold(`${world.worker.url}/mcp`);
  } finally {
    await world.stop();
    rmSync(state, { recursive: true, force: true });
  }
}

/** @param {string} url */
async function hold(url) {
  let wrong = 0;
  for (const suite of SUITES) {
    say(`\n${suite.name} (${suite.package})`);
    for (const name of await undecided(suite)) {
      wrong += 1;
      say(`  ${red('?')} ${name} is new: run it, or say why not`);
    }
    for (const [version, scenarios] of Object.entries(suite.versions)) {
      for (const scenario of scenarios) {
        const { passed, failed } = await runScenario(suite, version, scenario, url);
        say(`  ${failed.length ? red('✗') : green('✓')} ${version} ${scenario} (${passed} checks)`);
        for (const why of failed) say(`      ${why}`);
        wrong += failed.length;
      }
    }
  }
  if (wrong) throw new Stop(`\n${wrong} of them failed.`);
}

main().catch(fail);
