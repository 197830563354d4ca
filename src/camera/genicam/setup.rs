//! Sets a camera up as it is configured: what it does not take as it is, is refused.

use std::collections::BTreeMap;

use metaphased_aravis::{Camera, Feature, Takes, Value};

use super::{
    GenicamSettings,
    find::in_words,
    formats::{Format, all, named},
};
use crate::{camera::SourceError, config::ControlValue};

/// What starts an exposure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trigger {
    /// Nothing: the camera runs freely.
    Free,
    /// The source itself, for each frame.
    Software,
    /// A signal at this input.
    Hardware(String),
}

/// What the camera took.
#[derive(Debug)]
pub(super) struct Taken {
    pub format: Format,
    /// Width and height in pixels.
    pub size: [usize; 2],
    pub trigger: Trigger,
    /// Frames a second; of a camera that runs freely.
    pub rate: Option<f64>,
    /// In words.
    pub words: String,
}

/// Sets format, size, rate and controls.
pub(super) fn set_up(camera: &Camera, settings: &GenicamSettings) -> Result<Taken, SourceError> {
    let format = set_format(camera, settings)?;
    // What joins or leaves out pixels says how many there are.
    let is_of_size = |name: &String| name.starts_with("Binning") || name.starts_with("Decimation");
    let (before, after) =
        settings.controls.clone().into_iter().partition::<BTreeMap<_, _>, _>(|(name, _)| is_of_size(name));
    let mut controls = set_controls(camera, &before)?;
    let size = set_size(camera, settings.size)?;
    // As the last program left it, a camera may give one frame and stop.
    if let Some(mode) = feature(camera, "AcquisitionMode")? {
        camera.set(&mode, &Value::Text("Continuous".into())).map_err(in_words)?;
    }
    // The rate first: setting it switches triggers off.
    let is_triggered =
        settings.controls.get("TriggerMode").is_some_and(|mode| *mode == ControlValue::Text("On".into()));
    if let Some(hz) = settings.rate_hz.filter(|_| !is_triggered) {
        let got = camera.set_rate(hz).map_err(in_words)?;
        if (hz - got).abs() > 0.01 * hz {
            tracing::warn!(source = %settings.name, asked = hz, got, "the camera has no such rate and took the nearest");
        }
    }
    controls.extend(set_controls(camera, &after)?);
    if settings.controls.keys().any(|name| name.ends_with("SCPSPacketSize")) {
        camera.keep_packet_size();
    }
    let trigger = trigger(camera)?;
    let rate = camera.rate().filter(|_| trigger == Trigger::Free);
    let mut words = format!("{} {} x {}", format.name, size[0], size[1]);
    match (&trigger, rate) {
        (Trigger::Free, Some(hz)) => words += &format!(" at {hz:.4} frames/s"),
        (Trigger::Free, None) => {}
        (Trigger::Software, _) => words += ", one frame after the other by software trigger",
        (Trigger::Hardware(input), _) => words += &format!(", triggered by {input}"),
    }
    words.extend(controls.into_iter().map(|(name, value)| format!(", {name} = {value}")));
    let size = size.map(|side| usize::try_from(side).unwrap_or_default());
    Ok(Taken { format, size, trigger, rate, words })
}

fn feature(camera: &Camera, name: &str) -> Result<Option<Feature>, SourceError> {
    camera.feature(name).map_err(in_words)
}

/// The configured format, or the best of those that the camera offers.
fn set_format(camera: &Camera, settings: &GenicamSettings) -> Result<Format, SourceError> {
    let refused = |text: String| SourceError::Device(format!("{}: {text}", camera.id()));
    let kind = feature(camera, "PixelFormat")?.ok_or_else(|| refused("it does not say its formats".into()))?;
    let Takes::Choice(offered) = &kind.takes else { return Err(refused("it does not list its formats".into())) };
    let list = || offered.join(", ");
    let format = match &settings.format {
        Some(name) if !offered.contains(name) => {
            return Err(refused(format!("there is no format {name}: set `format` to one of {}", list())));
        }
        Some(name) => named(name),
        // Of equals the one that stands first among those that are read.
        None => all().filter(|f| offered.iter().any(|o| o == f.name)).min_by_key(|f| u32::MAX - f.reading.rank()),
    };
    let format = format.ok_or_else(|| refused(format!("it offers no format that is read: {}", list())))?;
    if settings.bayer.is_some() && !format.reading.is_of_sensor() {
        return Err(refused(format!(
            "`bayer` is set, but frames of format {} are not raw samples: leave `bayer` out or choose a grey format",
            format.name
        )));
    }
    camera.set(&kind, &Value::Text(format.name.into())).map_err(in_words)?;
    Ok(format)
}

/// Sets width and height, the largest without a configured size, and gives them.
fn set_size(camera: &Camera, size: Option<[u32; 2]>) -> Result<[i64; 2], SourceError> {
    // An offset limits the size.
    for name in ["OffsetX", "OffsetY"] {
        if let Some(offset) = feature(camera, name)?.filter(|offset| !offset.is_locked) {
            camera.set(&offset, &Value::Whole(0)).map_err(in_words)?;
        }
    }
    let mut got = [0; 2];
    for (side, name) in ["Width", "Height"].into_iter().enumerate() {
        let missing = || SourceError::Device(format!("{} has no feature {name}", camera.id()));
        let found = feature(camera, name)?.ok_or_else(missing)?;
        let wanted = match (size, &found.takes) {
            (Some(size), _) => Some(i64::from(size[side])),
            (None, Takes::Whole { most, .. }) if *most < i64::from(u32::MAX) => Some(*most),
            (None, _) => None,
        };
        if let Some(wanted) = wanted
            && found.value != Some(Value::Whole(wanted))
        {
            camera.set(&found, &Value::Whole(wanted)).map_err(in_words)?;
        }
        let now = feature(camera, name)?.ok_or_else(missing)?;
        match &now.value {
            Some(Value::Whole(value)) if wanted.is_none_or(|wanted| wanted == *value) => got[side] = *value,
            value => return Err(not_taken(camera, &now, &Value::Whole(wanted.unwrap_or_default()), value.as_ref())),
        }
    }
    Ok(got)
}

/// Sets features: selectors first, then switches and lists, as an automatic must be off before its value can be set. Gives
/// what they read then.
fn set_controls(camera: &Camera, wanted: &BTreeMap<String, ControlValue>) -> Result<Vec<(String, Value)>, SourceError> {
    let step = |name: &str, value: &ControlValue| match value {
        _ if name.ends_with("Selector") => 0,
        ControlValue::Switch(_) | ControlValue::Text(_) => 1,
        ControlValue::Whole(_) | ControlValue::Number(_) => 2,
    };
    let mut ordered: Vec<_> = wanted.iter().collect();
    ordered.sort_by_key(|(name, value)| step(name, value));
    for (name, value) in &ordered {
        camera.set(&control(camera, name)?, &plain(value)).map_err(in_words)?;
    }
    let mut taken = Vec::new();
    for (name, value) in ordered {
        let now = control(camera, name)?;
        let asked = plain(value);
        match &now.value {
            Some(got) if is_same(got, &asked, &now.takes) => taken.push((name.clone(), got.clone())),
            got => return Err(not_taken(camera, &now, &asked, got.as_ref())),
        }
    }
    Ok(taken)
}

/// The feature that a control names. Network cameras have a packet size by standard, even where they do not list it.
fn control(camera: &Camera, name: &str) -> Result<Feature, SourceError> {
    let found = match feature(camera, name)? {
        None if name == "GevSCPSPacketSize" && camera.is_network() => feature(camera, "ArvGevSCPSPacketSize")?,
        found => found,
    };
    found.ok_or_else(|| {
        SourceError::Device(format!(
            "{} has no feature '{name}', or not as it is set up: see `metaphased cameras` and its maker's list",
            camera.id()
        ))
    })
}

fn not_taken(camera: &Camera, feature: &Feature, asked: &Value, got: Option<&Value>) -> SourceError {
    let got = got.map_or_else(|| "nothing".into(), Value::to_string);
    let (id, name, takes) = (camera.id(), &feature.name, &feature.takes);
    SourceError::Device(format!("{id}: {name} was set to {asked} and reads {got}: expected {takes}"))
}

fn plain(value: &ControlValue) -> Value {
    match value {
        ControlValue::Switch(on) => Value::Switch(*on),
        ControlValue::Whole(n) => Value::Whole(*n),
        ControlValue::Number(n) => Value::Number(*n),
        ControlValue::Text(words) => Value::Text(words.clone()),
    }
}

/// Whether a camera has taken a value. Numbers are kept in its own steps: one in a thousand is no other exposure.
fn is_same(got: &Value, asked: &Value, takes: &Takes) -> bool {
    let number = |value: &Value| match value {
        Value::Whole(n) => Some(*n as f64),
        Value::Number(n) => Some(*n),
        _ => None,
    };
    match (takes, number(got), number(asked)) {
        (Takes::Number { .. }, Some(got), Some(asked)) => (got - asked).abs() <= 0.001 * asked.abs().max(1.0),
        _ => got == asked,
    }
}

/// What starts an exposure, as the camera says.
fn trigger(camera: &Camera) -> Result<Trigger, SourceError> {
    let value = |name| Ok::<_, SourceError>(feature(camera, name)?.and_then(|f| f.value).map(|v| v.to_string()));
    if value("TriggerMode")?.as_deref() != Some("On") {
        return Ok(Trigger::Free);
    }
    Ok(match value("TriggerSource")? {
        Some(source) if source == "Software" => Trigger::Software,
        source => Trigger::Hardware(source.unwrap_or_else(|| "a signal".into())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_be_rounded_to_the_cameras_step_and_nothing_else() {
        let number = Takes::Number { least: 0.0, most: 1e6 };
        assert!(is_same(&Value::Number(10_003.2), &Value::Whole(10_000), &number));
        assert!(!is_same(&Value::Number(10_100.0), &Value::Number(10_000.0), &number));
        let whole = Takes::Whole { least: 0, most: 100, step: 4 };
        assert!(!is_same(&Value::Whole(48), &Value::Whole(50), &whole));
        assert!(!is_same(&Value::Text("Off".into()), &Value::Text("On".into()), &Takes::Text));
    }
}
