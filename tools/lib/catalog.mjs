// Promises: the seller's catalog.json, beside wrangler.toml, becomes part of the worker without compiling anything. Here only
// its JSON is checked, where line and column are known; the worker itself judges the plans.

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
    throw new Stop(`catalog.json${placeOf(error.message, text)} is not JSON: ${error.message.replace(/ in JSON at position.*| \(line.*/s, '')}.`);
  }
  return text;
}

/** JSON.parse tells a position, and newer Nodes a line as well. */
function placeOf(message, text) {
  const at = /at position (\d+)/.exec(message)?.[1];
  // A text that ends too early has no position.
  const before = text.slice(0, at === undefined ? text.length : Number(at)).split('\n');
  return `, line ${before.length}, column ${before.at(-1).length + 1},`;
}

/** The module that the worker imports. @param {string | undefined} text */
export const catalogModule = (text) => `export default ${text === undefined ? 'undefined' : JSON.stringify(text)};\n`;

/** Puts this module's text where the worker's code looks for it. */
export const CATALOG_IMPORT = 'import KEY0_CATALOG from "./catalog.js";globalThis.KEY0_CATALOG=KEY0_CATALOG;\n';
