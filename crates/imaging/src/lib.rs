//! Pixels to pixels, masks and shapes. Pure functions with scratch buffers handed in: what holds a buffer grows it on
//! first use and keeps it, so a camera's second frame of a size allocates nothing.
//!
//! Data flow: [`GrayImage::read_frame`] -> [`Preparer`] (polarity, even light, fixed background) -> [`Segmenter`]
//! (threshold, components, kinds, split clumps) -> [`Separator`] (one chromosome in a box) -> [`MedialAxis`] (length,
//! width, straightened picture). Grey levels of a prepared plane mean the same for every stain: chromosomes are dark on
//! [`BACKGROUND`].
//!
//! From a detector's boxes: [`Crop`] -> [`ChromosomeMask`] (the chromosome without its surroundings; [`isolate()`] without
//! its neighbours, too) -> [`ChromosomeProfile`] (length, bands and widths along its axis). Where a network has drawn outlines,
//! [`Contours`] makes lines of its maps, [`Crop::within`] takes them as the mask, and [`lies()`] and [`leftover()`] look at all of a
//! cell's [`Cutout`]s together.

mod axis;
mod background;
mod chromosome;
mod codec;
mod components;
mod contour;
mod cutout;
mod distance;
mod edge;
mod filter;
mod flat;
mod focus;
mod grey;
mod histogram;
mod isolate;
mod light;
mod mosaic;
mod object;
mod overlay;
mod plane;
mod prepare;
mod profile;
mod raw;
mod region;
mod resample;
mod row_line;
mod segment;
mod separate;
mod shape;
mod simd;
mod single;
mod skeleton;
mod split;
mod threshold;
mod waist;

pub use axis::{AxisScratch, MedialAxis};
pub use background::{Background, BackgroundScratch};
pub use chromosome::{ChromosomeMask, Crop};
pub use codec::{jpeg_of, picture_decoder, png_of};
pub use components::{Components, Run};
pub use contour::{Contours, fill_rings, ring_area, ring_corners, simplified};
pub use cutout::{Cutout, Lie, leftover, lies};
pub use distance::{DistanceScratch, squared_distance};
pub use edge::{EdgeStretch, ObjectLevels, Outline, Side, edge_stretches};
pub use filter::{FilterScratch, binomial3, median3};
pub use flat::{FlatField, FlatFieldError, FlatFieldRecorder};
pub use focus::{EdgeWidths, focus_score, sharpness};
pub use grey::{full_range, grey_part, luma, luma_row, luma16, stretched};
pub use histogram::Histogram;
pub use isolate::isolate;
pub use light::LightLevels;
pub use mosaic::Demosaic;
pub use object::{OBJECT_FEATURES, ObjectJudge};
pub use overlay::{draw_box, draw_mask_outline, to_rgb};
pub use plane::{GrayImage, GrayView, ImagingError, Rect};
pub use prepare::{BACKGROUND, Denoise, Exposure, Polarity, PrepareOptions, Prepared, Preparer, burnt_in_number};
pub use profile::{ChromosomeProfile, PROFILE_SAMPLES, standardise};
pub use raw::{RawError, RawFrame, RawLayout};
pub use region::{Region, RegionKind, Segmentation};
pub use resample::{crop, downscale, rotate, scale_to};
pub use segment::{SegmentOptions, Segmenter, chromosome_width};
pub use separate::{Separated, Separator};
pub use shape::{Shape, ShapeScratch};
pub use single::{ObjectProbabilities, features};
pub use skeleton::{SkeletonScratch, thin};
pub use threshold::threshold;
pub use waist::{Waist, Widths};
