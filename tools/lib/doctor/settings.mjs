// Promises: a file of settings held against the deployment that is said to run with it. Keys become addresses here; no value
// that is secret is shown.

import { privateKeyToAddress } from 'viem/accounts';
import { aboutUnknown, unknownSettings } from '../settings.mjs';

const EMPTY = ['', undefined];

/** Names that the worker ignores. @param {import('./report.mjs').Report} report @param {Record<string, string>} settings */
export function checkNames(report, settings) {
  const unknown = unknownSettings(Object.keys(settings));
  if (unknown.length) report.about('Settings file');
  for (const each of unknown) report.warning('unknown-setting', aboutUnknown(each), 'Correct the name, or take it out.');
}

/** @param {Record<string, string>} settings @param {any} health @param {any} [list] /discover */
export function checkSettings(report, settings, health, list) {
  report.about('Settings file');
  const addressOf = (name) => {
    if (EMPTY.includes(settings[name])) return undefined;
    try {
      return privateKeyToAddress(settings[name].trim());
    } catch {
      return void report.fault('settings-file', `${name} in the file is not a private key.`, 'It is 0x and 64 hex digits.');
    }
  };
  const gasWallet = (health.settlement ?? []).find((route) => route.gasWallet)?.gasWallet;
  const same = (check, name, inFile, deployed, say = report.warning) => {
    if (inFile === undefined || deployed === undefined || inFile.toLowerCase() === deployed.toLowerCase()) return;
    say(check, `${name} in the file means ${inFile}, the deployment has ${deployed}.`, 'Give the file that belongs to this deployment, or deploy again with it.');
  };
  report.group('settings-file', 'The file fits the deployment.', () => {
    same('settings-wallet', 'KEY0_WALLET_ADDRESS', settings.KEY0_WALLET_ADDRESS, list?.walletAddress, report.fault);
    same('settings-network', 'KEY0_NETWORK', settings.KEY0_NETWORK || 'testnet', health.network);
    same('settings-gas-wallet', 'GAS_WALLET_PRIVATE_KEY', addressOf('GAS_WALLET_PRIVATE_KEY'), gasWallet?.address);
    const refundWallet = addressOf('KEY0_WALLET_PRIVATE_KEY');
    same('settings-refund-wallet', 'KEY0_WALLET_PRIVATE_KEY', refundWallet, list?.walletAddress, report.fault);
    if (refundWallet && health.refunds === 'off') {
      report.warning('settings-refunds', 'The file has KEY0_WALLET_PRIVATE_KEY, but the deployment refunds nothing.', 'Set the secret with "npx wrangler secret put KEY0_WALLET_PRIVATE_KEY".');
    }
  });
}

/** The RPC endpoints of a file. @param {Record<string, string>} settings @returns {string[]} */
export const endpointsOf = (settings) => (settings.KEY0_RPC_URL ?? '').split(',').map((url) => url.trim()).filter(Boolean);
