// Promises: what `npm start` wrote down of the world that runs from a folder; nothing when none runs.

import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { root } from './paths.mjs';

/** @param {string} folder  absolute, or below the clone, as for `npm start` @returns {any} */
export function readLocalWorld(folder) {
  const file = join(resolve(root, folder), 'world.json');
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined;
}

/** Whether this is that world's worker. @param {any} world @param {string} url */
export const isWorldAt = (world, url) => Boolean(world) && new URL(world.url).origin === new URL(url).origin;
