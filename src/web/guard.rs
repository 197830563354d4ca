//! Who may ask: Host (DNS rebinding), Origin (foreign pages), token, people with their sessions and roles, and the headers
//! that keep the page to itself.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use super::{
    access::{Caller, Entrance, Role, needed},
    page,
    problem::Problem,
    sessions::Sessions,
    speech::Speech,
    tries::Tries,
    users::{self, User, Users},
};
use crate::config::{PublicAddress, without_usual_port};
use domain::hex;

/// Name of the cookie that stands for the token in a browser.
const COOKIE: &str = "metaphased";

/// Name of the cookie of a session.
const SESSION: &str = "metaphased-session";

/// How long the cookie of the token holds.
const TOKEN_DAYS: Duration = Duration::from_secs(30 * 86_400);

/// Passwords that are checked at once: each takes 19 MiB and some processor time.
const CHECKED_AT_ONCE: usize = 2;

/// How long a wrong token waits for its answer.
pub const WRONG_TOKEN_DELAY: Duration = Duration::from_millis(400);

/// Routes for supervisors and collectors, which may send no `Host`.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// Address of the client of a connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Names under which the server is asked for. Cloning shares them; they may change while it runs.
#[derive(Debug, Clone, Default)]
pub struct Names(Arc<RwLock<(Vec<String>, Option<PublicAddress>)>>);

impl Names {
    /// The names `hosts`, and the address that browsers show behind a reverse proxy.
    pub fn new(hosts: &[String], public: Option<PublicAddress>) -> Self {
        let names = Self::default();
        names.set(hosts, public);
        names
    }

    /// Other names from now on.
    pub fn set(&self, hosts: &[String], public: Option<PublicAddress>) {
        let hosts = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = (hosts, public);
    }

    fn public(&self) -> Option<PublicAddress> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    fn has(&self, name: &str) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.0.iter().any(|host| host == name) || known.1.as_ref().is_some_and(|public| public.host == name)
    }
}

/// Who may send requests.
#[derive(Debug)]
pub struct Guard {
    /// Where it listens.
    address: SocketAddr,
    names: Names,
    /// What is needed to get in; none on loopback without a token file.
    secret: Option<Secret>,
    /// The people who may come in; none without a users' file.
    people: Option<People>,
    /// In which language it speaks.
    speech: Speech,
    tries: Arc<Tries>,
}

/// The people who may come in, by password or as a proxy says.
#[derive(Debug)]
pub struct People {
    /// Them.
    pub users: Users,
    /// Those who are logged in.
    pub sessions: Sessions,
    /// Header in which a proxy gives the name.
    header: Option<HeaderName>,
    /// Addresses of the proxies that are believed.
    proxies: Vec<IpAddr>,
    checks: tokio::sync::Semaphore,
}

impl People {
    /// Those of a users' file. `header`: in which the proxies at `proxies` give the name of a person.
    pub fn new(users: Users, lasts: Duration, header: Option<HeaderName>, proxies: Vec<IpAddr>) -> Self {
        let checks = tokio::sync::Semaphore::new(CHECKED_AT_ONCE);
        Self { users, sessions: Sessions::new(lasts), header, proxies, checks }
    }

    /// The name that a trusted proxy gives; none where it gives none, or where nobody is to be believed. Several are a
    /// mistake, and none is taken.
    fn named_by_proxy(&self, peer: Option<&Peer>, headers: &HeaderMap) -> Option<Result<String, ()>> {
        let header = self.header.as_ref()?;
        let peer = peer?.0.to_canonical();
        if !self.proxies.iter().any(|proxy| proxy.to_canonical() == peer) {
            return None;
        }
        let mut values = headers.get_all(header).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return Some(Err(()));
        }
        Some(std::str::from_utf8(value.as_bytes()).map(|name| name.trim().to_owned()).map_err(drop))
    }

    /// Whoever the cookie of a session belongs to.
    fn by_session(&self, headers: &HeaderMap, now: Instant) -> Option<Caller> {
        let session = self.sessions.of_secret(&digest(&[cookie(headers, SESSION)?]), now)?;
        let user = self.users.find(&session.user, now)?;
        session.holds(&user).then(|| caller(user, Entrance::Password, Some(session.id)))
    }
}

fn caller(user: User, entrance: Entrance, session: Option<uuid::Uuid>) -> Caller {
    Caller { entrance, user: Some(user.name), role: user.role, session }
}

/// Who sends a request, as far as that can be found out.
enum Found {
    Caller(Caller),
    /// A proxy gives a name that is not among the users.
    Stranger(String),
    Wrong,
    TooMany,
    Nobody,
}

#[derive(Debug)]
struct Secret {
    token: [u8; 32],
    cookie: String,
}

/// What becomes of a token or a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// It lets in.
    Right,
    /// It does not.
    Wrong,
    /// It was not looked at: there were too many wrong ones.
    TooMany,
}

impl Guard {
    /// For a server at `address`, asked for by `names` besides the address itself and localhost.
    pub fn new(address: SocketAddr, names: Names, token: Option<&str>, people: Option<People>) -> Self {
        let secret = token.map(|token| Secret { token: digest(&[token]), cookie: hex(digest(&["cookie", token])) });
        Self { address, names, secret, people, speech: Speech::default(), tries: Arc::default() }
    }

    /// The same with the words of another language or laboratory.
    #[must_use]
    pub fn speaking(self, speech: Speech) -> Self {
        Self { speech, ..self }
    }

    /// In which language it speaks.
    pub fn speech(&self) -> &Speech {
        &self.speech
    }

    /// The people who may come in; none without a users' file.
    pub fn people(&self) -> Option<&People> {
        self.people.as_ref()
    }

    /// Looks at a name and a password that a person typed; the cookie of a new session when they are right.
    ///
    /// # Errors
    /// [`Entry::Wrong`] or [`Entry::TooMany`].
    pub async fn log_in(
        self: &Arc<Self>,
        client: IpAddr,
        headers: &HeaderMap,
        name: &str,
        password: String,
    ) -> Result<HeaderValue, Entry> {
        let people = self.people.as_ref().ok_or(Entry::Wrong)?;
        // It is never closed. Guesses that come at once wait here, so that each counts before the next is looked at.
        let _check = people.checks.acquire().await;
        let guess = digest(&["password", name, &password]);
        if !self.tries.allows(client, &guess, Instant::now()) {
            return Err(Entry::TooMany);
        }
        let user = people.users.find(name.trim(), Instant::now());
        let of = user.clone();
        let right = tokio::task::spawn_blocking(move || users::verify(of.as_ref(), &password)).await.unwrap_or(false);
        let Some(user) = user.filter(|_| right) else {
            self.tries.wrong_password(client, &guess, Instant::now());
            return Err(Entry::Wrong);
        };
        let value = new_secret().ok_or(Entry::Wrong)?;
        let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        people.sessions.begin(&user, digest(&[&value]), client, agent, Instant::now());
        tracing::info!(user = user.name, %client, "logged in");
        self.set_cookie(headers, SESSION, &value, people.sessions.lasts()).ok_or(Entry::Wrong)
    }

    /// Ends the session of whoever asks; gives what makes a browser forget both cookies.
    pub fn log_out(&self, caller: &Caller, headers: &HeaderMap) -> Vec<HeaderValue> {
        if let (Some(people), Some(session)) = (&self.people, caller.session) {
            people.sessions.end(session, Instant::now());
            tracing::info!(user = caller.user, "logged out");
        }
        [SESSION, COOKIE].into_iter().filter_map(|name| self.set_cookie(headers, name, "", Duration::ZERO)).collect()
    }

    /// Whether somebody who came in is still known: not logged out, not removed, the session not over.
    pub fn still_knows(&self, caller: &Caller) -> bool {
        let (Some(people), Some(name)) = (&self.people, &caller.user) else { return true };
        let now = Instant::now();
        let Some(user) = people.users.find(name, now) else { return false };
        caller.session.is_none_or(|id| people.sessions.of_id(id, now).is_some_and(|session| session.holds(&user)))
    }

    /// The wrong tokens.
    pub fn tries(&self) -> Arc<Tries> {
        self.tries.clone()
    }

    fn check_host(&self, headers: &HeaderMap, uri: &Uri) -> Result<String, Problem> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next(), uri.authority()) {
            (Some(host), None, _) => host.to_str().ok().map(str::to_ascii_lowercase),
            (None, _, Some(authority)) => Some(authority.as_str().to_ascii_lowercase()),
            (None, _, None) if PROBES.contains(&uri.path()) => return Ok(self.address.to_string()),
            _ => None,
        };
        let Some(host) = host else {
            return Err(Problem::bad_request("The request needs exactly one Host header."));
        };
        let name = host_name(&host);
        let right = match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            // A rebinding attack needs a name; an address can only be ours or a tunnel to us.
            Ok(ip) => ip.is_loopback() || !self.address.ip().is_loopback(),
            Err(_) => name == "localhost" || self.names.has(name),
        };
        if right {
            return Ok(host);
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            format!(
                "This server does not go by the name '{name}' of the Host header. Ask for {}, or list the name in \
                 web.hosts; behind a reverse proxy set web.public_url.",
                self.address
            ),
        ))
    }

    fn check_origin(&self, headers: &HeaderMap, host: &str) -> Result<(), Problem> {
        let Some(origin) = headers.get(header::ORIGIN) else {
            // Programs send none; a browser's POST always has one.
            if self.address.ip().is_loopback() || bearer(headers).is_some() {
                return Ok(());
            }
            return Err(Problem::new(StatusCode::FORBIDDEN, "A POST with the cookie needs an Origin header."));
        };
        let origin = origin.to_str().unwrap_or("not text").to_ascii_lowercase();
        if self.is_own(&origin, host) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            format!(
                "The Origin header '{origin}' is another site's than the Host header '{host}'. Behind a reverse proxy set \
                 web.public_url to the address that the browser shows."
            ),
        ))
    }

    fn is_own(&self, origin: &str, host: &str) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        if !matches!(scheme, "http" | "https") {
            return false;
        }
        let authority = without_usual_port(scheme, authority);
        authority == without_usual_port(scheme, host)
            || self.names.public().is_some_and(|public| public.origin == format!("{scheme}://{authority}"))
    }

    /// Looks at a token that a person typed.
    pub fn try_token(&self, client: IpAddr, token: &str) -> Entry {
        self.try_one(client, digest(&[token]), |secret, guess| same(guess, &secret.token))
    }

    fn try_one(&self, client: IpAddr, guess: [u8; 32], is_right: impl Fn(&Secret, &[u8; 32]) -> bool) -> Entry {
        let Some(secret) = &self.secret else { return Entry::Right };
        let now = Instant::now();
        if !self.tries.allows(client, &guess, now) {
            return Entry::TooMany;
        }
        if is_right(secret, &guess) {
            return Entry::Right;
        }
        self.tries.wrong(client, &guess, now);
        Entry::Wrong
    }

    /// Looks at what the request brings; none where it brings nothing.
    fn try_headers(&self, client: IpAddr, headers: &HeaderMap) -> Option<Entry> {
        self.secret.as_ref()?;
        let by_token = bearer(headers).map(|token| self.try_token(client, token));
        if by_token == Some(Entry::Right) {
            return by_token;
        }
        let by_cookie = cookie(headers, COOKIE).map(|value| {
            self.try_one(client, digest(&[value]), |secret, guess| same(guess, &digest(&[&secret.cookie])))
        });
        if by_cookie == Some(Entry::Right) { by_cookie } else { by_token.or(by_cookie) }
    }

    /// Who sends a request: a person, as a trusted proxy or the cookie of a session says; else the token.
    fn find(&self, peer: Option<&Peer>, headers: &HeaderMap) -> Found {
        let now = Instant::now();
        if let Some(people) = &self.people {
            match people.named_by_proxy(peer, headers) {
                Some(Ok(name)) => {
                    return match people.users.find(&name, now) {
                        Some(user) => Found::Caller(caller(user, Entrance::Proxy, None)),
                        None => Found::Stranger(name),
                    };
                }
                Some(Err(())) => return Found::Stranger("that are several, or no text".into()),
                None => {}
            }
            if let Some(caller) = people.by_session(headers, now) {
                return Found::Caller(caller);
            }
        } else if self.secret.is_none() {
            return Found::Caller(Caller::unnamed(Entrance::Open));
        }
        match self.try_headers(self.client(peer, headers), headers) {
            Some(Entry::Right) => Found::Caller(Caller::unnamed(Entrance::Token)),
            Some(Entry::Wrong) => Found::Wrong,
            Some(Entry::TooMany) => Found::TooMany,
            None => Found::Nobody,
        }
    }

    /// The header that lets a browser in from now on by the token.
    pub fn cookie(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        self.set_cookie(headers, COOKIE, &self.secret.as_ref()?.cookie, TOKEN_DAYS)
    }

    /// A header that sets a cookie; for a browser that came by the public address it holds there only.
    fn set_cookie(&self, headers: &HeaderMap, name: &str, value: &str, lasts: Duration) -> Option<HeaderValue> {
        let public = self.names.public().filter(|public| {
            let named = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_ascii_lowercase);
            named(header::ORIGIN).is_some_and(|origin| origin == public.origin)
                || named(header::HOST).is_some_and(|host| host_name(&host) == public.host)
        });
        let path = public.as_ref().map_or("/", |public| &public.path);
        let secure = if public.as_ref().is_some_and(|p| p.origin.starts_with("https:")) { "; Secure" } else { "" };
        let age = lasts.as_secs();
        let text = format!("{name}={value}; HttpOnly; SameSite=Strict; Path={path}; Max-Age={age}{secure}");
        HeaderValue::from_str(&text).ok()
    }

    /// Where the request comes from: behind a proxy on this machine as the proxy says.
    pub fn client(&self, peer: Option<&Peer>, headers: &HeaderMap) -> IpAddr {
        let peer = peer.map_or(self.address.ip(), |peer| peer.0);
        if !peer.is_loopback() || self.names.public().is_none() {
            return peer;
        }
        let forwarded = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
        forwarded.and_then(|value| value.rsplit(',').next()?.trim().parse().ok()).unwrap_or(peer)
    }
}

/// The middleware: checks the request and says who sent it, then adds the security headers to the answer.
pub async fn guard(State(guard): State<Arc<Guard>>, request: Request<Body>, next: Next) -> Response {
    // The body cannot be shared between threads; what is checked can.
    let (mut parts, body) = request.into_parts();
    let mut response = match admit(&guard, &parts).await {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(refusal) => *refusal,
    };
    secure(response.headers_mut());
    response
}

async fn admit(guard: &Guard, request: &Parts) -> Result<Caller, Box<Response>> {
    let refuse = |problem: Problem| Box::new(problem.into_response());
    let headers = &request.headers;
    let host = guard.check_host(headers, &request.uri).map_err(refuse)?;
    if !matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        guard.check_origin(headers, &host).map_err(refuse)?;
    }
    let path = request.uri.path();
    // `/?token=` is the way in of a link; the page itself exchanges it for the cookie.
    let is_way_in = path == "/" && request.uri.query().is_some_and(|query| query.contains("token="));
    if matches!(path, "/livez" | "/readyz" | page::LOGIN) || is_way_in {
        return Ok(Caller { role: Role::View, ..Caller::unnamed(Entrance::Open) });
    }
    match guard.find(request.extensions.get::<Peer>(), headers) {
        Found::Caller(caller) => return caller.check(needed(&request.method, path)).map(|()| caller).map_err(refuse),
        Found::Stranger(name) => {
            let text = format!("The proxy gives the name '{name}': expected one of web.users_file.");
            return Err(refuse(Problem::new(StatusCode::FORBIDDEN, text)));
        }
        Found::TooMany => return Err(Box::new(too_many())),
        Found::Wrong => tokio::time::sleep(WRONG_TOKEN_DELAY).await,
        Found::Nobody => {}
    }
    if path == "/" {
        return Err(Box::new(page::login_form(guard, headers, false).await));
    }
    let text = match (&guard.people, &guard.secret) {
        (None, _) => {
            "This server needs the token of web.token_file: send 'Authorization: Bearer TOKEN', or open / in a browser."
        }
        (Some(_), Some(_)) => {
            "This server needs a login, or the token of web.token_file: open / in a browser, or send \
             'Authorization: Bearer TOKEN'."
        }
        (Some(_), None) => "This server needs a login: open / in a browser. Programs need web.token_file.",
    };
    let mut answer = Problem::new(StatusCode::UNAUTHORIZED, text).into_response();
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"metaphased\""));
    Err(Box::new(answer))
}

/// The answer to a client that has sent too many wrong tokens.
pub fn too_many() -> Response {
    let text = "Too many wrong tokens or passwords came from here; try again in some seconds.";
    let mut answer = Problem::new(StatusCode::TOO_MANY_REQUESTS, text).into_response();
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("3"));
    answer
}

fn secure(headers: &mut HeaderMap) {
    const FIXED: [(HeaderName, &str); 5] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in FIXED {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// The name of `name:port`, `[::1]:port` or `name`.
fn host_name(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub(super) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

/// What a cookie holds: 256 random bits; none where the system gives none.
fn new_secret() -> Option<String> {
    use argon2::password_hash::try_generate_salt as random;
    Some(hex(random().ok()?) + &hex(random().ok()?))
}

/// Compares digests in a time that does not depend on where they differ.
pub(super) fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differing = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(address: &str, token: Option<&str>) -> Guard {
        Guard::new(address.parse().expect("an address"), Names::new(&["scope.lab".to_owned()], None), token, None)
    }

    fn admits(guard: &Guard, headers: &HeaderMap) -> bool {
        matches!(guard.find(None, headers), Found::Caller(_))
    }

    fn host(guard: &Guard, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(value).expect("a header"));
        guard.check_host(&headers, &Uri::from_static("/")).is_ok()
    }

    #[test]
    fn only_our_own_names_are_answered() {
        let loopback = guard("127.0.0.1:8080", None);
        for right in ["127.0.0.1:8080", "localhost:9000", "LOCALHOST", "[::1]:8080", "scope.lab"] {
            assert!(host(&loopback, right), "{right}");
        }
        for wrong in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8080", "192.168.1.7", ""] {
            assert!(!host(&loopback, wrong), "{wrong}");
        }
        assert!(host(&guard("0.0.0.0:8080", Some("t")), "192.168.1.7:8080"), "an address is not a rebound name");
    }

    #[test]
    fn a_foreign_origin_is_refused() {
        let guard = guard("127.0.0.1:8080", None);
        let mut headers = HeaderMap::new();
        assert!(guard.check_origin(&headers, "127.0.0.1:8080").is_ok(), "programs send none");
        for (origin, right) in [
            ("http://127.0.0.1:8080", true),
            ("http://evil.example", false),
            ("http://127.0.0.1:9999", false),
            ("null", false),
        ] {
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            assert_eq!(guard.check_origin(&headers, "127.0.0.1:8080").is_ok(), right, "{origin}");
        }
    }

    /// Reverse proxies as guides set them up.
    #[test]
    fn a_proxy_may_leave_out_the_port_or_the_name() {
        let behind = |url: &str| {
            let public = crate::config::WebConfig { public_url: Some(url.into()), ..Default::default() };
            let public = public.public_address().expect("given").expect("right");
            Guard::new("127.0.0.1:8080".parse().expect("an address"), Names::new(&[], Some(public)), None, None)
        };
        let check = |guard: &Guard, host: &str, origin: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(host).expect("a header"));
            headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            let host = guard.check_host(&headers, &Uri::from_static("/")).map_err(|_| "host")?;
            guard.check_origin(&headers, &host).map_err(|_| "origin")
        };
        assert_eq!(check(&behind("https://scope.lab:8443"), "scope.lab", "https://scope.lab:8443"), Ok(()));
        assert_eq!(check(&behind("https://scope.lab"), "127.0.0.1", "https://scope.lab"), Ok(()));
        assert_eq!(check(&behind("https://scope.lab"), "scope.lab:443", "https://scope.lab"), Ok(()));
        let named = guard("127.0.0.1:8080", None);
        assert_eq!(check(&named, "scope.lab:443", "https://scope.lab"), Ok(()), "the usual port is no other site");
        assert_eq!(check(&named, "scope.lab", "https://scope.lab:8443"), Err("origin"), "another port may be");
        assert_eq!(check(&behind("https://scope.lab"), "127.0.0.1", "https://evil.example"), Err("origin"));
        assert_eq!(check(&behind("https://scope.lab"), "scope.lab", "http://scope.lab:9000"), Err("origin"));
    }

    #[test]
    fn the_token_lets_in_as_header_and_as_cookie_and_the_cookie_does_not_hold_it() {
        let guard = guard("0.0.0.0:8080", Some("open sesame"));
        let mut headers = HeaderMap::new();
        assert!(!admits(&guard, &headers));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer open sesame"));
        assert!(admits(&guard, &headers));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer open sesam"));
        assert!(!admits(&guard, &headers));
        headers.clear();
        let cookie = guard.cookie(&headers).expect("there is a token");
        let cookie = cookie.to_str().expect("text").split(';').next().expect("a pair").to_owned();
        assert!(!cookie.contains("sesame"));
        headers.insert(header::COOKIE, HeaderValue::from_str(&format!("a=b; {cookie}")).expect("a header"));
        assert!(admits(&guard, &headers));
    }

    fn with_people(proxies: &[&str]) -> (Guard, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("users");
        std::fs::write(&file, "K. Berg:review:-\nfink:view:-\n").expect("it is written");
        let proxies = proxies.iter().map(|proxy| proxy.parse().expect("an address")).collect();
        let header = Some(HeaderName::from_static("x-remote-user"));
        let people = People::new(Users::open(file).expect("it is right"), Duration::from_secs(60), header, proxies);
        let address = "0.0.0.0:8080".parse().expect("an address");
        (Guard::new(address, Names::default(), Some("a token"), Some(people)), folder)
    }

    #[test]
    fn a_name_is_taken_from_a_trusted_proxy_alone() {
        let (guard, _folder) = with_people(&["10.0.0.1"]);
        let mut headers = HeaderMap::new();
        let peer = |text: &str| Peer(text.parse().expect("an address"));
        headers.insert("x-remote-user", HeaderValue::from_static("K. Berg"));
        let Found::Caller(caller) = guard.find(Some(&peer("::ffff:10.0.0.1")), &headers) else {
            panic!("the proxy is trusted")
        };
        assert_eq!((caller.user.as_deref(), caller.role), (Some("K. Berg"), Role::Review));
        assert!(guard.still_knows(&caller));
        assert!(matches!(guard.find(Some(&peer("10.0.0.2")), &headers), Found::Nobody), "anybody can send a header");
        assert!(matches!(guard.find(None, &headers), Found::Nobody));
        // What a proxy passes on beside its own header is not chosen from.
        headers.append("x-remote-user", HeaderValue::from_static("fink"));
        assert!(matches!(guard.find(Some(&peer("10.0.0.1")), &headers), Found::Stranger(_)));
        headers.insert("x-remote-user", HeaderValue::from_static("root"));
        assert!(matches!(guard.find(Some(&peer("10.0.0.1")), &headers), Found::Stranger(name) if name == "root"));
        headers.clear();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer a token"));
        let Found::Caller(caller) = guard.find(Some(&peer("10.0.0.2")), &headers) else { panic!("it is the token") };
        assert_eq!((caller.user, caller.role, caller.entrance), (None, Role::Administer, Entrance::Token));
    }
}
