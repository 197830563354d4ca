//! Which formats of Video4Linux are read, and how.

use super::super::reading::Reading;
use domain::frame::Bayer;
use imaging::RawLayout;
use metaphased_v4l2::FourCc;

/// How frames of `code` are read; none when they are not.
pub(super) fn reading(code: FourCc) -> Option<Reading> {
    use RawLayout::{Bgr8, Grey8, LumaFirst, LumaSecond, Packed10, Packed12, Packed14, Rgb8, Stream10};
    const BIG_ENDIAN: u8 = b' ' | 0x80;
    let grey = |bits| RawLayout::Grey16 { bits, big_endian: false };
    let layout = match &code.0 {
        b"GREY" => Grey8,
        b"Y10 " => grey(10),
        b"Y12 " => grey(12),
        b"Y14 " => grey(14),
        b"Y16 " => grey(16),
        [b'Y', b'1', b'6', BIG_ENDIAN] => RawLayout::Grey16 { bits: 16, big_endian: true },
        b"Y10P" => Packed10,
        b"Y12P" => Packed12,
        b"Y14P" => Packed14,
        b"Y10B" => Stream10,
        b"YUYV" | b"YVYU" => return Some(Reading::Luma(LumaFirst)),
        b"UYVY" | b"VYUY" => return Some(Reading::Luma(LumaSecond)),
        // Their first plane is luma at every pixel.
        b"NV12" | b"NV21" | b"NV16" | b"NV61" | b"YU12" | b"YV12" | b"422P" => return Some(Reading::Luma(Grey8)),
        b"RGB3" => Rgb8,
        b"BGR3" => Bgr8,
        b"MJPG" | b"JPEG" => return Some(Reading::Jpeg),
        other => return bayer(other),
    };
    Some(Reading::Raw(layout, None))
}

/// Samples behind a Bayer filter. The kernel's names follow no rule, so they stand here one by one.
fn bayer(code: &[u8; 4]) -> Option<Reading> {
    use RawLayout::{Grey8, Packed10, Packed12, Packed14};
    let grey = |bits| RawLayout::Grey16 { bits, big_endian: false };
    // BGGR, GBRG, GRBG, RGGB
    let names: [(RawLayout, [&[u8; 4]; 4]); 8] = [
        (Grey8, [b"BA81", b"GBRG", b"GRBG", b"RGGB"]),
        (grey(10), [b"BG10", b"GB10", b"BA10", b"RG10"]),
        (grey(12), [b"BG12", b"GB12", b"BA12", b"RG12"]),
        (grey(14), [b"BG14", b"GB14", b"GR14", b"RG14"]),
        (grey(16), [b"BYR2", b"GB16", b"GR16", b"RG16"]),
        (Packed10, [b"pBAA", b"pGAA", b"pgAA", b"pRAA"]),
        (Packed12, [b"pBCC", b"pGCC", b"pgCC", b"pRCC"]),
        (Packed14, [b"pBEE", b"pGEE", b"pgEE", b"pREE"]),
    ];
    const PATTERNS: [Bayer; 4] = [Bayer::Bggr, Bayer::Gbrg, Bayer::Grbg, Bayer::Rggb];
    names.into_iter().find_map(|(layout, codes)| {
        let which = codes.iter().position(|known| *known == code)?;
        Some(Reading::Raw(layout, Some(PATTERNS[which])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Reading {
        reading(name.parse().expect("a name")).unwrap_or_else(|| panic!("{name} is read"))
    }

    #[test]
    fn names_of_the_kernel_lead_to_their_layout_and_pattern() {
        assert_eq!(of("Y12"), Reading::Raw(RawLayout::Grey16 { bits: 12, big_endian: false }, None));
        assert_eq!(of("Y16-BE"), Reading::Raw(RawLayout::Grey16 { bits: 16, big_endian: true }, None));
        // The two that the kernel named unlike the others.
        assert_eq!(of("BA81"), Reading::Raw(RawLayout::Grey8, Some(Bayer::Bggr)));
        assert_eq!(of("BA10"), Reading::Raw(RawLayout::Grey16 { bits: 10, big_endian: false }, Some(Bayer::Grbg)));
        assert_eq!(of("pgCC"), Reading::Raw(RawLayout::Packed12, Some(Bayer::Grbg)));
        assert_eq!(of("MJPG"), Reading::Jpeg);
        for name in ["H264", "NM12", "YUV9", "Z16"] {
            assert_eq!(reading(name.parse().expect("a name")), None, "{name}");
        }
    }

    #[test]
    fn deep_grey_comes_first_and_jpeg_last() {
        let order = ["Y16", "Y16-BE", "Y12", "Y12P", "Y10", "GREY", "RG16", "RGGB", "NV12", "RGB3", "MJPG"];
        let ranks: Vec<u32> = order.iter().map(|name| of(name).rank()).collect();
        assert!(ranks.windows(2).all(|pair| pair[0] > pair[1]), "{ranks:?}");
        assert_eq!(of("NV12").rank(), of("YUYV").rank(), "luma is luma, however it lies");
    }
}
