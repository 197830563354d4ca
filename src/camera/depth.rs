//! How many bits of a 16-bit sample carry signal, where the file does not say it.

use super::files::Page;
use domain::frame::{PixelFormat, PixelView, Pixels};

/// Depths that cameras have, in bits.
const DEPTHS: [u8; 4] = [10, 12, 14, 16];

/// The depth of a source's undeclared 16-bit samples: measured over its first frame and kept, so that no frame changes
/// the grey of another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MeasuredDepth(Option<u8>);

/// A sample was beyond the depth kept until now: frames before it were read as too bright.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raised {
    /// Bits until now.
    pub from: u8,
    /// Bits from now on.
    pub to: u8,
}

impl MeasuredDepth {
    /// Gives the page its depth, unless its file declares one or its samples have 8 bits.
    pub fn apply(&mut self, page: &mut Page) -> Option<Raised> {
        if page.pixels.format() != PixelFormat::Mono16 || page.facts.declared_bits.is_some() {
            return None;
        }
        self.measure(&mut page.pixels)
    }

    /// Gives 16-bit samples of unknown depth their depth.
    pub fn measure(&mut self, pixels: &mut Pixels) -> Option<Raised> {
        let PixelView::Mono16(samples) = pixels.view() else { return None };
        let found = depth_of(samples.iter().copied().max().unwrap_or(0));
        let bits = self.0.map_or(found, |kept| kept.max(found));
        pixels.set_valid_bits(bits);
        let before = self.0.replace(bits);
        before.filter(|before| *before < bits).map(|from| Raised { from, to: bits })
    }
}

fn depth_of(largest: u16) -> u8 {
    let needed = 16 - largest.leading_zeros() as u8;
    DEPTHS.into_iter().find(|depth| *depth >= needed).unwrap_or(16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::camera::files::PageFacts;
    use domain::frame::PixelBuffer;

    fn page(largest: u16, declared_bits: Option<u8>) -> Page {
        let buffer = PixelBuffer::from_words(&[0, largest]);
        let pixels = Pixels::new(buffer, PixelFormat::Mono16, 2, 1, declared_bits.unwrap_or(16)).expect("it fits");
        Page { pixels, facts: PageFacts { declared_bits, ..PageFacts::default() } }
    }

    #[test]
    fn the_smallest_depth_that_holds_the_first_frame_is_kept() {
        for (largest, bits) in [(0, 10), (1023, 10), (1024, 12), (4095, 12), (16_383, 14), (16_384, 16)] {
            let mut depth = MeasuredDepth::default();
            let mut first = page(largest, None);
            assert_eq!(depth.apply(&mut first), None);
            assert_eq!(first.pixels.valid_bits(), bits, "{largest}");
            let mut darker = page(largest / 8, None);
            assert_eq!(depth.apply(&mut darker), None);
            assert_eq!(darker.pixels.valid_bits(), bits, "a darker frame keeps the grey of the others");
        }
    }

    #[test]
    fn a_sample_beyond_the_depth_raises_it_once() {
        let mut depth = MeasuredDepth::default();
        depth.apply(&mut page(900, None));
        assert_eq!(depth.apply(&mut page(3000, None)), Some(Raised { from: 10, to: 12 }));
        assert_eq!(depth.apply(&mut page(3000, None)), None);
        let mut dark = page(5, None);
        depth.apply(&mut dark);
        assert_eq!(dark.pixels.valid_bits(), 12);
    }

    #[test]
    fn what_the_file_declares_is_not_measured() {
        let mut depth = MeasuredDepth::default();
        let mut declared = page(900, Some(14));
        depth.apply(&mut declared);
        assert_eq!((declared.pixels.valid_bits(), depth), (14, MeasuredDepth::default()));
    }
}
