//! The broker that the first run starts on loopback, so that results can be seen without installing one.

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};

/// Port of MQTT without encryption.
const DEFAULT_PORT: u16 = 1883;
/// Ports that are tried after the default one.
const PORTS_TRIED: u16 = 100;

/// A broker on 127.0.0.1 for MQTT 3.1.1. It runs until the process ends, keeps everything in memory, and takes anybody
/// on this machine: what it holds is lost with it, the outbox is not.
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
    Start(String),
}

impl EmbeddedBroker {
    /// Starts a broker on `port`, or on the first free one from 1883 on, and waits until it answers.
    ///
    /// # Errors
    /// A configured port that is taken; a broker that does not come up.
    pub fn start(port: Option<u16>) -> Result<Self, EmbeddedError> {
        let port = match port {
            Some(port) => match free(port) {
                Ok(()) => port,
                Err(source) => return Err(EmbeddedError::Taken { port, source }),
            },
            None => (DEFAULT_PORT..DEFAULT_PORT + PORTS_TRIED)
                .find(|port| free(*port).is_ok())
                .ok_or(EmbeddedError::NoneFree)?,
        };
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let server = ServerSettings {
            name: "loopback".into(),
            listen,
            tls: None,
            next_connection_delay_ms: 1,
            connections: ConnectionSettings {
                connection_timeout_ms: 5000,
                max_payload_size: 1024 * 1024,
                max_inflight_count: 256,
                auth: None,
                external_auth: None,
                dynamic_filters: true,
            },
        };
        let config = Config {
            router: RouterConfig {
                max_connections: 100,
                max_outgoing_packet_count: 200,
                // A log in memory for each filter: these bound it to a few megabytes.
                max_segment_size: 1024 * 1024,
                max_segment_count: 4,
                ..RouterConfig::default()
            },
            v4: Some(HashMap::from([("loopback".to_owned(), server)])),
            ..Config::default()
        };
        let mut broker = Broker::new(config);
        thread::Builder::new()
            .name("broker".into())
            .spawn(move || {
                if let Err(error) = broker.start() {
                    tracing::error!(%error, "the embedded broker ended");
                }
            })
            .map_err(|error| EmbeddedError::Start(error.to_string()))?;
        let deadline = Instant::now() + Duration::from_secs(5);
        while TcpStream::connect_timeout(&listen, Duration::from_millis(200)).is_err() {
            if Instant::now() > deadline {
                return Err(EmbeddedError::Start(format!("nothing listens on port {port}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { port })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn free(port: u16) -> io::Result<()> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop)
}
