//! The simulation on a loopback port, and the clock it lives by.
//!
//! Owns sockets and nothing else: what is answered is the simulation's business, how an answer is damaged is said in its
//! [`Delivery`]. The virtual clock runs at a rate of the real one, or stands until it is moved.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::exchange::{Answer, Delivery, Request};
use super::simulation::Simulation;
use crate::clock::Micros;

/// How the virtual clock goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// It stands until it is moved, and each request moves it by so many microseconds.
    Stepped(Micros),
    /// It runs, so many times as fast as the real one.
    Times(f64),
}

/// The virtual clock.
#[derive(Debug)]
struct Clock {
    pace: Pace,
    /// The virtual time at `since`.
    at: Micros,
    since: Instant,
}

impl Clock {
    fn now(&self) -> Micros {
        match self.pace {
            Pace::Stepped(_) => self.at,
            Pace::Times(times) => self.at + (self.since.elapsed().as_micros() as f64 * times) as Micros,
        }
    }

    fn set(&mut self, at: Micros, pace: Pace) {
        *self = Self { pace, at, since: Instant::now() };
    }
}

#[derive(Debug)]
struct State {
    simulation: Simulation,
    clock: Clock,
}

/// A handle on a running simulation: its clock, and itself.
#[derive(Debug, Clone)]
pub struct Control {
    state: Arc<Mutex<State>>,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in a test's closure must not hide what it was about behind another.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.lock().clock.now()
    }

    /// Moves the virtual clock on, and says what it shows then.
    pub fn advance(&self, by: Duration) -> Micros {
        let mut state = self.lock();
        let (now, pace) = (state.clock.now() + by.as_micros() as Micros, state.clock.pace);
        state.clock.set(now, pace);
        now
    }

    /// Changes how the clock goes from now on.
    pub fn pace(&self, pace: Pace) {
        let mut state = self.lock();
        let now = state.clock.now();
        state.clock.set(now, pace);
    }

    /// Does something with the simulation at its present time.
    pub fn with<T>(&self, act: impl FnOnce(&mut Simulation, Micros) -> T) -> T {
        let mut state = self.lock();
        let now = state.clock.now();
        act(&mut state.simulation, now)
    }

    /// Answers a request as the server does.
    pub fn answer(&self, request: &Request) -> Answer {
        let mut state = self.lock();
        let now = state.clock.now();
        if let Pace::Stepped(step) = state.clock.pace {
            state.clock.at += step;
        }
        state.simulation.answer(request, now)
    }
}

/// A simulation that listens; it stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    control: Control,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens on an address; port 0 takes a free one. Nothing but loopback should be given: whoever reaches it controls it.
    ///
    /// # Errors
    ///
    /// What the system says to binding the address.
    pub async fn start(simulation: Simulation, address: SocketAddr, pace: Pace) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let clock = Clock { pace, at: simulation.start(), since: Instant::now() };
        let control = Control { state: Arc::new(Mutex::new(State { simulation, clock })) };
        let task = tokio::spawn(accept(listener, control.clone()));
        Ok(Self { address, control, task })
    }

    /// The base URL: `http://127.0.0.1:…`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The handle on clock and simulation.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.control
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The connections are in the task's own set and end with it.
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, control: Control) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, control.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, control: Control) {
    let reset = Arc::new(AtomicBool::new(false));
    let socket = Socket { stream, reset: reset.clone() };
    let service = service_fn(move |request| respond(request, control.clone(), reset.clone()));
    // How a connection ends is the client's business, or was the fault's.
    let _ =
        http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(socket), service).await;
}

/// The error that makes hyper give up a connection.
#[derive(Debug)]
struct GivenUp;

impl std::fmt::Display for GivenUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("given up on purpose")
    }
}

impl std::error::Error for GivenUp {}

async fn respond(
    request: hyper::Request<Incoming>,
    control: Control,
    reset: Arc<AtomicBool>,
) -> Result<hyper::Response<Piecewise>, GivenUp> {
    let headers = request
        .headers()
        .iter()
        .map(|(name, value)| {
            (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let request = Request {
        method: request.method().as_str().to_owned(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        headers,
    };
    let answer = control.answer(&request);
    if answer.delivery == Delivery::Reset {
        reset.store(true, Ordering::Relaxed);
        return Err(GivenUp);
    }
    let mut response = hyper::Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    response.body(Piecewise::new(answer)).map_err(|_| GivenUp)
}

/// A body that goes out as its delivery says.
struct Piecewise {
    left: Bytes,
    delivery: Delivery,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
    stalled: bool,
}

impl Piecewise {
    fn new(answer: Answer) -> Self {
        Self { left: answer.body, delivery: answer.delivery, pause: None, stalled: false }
    }
}

impl Body for Piecewise {
    type Data = Bytes;
    type Error = GivenUp;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, GivenUp>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let piece = match self.delivery {
            Delivery::Whole | Delivery::Reset => self.left.len(),
            Delivery::Stall => return Poll::Pending,
            Delivery::Drip { bytes, pause_millis } => {
                self.pause = Some(Box::pin(tokio::time::sleep(Duration::from_millis(pause_millis))));
                bytes.max(1)
            }
            Delivery::Cut(bytes) | Delivery::Abort(bytes) if !self.stalled => {
                self.stalled = true;
                bytes
            }
            Delivery::Cut(_) | Delivery::Abort(_) => return Poll::Ready(Some(Err(GivenUp))),
        };
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let piece = piece.min(self.left.len());
        Poll::Ready(Some(Ok(Frame::data(self.left.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty() && self.delivery == Delivery::Whole
    }

    fn size_hint(&self) -> SizeHint {
        match self.delivery {
            Delivery::Abort(_) => SizeHint::default(),
            _ => SizeHint::with_exact(self.left.len() as u64),
        }
    }
}

/// A connection that can end with a reset instead of in good order.
struct Socket {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed) {
            // Without it the client sees the end of the connection instead of a reset, which is nearly as good.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
