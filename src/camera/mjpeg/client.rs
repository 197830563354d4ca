//! The HTTP client of a stream: one GET, with a time-out for every read, plain or over TLS.
//!
//! A client made for whole answers has one time-out for all of the body, and a stream's body has no end.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};

use crate::config::StreamAddress;

/// Longest head of an answer.
const LONGEST_HEAD: u64 = 64 << 10;

/// Name and password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// Name.
    pub name: String,
    /// Password.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How the stream is reached.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Where.
    pub address: StreamAddress,
    /// As whom.
    pub login: Option<Login>,
    /// Certificate authority (PEM); none: the system's.
    pub authority: Option<Vec<u8>>,
    /// Longest silence.
    pub patience: Duration,
}

/// An answer whose body is read.
pub struct Answer {
    /// Its `Content-Type`.
    pub content_type: String,
    /// Its body.
    pub body: Box<dyn Read + Send>,
    /// Ends it from another thread.
    pub socket: TcpStream,
}

/// Either kind of connection.
trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

impl Reach {
    /// Asks for the stream.
    ///
    /// # Errors
    /// In words, what is wrong and what to do.
    pub fn ask(&self) -> Result<Answer, String> {
        let StreamAddress { host, port, path, .. } = &self.address;
        let socket = self.connect()?;
        let silence = |error: io::Error| format!("{host}:{port}: {}", words(&error, self.patience));
        socket.set_read_timeout(Some(self.patience)).map_err(silence)?;
        socket.set_write_timeout(Some(self.patience)).map_err(silence)?;
        let other = socket.try_clone().map_err(silence)?;
        let mut wire: Box<dyn Wire> =
            if self.address.secure { Box::new(self.secure(socket)?) } else { Box::new(socket) };
        let login = self.login.as_ref().map_or_else(String::new, |login| {
            let pair = BASE64_STANDARD.encode(format!("{}:{}", login.name, login.password));
            format!("Authorization: Basic {pair}\r\n")
        });
        let named = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {named}:{port}\r\nUser-Agent: metaphased\r\nAccept: multipart/x-mixed-replace\r\n{login}\
             Connection: close\r\n\r\n"
        );
        wire.write_all(request.as_bytes()).and_then(|()| wire.flush()).map_err(silence)?;
        let mut input = BufReader::with_capacity(1 << 16, wire);
        let head = Head::read(&mut input).map_err(silence)?;
        self.check(&head)?;
        let is_chunked = head.value("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
        let body: Box<dyn Read + Send> =
            if is_chunked { Box::new(Chunked { input, left: 0 }) } else { Box::new(input) };
        Ok(Answer { content_type: head.value("content-type").unwrap_or_default().to_owned(), body, socket: other })
    }

    fn connect(&self) -> Result<TcpStream, String> {
        let StreamAddress { host, port, .. } = &self.address;
        let found = (host.as_str(), *port).to_socket_addrs();
        let found =
            found.map_err(|error| format!("{host}:{port} is not found: {error}; check 'url' and the network"))?;
        let mut last = "the name has no address".to_owned();
        for address in found {
            match TcpStream::connect_timeout(&address, self.patience) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = words(&error, self.patience),
            }
        }
        Err(format!("{host}:{port} cannot be reached: {last}; check that the server runs"))
    }

    fn secure(&self, socket: TcpStream) -> Result<StreamOwned<ClientConnection, TcpStream>, String> {
        let host = &self.address.host;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(self.roots()?)
            .with_no_client_auth();
        let name =
            ServerName::try_from(host.clone()).map_err(|error| format!("'{host}' is no name for TLS: {error}"))?;
        let connection = ClientConnection::new(Arc::new(config), name).map_err(|error| error.to_string())?;
        let mut stream = StreamOwned::new(connection, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|error| {
                let words = words(&error, self.patience);
                format!("TLS with {host}: {words}; 'ca_file' names the authority of a certificate of your own")
            })?;
        }
        Ok(stream)
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        match &self.authority {
            Some(pem) => {
                let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
                let certificates = certificates.map_err(|error| format!("ca_file cannot be used: {error}"))?;
                let (added, _) = roots.add_parsable_certificates(certificates);
                if added == 0 {
                    return Err("ca_file holds no certificate: expected PEM".into());
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    return Err(
                        "the system has no certificate authorities: install ca-certificates, or set 'ca_file'".into()
                    );
                }
            }
        }
        Ok(roots)
    }

    fn check(&self, head: &Head) -> Result<(), String> {
        let place = self.address.to_string();
        match (head.status, &self.login) {
            (200, _) => Ok(()),
            (401, None) => Err(format!("{place} asks for a login: set 'username' and 'password_file'")),
            (401, Some(login)) => {
                let asks = head.value("www-authenticate").unwrap_or_default();
                if !asks.is_empty() && !asks.to_ascii_lowercase().contains("basic") {
                    let kind = asks.split(' ').next().unwrap_or_default();
                    return Err(format!("{place} asks for a login of kind {kind}: only basic logins are known"));
                }
                Err(format!("{place} refuses the login of '{}': check 'username' and 'password_file'", login.name))
            }
            (301 | 302 | 303 | 307 | 308, _) => {
                // The query may hold a password.
                let target = head.value("location").unwrap_or("another address");
                let target = target.split(['?', '#']).next().unwrap_or(target);
                Err(format!("{place} has moved to {target}: set 'url' to it"))
            }
            (status, _) => Err(format!("{place} answers {status}; expected 200 and a stream")),
        }
    }
}

/// An error of a socket in words.
pub fn words(error: &io::Error, patience: Duration) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => format!("nothing came for {} s", patience.as_secs_f32()),
        _ => error.to_string(),
    }
}

/// Ends a connection, whoever reads from it.
pub fn hang_up(socket: &TcpStream) {
    // It may have ended already.
    let _ = socket.shutdown(Shutdown::Both);
}

struct Head {
    status: u16,
    lines: Vec<String>,
}

impl Head {
    fn read(input: &mut impl BufRead) -> io::Result<Self> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "the answer is no HTTP");
        let mut limited = input.take(LONGEST_HEAD);
        let mut line = || {
            let mut text = Vec::new();
            limited.read_until(b'\n', &mut text)?;
            if text.is_empty() && limited.limit() == 0 {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("the answer has a head of more than {LONGEST_HEAD} bytes"),
                ));
            }
            if text.is_empty() {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server has hung up"));
            }
            Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
        };
        let first = line()?;
        let status =
            first.strip_prefix("HTTP/").and_then(|rest| rest.split(' ').nth(1)?.parse().ok()).ok_or_else(wrong)?;
        let mut lines = Vec::new();
        loop {
            match line()? {
                text if text.is_empty() => return Ok(Self { status, lines }),
                text => lines.push(text),
            }
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A body in chunks.
struct Chunked<R> {
    input: R,
    left: u64,
}

impl<R: BufRead> Read for Chunked<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while self.left == 0 {
            let mut line = String::new();
            (&mut self.input).take(1024).read_line(&mut line)?;
            let size = line.split(';').next().unwrap_or_default().trim();
            match (line.is_empty(), size) {
                (true, _) => return Ok(0),
                // The end of the chunk before.
                (false, "") => {}
                (false, size) => {
                    self.left = u64::from_str_radix(size, 16)
                        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a chunk without its size"))?;
                    if self.left == 0 {
                        return Ok(0);
                    }
                }
            }
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(to.len());
        let read = self.input.read(&mut to[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined() {
        let text = &b"5\r\nhello\r\n6;x=1\r\n world\r\n0\r\n\r\n"[..];
        let mut body = String::new();
        Chunked { input: text, left: 0 }.read_to_string(&mut body).expect("whole");
        assert_eq!(body, "hello world");
    }

    #[test]
    fn a_login_does_not_show_its_password() {
        let login = Login { name: "kb".into(), password: "secret".into() };
        assert!(!format!("{login:?}").contains("secret"));
    }

    #[test]
    fn what_is_no_stream_is_said() {
        let address = "http://cam:81/x".parse().expect("an address");
        let reach = Reach { address, login: None, authority: None, patience: Duration::from_secs(1) };
        for (answer, words) in [
            ("HTTP/1.1 401 Unauthorized\r\n\r\n", "'password_file'"),
            ("HTTP/1.1 302 Found\r\nLocation: http://b/\r\n\r\n", "moved to http://b/"),
            ("HTTP/1.0 404 Not Found\r\n\r\n", "answers 404"),
        ] {
            let head = Head::read(&mut answer.as_bytes()).expect("a head");
            let error = reach.check(&head).expect_err("no stream");
            assert!(error.contains(words), "{error}");
        }
        assert!(Head::read(&mut &b"SSH-2.0-OpenSSH\r\n"[..]).is_err());
    }
}
