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
use serde_json::json;
use uuid::Uuid;

use super::{
    App,
    access::Caller,
    guard::{Entry, Guard, Peer, WRONG_TOKEN_DELAY, too_many},
    speech,
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
    ("/assets/elements.js", "text/javascript", include_str!("assets/elements.js")),
    ("/assets/words.js", "text/javascript", include_str!("assets/words.js")),
    ("/assets/reasons.js", "text/javascript", include_str!("assets/reasons.js")),
    ("/assets/people.js", "text/javascript", include_str!("assets/people.js")),
    ("/assets/sound.js", "text/javascript", include_str!("assets/sound.js")),
    ("/assets/style.css", "text/css", include_str!("assets/style.css")),
    ("/assets/icon.svg", "image/svg+xml", include_str!("assets/icon.svg")),
];

/// The routes of the page.
pub fn routes() -> Router<App> {
    let mut router =
        Router::new().route("/", get(index)).route(LOGIN, post(login).get(leave)).route("/logout", post(logout));
    router = router.route("/assets/who.js", get(who)).route("/assets/texts.js", get(texts));
    for &(path, kind, text) in ASSETS {
        let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")];
        router = router.route(path, get(move || async move { (headers, text) }));
    }
    router
}

/// The words of the page, as a script.
async fn texts(State(guard): State<Arc<Guard>>, headers: HeaderMap) -> Response {
    let text = speech::script(&guard.speech().words(&headers).await);
    ([(header::CONTENT_TYPE, "text/javascript")], text).into_response()
}

/// Who looks at the page, as a script: what may not be changed is not offered.
async fn who(Extension(caller): Extension<Caller>) -> Response {
    let Caller { user, role, entrance, .. } = caller;
    let text = format!(
        "export const {{ user, role, entrance }} = {};\n",
        json!({ "user": user, "role": role, "entrance": entrance })
    );
    ([(header::CONTENT_TYPE, "text/javascript")], text).into_response()
}

/// What a browser sends to come in: the token, or a name and a password.
#[derive(Deserialize)]
struct WayIn {
    token: Option<String>,
    user: Option<String>,
    password: Option<String>,
}

async fn index(
    State(guard): State<Arc<Guard>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Query(WayIn { token, .. }): Query<WayIn>,
) -> Response {
    match token {
        // The token leaves the address bar at once.
        Some(token) => enter(&guard, peer, &headers, &token).await,
        None => Html(speech::fill(INDEX, &guard.speech().words(&headers).await)).into_response(),
    }
}

async fn login(
    State(guard): State<Arc<Guard>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Form(WayIn { token, user, password }): Form<WayIn>,
) -> Response {
    match (user, password) {
        (Some(user), Some(password)) => {
            let client = guard.client(peer.as_deref(), &headers);
            let cookie = guard.log_in(client, &headers, &user, password).await;
            entered(&guard, &headers, cookie.map(Some)).await
        }
        _ => enter(&guard, peer, &headers, token.unwrap_or_default().trim()).await,
    }
}

/// The address of the form, asked for without one: a person who loads the answer to a wrong token again.
async fn leave() -> Redirect {
    // Relative: the path of a proxy stays before it.
    Redirect::to("./")
}

/// Ends the session.
async fn logout(State(guard): State<Arc<Guard>>, Extension(caller): Extension<Caller>, headers: HeaderMap) -> Response {
    let mut answer = Redirect::to("./").into_response();
    for cookie in guard.log_out(&caller, &headers) {
        answer.headers_mut().append(header::SET_COOKIE, cookie);
    }
    answer
}

async fn enter(guard: &Guard, peer: Option<Extension<Peer>>, headers: &HeaderMap, token: &str) -> Response {
    let client = guard.client(peer.as_deref(), headers);
    let cookie = match guard.try_token(client, token) {
        Entry::Right => Ok(guard.cookie(headers)),
        wrong => Err(wrong),
    };
    entered(guard, headers, cookie).await
}

/// The answer to a way in: to the page with the cookie, or the form again.
async fn entered(guard: &Guard, headers: &HeaderMap, cookie: Result<Option<HeaderValue>, Entry>) -> Response {
    match cookie {
        Ok(cookie) => {
            // Relative, so that it leads back through the path of a proxy.
            let mut answer = Redirect::to("./").into_response();
            if let Some(cookie) = cookie {
                answer.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            answer
        }
        Err(Entry::TooMany) => too_many(),
        Err(_) => {
            tokio::time::sleep(WRONG_TOKEN_DELAY).await;
            login_form(guard, headers, true).await
        }
    }
}

const LOGIN_BY_NAME: &str = "<p>{{login.about}}</p><failed><form method=\"post\" action=\"login\">\
    <label for=\"user\">{{login.name}}</label>\
    <input id=\"user\" name=\"user\" autocomplete=\"username\" maxlength=\"200\" required autofocus>\
    <label for=\"password\">{{login.password}}</label>\
    <input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" required>\
    <button>{{login.button}}</button></form>";

const LOGIN_BY_TOKEN: &str = "<p>{{login.token.about}}</p><failed><form method=\"post\" action=\"login\">\
    <label for=\"token\">{{login.token}}</label>\
    <input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"current-password\" required autofocus>\
    <button>{{login.token.button}}</button></form>";

/// Look of the form.
const LOGIN_STYLE: &str = ":root{color-scheme:light dark;font:18px/1.5 system-ui,sans-serif}\
    body{max-width:24rem;margin:16vh auto;padding:0 1rem}form{display:grid;gap:.8rem}\
    input,button{font:inherit;padding:.6rem .8rem;border-radius:.6rem;border:1px solid #857c96}\
    button{background:#5a3e9b;color:#fff;border:0;font-weight:600}\
    [role=alert]{border-left:.3rem solid #b0261d;padding-left:.7rem}";

/// The form that asks for name and password, or for the token where nobody is known by name; `wrong`: again.
pub async fn login_form(guard: &Guard, headers: &HeaderMap, wrong: bool) -> Response {
    let nonce = Uuid::now_v7().simple().to_string();
    let (form, failed) = match guard.people() {
        Some(_) => (LOGIN_BY_NAME, "<p role=\"alert\">{{login.wrong}}</p>"),
        None => (LOGIN_BY_TOKEN, "<p role=\"alert\">{{login.token.wrong}}</p>"),
    };
    let form = form.replace("<failed>", if wrong { failed } else { "" });
    let html = format!(
        "<!doctype html><html lang=\"{{{{language}}}}\"><head><meta charset=\"utf-8\"><title>metaphased</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <style nonce=\"{nonce}\">{LOGIN_STYLE}</style></head><body><main><h1>metaphased</h1>{form}</main></body></html>"
    );
    let html = speech::fill(&html, &guard.speech().words(headers).await);
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let mut answer = (StatusCode::UNAUTHORIZED, Html(html)).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}
