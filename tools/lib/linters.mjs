// Promises: cargo fmt and cargo clippy are there, or one sentence that says how to get them.

import { spawnSync } from 'node:child_process';
import { installOutside } from './install.mjs';
import { root } from './paths.mjs';
import { Stop } from './say.mjs';
import { canInstallDebianPackages } from './toolchain.mjs';

const present = () => ['fmt', 'clippy'].every((tool) => spawnSync('cargo', [tool, '--version'], { cwd: root }).status === 0);

export async function ensureLinters() {
  if (present()) return;
  try {
    await installOutside('rustfmt and clippy, with rustup', [['rustup', 'component', 'add', 'rustfmt', 'clippy']]);
  } catch (error) {
    if (!/^rustup |\nrustup /.test(error.message) || !canInstallDebianPackages()) throw error;
    await installOutside('2 Debian packages, with apt-get', [['apt-get', 'install', '-yq', '--no-install-recommends', 'rustfmt-web', 'rust-web-clippy']]);
  }
  if (!present()) {
    throw new Stop('rustfmt and clippy are missing: "rustup component add rustfmt clippy", or on Debian "apt-get install rustfmt-web rust-web-clippy".');
  }
}
