// Promises: the seller's catalog.json, beside wrangler.toml, becomes part of the worker without compiling anything. Here only
// its JSON is checked, where line and column are known; the worker itself judges plans and routes.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './paths.mjs';
import { Stop } from './say.mjs';

export const catalogFile = join(root, 'catalog.json');

/** The text of the file; `undefined` without one. @returns {string | undefined} */
export function readCatalog(file = catalogFile) {
  if (!existsSync(file)) return undefined;
  const text = readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
  try {
    JSON.parse(text);
  } catch (error) {
    throw new Stop(`catalog.json${placeOf(error.message, text)} is not JSON: ${error.message.replace(/ in JSON at position.*| \(line.*|, (?:\.\.\.)?".*" is not valid JSON$|, ".*/s, '')}.`);
  }
  return text;
}

/** JSON.parse tells a position, but for a text that ends too early, and in newer Nodes for a character that has no place there. */
function placeOf(message, text) {
  const at = /at position (\d+)/.exec(message)?.[1] ?? misplaced(message, text) ?? text.length;
  const before = text.slice(0, Number(at)).split('\n');
  return `, line ${before.length}, column ${before.at(-1).length + 1},`;
}

/** Where that character is: the text up to it fails in the same way. */
function misplaced(message, text) {
  const [wrong, character] = /^Unexpected token '(.)'/su.exec(message) ?? [];
  for (let at = character ? text.indexOf(character) : -1; at >= 0; at = text.indexOf(character, at + 1)) {
    try {
      JSON.parse(text.slice(0, at + character.length));
    } catch (error) {
      if (error.message.startsWith(wrong)) return at;
    }
  }
  return undefined;
}

/** The module that the worker imports. @param {string | undefined} text */
export const catalogModule = (text) => `export default ${text === undefined ? 'undefined' : JSON.stringify(text)};\n`;

/** Puts this module's text where the worker's code looks for it. */
export const CATALOG_IMPORT = 'import KEY0_CATALOG from "./catalog.js";globalThis.KEY0_CATALOG=KEY0_CATALOG;\n';

/** What is sold, in words. @param {{plans: object[], routes?: object[]}} list of /discover */
export function soldIn({ plans, routes = [] }) {
  const count = (number, word) => (number ? [`${number} ${word}${number === 1 ? '' : 's'}`] : []);
  return [...count(plans.length, 'plan'), ...count(routes.length, 'route')].join(' and ') || 'Nothing';
}
