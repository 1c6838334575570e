// Promises: a long time passes for the purchases and the counted grants of a world. The runtime's clock cannot be moved, and the
// worker has no switch for that; so, while it is down, everything that these have stored is made older, their alarms included.

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** The moments in a record, by name. */
const MILLIS = new Set(['changedAt', 'since', 'at', 'notBefore']);
const SECONDS = new Set(['issuedAt', 'expiresAt', 'iat', 'exp', 'endsAt']);
/** The classes whose objects are made older, and the table of each with its record. */
const TABLES = { PurchaseObject: 'record', GrantObject: 'meter' };
const NANOS_PER_MS = 1_000_000n;

/** @param {import('./world.mjs').TestWorld} world @param {number} ms */
export async function letTimePass(world, ms) {
  await world.worker.stop();
  for (const [className, table] of Object.entries(TABLES)) {
    const folder = join(world.state, 'objects', `key0-${className}`);
    const files = existsSync(folder) ? readdirSync(folder) : [];
    for (const name of files.filter((entry) => entry.endsWith('.sqlite'))) {
      const database = new DatabaseSync(join(folder, name));
      // The runtime keeps an alarm twice: with the object, and in a list of all of them.
      if (name === 'metadata.sqlite') database.prepare('UPDATE _cf_ALARM SET scheduled_time = scheduled_time - ?').run(BigInt(ms) * NANOS_PER_MS);
      else age(database, table, ms);
      database.close();
    }
  }
  await world.restartWorker();
}

/** @param {DatabaseSync} database of one object @param {string} record the table that has it @param {number} ms */
function age(database, record, ms) {
  const has = (table) => database.prepare("SELECT 1 FROM sqlite_master WHERE name = ?").get(table);
  if (!has(record)) return;
  database.exec('BEGIN');
  const { body } = database.prepare(`SELECT body FROM ${record}`).get();
  const older = JSON.parse(/** @type {string} */ (body), (name, value) => {
    // A lease of a grant ends at a millisecond, an authorization at a second.
    const isMillis = MILLIS.has(name) || (name === 'until' && record === 'meter');
    if (isMillis && typeof value === 'number') return value - ms;
    return SECONDS.has(name) ? value - ms / 1000 : value;
  });
  database.prepare(`UPDATE ${record} SET body = ?`).run(JSON.stringify(older));
  if (has('consumed')) database.prepare('UPDATE consumed SET at = at - ?').run(ms);
  if (has('audit')) database.prepare('UPDATE audit SET at = at - ?').run(ms);
  database.prepare('UPDATE _cf_METADATA SET value = value - ? WHERE key = 1 AND value IS NOT NULL').run(BigInt(ms) * NANOS_PER_MS);
  database.exec('COMMIT');
}
