// Promises: a Python of the project's own with the packages of tests/support/requirements.txt, made once in .local/venv; or
// one sentence that says what is missing.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { installOutside } from './install.mjs';
import { hashOf, readStamp, withLock, writeStamp } from './once.mjs';
import { root } from './paths.mjs';
import { Stop, step } from './say.mjs';
import { canInstallDebianPackages, capture } from './toolchain.mjs';

const folder = join(root, '.local', 'venv');
const requirements = join(root, 'tests', 'support', 'requirements.txt');
const stampFile = join(folder, '.made-from');
const canMake = () => spawnSync('python3', ['-c', 'import ensurepip, venv']).status === 0;

/** @returns {Promise<string>} the interpreter */
export async function ensurePython() {
  const python = join(folder, 'bin', 'python');
  const wanted = hashOf(readFileSync(requirements));
  return withLock('python', async () => {
    if (readStamp(stampFile) === wanted && existsSync(python)) return python;
    if (!canMake() && canInstallDebianPackages()) {
      await installOutside('2 Debian packages, with apt-get', [['apt-get', 'install', '-yq', '--no-install-recommends', 'python3', 'python3-venv']]);
    }
    await step('Installing the Python libraries of the tests', async (note) => {
      if (!canMake()) throw new Stop('Python 3 with venv is missing: on Debian "apt-get install python3 python3-venv".');
      rmSync(folder, { recursive: true, force: true });
      await capture('python3', ['-m', 'venv', folder], {}, note);
      await capture(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements], {}, note);
      writeStamp(stampFile, wanted);
    });
    return python;
  });
}
