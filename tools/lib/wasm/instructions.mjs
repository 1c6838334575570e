// Promises: where WebAssembly code mentions functions by their numbers. Instructions it does not know, it refuses.

import { Reader } from './module.mjs';

/** @typedef {{from: number, to: number, number: number}} Mention  the bytes that hold a function's number */

const END = 0x0b;
/** In place of how to read it: it is a function's number. */
const FUNCTION = Symbol('a function');

const nothing = () => {};
const number = (reader) => reader.number();
const twoNumbers = (reader) => [reader.number(), reader.number()];
const numbersAndOne = (reader) => [reader.list(() => reader.number()), reader.number()];

/** These types are followed by what they refer to. */
const REFERENCES = [0x63, 0x64];

/** A type, by its own number or that of a section's entry. @param {Reader} reader */
export function skipType(reader) {
  const first = reader.bytes[reader.at];
  reader.number();
  if (REFERENCES.includes(first)) reader.number();
}

/** `try_table`: a type, then what it catches, which has a tag in the first two of four kinds. */
function catches(reader) {
  skipType(reader);
  reader.list(() => (reader.byte() < 2 ? twoNumbers(reader) : number(reader)));
}

/** The instructions of two bytes: conversions without a trap, and those on whole memories and tables. */
function numbered(reader) {
  const second = reader.number();
  if (second > 17) throw new Error(`unknown instruction 0xfc ${second}`);
  if ([8, 10, 12, 14].includes(second)) return twoNumbers(reader);
  return second < 8 ? undefined : reader.number();
}

/** First and last instruction, and what follows them. */
const FOLLOWS = [
  [0x00, 0x01, nothing], // unreachable, nop
  [0x02, 0x04, skipType], // block, loop, if
  [0x05, 0x05, nothing], // else
  [0x06, 0x06, skipType], // try
  [0x07, 0x09, number], // catch, throw, rethrow
  [0x0a, END, nothing], // throw_ref, end
  [0x0c, 0x0d, number], // br, br_if
  [0x0e, 0x0e, numbersAndOne], // br_table
  [0x0f, 0x0f, nothing], // return
  [0x10, 0x10, FUNCTION], // call
  [0x11, 0x11, twoNumbers], // call_indirect
  [0x12, 0x12, FUNCTION], // return_call
  [0x13, 0x13, twoNumbers], // return_call_indirect
  [0x18, 0x18, number], // delegate
  [0x19, 0x1b, nothing], // catch_all, drop, select
  [0x1c, 0x1c, (reader) => reader.list(() => skipType(reader))], // select with types
  [0x1f, 0x1f, catches], // try_table
  [0x20, 0x26, number], // locals, globals, tables
  [0x28, 0x3e, twoNumbers], // load, store
  [0x3f, 0x42, number], // memory.size, memory.grow, i32.const, i64.const
  [0x43, 0x43, (reader) => reader.take(4)], // f32.const
  [0x44, 0x44, (reader) => reader.take(8)], // f64.const
  [0x45, 0xc4, nothing], // arithmetic
  [0xd0, 0xd0, number], // ref.null
  [0xd1, 0xd1, nothing], // ref.is_null
  [0xd2, 0xd2, FUNCTION], // ref.func
  [0xfc, 0xfc, numbered],
];

const TABLE = new Array(256);
for (const [first, last, follows] of FOLLOWS) TABLE.fill(follows, first, last + 1);

/** Reads a function's number. @param {Reader} reader @returns {Mention} */
export function mention(reader) {
  const from = reader.at;
  const value = reader.number();
  return { from, to: reader.at, number: value };
}

/**
 * Reads one instruction.
 * @param {Reader} reader @param {Mention[]} found  gets what it mentions @returns {boolean} whether it is `end`
 */
function instruction(reader, found) {
  const first = reader.byte();
  const follows = TABLE[first];
  if (!follows) throw new Error(`unknown instruction 0x${first.toString(16)}`);
  if (follows === FUNCTION) found.push(mention(reader));
  else follows(reader);
  return first === END;
}

/** Reads a constant expression. @param {Reader} reader @returns {Mention[]} */
export function mentionsOfConstant(reader) {
  const found = [];
  while (!instruction(reader, found));
  return found;
}

/** Of a function: its locals, each a number of one type, and its instructions. @param {Uint8Array} body @returns {Mention[]} */
export function mentionsOfBody(body) {
  const reader = new Reader(body);
  const found = [];
  reader.list(() => {
    reader.number();
    skipType(reader);
  });
  let isEnd = false;
  while (!reader.atEnd) isEnd = instruction(reader, found);
  if (!isEnd) throw new Error('a function has no end');
  return found;
}
