//! perf/peers/rust/src/main.rs: rooms' states by tokio-tungstenite: a task and a broadcast channel for
//! each room, a task for each client, one thread.
//!
//!     peer PORT TICK_MS PAYLOAD BURST
//!
//! What waits for a client goes out in one write. A room makes no state while one of its last is still on
//! the way to the kernel. Says on stderr when it listens, and after SIGTERM how many messages it has
//! heard.

use futures_util::{SinkExt, StreamExt};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::broadcast::{channel, Receiver, Sender};
use tokio::sync::Notify;
use tokio::time::{sleep_until, Instant};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{accept_hdr_async_with_config, WebSocketStream};

#[derive(Clone)]
struct Server {
    tick: Duration,
    payload: usize,
    burst: usize,
    rooms: Arc<Mutex<HashMap<String, Arc<Room>>>>,
    heard: Arc<AtomicU64>,
}

struct Room {
    states: Sender<Utf8Bytes>,
    waiting: AtomicUsize, // states for clients that have not been written yet
    taken: Notify,        // the last of them has been
}

impl Room {
    fn written(&self, count: usize) {
        if count > 0 && self.waiting.fetch_sub(count, Relaxed) == count {
            self.taken.notify_one();
        }
    }
}

fn monotonic_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn encode(sequence: u64, payload: usize) -> Utf8Bytes {
    let mut text = String::with_capacity(payload + 160);
    let now = monotonic_ns();
    write!(
        text,
        r#"{{"phase":"idle","pot":0,"time_remaining_ms":0,"t":{now},"s":{sequence}"#
    )
    .unwrap();
    if let Some(missing) = payload.checked_sub(text.len() + r#","pad":""}"#.len()) {
        write!(text, r#","pad":"{}""#, "x".repeat(missing)).unwrap();
    }
    text.push('}');
    text.into()
}

/// By the room's own clock, which does not drift. Ticks that are missed are left out; one that is due
/// already when the last has been written begins at once.
async fn run_room(server: Server, mut due: Instant, room: Arc<Room>) {
    let mut sequence = 0;
    loop {
        sleep_until(due).await;
        let missed = (Instant::now() - due).as_nanos() / server.tick.as_nanos();
        due += server.tick * (missed as u32 + 1);
        for _ in 0..server.burst {
            sequence += 1;
            let members = room
                .states
                .send(encode(sequence, server.payload))
                .unwrap_or(0);
            room.waiting.fetch_add(members, Relaxed);
        }
        while room.waiting.load(Relaxed) > 0 {
            room.taken.notified().await;
        }
    }
}

type Socket = WebSocketStream<TcpStream>;

impl Server {
    fn enter(&self, path: &str) -> Arc<Room> {
        let mut rooms = self.rooms.lock().unwrap();
        let turn = (rooms.len() as f64 * (5f64.sqrt() - 1.0) / 2.0).fract(); // ticks lie between each other
        let open = || {
            let (states, _) = channel(self.burst);
            let room = Arc::new(Room {
                states,
                waiting: AtomicUsize::new(0),
                taken: Notify::new(),
            });
            tokio::spawn(run_room(
                self.clone(),
                Instant::now() + self.tick.mul_f64(turn),
                room.clone(),
            ));
            room
        };
        rooms.entry(path.to_owned()).or_insert_with(open).clone()
    }

    // The package answers pings and goodbyes while it reads.
    async fn serve(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut path = String::new();
        let see = |request: &Request, response: Response| {
            path = request.uri().path().to_owned();
            Ok(response)
        };
        let config = WebSocketConfig::default().read_buffer_size(4096);
        let Ok(mut socket) = accept_hdr_async_with_config(stream, see, Some(config)).await else {
            return;
        };
        let room = self.enter(&path);
        let mut states = room.states.subscribe();
        while self
            .serve_one(&mut socket, &room, &mut states)
            .await
            .is_some()
        {}
        room.written(states.len());
    }

    /// What comes next, from the room or from the client. None: it has gone.
    async fn serve_one(
        &self,
        socket: &mut Socket,
        room: &Room,
        states: &mut Receiver<Utf8Bytes>,
    ) -> Option<()> {
        tokio::select! {
            state = states.recv() => show(socket, state.ok()?, room, states).await,
            message = socket.next() => {
                if let Message::Text(_) = message?.ok()? {
                    self.heard.fetch_add(1, Relaxed);
                }
                Some(())
            }
        }
    }
}

/// This state, and what else waits.
async fn show(
    socket: &mut Socket,
    first: Utf8Bytes,
    room: &Room,
    states: &mut Receiver<Utf8Bytes>,
) -> Option<()> {
    let mut count = 1;
    let mut sent = socket.feed(Message::Text(first)).await;
    while let (Ok(()), Ok(state)) = (&sent, states.try_recv()) {
        count += 1;
        sent = socket.feed(Message::Text(state)).await;
    }
    let flushed = socket.flush().await;
    room.written(count);
    sent.and(flushed).ok()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        .map(|word| word.parse().expect("a number"))
        .collect();
    let server = Server {
        tick: Duration::from_millis(numbers[1] as u64),
        payload: numbers[2],
        burst: numbers[3],
        rooms: Arc::default(),
        heard: Arc::default(),
    };
    let listener = TcpListener::bind(("127.0.0.1", numbers[0] as u16))
        .await
        .expect("a free port");
    let mut ended = signal(SignalKind::terminate()).expect("a signal");
    eprintln!("listening");
    loop {
        tokio::select! {
            Ok((stream, _)) = listener.accept() => { tokio::spawn(server.clone().serve(stream)); }
            _ = ended.recv() => break,
        }
    }
    eprintln!("heard {}", server.heard.load(Relaxed));
}
