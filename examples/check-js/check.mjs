// Checks the access tokens of a key0 seller, with jose. Run as a program, it checks one token for one resource:
//
//   KEY0_ACCESS_TOKEN_SECRET=… ISSUER=https://SELLER CHAIN_ID=8453 node check.mjs TOKEN RESOURCE
//   JWKS_URL=https://SELLER/.well-known/jwks.json ISSUER=https://SELLER CHAIN_ID=8453 node check.mjs TOKEN RESOURCE

import { pathToFileURL } from 'node:url';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const { KEY0_ACCESS_TOKEN_SECRET, JWKS_URL, ISSUER, CHAIN_ID } = process.env; // CHAIN_ID: 8453, Base; 84532, test money
if (!ISSUER || !CHAIN_ID) throw new Error('Set ISSUER and CHAIN_ID.'); // without an issuer jose would check none
const key = JWKS_URL
  ? createRemoteJWKSet(new URL(JWKS_URL))
  : new TextEncoder().encode(KEY0_ACCESS_TOKEN_SECRET); // the text itself: do not decode the hex

export async function check(token, resource) {
  const { payload } = await jwtVerify(token, key, {
    algorithms: [JWKS_URL ? 'RS256' : 'HS256'], // never the token's own choice
    issuer: ISSUER,
    requiredClaims: ['exp', 'sub', 'jti', 'resourceId', 'planId', 'txHash'],
  });
  if (payload.planId === 'system') throw new Error('a token of the worker itself, not a buyer’s');
  if (payload.chainId !== Number(CHAIN_ID)) throw new Error('paid on another chain');
  if (payload.resourceId !== resource) throw new Error('bought for another resource'); // answer 403
  return payload;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [token, resource] = process.argv.slice(2);
  console.log(JSON.stringify(await check(token, resource)));
}
