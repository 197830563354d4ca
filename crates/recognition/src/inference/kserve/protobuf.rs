//! The messages of KServe v2 over gRPC that are needed here, in the wire form of Protocol Buffers.
//!
//! Five messages of plain fields do not want a generator: a field is its number and kind, then a number of seven bits a
//! byte, or a length and so many bytes. The numbers are those of `grpc_predict_v2.proto` (KServe, Triton, OpenVINO).

use super::{Input, Outputs, Tensor};

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// `ModelReadyRequest` of a model; `ServerReadyRequest` is empty.
pub(super) fn model_ready_request(model: &str) -> Vec<u8> {
    let mut message = Vec::new();
    put_bytes(&mut message, 1, model.as_bytes());
    message
}

/// Whether `ServerReadyResponse` or `ModelReadyResponse` says yes.
pub(super) fn is_ready(message: &[u8]) -> Result<bool, String> {
    let mut ready = false;
    for field in Fields(message) {
        if let (1, Value::Number(value)) = field? {
            ready = value != 0;
        }
    }
    Ok(ready)
}

/// `ModelInferRequest` with the tensors as raw bytes.
pub(super) fn infer_request(model: &str, inputs: &[Input<'_>]) -> Vec<u8> {
    let tensors: usize = inputs.iter().map(|input| size_of_val(input.data) + 16).sum();
    let mut message = Vec::with_capacity(tensors + 256 * (inputs.len() + 1));
    put_bytes(&mut message, 1, model.as_bytes());
    for input in inputs {
        let mut shape = Vec::new();
        for length in input.shape {
            put_number(&mut shape, *length as u64);
        }
        let mut tensor = Vec::new();
        put_bytes(&mut tensor, 1, input.name.as_bytes());
        put_bytes(&mut tensor, 2, b"FP32");
        put_bytes(&mut tensor, 3, &shape);
        put_bytes(&mut message, 5, &tensor);
    }
    for input in inputs {
        put_head(&mut message, 7, size_of_val(input.data));
        for value in input.data {
            message.extend_from_slice(&value.to_le_bytes());
        }
    }
    message
}

/// The tensors of `ModelInferResponse`, which come as raw bytes or as numbers.
pub(super) fn infer_response(message: &[u8]) -> Result<Outputs, String> {
    let mut outputs = Outputs::new();
    let mut raw = Vec::new();
    for field in Fields(message) {
        match field? {
            (5, Value::Bytes(tensor)) => outputs.push(output(tensor)?),
            (6, Value::Bytes(bytes)) => raw.push(bytes),
            _ => {}
        }
    }
    if !raw.is_empty() && raw.len() != outputs.len() {
        return Err(format!("the answer has {} tensors and the bytes of {}", outputs.len(), raw.len()));
    }
    for ((_, tensor), bytes) in outputs.iter_mut().zip(raw) {
        tensor.data = floats(bytes)?;
    }
    Ok(outputs)
}

/// An `InferOutputTensor`.
fn output(message: &[u8]) -> Result<(String, Tensor), String> {
    let (mut name, mut kind, mut tensor) = (String::new(), String::new(), Tensor::default());
    for field in Fields(message) {
        match field? {
            (1, Value::Bytes(bytes)) => name = String::from_utf8_lossy(bytes).into_owned(),
            (2, Value::Bytes(bytes)) => kind = String::from_utf8_lossy(bytes).into_owned(),
            (3, Value::Number(length)) => tensor.shape.push(axis(length)?),
            (3, Value::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    tensor.shape.push(axis(number(&mut packed)?)?);
                }
            }
            (5, Value::Bytes(contents)) => {
                for field in Fields(contents) {
                    match field? {
                        (6, Value::Bytes(bytes)) => tensor.data.extend(floats(bytes)?),
                        (6, Value::Four(four)) => tensor.data.push(f32::from_le_bytes(four)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    if kind != "FP32" {
        return Err(format!("output '{name}': is \"{kind}\", expected FP32"));
    }
    Ok((name, tensor))
}

fn axis(length: u64) -> Result<usize, String> {
    usize::try_from(length as i64).map_err(|_| "an axis has a negative length".to_owned())
}

fn floats(bytes: &[u8]) -> Result<Vec<f32>, String> {
    let (fours, rest) = bytes.as_chunks::<4>();
    if rest.is_empty() { Ok(fours.iter().map(|four| f32::from_le_bytes(*four)).collect()) } else { Err(cut_off()) }
}

/// A field's value as far as its kind says.
enum Value<'a> {
    Number(u64),
    Four([u8; 4]),
    Eight,
    Bytes(&'a [u8]),
}

/// The fields of a message with their numbers.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>), String> {
        let key = number(&mut self.0)?;
        let value = match key & 7 {
            VARINT => Value::Number(number(&mut self.0)?),
            FIXED32 => Value::Four(self.take(4)?.try_into().map_err(|_| cut_off())?),
            FIXED64 => self.take(8).map(|_| Value::Eight)?,
            BYTES => {
                let length = usize::try_from(number(&mut self.0)?).map_err(|_| cut_off())?;
                Value::Bytes(self.take(length)?)
            }
            kind => return Err(format!("the answer has a field of unknown kind {kind}")),
        };
        Ok((key >> 3, value))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(cut_off)?;
        self.0 = rest;
        Ok(taken)
    }
}

fn cut_off() -> String {
    "the answer is cut off".to_owned()
}

fn number(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0;
    for place in 0..10 {
        let (first, rest) = bytes.split_first().ok_or_else(cut_off)?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << (7 * place);
        if first & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("the answer has a number of more than ten bytes".to_owned())
}

pub(super) fn put_number(into: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

fn put_head(into: &mut Vec<u8>, field: u64, length: usize) {
    put_number(into, field << 3 | BYTES);
    put_number(into, length as u64);
}

pub(super) fn put_bytes(into: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_head(into, field, bytes.len());
    into.extend_from_slice(bytes);
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `ModelInferResponse` with raw bytes.
    pub fn response(outputs: &Outputs) -> Vec<u8> {
        let mut message = Vec::new();
        put_bytes(&mut message, 1, b"model");
        for (name, tensor) in outputs {
            let mut one = Vec::new();
            put_bytes(&mut one, 1, name.as_bytes());
            put_bytes(&mut one, 2, b"FP32");
            for length in &tensor.shape {
                put_number(&mut one, 3 << 3 | VARINT);
                put_number(&mut one, *length as u64);
            }
            put_bytes(&mut message, 5, &one);
        }
        for (_, tensor) in outputs {
            put_bytes(&mut message, 6, &tensor.data.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>());
        }
        message
    }

    /// Model, and name, shape and values of each input.
    pub fn read_request(message: &[u8]) -> (String, Vec<(String, Tensor)>) {
        let (mut model, mut inputs, mut raw) = (String::new(), Vec::new(), Vec::new());
        for field in Fields(message) {
            match field.unwrap() {
                (1, Value::Bytes(bytes)) => model = String::from_utf8(bytes.to_vec()).unwrap(),
                (5, Value::Bytes(tensor)) => inputs.push(output(tensor).unwrap()),
                (7, Value::Bytes(bytes)) => raw.push(floats(bytes).unwrap()),
                _ => panic!("no such field"),
            }
        }
        inputs.iter_mut().zip(raw).for_each(|((_, tensor), data)| tensor.data = data);
        (model, inputs)
    }

    #[test]
    fn bytes_are_those_of_the_protocols_definition() {
        // Worked out by hand from the fields of grpc_predict_v2.proto.
        assert_eq!(model_ready_request("ab"), [0x0a, 2, b'a', b'b']);
        assert_eq!(is_ready(&[0x08, 1]), Ok(true));
        assert_eq!((is_ready(&[]), is_ready(&[0x08, 0])), (Ok(false), Ok(false)));
        let request = infer_request("m", &[Input { name: "x", shape: &[1, 300], data: &[1.0] }]);
        let expected = [
            &[0x0a, 1, b'm'][..],
            &[0x2a, 14, 0x0a, 1, b'x', 0x12, 4, b'F', b'P', b'3', b'2', 0x1a, 3, 1, 0xac, 0x02],
            &[0x3a, 4, 0, 0, 0x80, 0x3f],
        ]
        .concat();
        assert_eq!(request, expected);
        // Numbers instead of raw bytes, packed and one by one.
        let numbers = [0x2a, 26, 0x0a, 1, b'y', 0x12, 4, b'F', b'P', b'3', b'2', 0x18, 1, 0x18, 2, 0x2a, 11];
        let contents = [0x32, 4, 0, 0, 0x80, 0x3f, 0x35, 0, 0, 0, 0x40];
        let message = [&numbers[..], &contents].concat();
        let outputs = infer_response(&message).unwrap();
        assert_eq!(outputs, [("y".to_owned(), Tensor { shape: vec![1, 2], data: vec![1.0, 2.0] })]);
    }

    proptest! {
        #[test]
        fn tensors_come_back_as_they_went(shape in prop::collection::vec(0usize..5, 0..4), seed in any::<u32>()) {
            let data: Vec<f32> = (0..shape.iter().product()).map(|i: usize| (i as u32 ^ seed) as f32).collect();
            let request = infer_request("net", &[Input { name: "in", shape: &shape, data: &data }]);
            let (model, inputs) = read_request(&request);
            prop_assert_eq!(model, "net");
            let tensor = Tensor { shape, data };
            prop_assert_eq!(&inputs, &[("in".to_owned(), tensor.clone())]);
            let outputs = vec![("out".to_owned(), tensor)];
            prop_assert_eq!(infer_response(&response(&outputs)).unwrap(), outputs);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (infer_response(&bytes), is_ready(&bytes));
        }
    }
}
