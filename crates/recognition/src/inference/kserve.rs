//! Engine `kserve`: networks on a server that speaks KServe v2 over HTTP (NVIDIA Triton, OpenVINO Model Server), tensors as
//! raw bytes (the protocol's binary extension). The server keeps its own copies of the networks, under the models' names:
//! their hashes cannot be checked from here.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;

use super::{Engine, EngineError, FileEntry, Input, ModelFolder, Outputs, Precision, Session, Tensor};

const NAME: &str = "kserve";
/// A cell takes a second on a slow server; one that says nothing for this long has failed.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an answer: a detector's map of 2048 x 2048 in 30 channels is 8 MB.
const MAX_ANSWER_BYTES: u64 = 256 << 20;
/// Where the JSON of a message ends and its tensors begin.
const HEADER_LENGTH_FIELD: &str = "Inference-Header-Content-Length";

/// Runs networks on a server.
pub struct KserveEngine {
    agent: Agent,
    url: String,
}

impl KserveEngine {
    /// Asks the server at `url` ("http://host:8000") whether it is ready.
    ///
    /// # Errors
    /// When it does not answer, or not with yes.
    pub fn open(url: &str) -> Result<Self, EngineError> {
        let agent =
            Agent::config_builder().timeout_global(Some(REQUEST_TIMEOUT)).http_status_as_error(false).build().into();
        let engine = Self { agent, url: url.trim_end_matches('/').to_owned() };
        engine.ready("v2/health/ready").map_err(|reason| EngineError::Unavailable {
            engine: NAME,
            reason,
            remedy: "Start the server, correct inference.url, or use engine = \"auto\"".to_owned(),
        })?;
        Ok(engine)
    }

    fn ready(&self, route: &str) -> Result<(), String> {
        let url = format!("{}/{route}", self.url);
        match self.agent.get(&url).call() {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("{url} answers {}", answer.status())),
            Err(error) => Err(format!("{url}: {error}")),
        }
    }
}

impl Engine for KserveEngine {
    fn name(&self) -> &'static str {
        NAME
    }

    fn describe(&self) -> String {
        format!("KServe v2 at {}", self.url)
    }

    fn precisions(&self) -> &'static [Precision] {
        // What the server computes in is its own matter; tensors are 32-bit floats.
        &[Precision::F32, Precision::F16, Precision::Bf16, Precision::Int8]
    }

    fn load(&self, model: &ModelFolder, file: &FileEntry) -> Result<Box<dyn Session>, EngineError> {
        let name = model.name().to_owned();
        self.ready(&format!("v2/models/{name}/ready")).map_err(|reason| EngineError::Load {
            engine: NAME,
            path: model.path_of(file),
            reason: format!("the server has no model '{name}' that is ready ({reason})"),
        })?;
        let url = format!("{}/v2/models/{name}/infer", self.url);
        Ok(Box::new(KserveSession { agent: self.agent.clone(), url, model: name }))
    }
}

struct KserveSession {
    agent: Agent,
    url: String,
    model: String,
}

impl Session for KserveSession {
    fn run(&mut self, inputs: &[Input<'_>]) -> Result<Outputs, EngineError> {
        let failed = |reason: String| EngineError::Run { engine: NAME, model: self.model.clone(), reason };
        let body = request(inputs);
        let sent = self.agent.post(&self.url).header(HEADER_LENGTH_FIELD, body.head.to_string()).send(&body.bytes);
        let mut answer = sent.map_err(|error| failed(error.to_string()))?;
        let status = answer.status();
        let head = answer.headers().get(HEADER_LENGTH_FIELD).and_then(|value| value.to_str().ok()?.parse().ok());
        let read = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
        let bytes = read.map_err(|error| failed(error.to_string()))?;
        if !status.is_success() {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).into_owned();
            return Err(failed(format!("the server answers {status}: {text}")));
        }
        outputs(&bytes, head).map_err(failed)
    }
}

/// A message: JSON of `head` bytes, then the tensors.
struct Message {
    head: usize,
    bytes: Vec<u8>,
}

fn request(inputs: &[Input<'_>]) -> Message {
    let listed: Vec<Value> = inputs
        .iter()
        .map(|input| {
            let size = json!({"binary_data_size": size_of_val(input.data)});
            json!({"name": input.name, "shape": input.shape, "datatype": "FP32", "parameters": size})
        })
        .collect();
    let mut bytes = json!({"inputs": listed, "parameters": {"binary_data_output": true}}).to_string().into_bytes();
    let head = bytes.len();
    for input in inputs {
        bytes.extend(input.data.iter().flat_map(|value| value.to_le_bytes()));
    }
    Message { head, bytes }
}

/// Reads an answer; `head` is the length of its JSON, none where all of it is JSON.
fn outputs(bytes: &[u8], head: Option<usize>) -> Result<Outputs, String> {
    let head = head.unwrap_or(bytes.len());
    let (json, mut tensors) = bytes.split_at_checked(head).ok_or("the answer is cut off")?;
    let answer: Value = serde_json::from_slice(json).map_err(|error| format!("the answer is no JSON: {error}"))?;
    let listed = answer["outputs"].as_array().ok_or("the answer has no outputs")?;
    let mut outputs = Outputs::with_capacity(listed.len());
    for output in listed {
        let name = output["name"].as_str().unwrap_or_default();
        let wrong = |what: &str| format!("output '{name}': {what}");
        if output["datatype"] != "FP32" {
            return Err(wrong(&format!("is {}, expected FP32", output["datatype"])));
        }
        let lengths = output["shape"].as_array().ok_or_else(|| wrong("has no shape"))?;
        let shape: Option<Vec<usize>> = lengths.iter().map(|n| usize::try_from(n.as_u64()?).ok()).collect();
        let shape = shape.ok_or_else(|| wrong("has no proper shape"))?;
        let data: Vec<f32> = match output["parameters"]["binary_data_size"].as_u64() {
            Some(size) => {
                let size = usize::try_from(size).map_err(|_| wrong("is too long"))?;
                let (mine, rest) = tensors.split_at_checked(size).ok_or_else(|| wrong("is cut off"))?;
                tensors = rest;
                mine.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four)).collect()
            }
            None => {
                let values = output["data"].as_array().ok_or_else(|| wrong("has no data"))?;
                values.iter().map(|value| value.as_f64().unwrap_or(f64::NAN) as f32).collect()
            }
        };
        let expected: usize = shape.iter().product();
        if data.len() != expected {
            return Err(wrong(&format!("has {} values, its shape {shape:?} wants {expected}", data.len())));
        }
        outputs.push((name.to_owned(), Tensor { shape, data }));
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::TcpListener,
        path::Path,
    };

    fn tiny() -> ModelFolder {
        ModelFolder::open(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/models/tiny-detector")).unwrap()
    }

    /// A server that answers `answers` in turn and hands back the bodies it was sent.
    fn server(answers: Vec<(&'static str, Vec<u8>)>) -> (String, std::thread::JoinHandle<Vec<Vec<u8>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let work = std::thread::spawn(move || {
            let mut bodies = Vec::new();
            for (head, body) in answers {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream);
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut sent = vec![0; length];
                reader.read_exact(&mut sent).unwrap();
                bodies.push(sent);
                let stream = reader.get_mut();
                write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len())
                    .unwrap();
                stream.write_all(&body).unwrap();
            }
            bodies
        });
        (url, work)
    }

    #[test]
    fn tensors_travel_as_bytes_both_ways() {
        let json = json!({"outputs": [
            {"name": "a", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}},
            {"name": "b", "datatype": "FP32", "shape": [1], "data": [3.5]},
        ]})
        .to_string();
        let mut answer = json.clone().into_bytes();
        answer.extend([1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()));
        let head: &'static str = format!("200 OK\r\n{HEADER_LENGTH_FIELD}: {}", json.len()).leak();
        let ok = ("200 OK", Vec::new());
        let (url, work) = server(vec![ok.clone(), ok, (head, answer)]);
        let engine = KserveEngine::open(&url).unwrap();
        let model = tiny();
        let mut session = engine.load(&model, &model.manifest.file[0]).unwrap();
        let found = session.run(&[Input { name: "image", shape: &[1, 1, 1, 2], data: &[0.25, 0.5] }]).unwrap();
        assert_eq!(found[0], ("a".into(), Tensor { shape: vec![1, 2], data: vec![1.5, -2.0] }));
        assert_eq!(found[1].1.data, [3.5]);
        let sent = work.join().unwrap().pop().unwrap();
        let (json, tensor) = sent.split_at(sent.len() - 8);
        let json: Value = serde_json::from_slice(json).unwrap();
        assert_eq!(json["inputs"][0]["name"], "image");
        assert_eq!(json["inputs"][0]["shape"], json!([1, 1, 1, 2]));
        assert_eq!(tensor, [0.25f32, 0.5].map(f32::to_le_bytes).concat());
    }

    #[test]
    fn a_server_that_is_absent_lacks_the_model_or_fails_is_quoted() {
        let error = KserveEngine::open("http://127.0.0.1:9").err().expect("nobody there").to_string();
        assert!(error.contains("127.0.0.1:9") && error.contains("inference.url"), "{error}");
        let ok = ("200 OK", Vec::new());
        let (url, work) = server(vec![ok.clone(), ("400 Bad Request", Vec::new())]);
        let model = tiny();
        let error = KserveEngine::open(&url).unwrap().load(&model, &model.manifest.file[0]).err().expect("refused");
        assert!(error.to_string().contains("no model 'tiny-detector'"), "{error}");
        work.join().unwrap();
        let (url, work) = server(vec![ok.clone(), ok, ("500 Oops", b"{\"error\": \"out of memory\"}".to_vec())]);
        let mut session = KserveEngine::open(&url).unwrap().load(&model, &model.manifest.file[0]).unwrap();
        let error = session.run(&[Input { name: "image", shape: &[1], data: &[0.0] }]).unwrap_err().to_string();
        assert!(error.contains("out of memory") && error.contains("500"), "{error}");
        work.join().unwrap();
    }

    #[test]
    fn an_answer_that_contradicts_itself_is_refused() {
        let says = |value: Value, why: &str| {
            let text = value.to_string();
            let error = outputs(text.as_bytes(), None).unwrap_err();
            assert!(error.contains(why), "{error}");
        };
        says(json!({}), "no outputs");
        says(json!({"outputs": [{"name": "a", "datatype": "FP16", "shape": [1], "data": [1]}]}), "expected FP32");
        says(json!({"outputs": [{"name": "a", "datatype": "FP32", "shape": [2], "data": [1]}]}), "wants 2");
        let cut = json!({"binary_data_size": 8});
        says(json!({"outputs": [{"name": "a", "datatype": "FP32", "shape": [2], "parameters": cut}]}), "cut off");
        assert!(outputs(b"{}", Some(10)).is_err());
    }
}
