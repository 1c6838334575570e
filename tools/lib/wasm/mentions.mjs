// Promises: where the sections of a WebAssembly module mention functions by their numbers, and how many are imported.

import { mention, mentionsOfConstant, skipType } from './instructions.mjs';
import { SECTION } from './module.mjs';

/** @typedef {import('./module.mjs').Reader} Reader */
/** @typedef {import('./instructions.mjs').Mention} Mention */

/** What is imported or exported, by the format's numbers. */
const KIND = { function: 0, table: 1, memory: 2, global: 3, tag: 4 };
/** Custom sections that say nothing of functions. */
const HARMLESS = ['producers', 'target_features'];

/** @param {Reader} reader @returns {Mention[]} */
function ofExports(reader) {
  const found = reader.list(() => {
    reader.text();
    const isFunction = reader.byte() === KIND.function;
    const exported = mention(reader);
    return isFunction ? [exported] : [];
  });
  return found.flat();
}

/** @param {Reader} reader @returns {Mention[]} */
function ofGlobals(reader) {
  const found = reader.list(() => {
    skipType(reader);
    reader.byte(); // whether it may change
    return mentionsOfConstant(reader);
  });
  return found.flat();
}

/** A segment's first number is made of these. */
const NOT_PLACED = 1;
const WITH_TABLE = 2;
const EXPRESSIONS = 4;

/** What fills the tables. @param {Reader} reader @returns {Mention[]} */
function ofElements(reader) {
  const found = reader.list(() => {
    const flags = reader.number();
    const has = (flag) => (flags & flag) !== 0;
    if (!has(NOT_PLACED) && has(WITH_TABLE)) reader.number();
    const place = has(NOT_PLACED) ? [] : mentionsOfConstant(reader);
    if (has(NOT_PLACED) || has(WITH_TABLE)) skipType(reader);
    return [...place, ...reader.list(() => (has(EXPRESSIONS) ? mentionsOfConstant(reader) : mention(reader))).flat()];
  });
  return found.flat();
}

/** @param {Reader} reader @returns {Mention[]} */
function ofCustom(reader) {
  const name = reader.text();
  if (!HARMLESS.includes(name)) throw new Error(`the section ${name} may mention functions`);
  return [];
}

const IN_SECTION = new Map([
  [SECTION.custom, ofCustom],
  [SECTION.global, ofGlobals],
  [SECTION.export, ofExports],
  [SECTION.start, (reader) => [mention(reader)]],
  [SECTION.element, ofElements],
]);

/** Of a section other than the code. @param {number} id @param {Reader} reader @returns {Mention[]} */
export const mentionsOfSection = (id, reader) => IN_SECTION.get(id)?.(reader) ?? [];

/** How many functions are imported: they have the first numbers. @param {Reader} reader  of the imports */
export function importedFunctions(reader) {
  const limits = () => (reader.byte() % 2 ? [reader.number(), reader.number()] : reader.number());
  const kinds = reader.list(() => {
    reader.text();
    reader.text();
    const kind = reader.byte();
    if (kind !== KIND.memory) skipType(reader);
    if (kind === KIND.table || kind === KIND.memory) limits();
    if (kind === KIND.global || kind === KIND.tag) reader.number();
    return kind;
  });
  return kinds.filter((kind) => kind === KIND.function).length;
}
