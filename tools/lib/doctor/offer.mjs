// Promises: the price list and the offers behind it, held against what published x402 clients can read and pay (x402
// version 2, and the version 1 body where there is one).

import { randomUUID } from 'node:crypto';
import { formatUnits, getAddress, isAddress } from 'viem';
import { soldIn } from '../catalog.mjs';
import { NETWORKS } from '../chain.mjs';
import { MAX_HEADERS_BYTES, ask } from './ask.mjs';

const MAX_OFFER_BYTES = 8 * 1024;
const MAX_DESCRIPTION_CHARS = 500;
const MAX_ACCEPTS = 16;
const LEAST_TIMEOUT_SECONDS = 60;
const DEFAULT_CAP = 1_000_000n;
const LEGACY_CAP = 100_000n;
const V1_NETWORKS = { mainnet: 'base', testnet: 'base-sepolia' };
const REQUIREMENT_KEYS = ['scheme', 'network', 'amount', 'asset', 'payTo', 'maxTimeoutSeconds', 'extra'];

/** @param {string} text like $0.015 @returns {bigint | undefined} micro-USDC */
export function micro(text) {
  const match = /^\$(\d+)(?:\.(\d{1,6}))?$/.exec(String(text));
  return match ? BigInt(match[1]) * 1_000_000n + BigInt((match[2] ?? '').padEnd(6, '0')) : undefined;
}

const isChecksummed = (text) => typeof text === 'string' && isAddress(text) && getAddress(text) === text;

/** Gas of a payment by an ordinary key, and what an ether is taken to cost where no ETH_USD_PRICE is known. */
const TRANSFER_GAS = 90_000n;
const DOLLARS_PER_ETHER = 5_000n;
const WEI_PER_ETHER = 10n ** 18n;

/** What the gas of one payment costs in micro-USDC. @param {bigint} gasPrice in wei */
export const gasCost = (gasPrice) => (gasPrice * TRANSFER_GAS * DOLLARS_PER_ETHER * 1_000_000n) / WEI_PER_ETHER;

/** What costs less than the gas of its payment. @param {{id: string, unitAmount: string}[]} prices @param {bigint} gasPrice */
export const belowGas = (prices, gasPrice) => prices.filter(({ unitAmount }) => (micro(unitAmount) ?? 0n) < gasCost(gasPrice));

/** Only the gas wallet pays for gas; and on a local chain it has whatever price. */
async function checkGas(report, prices, health, chain) {
  const isPaid = health.settlement?.some(({ gasWallet }) => gasWallet);
  if (!isPaid || !chain || chain.isLocal) return;
  const gasPrice = await chain.gasPrice();
  if (gasPrice === undefined) return;
  const below = belowGas(prices, gasPrice);
  if (!below.length) return;
  const names = below.map(({ id, unitAmount }) => `${id} (${unitAmount})`).join(', ');
  report.warning('gas-share', `At today's gas price a payment costs your gas wallet about $${formatUnits(gasCost(gasPrice), 6)} (an ether taken for $${DOLLARS_PER_ETHER}), more than these cost: ${names}.`, 'Raise their price, or let a facilitator send payments; above GAS_MAX_SHARE_PERCENT of the price the worker begins none.');
}

/**
 * @param {import('./report.mjs').Report} report @param {string} url @param {any} health
 * @param {Awaited<ReturnType<typeof import('./chain.mjs').checkChain>>} chain
 * @returns {Promise<any>} /discover, if it can be used
 */
export async function checkPriceList(report, url, health, chain) {
  report.about('Price list');
  const answer = await ask(new URL('/discover', url));
  const list = answer.body;
  if (answer.status !== 200 || !Array.isArray(list?.plans)) {
    report.fault('discover', `/discover answers ${answer.failure ?? answer.status} without plans.`, 'Look at the worker\'s log (npx wrangler tail).');
    return undefined;
  }
  const network = NETWORKS[health.network];
  const paid = pricesOf(list);
  report.group('discover', `${soldIn(list)} for USDC on ${health.network} (chain ${list.chainId}), paid to ${list.walletAddress}.`, () => {
    report.must(paid.length, 'discover', 'There is nothing to buy: /discover lists no plan, and no route with a price.', 'Set PLANS or ROUTES, or write catalog.json.');
    report.must(list.chainId === network?.chainId, 'discover-chain', `/discover says chain ${list.chainId}, /health says ${health.network}.`, 'Deploy again: two versions seem to answer.');
    report.must(list.assetAddress === network?.usdc, 'discover-asset', `/discover names the asset ${list.assetAddress}, USDC is ${network?.usdc}.`, 'Deploy an unchanged worker.');
    report.must(isChecksummed(list.walletAddress), 'discover-wallet', `The wallet ${list.walletAddress} is not a checksummed address.`, 'Set KEY0_WALLET_ADDRESS as your wallet shows it.');
  });
  const held = await chain?.usdcOf(list.walletAddress);
  if (held !== undefined) report.ok('wallet', `That wallet holds ${formatUnits(held, 6)} USDC.`);
  checkCaps(report, paid);
  await checkGas(report, paid, health, chain);
  return list;
}

/**
 * All that has a price.
 * @param {{plans: {planId: string, unitAmount: string}[], routes?: {routeId: string, unitAmount?: string}[]}} list of /discover
 * @returns {{id: string, unitAmount: string}[]}
 */
export function pricesOf({ plans, routes = [] }) {
  const priced = (items, member) => items.flatMap(({ [member]: id, unitAmount }) => (unitAmount ? [{ id, unitAmount }] : []));
  return [...priced(plans, 'planId'), ...priced(routes, 'routeId')];
}

function checkCaps(report, prices) {
  const above = (cap) => prices.filter(({ unitAmount }) => (micro(unitAmount) ?? 0n) > cap);
  const names = (some) => some.map(({ id, unitAmount }) => `${id} (${unitAmount})`).join(', ');
  const dear = above(DEFAULT_CAP);
  const legacy = above(LEGACY_CAP);
  if (dear.length) {
    report.warning('price-cap', `Above $1, published x402 clients refuse to pay until their owner raises the limit: ${names(dear)}.`, 'Tell buyers to raise spendControls.maxAmountPerPayment, or offer a plan of at most $1.');
  }
  if (prices.length && legacy.length === prices.length) {
    report.warning('price-cap-legacy', 'Nothing costs $0.10 or less. Version 1 clients and Cloudflare\'s MCP client refuse more by default.', 'Offer a small plan to try, if you want such buyers.');
  }
}

/** @param {import('./report.mjs').Report} report @param {string} url @param {any} health @param {any} list */
export async function checkOffers(report, url, health, list) {
  if (!list.plans.length) return;
  report.about('Offers (402)');
  const before = report.findings.length;
  for (const plan of list.plans) await checkOffer(report, url, health, list, plan);
  if (report.findings.length === before) await checkUnnamed(report, url);
  if (report.findings.length === before) {
    report.ok('offer', `Each plan answers 402 with an offer that every x402 client can read and pay: price, network, wallet, and the token's name "${NETWORKS[health.network].usdcName}".`);
  }
}

/** Registries probe with an empty body, and call a seller absent who does not answer 402. */
async function checkUnnamed({ must }, url) {
  const { status, failure, headers } = await ask(new URL('/x402/access', url), { json: {} });
  must(status === 402 && headers.get('payment-required'), 'offer-unnamed', `A question without a planId is answered with ${failure ?? status} instead of 402 and an offer: registries that probe like this do not list you.`, 'Deploy an unchanged worker, and let no proxy answer in its place.');
}

async function checkOffer(report, url, health, list, { planId, unitAmount }) {
  const door = new URL('/x402/access', url).href;
  const answer = await ask(door, { json: { planId, requestId: randomUUID() } });
  const of = `The offer of "${planId}"`;
  if (answer.headersTooLarge) {
    return void report.fault('offer-headers', `${of} has more than ${MAX_HEADERS_BYTES / 1024} KB of headers: clients on Node give up on it.`, 'Shorten the description, and look what a proxy in front of the worker adds.');
  }
  if (answer.status >= 300 && answer.status < 400) {
    return void report.fault('offer-redirect', `${of} is behind a redirect to ${answer.headers.get('location')}.`, 'Check the address that it redirects to, and name that one in KEY0_PUBLIC_URL.');
  }
  if (answer.status !== 402) {
    return void report.fault('offer', `${of} is answered with ${answer.failure ?? answer.status} instead of 402.`, 'Look at the worker\'s log (npx wrangler tail).');
  }
  const { must } = report;
  must(answer.headerBytes < MAX_HEADERS_BYTES, 'offer-headers', `${of} has ${answer.headerBytes} bytes of headers; clients on Node give up at ${MAX_HEADERS_BYTES}.`, 'Shorten the description, and look what a proxy in front of the worker adds.');
  must(/no-store/.test(answer.headers.get('cache-control') ?? ''), 'offer-cache', `${of} may be cached (no "Cache-Control: no-store").`, 'Let no proxy change Cache-Control on 402.');
  const header = answer.headers.get('payment-required');
  if (!must(header, 'offer-header', `${of} has no PAYMENT-REQUIRED header.`, 'Let no proxy in front of the worker remove it.')) return;
  must(header.length < MAX_OFFER_BYTES, 'offer-size', `${of} has a PAYMENT-REQUIRED header of ${header.length} bytes; it should stay below ${MAX_OFFER_BYTES}.`, 'Shorten the description.');
  const offer = decode(header);
  if (!must(offer, 'offer-header', `${of} has a PAYMENT-REQUIRED header that is not padded base64 of JSON.`, 'Let no proxy in front of the worker change it.')) return;
  must(!/:\s*null\b/.test(offer.text), 'offer-nulls', `${of} contains null, which some clients cannot read.`, 'Deploy an unchanged worker.');
  checkTerms(report, of, offer, { door, health, list, unitAmount });
  checkVersion1(report, of, answer.body, { health, list, unitAmount });
}

/** Strict: the alphabet of RFC 4648 with padding, because that is what all clients read. */
function decode(header) {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(header) || header.length % 4) return undefined;
  const text = Buffer.from(header, 'base64').toString();
  try {
    return { text, value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

function checkTerms({ must, warning }, of, { text, value }, { door, health, list, unitAmount }) {
  const network = NETWORKS[health.network];
  must(value.x402Version === 2, 'offer-version', `${of} says x402Version ${value.x402Version} instead of 2.`, 'Deploy an unchanged worker.');
  must(value.resource?.url === door, 'public-url', `${of} says that it is for ${value.resource?.url}, but it was asked at ${door}.`, 'Set KEY0_PUBLIC_URL to the address that buyers use, or leave it away; or check the address that the offer names.');
  must((value.resource?.description ?? '').length <= MAX_DESCRIPTION_CHARS, 'offer-description', `${of} has a description of more than ${MAX_DESCRIPTION_CHARS} characters, which Coinbase's facilitator refuses.`, 'Shorten it in catalog.json or PLANS.');
  const accepts = Array.isArray(value.accepts) ? value.accepts : [];
  must(accepts.length >= 1 && accepts.length <= MAX_ACCEPTS, 'offer-accepts', `${of} has ${accepts.length} ways to pay; 1 to ${MAX_ACCEPTS} can be read.`, 'Deploy an unchanged worker.');
  for (const entry of accepts) {
    must(entry.network === network.caip2, 'offer-network', `${of} is on ${entry.network}, /health says ${network.caip2}.`, 'Deploy again: two versions seem to answer.');
    must(entry.asset === network.usdc, 'offer-asset', `${of} asks for the asset ${entry.asset}; USDC there is ${network.usdc}, with this checksum.`, 'Deploy an unchanged worker.');
    must(isChecksummed(entry.payTo) && entry.payTo === list.walletAddress, 'offer-wallet', `${of} is paid to ${entry.payTo}; /discover says ${list.walletAddress}, checksummed.`, 'Let no proxy change offers: this one would pay somebody else.');
    must(entry.amount === String(micro(unitAmount)), 'offer-price', `${of} costs ${entry.amount} millionths of a dollar; /discover says ${unitAmount}.`, 'Wait five minutes for caches after a price change; otherwise look for a second deployment.');
    must(entry.extra?.name === network.usdcName, 'domain-name', `${of} calls the token "${entry.extra?.name}". On ${health.network} USDC signs as "${network.usdcName}": every signature would be invalid.`, 'Set KEY0_NETWORK to the network you mean, and let no proxy change offers.');
    must(entry.extra?.version === '2', 'domain-version', `${of} gives the token's version as "${entry.extra?.version}" instead of "2": every signature would be invalid.`, 'Deploy an unchanged worker.');
    must(Number.isInteger(entry.maxTimeoutSeconds) && !/"maxTimeoutSeconds":\s*\d*[.eE]/.test(text), 'offer-timeout', `${of} has a maxTimeoutSeconds that is no whole number.`, 'Deploy an unchanged worker.');
    if (entry.maxTimeoutSeconds < LEAST_TIMEOUT_SECONDS) warning('offer-timeout', `${of} leaves ${entry.maxTimeoutSeconds} s to pay, which is short.`, 'Set CHALLENGE_TTL_SECONDS to 300 or more.');
    const strange = Object.keys(entry).filter((key) => !REQUIREMENT_KEYS.includes(key));
    must(!strange.length, 'offer-keys', `${of} has members that Python clients drop when they send it back: ${strange.join(', ')}.`, 'Deploy an unchanged worker.');
  }
}

/** The body is free in version 2; version 1 clients read the offer there. */
function checkVersion1({ must }, of, body, { health, list, unitAmount }) {
  if (body?.x402Version !== 1) return;
  const network = NETWORKS[health.network];
  for (const entry of body.accepts ?? []) {
    const wrong = Object.entries({
      scheme: entry.scheme === 'exact',
      network: entry.network === V1_NETWORKS[health.network],
      maxAmountRequired: entry.maxAmountRequired === String(micro(unitAmount)),
      resource: URL.canParse(entry.resource ?? ''),
      description: typeof entry.description === 'string',
      mimeType: typeof entry.mimeType === 'string',
      payTo: entry.payTo === list.walletAddress,
      maxTimeoutSeconds: Number.isInteger(entry.maxTimeoutSeconds),
      asset: entry.asset === network.usdc,
      'extra.name': entry.extra?.name === network.usdcName,
      'extra.version': entry.extra?.version === '2',
      outputSchema: entry.outputSchema !== null,
    });
    const names = wrong.filter(([, good]) => !good).map(([name]) => name);
    must(!names.length, 'offer-v1', `${of} is not the same for version 1 clients: in the body, ${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} missing or different.`, 'Let no proxy change the body of a 402.');
  }
}
