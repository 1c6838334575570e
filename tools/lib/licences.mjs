// Promises: every crate in the lock file that any feature can bring in has a licence that deny.toml allows and is none that
// it bans, and the validator stays as small as it promises. It asks cargo only, so it works without a network.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { root } from './paths.mjs';
import { Stop, say } from './say.mjs';
import { capture } from './toolchain.mjs';

/** The most crates that linking the validator may cost, itself not counted. */
const VALIDATOR_CRATES = { hs256: 14, 'hs256,rs256': 18 };

/** Whether an SPDX expression can be met with these licences. @param {string} expression @param {Set<string>} allowed */
export function permits(expression, allowed) {
  // "MIT/Apache-2.0" is an old way to write OR.
  const words = expression.replaceAll('/', ' OR ').match(/[()]|[^\s()]+/g) ?? [];
  const or = () => {
    let met = and();
    while (words[0] === 'OR') {
      words.shift();
      met = and() || met;
    }
    return met;
  };
  const and = () => {
    let met = one();
    while (words[0] === 'AND') {
      words.shift();
      met = one() && met;
    }
    return met;
  };
  const one = () => {
    let name = words.shift();
    if (name === '(') {
      const met = or();
      return words.shift() === ')' && met;
    }
    if (words[0] === 'WITH') name = [name, words.shift(), words.shift()].join(' ');
    return allowed.has(name);
  };
  const met = or();
  return met && words.length === 0;
}

async function crates(...args) {
  const tree = await capture('cargo', ['tree', '--locked', '-p', 'key0-validator', '-e', 'normal', '--prefix', 'none', '-f', '{p}', ...args], {}, () => {});
  return new Set(tree.trim().split('\n').map((line) => line.replace(' (*)', ''))).size - 1;
}

export async function checkLicences() {
  const { licenses, bans } = parse(readFileSync(join(root, 'deny.toml'), 'utf8'));
  const metadata = await capture('cargo', ['metadata', '--format-version', '1', '--locked', '--all-features'], {}, () => {});
  const { packages, workspace_members: ours } = JSON.parse(metadata);
  const theirs = packages.filter(({ id }) => !ours.includes(id));
  const allowed = new Set(licenses.allow);
  const excepted = new Map(licenses.exceptions.map(({ crate, allow }) => [crate, new Set([...allowed, ...allow])]));
  const isAllowed = ({ name, license }) => license && permits(license, excepted.get(name) ?? allowed);
  const banned = new Set(bans.deny);
  const wrong = [
    ...theirs.filter((crate) => !isAllowed(crate)).map(({ name, license }) => `${name} has the licence ${license ?? '(none)'}`),
    ...theirs.filter(({ name }) => banned.has(name)).map(({ name }) => `${name} is banned`),
    ...theirs.filter(({ source }) => !source?.startsWith('registry+')).map(({ name, source }) => `${name} comes from ${source}`),
  ];
  for (const [features, most] of Object.entries(VALIDATOR_CRATES)) {
    const count = await crates('--no-default-features', '-F', features);
    say(`  key0-validator with ${features}: ${count} crates of at most ${most}`);
    if (count > most) wrong.push(`key0-validator with ${features} needs ${count} crates, it may need ${most}`);
  }
  if (wrong.length) throw new Stop(`deny.toml does not allow this:\n  ${wrong.join('\n  ')}`);
  say(`  ${theirs.length} crates, all with licences that deny.toml allows`);
}
