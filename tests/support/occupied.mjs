// Promises: what purchases occupy in the runtime's own files, in bytes, as SQLite itself counts them.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
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

/**
 * The tables that are left, of each object of a class that once had tables of ours and has none now. The platform charges for
 * such an object until its storage is emptied as a whole: then it is as if there had never been a table.
 * @param {import('./world.mjs').TestWorld} world @param {string} className
 */
export function leftOver(world, className) {
  const folder = join(world.state, 'objects', `key0-${className}`);
  const files = readdirSync(folder).filter((entry) => /^[0-9a-f]{64}\.sqlite$/.test(entry));
  const left = files.map((file) => {
    const database = new DatabaseSync(join(folder, file), { readOnly: true });
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all().map(({ name }) => String(name));
    const { schema_version: changes } = database.prepare('PRAGMA schema_version').get();
    database.close();
    return { tables, changes };
  });
  return left.filter(({ tables, changes }) => changes !== 0 && tables.every((name) => name.startsWith('_cf_')));
}
