// Promises: the check of the core's rooms passes a tree that imports one way, and names each import that does not.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { faults } from '../tools/lib/rooms.mjs';

const folder = mkdtempSync(join(tmpdir(), 'key0-rooms-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let trees = 0;

/** A core in which every import goes down. */
const RIGHT = {
  'lib.rs': '#![forbid(unsafe_code)]\n\npub mod chain;\npub mod checkout;\npub mod doors;\npub mod purchase;\npub mod types;\n',
  'doors/mod.rs': 'pub mod http;\n',
  'doors/http.rs': 'use crate::checkout::Grant;\nuse crate::types::{Amount, Network as Chain};\n',
  'checkout/mod.rs': 'mod grant;\n\npub use grant::Grant;\n',
  'checkout/grant.rs': 'use crate::purchase::Record;\n\npub struct Grant(Record);\n',
  'purchase/mod.rs': '//! Purchases.\n\nmod effects;\nmod record;\n#[cfg(test)]\nmod tests;\n\npub use record::{\n    Record,\n};\n',
  'purchase/record.rs': 'use crate::chain;\n\npub struct Record(chain::Receipt);\n',
  'purchase/effects.rs': 'mod charge;\n\nuse super::record::Record;\n\npub fn effect() {\n    charge::charge();\n}\n',
  'purchase/effects/charge.rs': 'use crate::purchase::Record;\n\npub fn charge() {}\n',
  'purchase/tests.rs': 'use super::effects::*;\nuse crate::doors::http;\n',
  'chain.rs':
    'use crate::types::Amount;\n\npub struct Receipt(Amount);\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n    use crate::purchase::Record;\n}\n',
  'types.rs': '// Not of crate::chain.\npub struct Amount;\npub struct Network;\n',
};

/** What is said of the right tree with these files in place of its own. */
function said(changes) {
  trees += 1;
  const tree = join(folder, String(trees));
  for (const [name, text] of Object.entries({ ...RIGHT, ...changes })) {
    mkdirSync(dirname(join(tree, name)), { recursive: true });
    writeFileSync(join(tree, name), text);
  }
  return faults(tree);
}

const circle = (...files) => [`these files import each other in a circle:\n    ${files.join('\n    ')}`];

test('a tree that imports one way has no faults, whatever its tests import', () => {
  assert.deepEqual(said({}), []);
});

test('an import of a room above is named with both files', () => {
  const fault = ['chain.rs imports Record of purchase/record.rs: purchase stands above chain'];
  const first = { 'purchase/record.rs': 'pub struct Record;\n' };
  assert.deepEqual(said({ ...first, 'chain.rs': 'use crate::purchase::Record;\n' }), fault);
  assert.deepEqual(said({ ...first, 'chain.rs': 'use crate::{\n    purchase::{self, Record as Bought},\n};\n' }), fault);
  assert.deepEqual(said({ ...first, 'chain.rs': 'fn seen(record: &crate::purchase::Record) {}\n' }), fault);
});

test('a room that is not in the list is named', () => {
  const faults = said({ 'sundries.rs': 'use crate::types::Amount;\n' });
  assert.deepEqual(faults, ['sundries is no room of the list in tools/lib/rooms.mjs']);
});

test('two files of a room that import each other are named', () => {
  const record = 'use super::effects::effect;\n\npub struct Record;\n';
  const faults = said({ 'purchase/record.rs': record, 'purchase/effects.rs': 'use super::record::Record;\n' });
  assert.deepEqual(faults, circle('purchase/effects.rs', 'purchase/record.rs'));
});

test('a parent and a child that import each other are named, also where the parent writes the path at the call', () => {
  const faults = said({ 'purchase/effects/charge.rs': 'use super::effect;\n\npub fn charge() {}\n' });
  assert.deepEqual(faults, circle('purchase/effects.rs', 'purchase/effects/charge.rs'));
});

test("a buyers' door that names the purchase is named, and the operator's door is not", () => {
  const door = 'use crate::purchase::Record;\n';
  const faults = said({ 'doors/a2a.rs': door, 'doors/admin/door.rs': door });
  assert.deepEqual(faults, [
    "doors/a2a.rs imports Record of purchase/record.rs: a buyers' door reaches it through checkout",
  ]);
});

test('a mod.rs that defines something is named', () => {
  for (const line of ['pub const MOST: u32 = 8;', 'pub(crate) fn charge() {', 'impl Record {']) {
    const text = `${RIGHT['purchase/mod.rs']}\n${line}\n`;
    assert.deepEqual(said({ 'purchase/mod.rs': text }), [`purchase/mod.rs defines \`${line}\`: put it into a file`]);
  }
});

test('an import of all names is named, because it hides where they come from', () => {
  const hidden = 'imports all names of a module: name what it needs';
  assert.deepEqual(said({ 'purchase/record.rs': 'use super::*;\n\npub struct Record;\n' }), [`purchase/record.rs ${hidden}`]);
  assert.deepEqual(said({ 'checkout/mod.rs': 'mod grant;\n\npub use grant::*;\n' }), [`checkout/mod.rs ${hidden}`]);
});
