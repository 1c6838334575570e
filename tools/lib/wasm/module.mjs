// Promises: a WebAssembly module's bytes as its sections, and the module of such sections.

const HEADER_BYTES = 8;

/** The sections' numbers in the format. */
export const SECTION = { custom: 0, import: 2, function: 3, global: 6, export: 7, start: 8, element: 9, code: 10 };

/** Reads bytes from front to back. */
export class Reader {
  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  get atEnd() {
    return this.at >= this.bytes.length;
  }

  byte() {
    if (this.atEnd) throw new Error('the module ends too early');
    return this.bytes[this.at++];
  }

  /** A number in LEB128. One with a sign is passed, but its value is not what this returns. */
  number() {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.byte();
      value += (byte % 128) * factor;
      if (byte < 128) return value;
    }
  }

  /** @param {number} length @returns {Uint8Array} the same memory, not a copy */
  take(length) {
    const end = this.at + length;
    if (end > this.bytes.length) throw new Error('the module ends too early');
    const taken = this.bytes.subarray(this.at, end);
    this.at = end;
    return taken;
  }

  /** What is told with its length before it. */
  sized() {
    return this.take(this.number());
  }

  text() {
    return Buffer.from(this.sized()).toString();
  }

  /** As many as a number says. @template T @param {(index: number) => T} readOne @returns {T[]} */
  list(readOne) {
    return Array.from({ length: this.number() }, (_, index) => readOne(index));
  }
}

/** In LEB128, without a sign. @param {number} value @returns {Buffer} */
export function numberBytes(value) {
  const bytes = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}

/** With its length before it. @param {Uint8Array} bytes */
export const sizedBytes = (bytes) => Buffer.concat([numberBytes(bytes.length), bytes]);

/** With their number before them. @param {Uint8Array[]} items */
export const listBytes = (items) => Buffer.concat([numberBytes(items.length), ...items]);

/** @param {Uint8Array} module @returns {{id: number, body: Uint8Array}[]} */
export function sectionsOf(module) {
  const reader = new Reader(module);
  reader.take(HEADER_BYTES);
  const sections = [];
  while (!reader.atEnd) sections.push({ id: reader.byte(), body: reader.sized() });
  return sections;
}

/** The header of `module`, then these sections. @param {Uint8Array} module @param {{id: number, body: Uint8Array}[]} sections */
export function withSections(module, sections) {
  const pieces = sections.flatMap(({ id, body }) => [Buffer.of(id), sizedBytes(body)]);
  return Buffer.concat([module.subarray(0, HEADER_BYTES), ...pieces]);
}
