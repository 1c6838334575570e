"""Mints and checks tokens with PyJWT: one JSON job per line on standard input, one JSON answer per line."""

import json
import sys

import jwt

for line in sys.stdin:
    job = json.loads(line)
    if job["do"] == "mint":
        answer = {"token": jwt.encode(job["claims"], job["key"], algorithm=job["algorithm"], headers=job.get("headers"))}
    else:
        key = jwt.PyJWK(job["jwk"]).key if "jwk" in job else job["key"]
        try:
            required = ["sub", "jti", "iat", "exp", "iss"]
            claims = jwt.decode(job["token"], key, algorithms=[job["algorithm"]], issuer=job["issuer"], options={"require": required})
            answer = {"claims": claims}
        except jwt.InvalidTokenError as error:
            answer = {"refused": type(error).__name__}
    print(json.dumps(answer))
