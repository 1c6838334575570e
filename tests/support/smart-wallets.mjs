// Promises: payers that are contracts: wallets with an owner's key, wallets that do not exist yet, accounts that have delegated
// themselves to code; and what their signatures look like on the wire.

import { encodeAbiParameters, encodeFunctionData, parseAbiParameters } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { CHAIN_ID } from '../../tools/lib/chain.mjs';
import { testAccount } from '../../tools/lib/world.mjs';
import { access, freshNonce, signPayment } from './x402.mjs';

const SUFFIX = '6492'.repeat(16);
const FUNDS = 1_000_000_000n;

/** A wallet of ours with an owner, funded. @param {import('./world.mjs').TestWorld} world */
export async function newWallet({ chain }, name = 'ContractWallet', args) {
  const owner = testAccount();
  const address = await chain.deploy(name, args ?? [owner.address]);
  await chain.mint(address, FUNDS);
  return { address, owner };
}

/** A wallet that does not exist yet, funded. @param {import('./world.mjs').TestWorld} world @param {`0x${string}`} factory */
export async function futureWallet({ chain }, factory) {
  const owner = testAccount();
  const salt = freshNonce();
  const { abi } = chain.contracts.WalletFactory;
  const address = await chain.client.readContract({ address: factory, abi, functionName: 'addressOf', args: [owner.address, salt] });
  await chain.mint(address, FUNDS);
  return { address, owner, factory, call: encodeFunctionData({ abi, functionName: 'create', args: [owner.address, salt] }) };
}

/** An ordinary account that has delegated itself to code (EIP-7702), funded. */
export async function delegated({ chain }, strict) {
  const owner = testAccount();
  const contractAddress = await chain.deploy('AccountDelegate', [strict]);
  const authorization = await privateKeyToAccount(owner.privateKey).signAuthorization({ contractAddress, chainId: CHAIN_ID, nonce: 0 });
  // To nobody: the account's new code has nothing that could be called.
  await chain.transact({ to: testAccount().address, authorizationList: [authorization] });
  await chain.mint(owner.address, FUNDS);
  return { address: owner.address, owner };
}

/** ERC-6492: a signature together with the call that creates its wallet. */
export const wrapped = (factory, call, signature) => `${encodeAbiParameters(parseAbiParameters('address, bytes, bytes'), [factory, call, signature])}${SUFFIX}`;

/**
 * A payment from a wallet, signed by its owner.
 * @param {string} url @param {{address: string, owner: {privateKey: `0x${string}`}}} wallet @param {any} body
 * @param {(signature: `0x${string}`) => string} [form]  what the wallet's signature looks like
 */
export async function signFrom(url, wallet, body, form = (signature) => signature) {
  const { required } = await access(url, body);
  const payment = await signPayment(wallet.owner.privateKey, required, { authorization: { from: wallet.address } });
  payment.payload.signature = form(payment.payload.signature);
  return payment;
}
