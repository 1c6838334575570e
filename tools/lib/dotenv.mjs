// Promises: NAME=VALUE lines as dotenv files have them: comments, `export`, 'literal' and "escaped" quotes, either
// of which may span lines (PEM keys). What cannot be read is an error that names the setting, never its value.

import { readFileSync } from 'node:fs';
import { Stop } from './say.mjs';

const ESCAPES = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\' };

/** @param {string} file @returns {Record<string, string>} */
export function readDotenv(file) {
  let content;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Stop(`The settings file ${file} cannot be read (${error.code}).`);
  }
  return parseDotenv(content, file);
}

/** @param {string} content @param {string} where for messages @returns {Record<string, string>} */
export function parseDotenv(content, where = 'settings') {
  /** @type {Record<string, string>} */
  const settings = {};
  let rest = content.replace(/^\uFEFF/, '').replace(/\r\n?/g, '\n');
  let line = 1;
  while (rest) {
    const blank = /^[ \t]*(?:#.*)?(?:\n|$)/.exec(rest);
    const assignment = /^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=[ \t]*/.exec(rest);
    let taken;
    if (blank) {
      taken = blank[0];
    } else if (assignment) {
      const [value, length] = readValue(rest.slice(assignment[0].length), `${where}, line ${line}: ${assignment[1]}`);
      settings[assignment[1]] = value;
      taken = rest.slice(0, assignment[0].length + length);
    } else {
      throw new Stop(`${where}, line ${line}: this is not NAME=VALUE. A value of several lines, like a PEM key, stands in quotes.`);
    }
    line += taken.split('\n').length - 1;
    rest = rest.slice(taken.length);
  }
  return settings;
}

/** @returns {[string, number]} the value and how many characters it took, its line end included */
function readValue(text, where) {
  const quoted = /^'([^']*)'|^"((?:\\[^]|[^"\\])*)"/.exec(text);
  if (!quoted) {
    if (/^['"]/.test(text)) throw new Stop(`${where} has an opening quote without a closing one.`);
    const [all] = /^.*(?:\n|$)/.exec(text);
    return [all.replace(/(^|\s)#.*/, '').trim(), all.length];
  }
  const after = /^[ \t]*(?:#.*)?(?:\n|$)/.exec(text.slice(quoted[0].length));
  if (!after) throw new Stop(`${where} has something behind its closing quote.`);
  const value = quoted[1] ?? quoted[2].replace(/\\([nrt"\\])/g, (_, char) => ESCAPES[char]);
  return [value, quoted[0].length + after[0].length];
}
