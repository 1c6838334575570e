// Promises: the settings that the worker knows, as its own code reads them (a native test holds the list against the code), and
// what a misspelled name was meant for.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';

/**
 * @typedef {{name: string, default?: string, takes?: string, secret?: boolean}} Setting
 * @type {Setting[]}
 */
export const SETTINGS = JSON.parse(readFileSync(join(root, 'worker/core/settings.json'), 'utf8'));

const NAMES = SETTINGS.map(({ name }) => name);
const SECRETS = new Set(SETTINGS.filter(({ secret }) => secret).map(({ name }) => name));
/** Read by other programs that take the same file. */
const FOREIGN = /^(CLOUDFLARE|WRANGLER|NODE|npm)_|^AGENT_PRIVATE_KEY$/;
/** A longer distance is another word. */
const MOST_EDITS = 3;

/** @param {string} name */
export const isSecret = (name) => SECRETS.has(name);

/**
 * Names that the worker ignores, and what each was meant for, where that can be told.
 * @param {Iterable<string>} names @returns {{name: string, meant?: string}[]}
 */
export function unknownSettings(names) {
  const strange = [...names].filter((name) => !NAMES.includes(name) && !FOREIGN.test(name));
  return strange.map((name) => ({ name, meant: nearest(name) }));
}

/** One sentence about a name that the worker ignores. @param {{name: string, meant?: string}} unknown */
export const aboutUnknown = ({ name, meant }) => `${name} is no setting and is ignored.${meant ? ` Did you mean ${meant}?` : ''}`;

/** How the seller sets it. @param {string} name */
export const secretCommand = (name) => `npx wrangler secret put ${name}`;

function nearest(name) {
  const upper = name.toUpperCase().replaceAll('-', '_');
  const unprefixed = (text) => text.replace(/^KEY0_/, '');
  const same = NAMES.find((known) => unprefixed(known) === unprefixed(upper));
  if (same) return same;
  const ranked = NAMES.map((known) => ({ known, edits: distance(upper, known) })).sort((a, b) => a.edits - b.edits);
  return ranked[0].edits <= MOST_EDITS ? ranked[0].known : undefined;
}

/** How many letters must be changed, added or removed (Levenshtein). @param {string} a @param {string} b */
function distance(a, b) {
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      next[j] = Math.min(next[j - 1] + 1, row[j] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length];
}
