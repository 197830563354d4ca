//! `cameras`: what there is.

use super::{Exit, Failure, output};

/// Lists the devices of every backend that this build has, with all that they offer.
pub fn run() -> Result<Exit, Failure> {
    #[cfg(target_os = "linux")]
    video4linux()?;
    genicam()?;
    #[cfg(feature = "webcam")]
    for camera in crate::camera::list_webcams().map_err(Failure::unavailable)? {
        output::print(&format!("webcam {camera}"))?;
    }
    output::print("simulator: the virtual slide, always there")?;
    Ok(Exit::Done)
}

fn genicam() -> Result<(), Failure> {
    let found = match crate::camera::genicam::list() {
        Ok(found) => found,
        // What is not installed is no failure of this command.
        Err(error) => {
            eprintln!("{error}");
            return Ok(());
        }
    };
    if found.is_empty() {
        eprintln!("no GenICam camera answers");
    }
    for (found, offer) in found {
        match offer {
            Ok(offer) => output::print(&offered(&found, &offer))?,
            Err(error) => eprintln!("genicam {} ({} {}): {error}", found.id, found.vendor, found.model),
        }
    }
    Ok(())
}

fn offered(found: &metaphased_aravis::Found, offer: &crate::camera::genicam::Offer) -> String {
    use std::fmt::Write as _;

    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "genicam {}: {} {} ({}, {}, serial number {})",
        found.id, found.vendor, found.model, found.protocol, found.address, found.serial
    );
    for (format, is_read) in &offer.formats {
        let _ = writeln!(text, "  format {format}{}", if *is_read { "" } else { "; not read by metaphased" });
    }
    for feature in &offer.features {
        let value = feature.value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
        let locked = if feature.is_locked { "; cannot be set now" } else { "" };
        let _ = writeln!(text, "  control {}{value}: {}{locked}", feature.name, feature.takes);
    }
    text
}

#[cfg(target_os = "linux")]
fn video4linux() -> Result<(), Failure> {
    let found = crate::camera::v4l2::list();
    if found.is_empty() {
        eprintln!("no Video4Linux camera found");
    }
    for camera in found {
        match camera {
            Ok(camera) => output::print(&described(&camera))?,
            Err((node, error)) => eprintln!("v4l2 {} ({}): {error}", node.path.display(), node.name),
        }
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn described(camera: &crate::camera::v4l2::Camera) -> String {
    use std::fmt::Write as _;

    use metaphased_v4l2::{ControlKind, Rates};

    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, "v4l2 {}: {} ({}, {}", camera.path.display(), camera.name, camera.driver, camera.bus);
    let _ = writeln!(text, "{})", camera.serial.as_ref().map(|s| format!(", serial number {s}")).unwrap_or_default());
    for format in &camera.formats {
        let unread = if format.is_read { "" } else { "; not read by metaphased" };
        let _ = writeln!(text, "  format {}: {}{unread}", format.format.code, format.format.description);
        for size in format.sizes.iter().filter(|_| format.is_read) {
            let rates = match &size.rates {
                None => String::new(),
                Some(Rates::Listed(all)) => {
                    let all = all.iter().map(|hz| rounded(*hz)).collect::<Vec<_>>().join(", ");
                    format!(": {all} frames/s")
                }
                Some(Rates::Between { least, largest }) => {
                    format!(": {} to {} frames/s", rounded(*least), rounded(*largest))
                }
            };
            let _ = writeln!(text, "    {}{rates}", size.size);
        }
    }
    for control in &camera.controls {
        let _ = write!(text, "  control {}", control.name);
        if let Some(value) = control.value {
            let _ = write!(text, " = {value}");
        }
        let _ = write!(text, ": {}", control.range());
        if control.kind != ControlKind::Button {
            let _ = write!(text, ", default {}", control.default);
        }
        for (is, words) in
            [(control.read_only, "; can be read only"), (control.inactive, "; no effect while an automatic decides")]
        {
            text.push_str(if is { words } else { "" });
        }
        text.push('\n');
    }
    text
}

/// Frames a second as people write them.
#[cfg(target_os = "linux")]
fn rounded(hz: f64) -> String {
    let text = format!("{hz:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
