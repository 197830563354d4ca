//! Who may ask: Host (DNS rebinding), Origin (foreign pages), token, and the headers that keep the page to itself.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use super::{page, problem::Problem};
use domain::hex;

/// Name of the cookie that stands for the token in a browser.
const COOKIE: &str = "metaphased";

/// How long a wrong token waits for its answer.
const WRONG_TOKEN_DELAY: Duration = Duration::from_millis(400);

/// Who may send requests.
#[derive(Debug)]
pub struct Guard {
    /// Where it listens.
    address: SocketAddr,
    /// Names under which it may be asked for, lower case.
    names: Vec<String>,
    /// What is needed to get in; none on loopback without a token file.
    secret: Option<Secret>,
}

#[derive(Debug)]
struct Secret {
    token: [u8; 32],
    cookie: String,
}

impl Guard {
    /// For a server at `address`, asked for as one of `hosts` besides the address itself and localhost.
    pub fn new(address: SocketAddr, hosts: &[String], token: Option<&str>) -> Self {
        let names = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        let secret = token.map(|token| Secret { token: digest(&[token]), cookie: hex(digest(&["cookie", token])) });
        Self { address, names, secret }
    }

    fn check_host(&self, headers: &HeaderMap, uri: &Uri) -> Result<String, Problem> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = match (hosts.next(), hosts.next(), uri.authority()) {
            (Some(host), None, _) => host.to_str().ok().map(str::to_ascii_lowercase),
            (None, _, Some(authority)) => Some(authority.as_str().to_ascii_lowercase()),
            _ => None,
        };
        let Some(host) = host else {
            return Err(Problem::bad_request("The request needs exactly one Host header."));
        };
        let name = host_name(&host);
        let right = match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            // A rebinding attack needs a name; an address can only be ours or a tunnel to us.
            Ok(ip) => ip.is_loopback() || !self.address.ip().is_loopback(),
            Err(_) => name == "localhost" || self.names.iter().any(|known| known == name),
        };
        if right {
            return Ok(host);
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            format!(
                "This server does not go by the name '{name}'. Ask for {}, or list the name in web.hosts.",
                self.address
            ),
        ))
    }

    fn check_origin(&self, headers: &HeaderMap, host: &str) -> Result<(), Problem> {
        match headers.get(header::ORIGIN) {
            Some(origin) => {
                let own = origin.to_str().is_ok_and(|origin| {
                    origin.split_once("://").is_some_and(|(scheme, rest)| {
                        matches!(scheme, "http" | "https") && rest.eq_ignore_ascii_case(host)
                    })
                });
                if own { Ok(()) } else { Err(Problem::new(StatusCode::FORBIDDEN, "The Origin is another site's.")) }
            }
            // Programs send none; a browser's POST always has one.
            None if self.address.ip().is_loopback() || bearer(headers).is_some() => Ok(()),
            None => Err(Problem::new(StatusCode::FORBIDDEN, "A POST with the cookie needs an Origin header.")),
        }
    }

    /// Whether this token is the right one; true where none is needed.
    pub fn accepts(&self, token: &str) -> bool {
        self.secret.as_ref().is_none_or(|secret| same(&digest(&[token]), &secret.token))
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(secret) = &self.secret else { return true };
        bearer(headers).is_some_and(|token| self.accepts(token))
            || cookie(headers).is_some_and(|value| same(&digest(&[value]), &digest(&[&secret.cookie])))
    }

    /// The header that lets a browser in from now on.
    pub fn cookie(&self) -> Option<HeaderValue> {
        let secret = self.secret.as_ref()?;
        let text = format!("{COOKIE}={}; HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000", secret.cookie);
        HeaderValue::from_str(&text).ok()
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
    if matches!(path, "/livez" | "/readyz" | page::LOGIN) || guard.admits(headers) {
        return Ok(());
    }
    // `/?token=` is the way in of a link; the page itself exchanges it for the cookie.
    if path == "/" && request.uri.query().is_some_and(|query| query.contains("token=")) {
        return Ok(());
    }
    if bearer(headers).is_some() {
        tokio::time::sleep(WRONG_TOKEN_DELAY).await;
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
        Guard::new(address.parse().expect("an address"), &["scope.lab".to_owned()], token)
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

    #[test]
    fn the_token_lets_in_as_header_and_as_cookie_and_the_cookie_does_not_hold_it() {
        let guard = guard("0.0.0.0:8080", Some("open sesame"));
        let mut headers = HeaderMap::new();
        assert!(!guard.admits(&headers));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer open sesame"));
        assert!(guard.admits(&headers));
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer open sesam"));
        assert!(!guard.admits(&headers));
        headers.clear();
        let cookie = guard.cookie().expect("there is a token");
        let cookie = cookie.to_str().expect("text").split(';').next().expect("a pair").to_owned();
        assert!(!cookie.contains("sesame"));
        headers.insert(header::COOKIE, HeaderValue::from_str(&format!("a=b; {cookie}")).expect("a header"));
        assert!(guard.admits(&headers));
    }
}
