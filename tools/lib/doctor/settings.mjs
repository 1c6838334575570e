// Promises: a file of settings held against the deployment that is said to run with it. Keys become addresses here; no value
// that is secret is shown.

import { privateKeyToAddress } from 'viem/accounts';
import { readCatalog } from '../catalog.mjs';
import { aboutUnknown, unknownSettings } from '../settings.mjs';
import { ask } from './ask.mjs';

const EMPTY = ['', undefined];

/** Names that the worker ignores. @param {import('./report.mjs').Report} report @param {Record<string, string>} settings */
export function checkNames(report, settings) {
  const unknown = unknownSettings(Object.keys(settings));
  if (unknown.length) report.about('Settings file');
  for (const each of unknown) report.warning('unknown-setting', aboutUnknown(each), 'Correct the name, or take it out.');
}

/**
 * @param {import('./report.mjs').Report} report @param {string} url @param {Record<string, string>} settings
 * @param {any} health @param {any} [list] /discover
 */
export async function checkSettings(report, url, settings, health, list) {
  checkNames(report, settings);
  report.about('Settings file');
  const { body: tokens } = await ask(new URL('/.well-known/token-info', url));
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
    const place = name === 'catalog.json' ? name : `${name} in the file`;
    say(check, `${place} means ${inFile}; the deployment has ${deployed || 'none'}.`, 'Give the file that belongs to this deployment, or deploy again with it.');
  };
  report.group('settings-file', 'The file fits the deployment.', () => {
    same('settings-wallet', 'KEY0_WALLET_ADDRESS', settings.KEY0_WALLET_ADDRESS, list?.walletAddress, report.fault);
    same('settings-network', 'KEY0_NETWORK', settings.KEY0_NETWORK || 'testnet', health.network);
    for (const [name, inFile, deployed] of told(settings, health, list, tokens)) same('settings-differ', name, inFile, deployed);
    same('settings-gas-wallet', 'GAS_WALLET_PRIVATE_KEY', addressOf('GAS_WALLET_PRIVATE_KEY'), gasWallet?.address);
    const refundWallet = addressOf('KEY0_WALLET_PRIVATE_KEY');
    same('settings-refund-wallet', 'KEY0_WALLET_PRIVATE_KEY', refundWallet, list?.walletAddress, report.fault);
    if (refundWallet && health.refunds === 'off') {
      report.warning('settings-refunds', 'The file has KEY0_WALLET_PRIVATE_KEY, but the deployment refunds nothing.', 'Set the secret with "npx wrangler secret put KEY0_WALLET_PRIVATE_KEY".');
    }
  });
}

/**
 * What a file says and a deployment shows: name, value in the file, value of the deployment. What the file leaves out is not
 * compared: a secret or another file may have it.
 */
function told(settings, health, list, tokens) {
  const settlement = health.settlement ?? [];
  const hosts = (name) => (EMPTY.includes(settings[name]) ? undefined : settings[name].split(',').map((url) => hostOf(url.trim())).filter(Boolean).join(', '));
  const rows = {
    AGENT_NAME: list?.agent,
    AGENT_DESCRIPTION: list?.description,
    KEY0_PUBLIC_URL: tokens?.issuer,
    KEY0_TOKEN_ALGORITHM: tokens?.algorithm,
    KEY0_TOKEN_TTL_SECONDS: tokens?.expiresIn?.toString(),
    TOKEN_MODE: health.tokenMode,
    PROOF_BINDING: health.proofBinding,
    USE_GAS_WALLET: String(settlement.some((route) => route.gasWallet)),
  };
  const plain = Object.entries(rows).map(([name, deployed]) => [name, settings[name]?.trim().replace(/\/$/, '') || undefined, deployed]);
  return [
    ...plain,
    ['KEY0_RPC_URL', hosts('KEY0_RPC_URL'), health.rpc?.map(({ host }) => host).join(', ')],
    ['FACILITATOR_URL', hosts('FACILITATOR_URL'), settlement.flatMap((route) => route.facilitator ?? []).join(', ')],
    [EMPTY.includes(settings.PLANS) ? 'catalog.json' : 'PLANS', plansOf(settings.PLANS || readCatalog()), plansOf(list?.plans && JSON.stringify(list.plans))],
  ];
}

const hostOf = (url) => (URL.canParse(url) ? new URL(url).hostname : undefined);

/** The limits of a plan, for comparison. */
function limitsOf({ quota, rate, concurrency }) {
  const said = [
    quota?.calls && `${quota.calls} calls`,
    quota?.credit && `calls for ${quota.credit}`,
    rate && `${rate.calls} per ${rate.per}`,
    concurrency && `${concurrency} at a time`,
  ].filter(Boolean);
  return said.length ? ` (${said.join(', ')})` : '';
}

/** Plans with their prices, as a person reads them. @param {string} [text] */
function plansOf(text) {
  try {
    const all = JSON.parse(text ?? '');
    return (all.plans ?? all).map((plan) => `${plan.planId} ${plan.unitAmount}${limitsOf(plan.limits ?? plan)}`).join(', ') || undefined;
  } catch {
    return undefined; // The worker says what is wrong with it.
  }
}

/** The RPC endpoints of a file. @param {Record<string, string>} settings @returns {string[]} */
export const endpointsOf = (settings) => (settings.KEY0_RPC_URL ?? '').split(',').map((url) => url.trim()).filter(Boolean);
