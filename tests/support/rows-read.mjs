// Promises: how many rows each SQL statement of the worker reads, as the runtime's own storage counts them. The artifact knows
// nothing of it: the runtime is given the same worker with a few lines around its object classes.

import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { buildFolder } from '../../tools/lib/paths.mjs';

const COUNTING = `
function counted(Class) {
  return new Proxy(Class, {
    construct(target, args, newTarget) {
      const storage = Object.getPrototypeOf(args[0].storage.sql);
      const exec = storage.exec;
      if (!exec.counts) {
        storage.exec = function (query, ...bindings) {
          const cursor = exec.call(this, query, ...bindings);
          const toArray = cursor.toArray;
          cursor.toArray = () => {
            const rows = toArray.call(cursor);
            console.log(JSON.stringify({ rowsRead: cursor.rowsRead, query }));
            return rows;
          };
          return cursor;
        };
        storage.exec.counts = true;
      }
      return Reflect.construct(target, args, newTarget);
    },
  });
}
`;

/** Writes the worker that counts. @param {string} folder @returns {string} its folder */
export function countingBuild(folder) {
  const build = join(folder, 'counting-build');
  mkdirSync(build, { recursive: true });
  copyFileSync(join(buildFolder, 'index_bg.wasm'), join(build, 'index_bg.wasm'));
  const classes = [];
  const text = readFileSync(join(buildFolder, 'index.js'), 'utf8').replace(/export\s*{[^}]*}/, (exported) => {
    const renamed = exported.replace(/([\w$]+) as (\w+Object)\b/g, (_, inner, name) => {
      classes.push(`const Counted${name} = counted(${inner});`);
      return `Counted${name} as ${name}`;
    });
    return `${COUNTING}\n${classes.join('\n')}\n${renamed}`;
  });
  if (!classes.length) throw new Error('no object class was found in the build');
  writeFileSync(join(build, 'index.js'), text);
  return build;
}

/** The most rows that each statement has read at once. @param {string[]} logs @returns {Map<string, number>} */
export function rowsRead(logs) {
  const most = new Map();
  for (const line of logs) {
    const text = /{"rowsRead":.*}/.exec(line)?.[0];
    if (!text) continue;
    const { rowsRead, query } = JSON.parse(text);
    const statement = query.replace(/\s+/g, ' ');
    most.set(statement, Math.max(rowsRead, most.get(statement) ?? 0));
  }
  return most;
}

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
