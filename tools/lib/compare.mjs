// Promises: ledger against chain, purchase by purchase and transfer by transfer; each transfer is counted once. What does
// not fit is a difference with a kind, a sentence, and what to look up.

import { createHash } from 'node:crypto';
import { dollars } from './ledger.mjs';

const RECEIVED = ['PAID', 'DELIVERED', 'REFUND_PENDING', 'REFUNDED', 'REFUND_FAILED'];

/**
 * @typedef {import('./ledger.mjs').Entry} Entry
 * @typedef {import('./transfers.mjs').Transfer} Transfer
 * @typedef {{kind: string, message: string, requestId?: string, transaction?: string}} Difference
 */

/** The nonce of the one refund that a challenge can have. @param {string} challengeId */
export const refundNonce = (challengeId) => `0x${createHash('sha256').update(`key0 refund v1\0${challengeId}`).digest('hex')}`;

/**
 * @param {Entry[]} entries
 * @param {{incoming: Transfer[], outgoing: Transfer[]}} seen  what the chain shows in the range looked at
 * @param {import('./transfers.mjs').ChainView} chain          for what lies outside the range
 * @param {{now: number, stuckAfterMs: number}} options
 */
export async function compare(entries, seen, chain, options) {
  const payments = await comparePayments(entries, seen.incoming, chain, options);
  const refunds = await compareRefunds(entries, seen.outgoing, chain);
  const differences = [...payments.differences, ...refunds.differences, ...stuck(entries, options)];
  return { differences, received: payments.received, refunded: refunds.refunded, unpresented: payments.unpresented };
}

/** @param {Entry[]} entries @param {Transfer[]} incoming */
async function comparePayments(entries, incoming, chain, { now, stuckAfterMs }) {
  /** @type {Difference[]} */
  const differences = [];
  const left = new Set(incoming);
  const sum = newSum();
  /** @param {(transfer: Transfer) => boolean} fits */
  const take = (fits) => {
    const found = [...left].find(fits);
    if (found) left.delete(found);
    return found;
  };
  const paid = entries.filter(({ status }) => RECEIVED.includes(status));
  const made = ({ transaction, payer }) => (transfer) => transfer.hash === transaction && transfer.from === payer;
  const open = paid.filter((entry) => {
    const found = take((transfer) => made(entry)(transfer) && transfer.value === entry.amount);
    if (found) add(sum, found.value);
    return !found;
  });
  const claims = new Map();
  for (const { transaction, payer } of paid) claims.set(transaction + payer, (claims.get(transaction + payer) ?? 0) + 1);

  for (const entry of open) {
    const about = { requestId: entry.requestId, transaction: entry.transaction };
    const elsewhere = async () => (await chain.transfersIn(entry.transaction)).find((transfer) => made(entry)(transfer) && chain.isOurs(transfer.to));
    const isOnlyClaim = claims.get(entry.transaction + entry.payer) === 1;
    const found = take(made(entry)) ?? (isOnlyClaim && entry.transaction ? await elsewhere() : undefined);
    if (found) add(sum, found.value);
    if (found && found.value !== entry.amount) {
      differences.push({ kind: 'amount-differs', message: `The ledger says ${dollars(entry.amount)} came in, the chain ${dollars(found.value)}.`, ...about });
    } else if (!found && isOnlyClaim) {
      differences.push({ kind: 'payment-missing', message: `${entry.status} with ${dollars(entry.amount)}, but the chain has no such transfer.`, ...about });
    } else if (!found) {
      differences.push({ kind: 'payment-counted-twice', message: 'The transfer counts for another purchase already.', ...about });
    }
  }

  /** @type {Transfer[]} */
  const unpresented = [];
  for (const transfer of left) {
    const waiting = entries.find((entry) => !RECEIVED.includes(entry.status) && made(entry)(transfer));
    if (waiting) {
      if (waiting.status === 'PENDING' && now - waiting.changedAt < stuckAfterMs) continue;
      differences.push({ kind: 'payment-not-credited', message: `${dollars(transfer.value)} came in, but the purchase is ${waiting.status}.`, requestId: waiting.requestId, transaction: transfer.hash });
    } else if (await chain.nonceOf(transfer)) {
      differences.push({ kind: 'payment-unknown', message: `${dollars(transfer.value)} came in from ${transfer.from} by an authorization that no purchase knows.`, transaction: transfer.hash });
    } else {
      // Perhaps a payment whose payer never showed it; or the seller's own money. Nobody but the seller can tell.
      unpresented.push(transfer);
    }
  }
  return { differences, received: sum, unpresented };
}

/** @param {Entry[]} entries @param {Transfer[]} outgoing */
async function compareRefunds(entries, outgoing, chain) {
  /** @type {Difference[]} */
  const differences = [];
  const sum = newSum();
  const byNonce = new Map(entries.map((entry) => [refundNonce(entry.challengeId), entry]));
  const done = new Set();
  const settle = (entry, transfer) => {
    const about = { requestId: entry.requestId, transaction: transfer.hash };
    done.add(entry);
    add(sum, transfer.value);
    if (transfer.value !== entry.amount || transfer.to !== entry.payer) {
      differences.push({ kind: 'refund-differs', message: `Received ${dollars(entry.amount)} from ${entry.payer}, returned ${dollars(transfer.value)} to ${transfer.to}.`, ...about });
    } else if (entry.status === 'REFUNDED' ? entry.refund !== transfer.hash : entry.status !== 'REFUND_PENDING') {
      differences.push({ kind: 'refund-unexpected', message: `The money went back, but the ledger says ${entry.status} ${entry.refund}`.trimEnd() + '.', ...about });
    }
  };

  for (const transfer of outgoing) {
    const nonce = await chain.nonceOf(transfer);
    // One that an operator has made by hand is named by the ledger alone.
    const isByHand = (candidate) => candidate.status === 'REFUNDED' && candidate.refund === transfer.hash && candidate.payer === transfer.to && !done.has(candidate);
    const entry = nonce ? byNonce.get(nonce) : entries.find(isByHand);
    if (entry) {
      settle(entry, transfer);
      continue;
    }
    const twin = entries.find(({ status, payer, amount }) => status === 'REFUNDED' && payer === transfer.to && amount === transfer.value);
    if (twin) {
      differences.push({ kind: 'refunded-twice', message: `${dollars(transfer.value)} went to ${transfer.to} once more, besides the refund ${twin.refund}.`, requestId: twin.requestId, transaction: transfer.hash });
    } else if (nonce) {
      differences.push({ kind: 'refund-unknown', message: `${dollars(transfer.value)} went to ${transfer.to} by an authorization that is no purchase's refund.`, transaction: transfer.hash });
    }
  }
  for (const entry of entries.filter((candidate) => candidate.status === 'REFUNDED' && !done.has(candidate))) {
    const found = (await chain.transfersIn(entry.refund)).find(({ from, to }) => chain.isOurs(from) && to === entry.payer);
    if (found) settle(entry, found);
    else differences.push({ kind: 'refund-missing', message: 'REFUNDED, but the chain has no such transfer.', requestId: entry.requestId, transaction: entry.refund });
  }
  return { differences, refunded: sum };
}

/** What somebody must look at although the money is where the ledger says. @param {Entry[]} entries */
function stuck(entries, { now, stuckAfterMs }) {
  const minutes = (since) => `${Math.floor((now - since) / 60_000)} min`;
  return entries.flatMap(({ status, changedAt, requestId, transaction, reason }) => {
    const why = reason ? ` (${reason})` : '';
    if (status === 'REFUND_FAILED') return [{ kind: 'refund-failed', message: `The refund needs an operator${why}.`, requestId, transaction }];
    const isOld = now - changedAt >= stuckAfterMs;
    if (!isOld || !['PAID', 'REFUND_PENDING'].includes(status)) return [];
    return [{ kind: 'stuck', message: `${status} for ${minutes(changedAt)}${why}.`, requestId, transaction }];
  });
}

const newSum = () => ({ count: 0, amount: 0n });
const add = (sum, value) => {
  sum.count += 1;
  sum.amount += value;
};
