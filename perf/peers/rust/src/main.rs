//! perf/peers/rust/src/main.rs: rooms' states by tokio-tungstenite: a task and a broadcast channel for
//! each room, a task for each client, one thread.
//!
//!     peer PORT TICK_MS PAYLOAD BURST
//!
//! What waits for a client goes out in one write. A client that has not taken its last states misses
//! the next. Listens, says so on stderr, and after SIGTERM says how many messages it has heard.

use futures_util::{SinkExt, StreamExt};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::broadcast::{channel, error::RecvError, Receiver, Sender};
use tokio::time::{interval_at, Instant, MissedTickBehavior};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{accept_hdr_async_with_config, WebSocketStream};

#[derive(Clone)]
struct Server {
    tick: Duration,
    payload: usize,
    burst: usize,
    rooms: Arc<Mutex<HashMap<String, Sender<Utf8Bytes>>>>,
    heard: Arc<AtomicU64>,
}

fn monotonic_ns() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn encode(sequence: u64, payload: usize) -> Utf8Bytes {
    let mut text = String::with_capacity(payload + 160);
    let now = monotonic_ns();
    write!(text, r#"{{"phase":"idle","pot":0,"time_remaining_ms":0,"t":{now},"s":{sequence}"#).unwrap();
    if let Some(missing) = payload.checked_sub(text.len() + r#","pad":""}"#.len()) {
        write!(text, r#","pad":"{}""#, "x".repeat(missing)).unwrap();
    }
    text.push('}');
    text.into()
}

/// `phase` is when the first tick is, so that those of many rooms lie between each other.
async fn run_room(server: Server, phase: Duration, members: Sender<Utf8Bytes>) {
    let mut ticks = interval_at(Instant::now() + phase, server.tick);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut sequence = 0;
    loop {
        ticks.tick().await;
        for _ in 0..server.burst {
            sequence += 1;
            let _ = members.send(encode(sequence, server.payload));
        }
    }
}

impl Server {
    fn enter(&self, path: &str) -> Receiver<Utf8Bytes> {
        let mut rooms = self.rooms.lock().unwrap();
        let count = rooms.len() as f64;
        let room = rooms.entry(path.to_owned()).or_insert_with(|| {
            let (members, _) = channel(self.burst);
            let turn = (count * (5f64.sqrt() - 1.0) / 2.0).fract();
            tokio::spawn(run_room(self.clone(), self.tick.mul_f64(turn), members.clone()));
            members
        });
        room.subscribe()
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
        let Ok(mut socket) = accept_hdr_async_with_config(stream, see, Some(config)).await else { return };
        let mut states = self.enter(&path);
        loop {
            tokio::select! {
                state = states.recv() => match state {
                    Ok(state) => if show(&mut socket, state, &mut states).await.is_none() { return },
                    Err(RecvError::Lagged(_)) => (),
                    Err(RecvError::Closed) => return,
                },
                message = socket.next() => match message {
                    Some(Ok(Message::Text(_))) => { self.heard.fetch_add(1, Relaxed); }
                    Some(Ok(_)) => (),
                    _ => return,
                },
            }
        }
    }
}

/// This state, and what else waits.
async fn show(
    socket: &mut WebSocketStream<TcpStream>,
    first: Utf8Bytes,
    states: &mut Receiver<Utf8Bytes>,
) -> Option<()> {
    socket.feed(Message::Text(first)).await.ok()?;
    while let Ok(state) = states.try_recv() {
        socket.feed(Message::Text(state)).await.ok()?;
    }
    socket.flush().await.ok()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).map(|word| word.parse().expect("a number")).collect();
    let server = Server {
        tick: Duration::from_millis(numbers[1] as u64),
        payload: numbers[2],
        burst: numbers[3],
        rooms: Arc::default(),
        heard: Arc::default(),
    };
    let listener = TcpListener::bind(("127.0.0.1", numbers[0] as u16)).await.expect("a free port");
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
