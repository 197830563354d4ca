//! The kernels and their parameters, field by field as in kernels/common.cuh.

/// The kernels, in the order of kernels/host.cpp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Kernel {
    GreyPlane,
    GroundTable,
    Letterbox,
    GatherAnswers,
    SortAnswers,
    DecodeBoxes,
    SuppressBoxes,
    LendClasses,
    CutCrops,
}

impl Kernel {
    #[cfg_attr(not(feature = "gpu"), allow(dead_code))]
    pub(crate) const NAMES: [&'static str; 9] = [
        "grey_plane",
        "ground_table",
        "letterbox",
        "gather_answers",
        "sort_answers",
        "decode_boxes",
        "suppress_boxes",
        "lend_classes",
        "cut_crops",
    ];
}

/// From a frame to the grey plane of a window, and to the table that brings its ground to a level.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Prepare {
    /// 0: 8-bit grey, 1: 16-bit grey, 2: 8-bit red, green, blue.
    pub format: u32,
    /// Pixels a row of the frame.
    pub frame_width: u32,
    /// First column of the window.
    pub left: u32,
    /// First row of the window.
    pub top: u32,
    /// Columns of the window.
    pub width: u32,
    /// Rows of the window.
    pub height: u32,
    /// Largest value of a 16-bit sample.
    pub white: u32,
    /// 1: bright becomes dark.
    pub invert: u32,
    /// 1: the ground is brought to `level`.
    pub has_background: u32,
    /// Share of the samples that do not exceed the ground, 0 to 1.
    pub percentile: f32,
    /// Level of the ground, 0 to 255.
    pub level: f32,
}

/// From the plane to a network's input, padded right and below.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Letterbox {
    /// Columns of the plane.
    pub from_width: u32,
    /// Rows of the plane.
    pub from_height: u32,
    /// Columns of the picture in the input.
    pub to_width: u32,
    /// Rows of the picture in the input.
    pub to_height: u32,
    /// Columns of the input.
    pub stride: u32,
    /// Rows of the input.
    pub rows: u32,
    /// Channels, all alike.
    pub channels: u32,
    /// A value is `(grey/255 - mean) / std`.
    pub mean: f32,
    /// A value is `(grey/255 - mean) / std`.
    pub std: f32,
    /// Grey level of the padding.
    pub pad: f32,
}

/// From a detector's map to one record a chromosome.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Decode {
    /// Rows of the map.
    pub rows: u32,
    /// Columns of the map.
    pub columns: u32,
    /// Input pixels a cell of the map.
    pub stride: u32,
    /// Class channels.
    pub classes: u32,
    /// Channels in all.
    pub channels: u32,
    /// Channel of the score.
    pub score_channel: u32,
    /// Answers that go on to suppression.
    pub most: u32,
    /// Least logit of the score.
    pub least: f32,
    /// Class logits are divided by this.
    pub class_temperature: f32,
    /// Plane pixels for an input pixel, across.
    pub back_x: f32,
    /// Plane pixels for an input pixel, down.
    pub back_y: f32,
    /// Columns of the plane.
    pub width: f32,
    /// Rows of the plane.
    pub height: f32,
    /// Column of the frame at which the plane begins.
    pub left: f32,
    /// Row of the frame at which the plane begins.
    pub top: f32,
    /// A box falls to a better one of any class above this overlap.
    pub iou: f32,
    /// A box falls to a better one of its class above this overlap.
    pub same_class_iou: f32,
    /// What falls at this overlap or above lends its classes; below 0: nothing does.
    pub average_iou: f32,
    /// Class of each class channel, 0 to 23.
    pub class_index: [u8; 32],
}

/// What all crops of a batch share.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Crops {
    /// Pixels a side of a crop.
    pub side: u32,
    /// Samples a pixel and axis.
    pub supersample: u32,
    /// Channels; the second is the mask, or the picture again.
    pub channels: u32,
    /// 1: further channels are 1 inside the box; 0: they repeat the picture.
    pub mask_box: u32,
    /// Grey level outside the plane, 0 to 255.
    pub pad: u32,
    /// Columns of the plane.
    pub width: u32,
    /// Rows of the plane.
    pub height: u32,
    /// A value is `(grey/255 - mean) / std`.
    pub mean: f32,
    /// A value is `(grey/255 - mean) / std`.
    pub std: f32,
}

/// One chromosome to cut out, in pixels of the plane.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Crop {
    /// Column of the middle.
    pub x: f32,
    /// Row of the middle.
    pub y: f32,
    /// Side of the square around it.
    pub square: f32,
    /// Half the width of the box.
    pub half_width: f32,
    /// Half the height of the box.
    pub half_height: f32,
    /// 1, or -1 for a crop turned by 180 degrees.
    pub turn: f32,
    /// Of the finished crop: bit 0 mirrors left and right, bit 1 top and bottom, bit 2 transposes after that.
    pub orientation: u32,
}

/// One chromosome that the detector found.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C)]
pub struct Record {
    /// Column of its left edge in the frame.
    pub x: f32,
    /// Row of its upper edge in the frame.
    pub y: f32,
    /// Columns.
    pub width: f32,
    /// Rows.
    pub height: f32,
    /// Score, 0 to 1.
    pub score: f32,
    /// Natural logarithms of the class probabilities; zeros where the detector knows no classes.
    pub log_probs: [f32; 24],
}

/// Values that are nothing but their bytes.
///
/// # Safety
/// Every bit pattern is a value, and there is no padding.
pub unsafe trait Plain: Copy {}
// SAFETY: numbers, and structures of 4-byte numbers (class_index is 32 bytes long).
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u16 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as above.
unsafe impl Plain for f32 {}
// SAFETY: as above.
unsafe impl Plain for Crop {}
// SAFETY: as above.
unsafe impl Plain for Record {}
