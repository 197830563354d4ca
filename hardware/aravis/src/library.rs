//! The functions of Aravis and GLib, as far as they are used. A test compiles a C program that compares their types with
//! those of the library's own headers.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_uint, c_void},
    ptr::null_mut,
    sync::OnceLock,
};

use crate::Error;

/// An object of GLib.
pub type Object = *mut c_void;
/// Where a call puts its error.
pub type ErrorPlace = *mut *mut GError;

/// An error of GLib.
#[repr(C)]
pub struct GError {
    pub domain: u32,
    pub code: c_int,
    pub message: *const c_char,
}

/// Called when a camera is lost.
pub type Lost = unsafe extern "C" fn(device: Object, data: *mut c_void);
/// Called when nobody can call [`Lost`] any more.
pub type Forget = unsafe extern "C" fn(data: *mut c_void, closure: *mut c_void);

macro_rules! functions {
    ($($name:ident($($argument:ty = $c:literal),*) -> $result:ty = $c_result:literal;)*) => {
        /// The library's functions.
        pub struct Library {
            $(pub $name: unsafe extern "C" fn($($argument),*) -> $result,)*
            /// `g_object_set` for one property.
            pub g_object_set: unsafe extern "C" fn(Object, *const c_char, ...),
            /// The functions are its.
            _handle: libloading::Library,
        }

        impl Library {
            fn new(handle: libloading::Library) -> Result<Self, libloading::Error> {
                // SAFETY: the types are those of the library's headers (the test below compares them), and the handle
                // lives as long as the functions. GLib's are found through it, as Aravis is linked to GLib.
                unsafe {
                    Ok(Self {
                        $($name: *handle.get(concat!(stringify!($name), "\0").as_bytes())?,)*
                        g_object_set: *handle.get(b"g_object_set\0")?,
                        _handle: handle,
                    })
                }
            }

            /// Every function as C declares a pointer to it.
            #[cfg(test)]
            fn prototypes() -> Vec<String> {
                vec![$({
                    let arguments: &[&str] = &[$($c),*];
                    let arguments = if arguments.is_empty() { "void".into() } else { arguments.join(", ") };
                    format!("{} (*p_{1})({arguments}) = {1};", $c_result, stringify!($name))
                }),*]
            }
        }
    };
}

functions! {
    arv_update_device_list() -> () = "void";
    arv_get_n_devices() -> c_uint = "unsigned";
    arv_get_device_id(c_uint = "unsigned") -> *const c_char = "const char *";
    arv_get_device_vendor(c_uint = "unsigned") -> *const c_char = "const char *";
    arv_get_device_model(c_uint = "unsigned") -> *const c_char = "const char *";
    arv_get_device_serial_nbr(c_uint = "unsigned") -> *const c_char = "const char *";
    arv_get_device_address(c_uint = "unsigned") -> *const c_char = "const char *";
    arv_get_device_protocol(c_uint = "unsigned") -> *const c_char = "const char *";
    arv_device_error_quark() -> u32 = "unsigned";
    arv_camera_new(*const c_char = "const char *", ErrorPlace = "GError **") -> Object = "ArvCamera *";
    arv_camera_get_device(Object = "ArvCamera *") -> Object = "ArvDevice *";
    arv_camera_is_gv_device(Object = "ArvCamera *") -> c_int = "int";
    arv_gv_device_is_controller(Object = "ArvGvDevice *") -> c_int = "int";
    arv_camera_gv_set_stream_options(Object = "ArvCamera *", c_int = "ArvGvStreamOption") -> () = "void";
    arv_camera_gv_set_packet_size_adjustment(Object = "ArvCamera *", c_int = "ArvGvPacketSizeAdjustment") -> () = "void";
    arv_camera_is_frame_rate_available(Object = "ArvCamera *", ErrorPlace = "GError **") -> c_int = "int";
    arv_camera_set_frame_rate(Object = "ArvCamera *", f64 = "double", ErrorPlace = "GError **") -> () = "void";
    arv_camera_get_frame_rate(Object = "ArvCamera *", ErrorPlace = "GError **") -> f64 = "double";
    arv_camera_is_exposure_time_available(Object = "ArvCamera *", ErrorPlace = "GError **") -> c_int = "int";
    arv_camera_get_exposure_time(Object = "ArvCamera *", ErrorPlace = "GError **") -> f64 = "double";
    arv_camera_get_payload(Object = "ArvCamera *", ErrorPlace = "GError **") -> c_uint = "unsigned";
    arv_camera_create_stream(
        Object = "ArvCamera *", *const c_void = "ArvStreamCallback", *mut c_void = "void *", ErrorPlace = "GError **"
    ) -> Object = "ArvStream *";
    arv_camera_start_acquisition(Object = "ArvCamera *", ErrorPlace = "GError **") -> () = "void";
    arv_camera_stop_acquisition(Object = "ArvCamera *", ErrorPlace = "GError **") -> () = "void";
    arv_camera_is_feature_available(Object = "ArvCamera *", *const c_char = "const char *", ErrorPlace = "GError **")
        -> c_int = "int";
    arv_camera_execute_command(Object = "ArvCamera *", *const c_char = "const char *", ErrorPlace = "GError **")
        -> () = "void";
    arv_camera_set_boolean(
        Object = "ArvCamera *", *const c_char = "const char *", c_int = "int", ErrorPlace = "GError **"
    ) -> () = "void";
    arv_camera_get_boolean(Object = "ArvCamera *", *const c_char = "const char *", ErrorPlace = "GError **")
        -> c_int = "int";
    arv_camera_set_integer(
        Object = "ArvCamera *", *const c_char = "const char *", i64 = "gint64", ErrorPlace = "GError **"
    ) -> () = "void";
    arv_camera_get_integer(Object = "ArvCamera *", *const c_char = "const char *", ErrorPlace = "GError **")
        -> i64 = "gint64";
    arv_camera_get_integer_bounds(
        Object = "ArvCamera *", *const c_char = "const char *", *mut i64 = "gint64 *", *mut i64 = "gint64 *",
        ErrorPlace = "GError **"
    ) -> () = "void";
    arv_camera_get_integer_increment(Object = "ArvCamera *", *const c_char = "const char *", ErrorPlace = "GError **")
        -> i64 = "gint64";
    arv_camera_set_float(
        Object = "ArvCamera *", *const c_char = "const char *", f64 = "double", ErrorPlace = "GError **"
    ) -> () = "void";
    arv_camera_get_float(Object = "ArvCamera *", *const c_char = "const char *", ErrorPlace = "GError **")
        -> f64 = "double";
    arv_camera_get_float_bounds(
        Object = "ArvCamera *", *const c_char = "const char *", *mut f64 = "double *", *mut f64 = "double *",
        ErrorPlace = "GError **"
    ) -> () = "void";
    arv_camera_set_string(
        Object = "ArvCamera *", *const c_char = "const char *", *const c_char = "const char *", ErrorPlace = "GError **"
    ) -> () = "void";
    arv_camera_get_string(Object = "ArvCamera *", *const c_char = "const char *", ErrorPlace = "GError **")
        -> *const c_char = "const char *";
    arv_camera_dup_available_enumerations_as_strings(
        Object = "ArvCamera *", *const c_char = "const char *", *mut c_uint = "unsigned *", ErrorPlace = "GError **"
    ) -> *mut *const c_char = "const char **";
    arv_device_get_feature(Object = "ArvDevice *", *const c_char = "const char *") -> Object = "ArvGcNode *";
    arv_gc_feature_node_is_locked(Object = "ArvGcFeatureNode *", ErrorPlace = "GError **") -> c_int = "int";
    arv_gc_boolean_get_type() -> usize = "GType";
    arv_gc_command_get_type() -> usize = "GType";
    arv_gc_enumeration_get_type() -> usize = "GType";
    arv_gc_feature_node_get_type() -> usize = "GType";
    arv_gc_float_get_type() -> usize = "GType";
    arv_gc_integer_get_type() -> usize = "GType";
    arv_gc_string_get_type() -> usize = "GType";
    arv_buffer_new_allocate(usize = "size_t") -> Object = "ArvBuffer *";
    arv_buffer_get_status(Object = "ArvBuffer *") -> c_int = "ArvBufferStatus";
    arv_buffer_get_payload_type(Object = "ArvBuffer *") -> c_int = "ArvBufferPayloadType";
    arv_buffer_get_data(Object = "ArvBuffer *", *mut usize = "size_t *") -> *const c_void = "const void *";
    arv_buffer_get_frame_id(Object = "ArvBuffer *") -> u64 = "guint64";
    arv_buffer_get_timestamp(Object = "ArvBuffer *") -> u64 = "guint64";
    arv_buffer_get_system_timestamp(Object = "ArvBuffer *") -> u64 = "guint64";
    arv_buffer_set_frame_id(Object = "ArvBuffer *", u64 = "guint64") -> () = "void";
    arv_buffer_set_timestamp(Object = "ArvBuffer *", u64 = "guint64") -> () = "void";
    arv_buffer_set_system_timestamp(Object = "ArvBuffer *", u64 = "guint64") -> () = "void";
    arv_buffer_get_image_pixel_format(Object = "ArvBuffer *") -> u32 = "ArvPixelFormat";
    arv_buffer_get_image_width(Object = "ArvBuffer *") -> c_int = "int";
    arv_buffer_get_image_height(Object = "ArvBuffer *") -> c_int = "int";
    arv_buffer_get_image_padding(Object = "ArvBuffer *", *mut c_int = "int *", *mut c_int = "int *") -> () = "void";
    arv_stream_push_buffer(Object = "ArvStream *", Object = "ArvBuffer *") -> () = "void";
    arv_stream_try_pop_buffer(Object = "ArvStream *") -> Object = "ArvBuffer *";
    arv_stream_timeout_pop_buffer(Object = "ArvStream *", u64 = "guint64") -> Object = "ArvBuffer *";
    arv_stream_get_n_buffers(Object = "ArvStream *", *mut c_int = "int *", *mut c_int = "int *") -> () = "void";
    g_object_unref(Object = "gpointer") -> () = "void";
    g_free(*mut c_void = "gpointer") -> () = "void";
    g_error_free(*mut GError = "GError *") -> () = "void";
    g_type_check_instance_is_a(Object = "GTypeInstance *", usize = "GType") -> c_int = "int";
    g_signal_connect_data(
        Object = "gpointer", *const c_char = "const char *", Lost = "GCallback", *mut c_void = "gpointer",
        Forget = "GClosureNotify", c_int = "GConnectFlags"
    ) -> u64 = "gulong";
}

#[cfg(target_os = "macos")]
const NAMES: [&str; 2] = ["libaravis-0.8.0.dylib", "/opt/homebrew/lib/libaravis-0.8.0.dylib"];
#[cfg(not(target_os = "macos"))]
const NAMES: [&str; 1] = ["libaravis-0.8.so.0"];

impl Library {
    /// The library, opened at the first call.
    ///
    /// # Errors
    /// When it is not installed, or is not the one that is known.
    pub fn get() -> Result<&'static Self, Error> {
        static LIBRARY: OnceLock<Result<Library, String>> = OnceLock::new();
        let opened = LIBRARY.get_or_init(|| {
            let mut last = String::new();
            for name in NAMES {
                // SAFETY: what the library runs when it is loaded is GLib's own set-up, which needs nothing of us.
                match unsafe { libloading::Library::new(name) }.and_then(Self::new) {
                    Ok(library) => return Ok(library),
                    Err(error) => last = error.to_string(),
                }
            }
            Err(last)
        });
        opened.as_ref().map_err(|error| {
            Error::NoLibrary(format!(
                "GenICam cameras need the library Aravis 0.8 (Debian: apt-get install libaravis-0.8-0): {error}"
            ))
        })
    }

    /// Runs a call that may fail; `what` says in its error what it was to do.
    pub fn call<T>(&self, what: impl FnOnce() -> String, call: impl FnOnce(ErrorPlace) -> T) -> Result<T, Error> {
        let mut error = null_mut();
        let value = call(&raw mut error);
        if error.is_null() {
            return Ok(value);
        }
        // SAFETY: the call has set the error, which is ours now, and is freed once, after its last use.
        let (domain, code, text) = unsafe {
            let GError { domain, code, message } = &*error;
            let read = (*domain, *code, text(*message));
            (self.g_error_free)(error);
            read
        };
        let text = format!("{}: {text}", what());
        // SAFETY: takes nothing.
        let is_device = domain == unsafe { (self.arv_device_error_quark)() };
        // The numbers of `ArvDeviceError`; the test compares them.
        Err(match code {
            NOT_CONNECTED | TIMEOUT | NOT_FOUND if is_device => Error::Gone(text),
            NOT_CONTROLLER if is_device => Error::Busy(text),
            _ => Error::Failed(text),
        })
    }
}

pub const NOT_CONNECTED: c_int = 2;
pub const TIMEOUT: c_int = 5;
pub const NOT_FOUND: c_int = 6;
pub const NOT_CONTROLLER: c_int = 10;
/// `ARV_GV_STREAM_OPTION_PACKET_SOCKET_DISABLED`.
pub const NO_PACKET_SOCKET: c_int = 1;
/// `ARV_GV_PACKET_SIZE_ADJUSTMENT_NEVER`.
pub const NEVER_ADJUST: c_int = 0;
/// `ARV_GV_STREAM_SOCKET_BUFFER_FIXED`.
pub const SOCKET_BUFFER_FIXED: c_int = 0;

/// A string of C; empty for none.
///
/// # Safety
/// The pointer is null or points at a string that ends with 0.
pub unsafe fn text(from: *const c_char) -> String {
    if from.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(from) }.to_string_lossy().into_owned()
}

/// A name for C.
///
/// # Errors
/// When it holds a zero.
pub fn name(text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::Failed(format!("invalid name '{}': expected no zeros", text.escape_debug())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream;
    use std::{fmt::Write as _, path::Path, process::Command};

    /// The C compiler compares the type of every function and the numbers of every constant with the headers.
    #[test]
    fn functions_and_numbers_are_those_of_the_headers() {
        // Not by pkg-config's name for Aravis: that asks for the packages of all that Aravis itself is built with.
        let flags = Command::new("pkg-config").args(["--cflags", "gio-2.0"]).output();
        let flags = flags.ok().filter(|found| found.status.success());
        let headers = ["/usr/include", "/usr/local/include"].map(|place| Path::new(place).join("aravis-0.8"));
        let (Some(flags), Some(headers)) = (flags, headers.iter().find(|place| place.exists())) else {
            eprintln!("SKIPPED: the headers of Aravis are not here (apt-get install libaravis-dev pkg-config)");
            return;
        };
        let flags = String::from_utf8(flags.stdout).expect("words");
        let mut program = String::from("#include <arv.h>\n#undef g_object_unref\n");
        for prototype in Library::prototypes() {
            let _ = writeln!(program, "{prototype}");
        }
        for (c, rust) in [
            ("ARV_DEVICE_ERROR_NOT_CONNECTED", NOT_CONNECTED),
            ("ARV_DEVICE_ERROR_TIMEOUT", TIMEOUT),
            ("ARV_DEVICE_ERROR_NOT_FOUND", NOT_FOUND),
            ("ARV_DEVICE_ERROR_NOT_CONTROLLER", NOT_CONTROLLER),
            ("ARV_GV_STREAM_OPTION_PACKET_SOCKET_DISABLED", NO_PACKET_SOCKET),
            ("ARV_GV_PACKET_SIZE_ADJUSTMENT_NEVER", NEVER_ADJUST),
            ("ARV_GV_STREAM_SOCKET_BUFFER_FIXED", SOCKET_BUFFER_FIXED),
            ("ARV_BUFFER_STATUS_SUCCESS", stream::SUCCESS),
            ("ARV_BUFFER_STATUS_TIMEOUT", stream::TIMEOUT),
            ("ARV_BUFFER_STATUS_MISSING_PACKETS", stream::MISSING_PACKETS),
            ("ARV_BUFFER_STATUS_WRONG_PACKET_ID", stream::WRONG_PACKET),
            ("ARV_BUFFER_STATUS_FILLING", stream::FILLING),
            ("ARV_BUFFER_STATUS_ABORTED", stream::ABORTED),
        ] {
            let _ = writeln!(program, "_Static_assert({c} == {rust}, \"{c}\");");
        }
        program.push_str("_Static_assert(sizeof(GType) == sizeof(size_t) && sizeof(gulong) == 8, \"sizes\");\n");
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join("check.c");
        std::fs::write(&source, program).expect("a file");
        let mut compiler = Command::new("cc");
        compiler.args(["-std=gnu11", "-Wall", "-Werror", "-Wno-error=deprecated-declarations", "-fsyntax-only"]);
        let checked =
            compiler.args(flags.split_whitespace()).arg("-I").arg(headers).arg(&source).output().expect("a compiler");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
}
