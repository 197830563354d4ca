//! The server: its port, its routes, its end.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{Router, http::HeaderName, middleware};
use domain::{ErrorKind, HasKind};
use jiff::Timestamp;
use tokio::sync::watch;

use super::{
    App, EventKind, WebParts, cases, cells, commands, connections, events, guard, iscn, metrics, openapi, page, probes,
    problem, push, sessions, sources,
    speech::Speech,
    status, triggers,
    users::{Users, UsersError},
};
use crate::{
    config::{PublicAddress, WebConfig},
    station::Rates,
};

/// First port that is tried when none is configured.
pub const DEFAULT_PORT: u16 = 8080;

/// How many follow it.
const PORTS_TRIED: u16 = 100;

/// How often counters are sampled and published.
const STATS_INTERVAL: Duration = Duration::from_secs(2);

/// Changes of the state within this time are published as one.
const STATE_DEBOUNCE: Duration = Duration::from_millis(150);

/// How long requests under way may take when the daemon stops.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(800);

/// What the server cannot start with.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// `web.listen` is no address.
    #[error("invalid web.listen '{0}': expected address:port such as 127.0.0.1:8080, or off")]
    Address(String),
    /// The token cannot be read.
    #[error("the token file {} cannot be read: {source}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The token is too short to keep anyone out.
    #[error("the token in {} has {found} characters: give it at least 16 (openssl rand -hex 24)", path.display())]
    ShortToken {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: usize,
    },
    /// The server can be reached from outside and lets everybody in.
    #[error("{0} can be reached from outside: set web.token_file or web.users_file, or listen on 127.0.0.1")]
    Open(SocketAddr),
    /// The users cannot be read.
    #[error(transparent)]
    Users(#[from] UsersError),
    /// The configured port cannot be taken.
    #[error("the page cannot listen on {address} (web.listen): {source}; stop what uses it, or configure another port")]
    Taken {
        /// What was configured.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// No default port is free.
    #[error("none of the ports {DEFAULT_PORT} to {} is free: configure one with web.listen", DEFAULT_PORT + PORTS_TRIED)]
    NonFree,
    /// The socket failed.
    #[error("the page's socket failed: {0}")]
    Socket(#[from] io::Error),
}

impl HasKind for WebError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Address(_) | Self::Token { .. } | Self::ShortToken { .. } | Self::Open(_) | Self::Users(_) => {
                ErrorKind::Config
            }
            Self::Taken { .. } | Self::NonFree | Self::Socket(_) => ErrorKind::Unavailable,
        }
    }
}

/// How the server is reached.
#[derive(Debug, Clone, Default)]
pub struct WebOptions {
    /// Where to listen; none: 127.0.0.1:8080 or the next free port.
    pub listen: Option<SocketAddr>,
    /// The access token; required beyond loopback.
    pub token: Option<String>,
    /// Names it may be asked for as, besides its address and localhost.
    pub hosts: Vec<String>,
    /// The address that browsers show behind a reverse proxy.
    pub public: Option<PublicAddress>,
    /// Most connections at once; none: 256.
    pub connections: Option<usize>,
    /// Language of the page; none: the browser's.
    pub language: Option<String>,
    /// The people who may come in, where they are known by name.
    pub people: Option<PeopleOptions>,
}

/// Who may come in by name.
#[derive(Debug, Clone)]
pub struct PeopleOptions {
    /// File of the users.
    pub users_file: PathBuf,
    /// How long a login lasts.
    pub session: Duration,
    /// Header in which a trusted proxy gives the name.
    pub header: Option<HeaderName>,
    /// Addresses of the proxies that are trusted.
    pub proxies: Vec<IpAddr>,
}

impl WebOptions {
    /// From the configuration; none where the server is off.
    ///
    /// # Errors
    /// When the address or the token file is wrong.
    pub fn from_config(config: &WebConfig) -> Result<Option<Self>, WebError> {
        let listen = match config.listen.as_deref() {
            Some("off") => return Ok(None),
            Some(text) => Some(text.parse().map_err(|_| WebError::Address(text.to_owned()))?),
            None => None,
        };
        let token = config.token_file.as_deref().map(read_token).transpose()?;
        let public = config.public_address().and_then(Result::ok);
        let people = config.users_file.as_deref().map(|file| PeopleOptions {
            users_file: crate::config::credential(file),
            session: Duration::from_secs(3600 * u64::from(config.session_hours)),
            // The configuration has been checked.
            header: config.user_header.as_deref().and_then(|name| name.parse().ok()),
            proxies: config.proxies.iter().filter_map(|address| address.parse().ok()).collect(),
        });
        Ok(Some(Self {
            listen,
            token,
            hosts: config.hosts.clone(),
            public,
            connections: None,
            language: config.language.clone(),
            people,
        }))
    }
}

impl PeopleOptions {
    fn read(self) -> Result<guard::People, UsersError> {
        let Self { users_file, session, header, proxies } = self;
        Ok(guard::People::new(Users::open(users_file)?, session, header, proxies))
    }
}

fn read_token(file: &Path) -> Result<String, WebError> {
    let path = &*crate::config::credential(file);
    let text = std::fs::read_to_string(path).map_err(|source| WebError::Token { path: path.into(), source })?;
    let token = text.trim();
    if token.chars().count() < 16 {
        return Err(WebError::ShortToken { path: path.into(), found: token.chars().count() });
    }
    Ok(token.to_owned())
}

/// A port that is ours; nothing is answered yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    options: WebOptions,
    names: guard::Names,
    people: Option<guard::People>,
}

/// Takes the port, so that a taken one is known before anything else starts.
///
/// # Errors
/// [`WebError::Taken`] when the configured port is taken, [`WebError::Open`] without token and users beyond loopback,
/// [`WebError::Users`] when the users cannot be read.
pub fn bind(options: WebOptions) -> Result<Bound, WebError> {
    let people = options.people.clone().map(PeopleOptions::read).transpose()?;
    let listener = match options.listen {
        Some(address) => {
            if !address.ip().is_loopback() && options.token.is_none() && people.is_none() {
                return Err(WebError::Open(address));
            }
            TcpListener::bind(address).map_err(|source| WebError::Taken { address, source })?
        }
        None => (DEFAULT_PORT..=DEFAULT_PORT + PORTS_TRIED)
            .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
            .ok_or(WebError::NonFree)?,
    };
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let names = guard::Names::new(&options.hosts, options.public.clone());
    Ok(Bound { listener, address, options, names, people })
}

impl Bound {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The names under which it is asked for.
    pub fn names(&self) -> guard::Names {
        self.names.clone()
    }

    /// The page's address for a person at this machine.
    pub fn url(&self) -> String {
        let mut shown = self.address;
        if shown.ip().is_unspecified() {
            shown.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{shown}")
    }

    /// Answers until `stop` is done, then ends within a second.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(self, parts: WebParts, stop: impl Future<Output = ()> + Send) -> Result<(), WebError> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let (stop_sender, stopping) = watch::channel(false);
        let token = self.options.token.as_deref();
        let speech = Speech { laboratory: parts.laboratory.clone(), language: self.options.language.clone() };
        let guard = guard::Guard::new(self.address, self.names, token, self.people).speaking(speech);
        let guard = Arc::new(guard);
        let app = App {
            metrics: Arc::new(metrics::Metrics::new(
                parts.health.clone(),
                parts.hub.clone(),
                guard.tries(),
                parts.store.log_counts(),
            )),
            guard,
            stats: Arc::new(Mutex::new(parts.health.stats(now(), Duration::ZERO))),
            stopping: stopping.clone(),
            parts,
        };
        let publishers = [tokio::spawn(publish_stats(app.clone())), tokio::spawn(publish_state(app.clone()))];
        let mut server = std::pin::pin!(connections::serve(listener, router(app), stopping, self.options.connections));
        tokio::select! {
            () = &mut server => {}
            () = stop => {
                stop_sender.send_replace(true);
                // Someone who will not hang up does not hold the daemon.
                let _ = tokio::time::timeout(DRAIN_TIMEOUT, server).await;
            }
        }
        for publisher in publishers {
            publisher.abort();
        }
        Ok(())
    }
}

fn router(app: App) -> Router {
    Router::new()
        .merge(page::routes())
        .merge(probes::routes())
        .merge(metrics::routes())
        .nest(
            "/api/v1",
            Router::new()
                .merge(status::routes())
                .merge(sources::routes())
                .merge(push::routes())
                .merge(triggers::routes())
                .merge(cells::routes())
                .merge(cases::routes())
                .merge(iscn::routes())
                .merge(commands::routes())
                .merge(events::routes())
                .merge(sessions::routes())
                .merge(openapi::routes()),
        )
        .layer(middleware::from_fn(connections::in_time))
        .layer(middleware::map_response(problem::as_problem))
        .layer(middleware::from_fn_with_state(app.guard.clone(), guard::guard))
        .with_state(app)
}

/// The time as messages carry it.
pub(super) fn now() -> String {
    Timestamp::now().to_string()
}

/// Samples the counters, so that rates are known for every request, and publishes them.
async fn publish_stats(app: App) {
    let started = Instant::now();
    let mut rates = Rates::default();
    let mut ticks = tokio::time::interval(STATS_INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let uptime = started.elapsed();
        let mut stats = app.parts.health.stats(now(), uptime);
        rates.fill(&mut stats, uptime);
        app.parts.hub.publish(EventKind::Stats, &stats);
        *app.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }
}

/// Publishes every change of the state.
async fn publish_state(app: App) {
    let mut changes = app.parts.health.watch();
    while changes.changed().await.is_ok() {
        tokio::time::sleep(STATE_DEBOUNCE).await;
        changes.mark_unchanged();
        app.parts.hub.publish(EventKind::State, &app.parts.health.state(now()));
    }
}
