//! The broker that the first run starts on loopback, so that results can be seen without installing one.
//!
//! MQTT 3.1.1 and 5 on one port: the level of the CONNECT decides ([`codec`]). [`connection`] reads and writes one
//! client's packets, [`router`] owns sessions, subscriptions and retained messages, [`session`] what waits for one
//! client, [`topics`] compares filters with topics.
//!
//! Publishes are accepted at QoS 0, 1 and 2 and delivered at QoS 0 or 1. Sessions outlive connections as the client
//! asks, in memory: all is lost when the process ends (the daemon's outbox is not). Not supported: shared subscriptions
//! and subscription identifiers (refused as MQTT 5 says), topic aliases (none are offered), the delay of a last will
//! (it is published at once) and the expiry of messages (they are kept until delivered).

mod codec;
mod connection;
mod router;
mod session;
mod topics;

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use router::Router;

/// Port of MQTT without encryption.
const DEFAULT_PORT: u16 = 1883;
/// Ports that are tried after the default one.
const PORTS_TRIED: u16 = 100;

/// A broker on 127.0.0.1 for MQTT 3.1.1 and 5. It runs until the process ends, keeps everything in memory, and accepts
/// every client on this machine: what it holds is lost with it, the outbox is not.
#[derive(Debug)]
pub struct EmbeddedBroker {
    port: u16,
}

/// The embedded broker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The configured port is taken (exit 69).
    #[error(
        "mqtt.embedded_port {port} is taken ({source}): is another broker running? Use it with mqtt.url = \
         \"mqtt://127.0.0.1:{port}\", or choose another port"
    )]
    Taken {
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// No port is free near the default one.
    #[error("no free port for the embedded broker from 1883 on: set mqtt.embedded_port")]
    NoneFree,
    /// The broker did not come up.
    #[error("the embedded broker does not start: {0}")]
    Start(#[from] io::Error),
}

impl EmbeddedBroker {
    /// Starts a broker on `port`, or on the first free one from 1883 on. It listens once this returns.
    ///
    /// # Errors
    /// A configured port that is taken; a broker that does not come up.
    pub fn start(port: Option<u16>) -> Result<Self, EmbeddedError> {
        let listener = match port {
            Some(port) => bind(port).map_err(|source| EmbeddedError::Taken { port, source })?,
            None => (DEFAULT_PORT..DEFAULT_PORT + PORTS_TRIED)
                .find_map(|port| bind(port).ok())
                .ok_or(EmbeddedError::NoneFree)?,
        };
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("broker".into()).spawn(move || runtime.block_on(serve(listener)))?;
        Ok(Self { port })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn bind(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port))
}

/// Accepts clients for ever.
async fn serve(listener: TcpListener) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the embedded broker cannot listen"),
    };
    let router = SharedRouter::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection::serve(stream, router.clone()));
            }
            Err(error) => {
                // No file descriptor is left, say: clients that leave free some.
                tracing::warn!(%error, "the embedded broker cannot accept a client");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

/// The one router, for every connection.
#[derive(Debug, Clone, Default)]
struct SharedRouter(Arc<Mutex<Router>>);

impl SharedRouter {
    /// A panic while the router was locked ends one connection; the maps stay usable.
    fn lock(&self) -> MutexGuard<'_, Router> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
