// Promises: the rooms of worker/core import one way. A room (a folder or file below worker/core/src) imports only rooms
// that stand below it in ROOMS, no two files of a room import each other in a circle, and the buyers' doors reach what a
// payment does only through checkout. A mod.rs names the files of its folder and defines nothing, so that a file never
// needs its parent. Reads `use` declarations and paths, follows re-exports, skips test code.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';
import { Stop, say } from './say.mjs';

/** From the doors down to the ground. */
export const ROOMS = [
  'doors', 'checkout', 'documents', 'sweep', 'purchase', 'config', 'ledger', 'backend', 'settlement', 'book',
  'chain', 'mpp', 'x402', 'offer', 'catalog', 'token', 'meter', 'goods', 'limit', 'response', 'error', 'breaker', 'pauses', 'types',
  'json',
];
/** What a buyers' door must not name: the meaning of these is checkout's. */
const BEHIND_CHECKOUT = ['purchase', 'book', 'chain', 'settlement'];
/** Serves the seller, not buyers: it names the operator's commands. */
const OPERATORS_DOOR = ['doors', 'admin'];

/** Of a `use` like this nobody can tell where its names come from. Other crates' preludes are no matter here. */
const GLOB = /^[ \t]*(?:pub(?:\([^)]*\))? )?use (?:(?:crate|super|self)\b[^;]*|\w+::)\*/m;

/** @typedef {{from: string, to: string, name: string}} Arrow from one file to another, and what is imported */

/**
 * What is wrong with the imports of a source tree, a sentence each.
 * @param {string} folder @returns {string[]}
 */
export function faults(folder) {
  const source = sourceOf(folder);
  const arrows = arrowsOf(source);
  const wrong = [];
  for (const [file, code] of source) {
    if (onlyNames(file) && definition(code)) wrong.push(`${file} defines \`${definition(code)}\`: put it into a file`);
    if (GLOB.test(code)) wrong.push(`${file} imports all names of a module: name what it needs`);
  }
  for (const { from, to, name } of arrows) {
    const [above, below] = [room(from), room(to)];
    if (above === below) continue;
    const [a, b] = [ROOMS.indexOf(above), ROOMS.indexOf(below)];
    const unknown = a < 0 ? above : b < 0 ? below : undefined;
    if (unknown) wrong.push(`${unknown} is no room of the list in tools/lib/rooms.mjs`);
    else if (a > b) wrong.push(`${from} imports ${name} of ${to}: ${below} stands above ${above}`);
    else if (above === 'doors' && BEHIND_CHECKOUT.includes(below) && !isIn(from, OPERATORS_DOOR)) {
      wrong.push(`${from} imports ${name} of ${to}: a buyers' door reaches it through checkout`);
    }
  }
  for (const circle of circles(arrows)) wrong.push(`these files import each other in a circle:\n    ${circle.join('\n    ')}`);
  return [...new Set(wrong)];
}

export function checkRooms() {
  const wrong = faults(join(root, 'worker', 'core', 'src'));
  if (wrong.length) throw new Stop(`The rooms of worker/core do not import one way:\n  ${wrong.join('\n  ')}`);
  say(`  ${ROOMS.length} rooms of worker/core import one way, without circles`);
}

/** The files of a folder and what they ship. @param {string} folder @returns {Map<string, string>} */
function sourceOf(folder) {
  const files = readdirSync(folder, { recursive: true })
    .map((name) => String(name).replaceAll('\\', '/'))
    .filter((name) => name.endsWith('.rs') && !isTest(name));
  return new Map(files.map((name) => [name, shippedCode(readFileSync(join(folder, name), 'utf8'))]));
}

/** @param {Map<string, string>} source @returns {Arrow[]} */
function arrowsOf(source) {
  const files = [...source.keys()];
  /** @type {Map<string, string>} module path to its file */
  const modules = new Map(files.map((name) => [modulePath(name).join('::'), name]));
  const uses = new Map(files.map((name) => [name, usesOf(source.get(name), modulePath(name), modules)]));

  /** The file that defines what a path names, or that the path names itself. @param {string[]} path */
  const definedIn = (path) => {
    for (let hops = 0; hops < 8; hops += 1) {
      let depth = path.length;
      while (depth > 0 && !modules.has(path.slice(0, depth).join('::'))) depth -= 1;
      const file = modules.get(path.slice(0, depth).join('::'));
      const handedOn = uses.get(file)?.find((use) => (use.isPublic || onlyNames(file)) && use.as === path[depth]);
      if (!handedOn) return file;
      path = [...handedOn.path, ...path.slice(depth + 1)];
    }
    return undefined;
  };
  const arrows = [];
  for (const from of files) {
    if (onlyNames(from)) continue;
    for (const { path } of uses.get(from)) {
      const to = definedIn(path);
      if (to && to !== from && !onlyNames(to)) arrows.push({ from, to, name: path.at(-1) });
    }
  }
  return arrows;
}

/**
 * Every path of the crate that a file names, as an absolute one.
 * @param {string} code @param {string[]} module @param {Map<string, string>} modules
 */
function usesOf(code, module, modules) {
  const absolute = (path) => {
    if (path[0] === 'crate') return path.slice(1);
    let here = module;
    let rest = path;
    while (rest[0] === 'super' || rest[0] === 'self') {
      if (rest[0] === 'super') here = here.slice(0, -1);
      rest = rest.slice(1);
    }
    if (rest.length < path.length) return [...here, ...rest];
    return modules.has([...module, path[0]].join('::')) ? [...module, ...path] : undefined;
  };
  const found = [];
  const declaration = /^[ \t]*(pub(?:\([^)]*\))? )?use ([^;]+);/gm;
  for (const [, visibility, tree] of code.matchAll(declaration)) {
    for (const { path, as } of leaves(tree.replace(/\s+/g, ' ').trim())) {
      const from = absolute(path);
      if (from) found.push({ path: from, as, isPublic: visibility !== undefined });
    }
  }
  for (const [path] of code.replace(declaration, '').matchAll(/(?<![\w:])[a-z]\w*(?:::\w+)+/g)) {
    const from = absolute(path.split('::'));
    if (from) found.push({ path: from, as: undefined, isPublic: false });
  }
  return found;
}

/** The single paths of a `use` tree. @param {string} tree @returns {{path: string[], as: string}[]} */
function leaves(tree) {
  const group = /^((?:\w+::)*)\{(.*)\}$/.exec(tree);
  if (group) {
    const prefix = group[1].split('::').filter(Boolean);
    return parts(group[2]).flatMap((part) => leaves(part).map(({ path, as }) => ({ path: [...prefix, ...path], as })));
  }
  const [name, alias] = tree.split(' as ');
  const path = name.split('::').filter((part) => part !== 'self' || name.startsWith('self'));
  return [{ path, as: alias ?? path.at(-1) }];
}

/** Splits at the commas that stand in no inner braces. @param {string} list */
function parts(list) {
  const found = [''];
  let depth = 0;
  for (const letter of list) {
    depth += Number(letter === '{') - Number(letter === '}');
    if (letter === ',' && depth === 0) found.push('');
    else found[found.length - 1] += letter;
  }
  return found.map((part) => part.trim()).filter(Boolean);
}

/** Groups of files of which each reaches each (Tarjan's strongly connected components). @param {Arrow[]} arrows */
function circles(arrows) {
  const next = new Map();
  for (const { from, to } of arrows) {
    next.set(from, (next.get(from) ?? new Set()).add(to));
    if (!next.has(to)) next.set(to, new Set());
  }
  const order = new Map();
  const lowest = new Map();
  const open = [];
  const found = [];
  const visit = (file) => {
    order.set(file, order.size);
    lowest.set(file, order.get(file));
    open.push(file);
    for (const to of next.get(file)) {
      if (!order.has(to)) visit(to);
      if (open.includes(to)) lowest.set(file, Math.min(lowest.get(file), lowest.get(to)));
    }
    if (lowest.get(file) === order.get(file)) {
      const circle = open.splice(open.indexOf(file));
      if (circle.length > 1) found.push(circle.sort());
    }
  };
  for (const file of next.keys()) if (!order.has(file)) visit(file);
  return found;
}

/** What is built into the worker: no comments, and nothing from the first test module on. @param {string} text */
function shippedCode(text) {
  const tests = text.search(/^#\[cfg\(test\)\]\n(?:#\[[^\n]*\n)*(?:pub(?:\([^)]*\))? )?mod \w+ \{/m);
  return (tests < 0 ? text : text.slice(0, tests)).replace(/\/\/[^\n]*/g, '');
}

/** What a file holds besides modules and imports: its first line. @param {string} code @returns {string | undefined} */
function definition(code) {
  const rest = code.replace(/^#!?\[[^\n]*\]$/gm, '').replace(/^(?:pub(?:\([^)]*\))? )?(?:mod \w+|use [^;]+);/gm, '');
  return rest.trim().split('\n')[0] || undefined;
}

/** Whether a file only names the others of its folder. @param {string} file */
const onlyNames = (file) => file === 'lib.rs' || /(^|\/)mod\.rs$/.test(file);
/** @param {string} file */
const modulePath = (file) => file.replace(/(\/mod)?\.rs$/, '').replace(/^lib$/, '').split('/').filter(Boolean);
/** @param {string} file */
const isTest = (file) => /(^|\/)(tests|test_support|testing|bench)(\/|\.rs$)/.test(file);
/** @param {string} file */
const room = (file) => modulePath(file)[0];
/** @param {string} file @param {string[]} folder */
const isIn = (file, folder) => folder.every((part, index) => modulePath(file)[index] === part);
