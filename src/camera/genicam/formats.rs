//! Which formats of GenICam's naming convention (PFNC) are read, and how.

use super::super::reading::Reading;
use domain::frame::Bayer;
use imaging::RawLayout;

/// A format of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    /// Its name, as the feature `PixelFormat` has it.
    pub name: &'static str,
    /// Its code, as every frame has it.
    pub code: u32,
    /// How its frames are read.
    pub reading: Reading,
}

/// The format of this name; none when it is not read.
pub(super) fn named(name: &str) -> Option<Format> {
    all().find(|format| format.name == name)
}

/// All that are read.
pub(super) fn all() -> impl Iterator<Item = Format> {
    use RawLayout::{Bgr8, Gige10, Gige12, Grey8, Lsb10, Lsb12, Lsb14, LumaFirst, LumaSecond, Rgb8};
    const fn grey(bits: u8) -> RawLayout {
        RawLayout::Grey16 { bits, big_endian: false }
    }
    const OTHERS: [(&str, u32, Reading); 17] = [
        ("Mono8", 0x0108_0001, Reading::Raw(Grey8, None)),
        ("Mono10", 0x0110_0003, Reading::Raw(grey(10), None)),
        ("Mono12", 0x0110_0005, Reading::Raw(grey(12), None)),
        ("Mono14", 0x0110_0025, Reading::Raw(grey(14), None)),
        ("Mono16", 0x0110_0007, Reading::Raw(grey(16), None)),
        ("Mono10p", 0x010a_0046, Reading::Raw(Lsb10, None)),
        ("Mono12p", 0x010c_0047, Reading::Raw(Lsb12, None)),
        ("Mono14p", 0x010e_0104, Reading::Raw(Lsb14, None)),
        ("Mono10Packed", 0x010c_0004, Reading::Raw(Gige10, None)),
        ("Mono12Packed", 0x010c_0006, Reading::Raw(Gige12, None)),
        ("RGB8", 0x0218_0014, Reading::Raw(Rgb8, None)),
        ("RGB8Packed", 0x0218_0014, Reading::Raw(Rgb8, None)),
        ("BGR8", 0x0218_0015, Reading::Raw(Bgr8, None)),
        ("BGR8Packed", 0x0218_0015, Reading::Raw(Bgr8, None)),
        ("YUV422_8", 0x0210_0032, Reading::Luma(LumaFirst)),
        ("YUV422_8_UYVY", 0x0210_001f, Reading::Luma(LumaSecond)),
        ("YUV422Packed", 0x0210_001f, Reading::Luma(LumaSecond)),
    ];
    const ORDERS: [Bayer; 4] = [Bayer::Grbg, Bayer::Rggb, Bayer::Gbrg, Bayer::Bggr];
    type Four = [(&'static str, u32); 4];
    const BAYER: [(RawLayout, Four); 8] = [
        (
            Grey8,
            [
                ("BayerGR8", 0x0108_0008),
                ("BayerRG8", 0x0108_0009),
                ("BayerGB8", 0x0108_000a),
                ("BayerBG8", 0x0108_000b),
            ],
        ),
        (
            grey(10),
            [
                ("BayerGR10", 0x0110_000c),
                ("BayerRG10", 0x0110_000d),
                ("BayerGB10", 0x0110_000e),
                ("BayerBG10", 0x0110_000f),
            ],
        ),
        (
            grey(12),
            [
                ("BayerGR12", 0x0110_0010),
                ("BayerRG12", 0x0110_0011),
                ("BayerGB12", 0x0110_0012),
                ("BayerBG12", 0x0110_0013),
            ],
        ),
        (
            grey(16),
            [
                ("BayerGR16", 0x0110_002e),
                ("BayerRG16", 0x0110_002f),
                ("BayerGB16", 0x0110_0030),
                ("BayerBG16", 0x0110_0031),
            ],
        ),
        (
            Lsb10,
            [
                ("BayerGR10p", 0x010a_0056),
                ("BayerRG10p", 0x010a_0058),
                ("BayerGB10p", 0x010a_0054),
                ("BayerBG10p", 0x010a_0052),
            ],
        ),
        (
            Lsb12,
            [
                ("BayerGR12p", 0x010c_0057),
                ("BayerRG12p", 0x010c_0059),
                ("BayerGB12p", 0x010c_0055),
                ("BayerBG12p", 0x010c_0053),
            ],
        ),
        (
            Gige10,
            [
                ("BayerGR10Packed", 0x010c_0026),
                ("BayerRG10Packed", 0x010c_0027),
                ("BayerGB10Packed", 0x010c_0028),
                ("BayerBG10Packed", 0x010c_0029),
            ],
        ),
        (
            Gige12,
            [
                ("BayerGR12Packed", 0x010c_002a),
                ("BayerRG12Packed", 0x010c_002b),
                ("BayerGB12Packed", 0x010c_002c),
                ("BayerBG12Packed", 0x010c_002d),
            ],
        ),
    ];
    let bayer = BAYER.into_iter().flat_map(|(layout, names)| {
        let with = move |((name, code), order)| (name, code, Reading::Raw(layout, Some(order)));
        names.into_iter().zip(ORDERS).map(with)
    });
    OTHERS.into_iter().chain(bayer).map(|(name, code, reading)| Format { name, code, reading })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits of a pixel are part of its code.
    #[test]
    fn every_code_has_the_bits_of_its_layout() {
        for Format { name, code, reading } in all() {
            let (Reading::Raw(layout, _) | Reading::Luma(layout)) = reading else { panic!("{name}") };
            let bits = (code >> 16 & 0xff) as usize;
            assert_eq!(layout.row_bytes(8) * 8, 8 * bits, "{name}");
        }
    }

    #[test]
    fn codes_are_those_of_the_headers() {
        let Ok(header) = std::fs::read_to_string("/usr/include/aravis-0.8/arvenums.h") else {
            eprintln!("SKIPPED: the headers of Aravis are not here (apt-get install libaravis-dev)");
            return;
        };
        // ARV_PIXEL_FORMAT_BAYER_GR_12_PACKED is BayerGR12Packed.
        let header = header.to_ascii_lowercase().replace('_', "");
        let mut held = 0;
        for Format { name, code, .. } in all() {
            let name = name.to_ascii_lowercase();
            let Some(at) = header.find(&format!("arvpixelformat{name}\t")) else { continue };
            let line = header[at..].lines().next().unwrap_or_default();
            assert!(line.contains(&format!("0x{code:08x}u")), "{name}: {line}");
            held += 1;
        }
        assert!(held >= 35, "{held}");
    }
}
