// Promises: every `npm run` command, in the order in which people need them, with one line about it. Runs on Node 18 and newer,
// before anything is installed.

import { say } from './say.mjs';

/**
 * @typedef {{file: string, about: string}} Command
 * @type {Record<string, Record<string, Command>>} by what a person wants, then by name
 */
const GROUPS = {
  try: {
    start: { file: 'tools/start.mjs', about: 'a seller on this machine: chain, worker, backend, buyers' },
    agent: { file: 'examples/agent/agent.mjs', about: 'an agent that buys, here or at any seller' },
  },
  sell: {
    wallet: { file: 'tools/wallet.mjs', about: 'makes a wallet, and says where test money comes from' },
    deploy: { file: 'tools/deploy.mjs', about: 'checks the settings, and uploads to Cloudflare' },
    doctor: { file: 'tools/doctor.mjs', about: 'looks at a deployment, and says what is wrong' },
  },
  operate: {
    admin: { file: 'tools/admin.mjs', about: 'purchases, totals, refunds that failed' },
    reconcile: { file: 'tools/reconcile.mjs', about: 'compares the ledger with the chain' },
    worker: { file: 'tools/worker.mjs', about: 'the worker alone, for a chain that runs elsewhere' },
  },
  develop: {
    build: { file: 'tools/build.mjs', about: 'builds the worker, and says its size' },
    test: { file: 'tools/test.mjs', about: 'every check there is' },
    lint: { file: '', about: 'format and lints only' },
    fmt: { file: '', about: 'formats the Rust sources' },
    simulate: { file: 'tools/simulate.mjs', about: 'purchases with faults at every step, by seed' },
    mutants: { file: 'tools/mutants.mjs', about: 'breaks rules, and tells which check notices' },
    conformance: { file: 'tools/conformance.mjs', about: 'the published MCP conformance suites' },
    pages: { file: 'tools/pages.mjs', about: 'pictures of the pages for people' },
    bench: { file: 'tools/bench.mjs', about: 'measures size, answers and purchases' },
    lock: { file: '', about: 'writes package-lock.json anew' },
  },
};

/** The file of each command that `tools/run.mjs` runs. @type {Record<string, string>} */
export const COMMANDS = Object.fromEntries(
  Object.values(GROUPS)
    .flatMap((group) => Object.entries(group))
    .filter(([, { file }]) => file)
    .map(([name, { file }]) => [name, file]),
);

/** What npm starts without `run`. */
const SHORT = ['start', 'test'];

/** The list of all commands. */
export function help() {
  const lines = [];
  for (const [group, commands] of Object.entries(GROUPS)) {
    lines.push(group);
    for (const [name, { about }] of Object.entries(commands)) {
      lines.push(`  ${`npm ${SHORT.includes(name) ? '' : 'run '}${name}`.padEnd(20)}  ${about}`);
    }
    lines.push('');
  }
  lines.push('Options stand behind --, and each command tells its own:');
  lines.push('  npm run doctor -- --help');
  return `${lines.join('\n')}\n`;
}

/** @param {string} name */
export function sayUnknown(name) {
  say(`There is no command "${name}". "npm run help" lists them.`);
}
