//! Connections: accepted, limited in number and in patience, and ended.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{guard::Peer, problem::Problem};

/// Most connections at once; others wait until one ends. Each takes a handle of the process, which sources and the
/// store need, too.
const CONNECTIONS: usize = 256;
/// How long the head of a request may take, and how long a connection may stay without one.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long a request with a body may take, from its head to its answer; a command is answered within 10 s.
const BODY_WITHIN: Duration = Duration::from_secs(30);
/// Pause after a connection could not be accepted: the process is out of handles.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Answers until `stopping` says so, and then what is under way.
pub(super) async fn serve(listener: TcpListener, router: Router, stopping: watch::Receiver<bool>, most: Option<usize>) {
    let slots = Arc::new(Semaphore::new(most.map_or(CONNECTIONS, |most| most.min(CONNECTIONS))));
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stopped(stopping.clone()));
    loop {
        let (stream, slot) = tokio::select! {
            next = accept(&listener, &slots) => next,
            () = &mut stop => break,
        };
        let router = match stream.peer_addr() {
            Ok(peer) => router.clone().layer(Extension(Peer(peer.ip()))),
            Err(_) => router.clone(),
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(stream, router, stopped(stopping.clone()), slot));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone: stopping as well.
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// The next connection, once there is a slot for it.
async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // It is never closed, so there is always one in the end.
    let slot = slots.clone().acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, slot),
            Err(error) => {
                tracing::warn!(%error, "a connection to the page could not be accepted");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// Lives with one connection.
async fn connection(stream: TcpStream, router: Router, stop: impl Future, slot: Option<OwnedSemaphorePermit>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    // Whoever hangs up or falls silent is no fault of ours.
    tokio::select! {
        ended = connection.as_mut() => drop(ended),
        _ = stop => {
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        }
    }
    drop(slot);
}

/// Ends a request whose body does not come.
pub(super) async fn in_time(request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    timeout(BODY_WITHIN, next.run(request)).await.unwrap_or_else(|_| {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "The request did not come to its end in time; send it again.")
            .into_response()
    })
}
