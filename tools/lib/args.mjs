// Promises: flags read one way everywhere. `--help` prints and ends, `--yes` agrees to what has to be installed, a wrong flag is
// one clear sentence.

import { parseArgs } from 'node:util';
import { YES } from './install.mjs';
import { Stop } from './say.mjs';

/**
 * @param {string} help
 * @param {NonNullable<Parameters<typeof parseArgs>[0]>['options']} options
 * @param {string[]} [argv]
 * @param {string | string[]} [positional]  the names of values that stand alone, without a flag, in their order
 */
export function readFlags(help, options, argv = process.argv.slice(2), positional = []) {
  const names = [positional].flat();
  try {
    const config = { args: argv, options: { ...options, yes: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } }, allowPositionals: names.length > 0 };
    const { values, positionals } = parseArgs(config);
    if (positionals.length > names.length) {
      const most = names.length === 1 ? `Only one ${names[0]} is taken` : `Only ${names.join(' and ')} are taken`;
      throw new Stop(`${most}, not ${positionals.length} values. --help tells the options.`);
    }
    positionals.forEach((value, at) => (values[names[at]] = value));
    if (values.help) {
      process.stdout.write(`${help.trim()}\n`);
      process.exit(0);
    }
    if (values.yes) process.env[YES] = '1';
    return values;
  } catch (error) {
    if (!String(error.code).startsWith('ERR_PARSE_ARGS')) throw error;
    throw new Stop(`${error.message.split('. To specify')[0]}. --help tells the options.`);
  }
}

/** @param {string | undefined} text @param {string} flag */
export function portFlag(text, flag) {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new Stop(`${flag} wants a port number from 0 to 65535, not "${text}".`);
  return port;
}

/** @param {string[] | undefined} pairs `NAME=VALUE` each */
export function varFlags(pairs = []) {
  /** @type {Record<string, string>} */
  const vars = {};
  for (const pair of pairs) {
    const cut = pair.indexOf('=');
    const name = pair.slice(0, Math.max(cut, 0));
    if (!/^[A-Za-z_]\w*$/.test(name)) throw new Stop(`--var wants NAME=VALUE, not "${cut < 0 ? pair : `${name}=…`}".`);
    vars[name] = pair.slice(cut + 1);
  }
  return vars;
}
