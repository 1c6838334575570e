// Promises: a WebAssembly module without the names of its functions, otherwise the same. They are a tenth of the
// upload and serve only stack traces; a panic's message says file and line without them.

import { Reader, SECTION, sectionsOf, withSections } from './module.mjs';

/** @param {Uint8Array} module @returns {Buffer} */
export function withoutNames(module) {
  const isNames = ({ id, body }) => id === SECTION.custom && new Reader(body).text() === 'name';
  return withSections(
    module,
    sectionsOf(module).filter((section) => !isNames(section)),
  );
}
