// Promises: a WebAssembly module without the names of its functions, otherwise the same. They are a tenth of the
// upload and serve only stack traces; a panic's message says file and line without them.

const HEADER_BYTES = 8;
const CUSTOM_SECTION = 0;

/** @param {Uint8Array} module @returns {Buffer} */
export function withoutNames(module) {
  const kept = [module.subarray(0, HEADER_BYTES)];
  for (let at = HEADER_BYTES; at < module.length; ) {
    const size = readNumber(module, at + 1);
    const end = size.end + size.value;
    if (end > module.length) throw new Error('the module ends inside a section');
    if (module[at] !== CUSTOM_SECTION || nameOf(module, size.end) !== 'name') kept.push(module.subarray(at, end));
    at = end;
  }
  return Buffer.concat(kept);
}

function nameOf(module, at) {
  const length = readNumber(module, at);
  return Buffer.from(module.subarray(length.end, length.end + length.value)).toString();
}

/** An unsigned number in LEB128. @returns {{value: number, end: number}} */
function readNumber(module, at) {
  let value = 0;
  for (let factor = 1, end = at; ; factor *= 128) {
    if (end >= module.length) throw new Error('the module ends inside a number');
    const byte = module[end];
    end += 1;
    value += (byte % 128) * factor;
    if (byte < 128) return { value, end };
  }
}
