//! Who may ask: Host (DNS rebinding), Origin (foreign pages), token, and the headers that keep the page to itself.

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

use super::{page, problem::Problem, tries::Tries};
use crate::config::{PublicAddress, without_usual_port};
use domain::hex;

/// Name of the cookie that stands for the token in a browser.
const COOKIE: &str = "metaphased";

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
    tries: Arc<Tries>,
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
    pub fn new(address: SocketAddr, names: Names, token: Option<&str>) -> Self {
        let secret = token.map(|token| Secret { token: digest(&[token]), cookie: hex(digest(&["cookie", token])) });
        Self { address, names, secret, tries: Arc::default() }
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
        if self.secret.is_none() {
            return Some(Entry::Right);
        }
        let by_token = bearer(headers).map(|token| self.try_token(client, token));
        if by_token == Some(Entry::Right) {
            return by_token;
        }
        let by_cookie = cookie(headers).map(|value| {
            self.try_one(client, digest(&[value]), |secret, guess| same(guess, &digest(&[&secret.cookie])))
        });
        if by_cookie == Some(Entry::Right) { by_cookie } else { by_token.or(by_cookie) }
    }

    /// The header that lets a browser in from now on; for a browser that came by the public address it holds there only.
    pub fn cookie(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let secret = self.secret.as_ref()?;
        let public = self.names.public().filter(|public| {
            let named = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_ascii_lowercase);
            named(header::ORIGIN).is_some_and(|origin| origin == public.origin)
                || named(header::HOST).is_some_and(|host| host_name(&host) == public.host)
        });
        let path = public.as_ref().map_or("/", |public| &public.path);
        let secure = if public.as_ref().is_some_and(|p| p.origin.starts_with("https:")) { "; Secure" } else { "" };
        let text =
            format!("{COOKIE}={}; HttpOnly; SameSite=Strict; Path={path}; Max-Age=2592000{secure}", secret.cookie);
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

/// The middleware: checks the request, then adds the security headers to the answer.
pub async fn guard(State(guard): State<Arc<Guard>>, request: Request<Body>, next: Next) -> Response {
    // The body cannot be shared between threads; what is checked can.
    let (parts, body) = request.into_parts();
    let mut response = match admit(&guard, &parts).await {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(refusal) => *refusal,
    };
    secure(response.headers_mut());
    response
}

async fn admit(guard: &Guard, request: &Parts) -> Result<(), Box<Response>> {
    let refuse = |problem: Problem| Box::new(problem.into_response());
    let headers = &request.headers;
    let host = guard.check_host(headers, &request.uri).map_err(refuse)?;
    if !matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        guard.check_origin(headers, &host).map_err(refuse)?;
    }
    let path = request.uri.path();
    if matches!(path, "/livez" | "/readyz" | page::LOGIN) {
        return Ok(());
    }
    // `/?token=` is the way in of a link; the page itself exchanges it for the cookie.
    if path == "/" && request.uri.query().is_some_and(|query| query.contains("token=")) {
        return Ok(());
    }
    let client = guard.client(request.extensions.get::<Peer>(), headers);
    match guard.try_headers(client, headers) {
        Some(Entry::Right) => return Ok(()),
        Some(Entry::TooMany) => return Err(Box::new(too_many())),
        Some(Entry::Wrong) => tokio::time::sleep(WRONG_TOKEN_DELAY).await,
        None => {}
    }
    if path == "/" {
        return Err(Box::new(page::login_form(None)));
    }
    let mut answer = Problem::new(
        StatusCode::UNAUTHORIZED,
        "This server needs the token of web.token_file: send 'Authorization: Bearer TOKEN', or open / in a browser.",
    )
    .into_response();
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"metaphased\""));
    Err(Box::new(answer))
}

/// The answer to a client that has sent too many wrong tokens.
pub fn too_many() -> Response {
    let text = "Too many wrong tokens came from here; try again in some seconds.";
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

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.finalize().into()
}

/// Compares digests in a time that does not depend on where they differ.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differing = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(differing) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(address: &str, token: Option<&str>) -> Guard {
        Guard::new(address.parse().expect("an address"), Names::new(&["scope.lab".to_owned()], None), token)
    }

    fn admits(guard: &Guard, headers: &HeaderMap) -> bool {
        guard.try_headers(guard.address.ip(), headers) == Some(Entry::Right)
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
            Guard::new("127.0.0.1:8080".parse().expect("an address"), Names::new(&[], Some(public)), None)
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
}
