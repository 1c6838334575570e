// Promises: `npm run deploy` builds the worker and hands it to wrangler, with every argument passed on.

import { spawn } from 'node:child_process';
import { buildWorker } from './lib/build.mjs';
import { root } from './lib/paths.mjs';
import { fail } from './lib/say.mjs';
import { wranglerCommand, wranglerEnv } from './lib/wrangler.mjs';

const HELP = `
npm run deploy -- [any option of "wrangler deploy"]

Builds the worker and deploys it to your Cloudflare account (wrangler asks you to log in when needed).
Secrets are set once with "npx wrangler secret put NAME". --dry-run shows what would be uploaded.
`;

async function main() {
  const args = process.argv.slice(2);
  if (args.includes('--help') || args.includes('-h')) return void process.stdout.write(`${HELP.trim()}\n`);
  await buildWorker();
  const [program, ...first] = wranglerCommand();
  const child = spawn(program, [...first, 'deploy', ...args], { cwd: root, env: wranglerEnv(), stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code) => process.exit(code ?? 1));
}

main().catch(fail);
