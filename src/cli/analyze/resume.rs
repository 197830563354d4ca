//! What an earlier run has done already, read from its results.

use std::collections::BTreeSet;

use serde_json::Value;

use super::basis::Basis;

/// Reasons of rejections that say nothing of the picture: such files are looked at again.
const AGAIN: [&str; 4] = ["unreadable", "unsupported", "engine_failed", "stage_failed"];

/// What stays of the results of an earlier run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Finished {
    /// Their lines, each with its end.
    pub lines: String,
    /// The files that need not be looked at again.
    pub files: BTreeSet<String>,
    /// Highest number of a frame.
    pub frames: u64,
    /// What the lines say they rest on, each kind once, with the number of the first line of the kind.
    pub bases: Vec<(usize, Basis)>,
}

impl Finished {
    /// From `text`, messages one a line, of a run over files named `names` that may have been ended at any moment. The last file may
    /// have more to give, and what failed may succeed: both are left out.
    ///
    /// # Errors
    /// In words, when a line is no message about one of the files, or two files have one name.
    pub fn of(text: &str, names: &[&str]) -> Result<Self, String> {
        let known: BTreeSet<&str> = names.iter().copied().collect();
        if known.len() < names.len() {
            return Err(
                "two files have the same name within their folders: give each folder a run of its own".to_owned()
            );
        }
        // A line without its end was being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        let mut lines = Vec::new();
        let mut again = BTreeSet::new();
        for (number, line) in whole.split_inclusive('\n').enumerate() {
            let wrong = |why: String| format!("line {}: {why}", number + 1);
            let message: Value = serde_json::from_str(line).map_err(|_| wrong("no message".to_owned()))?;
            let page = message["captured"]["file"].as_str().or(message["file"].as_str());
            let page = page.ok_or_else(|| wrong("a message that names no file".to_owned()))?;
            let file = [Some(page), page.rsplit_once('#').map(|(file, _)| file)].into_iter().flatten();
            let file = file.into_iter().find_map(|file| known.get(file)).copied();
            let file = file.ok_or_else(|| wrong(format!("'{page}' is none of the files of this run")))?;
            if message["reason"].as_str().is_some_and(|reason| AGAIN.contains(&reason)) {
                again.insert(file);
            }
            let frame = message["captured"]["frame"].as_u64().unwrap_or(0);
            lines.push((file, line, frame, (number + 1, Basis::of_message(&message))));
        }
        again.extend(lines.last().map(|(file, ..)| *file));
        let mut finished = Self::default();
        for (file, line, frame, (number, basis)) in lines {
            if again.contains(file) {
                continue;
            }
            finished.lines.push_str(line);
            finished.files.insert(file.to_owned());
            finished.frames = finished.frames.max(frame);
            if finished.bases.iter().all(|(_, known)| *known != basis) {
                finished.bases.push((number, basis));
            }
        }
        Ok(finished)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(file: &str, frame: u64) -> String {
        format!("{{\"schema\":\"cell/1\",\"captured\":{{\"file\":\"{file}\",\"frame\":{frame}}}}}\n")
    }

    fn rejected(file: &str, reason: &str) -> String {
        format!("{{\"schema\":\"rejected/1\",\"file\":\"{file}\",\"reason\":\"{reason}\"}}\n")
    }

    #[test]
    fn what_is_whole_stays_and_the_rest_is_looked_at_again() {
        let names = ["a.png", "b.tif", "c#1.png", "d.png", "e.png", "f.png"];
        let kept = [
            cell("a.png", 1),
            cell("a.png", 1),
            rejected("b.tif#0", "no_metaphase"),
            cell("b.tif#1", 3),
            cell("c#1.png", 4),
        ]
        .concat();
        let text =
            [&kept[..], &rejected("d.png", "unreadable"), &cell("e.png", 5), "{\"schema\":\"cell/1\",\"capt"].concat();
        let finished = Finished::of(&text, &names).unwrap();
        let files = ["a.png", "b.tif", "c#1.png"].map(str::to_owned).into();
        assert_eq!((&finished.lines, &finished.files, finished.frames), (&kept, &files, 4));
        assert_eq!(Finished::of("", &names).unwrap(), Finished::default());
        assert_eq!(Finished::of("{\"half", &names).unwrap(), Finished::default());
    }

    #[test]
    fn every_kind_of_basis_is_named_by_its_first_line() {
        let of = |file: &str, models: &str| {
            format!("{{\"captured\":{{\"file\":\"{file}\"}},\"station\":\"lab-1\",\"models\":{{{models}}}}}\n")
        };
        let detector = "\"detector\":\"d@1\"";
        let text = [of("a.png", ""), of("b.png", ""), of("c.png", detector), of("d.png", "")].concat();
        let finished = Finished::of(&text, &["a.png", "b.png", "c.png", "d.png"]).unwrap();
        let found: Vec<usize> = finished.bases.iter().map(|(line, _)| *line).collect();
        assert_eq!(found, [1, 3], "{:?}", finished.bases);
    }

    #[test]
    fn a_file_of_which_a_page_failed_is_looked_at_as_a_whole() {
        let text =
            [cell("b.tif#0", 1), rejected("b.tif#1", "engine_failed"), cell("a.png", 2), cell("d.png", 3)].concat();
        let finished = Finished::of(&text, &["a.png", "b.tif", "d.png"]).unwrap();
        assert_eq!(finished.files, ["a.png".to_owned()].into());
    }

    #[test]
    fn results_of_another_run_are_refused() {
        for (text, names, words) in [
            (cell("x.png", 1), &["a.png"][..], "line 1: 'x.png' is none of the files"),
            ("a,b\n".to_owned(), &["a.png"], "line 1: no message"),
            ("{}\n".to_owned(), &["a.png"], "names no file"),
            (String::new(), &["a.png", "a.png"], "the same name"),
        ] {
            let error = Finished::of(&text, names).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
