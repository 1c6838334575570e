// Promises: cargo fmt and cargo clippy are there, or one sentence that says how to get them.

import { spawnSync } from 'node:child_process';
import { root } from './paths.mjs';
import { Stop, step } from './say.mjs';
import { canInstallDebianPackages, capture } from './toolchain.mjs';

const present = () => ['fmt', 'clippy'].every((tool) => spawnSync('cargo', [tool, '--version'], { cwd: root }).status === 0);

export async function ensureLinters() {
  if (present()) return;
  await step('Installing rustfmt and clippy', async (note) => {
    try {
      await capture('rustup', ['component', 'add', 'rustfmt', 'clippy'], {}, note);
    } catch {
      if (canInstallDebianPackages()) {
        await capture('apt-get', ['install', '-yq', '--no-install-recommends', 'rustfmt-web', 'rust-web-clippy'], {}, note);
      }
    }
  });
  if (!present()) {
    throw new Stop('rustfmt and clippy are missing: "rustup component add rustfmt clippy", or on Debian "apt-get install rustfmt-web rust-web-clippy".');
  }
}
