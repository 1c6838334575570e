// Promises: the few places every tool agrees on, all derived from where this file lies.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Where tools remember what is already done; `cargo clean` forgets it. */
export const memory = join(process.env.CARGO_TARGET_DIR || join(root, 'target'), 'tooling');

export const cargoTarget = process.env.CARGO_TARGET_DIR || join(root, 'target');
export const buildFolder = join(root, 'build');
export const wranglerFile = join(root, 'wrangler.toml');
export const nodeModules = join(root, 'node_modules');
