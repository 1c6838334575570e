// Promises: the table of hostile and odd tokens beside this file, made again byte for byte. What is expected of each token
// is written here by hand; nothing here asks the crate. Signatures come from `jose` where it agrees to sign such a thing, and
// from Node's own crypto (OpenSSL) where no library would.
//
//   node validator/tests/hostile/generate.mjs            writes table.jsonl
//   node validator/tests/hostile/generate.mjs --check    compares, exit code 1 if it differs

import { createHmac, createPrivateKey, createPublicKey, constants, privateEncrypt, createHash, sign as rsaSign } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { CompactSign } from 'jose';

const at = (path) => new URL(path, import.meta.url);
const read = (path) => readFileSync(at(path), 'utf8');
const SECRET = 'the current secret of these tests, long enough';
const OLD_SECRET = 'the secret before it, which is long enough too';
const NOW = 1_800_000_000;
const KEYS = Object.fromEntries(['a', 'b', 'c'].map((name) => [name, createPrivateKey(read(`../keys/${name}.pem`))]));
const CLAIMS = {
  sub: '2f1d0a52-7b0c-4c5e-9a3e-0c5b8f6f2a11',
  jti: 'c-77',
  resourceId: 'default',
  planId: 'basic',
  txHash: '0xabc',
  iat: NOW - 10,
  exp: NOW + 3600,
  iss: 'https://seller.example',
  payer: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
  chainId: 8453,
};
const SERVICE = { sub: 'key0-service', jti: '4f0c', resourceId: 'https://api.example.com', planId: 'system', txHash: 'system-auth', iat: NOW - 5, exp: NOW + 55 };
const JSON_CLAIMS = JSON.stringify(CLAIMS);
const HS = '{"alg":"HS256","typ":"JWT"}';
const RS = '{"alg":"RS256","typ":"JWT"}';

const b64 = (data) => Buffer.from(data).toString('base64url');
const hmac = (signed, secret = SECRET, hash = 'sha256') => createHmac(hash, secret).update(signed).digest('base64url');
const rsa = (signed, key = 'a', hash = 'sha256') => rsaSign(hash, Buffer.from(signed), KEYS[key]).toString('base64url');
/** A token of exactly these bytes. */
const hs = (header, payload = JSON_CLAIMS, secret = SECRET) => hsRaw(b64(header), b64(payload), secret);
const hsRaw = (header, payload, secret = SECRET) => `${header}.${payload}.${hmac(`${header}.${payload}`, secret)}`;
const rs = (header, payload = JSON_CLAIMS, key = 'a') => rsRaw(b64(header), b64(payload), key);
const rsRaw = (header, payload, key = 'a') => `${header}.${payload}.${rsa(`${header}.${payload}`, key)}`;
const claims = (changes) => JSON.stringify({ ...CLAIMS, ...changes });
/** The claims with one value written literally. */
const literal = (name, json) => JSON_CLAIMS.replace(JSON.stringify({ [name]: CLAIMS[name] }).slice(1, -1), `"${name}":${json}`);
const without = (name) => JSON.stringify({ ...CLAIMS, [name]: undefined });
const first = (member, json = JSON_CLAIMS) => json.replace('{', `{${member},`);
const last = (member, json = JSON_CLAIMS) => json.replace(/\}$/, `,${member}}`);
const jose = (alg, key, header = {}, payload = JSON_CLAIMS) => new CompactSign(Buffer.from(payload)).setProtectedHeader({ alg, ...header }).sign(key);

const rows = [];
const row = (config, verdict, code, says, name, authorization) => rows.push({ name, config, authorization, verdict, code, says });
const valid = (config, name, token) => row(config, 'valid', null, 'valid', name, `Bearer ${token}`);
const invalid = (config, says, name, token) => row(config, 'invalid', 'INVALID_REQUEST', says, name, `Bearer ${token}`);
const header = (says, name, authorization) => row('hs256', 'invalid', 'INVALID_REQUEST', says, name, authorization);
const expired = (config, name, token) => row(config, 'expired', 'CHALLENGE_EXPIRED', 'expired at', name, `Bearer ${token}`);

const SIGNATURE = "signature does not match";
const MISFIT = 'does not have the length';
const NOT_JWT = 'not a signed JWT';
const ONE_TOKEN = 'exactly one token';
const SCHEME = 'Bearer scheme';
const HEADER_JSON = 'header is not a JSON object';
const CLAIMS_JSON = 'claims part is not a JSON object';

// Good tokens, odd or not. A table of refusals alone would be passed by a crate that refuses everything.
const good = await jose('HS256', Buffer.from(SECRET));
const goodRs = await jose('RS256', KEYS.a);
valid('hs256', 'jose, HS256', good);
valid('hs256', 'jose, HS256, typ', await jose('HS256', Buffer.from(SECRET), { typ: 'JWT' }));
valid('hs256', 'jose, HS256, older secret', await jose('HS256', Buffer.from(OLD_SECRET)));
valid('hs256', 'jose, HS256, foreign kid', await jose('HS256', Buffer.from(SECRET), { kid: 'somebody' }));
valid('hs256', 'jose, HS256, members that mean nothing', await jose('HS256', Buffer.from(SECRET), { jku: 'https://evil.example/keys', x5u: 'https://evil.example', cty: 'x', foo: { bar: [1, null] } }));
valid('rs256', 'jose, RS256', goodRs);
valid('rs256', 'jose, RS256, typ at+jwt', await jose('RS256', KEYS.a, { typ: 'at+jwt' }));
valid('rs256', 'jose, RS256, foreign kid', await jose('RS256', KEYS.a, { kid: 'somebody' }));
valid('jwks', 'jose, RS256, key a by name', await jose('RS256', KEYS.a, { kid: 'a' }));
valid('jwks', 'jose, RS256, key c of 4096 bits by name', await jose('RS256', KEYS.c, { kid: 'c', typ: 'JWT' }));
valid('jwks', 'jose, RS256, key c without a name', await jose('RS256', KEYS.c));
valid('strict', 'what is expected is there', hs(HS));
for (const iss of ['https://seller.example/', 'https://seller.example//']) valid('strict', `the same issuer as ${iss}`, hs(HS, claims({ iss })));
valid('service', 'the gateway itself', hs(HS, JSON.stringify(SERVICE)));
for (const typ of ['JWT', 'jwt', 'at+jwt', 'AT+JWT', 'application/at+jwt', 'application/jwt']) valid('hs256', `typ ${typ}`, hs(`{"alg":"HS256","typ":"${typ}"}`));
for (const [name, json] of [
  ['white space everywhere', JSON.stringify(CLAIMS, null, 2)],
  ['escaped names', JSON_CLAIMS.replace('"sub"', '"s\\u0075b"').replace('"exp"', '"\\u0065\\u0078\\u0070"')],
  ['escaped strings', literal('jti', '"\\u0063\\u002d77"')],
  ['a surrogate pair', literal('sub', '"\\ud83d\\ude00"')],
  ['letters of all kinds', literal('sub', '"日本 é \\" \\\\ \\/ \u007f"')],
  ['a further claim of each kind', last('"a":null,"b":[1,{"c":[]}],"d":true,"e":-1.5E+10,"f":"x","g":{}')],
  ['the same name in two objects', last('"a":{"x":1},"b":{"x":1}')],
  ['the name of a claim deeper down', last('"a":{"exp":1,"exp2":1,"planId":"system"}')],
  ['dates first', JSON.stringify({ exp: CLAIMS.exp, iat: CLAIMS.iat, ...CLAIMS })],
  ['no iat', without('iat')],
  ['no iss', without('iss')],
  ['no payer', without('payer')],
  ['limits', last('"grant":"2f1d0a52","limits":{"quota":{"calls":1650},"rate":{"calls":100,"per":"minute"},"concurrency":10}')],
  ['limits in no form of ours, which are only shown', last('"grant":[1],"limits":{"quota":"much","rate":{"per":"day"}}')],
  ['limits that are a number', last('"grant":null,"limits":5')],
  ['limits first', first('"limits":{"concurrency":10},"grant":"2f1d0a52"')],
  ['chainId with zeros behind the point', literal('chainId', '8453.0')],
  ['chainId as a power', literal('chainId', '8.453e3')],
  ['chainId first', JSON.stringify({ chainId: CLAIMS.chainId, ...CLAIMS })],
  ['exp with a fraction', literal('exp', '1800000000.5')],
  ['exp as a power', literal('exp', '18000036e2')],
  ['exp with zeros behind the point', literal('exp', '1800003600.000')],
  ['exp one second ahead', literal('exp', '1800000001')],
  ['exp beyond 2^53', literal('exp', '9007199254740993')],
  ['exp beyond 2^64', literal('exp', '18446744073709551617')],
  ['exp as 1e400', literal('exp', '1e400')],
  ['iat negative', literal('iat', '-1')],
  ['iat ahead', literal('iat', '1900000000')],
  ['iat with a fraction', literal('iat', '1799999990.25')],
  ['nbf now', last('"nbf":1800000000')],
  ['nbf long ago, huge negative', last('"nbf":-1e99')],
  ['thirty-two members', last(Array.from({ length: 22 }, (_, i) => `"m${i}":0`).join(','))],
  ['depth of fifteen', last(`"d":${'['.repeat(15)}${']'.repeat(15)}`)],
]) valid('hs256', name, hs(HS, json));
for (const scheme of ['bearer', 'BEARER', 'bEARer', 'Bearer ', 'Bearer    ']) row('hs256', 'valid', null, 'valid', `scheme "${scheme}"`, `${scheme} ${good}`);

// The header line.
header(SCHEME, 'empty', '');
for (const scheme of ['Basic', 'Token', 'JWT', 'DPoP', 'Bear', 'Bearers', 'Bearer:', 'Bearer=', '"Bearer"', 'Negotiate', 'BearerToken']) header(SCHEME, `scheme ${scheme}`, `${scheme} ${good}`);
header(SCHEME, 'no scheme', good);
header(SCHEME, 'a space in front', ` Bearer ${good}`);
header(SCHEME, 'a tab behind the scheme', `Bearer\t${good}`);
header(SCHEME, 'no space', `Bearer${good}`);
header(SCHEME, 'a long s', `ſBearer ${good}`);
header(SCHEME, 'Cyrillic letters', `Веarer ${good}`);
header(ONE_TOKEN, 'scheme alone', 'Bearer');
header(ONE_TOKEN, 'scheme and space', 'Bearer ');
header(ONE_TOKEN, 'scheme and spaces', 'Bearer     ');
for (const [name, behind] of [['a space', ' '], ['a line end', '\n'], ['a carriage return', '\r'], ['a tab', '\t'], ['a NUL', '\0'], ['a comma', ','], ['a semicolon', ';'], ['a letter of two bytes', 'é'], ['a no-break space', ' '], ['DEL', '\x7f'], ['a quote', '"']]) {
  header(ONE_TOKEN, `${name} behind the token`, `Bearer ${good}${behind}`);
  header(ONE_TOKEN, `${name} before the token`, `Bearer ${behind === ' ' ? '\t' : behind}${good}`);
}
header(ONE_TOKEN, 'a token twice', `Bearer ${good} ${good}`);
header(ONE_TOKEN, 'a list', `Bearer ${good},${good}`);
header(ONE_TOKEN, 'a list of headers', `Bearer ${good}, Bearer ${good}`);
header(ONE_TOKEN, 'in quotes', `Bearer "${good}"`);
header(ONE_TOKEN, 'a parameter', `Bearer ${good}; realm=x`);
header(ONE_TOKEN, 'token=', `Bearer token="${good}"`);
header('too long', '8193 bytes', `Bearer ${'A'.repeat(8186)}`);
header('too long', '8193 bytes, two dots', `Bearer ${'A'.repeat(4000)}.${'A'.repeat(4141)}.${'A'.repeat(43)}`);
header(NOT_JWT, '8192 letters', `Bearer ${'A'.repeat(8185)}`);

// The parts of a token.
const [h, p, s] = good.split('.');
for (const [name, token] of [
  ['one letter', 'x'], ['one part', p], ['header and payload', `${h}.${p}`], ['header and signature', `${h}.${s}`], ['a dot', '.'], ['three dots', '...'],
  ['a fourth part', `${good}.`], ['a JWE of five parts', `${h}.${p}.${s}.${s}.${s}`.slice(0, -1)], ['the JSON serialisation', JSON.stringify({ payload: p }).replaceAll('"', '')],
]) invalid('hs256', NOT_JWT, name, token);
for (const [name, token] of [
  ['two dots', '..'], ['no signature', `${h}.${p}.`], ['a signature too short', `${h}.${p}.${s.slice(1)}`], ['a signature too long', `${good}A`],
  ['padding behind the signature', `${good}=`], ['an RSA signature', goodRs], ['a signature of HS512', `${h}.${p}.${hmac(`${h}.${p}`, SECRET, 'sha512')}`],
  ['a signature of HS384', `${h}.${p}.${hmac(`${h}.${p}`, SECRET, 'sha384')}`], ['a signature of HS1', `${h}.${p}.${hmac(`${h}.${p}`, SECRET, 'sha1')}`],
  ['a signature in hexadecimal', `${h}.${p}.${Buffer.from(s, 'base64url').toString('hex')}`],
]) invalid('hs256', MISFIT, name, token);
for (const [name, signature] of [
  ['+ in the signature', `${s.slice(0, 42)}+`], ['/ in the signature', `/${s.slice(1)}`], ['= in the signature', `${s.slice(0, 42)}=`], ['a dot in the signature', `${s.slice(0, 20)}.${s.slice(21)}`],
  ['bits behind the signature', `${s.slice(0, 42)}${'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.indexOf(s[42]) + 1]}`],
  ['% in the signature', `%41${s.slice(3)}`],
]) invalid('hs256', 'signature is not canonical', name, `${h}.${p}.${signature}`);
for (const [name, token] of [
  ['a signature of zeros', `${h}.${p}.${'A'.repeat(43)}`], ['no payload', `${h}..${s}`], ['another payload', `${h}.${b64(claims({ planId: 'gold' }))}.${s}`], ['the payload of another token', `${h}.${b64(JSON.stringify(SERVICE))}.${s}`],
  ['another header', `${b64(HS)}.${p}.${s}`], ['the signature of the payload alone', `${h}.${p}.${hmac(p)}`], ['the signature without the dot', `${h}.${p}.${hmac(h + p)}`],
  ['a foreign secret', hs(HS, JSON_CLAIMS, 'a secret of somebody else, long enough')], ['an empty secret', hs(HS, JSON_CLAIMS, '')], ['the secret and a line end', hs(HS, JSON_CLAIMS, `${SECRET}\n`)],
  ['the secret in base64', hs(HS, JSON_CLAIMS, b64(SECRET))], ['the secret in other letters', hs(HS, JSON_CLAIMS, SECRET.toUpperCase())], ['the secret with a NUL behind', hs(HS, JSON_CLAIMS, `${SECRET}x`)],
  ['a payload with padding', `${h}.${p}=.${s}`], ['expired, under a foreign secret', hs(HS, claims({ exp: 1 }), 'a secret of somebody else, long enough')],
  ['no JSON, under a foreign secret', hs(HS, 'x', 'a secret of somebody else, long enough')], ['the signature reversed', `${h}.${p}.${Buffer.from(s, 'base64url').reverse().toString('base64url')}`],
]) invalid('hs256', SIGNATURE, name, token);

// The token's header. All of these are signed with the right secret.
const ALG = 'does not name the expected algorithm';
for (const alg of ['none', 'None', 'NONE', 'nOnE', '', ' ', 'hs256', 'HS256 ', ' HS256', 'HS2560', 'HS25', 'HS384', 'HS512', 'RS256', 'PS256', 'ES256', 'EdDSA', 'dir', 'HMAC', 'SHA256', 'HS256\\u0000', 'ΗS256']) {
  invalid('hs256', ALG, `alg "${alg}"`, hs(`{"alg":"${alg}","typ":"JWT"}`));
}
invalid('hs256', MISFIT, 'alg none without a signature', `${b64('{"alg":"none"}')}.${p}.`);
invalid('hs256', MISFIT, 'alg none with a typ and no signature', `${b64('{"typ":"JWT","alg":"none"}')}.${p}.`);
invalid('hs256', ALG, 'alg none with a signature of zeros', `${b64('{"alg":"none"}')}.${p}.${'A'.repeat(43)}`);
invalid('hs256', ALG, 'an empty header', hs('{}'));
invalid('hs256', ALG, 'no alg', hs('{"typ":"JWT"}'));
invalid('hs256', ALG, 'Alg', hs('{"Alg":"HS256"}'));
invalid('hs256', ALG, 'ALG', hs('{"ALG":"HS256"}'));
for (const value of ['null', 'true', '256', '["HS256"]', '{"alg":"HS256"}', '{}', '[]']) invalid('hs256', 'header has a member of the wrong type', `alg ${value}`, hs(`{"alg":${value}}`));
for (const [member, value] of [['typ', 'null'], ['typ', '1'], ['typ', '["JWT"]'], ['kid', 'null'], ['kid', '1'], ['kid', '{}'], ['kid', '["a"]']]) invalid('hs256', 'header has a member of the wrong type', `${member} ${value}`, hs(`{"alg":"HS256","${member}":${value}}`));
for (const typ of ['', 'JWE', 'JOSE', 'JOSE+JSON', 'dpop+jwt', 'logout+jwt', 'id_token', 'secevent+jwt', 'text/jwt', 'JWT ', 'application/JWE']) invalid('hs256', 'type that is not', `typ "${typ}"`, hs(`{"alg":"HS256","typ":"${typ}"}`));
for (const [member, value] of [['crit', '["exp"]'], ['crit', '["b64"]'], ['crit', '[]'], ['crit', 'null'], ['crit', '"exp"'], ['b64', 'true'], ['b64', 'false'], ['b64', 'null'], ['enc', '"A256GCM"'], ['zip', '"DEF"'], ['zip', 'null']]) {
  invalid('hs256', `header has the member ${member}`, `${member} ${value}`, hs(`{"alg":"HS256","${member}":${value}}`));
}
invalid('hs256', 'header has the member crit', 'b64 by the book of RFC 7797', hs('{"alg":"HS256","b64":false,"crit":["b64"]}'));
for (const json of ['{"alg":"HS256","alg":"HS256"}', '{"alg":"none","alg":"HS256"}', '{"alg":"HS256","alg":"none"}', '{"alg":"HS256","al\\u0067":"HS256"}', '{"alg":"HS256","kid":"a","kid":"b"}', '{"alg":"HS256","typ":"JWT","typ":"JWT"}', '{"alg":"HS256","x":{"y":1,"y":2}}']) {
  invalid('hs256', 'header has a name twice', json, hs(json));
}
for (const json of ['{"\\u0061lg":"HS256"}', '{"alg":"HS256","\\u0063rit":["x"]}', '{"alg":"HS256","x\\n":1}']) invalid('hs256', 'header has an escaped name', json, hs(json));
for (const json of ['', 'null', '[]', '"HS256"', '1', '{', '}', '{"alg":"HS256"', '{"alg":"HS256",}', '{"alg":"HS256"}}', '{"alg":"HS256"}x', '{"alg":"HS256"}{"alg":"none"}', "{'alg':'HS256'}", '{alg:"HS256"}', '{"alg":"HS256"}\0', '\ufeff{"alg":"HS256"}', '{"alg":"HS256" "typ":"JWT"}', '{"alg":"HS256",,"typ":"JWT"}', '{"alg"="HS256"}', '/**/{"alg":"HS256"}', '{"alg":"HS256\n"}', '["alg","HS256"]']) {
  invalid('hs256', HEADER_JSON, `header ${JSON.stringify(json)}`, hs(json));
}
invalid('hs256', 'header is not UTF-8', 'a header in Latin-1', hsRaw(b64(Buffer.from('{"alg":"HS256","x":"\xff"}', 'latin1')), p));
invalid('hs256', 'header is not UTF-8', 'a header in UTF-16', hsRaw(b64(Buffer.from('\ufeff{"alg":"HS256"}', 'utf16le')), p));
invalid('hs256', 'header is too big', 'a header of 1025 symbols', hsRaw('A'.repeat(1025), p));
invalid('hs256', 'header is too big', 'a header of 33 members', hs(`{"alg":"HS256"${Array.from({ length: 32 }, (_, i) => `,"${i}":0`).join('')}}`));
invalid('hs256', 'header is too big', 'a header sixteen deep', hs(`{"alg":"HS256","x":${'['.repeat(16)}${']'.repeat(16)}}`));
for (const [name, encoded] of [['padding', `${b64(HS)}=`], ['+', `${h.slice(0, -1)}+`], ['bits behind', 'eyJhbGciOiJIUzI1NiJ9eyJ'], ['a length of 4n + 1', `${h}A`.slice(0, 21)]]) invalid('hs256', 'header is not canonical', `a header with ${name}`, hsRaw(encoded, p));

// Claims. All of these are signed with the right secret.
for (const name of ['sub', 'jti', 'resourceId', 'planId', 'txHash', 'exp']) {
  invalid('hs256', `lacks the claim ${name}`, `no ${name}`, hs(HS, without(name)));
  const texts = name === 'exp' ? ['"1800003600"', '""', '"never"'] : ['""', '1', '1.5'];
  for (const value of [...texts, 'null', 'true', 'false', '[]', '{}', name === 'exp' ? '[1800003600]' : '["default"]']) invalid('hs256', `claim ${name} is empty or of the wrong type`, `${name} ${value}`, hs(HS, literal(name, value)));
}
for (const [name, value] of [['iat', '"now"'], ['iat', 'null'], ['iat', 'true'], ['iss', '1'], ['iss', 'null'], ['iss', '["https://seller.example"]'], ['payer', '{}'], ['payer', 'false']]) invalid('hs256', `claim ${name} is empty or of the wrong type`, `${name} ${value}`, hs(HS, literal(name, value)));
for (const value of ['"0"', 'null', 'false', '[]']) invalid('hs256', 'claim nbf is empty or of the wrong type', `nbf ${value}`, hs(HS, last(`"nbf":${value}`)));
for (const value of ['1800000001', '1800000000.1', '1e10', '1e400', '18446744073709551616']) invalid('hs256', 'not valid yet', `nbf ${value}`, hs(HS, last(`"nbf":${value}`)));
for (const value of ['1800000000', '1799999999', '1799999999.5', '0', '-0', '-1', '1', '1e-400', '-1e400', '17.9e8', '1799999999.999999999999999999']) expired('hs256', `exp ${value}`, hs(HS, literal('exp', value)));
expired('rs256', 'RS256, expired', rs(RS, claims({ exp: NOW })));
expired('service', 'the gateway itself, too late', hs(HS, JSON.stringify({ ...SERVICE, iat: NOW - 60, exp: NOW })));
for (const value of ['+1800003600', '01800003600', '1800003600.', '.5', '0x6b49d200', '1_800_003_600', 'Infinity', '-Infinity', 'NaN', '1e', '1e+', '--1', '1800003600n', '١٨٠٠٠٠٣٦٠٠']) invalid('hs256', CLAIMS_JSON, `exp ${value}`, hs(HS, literal('exp', value)));
for (const member of ['"planId":"gold"', '"exp":9999999999', '"sub":"x"', '"iss":"x"', '"pl\\u0061nId":"gold"', '"x":1,"x":1', '"x":{"y":1,"y":1}', '"x":[{"y":1,"\\u0079":1}]', '"nbf":1,"nbf":1', '"grant":"a","grant":"b"', '"limits":{"quota":{"calls":1,"calls":2}}', '"limits":{},"l\\u0069mits":{"concurrency":1}']) invalid('hs256', 'claims part has a name twice', `twice: ${member}`, hs(HS, first(member)));
for (const [name, json] of [
  ['empty', ''], ['null', 'null'], ['a text', '"x"'], ['a number', '7'], ['a list', `[${JSON_CLAIMS}]`], ['two objects', JSON_CLAIMS + JSON_CLAIMS], ['something behind', `${JSON_CLAIMS}x`], ['a NUL behind', `${JSON_CLAIMS}\0`], ['a byte order mark', `\ufeff${JSON_CLAIMS}`],
  ['cut off', JSON_CLAIMS.slice(0, -1)], ['a comma behind', JSON_CLAIMS.replace(/\}$/, ',}')], ['single quotes', JSON_CLAIMS.replaceAll('"', "'")], ['a comment', JSON_CLAIMS.replace('{', '{/**/')], ['names without quotes', JSON_CLAIMS.replace('"sub"', 'sub')],
  ['a lone surrogate', literal('sub', '"\\ud800"')], ['surrogates the wrong way round', literal('sub', '"\\ude00\\ud83d"')], ['a line end in a string', literal('sub', '"a\nb"')], ['a NUL in a string', literal('sub', '"a\0b"')], ['an unknown escape', literal('sub', '"\\x41"')], ['half an escape', literal('sub', '"\\u00"')],
  ['a form feed as white space', JSON_CLAIMS.replace(',', ',\f')], ['a no-break space as white space', JSON_CLAIMS.replace(',', ',\u00a0')], ['True', last('"x":True')], ['undefined', last('"x":undefined')], ['a hole in a list', last('"x":[1,,2]')], ['an open list', last('"x":[1')], ['a whole token', good],
]) invalid('hs256', CLAIMS_JSON, `claims: ${name}`, hs(HS, json));
invalid('hs256', 'lacks the claim sub', 'no claims', hs(HS, '{}'));
invalid('hs256', 'lacks the claim sub', 'claims inside a claim', hs(HS, JSON.stringify({ claims: CLAIMS })));
invalid('hs256', 'lacks the claim planId', 'planID', hs(HS, JSON_CLAIMS.replace('planId', 'planID')));
invalid('hs256', 'lacks the claim planId', 'plan_id', hs(HS, JSON_CLAIMS.replace('planId', 'plan_id')));
invalid('hs256', 'lacks the claim exp', 'EXP', hs(HS, JSON_CLAIMS.replace('"exp"', '"EXP"')));
invalid('hs256', 'claims part is not UTF-8', 'claims in Latin-1', hsRaw(b64(HS), b64(Buffer.from(literal('sub', '"\xe9"'), 'latin1'))));
invalid('hs256', 'claims part is not UTF-8', 'an overlong slash', hsRaw(b64(HS), b64(Buffer.from(literal('sub', '"\xc0\xaf"'), 'latin1'))));
invalid('hs256', 'claims part is not UTF-8', 'a surrogate in UTF-8', hsRaw(b64(HS), b64(Buffer.from(literal('sub', '"\xed\xa0\x80"'), 'latin1'))));
for (const encoded of ['e30=', 'e31', 'e', 'e3-', 'e3 0', 'e3+0', 'e3/0', 'e3.0', '%7B%7D', 'e30%3D', 'e30\n']) {
  invalid('hs256', 'claims part is not canonical', `a payload of ${JSON.stringify(encoded)}`, hsRaw(b64(HS), encoded));
}
invalid('hs256', 'claims part is too big', '33 claims', hs(HS, last(Array.from({ length: 24 }, (_, i) => `"m${i}":0`).join(','))));
invalid('hs256', 'claims part is too big', 'claims sixteen deep', hs(HS, last(`"x":${'['.repeat(16)}${']'.repeat(16)}`)));
invalid('hs256', 'claims part is too big', 'claims two thousand deep', hs(HS, last(`"x":${'[{"a":'.repeat(300)}`)));

// Who may act as whom.
invalid('hs256', 'between services', "the gateway's own token", hs(HS, JSON.stringify(SERVICE)));
invalid('hs256', 'between services', 'planId system', hs(HS, claims({ planId: 'system' })));
invalid('hs256', 'between services', 'planId system in escapes', hs(HS, literal('planId', '"\\u0073ystem"')));
invalid('hs256', 'between services', "the gateway's subject", hs(HS, claims({ sub: 'key0-service' })));
invalid('hs256', 'between services', "the gateway's transaction", hs(HS, claims({ txHash: 'system-auth' })));
invalid('rs256', 'between services', "the gateway's own token, RS256", rs(RS, JSON.stringify(SERVICE)));
invalid('service', 'not one for calls between services', "a buyer's token", hs(HS));
for (const [name, changes, says] of [
  ['another plan', { planId: 'basic' }, 'not one for calls between services'], ['another subject', { sub: 'x' }, 'not one for calls between services'], ['a transaction', { txHash: '0xabc' }, 'not one for calls between services'],
  ['another audience', { resourceId: 'https://other.example' }, 'for another service'], ['no audience', { resourceId: undefined }, 'lacks the claim resourceId'], ['a life of 61 seconds', { iat: NOW - 6 }, 'claim exp'],
  ['no iat', { iat: undefined }, 'lacks the claim iat'], ['iat ahead', { iat: NOW + 1 }, 'not valid yet'], ['no jti', { jti: undefined }, 'lacks the claim jti'], ['an audience that begins alike', { resourceId: 'https://api.example.com/' }, 'for another service'],
]) invalid('service', says, `service token with ${name}`, hs(HS, JSON.stringify({ ...SERVICE, ...changes })));
for (const [changes, says] of [
  [{ iss: 'https://Seller.example' }, 'issued by another gateway'], [{ iss: undefined }, 'issued by another gateway'], [{ iss: '' }, 'issued by another gateway'],
  [{ resourceId: 'Default' }, 'for another resource'], [{ resourceId: 'default ' }, 'for another resource'], [{ planId: 'basi' }, 'its plan does not include this'], [{ planId: 'basic\0' }, 'its plan does not include this'],
]) invalid('strict', says, `expected otherwise: ${JSON.stringify(changes)}`, hs(HS, claims(changes)));

// Which money paid.
invalid('hs256', 'lacks the claim chainId', 'no chainId', hs(HS, without('chainId')));
for (const value of ['"8453"', '""', 'null', 'true', '[8453]', '{}', '8453.5', '-8453', '-1', '1e-1']) invalid('hs256', 'claim chainId is empty or of the wrong type', `chainId ${value}`, hs(HS, literal('chainId', value)));
for (const value of ['0', '1', '8454', '845', '84530', '18446744073709551616', '1e400']) invalid('hs256', 'paid on another chain', `chainId ${value}`, hs(HS, literal('chainId', value)));
invalid('hs256', 'bought with test money on Base Sepolia', 'test money', hs(HS, claims({ chainId: 84532 })));
invalid('rs256', 'bought with test money on Base Sepolia', 'test money, RS256', rs(RS, claims({ chainId: 84532 })));
valid('testnet', 'test money where it is accepted', hs(HS, claims({ chainId: 84532 })));
valid('testnet', 'money where test money is accepted', hs(HS));
invalid('testnet', 'paid on another chain', 'another chain where test money is accepted', hs(HS, claims({ chainId: 1 })));
valid('chain', 'the chain that is expected', hs(HS, claims({ chainId: 31337 })));
invalid('chain', 'paid on another chain', 'Base where another chain is expected', hs(HS));

// RS256: keys and signatures.
const rsSigned = `${b64(RS)}.${b64(JSON_CLAIMS)}`;
const modulus = Buffer.from(createPublicKey(KEYS.a).export({ format: 'jwk' }).n, 'base64url');
/** The raw private operation over any block: what no library signs. */
const raw = (block) => privateEncrypt({ key: KEYS.a, padding: constants.RSA_NO_PADDING }, block).toString('base64url');
const digest = createHash('sha256').update(rsSigned).digest();
const info = Buffer.from('3031300d060960864801650304020105000420', 'hex');
const block = ({ type = 1, fill = 0xff, head = 0, prefix = info, hash = digest, garbage = Buffer.alloc(0), zero = 0 }) => {
  const tail = Buffer.concat([Buffer.from([zero]), prefix, hash, garbage]);
  return Buffer.concat([Buffer.from([head, type]), Buffer.alloc(256 - 2 - tail.length, fill), tail]);
};
valid('rs256', 'the raw operation over the right block', `${rsSigned}.${raw(block({}))}`);
const short = (padding) => {
  const body = Buffer.concat([Buffer.from([0, 1]), Buffer.alloc(padding, 0xff), Buffer.from([0]), info, digest]);
  return Buffer.concat([body, Buffer.alloc(256 - body.length, 0x41)]);
};
for (const [name, signature] of [
  ['a signature by another key', rsa(rsSigned, 'b')], ['a signature with SHA-512', rsa(rsSigned, 'a', 'sha512')], ['a signature with SHA-1', rsa(rsSigned, 'a', 'sha1')], ['a signature of zeros', b64(Buffer.alloc(256))], ['a signature of one', b64(Buffer.concat([Buffer.alloc(255), Buffer.from([1])]))],
  ['the modulus as signature', b64(modulus)], ['all bits set', b64(Buffer.alloc(256, 0xff))], ['PSS', rsaSign('sha256', Buffer.from(rsSigned), { key: KEYS.a, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 0 }).toString('base64url')],
  ['block type 0', raw(block({ type: 0 }))], ['block type 2', raw(block({ type: 2 }))], ['padding of zeros', raw(block({ fill: 0 }))], ['padding of 0xfe', raw(block({ fill: 0xfe }))], ['no zero behind the padding', raw(block({ zero: 0xff }))],
  ['no DigestInfo', raw(block({ prefix: Buffer.alloc(0) }))], ['DigestInfo without NULL', raw(block({ prefix: Buffer.from('302f300b0609608648016503040201' + '0420', 'hex') }))], ['DigestInfo of SHA-512', raw(block({ prefix: Buffer.from('3051300d060960864801650304020305000440', 'hex') }))],
  ['DigestInfo in long form', raw(block({ prefix: Buffer.from('308131300d060960864801650304020105000420', 'hex') }))], ['garbage behind the hash (Bleichenbacher 2006)', raw(short(8))], ['garbage behind the hash, little padding', raw(short(0))], ['one byte of garbage', raw(block({ garbage: Buffer.from([0]) }))],
  ['half the hash', raw(block({ hash: digest.subarray(0, 16) }))], ['the hash of another text', raw(block({ hash: createHash('sha256').update('x').digest() }))],
]) invalid('rs256', SIGNATURE, name, `${rsSigned}.${signature}`);
for (const [name, token] of [
  ['an HMAC under the public key (algorithm confusion)', hs(HS, JSON_CLAIMS, read('../keys/a.pub.pem'))], ['the same, calling itself RS256', hs(RS, JSON_CLAIMS, read('../keys/a.pub.pem'))], ['the same, key without line ends', hs(RS, JSON_CLAIMS, read('../keys/a.pub.pem').replaceAll('\n', ''))],
  ['HS256 under the shared secret', good], ['alg none', `${b64('{"alg":"none"}')}.${p}.`], ['a signature one byte short', `${rsSigned}.${b64(Buffer.from(rsa(rsSigned), 'base64url').subarray(1))}`], ['a zero byte in front of the signature', `${rsSigned}.${b64(Buffer.concat([Buffer.alloc(1), Buffer.from(rsa(rsSigned), 'base64url')]))}`],
  ['a key of 4096 bits that is not known', rs(RS, JSON_CLAIMS, 'c')],
]) invalid('rs256', MISFIT, name, token);
for (const alg of ['HS256', 'none', 'PS256', 'RS384', 'RS512', 'ES256', 'rs256', 'RSA']) invalid('rs256', ALG, `signed by the right key as ${alg}`, rs(`{"alg":"${alg}"}`));
const own = createPublicKey(KEYS.b).export({ format: 'jwk' });
for (const [name, json] of [['jwk', JSON.stringify({ alg: 'RS256', jwk: own })], ['jku', '{"alg":"RS256","jku":"https://evil.example/jwks.json"}'], ['x5u', '{"alg":"RS256","x5u":"https://evil.example/b.crt"}'], ['x5c', '{"alg":"RS256","x5c":["MIIB"]}']]) invalid('rs256', SIGNATURE, `brings its own key: ${name}`, rs(json, JSON_CLAIMS, 'b'));
invalid('jwks', SIGNATURE, 'key a in the name of key c', rs('{"alg":"RS256","kid":"c"}'));
invalid('jwks', SIGNATURE, 'key b in the name of key a', rs('{"alg":"RS256","kid":"a"}', JSON_CLAIMS, 'b'));
invalid('jwks', SIGNATURE, 'key b in nobody\'s name', rs('{"alg":"RS256"}', JSON_CLAIMS, 'b'));
for (const kid of ['', 'b', 'A', 'a ', ' a', 'a\\u0000', '../a', "a' OR '1'='1", '/dev/null', 'https://evil.example']) invalid('jwks', 'a key that is not known', `kid "${kid}"`, rs(`{"alg":"RS256","kid":"${kid}"}`));
const [rh, rp, rsig] = goodRs.split('.');
invalid('rs256', SIGNATURE, 'RS256, another payload', `${rh}.${b64(claims({ planId: 'gold' }))}.${rsig}`);
invalid('rs256', 'signature is not canonical', 'RS256, bits behind the signature', `${rh}.${rp}.${rsig.slice(0, -1)}${rsig.at(-1) === 'B' ? 'C' : 'B'}`);
invalid('rs256', 'claims part has a name twice', 'RS256, a claim twice', rs(RS, first('"planId":"gold"')));
invalid('rs256', 'header has the member crit', 'RS256, crit', rs('{"alg":"RS256","crit":["exp"]}'));

const names = rows.map(({ config, name }) => `${config}: ${name}`);
const twice = names.find((name, i) => names.indexOf(name) !== i);
if (twice) throw new Error(`two rows are called ${twice}`);
const table = `${rows.map((entry) => JSON.stringify(entry)).join('\n')}\n`;
if (process.argv.includes('--check')) {
  if (table !== read('table.jsonl')) {
    process.stderr.write('validator/tests/hostile/table.jsonl is not what generate.mjs makes; run it\n');
    process.exit(1);
  }
} else {
  writeFileSync(at('table.jsonl'), table);
}
process.stdout.write(`${rows.length} tokens\n`);
