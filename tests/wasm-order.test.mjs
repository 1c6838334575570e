// Promises: a WebAssembly module does the same with its functions in any order, what might mention a function unseen is
// refused, and functions that resemble each other come to lie side by side.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { byLikeness } from '../tools/lib/wasm/likeness.mjs';
import { SECTION, listBytes, sectionsOf, sizedBytes, withSections } from '../tools/lib/wasm/module.mjs';
import { withoutNames } from '../tools/lib/wasm/names.mjs';
import { reordered } from '../tools/lib/wasm/order.mjs';

const HEADER = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
const text = (word) => sizedBytes(Buffer.from(word));
const bytes = (...list) => Buffer.from(list);
const I32 = 0x7f;
const ADD = 0x6a;
const END = 0x0b;
/** As a number it is what `call` is as an instruction. */
const SIXTEEN = [0x41, 0x10];

/** By their places here; the imported one is number 0, so these are 1 to 6. No locals. */
const BODIES = [
  [0, 0x10, 0, ...SIXTEEN, ADD, END], // host() + 16
  [0, 0x10, 1, 0x41, 30, ADD, END], // the one before + 30
  [0, 0x41, 1, 0x11, 0, 0, END], // what is second in the table, called
  [0, 0x10, 2, 0x24, 0, END], // into the global: the second
  [0, 0x23, 0, END], // the global
  [0, 0xd2, 2, 0xd1, 0x02, 0x40, 0x41, 1, 0x0e, 1, 0, 0, END, END], // ref.func, ref.is_null, a block with br_table
];

function section(id, body) {
  return { id, body };
}

const SECTIONS = [
  section(1, listBytes([bytes(0x60, 0, 1, I32), bytes(0x60, 0, 0)])),
  section(SECTION.import, listBytes([Buffer.concat([text('host'), text('seven'), bytes(0, 0)])])),
  section(SECTION.function, bytes(6, 0, 0, 0, 1, 0, 0)),
  section(4, bytes(1, 0x70, 0, 2)), // a table of two
  section(SECTION.global, bytes(1, I32, 1, 0x41, 0, END)),
  section(
    SECTION.export,
    listBytes([
      Buffer.concat([text('direct'), bytes(0, 2)]),
      Buffer.concat([text('indirect'), bytes(0, 3)]),
      Buffer.concat([text('started'), bytes(0, 5)]),
      Buffer.concat([text('reference'), bytes(0, 6)]),
      Buffer.concat([text('global'), bytes(3, 0)]),
    ]),
  ),
  section(SECTION.start, bytes(4)),
  section(SECTION.element, bytes(1, 0, 0x41, 0, END, 2, 1, 2)),
  section(SECTION.code, listBytes(BODIES.map((body) => sizedBytes(bytes(...body))))),
];
const MODULE = withSections(HEADER, SECTIONS);

function answers(module) {
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module), { host: { seven: () => 7 } });
  return [exports.direct(), exports.indirect(), exports.started(), exports.reference(), exports.global.value];
}

function* permutations(items) {
  if (items.length === 0) yield [];
  for (const item of items) for (const rest of permutations(items.filter((other) => other !== item))) yield [item, ...rest];
}

test('in all 720 orders of six functions a module answers the same, and back in the first order it is the same', () => {
  const expected = answers(MODULE);
  assert.deepEqual(expected, [53, 53, 53, 0, 53]);
  for (const order of permutations([...BODIES.keys()])) {
    const other = reordered(MODULE, () => order);
    assert.deepEqual(answers(other), expected, `in the order ${order}`);
    const back = reordered(other, () => [...order.keys()].map((place) => order.indexOf(place)));
    assert.deepEqual(back, MODULE);
  }
});

test('an order that leaves out a function, or has one twice, is refused', () => {
  assert.throws(() => reordered(MODULE, () => [0, 1, 2, 3, 4]), /one place/);
  assert.throws(() => reordered(MODULE, () => [0, 1, 2, 3, 4, 4]), /one place/);
});

test('what might mention a function unseen is refused', () => {
  const same = (bodies) => bodies.keys();
  const withCode = (code) =>
    withSections(
      MODULE,
      SECTIONS.map((one) => (one.id === SECTION.code ? section(one.id, code) : one)),
    );
  const named = withSections(MODULE, [...SECTIONS, section(SECTION.custom, Buffer.concat([text('name'), bytes(0)]))]);
  assert.throws(() => reordered(named, same), /the section name may mention functions/);
  assert.deepEqual(reordered(withoutNames(named), same), MODULE);
  const vector = sizedBytes(bytes(0, 0xfd, 12, END));
  assert.throws(() => reordered(withCode(listBytes([vector])), same), /unknown instruction 0xfd/);
  const endless = sizedBytes(bytes(0, 0x10, 1));
  assert.throws(() => reordered(withCode(listBytes([endless])), same), /no end/);
});

test('a module that ends too early is refused', () => {
  assert.throws(() => sectionsOf(MODULE.subarray(0, -1)), /ends too early/);
});

test('functions that resemble each other come to lie side by side, in the same order every time', () => {
  const like = (seed) => Array.from({ length: 200 }, (_, at) => Math.imul(at + 1, seed * 2_654_435_761 + 40_503) >>> 24);
  // Twelve kinds, three of each, spread over the whole.
  const bodies = Array.from({ length: 36 }, (_, at) => Uint8Array.from([at, ...like((at % 12) + 1)]));
  const order = byLikeness(bodies);
  assert.deepEqual(
    order.toSorted((one, other) => one - other),
    [...bodies.keys()],
  );
  const kinds = order.map((at) => at % 12);
  const changes = kinds.filter((kind, at) => kind !== kinds[at - 1]).length;
  assert.equal(changes, 12, `kinds in order: ${kinds}`);
  assert.deepEqual(byLikeness(bodies), order);
});
