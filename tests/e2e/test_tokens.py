"""tests/e2e/test_tokens.py: tokens made and examined on the command line."""
import base64
import hashlib
import hmac
import json
import pathlib
import subprocess
import tempfile
import time

from harness import binary, environment

SECRET = "a secret of this test, of 32 bytes and more"

# RFC 7515 A.2 and A.3: public keys with a token each, long expired.
RFC_KEYS = {"keys": [
    {"kty": "RSA", "e": "AQAB",
     "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-"
          "pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapH"
          "g665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4F"
          "RWyuXpoQ"},
    {"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
     "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}
RFC_PAYLOAD = ("eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ")
RFC_ES256 = (f"eyJhbGciOiJFUzI1NiJ9.{RFC_PAYLOAD}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3"
             "-Kg6NU1Q")

# By the key of RFC 8037 A.1, made with openssl.
EDDSA = (f"eyJhbGciOiJFZERTQSJ9.{RFC_PAYLOAD}._vSpFAYzQd76KTga_fKXdhrh3C0FWu4LvjqsxWd4NRyBOrKTdBeh_PkyRQtFmRgGKgdW5upgieZM67Gb"
         "z4AtAA")


def run(*words, secret=SECRET, given=None, **env):
    env = {**env, **({"RINGCAST_JWT_SECRET": secret} if secret else {})}
    return subprocess.run([binary(), *words], env=environment(env), timeout=10, input=given,
                          capture_output=True, text=True)


def digits(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make(claims, alg="HS256", secret=SECRET, **header):
    """A token of our own making, so that one hand's mistake is not the other's."""
    signed = ".".join(digits(json.dumps(part).encode()) for part in ({"alg": alg, **header}, claims))
    mac = hmac.new(secret.encode(), signed.encode(), getattr(hashlib, alg.replace("HS", "sha"), hashlib.sha256))
    return f"{signed}.{digits(mac.digest())}"


def refusal(token, *options, **how):
    done = run("check-token", *options, token, **how)
    assert done.returncode == 1 and not done.stdout, (done.returncode, done.stdout)
    return done.stderr.removeprefix("ringcast: ").split(":")[0]


def test_generated_token():
    """gen-token prints a token that check-token, and anybody with the secret, can read"""
    before = int(time.time())
    done = run("gen-token", "--sub", "ann", "--name", 'Ann "A"', "--room", "r1", "--expires", "2h",
               RINGCAST_JWT_AUDIENCE="game")
    assert done.returncode == 0 and not done.stderr, done.stderr
    token = done.stdout.strip()
    signed, _, signature = token.rpartition(".")
    assert signature == digits(hmac.digest(SECRET.encode(), signed.encode(), "sha256"))
    read = run("check-token", "--jwt-audience", "game", "-", given=token + "\n")
    assert read.returncode == 0, read.stderr
    claims = json.loads(read.stdout)
    assert before + 7200 <= claims.pop("exp") <= before + 7260 and before <= claims.pop("iat")
    assert claims == {"sub": "ann", "name": 'Ann "A"', "room": "r1", "aud": "game"}


def test_reason_of_refusal():
    """check-token says exactly why a token would be refused (A1, A2, A3, A7, A8, A11)"""
    hour = int(time.time()) + 3600
    good = make({"exp": hour})
    assert run("check-token", good).returncode == 0
    for token, code in ((make({"exp": hour}, alg="none"), "bad_alg"), (make({"exp": hour}, alg="RS256"), "bad_alg"),
                        (make({"exp": hour}, secret=SECRET + "x"), "bad_signature"), (good[:-2], "bad_signature"),
                        (good + ".", "token_malformed"), ("x", "token_malformed"), ("a" * 9000, "token_too_long"),
                        (make({}), "no_expiry"), (make({"exp": hour - 7200}), "expired"),
                        (make({"exp": str(hour)}), "bad_claims"), (make({"exp": hour, "nbf": hour}), "not_yet_valid"),
                        (make({"exp": hour}, crit=["exp"]), "critical_header")):
        assert refusal(token) == code, (token, code)
    assert refusal(good, "--jwt-issuer", "us") == "bad_issuer"
    assert refusal(good, "--jwt-audience", "us") == "bad_audience"
    late = make({"exp": hour - 3605})  # five seconds ago
    assert run("check-token", late).returncode == 0
    assert refusal(late, "--jwt-leeway", "0") == "expired"


def test_supabase_secret():
    """SUPABASE_JWT_SECRET is another name for RINGCAST_JWT_SECRET"""
    token = make({"exp": int(time.time()) + 60})
    assert run("check-token", token, secret=None, SUPABASE_JWT_SECRET=SECRET).returncode == 0


def test_key_file():
    """--jwt-keys takes public keys; a token of theirs is refused for its age alone"""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "keys.json")
        file.write_text(json.dumps(RFC_KEYS))
        assert refusal(RFC_ES256, "--jwt-keys", str(file), secret=None) == "expired"
        assert refusal(EDDSA, "--jwt-keys", str(file), secret=None) == "expired"
        assert refusal(EDDSA[:-4] + "AAAA", "--jwt-keys", str(file), secret=None) == "bad_signature"
        assert refusal(RFC_ES256[:-1] + "A", "--jwt-keys", str(file), secret=None) == "bad_signature"
        assert refusal(make({"exp": 1}), "--jwt-keys", str(file), secret=None) == "bad_alg"


def test_bad_keys():
    """keys that are missing, weak or broken are named, with what to change (A6, A13)"""
    token = make({"exp": int(time.time()) + 60})
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "keys.json")
        for content, word in (("{", "not valid JSON"), ('{"keys":[]}', "no key"), (" " * 70000, "64 KiB"),
                              ('{"kty":"RSA","e":"AQ","n":"qqqq"}', "2048")):
            file.write_text(content)
            done = run("check-token", "--jwt-keys", str(file), token)
            assert done.returncode == 1 and word in done.stderr and str(file) in done.stderr, (content[:20], done.stderr)
        done = run("check-token", "--jwt-keys", folder + "/none", token)
        assert done.returncode == 1 and "cannot be read: No such file" in done.stderr, done.stderr
        done = run("check-token", "--jwt-keys", folder, token)
        assert done.returncode == 1 and "directory" in done.stderr, done.stderr
    for secret, word in (("short", "32 bytes"), (None, "RINGCAST_JWT_SECRET")):
        for words in (("check-token", token), ("gen-token", "--sub", "x")):
            done = run(*words, secret=secret)
            assert done.returncode == 1 and word in done.stderr, done.stderr
    assert run("check-token", "--dev", make({"exp": int(time.time()) + 60}, secret="short"), secret="short").returncode == 0


def test_words():
    """wrong words are exit 2 with a sentence"""
    for words in (("gen-token",), ("gen-token", "--sub"), ("gen-token", "--sub", "x", "--expires", "never"),
                  ("gen-token", "--who", "x"), ("check-token",), ("check-token", "--nonsense", "x")):
        done = run(*words)
        assert done.returncode == 2 and done.stderr.startswith("ringcast: ") and not done.stdout, (words, done)
