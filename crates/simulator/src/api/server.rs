//! The simulation on a loopback port.
//!
//! Owns sockets and nothing else: what is answered is the simulation's business, how an answer is damaged on its way is said
//! in its [`Delivery`]. It speaks plain HTTP; a client that begins with TLS meets a failed handshake, as it should.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::clock::Pace;
use super::control::{Control, PREFIX};
use super::exchange::{Answer, Delivery, Request};
use super::simulation::Simulation;

/// The longest body of a control request.
const MOST_CONTROL: usize = 4 << 20;

/// A simulation that listens; it stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    control: Control,
    switch: mpsc::UnboundedSender<Switch>,
    task: JoinHandle<()>,
}

/// Whether to listen, and whom to tell that it is done.
type Switch = (bool, oneshot::Sender<io::Result<()>>);

impl Server {
    /// Listens on an address; port 0 takes a free one. The control routes answer to loopback only.
    ///
    /// # Errors
    ///
    /// What the system says to binding the address.
    pub async fn start(simulation: Simulation, address: SocketAddr, pace: Pace) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let control = Control::new(simulation, pace);
        let (switch, switched) = mpsc::unbounded_channel();
        let task = tokio::spawn(accept(listener, control.clone(), switch.downgrade(), switched));
        Ok(Self { address, control, switch, task })
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

    /// Goes away: connections end and new ones are refused, until [`Server::come_back`].
    ///
    /// # Errors
    ///
    /// Should the server have ended.
    pub async fn go_away(&self) -> io::Result<()> {
        self.switch(false).await
    }

    /// Listens again where it did before.
    ///
    /// # Errors
    ///
    /// What the system says to binding the address.
    pub async fn come_back(&self) -> io::Result<()> {
        self.switch(true).await
    }

    async fn switch(&self, listens: bool) -> io::Result<()> {
        let (done, told) = oneshot::channel();
        // Should the task have ended, nobody answers, and that is the error.
        let _ = self.switch.send((listens, done));
        told.await.map_err(io::Error::other)?
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

async fn accept(
    listener: TcpListener,
    control: Control,
    switch: mpsc::WeakUnboundedSender<Switch>,
    mut switched: mpsc::UnboundedReceiver<Switch>,
) {
    let address = listener.local_addr();
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            accepted = accepted => {
                if let Ok((stream, peer)) = accepted {
                    let visit = Visit { local: peer.ip().is_loopback(), control: control.clone(), switch: switch.clone() };
                    connections.spawn(serve(stream, visit));
                }
            }
            Some((listens, done)) = switched.recv() => {
                listener = None;
                let mut outcome = Ok(());
                if !listens {
                    connections.shutdown().await;
                } else if let Ok(address) = &address {
                    outcome = TcpListener::bind(address).await.map(|again| listener = Some(again));
                }
                // Who asked may have gone.
                let _ = done.send(outcome);
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// What a connection has at hand.
#[derive(Clone)]
struct Visit {
    /// Whether it comes from this machine.
    local: bool,
    control: Control,
    switch: mpsc::WeakUnboundedSender<Switch>,
}

impl Visit {
    /// Refuses all connections, this one too, for some time.
    fn refuse(&self, millis: u64) {
        let Some(switch) = self.switch.upgrade() else { return };
        let weak = self.switch.clone();
        // Not among the connections, which all end now.
        tokio::spawn(async move {
            let (gone, told) = oneshot::channel();
            // Should the server have ended meanwhile, there is nobody to refuse any more.
            let _ = switch.send((false, gone));
            drop(switch);
            let _ = told.await;
            tokio::time::sleep(Duration::from_millis(millis)).await;
            if let Some(switch) = weak.upgrade() {
                let _ = switch.send((true, oneshot::channel().0));
            }
        });
    }
}

/// What a client that speaks TLS is told: a fatal alert, that no handshake can be done.
const ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 40];
/// The first byte of a TLS handshake, which no HTTP request has.
const HANDSHAKE: u8 = 0x16;

async fn serve(mut stream: TcpStream, visit: Visit) {
    let mut first = [0; 1];
    if stream.peek(&mut first).await.is_ok_and(|read| read == 1) && first[0] == HANDSHAKE {
        // How such a connection ends is the client's business.
        let _ = stream.write_all(&ALERT).await;
        let _ = stream.shutdown().await;
        return;
    }
    let reset = Arc::new(AtomicBool::new(false));
    let socket = Socket { stream, reset: reset.clone() };
    let service = service_fn(move |request| respond(request, visit.clone(), reset.clone()));
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
    visit: Visit,
    reset: Arc<AtomicBool>,
) -> Result<hyper::Response<Piecewise>, GivenUp> {
    let (head, body) = request.into_parts();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let request = Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
    };
    let Visit { local, control, .. } = &visit;
    let answer = if *local && request.path.starts_with(PREFIX) {
        let body = Limited::new(body, MOST_CONTROL).collect().await.map_err(|_| GivenUp)?.to_bytes();
        control.route(&request, &String::from_utf8_lossy(&body))
    } else {
        control.answer(&request)
    };
    if let Delivery::Refuse(millis) = answer.delivery {
        visit.refuse(millis);
        return Err(GivenUp);
    }
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
            Delivery::Whole | Delivery::Chunked | Delivery::Reset | Delivery::Refuse(_) => self.left.len(),
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
            Delivery::Abort(_) | Delivery::Chunked => SizeHint::default(),
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
