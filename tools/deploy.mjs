// Promises: `npm run deploy` uploads nothing that cannot sell. It builds the worker, runs it here with the settings that are about
// to be uploaded, hands it to wrangler with every argument passed on, and says what the live worker still lacks.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildWorker, compressedSize } from './lib/build.mjs';
import { YES } from './lib/install.mjs';
import { root } from './lib/paths.mjs';
import { checkAfter, checkArgs, checkBefore, deployedUrl, readDeployArgs } from './lib/preflight.mjs';
import { Stop, bold, fail, green, red, say, step, wrap, yellow } from './lib/say.mjs';
import { sayFaults } from './lib/sells.mjs';
import { aboutUnknown, secretCommand } from './lib/settings.mjs';
import { wranglerCommand, wranglerEnv } from './lib/wrangler.mjs';

const HELP = `
npm run deploy -- [any option of "wrangler deploy"]

Builds the worker, checks the settings that are about to be uploaded, and
deploys it to your Cloudflare account (wrangler asks you to log in when needed).
Nothing is uploaded when a setting is wrong. Then it asks the live worker what
it still lacks.

  --secrets-file <file>  uploads these secrets as well (NAME=VALUE a line); set
                         others once with "npx wrangler secret put NAME"
  --dry-run              checks, and shows what would be uploaded
  -c <file>              instead of wrangler.toml, for a second deployment
  --unchecked            without the checks
  --yes                  install what is missing without asking

  npm run deploy -- --secrets-file .dev.vars
`;
const NETWORKS = { testnet: 'test network', mainnet: 'real money' };

const good = (text) => say(`${green('✓')} ${wrap(text, 2)}`);
const warn = (text) => say(`${yellow('!')} ${wrap(text, 2)}`);

async function check(asked) {
  const { faults, missing, warnings, unknown, exposed, sold, network } = await checkBefore(asked);
  for (const each of unknown) warn(aboutUnknown(each));
  for (const name of exposed) warn(`${name} is a secret and stands in plain text: take it out, and use "${secretCommand(name)}".`);
  for (const { name, reason } of warnings) warn(`${name} ${reason}.`);
  if (faults.length) {
    say(red('These settings cannot sell:'));
    sayFaults(faults);
    throw new Stop(
      'Nothing was uploaded. Correct them and run this again. What the deployment has as a secret already can be given with --secrets-file, or left unchecked with --unchecked.',
    );
  }
  good(`settings checked${sold === undefined ? '' : ` (${sold}, ${NETWORKS[network]})`}`);
  return missing;
}

/** Runs wrangler in the foreground. @returns {Promise<number>} its exit code */
function wrangler(args, outputFile) {
  const [program, ...first] = wranglerCommand();
  const env = wranglerEnv({ WRANGLER_OUTPUT_FILE_PATH: outputFile });
  const child = spawn(program, [...first, 'deploy', ...args], { cwd: root, env, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}

/** The commands that set what is missing. */
function sayMissing(names, { config, env }) {
  const where = `${config ? ` -c ${config}` : ''}${env ? ` -e ${env}` : ''}`;
  for (const name of names) {
    warn(`${name} is not set there:`);
    say(`    ${bold(secretCommand(name) + where)}`);
  }
}

function sayNotGiven(names) {
  if (!names.length) return;
  warn('Not in these settings; set each once, if that is not done yet:');
  for (const name of names) say(`    ${secretCommand(name)}`);
}

async function tellAfter(url, asked, notGiven) {
  const { reached, sells, missing, faults } = await step(`Asking ${url}`, () => checkAfter(url));
  if (!reached) {
    sayNotGiven(notGiven);
    warn('It does not answer yet. Ask it in a minute:');
    return say(`    npm run doctor -- ${url}`);
  }
  sayMissing(missing, asked);
  if (faults.length) say(sells ? bold('It sells, but:') : red('It cannot sell yet:'));
  sayFaults(faults);
  if (!missing.length && !faults.length) good(`${url} sells`);
  say(missing.length || faults.length ? 'Then:' : 'Next:');
  say(`    npm run doctor -- ${url}`);
  say(`    AGENT_PRIVATE_KEY=0x… npm run agent -- --url ${url}`);
  return undefined;
}

async function main() {
  const given = process.argv.slice(2);
  if (given.includes('--help') || given.includes('-h')) return void process.stdout.write(`${HELP.trim()}\n`);
  if (given.includes('--yes')) process.env[YES] = '1';
  const args = given.filter((arg) => !['--yes', '--unchecked'].includes(arg));
  checkArgs(args);
  const asked = readDeployArgs(args);
  await buildWorker();
  const missing = given.includes('--unchecked') ? [] : await check(asked);

  const folder = mkdtempSync(join(tmpdir(), 'key0-deploy-'));
  try {
    const outputFile = join(folder, 'output.ndjson');
    writeFileSync(outputFile, '');
    const code = await wrangler(args, outputFile);
    if (code) {
      process.exitCode = code;
      return say(`wrangler did not upload it and says why above. To log in: "npx wrangler login", or set CLOUDFLARE_API_TOKEN.`);
    }
    if (asked.isDryRun) {
      return sayNotGiven(missing);
    }
    good(`uploaded, ${Math.round(compressedSize() / 1000)} kB`);
    const url = deployedUrl(outputFile);
    if (url) await tellAfter(url, asked, missing);
    else sayNotGiven(missing);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

main().catch(fail);
