// Promises: no crate of the lock file needs a newer Rust than the member of the workspace that links it says it does.
// Together with clippy, which refuses parts of the standard library that are newer than a member's `rust-version`, this holds
// the stated minimum on machines that have no compiler of that age. With one, `cargo +1.91 check -p key0-validator` is the
// whole proof.

import { Stop, say } from './say.mjs';
import { capture } from './toolchain.mjs';

const minor = (version) => Number(/^1\.(\d+)/.exec(version)[1]);

export async function checkMinimumRust() {
  const metadata = await capture('cargo', ['metadata', '--format-version', '1', '--locked', '--all-features'], {}, () => {});
  const { packages, resolve, workspace_members: ours } = JSON.parse(metadata);
  const crate = new Map(packages.map((crate) => [crate.id, crate]));
  const linked = new Map(resolve.nodes.map(({ id, deps }) => [id, deps.map(({ pkg }) => pkg)]));
  const wrong = [];
  for (const id of ours) {
    const { name, rust_version: stated } = crate.get(id);
    if (!stated) throw new Stop(`${name} states no minimum Rust version (rust-version).`);
    const all = new Set([id]);
    for (const one of all) for (const next of linked.get(one)) all.add(next);
    for (const other of all) {
      const { name: theirs, version, rust_version: needs } = crate.get(other);
      if (needs && minor(needs) > minor(stated)) wrong.push(`${name} says ${stated}, but ${theirs} ${version} needs ${needs}`);
    }
  }
  if (wrong.length) throw new Stop(`The stated minimum Rust version is too low:\n  ${wrong.join('\n  ')}`);
  say(`  no crate needs a newer Rust than its workspace member states`);
}
