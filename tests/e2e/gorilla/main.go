// tests/e2e/gorilla: Go's gorilla/websocket, which the seeds' servers were written with, as a client of this one.
//
//	client kart    WS          watches a race
//	client vote    WS HTTP     acquires a room, and sends its members off to vote
//	client avalon  WS HTTP     makes a room, joins it, and talks
//
// WS and HTTP are ws://HOST:PORT and http://HOST:PORT. Prints `ok` or what was wrong.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

func check(condition bool, format string, arguments ...any) {
	if !condition {
		fmt.Printf(format+"\n", arguments...)
		os.Exit(1)
	}
}

// ---- HTTP

func call(method, url, body string) (int, string) {
	request, err := http.NewRequest(method, url, strings.NewReader(body))
	check(err == nil, "%v", err)
	response, err := http.DefaultClient.Do(request)
	check(err == nil, "%s %s: %v", method, url, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	check(err == nil, "%s %s: %v", method, url, err)
	return response.StatusCode, string(answer)
}

func callFor(status int, method, url, body string) string {
	got, answer := call(method, url, body)
	check(got == status, "%s %s: %d %s", method, url, got, answer)
	return answer
}

// ---- WebSockets

// A member has its messages taken one by one; a pong is noted when it comes.
type member struct {
	*websocket.Conn
	pongs int
}

func dial(url string, header http.Header, protocols ...string) (*member, *http.Response, error) {
	dialer := websocket.Dialer{HandshakeTimeout: 5 * time.Second, Subprotocols: protocols, EnableCompression: true}
	conn, response, err := dialer.Dial(url, header)
	if err != nil {
		return nil, response, err
	}
	one := &member{Conn: conn}
	conn.SetPongHandler(func(text string) error {
		check(text == "from gorilla", "a pong says %q", text)
		one.pongs++
		return nil
	})
	return one, response, nil
}

func open(url string, header http.Header, protocols ...string) *member {
	one, response, err := dial(url, header, protocols...)
	if err != nil && response != nil {
		body, _ := io.ReadAll(response.Body)
		check(false, "%s: %d %s", url, response.StatusCode, body)
	}
	check(err == nil, "%s: %v", url, err)
	check(len(protocols) == 0 || one.Subprotocol() == protocols[0], "%s: subprotocol %q", url, one.Subprotocol())
	return one
}

// refused is the answer to a handshake that must not be accepted.
func refused(url string, status int) string {
	_, response, err := dial(url, nil)
	check(errors.Is(err, websocket.ErrBadHandshake) && response != nil, "%s: %v", url, err)
	body, _ := io.ReadAll(response.Body)
	check(response.StatusCode == status, "%s: %d %s", url, response.StatusCode, body)
	return string(body)
}

func (one *member) take() string {
	one.SetReadDeadline(time.Now().Add(5 * time.Second))
	kind, data, err := one.ReadMessage()
	check(err == nil && kind == websocket.TextMessage, "kind %d: %v", kind, err)
	return string(data)
}

func (one *member) expect(wanted string) {
	got := one.take()
	check(got == wanted, "wanted %s\ngot    %s", wanted, got)
}

func (one *member) say(text string) {
	check(one.WriteMessage(websocket.TextMessage, []byte(text)) == nil, "nothing can be said")
}

func (one *member) ping() {
	one.SetWriteDeadline(time.Now().Add(5 * time.Second))
	check(one.WriteMessage(websocket.PingMessage, []byte("from gorilla")) == nil, "no ping can be sent")
}

// ends reads the close frame that must come next.
func (one *member) ends(code int, reason string) {
	one.SetReadDeadline(time.Now().Add(5 * time.Second))
	_, data, err := one.ReadMessage()
	var closed *websocket.CloseError
	check(errors.As(err, &closed), "no close frame: %s %v", data, err)
	check(closed.Code == code && closed.Text == reason, "closed with %d %s", closed.Code, closed.Text)
	one.Close()
}

// leave is the closing handshake from this side.
func (one *member) leave() {
	goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "thank you")
	check(one.WriteMessage(websocket.CloseMessage, goodbye) == nil, "no goodbye can be sent")
	for {
		one.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, _, err := one.ReadMessage(); err != nil {
			check(websocket.IsCloseError(err, websocket.CloseNormalClosure), "the goodbye is answered by %v", err)
			break
		}
	}
	one.Close()
}

// ---- what is played

func kart(ws, _ string) {
	one := open(ws+"/ws", nil, "ringcast.bare")
	one.say("CONFIRM_READY")
	check(one.WriteMessage(websocket.BinaryMessage, []byte{0, 255}) == nil, "nothing can be said")
	one.ping()
	for i := 0; i < 4; i++ {
		text := one.take()
		decoder := json.NewDecoder(strings.NewReader(text))
		var state struct {
			Phase         string `json:"phase"`
			Pot           int64  `json:"pot"`
			TimeRemaining int64  `json:"time_remaining_ms"`
		}
		decoder.DisallowUnknownFields()
		check(decoder.Decode(&state) == nil && strings.HasPrefix(text, `{"phase":"`), "no state: %s", text)
	}
	check(one.pongs == 1, "%d pongs", one.pongs)
	one.leave()
	check(strings.Contains(refused(ws+"/ws/kart/a.b", 404), `"code":"not_found"`), "404 without its code")
}

func vote(ws, web string) {
	var made struct {
		ID string `json:"room_id"`
	}
	rooms := web + "/api/rooms"
	answer := callFor(200, "GET", rooms, "")
	check(json.Unmarshal([]byte(answer), &made) == nil && answer == `{"room_id":"`+made.ID+`"}`, "acquired: %s", answer)
	room, socket := rooms+"/"+made.ID, ws+"/api/rooms/"+made.ID+"/ws"
	message := func(kind, data string) string {
		return fmt.Sprintf(`{"type":"%s","room_id":"%s","data":{%s}}`, kind, made.ID, data)
	}
	status := func(name string, count int) string {
		return message("room_status", fmt.Sprintf(`"status":"%s","participants_count":%d`, name, count))
	}
	a := open(socket, nil, "ringcast.room")
	a.expect(status("LOBBY", 1))
	b := open(socket, nil)
	b.expect(status("LOBBY", 2))
	a.expect(message("participant_joined", `"message":"participant joined","participants_count":2`))
	both := func(wanted string) { a.expect(wanted); b.expect(wanted) }
	check(callFor(200, "PATCH", room+"/participate", `{"text":"pizza"}`) == "", "an answer with a body")
	both(message("participant_ready", `"message":"participant ready"`))
	check(callFor(400, "PATCH", room+"/participate", `{bad`) == `{"error":"incorrect request"}`, "400 without its words")
	callFor(200, "PATCH", room+"/start", "")
	both(message("voting_started", `"message":"voting started","redirect_url":"/voting"`))
	both(status("VOTING", 2))
	check(callFor(409, "PATCH", room+"/start", "") == `{"error":"voting has started"}`, "409 without its words")
	a.ping()
	callFor(200, "PATCH", room+"/release", "")
	both(status("FINISHED", 2))
	a.ends(4410, "room_closed")
	b.ends(4410, "room_closed")
	check(a.pongs == 1, "%d pongs", a.pongs)
	check(refused(socket, 404) == `{"error":"room not found"}`, "404 without its words")
}

type place struct {
	Room struct {
		ID, Code, Kind string
	}
	Player struct {
		ID   string
		Name string `json:"display_name"`
	} `json:"room_player"`
	Token   string
	Expires int64 `json:"expires_at"`
}

func takePlace(status int, url, body string) (taken place) {
	answer := callFor(status, "POST", url, body)
	err := json.Unmarshal([]byte(answer), &taken)
	check(err == nil && taken.Token != "" && taken.Expires > time.Now().UnixMilli(), "no place: %s", answer)
	return taken
}

func chat(from place, text, correlation string) string {
	said, _ := json.Marshal(text)
	return fmt.Sprintf(`{"type":"chat","correlation_id":"%s","payload":{"message":%s}}`, correlation, said)
}

// hears takes a chat message of that player and returns it.
func (one *member) hears(from place, text string) string {
	got := one.take()
	var event struct {
		Type, Event string
		Payload     struct {
			ID      string `json:"player_id"`
			Name    string `json:"display_name"`
			Message string
			At      int64 `json:"ts"`
		}
	}
	check(json.Unmarshal([]byte(got), &event) == nil && event.Type == "event" && event.Event == "chat", "no chat: %s", got)
	check(event.Payload.ID == from.Player.ID && event.Payload.Name == from.Player.Name, "of somebody else: %s", got)
	check(event.Payload.Message == text, "another text: %s", got)
	return got
}

func (one *member) hearsOf(kind string, event string) {
	got := one.take()
	check(strings.HasPrefix(got, fmt.Sprintf(`{"type":"%s","event":"%s","payload":{`, kind, event)), "wanted %s: %s", event, got)
}

func avalon(ws, web string) {
	ann := takePlace(201, web+"/api/rooms", `{"kind":"avalon","display_name":"Ann"}`)
	code := ann.Room.Code
	bob := takePlace(200, web+"/api/rooms/"+code+"/join", `{"display_name":"Bob \"é\""}`)
	check(bob.Room == ann.Room && bob.Player.Name == `Bob "é"`, "another room or name: %v", bob)
	socket := ws + "/ws/rooms/" + code
	a := open(socket, http.Header{"Authorization": {"Bearer " + ann.Token}}, "ringcast.event")
	a.hearsOf("state", "room")
	b := open(socket+"/connect", nil, "ringcast.event", "bearer."+bob.Token)
	b.hearsOf("state", "room")
	a.hearsOf("event", "participant_joined")

	a.say(chat(ann, "hi", "c1"))
	heard := b.hears(ann, "hi")
	a.expect(strings.TrimSuffix(heard, "}") + `,"correlation_id":"c1"}`)
	b.say(chat(bob, "<b>\u2028 \U0001f408", "c2"))
	heard = a.hears(bob, "<b>  \U0001f408")
	b.expect(strings.TrimSuffix(heard, "}") + `,"correlation_id":"c2"}`)
	b.say(`{"type":"vote","correlation_id":"c3","payload":{}}`)
	b.hearsOf("error", "unsupported")
	a.ping()
	a.say(`{"type":"sync_state"}`)
	a.hearsOf("state", "room")
	check(a.pongs == 1, "%d pongs", a.pongs)

	again := open(socket+"?player_id="+ann.Player.ID+"&token="+ann.Token, nil)
	again.hearsOf("state", "room")
	a.ends(4409, "replaced")
	again.leave()
	b.leave()
	check(strings.Contains(refused(socket+"?token="+ann.Token+"x", 401), `"code":"`), "401 without its code")
	check(strings.Contains(refused(socket, 401), `"code":"no_token"`), "401 without its code")
}

func main() {
	plays := map[string]func(ws, web string){"kart": kart, "vote": vote, "avalon": avalon}
	check(len(os.Args) == 4 && plays[os.Args[1]] != nil, "usage: client kart|vote|avalon WS HTTP")
	time.AfterFunc(20*time.Second, func() { check(false, "not over in time") })
	plays[os.Args[1]](os.Args[2], os.Args[3])
	fmt.Println("ok")
}
