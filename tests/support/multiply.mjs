// Promises: a table of the worker's storage that has many rows.

import { DatabaseSync } from 'node:sqlite';

/**
 * Copies the one row that a table has, or one of them, under other keys.
 * @param {string} file @param {string} table @param {string} key  the column that tells rows apart
 * @param {number} count @param {Record<string, unknown>} [changed]  other values of other columns
 */
export function multiply(file, table, key, count, changed = {}) {
  const database = new DatabaseSync(file);
  const columns = database.prepare(`SELECT name FROM pragma_table_info('${table}')`).all().map(({ name }) => name);
  const value = (name) => (name === key ? `printf('0x%064x', n + ?1)` : name in changed ? `${changed[name]}` : name);
  const first = Number(database.prepare(`SELECT COUNT(*) AS count FROM ${table}`).get().count);
  database
    .prepare(
      `WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?2)
       INSERT INTO ${table} (${columns.join(', ')}) SELECT ${columns.map(value).join(', ')} FROM numbers, (SELECT * FROM ${table} LIMIT 1)`,
    )
    .run(first, count);
  database.close();
}
