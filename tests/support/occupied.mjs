// Promises: what purchases occupy in the runtime's own files, in bytes, as SQLite itself counts them.

import { DatabaseSync } from 'node:sqlite';
import { ALL_JOBS, fileOf } from './kill.mjs';

/**
 * What one object's file holds: the bytes of its rows with their indexes, and the pages in use. What the schema and the
 * platform's own table take is in the pages only.
 * @param {string} file
 */
export function occupied(file) {
  const database = new DatabaseSync(file, { readOnly: true });
  try {
    const { rows } = database
      .prepare("SELECT SUM(payload) AS rows FROM dbstat WHERE name NOT LIKE '\\_cf\\_%' ESCAPE '\\' AND name <> 'sqlite_schema'")
      .get();
    const { pages } = database
      .prepare('SELECT (page_count - freelist_count) * page_size AS pages FROM pragma_page_count, pragma_freelist_count, pragma_page_size')
      .get();
    return { rows: Number(rows), pages: Number(pages) };
  } finally {
    database.close();
  }
}

/** What one purchase occupies in its own object. @param {import('./world.mjs').TestWorld} world @param {string} requestId */
export const ofPurchase = (world, requestId) => occupied(fileOf(world, 'PurchaseObject', 'SELECT body FROM record', requestId));

/** The bytes of one purchase's rows in the objects that it shares with others. */
export function shared(world, requestId) {
  const each = (className, table, name) => {
    const file = fileOf(world, className, `SELECT * FROM ${table}`, requestId);
    const database = new DatabaseSync(file, { readOnly: true });
    const { count } = database.prepare(`SELECT COUNT(*) AS count FROM ${table}`).get();
    database.close();
    return [name, Math.round(occupied(file).rows / Number(count))];
  };
  return Object.fromEntries([
    each('PayerObject', 'payments', "payer's book"),
    each('LedgerObject', 'entries', 'ledger'),
    each('GasWalletObject', `(${ALL_JOBS})`, "gas wallet's job"),
  ]);
}
