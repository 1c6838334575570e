// Promises: what the agent is told, read and checked: the command line, AGENT_PRIVATE_KEY, and the local world, which
// stands in for both the seller and the wallet when they are not named.

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { dollars } from './money.mjs';
import { Stop, stop } from './say.mjs';

const HELP = `
An agent that buys access.

  npm run agent                  buys the cheapest plan of the local world
  npm run agent -- --via a2a     buys it in an A2A conversation, and shows it
  npm run agent -- --via mcp     buys it with the tools of the MCP server
  npm run agent -- --via mpp     buys it by the Machine Payments Protocol (needs
                                 the package mppx)
  npm run agent -- --plan starter-monthly --max 15
  npm run agent -- --call /weather/oslo
                                 pays for one call and prints the answer
  key0-agent --url https://…     the same agent as a program, installed with
                                 npm install -g --install-links ./examples/agent

  --url URL       the seller; otherwise the local world's
  --via WAY       how it buys: http (the default), a2a, mcp or mpp
  --plan ID       the plan; otherwise the cheapest
  --call PATH     one call of the seller's API instead of a plan: GET, with the
                  query; with another --via than http the call is described
  --request ID    the purchase's id: a UUID of your own, or one that an answer
                  has named. The same id asks for the same purchase: it is
                  charged once, and after the delivery the agent signs anew and
                  gets the token again
  --resource ID   what to open; otherwise the plan's default
  --max USD       the most to pay, in dollars (default 1)
  --json          the grant, or the seller's error, as JSON on stdout; words go
                  to stderr, and the token is not used
  --token         only the token on stdout, for curl and other programs
  --dir FOLDER    where the local world lives, as for npm start (default .local)

The wallet's key is read from AGENT_PRIVATE_KEY; otherwise it is the local
world's first buyer.

  TOKEN=$(npm run --silent agent -- --token)
`;

/** `worldFile`: the local world's file, when the seller is that world. */
export function readOptions() {
  const flags = readFlags();
  const most = dollars(flags.max) ?? stop(`--max must be an amount in dollars, like 0.50, not "${flags.max}".`);
  if (flags.url !== undefined && !isHttp(flags.url)) stop('--url must begin with http:// or https://');
  if (!['http', 'a2a', 'mcp', 'mpp'].includes(flags.via)) stop(`--via must be http, a2a, mcp or mpp, not "${flags.via}".`);
  if (flags.call !== undefined && !flags.call.startsWith('/')) stop(`--call wants a path like /weather/oslo, not "${flags.call}".`);
  if (flags.call !== undefined && (flags.plan || flags.resource || flags.token)) stop('--call goes without --plan, --resource and --token.');
  if (flags.json && flags.token) stop('Choose --json or --token, not both.');
  const world = localWorld(flags.dir);
  const url = (flags.url ?? world?.url)?.replace(/\/$/, '');
  const privateKey = process.env.AGENT_PRIVATE_KEY || world?.buyers[0]?.privateKey;
  if (url && !privateKey) stop('Set AGENT_PRIVATE_KEY to the key of the wallet that pays: 0x and 64 hex digits.');
  if (!url) {
    const start = flags.dir === '.local' ? 'npm start' : `npm start -- --dir ${flags.dir}`;
    stop(`No local world runs from ${flags.dir}: start one with "${start}", or give --url and AGENT_PRIVATE_KEY.`);
  }
  const { via, plan, request, resource, call } = flags;
  const output = flags.json ? 'json' : flags.token ? 'token' : 'words';
  const worldFile = url === world?.url ? join(flags.dir, 'world.json') : undefined;
  return { url, via, privateKey, most, output, worldFile, plan, request, resource, call };
}

function readFlags() {
  try {
    const { values } = parseArgs({
      options: {
        url: { type: 'string' },
        via: { type: 'string', default: 'http' },
        plan: { type: 'string' },
        call: { type: 'string' },
        request: { type: 'string' },
        resource: { type: 'string' },
        max: { type: 'string', default: '1' },
        json: { type: 'boolean' },
        token: { type: 'boolean' },
        dir: { type: 'string', default: '.local' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (!values.help) return values;
  } catch (error) {
    if (!String(error.code).startsWith('ERR_PARSE_ARGS')) throw error;
    throw new Stop(`${error.message.split('. To specify')[0]}. --help tells the options.`);
  }
  console.log(HELP.trim());
  return process.exit(0);
}

const isHttp = (text) => /^https?:\/\//i.test(text) && URL.canParse(text);

/** The folder counts from where the agent runs; npm runs it in the folder of `npm start`, so both mean the same. */
function localWorld(folder) {
  try {
    return JSON.parse(readFileSync(join(resolve(folder), 'world.json'), 'utf8'));
  } catch {
    return undefined;
  }
}
