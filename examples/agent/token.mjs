// Promises: the bought token is used once, at the endpoint that the grant names, and is never printed.

import { indent, plain } from './say.mjs';

export async function useToken(grant) {
  if (!grant.resourceEndpoint) return console.log('\nThe seller names no endpoint; the token is a Bearer token for its API.');
  console.log(plain(`\nGET ${grant.resourceEndpoint}`));
  const answer = await fetch(grant.resourceEndpoint, { headers: { authorization: `${grant.tokenType} ${grant.accessToken}` } });
  console.log(plain(`  ${answer.status} ${answer.statusText}`));
  console.log(plain(indent(await answer.text())));
  if (!answer.ok) process.exitCode = 1;
}
