"""tests/e2e/test_reload.py: keys that change while the server runs (THREATS.md O3, A3; FIELD's T6)."""
import base64
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from harness import Server, Skip, wait_until
from test_avalon import ENV, call, claims_of, create, enter, expect_event, join, part, refused, say
from test_refresh import auth, expect_refusal
from test_tokens import RFC_KEYS, make

HOUR = 3600
OLD, NEW = "the first key of this test, 32 bytes and more", "the second key of this test, of 32 bytes, too"


def jwk(kid, secret):
    return {"kty": "oct", "alg": "HS384", "kid": kid, "k": part(secret.encode())}


class KeyFile:
    """A file with a JWK set, and a server that was started with it."""

    def __init__(self, *keys, workers="3", **how):
        self.folder = tempfile.TemporaryDirectory(prefix="ringcast-e2e-")
        self.path = pathlib.Path(self.folder.name, "keys.json")
        self.write(*keys)
        self.server = Server("--workers", workers, "--jwt-keys", str(self.path), env=ENV, ready=not how, **how)

    def write(self, *keys):
        """In one step, as an operator should: half a file is a bad one."""
        whole = self.path.with_suffix(".new")
        whole.write_text(json.dumps({"keys": keys}))
        whole.replace(self.path)

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *why):
        try:
            self.server.__exit__(*why)
        finally:
            self.folder.cleanup()

    def hang_up(self, event="keys_reloaded"):
        """SIGHUP, and the line that it makes."""
        before = len(self.server.log_lines(event=event))
        self.server.signal(signal.SIGHUP)
        wait_until(lambda: len(self.server.log_lines(event=event)) > before, 5, self.server.log_text)
        return self.server.log_lines(event=event)[-1]


def signed(place, kid, secret, **claims):
    """The place with a token by that key."""
    everything = claims_of(place["token"]) | {"exp": int(time.time()) + HOUR} | claims
    return place | {"token": make(everything, "HS384", secret, kid=kid)}


def come_and_go(server, place):
    with enter(server, place) as client:
        client.leave()


def bearer(place):
    return [f"Authorization: Bearer {place['token']}"]


def test_keys_are_swapped():
    """SIGHUP has all workers take the keys that are in the file now; who is connected stays (O3, A3)"""
    with KeyFile(jwk("k1", OLD)) as file:
        server = file.server
        place = create(server)
        bob = join(server, place)
        old, new = signed(place, "k1", OLD), signed(place, "k2", NEW)
        with enter(server, signed(bob, "k1", OLD)) as client:
            come_and_go(server, old)
            expect_event(client, "participant_joined")
            assert refused(server, new, headers=bearer(new)) == (401, "unknown_key")
            file.write(jwk("k2", NEW))
            assert refused(server, new, headers=bearer(new)) == (401, "unknown_key")  # nobody reads it by asking
            line = file.hang_up()
            assert line["keys"] == "2" and line["kinds"] == "1 HS256 1 HS384", line
            for _ in range(12):  # whichever worker it is
                assert refused(server, old, headers=bearer(old)) == (401, "unknown_key")
                come_and_go(server, new)
            say(client, auth(signed(bob, "k1", OLD)["token"]))
            expect_refusal(client, "unknown_key")
            say(client, auth(signed(bob, "k2", NEW)["token"]))
            expect_event(client, "auth_refreshed")
            come_and_go(server, place)  # what the server signs by its secret is as good as before
        file.write(jwk("k1", OLD), jwk("k2", NEW))
        file.hang_up()
        for again in (old, new):
            come_and_go(server, again)


def test_bad_key_files():
    """a file that is broken, weak, empty or gone is one error line, and the keys stay as they were (O3)"""
    with KeyFile(jwk("k1", OLD), workers="2") as file:
        server = file.server
        place = signed(create(server), "k1", OLD)
        contents = ["", "{", '{"keys":[]}', json.dumps(jwk("k2", "short")), " " * 70000,
                    json.dumps({"keys": [jwk("k2", NEW), jwk("k2", NEW)]})]
        for count, content in enumerate(contents, 1):
            file.path.write_text(content)
            line = file.hang_up("reload_failed")
            assert line["level"] == "error" and str(file.path) in line["why"], line
            assert len(server.log_lines(event="reload_failed")) == count
            come_and_go(server, place)
        file.path.unlink()
        assert "cannot be read: No such file" in file.hang_up("reload_failed")["why"]
        come_and_go(server, place)
        assert not server.log_lines(event="keys_reloaded")
        assert OLD not in server.log_text() and part(OLD.encode()) not in server.log_text()


def test_many_reloads_under_load():
    """keys are swapped many times a second while clients come on every worker, and all get in"""
    with KeyFile(jwk("k1", OLD), jwk("k2", NEW)) as file:
        server = file.server
        place = signed(create(server), "k2", NEW)
        for i in range(30):
            file.write(*([jwk("k1", OLD), jwk("k2", NEW)] if i % 2 else [jwk("k2", NEW)]))
            server.signal(signal.SIGHUP)
            come_and_go(server, place)
        wait_until(lambda: server.log_lines(event="keys_reloaded"), 5, server.log_text)
        assert not server.log_lines(event="reload_failed"), server.log_text()


def test_nothing_to_read():
    """without a key file SIGHUP is a line in the log, and nothing else; also before and in a drain"""
    for options in (("--dev",), ("--dev", "--workers", "3")):
        with Server(*options, "--drain", "2s") as server, server.client() as client:
            client.read_state()
            server.signal(signal.SIGHUP)
            wait_until(lambda: server.log_lines(event="reload_nothing"), 5, server.log_text)
            assert client.is_alive() and server.get("/readyz").status == 200
            server.signal(signal.SIGTERM)
            wait_until(lambda: server.log_lines(event="draining"), 2, server.log_text)
            server.process.send_signal(signal.SIGHUP)
            assert client.read_close(4)[0] == 1012
            client.socket.close()
            assert server.wait_exit(6) == 0


def test_under_nohup():
    """who ignores SIGHUP before the start, as nohup does, can have keys read again all the same"""
    ignore = lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Server("--dev", preexec_fn=ignore) as server:
        server.signal(signal.SIGHUP)
        wait_until(lambda: server.log_lines(event="reload_nothing"), 5, server.log_text)
        assert server.get("/readyz").status == 200


def test_nobody_reads_the_log():
    """with stderr on a full pipe keys are read again all the same, and the next signal is seen (O3, O7)"""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 4096)
    os.set_blocking(writer, True)
    with open(reader, "rb"), open(writer, "wb") as full, KeyFile(jwk("k1", OLD), stderr=full) as file:
        server = file.server
        wait_until(lambda: is_ready(server), 5, "the server is ready")
        place = create(server)
        new = signed(place, "k2", NEW)
        assert refused(server, new, headers=bearer(new)) == (401, "unknown_key")
        file.write(jwk("k2", NEW))
        for _ in range(3):
            server.signal(signal.SIGHUP)
        wait_until(lambda: call(server, "POST", f"/{place['room']['code']}/refresh",
                                Authorization=f"Bearer {new['token']}").status == 200, 5, "the keys are there")
        server.signal(signal.SIGTERM)
        assert server.wait_exit(6) == 0


def is_ready(server):
    with contextlib.suppress(OSError):
        return server.get("/readyz").status == 200


# ---- public keys (T6): one hand signs, the server has what everybody may know

def openssl(*words, given=None):
    if shutil.which("openssl") is None:
        raise Skip("there is no openssl to make keys with")
    return subprocess.run(["openssl", *words], input=given, capture_output=True, check=True).stdout


class PrivateKey:
    def __init__(self, folder, kid, alg):
        self.kid, self.alg, self.path = kid, alg, str(pathlib.Path(folder, kid))
        if alg == "RS256":
            openssl("genrsa", "-out", self.path, "2048")
            modulus = openssl("rsa", "-in", self.path, "-noout", "-modulus").decode().strip().partition("=")[2]
            self.jwk = {"kty": "RSA", "alg": alg, "kid": kid, "e": "AQAB", "n": part(bytes.fromhex(modulus))}
        elif alg == "EdDSA":
            openssl("genpkey", "-algorithm", "ed25519", "-out", self.path)
            point = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")[-32:]
            self.jwk = {"kty": "OKP", "crv": "Ed25519", "alg": alg, "kid": kid, "x": part(point)}
        else:
            openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", self.path)
            point = openssl("ec", "-in", self.path, "-pubout", "-outform", "DER")[-64:]
            self.jwk = {"kty": "EC", "crv": "P-256", "kid": kid, "x": part(point[:32]), "y": part(point[32:])}

    def sign(self, claims):
        head = {"alg": self.alg, "kid": self.kid}
        return self.sign_head(".".join(part(json.dumps(one).encode()) for one in (head, claims)))

    def sign_head(self, head):
        """What stands there, whatever it is, signed by this key."""
        if self.alg == "EdDSA":  # which openssl reads from files alone
            message = pathlib.Path(self.path + ".signed")
            message.write_text(head)
            return f"{head}.{part(openssl('pkeyutl', '-sign', '-rawin', '-inkey', self.path, '-in', str(message)))}"
        signature = openssl("dgst", "-sha256", "-sign", self.path, given=head.encode())
        if self.alg == "ES256":  # DER: two INTEGERs; JWS wants 32 bytes of each (RFC 7518 3.4)
            first = signature[4:4 + signature[3]]
            second = signature[6 + len(first):]
            signature = b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in (first, second))
        return f"{head}.{part(signature)}"


def test_public_keys_rotate():
    """tokens of a backend's RS256, ES256 and EdDSA keys let players in, and one key follows another (T6, A2, O3)"""
    with tempfile.TemporaryDirectory(prefix="ringcast-e2e-") as folder:
        rsa, first, second, edwards = (PrivateKey(folder, kid, alg) for kid, alg in
                                       (("rsa", "RS256"), ("ec1", "ES256"), ("ec2", "ES256"), ("ed", "EdDSA")))
        with KeyFile(rsa.jwk, first.jwk, edwards.jwk) as file:
            server = file.server
            place = create(server)
            claims = claims_of(place["token"])

            def by(key, **more):
                return place | {"token": key.sign(claims | more)}

            for key in (rsa, first, edwards):
                for _ in range(4):
                    come_and_go(server, by(key))
                late = by(key, exp=1_700_000_000)
                assert refused(server, late, headers=bearer(late)) == (401, "expired")
            public = base64.urlsafe_b64decode(rsa.jwk["n"] + "==")
            confused = make(claims, "HS256", public.decode("latin-1"), kid="rsa")
            assert refused(server, place, headers=[f"Authorization: Bearer {confused}"]) == (401, "bad_alg")
            new = by(second)
            assert refused(server, new, headers=bearer(new)) == (401, "unknown_key")
            with enter(server, by(first)) as client:
                file.write(rsa.jwk, first.jwk, second.jwk)
                file.hang_up()
                say(client, auth(by(second)["token"]))
                expect_event(client, "auth_refreshed")
            file.write(second.jwk, *RFC_KEYS["keys"])
            assert file.hang_up()["kinds"] == "1 HS256 1 RS256 2 ES256 1 EdDSA"
            come_and_go(server, new)
            for key in (rsa, first):
                gone = by(key)
                assert refused(server, gone, headers=bearer(gone))[1] in ("unknown_key", "bad_signature")


def test_signatures_are_remembered():
    """a crowd that comes back with the tokens that it had costs a signature for each worker and token, not
    for each handshake; other keys forget them (A10, O8)"""
    with tempfile.TemporaryDirectory(prefix="ringcast-e2e-") as folder:
        key, other = PrivateKey(folder, "ec1", "ES256"), PrivateKey(folder, "ec2", "ES256")
        with KeyFile(key.jwk, workers="2") as file:
            server = file.server
            place = create(server)
            place |= {"token": key.sign(claims_of(place["token"]))}

            def signatures(cache):
                return server.metric("ringcast_token_signatures_total", cache=cache)

            for _ in range(16):
                come_and_go(server, place)
            assert signatures("miss") <= 2 and signatures("hit") + signatures("miss") == 16
            bad = place | {"token": place["token"][:-8] + "AAAAAAAA"}
            for _ in range(4):
                assert refused(server, bad, headers=bearer(bad)) == (401, "bad_signature")
            assert signatures("hit") + signatures("miss") == 20 and signatures("hit") >= 14
            assert server.metric("ringcast_tokens_refused_total") == 4
            file.write(other.jwk)
            file.hang_up()
            for _ in range(4):
                assert refused(server, place, headers=bearer(place)) == (401, "unknown_key")
