//! KServe v2 over gRPC: calls with one message each way, over HTTP/2. A call is a POST to the method's path, a message is
//! preceded by five bytes (not compressed, its length), and the outcome stands behind the answer.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use h2::{
    RecvStream, SendStream,
    client::{Builder, SendRequest},
};
use http::{HeaderMap, Request};
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};

use super::{Fault, Input, MAX_ANSWER_BYTES, Outputs, Server, ServerAddress, protobuf};

const SERVICE: &str = "inference.GRPCInferenceService";
/// What a server may send before we have taken it: a whole answer of the usual size.
const WINDOW: u32 = 16 << 20;
const FRAME: u32 = 1 << 20;
/// `INVALID_ARGUMENT` and `OUT_OF_RANGE`: the request is at fault, not the server.
const AT_FAULT: [&str; 2] = ["3", "11"];

/// The thread that drives the connections.
pub(super) struct Driver(Option<Runtime>);

impl Driver {
    /// Starts it.
    ///
    /// # Errors
    /// The system's words.
    pub fn start() -> Result<Arc<Self>, String> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("kserve").enable_io().enable_time().build();
        runtime
            .map(|runtime| Arc::new(Self(Some(runtime))))
            .map_err(|error| format!("no thread can be started: {error}"))
    }

    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.0.as_ref().expect("it is taken out only when it is dropped").block_on(future)
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Without waiting: whoever drops the engine may be at work for another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

pub(super) struct GrpcServer {
    driver: Arc<Driver>,
    address: ServerAddress,
    /// The connection that all calls share; none before the first and after it broke.
    connection: Mutex<Option<SendRequest<Bytes>>>,
}

impl GrpcServer {
    pub fn new(address: ServerAddress, driver: Arc<Driver>) -> Self {
        Self { driver, address, connection: Mutex::new(None) }
    }

    fn call(&self, method: &str, message: &[u8], within: Duration) -> Result<Bytes, Fault> {
        let mut framed = BytesMut::with_capacity(message.len() + 5);
        framed.put_u8(0);
        framed.put_u32(u32::try_from(message.len()).map_err(|_| Fault::Refused("the request has over 4 GB".into()))?);
        framed.put_slice(message);
        let called = async { timeout(within, self.exchange(method, framed.freeze(), within)).await };
        let outcome = self
            .driver
            .block_on(called)
            .unwrap_or_else(|_| Err(Fault::Failed(format!("no answer within {:.1} s", within.as_secs_f64()))));
        let named = |reason: String| format!("{}: {reason}", self.address);
        outcome.map_err(|fault| match fault {
            Fault::Refused(reason) => Fault::Refused(named(reason)),
            Fault::Broken(reason) => {
                self.forget();
                Fault::Broken(named(reason))
            }
            Fault::Failed(reason) => {
                // A connection on which nothing comes is not used again.
                self.forget();
                Fault::Failed(named(reason))
            }
        })
    }

    fn forget(&self) {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// A connection that takes a request.
    async fn connection(&self) -> Result<SendRequest<Bytes>, Fault> {
        let broken = |error: &dyn std::fmt::Display| Fault::Broken(error.to_string());
        let kept = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept
            && let Ok(ready) = kept.ready().await
        {
            return Ok(ready);
        }
        let socket = TcpStream::connect(&*self.address.authority).await.map_err(|error| broken(&error))?;
        socket.set_nodelay(true).map_err(|error| broken(&error))?;
        let mut builder = Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(4 * WINDOW).max_frame_size(FRAME);
        let (fresh, connection) = builder.handshake::<_, Bytes>(socket).await.map_err(|error| broken(&error))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended");
            }
        });
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(fresh.clone());
        fresh.ready().await.map_err(|error| broken(&error))
    }

    async fn exchange(&self, method: &str, message: Bytes, within: Duration) -> Result<Bytes, Fault> {
        let broken = |error: h2::Error| Fault::Broken(error.to_string());
        let mut connection = self.connection().await?;
        let request = Request::post(format!("http://{}/{SERVICE}/{method}", self.address.authority))
            .version(http::Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", format!("{}m", within.as_millis().clamp(1, 99_999_999)))
            .body(())
            .map_err(|error| Fault::Failed(error.to_string()))?;
        let (answer, mut stream) = connection.send_request(request, false).map_err(broken)?;
        // A server may answer before it has everything; what it answers counts then.
        let sent = send(&mut stream, message).await;
        let (head, mut body) = match (answer.await, sent) {
            (Ok(answer), _) => answer.into_parts(),
            (Err(_), Err(error)) | (Err(error), Ok(())) => return Err(broken(error)),
        };
        if !head.status.is_success() {
            return Err(Fault::Failed(format!("answers {}, expected gRPC", head.status)));
        }
        if head.headers.contains_key("grpc-status") {
            outcome(&head.headers)?;
        }
        let received = receive(&mut body).await?;
        let trailers = body.trailers().await.map_err(broken)?;
        match trailers {
            Some(trailers) => outcome(&trailers)?,
            None if head.headers.contains_key("grpc-status") => {}
            None => return Err(Fault::Failed("the answer has no outcome, expected gRPC".into())),
        }
        unframed(received)
    }
}

/// Sends the message as far as the server's windows allow.
async fn send(stream: &mut SendStream<Bytes>, mut message: Bytes) -> Result<(), h2::Error> {
    while !message.is_empty() {
        stream.reserve_capacity(message.len());
        let free = match poll_fn(|context| stream.poll_capacity(context)).await {
            Some(free) => free?.min(message.len()),
            None => return Err(h2::Reason::STREAM_CLOSED.into()),
        };
        if free > 0 {
            let part = message.split_to(free);
            stream.send_data(part, message.is_empty())?;
        }
    }
    Ok(())
}

async fn receive(body: &mut RecvStream) -> Result<BytesMut, Fault> {
    let mut received = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part.map_err(|error| Fault::Broken(error.to_string()))?;
        if (received.len() + part.len()) as u64 > MAX_ANSWER_BYTES {
            return Err(Fault::Failed(format!("the answer has more than {MAX_ANSWER_BYTES} bytes")));
        }
        received.extend_from_slice(&part);
        body.flow_control().release_capacity(part.len()).map_err(|error| Fault::Broken(error.to_string()))?;
    }
    Ok(received)
}

/// What stands behind an answer: `grpc-status` 0, or a fault with its words.
fn outcome(headers: &HeaderMap) -> Result<(), Fault> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match text("grpc-status") {
        Some("0") => Ok(()),
        status => {
            let status = status.unwrap_or("none");
            let reason = format!("answers with gRPC status {status}: {}", decoded(text("grpc-message").unwrap_or("")));
            Err(if AT_FAULT.contains(&status) { Fault::Refused(reason) } else { Fault::Failed(reason) })
        }
    }
}

/// `grpc-message`, which is percent-encoded; at most 500 letters of it.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let pair = behind.get(..2).and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        match (first, pair) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).chars().take(500).collect()
}

/// The message of an answer.
fn unframed(mut received: BytesMut) -> Result<Bytes, Fault> {
    let Some((head, rest)) = received.split_first_chunk::<5>() else {
        return Err(Fault::Failed("the answer is cut off".into()));
    };
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if head[0] != 0 {
        return Err(Fault::Failed("the answer is compressed, which was not asked for".into()));
    }
    if rest.len() != length {
        return Err(Fault::Failed(format!("the answer has {} bytes, its head says {length}", rest.len())));
    }
    Ok(received.split_off(5).freeze())
}

impl Server for GrpcServer {
    fn address(&self) -> &ServerAddress {
        &self.address
    }

    fn ready(&self, model: Option<&str>, within: Duration) -> Result<(), String> {
        let answer = match model {
            None => self.call("ServerReady", &[], within),
            Some(model) => self.call("ModelReady", &protobuf::model_ready_request(model), within),
        };
        let answer = answer.map_err(Fault::into_reason)?;
        match (protobuf::is_ready(&answer), model) {
            (Ok(true), _) => Ok(()),
            (Ok(false), None) => Err(format!("{} is not ready", self.address)),
            (Ok(false), Some(model)) => {
                Err(format!("{}: the server has no model '{model}' that is ready", self.address))
            }
            (Err(reason), _) => Err(format!("{}: {reason}", self.address)),
        }
    }

    fn infer(&self, model: &str, inputs: &[Input<'_>], within: Duration) -> Result<Outputs, Fault> {
        let answer = self.call("ModelInfer", &protobuf::infer_request(model, inputs), within)?;
        protobuf::infer_response(&answer).map_err(|reason| Fault::Failed(format!("{}: {reason}", self.address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_words_are_read() {
        assert_eq!(decoded("no model %27x%27, 100%"), "no model 'x', 100%");
        assert_eq!(decoded("%C3%A4%zz"), "ä%zz");
    }

    #[test]
    fn an_answer_of_another_length_is_refused() {
        let read = |bytes: &[u8]| unframed(BytesMut::from(bytes)).map_err(Fault::into_reason);
        assert_eq!(read(&[0, 0, 0, 0, 2, 7, 8]).unwrap()[..], [7, 8]);
        for wrong in [&[0, 0, 0][..], &[0, 0, 0, 0, 3, 7, 8], &[1, 0, 0, 0, 2, 7, 8], &[0, 0, 0, 0, 1, 7, 8]] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
