// perf/peers/gorilla/main.go: rooms' states by gorilla/websocket, in the pattern in which chats are
// written with it: a goroutine for each room, and for each client two of them and a channel.
//
//	gorilla PORT TICK_MS PAYLOAD BURST plain|prepared
//
// "prepared" makes each state a PreparedMessage, so that its frame is made once and not once for each
// client. A room makes no state while one of its last is still on the way to the kernel. Says on stderr
// when it listens, and after SIGTERM how many messages it has heard.
package main

import (
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/gorilla/websocket"
)

type state struct {
	Phase     string `json:"phase"`
	Pot       int64  `json:"pot"`
	Remaining int64  `json:"time_remaining_ms"`
	Encoded   int64  `json:"t"`
	Sequence  int64  `json:"s"`
	Pad       string `json:"pad,omitempty"`
}

// One of the two.
type message struct {
	plain    []byte
	prepared *websocket.PreparedMessage
}

type client struct {
	socket *websocket.Conn
	queue  chan message
}

type room struct {
	join, leave chan *client
	members     map[*client]bool
	sequence    int64
	waiting     atomic.Int64 // states for clients that have not been written yet
	taken       chan bool    // the last of them has been
	due         time.Duration
}

var (
	tick     time.Duration
	payload  int
	burst    int
	prepares bool
	heard    atomic.Int64
	upgrader = websocket.Upgrader{ReadBufferSize: 1024, WriteBufferSize: 1024}
	lock     sync.Mutex
	rooms    = map[string]*room{}
	origin   = time.Now()
)

// CLOCK_MONOTONIC, which Go's own clock counts too, but from an origin that it does not tell.
func monotonic() int64 {
	var now syscall.Timespec
	syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, 1, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func (r *room) encode() message {
	r.sequence++
	now := state{Phase: "idle", Encoded: monotonic(), Sequence: r.sequence}
	text := must(json.Marshal(now))
	if missing := payload - len(text) - len(`,"pad":""`); missing > 0 {
		now.Pad = strings.Repeat("x", missing)
		text = must(json.Marshal(now))
	}
	if prepares {
		return message{prepared: must(websocket.NewPreparedMessage(websocket.TextMessage, text))}
	}
	return message{plain: text}
}

func (r *room) written() {
	if r.waiting.Add(-1) == 0 {
		r.taken <- true
	}
}

func (r *room) show() {
	r.waiting.Add(1) // our own, so that nobody is the last one meanwhile
	for range burst {
		message := r.encode()
		for member := range r.members {
			r.waiting.Add(1)
			member.queue <- message
		}
	}
	r.written()
}

// By the room's own clock, which does not drift. Ticks that are missed are left out; one that is due
// already when the last has been written begins at once.
func (r *room) run() {
	clock := time.NewTimer(r.due - time.Since(origin))
	for {
		select {
		case member := <-r.join:
			r.members[member] = true
		case member := <-r.leave:
			delete(r.members, member)
			close(member.queue)
		case <-clock.C:
			r.due += ((time.Since(origin)-r.due)/tick + 1) * tick
			r.show()
		case <-r.taken:
			clock.Reset(r.due - time.Since(origin))
		}
	}
}

func roomOf(path string) *room {
	lock.Lock()
	defer lock.Unlock()
	if rooms[path] == nil {
		_, turn := math.Modf(float64(len(rooms)) * (math.Sqrt(5) - 1) / 2) // ticks lie between each other
		rooms[path] = &room{
			join: make(chan *client), leave: make(chan *client), taken: make(chan bool, 1),
			members: map[*client]bool{}, due: time.Since(origin) + time.Duration(turn*float64(tick)),
		}
		go rooms[path].run()
	}
	return rooms[path]
}

func (c *client) write(r *room) {
	defer c.socket.Close()
	var err error
	for message := range c.queue {
		if err != nil {
			// It has gone: what is left is nobody's.
		} else if message.prepared != nil {
			err = c.socket.WritePreparedMessage(message.prepared)
		} else {
			err = c.socket.WriteMessage(websocket.TextMessage, message.plain)
		}
		r.written()
	}
}

// The package itself answers pings and goodbyes while it reads.
func (c *client) read(r *room) {
	for {
		if _, _, err := c.socket.ReadMessage(); err != nil {
			break
		}
		heard.Add(1)
	}
	r.leave <- c
}

func serve(answer http.ResponseWriter, request *http.Request) {
	socket, err := upgrader.Upgrade(answer, request, nil)
	if err != nil {
		return
	}
	c, r := &client{socket, make(chan message, burst)}, roomOf(request.URL.Path)
	r.join <- c
	go c.write(r)
	go c.read(r)
}

func main() {
	tick = time.Duration(must(strconv.Atoi(os.Args[2]))) * time.Millisecond
	payload, burst = must(strconv.Atoi(os.Args[3])), must(strconv.Atoi(os.Args[4]))
	prepares = os.Args[5] == "prepared"
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	listener := must(net.Listen("tcp", "127.0.0.1:"+os.Args[1]))
	fmt.Fprintln(os.Stderr, "listening")
	go http.Serve(listener, http.HandlerFunc(serve))
	<-ended
	fmt.Fprintln(os.Stderr, "heard", heard.Load())
}
