// Promises: the agent of tests/rust-client, which buys with the published Rust client, built from the one lock. Only the
// black-box tests build it: its 300 crates are nobody else's.

import { join } from 'node:path';
import { cargoTarget } from './paths.mjs';
import { step } from './say.mjs';
import { capture, checkPrerequisites } from './toolchain.mjs';

const PACKAGE = 'key0-test-rust-client';

/** cargo knows by itself whether there is anything to do. */
export async function buildRustClient() {
  checkPrerequisites();
  await step('Building the Rust x402 client', (note) => capture('cargo', ['build', '--locked', '--profile', 'client', '-p', PACKAGE], {}, note));
}

/** Its program. */
export const rustClient = join(cargoTarget, 'client', PACKAGE);
