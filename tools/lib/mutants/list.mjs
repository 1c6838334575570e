// Promises: the mutations of tests/mutants/*.toml, each complete, named once, and fitting the sources at exactly one place.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'smol-toml';
import { root } from '../paths.mjs';
import { Stop } from '../say.mjs';

const folder = join(root, 'tests', 'mutants');
const MEMBERS = ['name', 'rule', 'file', 'find', 'replace', 'by'];

/**
 * @typedef {object} Mutation
 * @property {string} section  the file that lists it
 * @property {string} name     what is done, as a sentence
 * @property {string} rule     what it breaks
 * @property {string} file     where
 * @property {string} find     the text to replace, in any layout
 * @property {string} replace
 * @property {string} by       what must notice: `simulation`, `native`, `validator`, or a black-box test's file
 */

/** @returns {Mutation[]} in the order of the files */
export function readMutations() {
  const sections = readdirSync(folder).filter((name) => name.endsWith('.toml'));
  const all = sections.sort().flatMap((name) => {
    const { mutation = [] } = parse(readFileSync(join(folder, name), 'utf8'));
    return mutation.map((entry) => ({ section: name.replace('.toml', ''), ...entry }));
  });
  const names = new Set();
  for (const mutation of all) {
    const missing = MEMBERS.find((member) => typeof mutation[member] !== 'string');
    if (missing) throw new Stop(`${mutation.section}: "${mutation.name}" has no ${missing}.`);
    if (names.has(mutation.name)) throw new Stop(`${mutation.section}: "${mutation.name}" is there twice.`);
    names.add(mutation.name);
  }
  return all;
}

/**
 * The file's text with the mutation in it.
 * @param {Mutation} mutation @param {string} text
 */
export function mutate(mutation, text) {
  // Where the formatter breaks a line changes nothing.
  const words = mutation.find.match(/\w+|[^\s\w]/g) ?? [];
  const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('\\s*');
  const places = [...text.matchAll(new RegExp(pattern, 'g'))];
  if (places.length !== 1) {
    throw new Stop(`"${mutation.name}": its text occurs ${places.length} times in ${mutation.file}, not once. Correct the list.`);
  }
  const [{ index, 0: found }] = places;
  return text.slice(0, index) + mutation.replace.trim() + text.slice(index + found.length);
}
