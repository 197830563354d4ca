//! The parts of a `multipart/x-mixed-replace` stream, one picture each. Pure: bytes in, pictures out.

use std::io::{self, Read};

/// Bytes that are asked for at once.
const READ_AT_ONCE: usize = 1 << 16;
/// Longest head of a part.
const LONGEST_HEAD: usize = 16 << 10;

/// What the stream gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Part {
    /// A whole picture, with the server's time in seconds since 1970 where it says one.
    Picture(Option<f64>),
    /// A picture of which a part is missing, or that is none. The stream goes on behind it.
    Broken,
}

/// Splits a stream into pictures.
#[derive(Debug)]
pub struct Parts<R> {
    input: R,
    /// What stands before each part, without the line's end.
    delimiter: Vec<u8>,
    /// Bytes that were read and not taken yet.
    buffer: Vec<u8>,
    /// Largest picture.
    most: usize,
    /// A part has begun and has not come to its end.
    within: bool,
}

/// The boundary that a `Content-Type` names; none when it is no stream of parts.
pub fn boundary(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    (!value.is_empty()).then_some(value)
}

impl<R: Read> Parts<R> {
    /// Over the body of an answer; a picture has at most `most` bytes.
    pub fn new(input: R, boundary: &str, most: usize) -> Self {
        // Some servers name the boundary with the dashes that belong before it.
        let name = boundary.trim_start_matches("--");
        Self { input, delimiter: [b"--", name.as_bytes()].concat(), buffer: Vec::new(), most, within: false }
    }

    /// Whether the stream has ended within a part.
    pub fn is_within(&self) -> bool {
        self.within
    }

    /// The next part; a picture is put into `picture`.
    ///
    /// # Errors
    /// When the stream has ended, in the middle of a part or between two, or makes no sense.
    pub fn next(&mut self, picture: &mut Vec<u8>) -> io::Result<Part> {
        let skipped = self.skip_to_part()?;
        self.within = true;
        let head = self.head()?;
        let value = |name: &str| {
            head.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                key.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            })
        };
        let length = value("content-length").and_then(|text| text.parse::<usize>().ok());
        let time = value("x-timestamp").and_then(|text| text.parse::<f64>().ok()).filter(|time| *time > 0.0);
        let end = match length {
            Some(length) if length > self.most => return Err(self.too_large()),
            Some(length) => self.announced(length)?,
            None => self.up_to_next()?,
        };
        self.within = false;
        let is_whole = end.is_some();
        let taken = end.unwrap_or(0);
        picture.clear();
        picture.extend_from_slice(&self.buffer[..taken]);
        self.buffer.drain(..taken);
        Ok(if is_whole && !skipped { Part::Picture(time) } else { Part::Broken })
    }

    fn too_large(&self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("a part of more than {} bytes", self.most))
    }

    /// Reads more.
    fn more(&mut self) -> io::Result<()> {
        if self.buffer.len() > self.most + LONGEST_HEAD {
            return Err(self.too_large());
        }
        let before = self.buffer.len();
        self.buffer.resize(before + READ_AT_ONCE, 0);
        let read = loop {
            match self.input.read(&mut self.buffer[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        match read? {
            0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream has ended")),
            _ => Ok(()),
        }
    }

    fn find(&self, from: usize) -> Option<usize> {
        find(&self.buffer, &self.delimiter, from)
    }

    /// Reads until the next part's head has begun, and gives where.
    fn up_to_delimiter(&mut self) -> io::Result<usize> {
        let mut seen = 0;
        loop {
            if let Some(at) = self.find(seen) {
                return Ok(at);
            }
            seen = (self.buffer.len() + 1).saturating_sub(self.delimiter.len());
            self.more()?;
        }
    }

    /// Takes everything up to the next part's head; true when there was something else before it.
    fn skip_to_part(&mut self) -> io::Result<bool> {
        let at = self.up_to_delimiter()?;
        let skipped = self.buffer[..at].iter().any(|byte| !byte.is_ascii_whitespace());
        self.buffer.drain(..at + self.delimiter.len());
        while self.buffer.len() < 2 {
            self.more()?;
        }
        if self.buffer.starts_with(b"--") {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server has ended the stream"));
        }
        Ok(skipped)
    }

    /// Takes the head of a part.
    fn head(&mut self) -> io::Result<String> {
        loop {
            let ends = [&b"\r\n\r\n"[..], b"\n\n"].map(|end| find(&self.buffer, end, 0).map(|at| at + end.len()));
            if let Some(end) = ends.into_iter().flatten().min() {
                let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end);
                return Ok(head);
            }
            if self.buffer.len() > LONGEST_HEAD {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a part without an end of its head"));
            }
            self.more()?;
        }
    }

    /// Where a picture of that length ends; none when it is cut, and what is left of it has been taken.
    fn announced(&mut self, length: usize) -> io::Result<Option<usize>> {
        while self.buffer.len() < length {
            self.more()?;
        }
        if ends_as_jpeg(&self.buffer[..length]) {
            return Ok(Some(length));
        }
        // A part that is shorter than it says runs into the next one, which is whole.
        let cut = find(&self.buffer[..length], &self.delimiter, 0);
        self.buffer.drain(..cut.unwrap_or(length));
        Ok(None)
    }

    /// Where a picture ends that does not say how long it is: before the next part.
    fn up_to_next(&mut self) -> io::Result<Option<usize>> {
        let at = self.up_to_delimiter()?;
        if ends_as_jpeg(&self.buffer[..at]) {
            return Ok(Some(at));
        }
        self.buffer.drain(..at);
        Ok(None)
    }
}

/// Whether bytes begin and end as a JPEG does; fill bytes and the end of the line behind it do not count.
fn ends_as_jpeg(bytes: &[u8]) -> bool {
    let end = bytes.iter().rposition(|byte| !matches!(byte, 0 | b'\r' | b'\n')).map_or(0, |at| at + 1);
    bytes.starts_with(&[0xff, 0xd8]) && bytes[..end].ends_with(&[0xff, 0xd9])
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let first = *wanted.first()?;
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == first)?;
        if bytes[at..].starts_with(wanted) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(to.len());
            to[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    fn jpeg(n: u8) -> Vec<u8> {
        vec![0xff, 0xd8, n, b'-', b'-', b'\n', 0xff, 0xd9]
    }

    fn part(head: &str, body: &[u8]) -> Vec<u8> {
        [format!("--frame\r\nContent-Type: image/jpeg\r\n{head}\r\n").as_bytes(), body, b"\r\n"].concat()
    }

    fn all(stream: &[u8], step: usize) -> (Vec<(Part, Vec<u8>)>, String) {
        let mut parts = Parts::new(Trickle(stream, step), "frame", 1000);
        let mut found = Vec::new();
        loop {
            let mut picture = Vec::new();
            match parts.next(&mut picture) {
                Ok(part) => found.push((part, picture)),
                Err(error) => return (found, error.to_string()),
            }
        }
    }

    #[test]
    fn pictures_come_out_whole_however_the_bytes_arrive() {
        let sized = part("Content-Length: 8\r\nX-Timestamp: 12.5\r\n", &jpeg(1));
        let stream = [sized, part("", &jpeg(2)), b"--frame--\r\n".to_vec()].concat();
        for step in [1, 3, 7, 1000] {
            let (found, end) = all(&stream, step);
            let expected =
                [(Part::Picture(Some(12.5)), jpeg(1)), (Part::Picture(None), [jpeg(2), b"\r\n".to_vec()].concat())];
            assert_eq!((found, end.as_str()), (expected.to_vec(), "the server has ended the stream"), "{step}");
        }
    }

    #[test]
    fn a_part_that_is_cut_in_the_middle_costs_that_part_alone() {
        let cut = part("Content-Length: 40\r\n", &jpeg(1)[..4]);
        let stream =
            [cut, part("Content-Length: 8\r\n", &jpeg(2)), part("", &jpeg(3)[..5]), part("", &jpeg(4))].concat();
        let (found, end) = all(&[stream, b"--frame\r\n".to_vec()].concat(), 5);
        let kinds: Vec<bool> = found.iter().map(|(part, _)| matches!(part, Part::Picture(_))).collect();
        assert_eq!((kinds, end.as_str()), (vec![false, true, false, true], "the stream has ended"));
        assert_eq!(found[1].1, jpeg(2));
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let (found, end) = all(&[b"--frame\r\nContent-Length: 5000\r\n\r\n".to_vec(), vec![1; 100]].concat(), 50);
        assert!(found.is_empty() && end.contains("more than 1000 bytes"), "{end}");
        let (found, end) = all(&vec![b'x'; 40_000], 1000);
        assert!(found.is_empty() && end.contains("more than 1000 bytes"), "{end}");
    }

    #[test]
    fn the_boundary_is_found_as_servers_write_it() {
        assert_eq!(boundary("multipart/x-mixed-replace;boundary=frame"), Some("frame"));
        assert_eq!(boundary("Multipart/x-mixed-replace; charset=x; Boundary=\"--b\""), Some("--b"));
        assert_eq!(boundary("multipart/x-mixed-replace"), None);
        assert_eq!(boundary("image/jpeg; boundary=a"), None);
    }
}
