//! What OME-TIFF says about its pages (Open Microscopy Environment, OME-XML 2016-06): which page shows which image,
//! channel, focus and time, where the stage was, how large a pixel is. What cannot be mapped is left out, never guessed.

use std::collections::HashMap;

use quick_xml::{Reader, XmlVersion, events::BytesStart, events::Event};

use domain::StagePosition;

use super::PageFacts;

/// Channel, focus, time.
type Place = [usize; 3];

/// Axes in the order of [`Place`].
const AXES: [char; 3] = ['C', 'Z', 'T'];

/// One image of the document: the planes of one position.
#[derive(Debug, Default)]
struct Image {
    um_per_px: Option<f64>,
    significant_bits: Option<u8>,
    channels: Vec<Option<String>>,
    /// Axes from the fastest to the slowest.
    order: Vec<usize>,
    sizes: Place,
    positions: HashMap<Place, StagePosition>,
    /// Where the whole image was taken; counts where a plane has no position of its own.
    label: Option<StagePosition>,
    data: Vec<Data>,
}

/// One `TiffData`: a run of directories and the planes that they show.
#[derive(Debug, Default)]
struct Data {
    ifd: Option<usize>,
    first: Place,
    planes: Option<usize>,
    /// The file that holds them, where one is named, and its identity.
    file: Option<String>,
    uuid: Option<String>,
}

/// The part of an OME-XML document that a microscope's frame needs.
#[derive(Debug, Default)]
pub(super) struct Ome {
    uuid: Option<String>,
    images: Vec<Image>,
    /// A companion file that holds the document in place of this one.
    pub(super) companion: Option<String>,
}

impl Ome {
    /// Reads OME-XML; none when the text is something else. What stands behind a broken place is left out.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader::from_str(text);
        let mut ome = None;
        loop {
            match reader.read_event() {
                Ok(Event::Start(e) | Event::Empty(e)) => match (&mut ome, e.local_name().as_ref()) {
                    (None, "OME") => ome = Some(Self { uuid: text_of(&e, "UUID"), ..Self::default() }),
                    // The root of an OME document is OME, whatever its prefix.
                    (None, _) => return None,
                    (Some(ome), name) => ome.element(name, &e),
                },
                Ok(Event::Text(name)) => {
                    // The text of a UUID element is the identity of the file that it names.
                    let data = ome.as_mut().and_then(|ome: &mut Self| ome.images.last_mut()?.data.last_mut());
                    if let Some(data) = data.filter(|data| data.file.is_some() && data.uuid.is_none()) {
                        let text: &str = &name;
                        data.uuid = Some(text.trim().to_owned()).filter(|uuid| !uuid.is_empty());
                    }
                }
                Ok(Event::Eof) => return ome,
                Ok(_) => {}
                // A broken description is no reason to refuse the pixels.
                Err(_) => return ome,
            }
        }
    }

    fn element(&mut self, name: &str, e: &BytesStart<'_>) {
        if name == "BinaryOnly" {
            self.companion = text_of(e, "MetadataFile");
            return;
        }
        if name == "Image" {
            self.images.push(Image { sizes: [1; 3], ..Image::default() });
            return;
        }
        let Some(image) = self.images.last_mut() else { return };
        match name {
            "Pixels" => image.pixels(e),
            "Channel" => image.channels.push(text_of(e, "Name").filter(|name| !name.is_empty())),
            "Plane" => image.plane(e),
            "StageLabel" => image.label = position(e, ["X", "Y", "Z"]),
            "TiffData" => image.data.push(Data {
                ifd: whole(e, "IFD"),
                first: ["FirstC", "FirstZ", "FirstT"].map(|name| whole(e, name).unwrap_or(0)),
                planes: whole(e, "PlaneCount"),
                ..Data::default()
            }),
            "UUID" => {
                if let Some(data) = image.data.last_mut() {
                    data.file = text_of(e, "FileName");
                }
            }
            _ => {}
        }
    }

    /// What is known of the directory `ifd` (from 0) of the file with this name; none where the document does not say
    /// what that directory shows.
    pub(super) fn facts(&self, ifd: usize, file_name: Option<&str>) -> Option<PageFacts> {
        let (image, place) = self.images.iter().find_map(|image| Some((image, self.place(image, ifd, file_name)?)))?;
        Some(PageFacts {
            um_per_px: image.um_per_px,
            stage_um: image.positions.get(&place).copied().or(image.label),
            channel: image.channels.get(place[0]).cloned().flatten(),
            declared_bits: image.significant_bits,
        })
    }

    fn place(&self, image: &Image, ifd: usize, file_name: Option<&str>) -> Option<Place> {
        if image.data.is_empty() {
            // Without a word about directories they follow each other, of the only image.
            return (self.images.len() == 1).then(|| image.counted([0; 3], ifd)).flatten();
        }
        image.data.iter().filter(|data| self.is_here(data, file_name)).find_map(|data| {
            let all = || image.sizes.iter().fold(1, |all: usize, size| all.saturating_mul(*size));
            let planes = data.planes.unwrap_or_else(|| if data.ifd.is_some() { 1 } else { all() });
            let steps = ifd.checked_sub(data.ifd.unwrap_or(0)).filter(|steps| *steps < planes)?;
            image.counted(data.first, steps)
        })
    }

    /// Whether this file holds the planes: by its name where the document knows it, else by its identity (it may have
    /// been renamed); where no file is named, yes.
    fn is_here(&self, data: &Data, file_name: Option<&str>) -> bool {
        let is_own = |named: &str| named.rsplit(['/', '\\']).next() == file_name;
        let known =
            || self.images.iter().flat_map(|image| &image.data).filter_map(|data| data.file.as_deref()).any(is_own);
        match data.file.as_deref() {
            None => true,
            Some(named) if known() => is_own(named),
            Some(_) => self.uuid.is_some() && data.uuid == self.uuid,
        }
    }
}

impl Image {
    fn pixels(&mut self, e: &BytesStart<'_>) {
        let unit = text_of(e, "PhysicalSizeXUnit");
        self.um_per_px = number(e, "PhysicalSizeX").and_then(|v| in_um(v, unit.as_deref())).filter(|v| *v > 0.0);
        self.significant_bits = whole(e, "SignificantBits").and_then(|bits| u8::try_from(bits).ok());
        let order = text_of(e, "DimensionOrder").unwrap_or_else(|| "XYCZT".into());
        self.order = order.chars().filter_map(|axis| AXES.iter().position(|known| *known == axis)).collect();
        self.sizes = ["SizeC", "SizeZ", "SizeT"].map(|name| whole(e, name).unwrap_or(1).max(1));
    }

    fn plane(&mut self, e: &BytesStart<'_>) {
        let place = ["TheC", "TheZ", "TheT"].map(|name| whole(e, name).unwrap_or(0));
        if let Some(position) = position(e, ["PositionX", "PositionY", "PositionZ"]) {
            self.positions.insert(place, position);
        }
    }

    /// The plane `steps` behind `first` in the order of the axes; none beyond the last, and none of more planes than
    /// can be counted.
    fn counted(&self, first: Place, steps: usize) -> Option<Place> {
        let mut index = steps;
        let mut weight: usize = 1;
        for axis in &self.order {
            index = index.checked_add(first[*axis].checked_mul(weight)?)?;
            weight = weight.checked_mul(self.sizes[*axis])?;
        }
        if index >= weight {
            return None;
        }
        let mut place = [0; 3];
        for axis in &self.order {
            place[*axis] = index % self.sizes[*axis];
            index /= self.sizes[*axis];
        }
        Some(place)
    }
}

/// A position on the stage; none without X and Y in units of length.
fn position(e: &BytesStart<'_>, [x, y, z]: [&str; 3]) -> Option<StagePosition> {
    let coordinate = |name: &str| number(e, name).and_then(|v| in_um(v, text_of(e, &format!("{name}Unit")).as_deref()));
    Some(StagePosition { x: coordinate(x)?, y: coordinate(y)?, z: coordinate(z) })
}

fn text_of(e: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = e.try_get_attribute(name).ok().flatten()?;
    let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
    Some(value.into_owned())
}

fn number(e: &BytesStart<'_>, name: &str) -> Option<f64> {
    text_of(e, name)?.trim().parse().ok().filter(|v: &f64| v.is_finite())
}

fn whole(e: &BytesStart<'_>, name: &str) -> Option<usize> {
    text_of(e, name)?.trim().parse().ok()
}

/// Lengths in OME-XML are in micrometres unless a unit says otherwise. A `reference frame` is no length: where it lies
/// nobody says.
fn in_um(value: f64, unit: Option<&str>) -> Option<f64> {
    Some(value * um_per(unit.unwrap_or("\u{b5}m"))?).filter(|um| um.is_finite())
}

/// Micrometres in a unit of length, in the spellings that microscopes use.
pub(super) fn um_per(unit: &str) -> Option<f64> {
    Some(match unit.trim() {
        // Two micro signs, Latin letters, words, and what a wrong encoding makes of the sign.
        "\u{b5}m" | "\u{3bc}m" | "um" | "micron" | "microns" | "micrometer" | "micrometre" | "\u{c2}\u{b5}m"
        | "\\u00B5m" | "\\u00b5m" | "\u{fffd}m" => 1.0,
        "nm" | "nanometer" | "nanometre" => 1e-3,
        "mm" | "millimeter" | "millimetre" => 1e3,
        "cm" | "centimeter" | "centimetre" => 1e4,
        "m" | "meter" | "metre" => 1e6,
        "\u{c5}" | "\u{212b}" => 1e-4,
        "in" | "inch" | "inches" => 25_400.0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(text: &str, ifd: usize, name: &str) -> Option<PageFacts> {
        Ome::parse(text).expect("OME").facts(ifd, Some(name))
    }

    fn at(facts: Option<PageFacts>) -> Option<(f64, f64, Option<f64>)> {
        facts?.stage_um.map(|s| (s.x, s.y, s.z))
    }

    #[test]
    fn several_images_name_their_pages() {
        let text = r#"<?xml version="1.0"?><ome:OME xmlns:ome="x"><ome:Image><ome:StageLabel X="1" XUnit="mm" Y="2" YUnit="mm"/>
            <ome:Pixels DimensionOrder="XYZCT" SizeC="1" SizeZ="2" SizeT="1" PhysicalSizeX="100" PhysicalSizeXUnit="nm">
            <ome:TiffData IFD="2" FirstZ="0"/><ome:TiffData IFD="3" FirstZ="1"/></ome:Pixels></ome:Image>
            <ome:Image><ome:Pixels DimensionOrder="XYZCT" SizeC="1" SizeZ="2" SizeT="1"><ome:TiffData IFD="0" PlaneCount="2"/>
            <ome:Plane TheC="0" TheZ="1" TheT="0" PositionX="7" PositionY="8" PositionZ="9"/></ome:Pixels></ome:Image></ome:OME>"#;
        assert_eq!(at(facts(text, 2, "a.tif")), Some((1000.0, 2000.0, None)));
        assert_eq!(facts(text, 3, "a.tif").and_then(|f| f.um_per_px), Some(0.1));
        assert_eq!(at(facts(text, 1, "a.tif")), Some((7.0, 8.0, Some(9.0))));
        assert_eq!(at(facts(text, 0, "a.tif")), None);
        assert_eq!(facts(text, 4, "a.tif"), None, "no image shows it");
    }

    #[test]
    fn planes_of_other_files_are_not_ours() {
        let text = r#"<OME UUID="urn:uuid:1"><Image><Pixels DimensionOrder="XYCZT" SizeC="2" SizeZ="1" SizeT="1">
            <Channel Name="a"/><Channel Name="b"/>
            <TiffData FirstC="0" IFD="0"><UUID FileName="one.ome.tif">urn:uuid:1</UUID></TiffData>
            <TiffData FirstC="1" IFD="0"><UUID FileName="two.ome.tif">urn:uuid:2</UUID></TiffData></Pixels></Image></OME>"#;
        let channel = |name: &str| facts(text, 0, name).and_then(|f| f.channel);
        assert_eq!(channel("one.ome.tif").as_deref(), Some("a"));
        assert_eq!(channel("two.ome.tif").as_deref(), Some("b"));
        assert_eq!(channel("renamed.tif").as_deref(), Some("a"), "it knows itself by its identity");
    }

    #[test]
    fn a_position_in_no_unit_of_length_is_none() {
        let text = r#"<OME><Image><Pixels SizeC="1"><Plane TheC="0" TheZ="0" TheT="0" PositionX="5" PositionY="6"
            PositionXUnit="reference frame" PositionYUnit="reference frame"/></Pixels></Image></OME>"#;
        assert_eq!(at(facts(text, 0, "a.tif")), None);
    }

    #[test]
    fn numbers_too_large_to_count_with_map_nothing() {
        for data in [
            r#"<TiffData IFD="18446744073709551615"/>"#,
            r#"<TiffData IFD="0" FirstC="9223372036854775807" FirstZ="9223372036854775807"/>"#,
            r#"<TiffData IFD="0" FirstT="5"/>"#,
        ] {
            let text = format!(
                r#"<OME><Image><StageLabel X="1e305" XUnit="m" Y="2"/>
                <Pixels SizeC="9" SizeZ="9223372036854775807" SizeT="9" PhysicalSizeX="1e305" PhysicalSizeXUnit="m">{data}
                </Pixels></Image></OME>"#
            );
            assert_eq!(facts(&text, 0, "a.tif"), None, "{data}");
        }
        let text = r#"<OME><Image><StageLabel X="1e305" XUnit="m" Y="2"/>
            <Pixels PhysicalSizeX="1e305" PhysicalSizeXUnit="m"/></Image></OME>"#;
        assert_eq!(facts(text, 0, "a.tif"), Some(PageFacts::default()), "no length is infinite");
    }

    #[test]
    fn the_micro_sign_has_many_spellings() {
        for sign in ["\u{b5}m", "\u{3bc}m", "&#181;m", "&#xB5;m", "um", "micron", "\u{c2}\u{b5}m"] {
            let text = format!(r#"<OME><Image><Pixels PhysicalSizeX="0.1" PhysicalSizeXUnit="{sign}"/></Image></OME>"#);
            assert_eq!(facts(&text, 0, "a.tif").and_then(|f| f.um_per_px), Some(0.1), "{sign}");
        }
        assert!(Ome::parse("ImageJ=1.53t\nimages=2").is_none());
    }
}
