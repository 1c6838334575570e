// Promises: `npm run admin` asks the operator's door and shows tables to people, JSON to programs. The secret comes from the
// environment, from .dev.vars or from the local world, and never from the command line, where every process can read it.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readFlags } from './lib/args.mjs';
import { readDotenv } from './lib/dotenv.mjs';
import { askAdmin } from './lib/ledger.mjs';
import { isWorldAt, readLocalWorld } from './lib/local-world.mjs';
import { root } from './lib/paths.mjs';
import { Stop, bold, dim, fail, say, wrap } from './lib/say.mjs';

const HELP = `
npm run admin -- <command> [request id] [options]

  list               purchases, those first that wait for you
  show ID            one purchase with its history
  retry-refund ID    tries a failed refund again: it is paid once at most
  cancel ID          ends a purchase that was not paid; without refunds also one
                     that was paid and cannot be delivered
  grant ID           what is left of access with limits, by the request id of
                     its purchase
  revoke ID          takes that access back: no call begins with it any more
  totals             count and sum by state

  --url <address>    the worker; otherwise the local world's
  --status <state>   list: only these, like REFUND_FAILED
  --limit <number>   list: at most so many, default 20, up to 500
  --from, --to       totals: days like 2027-01-31
  --dir <folder>     where the local world lives, as for npm start (.local)
  --json             JSON, at a terminal as well

The secret is KEY0_ADMIN_SECRET, in the environment or in .dev.vars; the local
world's is known. When the output is piped it is JSON.

  npm run admin -- list --status REFUND_FAILED
  npm run admin -- retry-refund 41fca0bb-55b6-425f-82a2-b8a4ebd4ca15
`;
const WITH_ID = ['show', 'retry-refund', 'cancel', 'grant', 'revoke'];
const COMMANDS = ['list', ...WITH_ID, 'totals'];

function readOptions() {
  const flags = readFlags(
    HELP,
    {
      url: { type: 'string' },
      status: { type: 'string' },
      limit: { type: 'string', default: '20' },
      from: { type: 'string' },
      to: { type: 'string' },
      dir: { type: 'string', default: '.local' },
      json: { type: 'boolean' },
    },
    process.argv.slice(2),
    ['command', 'request id'],
  );
  const { command, 'request id': id } = flags;
  if (!COMMANDS.includes(command)) throw new Stop(`${command ? `There is no command "${command}"` : 'A command is missing'}: choose from ${COMMANDS.join(', ')}. --help tells more.`);
  if (WITH_ID.includes(command) && !id) throw new Stop(`"${command}" wants a request id: "npm run admin -- list" shows them.`);
  if (!WITH_ID.includes(command) && id) throw new Stop(`"${command}" takes no request id.`);
  const world = readLocalWorld(flags.dir);
  const url = flags.url ?? world?.url;
  if (url === undefined) throw new Stop(`Which worker? Name it with --url https://YOUR-WORKER. (No local world runs from ${flags.dir}.)`);
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) throw new Stop(`"${url}" is not an address that begins with https:// or http://.`);
  const where = flags.url ? ` --url ${url}` : flags.dir === '.local' ? '' : ` --dir ${flags.dir}`;
  return { ...flags, command, id, url, where, secret: secretFor(url, world), json: flags.json || !process.stdout.isTTY };
}

function secretFor(url, world) {
  const file = join(root, '.dev.vars');
  const secret = process.env.KEY0_ADMIN_SECRET || (isWorldAt(world, url) ? world.adminSecret : existsSync(file) && readDotenv(file).KEY0_ADMIN_SECRET);
  if (!secret) throw new Stop('Set KEY0_ADMIN_SECRET in the environment or in .dev.vars: the secret that this worker has.');
  return secret;
}

/** The path that is asked, and how. @returns {[string, 'GET' | 'POST' | 'DELETE']} */
function question({ command, id, status, limit, from, to }) {
  const query = (members) => {
    const given = Object.entries(members).filter(([, value]) => value !== undefined);
    return given.length ? `?${new URLSearchParams(given)}` : '';
  };
  switch (command) {
    case 'list':
      return [`/admin/purchases${query({ status, limit })}`, 'GET'];
    case 'totals':
      return [`/admin/totals${query({ from, to })}`, 'GET'];
    case 'show':
      return [`/admin/purchases/${encodeURIComponent(id)}`, 'GET'];
    case 'grant':
    case 'revoke':
      return [`/admin/grants/${encodeURIComponent(id)}`, command === 'revoke' ? 'DELETE' : 'GET'];
    default:
      return [`/admin/purchases/${encodeURIComponent(id)}/${command}`, 'POST'];
  }
}

const write = (line = '') => process.stdout.write(`${line}\n`);

function showList({ purchases, next }) {
  if (!purchases.length) return write('No purchases.');
  write(dim(`${'request id'.padEnd(36)}  ${'state'.padEnd(14)}  ${'amount'.padStart(10)}  changed`));
  for (const { requestId, status, amount, changedAt, reason } of purchases) {
    const isOpen = ['PAID', 'REFUND_PENDING', 'REFUND_FAILED'].includes(status);
    const row = `${requestId.padEnd(36)}  ${status.padEnd(14)}  ${amount.padStart(10)}  ${ago(changedAt)}`;
    write(isOpen ? bold(row) : row);
    if (reason) write(dim(`  ${reason}`));
  }
  return next ? write(dim('and more: --limit shows up to 500, --json names the next page')) : undefined;
}

/** Why it is not over, or did not come to anything: the record keeps the last reason of each kind. */
function faultIn({ state, terms }) {
  const [[name, { refund, failure, attempt, watch }]] = Object.entries(state);
  const reason = name === 'REFUND_BLOCKED' ? 'refund_wallet_differs' : refund?.reason;
  if (reason) return `${name === 'REFUND_PENDING' ? 'the last try to refund failed' : 'refund failed'}: ${reason}${REMEDIES[reason]?.(terms.payTo) ?? ''}`;
  if (failure) return `issue failed: ${failure.fault}, ${failure.tries} ${failure.tries === 1 ? 'try' : 'tries'}`;
  const unpaid = (attempt ?? watch)?.stage?.failed?.reason;
  return unpaid && `attempt failed: ${unpaid}`;
}

/** @type {Record<string, (wallet: string) => string>} */
const REMEDIES = {
  insufficient_funds: (wallet) => `: your wallet ${wallet} has too little USDC`,
  refund_wallet_differs: (wallet) => `: KEY0_WALLET_PRIVATE_KEY is not the key of ${wallet}, which received the money`,
};

function showPurchase({ requestId, status, record, audit, historyRemoved }, where) {
  const row = (name, value) => value !== undefined && write(`  ${name.padEnd(10)} ${value}`);
  write(`${bold(status)}  ${requestId}`);
  const { plan, route } = record.terms.target;
  row('sold', `${route ? `a call of ${route.id}` : plan} for ${record.terms.amount}`);
  row('resource', record.terms.resource);
  row('payer', record.payer);
  row('begun', new Date(record.begunAt).toISOString());
  const fault = faultIn(record);
  if (fault) write(`\n  ${bold(wrap(fault, 2, process.stdout))}`);
  if (status === 'REFUND_FAILED') write(`  Remove the reason, then:\n  npm run admin -- retry-refund ${requestId}${where}`);
  write();
  for (const { at, event, status: then, transaction } of audit) {
    write(`  ${new Date(at).toISOString()}  ${then.padEnd(14)}  ${event.replaceAll('_', ' ')}`);
    if (transaction) write(dim(`    ${transaction}`));
  }
  const isCounted = record.sold?.access?.limits && status === 'DELIVERED';
  if (isCounted) write(dim(`  What is left of it: npm run admin -- grant ${requestId}${where}`));
  if (historyRemoved) write(dim('  Its history was removed: it has been over for a week.'));
}

function showGrant({ grant, condition, limits, left, endsAt, payer, revoked }) {
  const row = (name, value) => value !== undefined && write(`  ${name.padEnd(10)} ${value}`);
  const { quota, rate, concurrency } = limits;
  const amount = ({ calls, credit }) => credit ?? `${calls} calls`;
  write(`${bold(condition)}  ${grant}`);
  if (quota) row('left', `${amount(left)} of ${amount(quota)}`);
  if (rate) row('rate', `${rate.calls} calls a ${rate.per}`);
  row('at a time', concurrency);
  row('ends', endsAt);
  row('payer', payer);
  if (revoked) row('revoked', `${revoked.at}, by the ${revoked.by}`);
}

function showTotals({ totals }) {
  if (!totals.length) return write('No purchases.');
  for (const { status, count, amount } of totals) write(`  ${status.padEnd(16)} ${String(count).padStart(8)}  ${amount.padStart(18)}`);
  return undefined;
}

function ago(millis) {
  const minutes = Math.floor((Date.now() - millis) / 60_000);
  if (minutes < 1) return 'just now';
  if (minutes < 120) return `${minutes} min ago`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h ago` : `${Math.floor(minutes / 1440)} d ago`;
}

async function main() {
  const options = readOptions();
  const answer = await (await askAdmin(options.url, options.secret, ...question(options))).json();
  if (options.json) return write(JSON.stringify(answer, null, 2));
  switch (options.command) {
    case 'list':
      return showList(answer);
    case 'show':
      return showPurchase(answer, options.where);
    case 'grant':
    case 'revoke':
      return showGrant(answer);
    case 'totals':
      return showTotals(answer);
    default:
      write(`${bold(answer.status)}  ${answer.requestId}`);
      return say(dim(`Its history: npm run admin -- show ${answer.requestId}${options.where}`));
  }
}

main().catch(fail);
