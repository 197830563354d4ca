//! The page and its files, and the way in for a browser when a token is needed.

use std::sync::Arc;

use axum::{
    Extension, Form, Router,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    App,
    guard::{Entry, Guard, Peer, WRONG_TOKEN_DELAY, too_many},
};

/// Where the form of the way in is sent.
pub const LOGIN: &str = "/login";

const INDEX: &str = include_str!("assets/index.html");

/// Name, media type and text of the page's files.
const ASSETS: &[(&str, &str, &str)] = &[
    ("/assets/app.js", "text/javascript", include_str!("assets/app.js")),
    ("/assets/dom.js", "text/javascript", include_str!("assets/dom.js")),
    ("/assets/live.js", "text/javascript", include_str!("assets/live.js")),
    ("/assets/cells.js", "text/javascript", include_str!("assets/cells.js")),
    ("/assets/detail.js", "text/javascript", include_str!("assets/detail.js")),
    ("/assets/case.js", "text/javascript", include_str!("assets/case.js")),
    ("/assets/dose.js", "text/javascript", include_str!("assets/dose.js")),
    ("/assets/gallery.js", "text/javascript", include_str!("assets/gallery.js")),
    ("/assets/karyogram.js", "text/javascript", include_str!("assets/karyogram.js")),
    ("/assets/draft.js", "text/javascript", include_str!("assets/draft.js")),
    ("/assets/facts.js", "text/javascript", include_str!("assets/facts.js")),
    ("/assets/inspector.js", "text/javascript", include_str!("assets/inspector.js")),
    ("/assets/finish.js", "text/javascript", include_str!("assets/finish.js")),
    ("/assets/score.js", "text/javascript", include_str!("assets/score.js")),
    ("/assets/zoom.js", "text/javascript", include_str!("assets/zoom.js")),
    ("/assets/cases.js", "text/javascript", include_str!("assets/cases.js")),
    ("/assets/map.js", "text/javascript", include_str!("assets/map.js")),
    ("/assets/browse.js", "text/javascript", include_str!("assets/browse.js")),
    ("/assets/edit.js", "text/javascript", include_str!("assets/edit.js")),
    ("/assets/history.js", "text/javascript", include_str!("assets/history.js")),
    ("/assets/homologs.js", "text/javascript", include_str!("assets/homologs.js")),
    ("/assets/compare.js", "text/javascript", include_str!("assets/compare.js")),
    ("/assets/rejected.js", "text/javascript", include_str!("assets/rejected.js")),
    ("/assets/sound.js", "text/javascript", include_str!("assets/sound.js")),
    ("/assets/style.css", "text/css", include_str!("assets/style.css")),
    ("/assets/icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

/// The routes of the page.
pub fn routes() -> Router<App> {
    let mut router = Router::new().route("/", get(index)).route(LOGIN, post(login).get(leave));
    for &(path, kind, text) in ASSETS {
        let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")];
        router = router.route(path, get(move || async move { (headers, text) }));
    }
    router
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
}

async fn index(
    State(guard): State<Arc<Guard>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Query(Token { token }): Query<Token>,
) -> Response {
    match token {
        // The token leaves the address bar at once.
        Some(token) => enter(&guard, peer, &headers, &token).await,
        None => Html(INDEX).into_response(),
    }
}

async fn login(
    State(guard): State<Arc<Guard>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Form(Token { token }): Form<Token>,
) -> Response {
    enter(&guard, peer, &headers, token.unwrap_or_default().trim()).await
}

/// The address of the form, asked for without one: a person who loads the answer to a wrong token again.
async fn leave() -> Redirect {
    // Relative: the path of a proxy stays before it.
    Redirect::to("./")
}

async fn enter(guard: &Guard, peer: Option<Extension<Peer>>, headers: &HeaderMap, token: &str) -> Response {
    let client = guard.client(peer.as_deref(), headers);
    match guard.try_token(client, token) {
        Entry::Right => {}
        Entry::TooMany => return too_many(),
        Entry::Wrong => {
            tokio::time::sleep(WRONG_TOKEN_DELAY).await;
            return login_form(Some("That is not the token."));
        }
    }
    // Relative, so that it leads back through the path of a proxy.
    let mut answer = Redirect::to("./").into_response();
    if let Some(cookie) = guard.cookie(headers) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}

/// The form that asks for the token, with what was wrong before.
pub fn login_form(wrong: Option<&str>) -> Response {
    let nonce = Uuid::now_v7().simple().to_string();
    let wrong = wrong.map(|text| format!("<p role=\"alert\">{text}</p>")).unwrap_or_default();
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>metaphased</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <style nonce=\"{nonce}\">:root{{color-scheme:light dark;font:18px/1.5 system-ui,sans-serif}}\
         body{{max-width:24rem;margin:16vh auto;padding:0 1rem}}form{{display:grid;gap:.8rem}}\
         input,button{{font:inherit;padding:.6rem .8rem;border-radius:.6rem;border:1px solid #857c96}}\
         button{{background:#5a3e9b;color:#fff;border:0;font-weight:600}}</style></head>\
         <body><h1>metaphased</h1><p>This microscope's page needs the access token of its configuration \
         (<code>web.token_file</code>).</p>{wrong}<form method=\"post\" action=\"{}\">\
         <label for=\"token\">Token</label>\
         <input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"current-password\" required autofocus>\
         <button>Open the page</button></form></body></html>",
        LOGIN.trim_start_matches('/')
    );
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut answer = (StatusCode::UNAUTHORIZED, Html(html)).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}
