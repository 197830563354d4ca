//! What OME-TIFF says about its planes (Open Microscopy Environment, OME-XML 2016-06).

use quick_xml::{Reader, events::BytesStart, events::Event};

use domain::StagePosition;

/// What the file says about one of its pages.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OmePlane {
    /// Pixel size in micrometres.
    pub um_per_px: Option<f64>,
    /// Stage position in micrometres.
    pub stage_um: Option<StagePosition>,
    /// Name of the channel.
    pub channel: Option<String>,
}

/// The part of an OME-XML document that a microscope's frame needs.
#[derive(Debug, Clone, Default)]
pub(super) struct Ome {
    um_per_px: Option<f64>,
    channels: Vec<String>,
    order: String,
    sizes: [usize; 3],
    positions: Vec<((usize, usize, usize), StagePosition)>,
}

impl Ome {
    /// Reads OME-XML; none when the text is something else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if !text.contains("<OME") {
            return None;
        }
        let mut ome = Self { sizes: [1, 1, 1], ..Self::default() };
        let mut reader = Reader::from_str(text);
        let mut images = 0;
        loop {
            match reader.read_event() {
                Ok(Event::Start(e) | Event::Empty(e)) => match e.local_name().as_ref() {
                    "Image" => images += 1,
                    // Only the first image series belongs to the file's pages.
                    _ if images > 1 => {}
                    "Pixels" => ome.pixels(&e),
                    "Channel" => ome.channels.push(text_of(&e, "Name").unwrap_or_default()),
                    "Plane" => ome.add_plane(&e),
                    _ => {}
                },
                Ok(Event::Eof) => break,
                Ok(_) => {}
                // A broken description is no reason to refuse the pixels.
                Err(_) => break,
            }
        }
        Some(ome)
    }

    fn pixels(&mut self, e: &BytesStart<'_>) {
        let unit = text_of(e, "PhysicalSizeXUnit");
        self.um_per_px = number(e, "PhysicalSizeX").and_then(|v| in_um(v, unit.as_deref())).filter(|v| *v > 0.0);
        self.order = text_of(e, "DimensionOrder").unwrap_or_else(|| "XYCZT".into());
        for (size, name) in self.sizes.iter_mut().zip(["SizeC", "SizeZ", "SizeT"]) {
            *size = number(e, name).map_or(1, |v| (v as usize).max(1));
        }
    }

    fn add_plane(&mut self, e: &BytesStart<'_>) {
        let place = ["TheC", "TheZ", "TheT"].map(|name| number(e, name).map_or(0, |v| v.max(0.0) as usize));
        let coordinate = |axis: &str| {
            let unit = text_of(e, &format!("Position{axis}Unit"));
            number(e, &format!("Position{axis}")).and_then(|v| in_um(v, unit.as_deref()))
        };
        if let (Some(x), Some(y)) = (coordinate("X"), coordinate("Y")) {
            let z = coordinate("Z").unwrap_or(0.0);
            self.positions.push(((place[0], place[1], place[2]), StagePosition { x, y, z }));
        }
    }

    /// What is known of the page `page`, from 0.
    pub(super) fn plane(&self, page: usize) -> OmePlane {
        let mut rest = page;
        let mut place = [0usize; 3];
        for axis in self.order.chars().skip(2) {
            let which = match axis {
                'C' => 0,
                'Z' => 1,
                'T' => 2,
                _ => continue,
            };
            place[which] = rest % self.sizes[which];
            rest /= self.sizes[which];
        }
        let stage_um = self.positions.iter().find(|(p, _)| *p == (place[0], place[1], place[2])).map(|(_, s)| *s);
        let channel = self.channels.get(place[0]).filter(|name| !name.is_empty()).cloned();
        OmePlane { um_per_px: self.um_per_px, stage_um, channel }
    }
}

fn text_of(e: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = e.try_get_attribute(name).ok().flatten()?;
    Some(attribute.value.to_string())
}

fn number(e: &BytesStart<'_>, name: &str) -> Option<f64> {
    text_of(e, name)?.trim().parse().ok().filter(|v: &f64| v.is_finite())
}

/// Lengths in OME-XML are in micrometres unless a unit says otherwise.
fn in_um(value: f64, unit: Option<&str>) -> Option<f64> {
    Some(match unit {
        None | Some("\u{b5}m" | "\u{3bc}m" | "um" | "reference frame" | "&#181;m") => value,
        Some("nm") => value / 1e3,
        Some("mm") => value * 1e3,
        Some("cm") => value * 1e4,
        Some("m") => value * 1e6,
        Some(_) => return None,
    })
}
