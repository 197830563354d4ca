//! KServe v2 over HTTP, tensors as raw bytes (the protocol's binary extension).

use std::time::Duration;

use serde_json::{Value, json};
use ureq::{Agent, http::StatusCode};

use super::{Fault, Input, MAX_ANSWER_BYTES, Outputs, Server, ServerAddress, Tensor};

/// Where the JSON of a message ends and its tensors begin.
pub(super) const HEADER_LENGTH_FIELD: &str = "Inference-Header-Content-Length";

pub(super) struct HttpServer {
    agent: Agent,
    address: ServerAddress,
}

impl HttpServer {
    /// The server there; up to `in_flight` connections are kept.
    pub fn new(address: ServerAddress, in_flight: usize) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_idle_connections(in_flight)
            .max_idle_connections_per_host(in_flight)
            .build();
        Self { agent: config.into(), address }
    }

    fn fault(&self, error: &ureq::Error) -> Fault {
        let reason = format!("{}: {error}", self.address);
        match error {
            ureq::Error::Timeout(_) | ureq::Error::BodyExceedsLimit(_) => Fault::Failed(reason),
            _ => Fault::Broken(reason),
        }
    }
}

impl Server for HttpServer {
    fn address(&self) -> &ServerAddress {
        &self.address
    }

    fn ready(&self, model: Option<&str>, within: Duration) -> Result<(), String> {
        let url = match model {
            None => format!("{}/v2/health/ready", self.address),
            Some(model) => format!("{}/v2/models/{model}/ready", self.address),
        };
        let answer = self.agent.get(&url).config().timeout_global(Some(within)).build().call();
        match (answer, model) {
            (Ok(answer), _) if answer.status().is_success() => Ok(()),
            (Ok(answer), None) => Err(format!("{url} answers {}", answer.status())),
            (Ok(answer), Some(model)) => {
                Err(format!("{url} answers {}: the server has no model '{model}' that is ready", answer.status()))
            }
            (Err(error), _) => Err(format!("{url}: {error}")),
        }
    }

    fn infer(&self, model: &str, inputs: &[Input<'_>], within: Duration) -> Result<Outputs, Fault> {
        let body = request(inputs);
        let post = self.agent.post(format!("{}/v2/models/{model}/infer", self.address));
        let post = post.header(HEADER_LENGTH_FIELD, body.head.to_string());
        let sent = post.config().timeout_global(Some(within)).build().send(&body.bytes);
        let mut answer = sent.map_err(|error| self.fault(&error))?;
        let status = answer.status();
        let head = answer.headers().get(HEADER_LENGTH_FIELD).and_then(|value| value.to_str().ok()?.parse().ok());
        let read = answer.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec();
        let bytes = read.map_err(|error| self.fault(&error))?;
        if !status.is_success() {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(500)]).into_owned();
            let reason = format!("{} answers {status}: {text}", self.address);
            let is_ours = matches!(status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE);
            return Err(if is_ours { Fault::Refused(reason) } else { Fault::Failed(reason) });
        }
        outputs(&bytes, head).map_err(|reason| Fault::Failed(format!("{}: {reason}", self.address)))
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
    bytes.reserve_exact(inputs.iter().map(|input| size_of_val(input.data)).sum());
    for value in inputs.iter().flat_map(|input| input.data) {
        bytes.extend_from_slice(&value.to_le_bytes());
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
        outputs.push((name.to_owned(), Tensor { shape, data }));
    }
    Ok(outputs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_bytes_behind_the_json() {
        let sent = request(&[Input { name: "image", shape: &[1, 1, 1, 2], data: &[0.25, 0.5] }]);
        let (json, tensor) = sent.bytes.split_at(sent.head);
        let json: Value = serde_json::from_slice(json).unwrap();
        assert_eq!(json["inputs"][0]["name"], "image");
        assert_eq!(json["inputs"][0]["shape"], json!([1, 1, 1, 2]));
        assert_eq!(tensor, [0.25f32, 0.5].map(f32::to_le_bytes).concat());
        let json = json!({"outputs": [
            {"name": "a", "datatype": "FP32", "shape": [1, 2], "parameters": {"binary_data_size": 8}},
            {"name": "b", "datatype": "FP32", "shape": [1], "data": [3.5]},
        ]})
        .to_string();
        let mut answer = json.clone().into_bytes();
        answer.extend([1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()));
        let found = outputs(&answer, Some(json.len())).unwrap();
        assert_eq!(found[0], ("a".into(), Tensor { shape: vec![1, 2], data: vec![1.5, -2.0] }));
        assert_eq!(found[1].1.data, [3.5]);
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
        let cut = json!({"binary_data_size": 8});
        says(json!({"outputs": [{"name": "a", "datatype": "FP32", "shape": [2], "parameters": cut}]}), "cut off");
        assert!(outputs(b"{}", Some(10)).is_err());
    }
}
