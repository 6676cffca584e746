"""tests/e2e/test_forged.py: tokens that somebody has made up, at a server as it is by default: by header, by
subprotocol, on an open connection and by HTTP (THREATS.md A1 to A11)."""
import base64
import hashlib
import hmac
import json
import pathlib
import re
import socket
import tempfile
import time

from harness import Server, expect_error
from test_avalon import SECRET, claims_of, create, enter, expect_event, part, refused, say
from test_refresh import auth, renew
from test_reload import PrivateKey, bearer, come_and_go, openssl
from test_tokens import make


class Forge:
    """A server with a secret and two public keys, a room in it, and what a forger knows of all this."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="ringcast-e2e-")
        self.rsa, self.ec = PrivateKey(self.folder.name, "rsa", "RS256"), PrivateKey(self.folder.name, "ec", "ES256")
        self.thief = PrivateKey(self.folder.name, "thief", "ES256")
        file = pathlib.Path(self.folder.name, "keys.json")
        file.write_text(json.dumps({"keys": [self.rsa.jwk, self.ec.jwk]}))
        self.server = Server("--jwt-keys", str(file), env={"RINGCAST_JWT_SECRET": SECRET})

    def __enter__(self):
        self.server.__enter__()
        self.place = create(self.server)
        self.claims = claims_of(self.place["token"])
        return self

    def __exit__(self, *why):
        try:
            self.server.__exit__(*why)
        finally:
            self.folder.cleanup()

    def holding(self, token):
        return self.place | {"token": token}

    def refuses(self, token, *codes):
        """At the door, in whatever way it is shown."""
        code = self.place["room"]["code"]
        assert refused(self.server, code, headers=bearer(self.holding(token))) in [(401, one) for one in codes], token
        offered = f"Sec-WebSocket-Protocol: ringcast.event, bearer.{token}"
        if not set(token) & set('\t "(),/:;<=>?@[]\\{}'):
            assert refused(self.server, code, headers=[offered])[1] in codes, token

    def takes(self, token):
        come_and_go(self.server, self.holding(token))


def unsigned(header, claims, signature=b""):
    return ".".join(part(json.dumps(one).encode()) for one in (header, claims)) + "." + part(signature)


def test_none():
    """no algorithm is none, however it is written, and a signature is never left out (A1)"""
    with Forge() as forge:
        for alg in ("none", "None", "nOnE", "NONE", "", None, 0, ["HS256"], "hs256", "HS1", "PS256", "ES384"):
            for signature in (b"", b"x" * 32):
                forge.refuses(unsigned({"alg": alg, "typ": "JWT"}, forge.claims, signature), "bad_alg")
        forge.refuses(unsigned({"typ": "JWT"}, forge.claims), "bad_alg")
        forge.refuses(forge.place["token"].rpartition(".")[0] + ".", "bad_signature")
        forge.takes(forge.place["token"])


def test_public_key_as_secret():
    """what everybody may know of a public key signs nothing, in whatever form it is taken (A2)"""
    with Forge() as forge:
        modulus = base64.urlsafe_b64decode(forge.rsa.jwk["n"] + "==")
        point = base64.urlsafe_b64decode(forge.ec.jwk["x"] + "=") + base64.urlsafe_b64decode(forge.ec.jwk["y"] + "=")
        pem = openssl("rsa", "-in", forge.rsa.path, "-pubout")
        for secret in (modulus, forge.rsa.jwk["n"].encode(), pem, b"\x04" + point, json.dumps(forge.rsa.jwk).encode()):
            for kid in ("rsa", "ec"):
                for alg in ("HS256", "HS384", "HS512"):
                    forge.refuses(make(forge.claims, alg, bytes_as_text(secret), kid=kid), "bad_alg")
            forge.refuses(make(forge.claims, "HS256", bytes_as_text(secret)), "bad_signature")
        forge.refuses(forge.rsa.sign(forge.claims).replace(part(b'{"alg": "RS256"')[:16], part(b'{"alg": "ES256"')[:16]),
                      "bad_alg", "bad_signature")


class bytes_as_text:
    """A secret of any bytes where test_tokens.make encodes a text."""

    def __init__(self, data):
        self.data = data

    def encode(self):
        return self.data


def test_kid():
    """a kid is the name of a key or of none: no path, no query, no end of a string (A3)"""
    with Forge() as forge:
        for kid in ("nobody", "EC", "ec ", " ec", "ec\0", "../ec", "/dev/null", "../../../../dev/null", "x' OR '1'='1",
                    "ec\n", "%2e%2e/ec", "e" * 1500, ""):
            head = part(json.dumps({"alg": "ES256", "kid": kid}).encode()) + "." + part(json.dumps(forge.claims).encode())
            genuine = forge.ec.sign(forge.claims).rpartition(".")[2]
            forge.refuses(f"{head}.{genuine}", "unknown_key")
        for kid in (7, None, ["ec"], {"ec": 1}):
            forge.refuses(unsigned({"alg": "ES256", "kid": kid}, forge.claims, b"x" * 64), "token_malformed")
        forge.takes(forge.ec.sign(forge.claims))


def test_keys_in_the_token():
    """a key that a token brings, or tells where to find, is not looked at, and nothing is fetched (A4, A9)"""
    with Forge() as forge, socket.create_server(("127.0.0.1", 0)) as bait:
        url = f"http://127.0.0.1:{bait.getsockname()[1]}/keys.json"
        for name, value in (("jku", url), ("x5u", url), ("jwk", forge.thief.jwk), ("x5c", ["MIIB"])):
            header = {"alg": "ES256", "kid": "ec", name: value}
            head = part(json.dumps(header).encode()) + "." + part(json.dumps(forge.claims | {"iss": url}).encode())
            forge.refuses(forge.thief.sign_head(head), "bad_signature")
            forge.takes(forge.ec.sign_head(head))
            forge.refuses(forge.thief.sign_head(part(json.dumps(header | {"kid": "thief"}).encode()) + "." +
                                    head.partition(".")[2]), "unknown_key")
        for crit in (["exp"], [], "exp", None):
            head = part(json.dumps({"alg": "ES256", "kid": "ec", "crit": crit}).encode()) + "." + head.partition(".")[2]
            forge.refuses(forge.ec.sign_head(head), "critical_header")
        bait.settimeout(0.3)
        try:
            raise AssertionError(f"somebody asked for keys: {bait.accept()}")
        except TimeoutError:
            pass


def test_ecdsa():
    """an ES256 signature is two numbers of 32 bytes between 1 and the group's order, and the right ones (A5)"""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    with Forge() as forge:
        token = forge.ec.sign(forge.claims)
        head, _, digits = token.rpartition(".")
        right = base64.urlsafe_b64decode(digits + "==")
        r, s = right[:32], right[32:]
        zero, whole = bytes(32), order.to_bytes(32, "big")
        der = openssl("dgst", "-sha256", "-sign", forge.ec.path, given=head.encode())
        for signature in (zero + zero, zero + s, r + zero, whole + s, r + whole, whole + whole, s + r, der, right[:63],
                          right + b"\0", b"\0" + right, b"", r, b"\xff" * 64):
            forge.refuses(f"{head}.{part(signature)}", "bad_signature")
        forge.takes(token)


def private_exponent(key):
    text = openssl("rsa", "-in", key.path, "-noout", "-text").decode()
    digits = re.search(r"privateExponent:\s*([0-9a-f:\s]+)", text)[1]
    return int(re.sub(r"[:\s]", "", digits), 16)


def test_rsa():
    """an RS256 signature is padded as PKCS#1 v1.5 says and not otherwise, for SHA-256 (A6)"""
    with Forge() as forge:
        token = forge.rsa.sign(forge.claims)
        head, _, digits = token.rpartition(".")
        right = base64.urlsafe_b64decode(digits + "==")
        digest = hashlib.sha256(head.encode()).digest()
        sha256 = bytes.fromhex("3031300d060960864801650304020105000420") + digest
        sha1 = bytes.fromhex("3021300906052b0e03021a05000414") + hashlib.sha1(head.encode()).digest()

        modulus = int.from_bytes(base64.urlsafe_b64decode(forge.rsa.jwk["n"] + "=="), "big")
        exponent = private_exponent(forge.rsa)

        def raw(block):
            assert len(block) == 256
            return pow(int.from_bytes(block, "big"), exponent, modulus).to_bytes(256, "big")

        def padded(content, start=b"\0\1", fill=b"\xff"):
            return start + fill * (256 - len(start) - 1 - len(content)) + b"\0" + content

        assert raw(padded(sha256)) == right
        for block in (padded(sha256, fill=b"\xfe"), padded(sha256, start=b"\0\2"), padded(sha256, start=b"\0\0"),
                      padded(digest), padded(sha1), bytes(256 - len(sha256)) + sha256,
                      b"\0\1" + b"\xff" * 8 + b"\0" + sha256 + bytes(256 - 11 - len(sha256)),  # Bleichenbacher, 2006
                      padded(sha256[:-1]), padded(sha256 + b"\0")):
            forge.refuses(f"{head}.{part(raw(block))}", "bad_signature")
        for signature in (bytes(256), b"\0" * 255 + b"\1", right[:-1], right + b"\0", b"\0" + right, b"", b"\xff" * 256,
                          base64.urlsafe_b64decode(forge.rsa.jwk["n"] + "==")):
            forge.refuses(f"{head}.{part(signature)}", "bad_signature")
        forge.takes(token)


def test_forms():
    """what is not three parts of base64url with JSON objects in them is no token, however it is near (A7, A8)"""
    with Forge() as forge:
        token = forge.place["token"]
        head, body, signature = token.split(".")
        doubled = part(b'{"room_id":"a","room_id":"b","exp":1}')
        for text in (f"{head}.{body}", f"{token}.x", f".{token}", f"{head}..{signature}", f"{head}=.{body}.{signature}",
                     f"{head}.{body}.{signature[:-1]}=", f"{head}\t.{body}.{signature}", "a.b.c", "x" * 3000,
                     part(b"[]") + f".{body}.{signature}"):
            forge.refuses(text, "token_malformed", "bad_signature")
        forge.refuses(signed_text(part(b'{"alg":"HS256"}') + "." + doubled), "token_malformed")
        now = int(time.time())
        for exp, code in ((None, "no_expiry"), ("soon", "bad_claims"), (1e18, "bad_claims"), (now - 60, "expired"),
                          (-1, "bad_claims"), (True, "bad_claims"), ([now + 60], "bad_claims")):
            claims = {name: value for name, value in forge.claims.items() if name != "exp"}
            forge.refuses(make(claims | ({} if exp is None else {"exp": exp}), secret=SECRET), code)
        for name in ("nbf", "iat"):
            forge.refuses(make(forge.claims | {name: now + 3600}, secret=SECRET), "not_yet_valid")
        forge.takes(make(forge.claims | {"exp": now - 20}, secret=SECRET))  # the leeway is 30 s
        forge.takes(make(forge.claims | {"exp": now + 60.5, "nbf": now + 20}, secret=SECRET))


def signed_text(head):
    return head + "." + part(hmac.digest(SECRET.encode(), head.encode(), "sha256"))


def test_elsewhere():
    """the same tokens are refused, by the same codes, on an open connection and by HTTP (A1, A2, A4, A5, A7, A8)"""
    with Forge() as forge:
        ec = forge.ec.sign(forge.claims)
        forged = [(unsigned({"alg": "none"}, forge.claims), "bad_alg"),
                  (make(forge.claims, "HS256", forge.rsa.jwk["n"], kid="rsa"), "bad_alg"),
                  (make(forge.claims, secret=SECRET, crit=["exp"]), "critical_header"),
                  (ec.rpartition(".")[0] + "." + part(bytes(64)), "bad_signature"),
                  (ec + ".x", "token_malformed"),
                  (make(forge.claims | {"exp": 1}, secret=SECRET), "expired")]
        for token, code in forged:
            assert expect_error(renew(forge.server, forge.holding(token)), 401)["code"] == code
        for first in range(0, len(forged), 3):
            with enter(forge.server, create(forge.server)) as client:
                for token, code in forged[first:first + 3]:
                    say(client, auth(token))
                    assert expect_event(client, code, "error")["payload"]["code"] == code
                assert client.is_alive()
        assert forge.server.metric("ringcast_tokens_refused_total") == 2 * len(forged)

