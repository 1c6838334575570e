"""Checks the access tokens of a key0 seller, with PyJWT. Run as a program, it checks one token for one resource:

KEY0_ACCESS_TOKEN_SECRET=… ISSUER=https://SELLER CHAIN_ID=8453 python check.py TOKEN RESOURCE
JWKS_URL=https://SELLER/.well-known/jwks.json ISSUER=https://SELLER CHAIN_ID=8453 python check.py TOKEN RESOURCE
"""

import json
import os
import sys

import jwt

JWKS_URL = os.environ.get("JWKS_URL")
CHAIN_ID = int(os.environ["CHAIN_ID"])  # 8453, Base; 84532, test money
keys = jwt.PyJWKClient(JWKS_URL) if JWKS_URL else None


def key_for(token: str):
    if keys:
        return keys.get_signing_key_from_jwt(token).key
    return os.environ["KEY0_ACCESS_TOKEN_SECRET"]  # the text itself: do not decode the hex


def check(token: str, resource: str) -> dict:
    claims = jwt.decode(
        token,
        key_for(token),
        algorithms=["RS256" if JWKS_URL else "HS256"],  # never the token's own choice
        issuer=os.environ["ISSUER"],
        options={"require": ["exp", "iat", "sub", "jti", "resourceId", "planId", "txHash"]},
    )
    if claims["planId"] == "system":
        raise PermissionError("a token of the worker itself, not a buyer's")
    if claims.get("chainId") != CHAIN_ID:
        raise PermissionError("paid on another chain")
    if claims["resourceId"] != resource:
        raise PermissionError("bought for another resource")  # answer 403
    return claims


if __name__ == "__main__":
    print(json.dumps(check(sys.argv[1], sys.argv[2])))
