//! A field's boxes as Pascal VOC XML.

use std::fmt::Write;

use quick_xml::escape::escape;

use super::FieldTruth;

impl FieldTruth {
    /// Pascal VOC XML of the field's chromosomes: names `A1` to `G22`, `X`, `Y`; corners in pixels, the lower right
    /// ones exclusive. `pose` names dicentrics, rings, fragments and rearranged chromosomes.
    pub fn voc_xml(&self, folder: &str, file: &str) -> String {
        let [width, height] = self.size;
        let mut xml = format!(
            "<annotation>\n  <folder>{}</folder>\n  <filename>{}</filename>\n  <source><database>metaphased virtual \
             slide</database></source>\n  <size><width>{width}</width><height>{height}</height><depth>1</depth></size>\n  \
             <segmented>1</segmented>\n",
            escape(folder),
            escape(file),
        );
        for chromosome in self.cells.iter().flat_map(|cell| &cell.chromosomes) {
            let class = chromosome.class;
            let name = if class.is_sex() { class.to_string() } else { format!("{}{class}", class.denver_group()) };
            let pose = match (chromosome.dicentric, chromosome.ring, &chromosome.name) {
                (true, _, _) => "dicentric",
                (_, true, _) => "ring",
                _ if chromosome.fragment => "fragment",
                (_, _, Some(_)) => "rearranged",
                _ => "Unspecified",
            };
            let b = chromosome.bounds;
            // Writing to a string cannot fail.
            let _ = writeln!(
                xml,
                "  <object>\n    <name>{name}</name>\n    <pose>{pose}</pose>\n    <truncated>{}</truncated>\n    \
                 <difficult>{}</difficult>\n    <bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>\n  \
                 </object>",
                u8::from(chromosome.cut),
                u8::from(!chromosome.touches.is_empty()),
                b.x,
                b.y,
                b.right(),
                b.bottom(),
            );
        }
        xml.push_str("</annotation>\n");
        xml
    }
}
