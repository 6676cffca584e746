"""tests/e2e/test_refresh.py: tokens that end while their player is connected, and new ones in their
place: on the open connection, of avalon and of a lobby, and by HTTP (CONTRACT C16, S4-13; THREATS.md A8, A11, A15, A16, A18)."""
import json
import time

from harness import Server, expect_error
import test_lobby as lobby
from test_avalon import (ENV, call, claims_of, come, create, enter, expect_closed, expect_event, expect_silence,
                         join, read, refused, say, sign)

HOUR = 3600


def token_for(place, seconds, **claims):
    """A token of the same place that expires so many seconds from now, at least."""
    return sign(claims_of(place["token"]) | {"exp": int(time.time()) + 1 + seconds} | claims)


def short(place, seconds):
    return place | {"token": token_for(place, seconds)}


def auth(token, correlation="r1"):
    return {"type": "auth", "correlation_id": correlation, "payload": {"token": token}}


def expect_refusal(client, code):
    answer = expect_event(client, code, "error")
    assert answer["correlation_id"] == "r1" and answer["payload"]["code"] == code, answer


def test_warning_and_refresh():
    """who is warned and sends a new token in time goes on past the end of the old one (A16)"""
    with Server("--workers", "2", "--jwt-leeway", "0", "--token-warning", "2s", env=ENV) as server:
        place = create(server)
        old = short(place, 3)
        expires_s = claims_of(old["token"])["exp"]
        with enter(server, old) as client:
            expect_silence(client, 0.5)
            warning = expect_event(client, "auth_expiring")
            assert warning["payload"] == {"expires_at": expires_s * 1000}, warning
            assert expires_s - 2.5 < time.time() < expires_s - 0.5, time.time() - expires_s
            say(client, auth(place["token"]))
            assert read(client) == ('{"type":"event","event":"auth_refreshed","payload":{"expires_at":%d},'
                                    '"correlation_id":"r1"}' % place["expires_at"])
            expect_silence(client, expires_s + 0.5 - time.time())
            say(client, {"type": "sync_state"})
            expect_event(client, "room", "state")
        assert refused(server, old["room"]["code"], query=f"?token={old['token']}") == (401, "expired")


def test_expiry():
    """who does nothing is told twice: that its token expires, and that it has; then 4401 (A8, A16)"""
    with Server("--jwt-leeway", "0", env=ENV) as server:
        old = short(create(server), 2)
        expires_s = claims_of(old["token"])["exp"]
        with enter(server, old) as client:
            expect_event(client, "auth_expiring")  # half the time before the end: 60 s are more
            assert time.time() < expires_s
            say(client, auth(token_for(old, HOUR) + "x"))
            expect_refusal(client, "bad_signature")  # and nothing has changed
            expect_event(client, "token_expired", "error")
            assert expires_s <= time.time() < expires_s + 1
            expect_closed(client, 4401, "token_expired")
        assert server.metric("ringcast_disconnects_total", code=4401, reason="token_expired") == 1


def test_bad_tokens_on_the_connection():
    """a token that is bad in any way is answered by its reason, and the old one still counts (A1, A8, A16)"""
    with Server(env=ENV) as server:
        place = create(server)
        with enter(server, place) as client:
            say(client, auth("nothing"))
            expect_refusal(client, "token_malformed")
            say(client, auth(token_for(place, -HOUR)))
            expect_refusal(client, "expired")
            say(client, auth(sign({"sub": "x", "exp": int(time.time()) + HOUR})))
            expect_refusal(client, "bad_claims")
            say(client, {"type": "auth", "payload": {}})
            expect_event(client, "bad_message", "error")
            say(client, {"type": "sync_state"})
            expect_event(client, "room", "state")
        lines = [line["reason"] for line in server.log_lines(event="token_refused")]
        assert lines == ["token_malformed", "expired", "bad_claims"], lines
        assert place["token"] not in server.log_text()


def test_token_of_another_player():
    """a good token of another player, or for another room, is an error and 4403 (A11, A16, A18)"""
    with Server(env=ENV) as server:
        ann = create(server)
        bob = join(server, ann)
        for token, code in ((bob["token"], "wrong_player"), (create(server)["token"], "wrong_room")):
            with enter(server, ann) as client:
                say(client, auth(token))
                expect_refusal(client, code)
                expect_closed(client, 4403, "wrong_player")
        assert server.metric("ringcast_disconnects_total", code=4403, reason="wrong_player") == 2
        with enter(server, bob) as client:
            assert client.is_alive()


def test_flood_of_tokens():
    """the sixth token at once is not looked at: 4429; coming again does not help at once (A16)"""
    with Server("--message-rate", "0", env=ENV) as server:
        place = create(server)
        with enter(server, place) as client:
            for _ in range(6):
                say(client, auth(place["token"]))
            for _ in range(5):
                expect_event(client, "auth_refreshed")
            expect_refusal(client, "rate_limited")
            expect_closed(client, 4429, "rate_limited;retry_ms=5000")
        with enter(server, place) as client:
            for _ in range(3):
                say(client, auth("x"))
            while json.loads(read(client))["event"] != "rate_limited":
                pass
            expect_closed(client, 4429, "rate_limited;retry_ms=5000")


# ---- by HTTP

def renew(server, place, **headers):
    if "Authorization" not in headers:
        headers["Authorization"] = f"Bearer {place['token']}"
    return call(server, "POST", f"/{place['room']['code']}/refresh", **headers)


def test_refresh_by_http():
    """a token that is still good is exchanged for one that is good for longer, on several workers (C16, S4-13)"""
    with Server("--workers", "4", env=ENV) as server:
        for _ in range(6):
            place = create(server, 'Ann "A"')
            old = short(place, 60)
            response = renew(server, old)
            assert response.status == 200, (response.status, response.body)
            fresh = response.json()
            assert list(fresh) == ["room", "room_player", "token", "expires_at"]
            assert fresh["room"] == place["room"] and fresh["room_player"] == place["room_player"]
            assert fresh["expires_at"] >= place["expires_at"]
            claims, before = claims_of(fresh["token"]), claims_of(place["token"])
            assert {**claims, "iat": 0, "exp": 0} == {**before, "iat": 0, "exp": 0}
            with enter(server, old) as client:
                say(client, auth(fresh["token"]))
                answer = expect_event(client, "auth_refreshed")
                assert answer["payload"]["expires_at"] == fresh["expires_at"]
            enter(server, fresh).leave()


def test_refresh_keeps_the_place():
    """a place outlives its first token when that was renewed in time (A15)"""
    with Server("--avalon-token", "2s", "--jwt-leeway", "0", env=ENV) as server:
        place = create(server)
        join(server, place)
        deadline = time.time() + 3.5
        while time.time() < deadline:
            response = renew(server, place)
            assert response.status == 200, response.body
            place = response.json()
            time.sleep(0.2)
        names = [player["display_name"] for player in call(server, "GET", f"/{place['room']['code']}").json()["players"]]
        assert names == ["Ann"], names
        enter(server, place).leave()


def test_refusals_of_refresh():
    """without a good token of this room nothing is renewed (A1, A8, A11, A15)"""
    with Server(env=ENV) as server:
        place, other = create(server), create(server)
        for response, status, code in (
                (renew(server, place, Authorization="Basic eA=="), 401, "no_token"),
                (renew(server, place, Authorization="Bearer x"), 401, "token_malformed"),
                (renew(server, short(place, -HOUR)), 401, "expired"),
                (renew(server, place | {"token": place["token"][:-2]}), 401, "bad_signature"),
                (renew(server, place | {"token": other["token"]}), 401, "wrong_room"),
                (renew(server, place | {"token": token_for(place, HOUR, room_player_id="nobody")}), 401, "unknown_player"),
                (renew(server, place | {"token": token_for(place, HOUR, room_id="earlier")}), 401, "unknown_player"),
                (renew(server, place | {"room": {"code": "ZZZZZZ"}, "token": token_for(place, HOUR, code="ZZZZZZ")}),
                 404, "room_not_found"),
                (renew(server, place | {"room": {"code": "nothing"}}), 404, "room_not_found"),
                (call(server, "GET", f"/{place['room']['code']}/refresh"), 405, "method_not_allowed"),
                (renew(server, place, Origin="https://evil.example"), 403, "origin_not_allowed")):
            assert expect_error(response, status)["code"] == code, (response.body, code)
        come(server, place).leave()


def test_refresh_from_a_page():
    """a page of an allowed origin may send its token after a preflight"""
    with Server("--allow-origin", "https://game.example", env=ENV) as server:
        place = create(server)
        path = f"/{place['room']['code']}/refresh"
        preflight = call(server, "OPTIONS", path, Origin="https://game.example",
                         Access_Control_Request_Method="POST", Access_Control_Request_Headers="authorization")
        assert preflight.status == 200
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        response = renew(server, place, Origin="https://game.example")
        assert response.status == 200
        assert response.headers["access-control-allow-origin"] == "https://game.example"


# ---- lobbies, whose tokens come from elsewhere

def test_lobby_goes_on():
    """in a lobby a new token of the same player goes on the open connection; of another, it ends it (C16, A16)"""
    with Server("--workers", "2", "--jwt-leeway", "0", "--token-warning", "1s", env=ENV) as server:
        with lobby.enter(server, "ann", seconds=3) as one, lobby.enter(server, "bob") as two:
            lobby.take_event(one, "participant_joined")
            lobby.take_state(one)
            warning = expect_event(one, "auth_expiring")
            expires_s = warning["payload"]["expires_at"] / 1000
            assert expires_s - 1.5 < time.time() < expires_s
            say(one, auth(lobby.token("ann", room="g1")))
            assert expect_event(one, "auth_refreshed")["correlation_id"] == "r1"
            expect_silence(one, expires_s + 0.5 - time.time())
            say(one, auth(lobby.token("ann") + "x"))
            expect_refusal(one, "bad_signature")
            say(one, auth(lobby.token("ann", room="g2")))
            expect_refusal(one, "wrong_room")
            expect_closed(one, 4403, "wrong_player")
            say(two, auth(lobby.token("ann")))
            expect_refusal(two, "wrong_player")
            expect_closed(two, 4403, "wrong_player")
