// Promises: the bought token is used once, at the endpoint that the grant names, and is not printed.

import { named } from './refusal.mjs';
import { indent, plain, stop, tell } from './say.mjs';

export async function useToken(grant) {
  if (!grant.resourceEndpoint) return tell('\nThe seller names no endpoint; the token is a Bearer token for its API.');
  tell(plain(`\nGET ${grant.resourceEndpoint}`));
  const init = { headers: { authorization: `${grant.tokenType} ${grant.accessToken}` } };
  const answer = await fetch(grant.resourceEndpoint, init).catch((error) =>
    stop(`Nothing answers there (${error.cause?.code ?? error.message}). The purchase is good: ${named(grant.requestId)} --token prints the token again.`),
  );
  tell(plain(`  ${answer.status} ${answer.statusText}`));
  tell(plain(indent(await answer.text())));
  if (!answer.ok) process.exitCode = 1;
}
