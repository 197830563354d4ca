//! Servers for tests: real ones over HTTP and gRPC, that do what they are asked to and can be killed.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

use super::{
    Outputs, Protocol, Tensor,
    http::HEADER_LENGTH_FIELD,
    protobuf::tests::{read_request, response},
};

/// What a server does with requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Does {
    /// Answers every output with the first value of the first input, in the shapes of the tiny detector.
    Work,
    /// Takes requests and never answers.
    Hang,
    /// Says that the request is wrong.
    Refuse,
    /// Says that it fails.
    Fail,
    /// Answers in the shapes of another network.
    OtherNetwork,
    /// Answers with values that are no numbers.
    Nonsense,
    /// Closes the connection in the middle of its answer.
    CutOff,
    /// Is not ready.
    Start,
}

/// What a server did.
#[derive(Debug)]
pub struct Record {
    does: Mutex<Does>,
    takes: Duration,
    /// Requests answered.
    pub answered: AtomicUsize,
    now: AtomicUsize,
    /// Most requests at once.
    pub most: AtomicUsize,
}

/// A server on this machine.
pub struct FakeServer {
    pub protocol: Protocol,
    pub port: u16,
    pub record: Arc<Record>,
    runtime: Option<Runtime>,
}

impl FakeServer {
    /// A server that takes so long for each request.
    pub fn start(protocol: Protocol, takes: Duration) -> Self {
        let record = Record {
            does: Mutex::new(Does::Work),
            takes,
            answered: AtomicUsize::new(0),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        };
        let mut server = Self { protocol, port: 0, record: Arc::new(record), runtime: None };
        server.start_again();
        server
    }

    pub fn url(&self) -> String {
        let scheme = if self.protocol == Protocol::Http { "http" } else { "grpc" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub fn does(&self, what: Does) {
        *self.record.does.lock().unwrap() = what;
    }

    pub fn answered(&self) -> usize {
        self.record.answered.load(SeqCst)
    }

    /// Ends it as `kill -9` does: its connections break, its port is closed.
    pub fn kill(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
        self.record.now.store(0, SeqCst);
    }

    /// Starts it at its port again.
    pub fn start_again(&mut self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", self.port))).unwrap();
        self.port = listener.local_addr().unwrap().port();
        let (record, protocol) = (self.record.clone(), self.protocol);
        runtime.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                socket.set_nodelay(true).unwrap();
                match protocol {
                    Protocol::Http => tokio::spawn(http(socket, record.clone())),
                    Protocol::Grpc => tokio::spawn(grpc(socket, record.clone())),
                };
            }
        });
        self.runtime = Some(runtime);
    }
}

impl Drop for FakeServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Record {
    fn does_now(&self) -> Does {
        *self.does.lock().unwrap()
    }

    /// Takes its time over a request; the answer to the tiny detector's input.
    async fn work(&self, input: &Tensor) -> Outputs {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        tokio::time::sleep(self.takes).await;
        if self.does_now() == Does::Hang {
            std::future::pending::<()>().await;
        }
        self.now.fetch_sub(1, SeqCst);
        self.answered.fetch_add(1, SeqCst);
        let channels = if self.does_now() == Does::OtherNetwork { 12 } else { 30 };
        let shape = vec![1, channels, input.shape[2] / 8, input.shape[3] / 8];
        let value = if self.does_now() == Does::Nonsense { f32::NAN } else { input.data[0] };
        let data = vec![value; shape.iter().product()];
        vec![("stride8".to_owned(), Tensor { shape, data })]
    }
}

async fn http(socket: TcpStream, record: Arc<Record>) {
    let mut socket = BufReader::new(socket);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let Ok(byte) = socket.read_u8().await else { return };
            head.push(byte);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let field = |name: &str| {
            head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse::<usize>().ok())
        };
        let mut body = vec![0; field("content-length").unwrap_or(0)];
        socket.read_exact(&mut body).await.unwrap();
        let answer = if head.starts_with("get") {
            match record.does_now() {
                Does::Start => ("503 Starting", 0, Vec::new()),
                Does::Hang => std::future::pending().await,
                _ => ("200 OK", 0, Vec::new()),
            }
        } else {
            let (json, tensor) = body.split_at(field("inference-header-content-length").unwrap());
            let json: Value = serde_json::from_slice(json).unwrap();
            let shape = json["inputs"][0]["shape"].as_array().unwrap();
            let input = Tensor {
                shape: shape.iter().map(|n| n.as_u64().unwrap() as usize).collect(),
                data: tensor.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
            };
            let outputs = record.work(&input).await;
            match record.does_now() {
                Does::Refuse => ("400 Bad Request", 0, b"{\"error\": \"unexpected shape\"}".to_vec()),
                Does::Fail => ("500 Oops", 0, b"{\"error\": \"out of memory\"}".to_vec()),
                _ => {
                    let (name, tensor) = &outputs[0];
                    let size = json!({"binary_data_size": size_of_val(&*tensor.data)});
                    let output = json!({"name": name, "datatype": "FP32", "shape": tensor.shape, "parameters": size});
                    let mut answer = json!({"outputs": [output]}).to_string().into_bytes();
                    let head = answer.len();
                    answer.extend(tensor.data.iter().flat_map(|v| v.to_le_bytes()));
                    ("200 OK", head, answer)
                }
            }
        };
        let (status, json, body) = answer;
        let length = if json > 0 { format!("{HEADER_LENGTH_FIELD}: {json}\r\n") } else { String::new() };
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{length}\r\n", body.len());
        let whole = if record.does_now() == Does::CutOff && json > 0 { body.len() / 2 } else { body.len() };
        if socket.write_all(&[head.as_bytes(), &body[..whole]].concat()).await.is_err() || whole < body.len() {
            return;
        }
    }
}

async fn grpc(socket: TcpStream, record: Arc<Record>) {
    let mut builder = h2::server::Builder::new();
    // Small windows, so that a request takes several frames.
    let Ok(mut connection) = builder.initial_window_size(1 << 10).handshake(socket).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(call(request, respond, record.clone()));
    }
}

async fn call(request: Request<h2::RecvStream>, mut respond: h2::server::SendResponse<Bytes>, record: Arc<Record>) {
    let (head, mut body) = request.into_parts();
    let mut message = BytesMut::new();
    while let Some(Ok(part)) = body.data().await {
        message.extend_from_slice(&part);
        body.flow_control().release_capacity(part.len()).unwrap();
    }
    assert_eq!(u32::from_be_bytes(message[1..5].try_into().unwrap()) as usize, message.len() - 5);
    let does = record.does_now();
    let answer = match (head.uri.path().rsplit('/').next().unwrap(), does) {
        ("ServerReady" | "ModelReady", Does::Hang) => std::future::pending().await,
        ("ServerReady" | "ModelReady", does) => vec![0x08, u8::from(does != Does::Start)],
        ("ModelInfer", _) => response(&record.work(&read_request(&message[5..]).1[0].1).await),
        (method, _) => panic!("no method {method}"),
    };
    let status = match record.does_now() {
        Does::Refuse => Some(("3", "unexpected%20shape")),
        Does::Fail => Some(("13", "out of memory")),
        _ => None,
    };
    let head = Response::builder().header("content-type", "application/grpc");
    if let Some((status, words)) = status.filter(|_| answer.len() > 2) {
        let head = head.header("grpc-status", status).header("grpc-message", words);
        let _ = respond.send_response(head.body(()).unwrap(), true);
        return;
    }
    let Ok(mut stream) = respond.send_response(head.body(()).unwrap(), false) else { return };
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(answer.len() as u32);
    framed.put_slice(&answer);
    if record.does_now() == Does::CutOff && answer.len() > 2 {
        let _ = stream.send_data(framed.split_to(framed.len() / 2).freeze(), false);
        return stream.send_reset(h2::Reason::INTERNAL_ERROR);
    }
    let _ = stream.send_data(framed.freeze(), false);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let _ = stream.send_trailers(trailers);
}
