// Promises: `npm run wallet` makes a new key and shows it once. Nothing is stored, and nobody is asked.

import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { readFlags } from './lib/args.mjs';
import { bold, fail } from './lib/say.mjs';

const HELP = `
npm run wallet -- [options]

Makes a wallet: an address and its key. It is shown and not stored. At a
terminal it also says where test money comes from and which setting takes what;
otherwise it prints one JSON document.

  --json    one JSON document, at a terminal as well

  npm run --silent wallet -- --json > buyer.json
`;

const text = ({ address, privateKey }) => `
  address  ${bold(address)}
  key      ${privateKey}

Whoever has the key has the wallet. It is stored nowhere: keep it now.

As the seller's wallet:
  KEY0_WALLET_ADDRESS      takes the address, in wrangler.toml
  KEY0_WALLET_PRIVATE_KEY  takes the key, as a secret: it turns refunds on
As a gas wallet, which nothing else uses and which holds a little ETH:
  GAS_WALLET_PRIVATE_KEY   takes the key, as a secret
As a buyer's wallet:
  AGENT_PRIVATE_KEY=<key> npm run agent -- --url https://YOUR-WORKER

On the test network (Base Sepolia) money is free:
  USDC  https://faucet.circle.com
  ETH   https://docs.cdp.coinbase.com/faucets, 0.001 is plenty
A buyer needs USDC only; a facilitator or the gas wallet pays the gas.
`;

function main() {
  const flags = readFlags(HELP, { json: { type: 'boolean' } });
  const privateKey = generatePrivateKey();
  const wallet = { address: privateKeyToAccount(privateKey).address, privateKey };
  process.stdout.write(process.stdout.isTTY && !flags.json ? `${text(wallet).trimStart().replace(/^/, '  ')}` : `${JSON.stringify(wallet, null, 2)}\n`);
}

try {
  main();
} catch (error) {
  fail(error);
}
