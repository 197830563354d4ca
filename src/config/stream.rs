//! Addresses of streams.

use std::{fmt, str::FromStr};

/// Where a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamAddress {
    /// Over TLS.
    pub secure: bool,
    /// Name or IP address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path with its query.
    pub path: String,
}

impl FromStr for StreamAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (secure, rest) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err("it has no http:// or https:// before it".into()),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        if rest.chars().any(|c| c.is_whitespace() || c.is_control()) || !rest.is_ascii() {
            return Err("it has spaces or letters that an address cannot have: percent-encode them".into());
        }
        let (place, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if place.contains('@') {
            return Err("it holds a login: set 'username' and 'password_file' instead".into());
        }
        let (host, port) = match place.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or("it has something behind the host")?)),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() {
            return Err("it has no host".into());
        }
        let usual = if secure { 443 } else { 80 };
        let port =
            port.map_or(Ok(usual), str::parse).ok().filter(|port| *port > 0).ok_or("its port is not 1 to 65535")?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { secure, host: host.to_owned(), port, path })
    }
}

impl fmt::Display for StreamAddress {
    /// Without the query, which may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        let path = self.path.split('?').next().unwrap_or_default();
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        write!(f, "{scheme}://{host}:{}{path}", self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused() {
        let read =
            |text: &str| text.parse::<StreamAddress>().map(|address| (address.path.clone(), address.to_string()));
        assert_eq!(read("http://cam"), Ok(("/".into(), "http://cam:80/".into())));
        assert_eq!(read("https://[::1]:8443/a?pwd=x#y"), Ok(("/a?pwd=x".into(), "https://[::1]:8443/a".into())));
        assert_eq!(read("http://10.0.0.7:8080?action=stream").map(|(path, _)| path), Ok("/?action=stream".into()));
        for (wrong, words) in [
            ("rtsp://cam", "http://"),
            ("http://kb:secret@cam/", "'password_file'"),
            ("http://cam:99999/", "65535"),
            ("http:///x", "no host"),
            ("http://cam/a b", "percent-encode"),
        ] {
            assert!(read(wrong).is_err_and(|error| error.contains(words)), "{wrong}");
        }
    }
}
