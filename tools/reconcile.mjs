// Promises: `npm run reconcile` compares what the ledger says with what the chain shows, and says where they differ. Reads
// only. A difference is told when it is still there at a second look, because the ledger is a little behind.

import { setTimeout as pause } from 'node:timers/promises';
import { readFlags } from './lib/args.mjs';
import { compare } from './lib/compare.mjs';
import { dollars, readLedger, readTotals, sumUp, together } from './lib/ledger.mjs';
import { readLocalWorld } from './lib/local-world.mjs';
import { Stop, bold, fail, green, red, say } from './lib/say.mjs';
import { openChain } from './lib/transfers.mjs';

const HELP = `
npm run reconcile -- [options]

Compares the worker's ledger with the USDC transfers to and from the seller's
wallet. Prints totals and every difference: payments without a transfer,
transfers by authorization without a purchase, money counted or returned twice,
other amounts, purchases that are PAID or REFUND_PENDING for too long, refunds
that failed. Ordinary transfers that no purchase counts are listed too, and are
no difference: they may be the seller's own.

  --url <address>          the worker
  --rpc <url>              an RPC endpoint of its chain that keeps logs for long
                           enough
  --from-block <number>    where to begin; otherwise shortly before the oldest
                           purchase; once calls were removed from the ledger,
                           34 days ago at most
  --wallet <address>       an earlier wallet of the seller; may be repeated
  --stuck-after <seconds>  how long a purchase may be PAID or REFUND_PENDING,
                           default 600
  --dir <folder>           where the local world lives (.local): it is compared
                           when neither --url nor --rpc is given
  --json                   one JSON document on stdout instead of text

  KEY0_ADMIN_SECRET=… npm run reconcile -- --url https://… --rpc https://…

Exit code: 0 no difference, 2 differences, 1 could not compare.
`;
const SECOND_LOOK_MS = 5_000;
/** A day of Base, for a ledger without purchases. */
const DAY_BLOCKS = 43_200n;
const MARGIN_MS = 600_000;
/** The ledger keeps a call for 35 days after its end. */
const CALLS_KEPT_MS = 34 * 86_400_000;
/** How many transfers without a purchase a person is shown. */
const MOST_SHOWN = 20;

function readOptions() {
  const flags = readFlags(HELP, {
    url: { type: 'string' },
    rpc: { type: 'string' },
    'from-block': { type: 'string' },
    wallet: { type: 'string', multiple: true },
    'stuck-after': { type: 'string', default: '600' },
    dir: { type: 'string', default: '.local' },
    json: { type: 'boolean' },
  });
  const world = flags.url === undefined && flags.rpc === undefined ? readLocalWorld(flags.dir) : undefined;
  if (world) Object.assign(flags, { url: world.url, rpc: world.rpcUrl });
  for (const name of ['url', 'rpc']) {
    if (!URL.canParse(flags[name] ?? '')) throw new Stop(`--${name} wants an address. --help tells the options.`);
  }
  for (const name of ['from-block', 'stuck-after']) {
    if (flags[name] !== undefined && !/^\d{1,12}$/.test(flags[name])) throw new Stop(`--${name} wants a whole number, not "${flags[name]}".`);
  }
  for (const wallet of flags.wallet ?? []) {
    if (!/^0x[0-9a-fA-F]{40}$/.test(wallet)) throw new Stop(`--wallet wants an address, not "${wallet}".`);
  }
  const secret = world?.adminSecret ?? process.env.KEY0_ADMIN_SECRET;
  if (!secret) throw new Stop('KEY0_ADMIN_SECRET is not set in the environment.');
  return { ...flags, secret, stuckAfterMs: Number(flags['stuck-after']) * 1000 };
}

/** Who sells there, on which chain. */
async function discover(url) {
  const answer = await fetch(new URL('/discover', url)).catch(() => undefined);
  if (!answer?.ok) throw new Stop(`${url} does not answer /discover (${answer?.status ?? 'no connection'}).`);
  return answer.json();
}

async function look({ url, secret, stuckAfterMs, ...options }, chain, network) {
  // The chain first: what it shows must be in the ledger that is read afterwards.
  const toBlock = await chain.height();
  const all = await readLedger(url, secret);
  // A deployment that has sold on the test network before has those purchases in its ledger too, and not on this chain.
  const entries = all.filter((entry) => entry.network === network);
  const { totals, removed } = await readTotals(url, secret);
  const fromBlock = options['from-block'] === undefined ? await beginning(chain, entries, removed, toBlock) : BigInt(options['from-block']);
  const seen = { incoming: await chain.incoming(fromBlock, toBlock), outgoing: await chain.outgoing(fromBlock, toBlock) };
  const result = await compare(entries, seen, chain, { now: Date.now(), stuckAfterMs });
  if (!isSame(together(sumUp(all), removed), totals)) result.differences.push({ kind: 'totals-differ', message: '/admin/totals does not add up to the exported purchases.' });
  return { ...result, ledger: sumUp(entries), others: all.length - entries.length, fromBlock, toBlock };
}

async function beginning(chain, entries, removed, toBlock) {
  const oldest = Math.min(...entries.map(({ createdAt }) => createdAt));
  // The ledger no longer knows all transfers of the time before.
  if (Object.keys(removed).length) return chain.blockBefore(Math.max(oldest === Infinity ? 0 : oldest, Date.now() - CALLS_KEPT_MS) - MARGIN_MS);
  if (entries.length) return chain.blockBefore(oldest - MARGIN_MS);
  return toBlock > DAY_BLOCKS ? toBlock - DAY_BLOCKS : 0n;
}

function isSame(a, b) {
  const text = (totals) => JSON.stringify(Object.keys(totals).sort().map((status) => [status, totals[status].count, String(totals[status].amount)]));
  return text(a) === text(b);
}

/** What a document and a person are shown. */
function report({ ledger, others, received, refunded, unpresented, fromBlock, toBlock, differences }, { chainId, walletAddress }) {
  const sum = ({ count, amount }) => ({ count, amount: dollars(amount) });
  return {
    chainId,
    wallet: walletAddress,
    fromBlock: Number(fromBlock),
    toBlock: Number(toBlock),
    ledger: Object.fromEntries(Object.entries(ledger).map(([status, total]) => [status, sum(total)])),
    onOtherNetworks: others,
    chain: { received: sum(received), refunded: sum(refunded) },
    unpresented: unpresented.map(({ from, value, hash }) => ({ from, amount: dollars(value), transaction: hash })),
    differences,
  };
}

function print({ chainId, wallet, fromBlock, toBlock, ledger, onOtherNetworks, chain, unpresented, differences }) {
  const row = (name, { count, amount }) => process.stdout.write(`  ${name.padEnd(16)} ${String(count).padStart(8)}  ${amount.padStart(18)}\n`);
  process.stdout.write(`Ledger\n`);
  for (const [status, total] of Object.entries(ledger)) row(status, total);
  if (onOtherNetworks) process.stdout.write(`  (and ${onOtherNetworks} on another network, which are not looked at)\n`);
  process.stdout.write(`Chain ${chainId}, wallet ${wallet}, blocks ${fromBlock} to ${toBlock}\n`);
  row('received', chain.received);
  row('refunded', chain.refunded);
  if (unpresented.length) process.stdout.write(`Ordinary transfers that no purchase counts: ${unpresented.length}\n`);
  for (const { from, amount, transaction } of unpresented.slice(0, MOST_SHOWN)) process.stdout.write(`  ${amount} from ${from}\n    transaction ${transaction}\n`);
  if (unpresented.length > MOST_SHOWN) process.stdout.write('  … all of them with --json\n');
  for (const { kind, message, requestId, transaction } of differences) {
    process.stdout.write(`${bold(kind)}: ${message}\n`);
    for (const [name, value] of Object.entries({ requestId, transaction })) if (value) process.stdout.write(`  ${name} ${value}\n`);
  }
  process.stdout.write(`differences: ${differences.length}\n`);
}

async function main() {
  const options = readOptions();
  const seller = await discover(options.url);
  const chain = openChain(options.rpc, seller.assetAddress, [seller.walletAddress, ...(options.wallet ?? [])]);
  const chainId = await chain.chainId().catch((error) => {
    throw new Stop(`The chain gives no answer: ${error.shortMessage ?? error.message}`);
  });
  if (chainId !== seller.chainId) throw new Stop(`The worker sells on chain ${seller.chainId}, --rpc is chain ${chainId}.`);

  const network = `eip155:${chainId}`;
  let found = await look(options, chain, network);
  if (found.differences.length) {
    say(`${found.differences.length} differences at first sight; looking again …`);
    await pause(SECOND_LOOK_MS);
    const key = ({ kind, requestId, transaction }) => JSON.stringify([kind, requestId, transaction]);
    const before = new Set(found.differences.map(key));
    found = await look(options, chain, network);
    found.differences = found.differences.filter((difference) => before.has(key(difference)));
  }
  const shown = report(found, seller);
  if (options.json) process.stdout.write(`${JSON.stringify(shown, null, 2)}\n`);
  else print(shown);
  say(shown.differences.length ? red('Ledger and chain differ.') : green('Ledger and chain agree.'));
  process.exitCode = shown.differences.length ? 2 : 0;
}

main().catch(fail);
