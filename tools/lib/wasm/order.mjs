// Promises: a WebAssembly module with its functions in another order, otherwise the same. A function's place is its
// number, so everything that mentions it (code, tables, exports) changes with it.

import { mentionsOfBody } from './instructions.mjs';
import { importedFunctions, mentionsOfSection } from './mentions.mjs';
import { Reader, SECTION, listBytes, numberBytes, sectionsOf, sizedBytes, withSections } from './module.mjs';

/**
 * @param {Uint8Array} module
 * @param {(bodies: Uint8Array[]) => Iterable<number>} choose  says which function comes first, which second, …
 * @returns {Buffer}
 */
export function reordered(module, choose) {
  const sections = sectionsOf(module);
  const readerOf = (id) => new Reader(sections.find((section) => section.id === id)?.body ?? Uint8Array.of(0));
  const imported = importedFunctions(readerOf(SECTION.import));
  const codeReader = readerOf(SECTION.code);
  const bodies = codeReader.list(() => codeReader.sized());
  const order = [...choose(bodies)];
  const newNumbers = new Map(order.map((old, now) => [imported + old, imported + now]));
  if (newNumbers.size !== bodies.length) throw new Error('each function has one place');

  const renumbered = (bytes, mentions) => {
    const pieces = [];
    let done = 0;
    for (const { from, to, number } of mentions) {
      pieces.push(bytes.subarray(done, from), numberBytes(newNumbers.get(number) ?? number));
      done = to;
    }
    return Buffer.concat([...pieces, bytes.subarray(done)]);
  };
  const newBody = (body) => renumbered(body, mentionsOfBody(body));
  const changed = ({ id, body }) => {
    const reader = new Reader(body);
    if (id === SECTION.code) return listBytes(order.map((old) => sizedBytes(newBody(bodies[old]))));
    if (id !== SECTION.function) return renumbered(body, mentionsOfSection(id, reader));
    const types = reader.list(() => numberBytes(reader.number()));
    return listBytes(order.map((old) => types[old]));
  };
  const result = withSections(
    module,
    sections.map((section) => ({ id: section.id, body: changed(section) })),
  );
  // An older Node does not know all instructions of ours, and can tell nothing.
  if (WebAssembly.validate(module) && !WebAssembly.validate(result)) throw new Error('the module in another order is not valid');
  return result;
}
