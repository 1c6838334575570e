// Promises: build/index.js and build/index_bg.wasm are what the sources of now give, built only when they changed, and
// build/catalog.js is the catalog.json of now.

import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { CATALOG_IMPORT, catalogModule, readCatalog } from './catalog.mjs';
import { hashOf, readStamp, withLock, writeStamp } from './once.mjs';
import { buildFolder, root } from './paths.mjs';
import { step } from './say.mjs';
import { capture, wasmToolchain } from './toolchain.mjs';
import { byLikeness } from './wasm/likeness.mjs';
import { withoutNames } from './wasm/names.mjs';
import { reordered } from './wasm/order.mjs';

/** Bytes after gzip. A megabyte costs about 32 ms of an isolate's start, so code is not bent to save bytes. */
export const SIZE_BUDGET = 1_200_000;

/** What the worker is made of. Other folders cannot change it. */
const SOURCES = ['Cargo.toml', 'Cargo.lock', 'worker', 'validator/Cargo.toml', 'validator/src', 'tools/lib/wasm'];
const OUTPUTS = ['index.js', 'index_bg.wasm'];
/** Without wasm-opt: it makes the module smaller, but what is uploaded (compressed) larger, and takes minutes. */
const ARGS = ['worker/edge', '--release', '--panic-unwind', '--no-opt', '--out-dir', '../../build'];
const stampFile = join(buildFolder, '.built-from');

/** @param {string} path @returns {string[]} files under it, sorted */
function filesUnder(path) {
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

function sourcesHash(toolchain) {
  const files = SOURCES.flatMap((name) => (name.includes('.') ? [join(root, name)] : filesUnder(join(root, name))));
  return hashOf(
    ...files.flatMap((file) => [relative(root, file), readFileSync(file)]),
    ...ARGS,
    CATALOG_IMPORT,
    ...Object.values(toolchain).map((value) => value.split(':')[0]),
  );
}

/** Builds when needed. @returns {Promise<boolean>} whether anything was built */
export async function buildWorker() {
  const catalog = catalogModule(readCatalog());
  const toolchain = await wasmToolchain();
  return withLock('build', async () => {
    const wanted = sourcesHash(toolchain);
    writeStamp(join(buildFolder, 'catalog.js'), catalog);
    if (readStamp(stampFile) === wanted && OUTPUTS.every((name) => existsSync(join(buildFolder, name)))) return false;
    await step('Building the worker', (note) =>
      capture('worker-build', ARGS, { env: { ...process.env, ...toolchain, RUST_BACKTRACE: '0' } }, note),
    );
    writeStamp(join(buildFolder, 'catalog.js'), catalog);
    const code = join(buildFolder, 'index.js');
    writeFileSync(code, CATALOG_IMPORT + readFileSync(code, 'utf8'));
    const module = join(buildFolder, 'index_bg.wasm');
    writeFileSync(module, reordered(withoutNames(readFileSync(module)), byLikeness));
    writeStamp(stampFile, wanted);
    return true;
  });
}

/** Bytes of the upload after gzip. */
export function compressedSize() {
  return [...OUTPUTS, 'catalog.js'].reduce((sum, name) => sum + gzipSync(readFileSync(join(buildFolder, name)), { level: 9 }).length, 0);
}
