//! `events`: server-sent events for the page and for programs.

use std::{collections::BTreeSet, convert::Infallible, time::Duration};

use axum::{
    Extension, Router,
    extract::{Query, State},
    response::{
        IntoResponse,
        sse::{Event as Sent, KeepAlive, Sse},
    },
    routing::get,
};
use serde::Deserialize;
use tokio::sync::{broadcast::error::RecvError, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use super::{App, Event, EventKind, Watch, access::Caller, problem::Problem, server::now};

/// Events on their way to one client; what does not fit waits in the hub and is skipped when too old.
const UNDER_WAY: usize = 16;

/// How often it is looked whether whoever listens is still logged in.
const KNOWN_EVERY: Duration = Duration::from_secs(2);

/// Query of `events`.
#[derive(Debug, Deserialize)]
pub struct Listen {
    /// Sources whose live frames are wanted, separated by commas.
    #[serde(default)]
    live: String,
}

/// The route.
pub fn routes() -> Router<App> {
    Router::new().route("/events", get(events))
}

/// What happens, as it happens: `state`, `stats`, `cell`, `case`, `dose`, `alarm`; for watched sources also `frame` and
/// `boxes`. The current state and counters come first. A slow client misses events and goes on.
pub async fn events(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(query): Query<Listen>,
) -> Result<impl IntoResponse, Problem> {
    let hub = &app.parts.hub;
    let names: BTreeSet<String> =
        query.live.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let mut watches = Vec::new();
    for name in &names {
        let watch = hub.watch(name).ok_or_else(|| super::sources::no_such_source(&app, name))?;
        watches.push(watch);
    }
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
    tokio::spawn(forward(app.clone(), caller, names, watches, sender));
    let keep_alive = KeepAlive::new().interval(Duration::from_secs(15));
    // A proxy that gathers answers would hold events back.
    let unbuffered = [("x-accel-buffering", "no")];
    Ok((unbuffered, Sse::new(ReceiverStream::new(receiver)).keep_alive(keep_alive)))
}

type Line = Result<Sent, Infallible>;

/// Hands events on until the client leaves, is logged in no more, or the daemon stops; the watches end with it.
async fn forward(app: App, caller: Caller, names: BTreeSet<String>, watches: Vec<Watch>, sender: mpsc::Sender<Line>) {
    let mut looks = tokio::time::interval(KNOWN_EVERY);
    let mut events = app.parts.hub.listen();
    let mut stopping = app.stopping.clone();
    let first = [
        (EventKind::State, serde_json::to_string(&app.parts.health.state(now()))),
        (EventKind::Stats, serde_json::to_string(&app.latest_stats())),
    ];
    for (kind, text) in first {
        let Ok(text) = text else { continue };
        if sender.send(Ok(Sent::default().event(kind.name()).data(text))).await.is_err() {
            return;
        }
    }
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = sender.closed() => break,
            _ = stopping.wait_for(|stop| *stop) => break,
            _ = looks.tick() => match app.guard.still_knows(&caller) {
                true => continue,
                false => break,
            },
        };
        match event {
            Ok(event) if wanted(&event, &names) => {
                let line = Sent::default().event(event.kind.name()).data(&*event.data);
                if sender.send(Ok(line)).await.is_err() {
                    break;
                }
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => break,
        }
    }
    drop(watches);
}

fn wanted(event: &Event, names: &BTreeSet<String>) -> bool {
    event.source.as_deref().is_none_or(|source| names.contains(source))
}
