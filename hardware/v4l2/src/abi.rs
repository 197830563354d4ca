//! The kernel's structures and calls (linux/videodev2.h), as far as they are used. A test compiles a C program against
//! the kernel's own header and compares every size, place and number.

use std::{
    ffi::{c_int, c_long},
    marker::PhantomData,
    os::fd::BorrowedFd,
};

use rustix::{
    io::Errno,
    ioctl::{Opcode, Setter, Updater, ioctl, opcode},
};

pub const CAPTURE: u32 = 1;
pub const MEMORY_MMAP: u32 = 1;
pub const FIELD_ANY: u32 = 0;
pub const FIELD_NONE: u32 = 1;
pub const FIELD_INTERLACED: u32 = 4;
pub const FIELD_INTERLACED_TB: u32 = 8;
pub const FIELD_INTERLACED_BT: u32 = 9;

pub const CAP_VIDEO_CAPTURE: u32 = 0x1;
pub const CAP_VIDEO_CAPTURE_MPLANE: u32 = 0x1000;
pub const CAP_STREAMING: u32 = 0x0400_0000;
pub const CAP_DEVICE_CAPS: u32 = 0x8000_0000;
pub const CAP_TIMEPERFRAME: u32 = 0x1000;

pub const SIZE_DISCRETE: u32 = 1;
pub const RATE_DISCRETE: u32 = 1;

pub const BUF_FLAG_ERROR: u32 = 0x40;
pub const BUF_FLAG_TIMESTAMP_MASK: u32 = 0xe000;
pub const BUF_FLAG_TIMESTAMP_MONOTONIC: u32 = 0x2000;

pub const CTRL_FLAG_NEXT_CTRL: u32 = 0x8000_0000;
pub const CTRL_FLAG_DISABLED: u32 = 0x1;
pub const CTRL_FLAG_READ_ONLY: u32 = 0x4;
pub const CTRL_FLAG_INACTIVE: u32 = 0x10;
pub const CTRL_FLAG_WRITE_ONLY: u32 = 0x40;

pub const CTRL_INTEGER: u32 = 1;
pub const CTRL_BOOLEAN: u32 = 2;
pub const CTRL_MENU: u32 = 3;
pub const CTRL_BUTTON: u32 = 4;
pub const CTRL_INTEGER64: u32 = 5;
pub const CTRL_BITMASK: u32 = 8;
pub const CTRL_INTEGER_MENU: u32 = 9;

/// `struct v4l2_capability`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Capability {
    pub driver: [u8; 16],
    pub card: [u8; 32],
    pub bus_info: [u8; 32],
    pub version: u32,
    pub capabilities: u32,
    pub device_caps: u32,
    pub reserved: [u32; 3],
}

/// `struct v4l2_fmtdesc`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct FormatDescription {
    pub index: u32,
    pub kind: u32,
    pub flags: u32,
    pub description: [u8; 32],
    pub pixelformat: u32,
    pub mbus_code: u32,
    pub reserved: [u32; 3],
}

/// `struct v4l2_frmsizeenum`; `sizes` is width and height, or least, largest and step of both.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct FrameSizes {
    pub index: u32,
    pub pixel_format: u32,
    pub kind: u32,
    pub sizes: [u32; 6],
    pub reserved: [u32; 2],
}

/// `struct v4l2_fract`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Fraction {
    pub numerator: u32,
    pub denominator: u32,
}

/// `struct v4l2_frmivalenum`; `intervals` is one, or least, largest and step.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct FrameIntervals {
    pub index: u32,
    pub pixel_format: u32,
    pub width: u32,
    pub height: u32,
    pub kind: u32,
    pub intervals: [Fraction; 3],
    pub reserved: [u32; 2],
}

/// `struct v4l2_format` with its `v4l2_pix_format`; the union has 200 bytes and the alignment of a pointer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Format {
    kind: u32,
    pub pix: PictureUnion,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct PictureUnion {
    align: [usize; 0],
    pub width: u32,
    pub height: u32,
    pub pixelformat: u32,
    pub field: u32,
    pub bytesperline: u32,
    pub sizeimage: u32,
    pub colorspace: u32,
    pub private: u32,
    pub flags: u32,
    pub ycbcr_enc: u32,
    pub quantization: u32,
    pub xfer_func: u32,
    rest: [u32; 38],
}

impl Format {
    /// A picture as a camera captures it, all else the driver's choice.
    pub fn capture() -> Self {
        let pix = PictureUnion {
            align: [],
            width: 0,
            height: 0,
            pixelformat: 0,
            field: FIELD_ANY,
            bytesperline: 0,
            sizeimage: 0,
            colorspace: 0,
            private: 0,
            flags: 0,
            ycbcr_enc: 0,
            quantization: 0,
            xfer_func: 0,
            rest: [0; 38],
        };
        Self { kind: CAPTURE, pix }
    }
}

/// `struct v4l2_requestbuffers`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct RequestBuffers {
    pub count: u32,
    kind: u32,
    memory: u32,
    pub capabilities: u32,
    pub flags: u8,
    pub reserved: [u8; 3],
}

impl RequestBuffers {
    /// `count` buffers of the driver's own memory.
    pub fn mapped(count: u32) -> Self {
        Self { count, kind: CAPTURE, memory: MEMORY_MMAP, ..Self::default() }
    }
}

/// `struct timeval`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Time {
    pub seconds: c_long,
    pub microseconds: c_long,
}

/// `struct v4l2_buffer`. The kind of memory is fixed: with another one the kernel would write where a pointer shows.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Buffer {
    pub index: u32,
    kind: u32,
    pub bytesused: u32,
    pub flags: u32,
    pub field: u32,
    pub timestamp: Time,
    pub timecode: [u32; 4],
    pub sequence: u32,
    memory: u32,
    offset: usize,
    pub length: u32,
    pub reserved2: u32,
    pub request_fd: u32,
}

impl Buffer {
    /// Buffer number `index` of the driver's own memory.
    pub fn mapped(index: u32) -> Self {
        Self { index, kind: CAPTURE, memory: MEMORY_MMAP, ..Self::default() }
    }

    /// Where the buffer begins for `mmap`: 32 bits at the beginning of the union.
    pub fn offset(&self) -> u32 {
        let bytes = self.offset.to_ne_bytes();
        u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }
}

/// `struct v4l2_streamparm` with its `v4l2_captureparm`; the union has 200 bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct StreamParameters {
    kind: u32,
    pub capability: u32,
    pub mode: u32,
    pub time_per_frame: Fraction,
    pub extended_mode: u32,
    pub read_buffers: u32,
    rest: [u32; 44],
}

impl StreamParameters {
    /// Those of capturing, empty.
    pub fn capture() -> Self {
        Self {
            kind: CAPTURE,
            capability: 0,
            mode: 0,
            time_per_frame: Fraction::default(),
            extended_mode: 0,
            read_buffers: 0,
            rest: [0; 44],
        }
    }
}

/// `struct v4l2_query_ext_ctrl`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct QueryControl {
    pub id: u32,
    pub kind: u32,
    pub name: [u8; 32],
    pub minimum: i64,
    pub maximum: i64,
    pub step: u64,
    pub default: i64,
    pub flags: u32,
    pub elem_size: u32,
    pub elems: u32,
    pub nr_of_dims: u32,
    pub dims: [u32; 4],
    pub reserved: [u32; 32],
}

impl QueryControl {
    /// Asks for control `id`.
    pub fn of(id: u32) -> Self {
        Self {
            id,
            kind: 0,
            name: [0; 32],
            minimum: 0,
            maximum: 0,
            step: 0,
            default: 0,
            flags: 0,
            elem_size: 0,
            elems: 0,
            nr_of_dims: 0,
            dims: [0; 4],
            reserved: [0; 32],
        }
    }
}

/// `struct v4l2_querymenu`; a name, or a number in its first eight bytes.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub struct QueryMenu {
    pub id: u32,
    pub index: u32,
    pub name: [u8; 32],
    pub reserved: u32,
}

/// `struct v4l2_ext_control` of a number; a value of 32 bits is at the beginning of the union.
#[repr(C, packed)]
#[derive(Clone, Copy)]
pub struct ExtendedControl {
    pub id: u32,
    size: u32,
    reserved2: u32,
    value: [u8; 8],
}

/// `struct v4l2_ext_controls`
#[repr(C)]
struct ExtendedControls {
    which: u32,
    count: u32,
    error_idx: u32,
    request_fd: i32,
    reserved: u32,
    controls: *mut ExtendedControl,
}

/// A call of the kernel with the structure that it reads and writes.
pub struct Call<const NUMBER: Opcode, T>(PhantomData<T>);

pub const QUERYCAP: Call<{ opcode::read::<Capability>(b'V', 0) }, Capability> = Call(PhantomData);
pub const ENUM_FMT: Call<{ opcode::read_write::<FormatDescription>(b'V', 2) }, FormatDescription> = Call(PhantomData);
pub const G_FMT: Call<{ opcode::read_write::<Format>(b'V', 4) }, Format> = Call(PhantomData);
pub const S_FMT: Call<{ opcode::read_write::<Format>(b'V', 5) }, Format> = Call(PhantomData);
pub const REQBUFS: Call<{ opcode::read_write::<RequestBuffers>(b'V', 8) }, RequestBuffers> = Call(PhantomData);
pub const QUERYBUF: Call<{ opcode::read_write::<Buffer>(b'V', 9) }, Buffer> = Call(PhantomData);
pub const QBUF: Call<{ opcode::read_write::<Buffer>(b'V', 15) }, Buffer> = Call(PhantomData);
pub const DQBUF: Call<{ opcode::read_write::<Buffer>(b'V', 17) }, Buffer> = Call(PhantomData);
pub const G_PARM: Call<{ opcode::read_write::<StreamParameters>(b'V', 21) }, StreamParameters> = Call(PhantomData);
pub const S_PARM: Call<{ opcode::read_write::<StreamParameters>(b'V', 22) }, StreamParameters> = Call(PhantomData);
pub const QUERYMENU: Call<{ opcode::read_write::<QueryMenu>(b'V', 37) }, QueryMenu> = Call(PhantomData);
pub const ENUM_FRAMESIZES: Call<{ opcode::read_write::<FrameSizes>(b'V', 74) }, FrameSizes> = Call(PhantomData);
pub const ENUM_FRAMEINTERVALS: Call<{ opcode::read_write::<FrameIntervals>(b'V', 75) }, FrameIntervals> =
    Call(PhantomData);
pub const QUERY_EXT_CTRL: Call<{ opcode::read_write::<QueryControl>(b'V', 103) }, QueryControl> = Call(PhantomData);

const STREAMON: Opcode = opcode::write::<c_int>(b'V', 18);
const STREAMOFF: Opcode = opcode::write::<c_int>(b'V', 19);
const G_EXT_CTRLS: Opcode = opcode::read_write::<ExtendedControls>(b'V', 71);
const S_EXT_CTRLS: Opcode = opcode::read_write::<ExtendedControls>(b'V', 72);

/// Calls until no signal comes between.
fn uninterrupted(mut call: impl FnMut() -> Result<(), Errno>) -> Result<(), Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

impl<const NUMBER: Opcode, T: Copy> Call<NUMBER, T> {
    /// Makes the call.
    pub fn on(&self, device: BorrowedFd<'_>, value: &mut T) -> Result<(), Errno> {
        uninterrupted(|| {
            // SAFETY: number and structure stand together in the constants above and agree with the kernel's header
            // (tested below); the number holds the structure's size, beyond which the kernel does not write. All
            // fields are integers, so whatever it writes is a value. None of these structures can carry a pointer
            // that it would follow: formats and buffers are of the kinds without one, and those fields are private.
            unsafe { ioctl(device, Updater::<NUMBER, T>::new(value)) }
        })
    }
}

/// Starts or stops the stream.
pub fn stream(device: BorrowedFd<'_>, on: bool) -> Result<(), Errno> {
    let kind = CAPTURE as c_int;
    uninterrupted(|| {
        // SAFETY: both calls read one int, the kind of the queue, and write nothing.
        unsafe {
            match on {
                true => ioctl(device, Setter::<STREAMON, c_int>::new(kind)),
                false => ioctl(device, Setter::<STREAMOFF, c_int>::new(kind)),
            }
        }
    })
}

/// Reads (`value` none) or writes a control that is a number. Returns its value, as the driver took it.
pub fn control(device: BorrowedFd<'_>, id: u32, wide: bool, value: Option<i64>) -> Result<i64, Errno> {
    let mut one = ExtendedControl { id, size: 0, reserved2: 0, value: [0; 8] };
    match value {
        Some(value) if wide => one.value = value.to_ne_bytes(),
        Some(value) => one.value[..4].copy_from_slice(&(value as i32).to_ne_bytes()),
        None => {}
    }
    uninterrupted(|| {
        let mut list =
            ExtendedControls { which: 0, count: 1, error_idx: 0, request_fd: 0, reserved: 0, controls: &raw mut one };
        // SAFETY: the call reads and writes the list and, through its pointer, `count` controls: one, which lives
        // longer than the call and is not used beside it. Its size of 0 says that it holds no pointer; a control of
        // another type is refused by the kernel.
        unsafe {
            match value {
                Some(_) => ioctl(device, Updater::<S_EXT_CTRLS, ExtendedControls>::new(&mut list)),
                None => ioctl(device, Updater::<G_EXT_CTRLS, ExtendedControls>::new(&mut list)),
            }
        }
    })?;
    let bytes = one.value;
    Ok(match wide {
        true => i64::from_ne_bytes(bytes),
        false => i64::from(i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
    })
}

/// Text of a field that a zero ends.
pub fn text(field: &[u8]) -> String {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fmt::Write as _,
        mem::{offset_of, size_of},
        process::Command,
    };

    /// What C and Rust say, under one name: an expression of C and our number.
    fn facts() -> Vec<(String, u64)> {
        let mut facts = Vec::new();
        macro_rules! structure {
            ($rust:ty, $c:literal $(, $($rust_field:ident).+ = $c_field:literal)*) => {
                facts.push((format!("sizeof(struct {})", $c), size_of::<$rust>() as u64));
                $(facts.push((
                    format!("offsetof(struct {}, {})", $c, $c_field),
                    offset_of!($rust, $($rust_field).+) as u64,
                ));)*
            };
        }
        structure!(
            Capability,
            "v4l2_capability",
            card = "card",
            bus_info = "bus_info",
            capabilities = "capabilities",
            device_caps = "device_caps"
        );
        structure!(
            FormatDescription,
            "v4l2_fmtdesc",
            kind = "type",
            flags = "flags",
            description = "description",
            pixelformat = "pixelformat"
        );
        structure!(FrameSizes, "v4l2_frmsizeenum", pixel_format = "pixel_format", kind = "type", sizes = "discrete");
        structure!(
            FrameIntervals,
            "v4l2_frmivalenum",
            width = "width",
            height = "height",
            kind = "type",
            intervals = "discrete"
        );
        structure!(
            Format,
            "v4l2_format",
            kind = "type",
            pix.width = "fmt.pix.width",
            pix.height = "fmt.pix.height",
            pix.pixelformat = "fmt.pix.pixelformat",
            pix.field = "fmt.pix.field",
            pix.bytesperline = "fmt.pix.bytesperline",
            pix.sizeimage = "fmt.pix.sizeimage",
            pix.quantization = "fmt.pix.quantization"
        );
        structure!(RequestBuffers, "v4l2_requestbuffers", count = "count", kind = "type", memory = "memory");
        structure!(
            Buffer,
            "v4l2_buffer",
            index = "index",
            kind = "type",
            bytesused = "bytesused",
            flags = "flags",
            field = "field",
            timestamp = "timestamp",
            timecode = "timecode",
            sequence = "sequence",
            memory = "memory",
            offset = "m.offset",
            length = "length",
            request_fd = "request_fd"
        );
        structure!(
            StreamParameters,
            "v4l2_streamparm",
            kind = "type",
            capability = "parm.capture.capability",
            time_per_frame = "parm.capture.timeperframe",
            read_buffers = "parm.capture.readbuffers"
        );
        structure!(
            QueryControl,
            "v4l2_query_ext_ctrl",
            id = "id",
            kind = "type",
            name = "name",
            minimum = "minimum",
            maximum = "maximum",
            step = "step",
            default = "default_value",
            flags = "flags",
            elems = "elems"
        );
        structure!(QueryMenu, "v4l2_querymenu", id = "id", index = "index", name = "name");
        structure!(ExtendedControl, "v4l2_ext_control", id = "id", size = "size", value = "value64");
        structure!(ExtendedControls, "v4l2_ext_controls", which = "which", count = "count", controls = "controls");
        fn number<const N: Opcode, T>(_: Call<N, T>) -> u64 {
            N as u64
        }
        for (name, value) in [
            ("VIDIOC_QUERYCAP", number(QUERYCAP)),
            ("VIDIOC_ENUM_FMT", number(ENUM_FMT)),
            ("VIDIOC_G_FMT", number(G_FMT)),
            ("VIDIOC_S_FMT", number(S_FMT)),
            ("VIDIOC_REQBUFS", number(REQBUFS)),
            ("VIDIOC_QUERYBUF", number(QUERYBUF)),
            ("VIDIOC_QBUF", number(QBUF)),
            ("VIDIOC_DQBUF", number(DQBUF)),
            ("VIDIOC_G_PARM", number(G_PARM)),
            ("VIDIOC_S_PARM", number(S_PARM)),
            ("VIDIOC_QUERYMENU", number(QUERYMENU)),
            ("VIDIOC_ENUM_FRAMESIZES", number(ENUM_FRAMESIZES)),
            ("VIDIOC_ENUM_FRAMEINTERVALS", number(ENUM_FRAMEINTERVALS)),
            ("VIDIOC_QUERY_EXT_CTRL", number(QUERY_EXT_CTRL)),
            ("VIDIOC_STREAMON", STREAMON as u64),
            ("VIDIOC_STREAMOFF", STREAMOFF as u64),
            ("VIDIOC_G_EXT_CTRLS", G_EXT_CTRLS as u64),
            ("VIDIOC_S_EXT_CTRLS", S_EXT_CTRLS as u64),
            ("V4L2_BUF_TYPE_VIDEO_CAPTURE", u64::from(CAPTURE)),
            ("V4L2_MEMORY_MMAP", u64::from(MEMORY_MMAP)),
            ("V4L2_FIELD_ANY", u64::from(FIELD_ANY)),
            ("V4L2_FIELD_NONE", u64::from(FIELD_NONE)),
            ("V4L2_FIELD_INTERLACED", u64::from(FIELD_INTERLACED)),
            ("V4L2_FIELD_INTERLACED_TB", u64::from(FIELD_INTERLACED_TB)),
            ("V4L2_FIELD_INTERLACED_BT", u64::from(FIELD_INTERLACED_BT)),
            ("V4L2_CAP_VIDEO_CAPTURE", u64::from(CAP_VIDEO_CAPTURE)),
            ("V4L2_CAP_VIDEO_CAPTURE_MPLANE", u64::from(CAP_VIDEO_CAPTURE_MPLANE)),
            ("V4L2_CAP_STREAMING", u64::from(CAP_STREAMING)),
            ("V4L2_CAP_DEVICE_CAPS", u64::from(CAP_DEVICE_CAPS)),
            ("V4L2_CAP_TIMEPERFRAME", u64::from(CAP_TIMEPERFRAME)),
            ("V4L2_FRMSIZE_TYPE_DISCRETE", u64::from(SIZE_DISCRETE)),
            ("V4L2_FRMIVAL_TYPE_DISCRETE", u64::from(RATE_DISCRETE)),
            ("V4L2_BUF_FLAG_ERROR", u64::from(BUF_FLAG_ERROR)),
            ("V4L2_BUF_FLAG_TIMESTAMP_MASK", u64::from(BUF_FLAG_TIMESTAMP_MASK)),
            ("V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC", u64::from(BUF_FLAG_TIMESTAMP_MONOTONIC)),
            ("V4L2_CTRL_FLAG_NEXT_CTRL", u64::from(CTRL_FLAG_NEXT_CTRL)),
            ("V4L2_CTRL_FLAG_DISABLED", u64::from(CTRL_FLAG_DISABLED)),
            ("V4L2_CTRL_FLAG_READ_ONLY", u64::from(CTRL_FLAG_READ_ONLY)),
            ("V4L2_CTRL_FLAG_INACTIVE", u64::from(CTRL_FLAG_INACTIVE)),
            ("V4L2_CTRL_FLAG_WRITE_ONLY", u64::from(CTRL_FLAG_WRITE_ONLY)),
            ("V4L2_CTRL_TYPE_INTEGER", u64::from(CTRL_INTEGER)),
            ("V4L2_CTRL_TYPE_BOOLEAN", u64::from(CTRL_BOOLEAN)),
            ("V4L2_CTRL_TYPE_MENU", u64::from(CTRL_MENU)),
            ("V4L2_CTRL_TYPE_BUTTON", u64::from(CTRL_BUTTON)),
            ("V4L2_CTRL_TYPE_INTEGER64", u64::from(CTRL_INTEGER64)),
            ("V4L2_CTRL_TYPE_BITMASK", u64::from(CTRL_BITMASK)),
            ("V4L2_CTRL_TYPE_INTEGER_MENU", u64::from(CTRL_INTEGER_MENU)),
        ] {
            facts.push((name.to_owned(), value));
        }
        facts
    }

    #[test]
    fn structures_and_numbers_are_those_of_the_kernels_header() {
        if !std::path::Path::new("/usr/include/linux/videodev2.h").exists() || Command::new("cc").output().is_err() {
            eprintln!("left out: no linux/videodev2.h or no cc");
            return;
        }
        let facts = facts();
        let mut program =
            String::from("#include <stddef.h>\n#include <stdio.h>\n#include <linux/videodev2.h>\nint main(void) {\n");
        for (expression, _) in &facts {
            let _ = writeln!(program, "printf(\"%llu\\n\", (unsigned long long)({expression}));");
        }
        program.push_str("return 0; }\n");
        let folder = tempfile::tempdir().unwrap();
        let (source, binary) = (folder.path().join("facts.c"), folder.path().join("facts"));
        std::fs::write(&source, program).unwrap();
        let built = Command::new("cc").arg("-o").arg(&binary).arg(&source).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let said = String::from_utf8(Command::new(&binary).output().unwrap().stdout).unwrap();
        let found: Vec<(String, u64)> =
            facts.iter().zip(said.lines()).map(|((name, _), line)| (name.clone(), line.parse().unwrap())).collect();
        assert_eq!(facts, found);
    }
}
