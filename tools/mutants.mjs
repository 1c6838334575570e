// Promises: `npm run mutants` breaks one rule after the other in a copy of the sources and tells which check noticed, and
// how soon. The exit code is 1 when a mutation survives, or does not compile. The mutations are listed in tests/mutants/.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readFlags } from './lib/args.mjs';
import { check } from './lib/mutants/checks.mjs';
import { mutate, readMutations } from './lib/mutants/list.mjs';
import { refreshTree, write } from './lib/mutants/tree.mjs';
import { withLock } from './lib/once.mjs';
import { root } from './lib/paths.mjs';
import { Stop, bold, duration, fail, green, red, say, step } from './lib/say.mjs';
import { onShutdown } from './lib/shutdown.mjs';
import { checkPrerequisites } from './lib/toolchain.mjs';

const HELP = `
npm run mutants -- [options]

Breaks one rule after the other in a copy of the sources (.local/mutants) and
tells which check noticed.

  --section <name>   only tests/mutants/<name>.toml; may be repeated
  --name <text>      only mutations whose name contains this
  --by <check>       only mutations that this must notice: simulation, native,
                     validator, or a black-box test's file
  --part <n/m>       only the n-th of m equal parts, to spread the work
  --seeds <number>   how many seeds a mutation of the simulation must survive,
                     default 1000
  --list             only check that each mutation fits the sources, and list
                     them

  npm run mutants -- --section money --part 1/4
`;

/** @param {import('./lib/mutants/list.mjs').Mutation[]} mutations @param {string} text */
function part(mutations, text) {
  const [, number, of] = /^(\d+)\/(\d+)$/.exec(text) ?? [];
  if (!(Number(number) >= 1 && Number(number) <= Number(of))) throw new Stop(`--part wants 1/3, 2/3 or 3/3, for instance, not "${text}".`);
  return mutations.filter((_, at) => at % Number(of) === Number(number) - 1);
}

/** What is not broken must pass, or nothing is proven. */
async function baseline(checks, seeds) {
  for (const by of checks) {
    const { caught, detail } = await step(`Nothing broken: ${by}`, () => check(by, { seeds: Math.min(seeds, 50) }));
    if (caught) throw new Stop(`Without any mutation ${by} says: ${detail}. Mend that first.`);
  }
}

/** A mutation that does not compile, or stops the check itself, proves nothing; the others are tried all the same. */
async function judge(by, seeds) {
  try {
    const { caught, detail } = await check(by, { seeds });
    return { outcome: caught ? 'caught' : 'survived', detail };
  } catch (error) {
    if (error instanceof Stop) return { outcome: 'broken', detail: error.message };
    throw error;
  }
}

/** The mutations that the flags ask for, each with the file's text before and after. */
function choose(flags) {
  const isWanted = ({ section, name, by }) =>
    (!flags.section || flags.section.includes(section)) && (!flags.name || name.includes(flags.name)) && (!flags.by || by === flags.by);
  const wanted = readMutations().filter(isWanted);
  const chosen = flags.part ? part(wanted, flags.part) : wanted;
  if (!chosen.length) throw new Stop('No mutation fits. --list tells which there are.');
  return chosen.map((mutation) => {
    const before = readFileSync(join(root, mutation.file), 'utf8');
    return { ...mutation, before, after: mutate(mutation, before) };
  });
}

/** Tries one after the other. @returns {Promise<Record<'caught' | 'survived' | 'broken', number>>} */
async function drill(mutations, seeds) {
  refreshTree();
  await baseline(new Set(mutations.map(({ by }) => by)), seeds);
  const counts = { caught: 0, survived: 0, broken: 0 };
  for (const { name, file, before, after, by } of mutations) {
    const began = Date.now();
    write(file, after);
    const { outcome, detail } = await judge(by, seeds);
    write(file, before);
    counts[outcome] += 1;
    say(`${outcome === 'caught' ? green('caught  ') : red(outcome.toUpperCase().padEnd(8))} ${name}`);
    say(`           ${by}: ${detail} (${duration(Date.now() - began)})`);
  }
  return counts;
}

async function main() {
  const flags = readFlags(HELP, {
    section: { type: 'string', multiple: true },
    name: { type: 'string' },
    by: { type: 'string' },
    part: { type: 'string' },
    seeds: { type: 'string', default: '1000' },
    list: { type: 'boolean' },
  });
  if (!/^[1-9]\d{0,6}$/.test(flags.seeds)) throw new Stop('--seeds wants a number.');
  const mutations = choose(flags);
  if (flags.list) {
    for (const { section, name, rule, by } of mutations) process.stdout.write(`${section}: ${name}\n  breaks: ${rule}\n  must be noticed by: ${by}\n`);
    return;
  }
  checkPrerequisites();
  onShutdown(async () => {});
  const started = Date.now();
  const { caught, survived, broken } = await withLock('mutants', () => drill(mutations, Number(flags.seeds)));
  const good = caught === mutations.length;
  say(bold(`\n${good ? green('All were caught') : red('Not all were caught')}, in ${duration(Date.now() - started)}`));
  process.stdout.write(`mutations=${mutations.length} caught=${caught} survived=${survived} broken=${broken}\n`);
  process.exit(good ? 0 : 1);
}

main().catch(fail);
