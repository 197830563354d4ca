//! Controls of a device: exposure, gain, white balance and whatever else its driver has.

use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::{
    Device, Error,
    abi::{self, QueryControl, QueryMenu},
};

/// What the values of a control mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlKind {
    /// A number.
    Number,
    /// 0 or 1.
    Switch,
    /// One of a list: its number and its name.
    Menu(Vec<(i64, String)>),
    /// Does something when any value is written; has none.
    Button,
}

/// One control of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Its number for the kernel.
    pub id: u32,
    /// Its name in small letters with `_` between words, as `v4l2-ctl` writes it.
    pub name: String,
    /// What its values mean.
    pub kind: ControlKind,
    /// Least value.
    pub min: i64,
    /// Largest value.
    pub max: i64,
    /// Distance of values; at least 1.
    pub step: u64,
    /// Value that the driver begins with.
    pub default: i64,
    /// Value now; none of a button and of what cannot be read.
    pub value: Option<i64>,
    /// It can be read only.
    pub read_only: bool,
    /// It has no effect now: usually because an automatic decides instead.
    pub inactive: bool,
    wide: bool,
}

impl Control {
    /// Whether `value` is one that the control can have.
    pub fn takes(&self, value: i64) -> bool {
        match &self.kind {
            ControlKind::Button => true,
            ControlKind::Menu(entries) => entries.iter().any(|(number, _)| *number == value),
            _ => (self.min..=self.max).contains(&value),
        }
    }

    /// The values that it can have, in words.
    pub fn range(&self) -> String {
        match &self.kind {
            ControlKind::Number if self.step > 1 => format!("{} to {} in steps of {}", self.min, self.max, self.step),
            ControlKind::Number => format!("{} to {}", self.min, self.max),
            ControlKind::Switch => "0 or 1".into(),
            ControlKind::Button => "any value".into(),
            ControlKind::Menu(entries) => {
                entries.iter().map(|(number, name)| format!("{number} ({name})")).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

/// A driver's name of a control as one word.
fn word(name: &str) -> String {
    let mut word = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            word.push(c.to_ascii_lowercase());
        } else if !word.is_empty() && !word.ends_with('_') {
            word.push('_');
        }
    }
    word.truncate(word.trim_end_matches('_').len());
    word
}

impl Device {
    /// All controls that are numbers, switches, menus or buttons, in the driver's order.
    ///
    /// # Errors
    /// When the device is gone.
    pub fn controls(&self) -> Result<Vec<Control>, Error> {
        let mut found = Vec::new();
        let mut query = QueryControl::of(abi::CTRL_FLAG_NEXT_CTRL);
        loop {
            match abi::QUERY_EXT_CTRL.on(self.as_fd(), &mut query) {
                Ok(()) => {}
                Err(Errno::INVAL | Errno::NOTTY) => return Ok(found),
                Err(errno) => return Err(self.error("cannot list controls", errno)),
            }
            found.extend(self.control(&query));
            query = QueryControl::of(query.id | abi::CTRL_FLAG_NEXT_CTRL);
        }
    }

    fn control(&self, query: &QueryControl) -> Option<Control> {
        if query.flags & abi::CTRL_FLAG_DISABLED != 0 || query.nr_of_dims > 0 {
            return None;
        }
        let kind = match query.kind {
            abi::CTRL_INTEGER | abi::CTRL_INTEGER64 | abi::CTRL_BITMASK => ControlKind::Number,
            abi::CTRL_BOOLEAN => ControlKind::Switch,
            abi::CTRL_BUTTON => ControlKind::Button,
            abi::CTRL_MENU | abi::CTRL_INTEGER_MENU => ControlKind::Menu(self.menu(query)),
            // Headings, text and structures.
            _ => return None,
        };
        let wide = query.kind == abi::CTRL_INTEGER64;
        let readable = kind != ControlKind::Button && query.flags & abi::CTRL_FLAG_WRITE_ONLY == 0;
        let value = readable.then(|| abi::control(self.as_fd(), query.id, wide, None).ok()).flatten();
        Some(Control {
            id: query.id,
            name: word(&abi::text(&query.name)),
            kind,
            min: query.minimum,
            max: query.maximum,
            step: query.step.max(1),
            default: query.default,
            value,
            read_only: query.flags & abi::CTRL_FLAG_READ_ONLY != 0,
            inactive: query.flags & abi::CTRL_FLAG_INACTIVE != 0,
            wide,
        })
    }

    fn menu(&self, query: &QueryControl) -> Vec<(i64, String)> {
        // A driver with an absurd range must not hold the program up.
        let (from, to) = (query.minimum.max(0), query.maximum.min(255));
        (from..=to)
            .filter_map(|index| {
                let mut entry = QueryMenu { id: query.id, index: index as u32, name: [0; 32], reserved: 0 };
                // Menus may have gaps, which the call refuses.
                abi::QUERYMENU.on(self.as_fd(), &mut entry).ok()?;
                let name = entry.name;
                let name = match query.kind {
                    abi::CTRL_INTEGER_MENU => {
                        let mut number = [0; 8];
                        number.copy_from_slice(&name[..8]);
                        i64::from_ne_bytes(number).to_string()
                    }
                    _ => abi::text(&name),
                };
                Some((index, name))
            })
            .collect()
    }

    /// Writes a control and reads back what the driver made of it. A button returns `value`.
    ///
    /// # Errors
    /// When the value is none of the control's, when it can be read only, or when the driver refuses it.
    pub fn set(&self, control: &Control, value: i64) -> Result<i64, Error> {
        let name = &control.name;
        if control.read_only {
            return Err(Error::Unsupported(format!("the control {name} can be read only")));
        }
        if !control.takes(value) {
            return Err(Error::Unsupported(format!(
                "invalid value '{value}' of the control {name}: expected {}",
                control.range()
            )));
        }
        abi::control(self.as_fd(), control.id, control.wide, Some(value))
            .map_err(|errno| self.error(&format!("cannot set the control {name} to {value}"), errno))?;
        if control.kind == ControlKind::Button || control.value.is_none() {
            return Ok(value);
        }
        abi::control(self.as_fd(), control.id, control.wide, None)
            .map_err(|errno| self.error(&format!("cannot read the control {name} back"), errno))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_other_tools_write_them() {
        for (driver, name) in [
            ("Exposure Time, Absolute", "exposure_time_absolute"),
            ("White Balance, Auto & Preset", "white_balance_auto_preset"),
            ("Inject V4L2_BUF_FLAG_ERROR", "inject_v4l2_buf_flag_error"),
            ("Gain", "gain"),
        ] {
            assert_eq!(word(driver), name);
        }
    }

    #[test]
    fn a_value_outside_is_known_before_the_driver_sees_it() {
        let mut control = Control {
            id: 1,
            name: "gain".into(),
            kind: ControlKind::Number,
            min: 0,
            max: 255,
            step: 5,
            default: 100,
            value: Some(100),
            read_only: false,
            inactive: false,
            wide: false,
        };
        assert!(control.takes(255) && !control.takes(256) && !control.takes(-1));
        assert_eq!(control.range(), "0 to 255 in steps of 5");
        control.kind = ControlKind::Menu(vec![(1, "Manual".into()), (3, "Aperture".into())]);
        assert!(control.takes(3) && !control.takes(2));
        assert_eq!(control.range(), "1 (Manual), 3 (Aperture)");
    }
}
