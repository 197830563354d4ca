//! A workbook of plain tables (Office Open XML, ECMA-376): numbers as numbers, text as text.

use std::fmt::Write as _;

use quick_xml::escape::escape;

use super::{Field, Sheet};

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n";
const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const RELATIONS: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";

/// The file's bytes.
pub fn workbook(sheets: &[Sheet]) -> Vec<u8> {
    let (mut types, mut names, mut links) = (String::new(), String::new(), String::new());
    let mut parts = Vec::new();
    for (i, sheet) in sheets.iter().enumerate() {
        let n = i + 1;
        let _ = write!(
            types,
            "<Override PartName=\"/xl/worksheets/sheet{n}.xml\" \
             ContentType=\"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml\"/>"
        );
        let _ = write!(names, "<sheet name=\"{}\" sheetId=\"{n}\" r:id=\"rId{n}\"/>", sheet.name);
        let _ = write!(
            links,
            "<Relationship Id=\"rId{n}\" Type=\"{RELATIONS}/worksheet\" Target=\"worksheets/sheet{n}.xml\"/>"
        );
        parts.push((format!("xl/worksheets/sheet{n}.xml"), worksheet(sheet)));
    }
    let whole = [
        (
            "[Content_Types].xml".to_owned(),
            format!(
                "{HEAD}<Types xmlns=\"{PACKAGE}/content-types\"><Default Extension=\"rels\" \
                 ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/><Default Extension=\"xml\" \
                 ContentType=\"application/xml\"/><Override PartName=\"/xl/workbook.xml\" \
                 ContentType=\"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml\"/>{types}</Types>"
            ),
        ),
        (
            "_rels/.rels".to_owned(),
            format!(
                "{HEAD}<Relationships xmlns=\"{PACKAGE}/relationships\"><Relationship Id=\"rId1\" \
                 Type=\"{RELATIONS}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
            ),
        ),
        (
            "xl/workbook.xml".to_owned(),
            format!("{HEAD}<workbook xmlns=\"{MAIN}\" xmlns:r=\"{RELATIONS}\"><sheets>{names}</sheets></workbook>"),
        ),
        (
            "xl/_rels/workbook.xml.rels".to_owned(),
            format!("{HEAD}<Relationships xmlns=\"{PACKAGE}/relationships\">{links}</Relationships>"),
        ),
    ];
    zip(whole.into_iter().chain(parts))
}

fn worksheet(sheet: &Sheet) -> String {
    let mut out = format!("{HEAD}<worksheet xmlns=\"{MAIN}\"><sheetData>");
    let text = |text: &str| {
        // Signs that XML cannot hold have no place in a table.
        let plain: String = text.chars().filter(|c| !c.is_control() || *c == '\n').collect();
        format!("<c t=\"inlineStr\"><is><t xml:space=\"preserve\">{}</t></is></c>", escape(plain.as_str()))
    };
    let head: String = sheet.head.iter().map(|name| text(name)).collect();
    let _ = write!(out, "<row>{head}</row>");
    for row in &sheet.rows {
        out.push_str("<row>");
        for field in row {
            match field {
                Field::Text(value) => out.push_str(&text(value)),
                Field::Number(value) if value.is_finite() => {
                    let _ = write!(out, "<c><v>{value}</v></c>");
                }
                Field::Number(_) | Field::Nothing => out.push_str("<c/>"),
            }
        }
        out.push_str("</row>");
    }
    out.push_str("</sheetData></worksheet>");
    out
}

/// A ZIP archive of texts, stored as they are.
fn zip(files: impl Iterator<Item = (String, String)>) -> Vec<u8> {
    let (mut out, mut directory, mut number) = (Vec::new(), Vec::new(), 0_u16);
    for (name, text) in files {
        let (name, data) = (name.as_bytes(), text.as_bytes());
        let offset = out.len() as u32;
        let mut fields = Vec::new();
        // Version 2.0, names in UTF-8, stored, 1 January 1980; checksum and sizes.
        fields.extend([20_u16, 0x800, 0, 0, 0x21].iter().flat_map(|v| v.to_le_bytes()));
        fields.extend([crc32(data), data.len() as u32, data.len() as u32].iter().flat_map(|v| v.to_le_bytes()));
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend(0_u16.to_le_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(&fields);
        out.extend(name);
        out.extend(data);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&fields);
        directory.extend([0_u8; 10]);
        directory.extend(offset.to_le_bytes());
        directory.extend(name);
        number += 1;
    }
    let begin = out.len() as u32;
    out.extend(&directory);
    out.extend(b"PK\x05\x06\x00\x00\x00\x00");
    out.extend([number, number].iter().flat_map(|v| v.to_le_bytes()));
    out.extend([directory.len() as u32, begin].iter().flat_map(|v| v.to_le_bytes()));
    out.extend(0_u16.to_le_bytes());
    out
}

/// The checksum of ZIP (ISO 3309).
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xEDB8_8320 } else { sum >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }
}
