//! From the key `device` to a device; errors in words, with what to do.

use std::path::Path;

use metaphased_v4l2::{Device, Error, Node, nodes};

use crate::camera::SourceError;

/// The camera that `wanted` names: a path, a number, a name or a serial number; without one the only camera there is.
///
/// # Errors
/// When there is none or several, or it cannot be opened.
pub(super) fn find(wanted: Option<&str>) -> Result<Device, SourceError> {
    find_among(wanted, &nodes(), Device::open)
}

fn find_among<D>(
    wanted: Option<&str>,
    nodes: &[Node],
    open: impl Fn(&Path) -> Result<D, Error>,
) -> Result<D, SourceError> {
    if let Some(path) = wanted.and_then(path_of) {
        return open(Path::new(&path)).map_err(|error| in_words(error, &path));
    }
    let matching: Vec<&Node> = nodes
        .iter()
        .filter(|node| wanted.is_none_or(|wanted| node.name == wanted || node.serial.as_deref() == Some(wanted)))
        .collect();
    // One camera may have several files, of which one gives pictures; the others are refused as such.
    let mut opened = Vec::new();
    let mut refused = None;
    for node in &matching {
        match open(&node.path) {
            Ok(device) => opened.push((node, device)),
            Err(Error::Unsupported(_)) => {}
            Err(error) => refused = Some(in_words(error, &node.path.display().to_string())),
        }
    }
    let list = |nodes: &mut dyn Iterator<Item = &Node>| {
        nodes.map(|node| format!("{} ({})", node.path.display(), node.name)).collect::<Vec<_>>().join(", ")
    };
    if opened.len() > 1 {
        let all = list(&mut opened.iter().map(|(node, _)| **node));
        return Err(SourceError::Device(format!("several cameras could be meant: set `device` to one of {all}")));
    }
    if let Some((_, device)) = opened.pop() {
        return Ok(device);
    }
    Err(refused.unwrap_or_else(|| {
        let what = wanted.map_or_else(|| "no camera is there".into(), |w| format!("no camera '{w}' is there"));
        SourceError::NotFound(match nodes.is_empty() {
            true => format!("{what}: this machine has no video device; check cable and power"),
            false => format!("{what}; video devices: {}", list(&mut nodes.iter())),
        })
    }))
}

/// The file of a device that is named by path or number.
fn path_of(wanted: &str) -> Option<String> {
    match wanted {
        path if path.starts_with('/') => Some(path.to_owned()),
        number if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
            Some(format!("/dev/video{number}"))
        }
        _ => None,
    }
}

/// The error of a device, with what to do about it.
pub(super) fn in_words(error: Error, path: &str) -> SourceError {
    match error {
        Error::Gone(text) => SourceError::NotFound(format!("{text}: check cable and power, and `metaphased cameras`")),
        Error::Denied(text) => SourceError::Device(format!(
            "{text}: the user may not use the camera; add it to the group video (`sudo usermod -aG video USER`, then log \
             in again) or install the udev rules of docs/guide/cameras.md"
        )),
        Error::Busy(text) => {
            SourceError::Device(format!("{text}: another program uses the camera; `fuser -v {path}` names it"))
        }
        Error::Unsupported(text) | Error::Failed(text) => SourceError::Device(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn node(number: u32, name: &str, serial: Option<&str>) -> Node {
        let path = PathBuf::from(format!("/dev/video{number}"));
        Node { path, name: name.into(), serial: serial.map(Into::into) }
    }

    /// Files with even numbers give pictures, the others are the second file of a camera; 8 is refused.
    fn open(path: &Path) -> Result<String, Error> {
        let path = path.display().to_string();
        match path.strip_prefix("/dev/video").and_then(|number| number.parse::<u32>().ok()) {
            Some(8) => Err(Error::Denied(format!("{path}: cannot be opened: Permission denied"))),
            Some(number) if number % 2 == 0 => Ok(path),
            Some(_) => Err(Error::Unsupported(format!("{path} captures no pictures"))),
            None => Err(Error::Gone(format!("{path}: cannot be opened: No such file or directory"))),
        }
    }

    #[test]
    fn a_camera_is_found_by_path_number_name_and_serial_number() {
        let two = [node(0, "Left", Some("A1")), node(1, "Left", Some("A1")), node(2, "Right", Some("B2"))];
        for (wanted, found) in
            [("/dev/video2", "/dev/video2"), ("0", "/dev/video0"), ("Left", "/dev/video0"), ("B2", "/dev/video2")]
        {
            assert_eq!(find_among(Some(wanted), &two, open).expect(wanted), found);
        }
        assert_eq!(find_among(None, &two[..2], open).expect("the only one"), "/dev/video0");
    }

    #[test]
    fn what_is_not_clear_or_not_there_is_said() {
        let two = [node(0, "Same", None), node(2, "Same", None)];
        let said = |wanted, nodes: &[Node]| find_among(wanted, nodes, open).expect_err("not clear").to_string();
        for wanted in [None, Some("Same")] {
            let text = said(wanted, &two);
            assert!(text.contains("set `device` to one of /dev/video0 (Same), /dev/video2 (Same)"), "{text}");
        }
        let text = said(Some("Other"), &two);
        assert!(text.contains("no camera 'Other' is there; video devices: /dev/video0 (Same)"), "{text}");
        assert!(said(None, &[]).contains("this machine has no video device"));
        let text = said(Some("/dev/nothing"), &two);
        assert!(text.contains("/dev/nothing: cannot be opened") && text.contains("check cable"), "{text}");
    }

    #[test]
    fn what_may_not_be_used_comes_with_the_remedy() {
        let text = find_among(Some("Locked"), &[node(8, "Locked", None)], open).expect_err("locked").to_string();
        assert!(text.contains("Permission denied") && text.contains("group video") && text.contains("udev"), "{text}");
        let text = in_words(Error::Busy("/dev/video0: Device or resource busy".into()), "/dev/video0").to_string();
        assert!(text.contains("fuser -v /dev/video0"), "{text}");
    }
}
