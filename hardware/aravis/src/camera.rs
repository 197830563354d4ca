//! What cameras there are, and the features of one.

use std::{
    ffi::{c_int, c_uint, c_void},
    fmt,
    ptr::null_mut,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use crate::{
    Error,
    library::{Library, NEVER_ADJUST, NO_PACKET_SOCKET, Object, name, text},
};

/// A camera that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What Aravis calls it.
    pub id: String,
    /// Who made it.
    pub vendor: String,
    /// Model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// Network address, or place on the USB.
    pub address: String,
    /// `GigEVision` or `USB3Vision`.
    pub protocol: String,
}

/// Every camera that answers within a second, on all networks of this machine and on USB.
///
/// # Errors
/// When Aravis is not installed.
pub fn cameras() -> Result<Vec<Found>, Error> {
    // The list is one for the whole process: what stands at a number must not change while it is read.
    static LIST: Mutex<()> = Mutex::new(());
    let library = Library::get()?;
    let _list = LIST.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: numbers below `arv_get_n_devices` have entries, whose strings stay until the list is updated again, which
    // only this function does.
    unsafe {
        (library.arv_update_device_list)();
        let all = (0..(library.arv_get_n_devices)()).map(|n| Found {
            id: text((library.arv_get_device_id)(n)),
            vendor: text((library.arv_get_device_vendor)(n)),
            model: text((library.arv_get_device_model)(n)),
            serial: text((library.arv_get_device_serial_nbr)(n)),
            address: text((library.arv_get_device_address)(n)),
            protocol: text((library.arv_get_device_protocol)(n)),
        });
        Ok(all.collect())
    }
}

/// The value of a feature.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// On or off.
    Switch(bool),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// An entry of a list, or words.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(value) => value.fmt(f),
            Self::Whole(value) => value.fmt(f),
            Self::Number(value) => value.fmt(f),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// What a feature takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Takes {
    /// On or off.
    Switch,
    /// A whole number.
    Whole {
        /// Least.
        least: i64,
        /// Most.
        most: i64,
        /// Step from one to the next.
        step: i64,
    },
    /// A number.
    Number {
        /// Least.
        least: f64,
        /// Most.
        most: f64,
    },
    /// One of a list.
    Choice(Vec<String>),
    /// Words.
    Text,
    /// Nothing: it is an action.
    Nothing,
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch => f.write_str("true or false"),
            Self::Whole { least, most, step: 0 | 1 } => write!(f, "{least} to {most}"),
            Self::Whole { least, most, step } => write!(f, "{least} to {most} in steps of {step}"),
            Self::Number { least, most } => write!(f, "{least} to {most}"),
            Self::Choice(entries) => {
                let entries: Vec<_> = entries.iter().map(|entry| format!("\"{entry}\"")).collect();
                f.write_str(&entries.join(", "))
            }
            Self::Text => f.write_str("words"),
            Self::Nothing => f.write_str("nothing: it is an action"),
        }
    }
}

/// A feature of a camera.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Its name.
    pub name: String,
    /// Its value; none where it cannot be read now.
    pub value: Option<Value>,
    /// What it takes.
    pub takes: Takes,
    /// It cannot be set now: an automatic decides, or another feature.
    pub is_locked: bool,
}

/// A camera that this process controls. Dropping it gives it back, which takes seconds when it does not answer any more.
pub struct Camera {
    pub(crate) library: &'static Library,
    pub(crate) raw: Object,
    id: String,
    lost: Arc<AtomicBool>,
}

// SAFETY: an object of GLib belongs to the process, not to a thread; it is used by one thread at a time, as no method can
// be called from two (the type is not `Sync`).
unsafe impl Send for Camera {}

impl fmt::Debug for Camera {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Camera").field("id", &self.id).finish_non_exhaustive()
    }
}

unsafe extern "C" fn lost(_: Object, data: *mut c_void) {
    // SAFETY: what `open` gave away, which `forget` alone takes back, after the last call of this.
    unsafe { &*data.cast::<AtomicBool>() }.store(true, Relaxed);
}

unsafe extern "C" fn forget(data: *mut c_void, _: *mut c_void) {
    // SAFETY: the count that `open` gave away, given back once.
    drop(unsafe { Arc::from_raw(data.cast::<AtomicBool>().cast_const()) });
}

impl Camera {
    /// Opens the camera with this id ([`Found::id`]), or at this network address, and takes control of it.
    ///
    /// # Errors
    /// When it is not there, or another program controls it.
    pub fn open(id: &str) -> Result<Self, Error> {
        let library = Library::get()?;
        let named = name(id)?;
        // SAFETY: a string of C; the object that comes back is ours, and null when there is an error.
        let raw = library.call(
            || format!("{id} cannot be opened"),
            |error| unsafe { (library.arv_camera_new)(named.as_ptr(), error) },
        )?;
        if raw.is_null() {
            return Err(Error::Gone(format!("{id} cannot be opened: no such camera")));
        }
        let camera = Self { library, raw, id: id.into(), lost: Arc::default() };
        // SAFETY: `raw` is a camera, its device lives as long as it; the signal has the arguments that `lost` takes, and
        // a count of the flag is given away, which `forget` gives back.
        unsafe {
            let device = (library.arv_camera_get_device)(raw);
            let data = Arc::into_raw(camera.lost.clone()).cast_mut().cast::<c_void>();
            (library.g_signal_connect_data)(device, c"control-lost".as_ptr(), lost, data, forget, 0);
            if camera.is_network() {
                if (library.arv_gv_device_is_controller)(device) == 0 {
                    return Err(Error::Busy(format!("{id}: another program controls it")));
                }
                // Packet sockets need a privilege, and see nothing of a camera on the same machine.
                (library.arv_camera_gv_set_stream_options)(raw, NO_PACKET_SOCKET);
            }
        }
        Ok(camera)
    }

    /// What it was opened by.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it is a camera on the network (GigE Vision).
    pub fn is_network(&self) -> bool {
        // SAFETY: a camera.
        unsafe { (self.library.arv_camera_is_gv_device)(self.raw) != 0 }
    }

    /// Whether it has been unplugged, has stopped answering, or another program has taken control.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Relaxed)
    }

    /// Keeps the packet size that is set: otherwise it is adjusted when packets of that size do not arrive.
    pub fn keep_packet_size(&self) {
        // SAFETY: a camera; of one that has no packets the call does nothing.
        unsafe { (self.library.arv_camera_gv_set_packet_size_adjustment)(self.raw, NEVER_ADJUST) }
    }

    /// Takes pictures at a rate in frames a second, without triggers; gives what the camera made of it.
    ///
    /// # Errors
    /// When the camera has no rate to set.
    pub fn set_rate(&self, hz: f64) -> Result<f64, Error> {
        let library = self.library;
        let what = || format!("{}: the rate cannot be set", self.id);
        // SAFETY: a camera.
        library.call(what, |error| unsafe { (library.arv_camera_set_frame_rate)(self.raw, hz, error) })?;
        library.call(what, |error| unsafe { (library.arv_camera_get_frame_rate)(self.raw, error) })
    }

    /// Frames a second, where the camera says it.
    pub fn rate(&self) -> Option<f64> {
        let library = self.library;
        // SAFETY: a camera.
        let ask = |error| unsafe { (library.arv_camera_is_frame_rate_available)(self.raw, error) };
        let has = library.call(String::new, ask).is_ok_and(|has| has != 0);
        let ask = |error| unsafe { (library.arv_camera_get_frame_rate)(self.raw, error) };
        has.then(|| library.call(String::new, ask).ok()).flatten().filter(|hz| hz.is_finite() && *hz > 0.0)
    }

    /// Exposure time in microseconds, where the camera says it.
    pub fn exposure_us(&self) -> Option<f64> {
        let library = self.library;
        // SAFETY: a camera.
        let ask = |error| unsafe { (library.arv_camera_is_exposure_time_available)(self.raw, error) };
        let has = library.call(String::new, ask).is_ok_and(|has| has != 0);
        let ask = |error| unsafe { (library.arv_camera_get_exposure_time)(self.raw, error) };
        has.then(|| library.call(String::new, ask).ok()).flatten().filter(|us| us.is_finite() && *us > 0.0)
    }

    /// A feature by its name; none when the camera has none of it, or not now.
    ///
    /// # Errors
    /// When the camera does not answer.
    pub fn feature(&self, of: &str) -> Result<Option<Feature>, Error> {
        let (library, raw, named) = (self.library, self.raw, name(of)?);
        let what = || format!("{}: {of}", self.id);
        // SAFETY: a camera, its device, a string of C; the node belongs to the device and is looked at in this call only.
        let node = unsafe { (library.arv_device_get_feature)((library.arv_camera_get_device)(raw), named.as_ptr()) };
        let is =
            |kind: unsafe extern "C" fn() -> usize| unsafe { (library.g_type_check_instance_is_a)(node, kind()) != 0 };
        if node.is_null() || !is(library.arv_gc_feature_node_get_type) {
            return Ok(None);
        }
        let has = |error| unsafe { (library.arv_camera_is_feature_available)(raw, named.as_ptr(), error) };
        if library.call(what, has)? == 0 {
            return Ok(None);
        }
        // An entry of a list is a number, too, so lists come before numbers.
        let takes = if is(library.arv_gc_command_get_type) {
            Takes::Nothing
        } else if is(library.arv_gc_enumeration_get_type) {
            Takes::Choice(self.choices(of)?)
        } else if is(library.arv_gc_boolean_get_type) {
            Takes::Switch
        } else if is(library.arv_gc_float_get_type) {
            let (mut least, mut most) = (f64::MIN, f64::MAX);
            // SAFETY: a camera, a string of C, two places for numbers. A feature without bounds leaves them as they are.
            let ask = |error| unsafe {
                (library.arv_camera_get_float_bounds)(raw, named.as_ptr(), &raw mut least, &raw mut most, error);
            };
            let _ = library.call(what, ask);
            Takes::Number { least, most }
        } else if is(library.arv_gc_integer_get_type) {
            let (mut least, mut most) = (i64::MIN, i64::MAX);
            // SAFETY: as above.
            let ask = |error| unsafe {
                (library.arv_camera_get_integer_bounds)(raw, named.as_ptr(), &raw mut least, &raw mut most, error);
            };
            let _ = library.call(what, ask);
            let ask = |error| unsafe { (library.arv_camera_get_integer_increment)(raw, named.as_ptr(), error) };
            Takes::Whole { least, most, step: library.call(what, ask).unwrap_or(1).max(1) }
        } else if is(library.arv_gc_string_get_type) {
            Takes::Text
        } else {
            return Ok(None);
        };
        let locked = |error| unsafe { (library.arv_gc_feature_node_is_locked)(node, error) };
        let is_locked = library.call(what, locked).is_ok_and(|is| is != 0);
        let value = self.get(of, &takes).ok();
        Ok(Some(Feature { name: of.into(), value, takes, is_locked }))
    }

    /// Names of a list's entries that can be chosen now.
    fn choices(&self, of: &str) -> Result<Vec<String>, Error> {
        let (library, named) = (self.library, name(of)?);
        let mut count: c_uint = 0;
        // SAFETY: a camera, a string of C, a place for a number; the strings are the camera's, the list of them is ours.
        unsafe {
            let ask = |error| {
                (library.arv_camera_dup_available_enumerations_as_strings)(
                    self.raw,
                    named.as_ptr(),
                    &raw mut count,
                    error,
                )
            };
            let list = library.call(|| format!("{}: {of}", self.id), ask)?;
            if list.is_null() {
                return Ok(Vec::new());
            }
            let all = (0..count as usize).map(|n| text(*list.add(n))).collect();
            (library.g_free)(list.cast());
            Ok(all)
        }
    }

    fn get(&self, of: &str, takes: &Takes) -> Result<Value, Error> {
        let (library, raw, named) = (self.library, self.raw, name(of)?);
        let what = || format!("{}: {of} cannot be read", self.id);
        let named = named.as_ptr();
        // SAFETY: a camera, a string of C; a string that comes back is the camera's and copied at once.
        unsafe {
            Ok(match takes {
                Takes::Switch => {
                    Value::Switch(library.call(what, |error| (library.arv_camera_get_boolean)(raw, named, error))? != 0)
                }
                Takes::Whole { .. } => {
                    Value::Whole(library.call(what, |error| (library.arv_camera_get_integer)(raw, named, error))?)
                }
                Takes::Number { .. } => {
                    Value::Number(library.call(what, |error| (library.arv_camera_get_float)(raw, named, error))?)
                }
                Takes::Choice(_) | Takes::Text => {
                    Value::Text(library.call(what, |error| text((library.arv_camera_get_string)(raw, named, error)))?)
                }
                Takes::Nothing => return Err(Error::Failed(format!("{}: {of} has no value", self.id))),
            })
        }
    }

    /// Sets a feature. A whole number serves where a number is taken.
    ///
    /// # Errors
    /// When the feature takes no such value, with what it takes, or the camera refuses.
    pub fn set(&self, feature: &Feature, value: &Value) -> Result<(), Error> {
        let (library, raw, of) = (self.library, self.raw, name(&feature.name)?);
        let what = || format!("{}: {} cannot be set to {value}", self.id, feature.name);
        let of = of.as_ptr();
        let wrong = || {
            Error::Failed(format!(
                "{}: invalid value '{value}' of {}: expected {}",
                self.id, feature.name, feature.takes
            ))
        };
        // SAFETY: a camera and strings of C.
        unsafe {
            match (&feature.takes, value) {
                (Takes::Switch, Value::Switch(on)) => {
                    library.call(what, |error| (library.arv_camera_set_boolean)(raw, of, c_int::from(*on), error))
                }
                (Takes::Whole { least, most, .. }, Value::Whole(n)) if (least..=most).contains(&n) => {
                    library.call(what, |error| (library.arv_camera_set_integer)(raw, of, *n, error))
                }
                (Takes::Number { least, most }, Value::Number(_) | Value::Whole(_)) => {
                    let n = if let Value::Number(n) = value { *n } else { self.whole(value) };
                    if !(*least..=*most).contains(&n) {
                        return Err(wrong());
                    }
                    library.call(what, |error| (library.arv_camera_set_float)(raw, of, n, error))
                }
                (Takes::Choice(entries), Value::Text(entry)) if !entries.contains(entry) => Err(wrong()),
                (Takes::Choice(_) | Takes::Text, Value::Text(words)) => {
                    let words = name(words)?;
                    library.call(what, |error| (library.arv_camera_set_string)(raw, of, words.as_ptr(), error))
                }
                _ => Err(wrong()),
            }
        }
    }

    fn whole(&self, value: &Value) -> f64 {
        if let Value::Whole(n) = value { *n as f64 } else { f64::NAN }
    }

    /// Does what a command of the camera does, such as `TriggerSoftware`.
    ///
    /// # Errors
    /// When it has no such command, or does not answer.
    pub fn act(&self, command: &str) -> Result<(), Error> {
        let (library, named) = (self.library, name(command)?);
        // SAFETY: a camera and a string of C.
        library.call(
            || format!("{}: {command}", self.id),
            |error| unsafe { (library.arv_camera_execute_command)(self.raw, named.as_ptr(), error) },
        )
    }

    /// Bytes of a frame as it is set up now.
    pub(crate) fn payload(&self) -> Result<usize, Error> {
        let library = self.library;
        // SAFETY: a camera.
        let ask = |error| unsafe { (library.arv_camera_get_payload)(self.raw, error) };
        Ok(library.call(|| format!("{}: does not say how large a frame is", self.id), ask)? as usize)
    }

    pub(crate) fn run(&self, on: bool) -> Result<(), Error> {
        let library = self.library;
        let call = if on { library.arv_camera_start_acquisition } else { library.arv_camera_stop_acquisition };
        let what = || format!("{}: does not {}", self.id, if on { "stream" } else { "stop" });
        // SAFETY: a camera.
        library.call(what, |error| unsafe { call(self.raw, error) })
    }

    pub(crate) fn stream(&self) -> Result<Object, Error> {
        let library = self.library;
        // SAFETY: a camera; no callback, so nothing for it. The object that comes back is ours.
        let make = |error| unsafe { (library.arv_camera_create_stream)(self.raw, std::ptr::null(), null_mut(), error) };
        let stream = library.call(|| format!("{}: no stream", self.id), make)?;
        if stream.is_null() {
            return Err(Error::Failed(format!("{}: no stream", self.id)));
        }
        Ok(stream)
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        // SAFETY: the count that `open` got, given back once.
        unsafe { (self.library.g_object_unref)(self.raw) }
    }
}
