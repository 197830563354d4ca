//! What cameras there are and what each offers.

use std::path::PathBuf;

use metaphased_v4l2::{Control, Device, Error, FormatInfo, Node, Rates, Sizes, nodes};

use super::{
    find::{find, in_words},
    formats::reading,
};
use crate::camera::SourceError;

/// A camera with all that it offers.
#[derive(Debug, Clone)]
pub struct Camera {
    /// Its file.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// The serial number of a USB camera.
    pub serial: Option<String>,
    /// Its driver.
    pub driver: String,
    /// Where it is plugged in.
    pub bus: String,
    /// Formats.
    pub formats: Vec<CameraFormat>,
    /// Controls.
    pub controls: Vec<Control>,
}

/// A format with its sizes.
#[derive(Debug, Clone)]
pub struct CameraFormat {
    /// Name and description.
    pub format: FormatInfo,
    /// Frames in it can be read.
    pub is_read: bool,
    /// Its sizes.
    pub sizes: Vec<FormatSize>,
}

/// A size, or a span of sizes, with its rates.
#[derive(Debug, Clone)]
pub struct FormatSize {
    /// The size in words.
    pub size: String,
    /// Frames a second; none where the driver does not list them.
    pub rates: Option<Rates>,
}

/// Every camera of this machine; in the place of one that cannot be opened its file and why. Files that give no pictures
/// are left out.
pub fn list() -> Vec<Result<Camera, (Node, SourceError)>> {
    nodes()
        .into_iter()
        .filter_map(|node| match Device::open(&node.path).and_then(|device| camera(&device, node.serial.clone())) {
            Ok(camera) => Some(Ok(camera)),
            Err(Error::Unsupported(_)) => None,
            Err(error) => {
                let path = node.path.display().to_string();
                Some(Err((node, in_words(error, &path))))
            }
        })
        .collect()
}

/// File and name of the camera that a source's `device` names.
///
/// # Errors
/// As opening it.
pub fn named(wanted: Option<&str>) -> Result<(PathBuf, String), SourceError> {
    let device = find(wanted)?;
    Ok((device.path().to_owned(), device.card().to_owned()))
}

fn camera(device: &Device, serial: Option<String>) -> Result<Camera, Error> {
    let formats = device.formats()?.into_iter().map(|format| with_sizes(device, format)).collect::<Result<_, _>>()?;
    Ok(Camera {
        path: device.path().to_owned(),
        name: device.card().to_owned(),
        serial,
        driver: device.driver().to_owned(),
        bus: device.bus().to_owned(),
        formats,
        controls: device.controls()?,
    })
}

fn with_sizes(device: &Device, format: FormatInfo) -> Result<CameraFormat, Error> {
    let code = format.code;
    let sizes = match device.sizes(code)? {
        Some(Sizes::Listed(all)) => all
            .into_iter()
            .map(|[w, h]| Ok(FormatSize { size: format!("{w} x {h}"), rates: device.rates(code, [w, h])? }))
            .collect::<Result<_, Error>>()?,
        Some(Sizes::Between { least: [w, h], largest: [to_w, to_h], step: [step_w, step_h] }) => vec![FormatSize {
            size: format!("{w} x {h} to {to_w} x {to_h} in steps of {step_w} x {step_h}"),
            rates: device.rates(code, [to_w, to_h])?,
        }],
        None => Vec::new(),
    };
    Ok(CameraFormat { is_read: reading(code).is_some(), format, sizes })
}
