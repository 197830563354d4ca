//! From the key `device` to a camera, and what each camera offers; errors in words, with what to do.

use std::net::IpAddr;

use metaphased_aravis::{Camera, Error, Feature, Found, cameras};

use super::formats::named;
use crate::camera::SourceError;

/// Features that are listed, in this order, where a camera has them.
const LISTED: [&str; 29] = [
    "Width",
    "Height",
    "OffsetX",
    "OffsetY",
    "BinningHorizontal",
    "BinningVertical",
    "ReverseX",
    "ReverseY",
    "ExposureAuto",
    "ExposureTime",
    "ExposureTimeAbs",
    "ExposureTimeRaw",
    "GainAuto",
    "Gain",
    "GainRaw",
    "BlackLevel",
    "Gamma",
    "BalanceWhiteAuto",
    "AcquisitionFrameRateEnable",
    "AcquisitionFrameRate",
    "AcquisitionFrameRateAbs",
    "TriggerSelector",
    "TriggerMode",
    "TriggerSource",
    "TriggerActivation",
    "TriggerDelay",
    "GevSCPSPacketSize",
    "GevSCPD",
    "DeviceLinkThroughputLimit",
];

/// What a camera offers.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Names of its formats, and whether frames in them are read.
    pub formats: Vec<(String, bool)>,
    /// The features that a source is mostly set up by.
    pub features: Vec<Feature>,
}

/// Every camera that answers, with what it offers, or why it cannot be asked, such as a program that controls it.
///
/// # Errors
/// When Aravis is not installed.
pub fn list() -> Result<Vec<(Found, Result<Offer, SourceError>)>, SourceError> {
    let with_offer = |found: Found| {
        let offer = offer(&found.id).map_err(in_words);
        (found, offer)
    };
    Ok(cameras().map_err(in_words)?.into_iter().map(with_offer).collect())
}

fn offer(id: &str) -> Result<Offer, Error> {
    let camera = Camera::open(id)?;
    let formats = match camera.feature("PixelFormat")?.map(|feature| feature.takes) {
        Some(metaphased_aravis::Takes::Choice(names)) => names,
        _ => Vec::new(),
    };
    let formats = formats.into_iter().map(|name| (name.clone(), named(&name).is_some())).collect();
    let features = LISTED.into_iter().filter_map(|name| camera.feature(name).transpose()).collect::<Result<_, _>>()?;
    Ok(Offer { formats, features })
}

/// The camera that a source's `device` names: an id, a serial number, an address or a model; without one the only camera
/// there is.
///
/// # Errors
/// When Aravis is not installed, and when there is none or several.
pub fn find(wanted: Option<&str>) -> Result<Found, SourceError> {
    find_among(wanted, cameras().map_err(in_words)?)
}

fn find_among(wanted: Option<&str>, all: Vec<Found>) -> Result<Found, SourceError> {
    let list = |cameras: &[Found]| {
        let each = cameras.iter().map(|c| format!("\"{}\" ({} {}, {})", c.id, c.vendor, c.model, c.address));
        each.collect::<Vec<_>>().join(", ")
    };
    let is_meant = |camera: &Found, wanted: &str| {
        [&camera.id, &camera.serial, &camera.address, &camera.model].into_iter().any(|name| name == wanted)
    };
    let (mut meant, others): (Vec<Found>, Vec<Found>) =
        all.into_iter().partition(|camera| wanted.is_none_or(|wanted| is_meant(camera, wanted)));
    if meant.len() > 1 {
        let all = list(&meant);
        return Err(SourceError::Device(format!("several cameras could be meant: set `device` to one of {all}")));
    }
    if let Some(camera) = meant.pop() {
        return Ok(camera);
    }
    // A camera behind a router does not hear the question who is there.
    if let Some(address) = wanted.filter(|wanted| wanted.parse::<IpAddr>().is_ok()) {
        let at = || address.to_owned();
        let unknown = String::new;
        return Ok(Found {
            id: at(),
            vendor: unknown(),
            model: unknown(),
            serial: unknown(),
            address: at(),
            protocol: unknown(),
        });
    }
    let what =
        wanted.map_or_else(|| "no GenICam camera answers".into(), |w| format!("no GenICam camera '{w}' answers"));
    Err(SourceError::NotFound(match others.is_empty() {
        true => {
            format!("{what}: check cable and power, that its address is of this machine's network, and the firewall")
        }
        false => format!("{what}; those that do: {}", list(&others)),
    }))
}

/// The error of a camera, with what to do about it.
pub(super) fn in_words(error: Error) -> SourceError {
    match error {
        Error::NoLibrary(text) => SourceError::Unsupported(text),
        Error::Gone(text) => SourceError::NotFound(format!("{text}: check cable and power, and `metaphased cameras`")),
        Error::Busy(text) => SourceError::Device(format!("{text}: close the program that uses the camera")),
        Error::Failed(text) => SourceError::Device(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn camera(id: &str, model: &str, serial: &str, address: &str) -> Found {
        let [id, model, serial, address] = [id, model, serial, address].map(str::to_owned);
        Found { id, vendor: "Acme".into(), model, serial, address, protocol: "GigEVision".into() }
    }

    fn two() -> Vec<Found> {
        vec![camera("Acme-5M-A1", "5M", "A1", "10.0.0.7"), camera("Acme-5M-B2", "5M", "B2", "10.0.0.8")]
    }

    #[test]
    fn a_camera_is_found_by_id_serial_number_and_address() {
        for wanted in ["Acme-5M-B2", "B2", "10.0.0.8"] {
            assert_eq!(find_among(Some(wanted), two()).expect(wanted).serial, "B2");
        }
        assert_eq!(find_among(None, two()[..1].to_vec()).expect("the only one").serial, "A1");
        assert_eq!(find_among(Some("10.9.9.9"), two()).expect("it may be behind a router").id, "10.9.9.9");
    }

    #[test]
    fn what_is_not_clear_or_not_there_is_said() {
        let said = |wanted, all| find_among(wanted, all).expect_err("not clear").to_string();
        for wanted in [None, Some("5M")] {
            let text = said(wanted, two());
            assert!(text.contains("set `device` to one of \"Acme-5M-A1\" (Acme 5M, 10.0.0.7), \"Acme"), "{text}");
        }
        let text = said(Some("C3"), two());
        assert!(text.contains("no GenICam camera 'C3' answers; those that do: \"Acme-5M-A1\""), "{text}");
        assert!(said(None, Vec::new()).contains("check cable and power"));
    }
}
