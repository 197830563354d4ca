//! Addresses of servers.

use std::{fmt, str::FromStr};

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP/1.1 with tensors as raw bytes.
    Http,
    /// gRPC.
    Grpc,
}

/// Where a server is, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServerAddress {
    /// How.
    pub protocol: Protocol,
    /// Name or IP address (IPv6 in brackets) and port.
    pub authority: String,
    /// HTTP: what stands before the protocol's own paths, without a slash at its end.
    pub path: String,
}

impl FromStr for ServerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = |why: &str| {
            format!("invalid address '{text}': {why}; expected http://host:8000 or, for gRPC, grpc://host:8001")
        };
        let (protocol, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Protocol::Http, rest),
            Some(("grpc", rest)) => (Protocol::Grpc, rest),
            Some(("https" | "grpcs", _)) => return Err(invalid("encryption is a tunnel's or a proxy's work here")),
            _ => return Err(invalid("it begins with neither http:// nor grpc://")),
        };
        if !rest.chars().all(|c| c.is_ascii_graphic()) {
            return Err(invalid("it has spaces or letters that an address cannot have"));
        }
        if rest.contains(['?', '#', '@']) {
            return Err(invalid("it has a query or a login"));
        }
        let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = path.trim_end_matches('/');
        if protocol == Protocol::Grpc && !path.is_empty() {
            return Err(invalid("gRPC takes no path"));
        }
        let (host, port) = match place.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
            Some((host, port)) => (host, port.strip_prefix(':')),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        if host.is_empty() {
            return Err(invalid("it has no host"));
        }
        let port = match (port, protocol) {
            (None, Protocol::Http) if place.ends_with(host) || place.ends_with(']') => 80,
            (Some(port), _) => port
                .parse::<u16>()
                .ok()
                .filter(|port| *port > 0)
                .ok_or_else(|| invalid("its port is not 1 to 65535"))?,
            (None, _) => return Err(invalid("it has no port")),
        };
        let host = if place.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
        Ok(Self { protocol, authority: format!("{host}:{port}"), path: path.to_owned() })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            Protocol::Http => "http",
            Protocol::Grpc => "grpc",
        };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused() {
        let read = |text: &str| text.parse::<ServerAddress>().map(|address| address.to_string());
        assert_eq!(read("http://gpu:8000"), Ok("http://gpu:8000".into()));
        assert_eq!(read("http://gpu"), Ok("http://gpu:80".into()));
        assert_eq!(read("http://[::1]:8000/triton/"), Ok("http://[::1]:8000/triton".into()));
        assert_eq!(read("http://[::1]"), Ok("http://[::1]:80".into()));
        assert_eq!(read("grpc://10.0.0.7:8001"), Ok("grpc://10.0.0.7:8001".into()));
        for (wrong, words) in [
            ("gpu:8000", "neither http:// nor grpc://"),
            ("https://gpu", "encryption"),
            ("grpc://gpu", "no port"),
            ("grpc://gpu:8001/x", "no path"),
            ("http://gpu:0", "65535"),
            ("http://gpu:8000x", "65535"),
            ("http://[::1]x", "no port"),
            ("http://:8000", "no host"),
            ("http://a:b@gpu:8000", "login"),
            ("http://g pu:8000", "spaces"),
        ] {
            assert!(
                read(wrong).is_err_and(|error| error.contains(words) && error.contains("expected http://host:8000")),
                "{wrong}"
            );
        }
    }
}
