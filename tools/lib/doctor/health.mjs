// Promises: what a deployment says of itself at /health, judged: settings, who sends payments, the wallets that pay gas, the
// RPC endpoints.

import { formatEther } from 'viem';
import { Stop } from '../say.mjs';
import { isSecret, secretCommand } from '../settings.mjs';
import { ask } from './ask.mjs';

const PUBLIC_ENDPOINTS = { mainnet: 'mainnet.base.org', testnet: 'sepolia.base.org' };
/** Gas for one payment, generously. */
const PAYMENT_GAS = 150_000n;
/** Wei per unit of gas when the chain cannot be asked: about what Base costs on a quiet day. */
const QUIET_GAS_PRICE = 10_000_000n;

/**
 * Ends the check-up when there is no key0 at this address.
 * @param {import('./report.mjs').Report} report @param {string} url
 * @param {string} [adminSecret]  with it /health also tells what facilitators say that do not answer
 */
export async function checkHealth(report, url, adminSecret) {
  report.about('Worker');
  const headers = adminSecret ? { authorization: `Bearer ${adminSecret}` } : {};
  const answer = await ask(new URL('/health', url), { headers });
  if (answer.failure) throw new Stop(`${url} gives no answer (${answer.failure}). Is this the worker's address, and is it running?`);
  const health = answer.body;
  if (health?.service !== 'key0') throw new Stop(`There is no key0 at ${url}: /health answers ${answer.status} without "service":"key0".`);
  if (health.status === 'misconfigured') {
    for (const { name, reason } of health.problems ?? []) {
      report.fault('settings', `${name} ${reason}.`, howToSet(name, url));
    }
    return health;
  }
  report.ok('settings', 'All settings are valid.');
  if (health.network === 'mainnet') {
    report.ok('real-money', 'It sells for real money. If it, or a test deployment with the same token secret or RSA key, has sold for test money: that secret or key must be a new one, and the old one in no setting that ends in _OLD.');
  }
  if (health.proofBinding === 'txhash') {
    report.warning('proof-binding', 'PROOF_BINDING is txhash: a plain transfer counts for whoever presents its hash first, and everybody can read hashes on chain.', 'Set it back to signature as soon as your buyers can sign.');
  }
  for (const { name, reason } of health.warnings ?? []) {
    if (name !== 'PROOF_BINDING') report.warning('unsafe-setting', `${name} ${reason}.`, `Change ${name}, or what the sentence names beside it, and deploy again.`);
  }
  if (health.deliveries?.status === 'failing') {
    report.fault('deliveries', `The last ${health.deliveries.failures} purchases could not be delivered: BACKEND_API_URL issues no credentials. Nothing is charged meanwhile.`, 'Look whether your backend is up and what it answers; one purchase now and then is let through to try.');
  }
  checkAddress(report, url);
  checkClock(report, answer);
  return health;
}

function checkAddress(report, url) {
  const { protocol, hostname } = new URL(url);
  const isLocal = isLoopback(hostname);
  if (protocol === 'https:') report.ok('https', 'Reached over https.');
  else if (isLocal) report.ok('https', 'Reached on this machine.');
  else report.fault('https', 'Reached without encryption: payments and tokens can be read on the way.', 'Use the https address, and let http redirect to it.');
}

/** One way for each setting: where it belongs is known. */
function howToSet(name, url) {
  if (isLoopback(new URL(url).hostname)) return 'Correct it where this worker gets its settings (--env, --var, wrangler.toml, catalog.json), and start it again.';
  if (isSecret(name)) return `Set it with "${secretCommand(name)}".`;
  return `Correct it in ${name === 'catalog.json' ? name : 'wrangler.toml'}, and run "npm run deploy".`;
}

/** Dates in the worker's answers have whole seconds. */
function checkClock(report, { headers, at }) {
  const told = Date.parse(headers.get('date') ?? '');
  if (Number.isNaN(told)) return;
  const off = Math.round(Math.abs(told - at) / 1000);
  if (off > 30) report.warning('clock', `The worker's clock and this machine's differ by ${off} s.`, 'Set this machine\'s clock; authorizations are only good within a time that both agree on.');
}

/** @param {import('./report.mjs').Report} report @param {any} health @param {bigint} [gasPrice] in wei, where it is known */
export function checkSettlement(report, health, gasPrice = QUIET_GAS_PRICE) {
  report.about('Who sends payments');
  const routes = health.settlement ?? [];
  const isOnly = routes.length === 1;
  for (const { facilitator, status, gasWallet, movedTo, fault } of routes) {
    const say = isOnly ? report.fault : report.warning;
    const said = fault ? `: ${fault}` : '';
    if (movedTo) report.warning('facilitator-moved', `The facilitator ${facilitator} sends the worker on to ${movedTo}, with every payment.`, `Name ${movedTo} in FACILITATOR_URL.`);
    if (gasWallet) {
      checkWallet(report, 'gas-wallet', 'The gas wallet', gasWallet, gasPrice, isOnly ? 'Until then nobody can buy.' : 'Until then only facilitators send payments.');
    } else if (status === 'ok') {
      report.ok('facilitator', `The facilitator ${facilitator} settles on ${health.network}.`);
    } else if (status === 'unknown') {
      say('facilitator', `The facilitator ${facilitator} does not answer${said}.`, `Look whether it is up; check FACILITATOR_URL${facilitator.endsWith('coinbase.com') ? ' and the CDP_API_KEY_… secrets' : ''}, or name another one behind it.`);
    } else if (status === 'refuses our key') {
      say('facilitator', `The facilitator ${facilitator} refuses our key${said}.`, 'Check CDP_API_KEY_ID and CDP_API_KEY_SECRET, or what else this facilitator wants of its callers.');
    } else if (status === 'fails') {
      say('facilitator', `The facilitator ${facilitator} is up, but does not say whether it would settle payments${said}.`, 'Ask who runs it, or name another one behind it in FACILITATOR_URL.');
    } else {
      report.fault('facilitator', `The facilitator ${facilitator} does not settle x402 "exact" on ${health.network} (chain ${health.chainId}).`, 'Name one in FACILITATOR_URL that does, or use a gas wallet.');
    }
  }
  if (health.refunds === 'blocked') {
    report.fault('refunds', 'Your wallet has code (EIP-7702, for instance) that does not accept what its key signs: every refund would fail.', 'Take the delegation away, or let it accept signatures of the key (EIP-1271), or name another wallet.');
  } else if (health.refunds !== 'on') {
    report.warning('refunds', 'Refunds are off: what cannot be delivered is tried until it can.', 'Set KEY0_WALLET_PRIVATE_KEY if you want the money to go back by itself.');
  } else if (health.refundWallet) {
    checkWallet(report, 'refund-wallet', 'Your wallet, which sends the refunds,', health.refundWallet, gasPrice, 'Until then refunds fail.');
  } else {
    report.ok('refunds', 'Refunds are on; the gas wallet sends them.');
  }
}

function checkWallet(report, check, who, { address, balanceWei, balance }, gasPrice, consequence) {
  if (balance === 'unknown') {
    return report.warning(check, `What ${lowerFirst(who)} ${address} holds is not known: no RPC endpoint answered.`, 'Look at the RPC endpoints below.');
  }
  const wei = BigInt(balanceWei);
  const holds = `${who} ${address} holds ${shortEther(wei)} ETH`;
  const payments = wei / (PAYMENT_GAS * (gasPrice > 0n ? gasPrice : 1n));
  if (payments === 0n) return report.fault(check, `${holds}: not enough for a single transaction.`, `Send it a little ETH, 0.001 for instance. ${consequence}`);
  if (balance === 'low') return report.warning(check, `${holds}, which is low.`, 'Send it a little ETH, 0.001 for instance.');
  return report.ok(check, `${holds}.`);
}

/**
 * @param {import('./report.mjs').Report} report @param {any} health
 * @param {boolean} [isOffline]  whether no name can be looked up from here, where the worker runs as well
 */
export function checkEndpoints(report, health, isOffline = false) {
  report.about('Its RPC endpoints');
  const all = health.rpc ?? [];
  const serving = all.filter(({ status }) => status === 'ok' || status === 'behind');
  all.forEach(({ host, status, block }, at) => {
    const name = all.length > 1 ? `Endpoint ${at + 1}, ${host},` : host;
    if (status === 'ok') report.ok('rpc', `${name} serves chain ${health.chainId}, block ${block}.`);
    else if (status === 'behind') report.warning('rpc', `${name} is stuck at block ${block}, behind the others.`, 'Ask its provider, or take it out of KEY0_RPC_URL.');
    else if (status === 'other chain') report.fault('rpc', `${name} does not serve chain ${health.chainId} with its USDC: it is refused.`, `Put an endpoint of ${health.network === 'mainnet' ? 'Base' : 'Base Sepolia'} into KEY0_RPC_URL.`);
    else if (isOffline) report.fault('rpc', `${name} does not answer.`, 'This machine seems to be offline: no name can be looked up.');
    else if (serving.length) report.warning('rpc', `${name} does not answer. The worker uses the others.`, 'Look whether it is up, and whether its key in KEY0_RPC_URL is right.');
    else report.fault('rpc', `${name} does not answer, and no other one does.`, 'Put an endpoint that works into KEY0_RPC_URL. Until then nobody can buy.');
  });
  if (all.length === 1 && health.network === 'mainnet') {
    const [{ host }] = all;
    const why = host === PUBLIC_ENDPOINTS.mainnet ? 'The only RPC endpoint is the public one, which limits how often it is asked.' : 'There is only one RPC endpoint: when it fails, nobody can buy.';
    report.warning('rpc-spare', why, 'Name two endpoints of different providers in KEY0_RPC_URL.');
  }
}

/** @param {string} hostname */
export const isLoopback = (hostname) => hostname === 'localhost' || hostname === '[::1]' || /^127\./.test(hostname) || hostname.endsWith('.localhost');

const lowerFirst = (text) => text[0].toLowerCase() + text.slice(1);
const shortEther = (wei) => formatEther(wei).replace(/(\.\d{6})\d+$/, '$1');
