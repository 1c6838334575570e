// Promises: what happened, read from where it cannot be wrong: the chain itself and the worker's files. Nothing here
// asks the worker.

import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { keccak256 } from 'viem';

/** Every USDC transfer that reached the seller. @param {import('./world.mjs').TestWorld} world */
export async function income(world) {
  const logs = await world.chain.transfers({ to: world.seller.address });
  return logs.map(({ args, transactionHash, blockNumber }) => ({ from: args.from, value: args.value, hash: transactionHash, block: blockNumber }));
}

/** The same of one buyer. @param {import('./world.mjs').TestWorld} world @param {{address: string}} buyer */
export const paidBy = async (world, { address }) => (await income(world)).filter(({ from }) => from.toLowerCase() === address.toLowerCase());

/** Every USDC transfer from the seller to this buyer. @param {import('./world.mjs').TestWorld} world @param {{address: string}} buyer */
export const refundsTo = (world, { address }) => world.chain.transfers({ from: world.seller.address, to: address });

/** How many transactions the gas wallet has sent, those that wait in the node included. */
export const broadcasts = (world) =>
  world.chain.client.getTransactionCount({ address: world.gasWallet.address, blockTag: 'pending' });

/** The hashes of all transactions that the worker handed to the chain, repeats left out. */
export const handedOver = (world) => [...new Set(world.rpc.callsOf('eth_sendRawTransaction').map(({ params }) => keccak256(params[0])))];

/** Whether USDC has seen this authorization used or cancelled. */
export const isUsed = (world, { from, nonce }) =>
  world.chain.client.readContract({ ...world.chain.usdc, functionName: 'authorizationState', args: [from, nonce] });

/** The status of a transaction, once it is included. */
export const receiptOf = (world, hash) => world.chain.client.getTransactionReceipt({ hash }).catch(() => undefined);

/**
 * Every row that the worker's objects hold: class → table → rows. An object that stored nothing adds nothing, whether or
 * not the runtime made a file for it.
 * @returns {Record<string, Record<string, Record<string, unknown>[]>>}
 */
export function stored(world) {
  const found = {};
  const objects = join(world.state, 'objects');
  for (const folder of readdirSync(objects, { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
    const name = folder.name.replace('key0-', '');
    for (const file of readdirSync(join(objects, folder.name)).filter((entry) => /^[0-9a-f]{64}\.sqlite$/.test(entry))) {
      for (const [table, rows] of Object.entries(tables(join(objects, folder.name, file)))) {
        ((found[name] ??= {})[table] ??= []).push(...rows);
      }
    }
  }
  return found;
}

/** What each purchase stores of itself, by request id. @returns {Record<string, any>} */
export function records(world) {
  const rows = stored(world, ['PurchaseObject']).PurchaseObject?.record ?? [];
  const bodies = rows.map(({ body }) => JSON.parse(/** @type {string} */ (body)));
  return Object.fromEntries(bodies.map((record) => [record.terms.requestId, record]));
}

/** How far each purchase is, by request id. @returns {Record<string, string>} */
export function statuses(world) {
  const rows = stored(world, ['PurchaseObject']).PurchaseObject?.record ?? [];
  return Object.fromEntries(rows.map(({ status, body }) => [JSON.parse(/** @type {string} */ (body)).terms.requestId, status]));
}

/**
 * What is stored of whom: purchases and how far they are, booked payments, jobs of the gas wallet. The bookkeeping that
 * follows a purchase by itself (history, marks of what is done) is left out, so that two looks can be compared.
 */
export function traces(world) {
  const { PayerObject, GasWalletObject } = stored(world, ['PayerObject', 'GasWalletObject']);
  // What a purchase that did not begin was bound to is forgotten after a while.
  const booked = (PayerObject?.payments ?? []).filter(({ attempt }) => Number(attempt) > 0);
  const payments = booked.map(({ nonce, claimant, owner }) => `${nonce} ${claimant} ${owner}`);
  const jobs = [...(GasWalletObject?.jobs ?? []), ...(GasWalletObject?.done ?? [])].map(({ key }) => key);
  return { purchases: statuses(world), payments: payments.sort(), jobs: jobs.sort() };
}

/** What was read of each file, and when it was written last: a world may have hundreds, and most rest. */
const readBefore = new Map();

function tables(file) {
  const writtenAt = ['', '-wal'].map((suffix) => statSync(file + suffix, { bigint: true, throwIfNoEntry: false })?.mtimeNs).join();
  if (readBefore.get(file)?.writtenAt !== writtenAt) readBefore.set(file, { writtenAt, tables: copiedTables(file) });
  return readBefore.get(file).tables;
}

/** Reads a copy, so that the runtime's own locks are never in the way. */
function copiedTables(file) {
  const folder = mkdtempSync(join(tmpdir(), 'key0-copy-'));
  try {
    for (const suffix of ['', '-wal']) {
      if (existsSync(file + suffix)) copyFileSync(file + suffix, join(folder, basename(file) + suffix));
    }
    const database = new DatabaseSync(join(folder, basename(file)));
    const names = database
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_cf_%'")
      .all();
    const rows = names.map(({ name }) => [name, database.prepare(`SELECT * FROM "${name}"`).all()]);
    database.close();
    return Object.fromEntries(rows);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
