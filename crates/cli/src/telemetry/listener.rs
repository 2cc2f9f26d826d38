//! The socket, and what one client may take of it.
//!
//! Owns every bound on clients: how many there are at a time, how long each may take, how much it may send. Must not know
//! what is asked for.
//!
//! The subtle thing: a connection carries one request and has a few seconds from the first byte to the last. So there is
//! nothing that a client could hold open, and whoever waits for a place gets it soon.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use model::fault::{Fault, FaultKind};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::routes::Routes;

/// How many clients are answered at a time; more wait for their turn.
pub(super) const MOST_CLIENTS: usize = 32;

/// How long a client may take for the head of its request, and for everything.
pub(super) const FOR_THE_HEAD: Duration = Duration::from_secs(3);
const FOR_ALL: Duration = Duration::from_secs(10);

/// The most of a request's head, in bytes and in fields.
pub(super) const MOST_HEAD: usize = 16 << 10;
const MOST_FIELDS: usize = 64;

/// How long to wait when the system gives no connection: it has run out of something.
const BREATH: Duration = Duration::from_millis(200);

/// An address that is listened at.
pub(crate) struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Takes the address.
    ///
    /// # Errors
    ///
    /// [`FaultKind::Taken`] when somebody else has it, [`FaultKind::Unusable`] when it cannot be had at all.
    pub(crate) async fn bind(address: SocketAddr) -> Result<Self, Fault> {
        let refused = |error: io::Error| {
            let cause = format!("[telemetry] `listen`: {address} cannot be listened at: {error}");
            match error.kind() {
                io::ErrorKind::AddrInUse => Fault::new(
                    FaultKind::Taken,
                    cause,
                    "stop what listens there, another stage perhaps, or give `listen` another port; \"off\" goes without",
                ),
                _ => Fault::new(
                    FaultKind::Unusable,
                    cause,
                    "give `listen` an address of this machine and a port that this user may use",
                ),
            }
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers clients, for ever.
    pub(super) async fn serve(self, routes: Arc<Routes>) {
        let places = Arc::new(Semaphore::new(MOST_CLIENTS));
        let mut clients = JoinSet::new();
        loop {
            while clients.try_join_next().is_some() {}
            // The place comes first: who has none waits in the system's queue, and costs us nothing.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let routes = Arc::clone(&routes);
                    clients.spawn(async move {
                        answer(stream, routes).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::debug!(%error, "no client could be taken");
                    sleep(BREATH).await;
                }
            }
        }
    }
}

/// Answers one request. How it ends is the client's business.
async fn answer(stream: TcpStream, routes: Arc<Routes>) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let response = routes.answer(&request);
        async move { Ok::<_, Infallible>(response) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(FOR_THE_HEAD)
        .keep_alive(false)
        .max_buf_size(MOST_HEAD)
        .max_headers(MOST_FIELDS);
    if let Ok(Err(error)) = timeout(FOR_ALL, http.serve_connection(TokioIo::new(stream), service)).await {
        tracing::debug!(%error, "a client of the status page went wrong");
    }
}
