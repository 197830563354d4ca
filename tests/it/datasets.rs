//! Annotated sets in every published layout; bad annotations are listed and passed by.

use std::{fs, path::Path, sync::Arc};

use karyotype::FittedSettings;
use metaphased::evaluate::{Content, DataSet, Layout, Setup, TASKS};
use recognition::inference::{ChosenEngine, CpuEngine, ModelLibrary};
use testing::{shared_data, skipped};

fn write_image(path: &Path) {
    let mut grey = image::GrayImage::from_pixel(96, 64, image::Luma([210]));
    for y in 16..32 {
        for x in 16..32 {
            grey.put_pixel(x, y, image::Luma([60]));
        }
    }
    grey.save(path).expect("written");
}

/// A set of two images with good and bad annotations.
fn csv_set() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("images")).expect("made");
    write_image(&folder.path().join("images/a.png"));
    write_image(&folder.path().join("images/b.png"));
    let rows = "image,class,xmin,ymin,xmax,ymax\n\
        a.webp,A1,16,16,32,32\n\
        a.webp,G21,60,20,97,65\n\
        a.webp,G21,30,30,30,40\n\
        b.webp,Q9,10,10,20,20\n\
        b.webp,X,1,x,20,20\n\
        b.webp,X,200,200,220,220\n\
        b.webp,Y,5,5,25,25\n\
        c.webp,A1,1,1,20,20\n";
    fs::write(folder.path().join("annotations.csv"), rows).expect("written");
    fs::write(folder.path().join("cells.csv"), "image,patient\na.webp,p1\nb.webp,p2\n").expect("written");
    folder
}

#[test]
fn bad_annotations_are_listed_and_passed_by_and_boxes_beyond_the_edge_are_clipped() {
    let folder = csv_set();
    let set = DataSet::open(folder.path(), None).unwrap();
    assert_eq!(set.layout, Layout::Csv);
    let fields = set.fields().unwrap();
    assert_eq!(fields.iter().map(|f| f.truth.len()).collect::<Vec<_>>(), [2, 1]);
    let clipped = fields[0].truth[1].bounds;
    assert_eq!((clipped.right(), clipped.bottom()), (96.0, 64.0));
    assert_eq!(fields[0].patient, "p1");
    let reasons: Vec<String> = set.skipped.iter().map(|s| format!("{} {}", s.item, s.reason)).collect();
    assert_eq!(reasons.len(), 5, "{reasons:#?}");
    for word in ["annotations.csv:4 degenerate", "'Q9'", "no number", "outside the image", "image is missing"] {
        assert!(reasons.iter().any(|reason| reason.contains(word)), "{word}: {reasons:#?}");
    }
}

#[test]
fn every_task_gives_figures_on_a_small_set() {
    let folder = csv_set();
    let set = DataSet::open(folder.path(), None).unwrap();
    let library = ModelLibrary::of(vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models")]);
    let engine = ChosenEngine::alone(Arc::new(CpuEngine::new(1)), "test");
    let setup = Setup {
        data: &set,
        library: &library,
        engine: &engine,
        model: None,
        precision: None,
        stain: None,
        karyotype: FittedSettings::default(),
        scorer: Default::default(),
        accepted_centromeres: [46; 2],
        edited: None,
        cut: &[],
        candidates: None,
        out: None,
        progress: &|_, _| {},
    };
    let wanted: [(&str, &[&str]); 3] = [
        ("detector", &["ap50", "ap50_95", "recall", "precision", "perfect_cells", "count_mae"]),
        (
            "pipeline",
            &[
                "ap50",
                "perfect_cells",
                "map50",
                "accuracy",
                "accuracy_assigned",
                "cells_right",
                "corrections_per_cell",
                "ms_per_cell",
            ],
        ),
        (
            "classifier",
            &["accuracy", "accuracy_flipped", "accuracy_assigned", "accuracy_assigned_closed", "macro_f1", "ece"],
        ),
    ];
    for (task, figures) in wanted {
        let run = TASKS.iter().find(|(name, ..)| *name == task).expect("the task is there").2;
        let report = run(&setup).unwrap();
        assert_eq!((report.data.images, report.data.patients), (2, 2));
        for figure in figures {
            assert!(report.figures.get(figure).is_some(), "{task}: {figure}");
        }
        let json: serde_json::Value = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
        assert_eq!(json["task"], task);
        assert!(json["figures"][figures[0]]["value"].is_number(), "{json}");
        assert_eq!(json["data"]["skipped"].as_array().map(Vec::len), Some(5));
    }
}

#[test]
fn what_the_networks_gave_is_kept_and_read_again() {
    let folder = csv_set();
    let set = DataSet::open(folder.path(), None).unwrap();
    let library = ModelLibrary::of(vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models")]);
    let engine = ChosenEngine::alone(Arc::new(CpuEngine::new(1)), "test");
    let run = TASKS.iter().find(|(name, ..)| *name == "karyotype").expect("the task is there").2;
    let kept = folder.path().join("candidates.jsonl");
    let measured = Setup { candidates: Some(&kept), ..setup_of(&set, &library, &engine) };
    let figures = |setup: &Setup<'_>| {
        let mut figures = run(setup).unwrap().figures;
        figures.0.retain(|(name, _)| *name != "interpret_ms");
        serde_json::to_string(&figures).unwrap()
    };
    let first = figures(&measured);
    assert_eq!(figures(&measured), first);
    assert!(first.contains("coverage"), "{first}");

    // Only what the file holds is measured.
    let text = fs::read_to_string(&kept).unwrap();
    let shorter: Vec<&str> = text.lines().take(2).collect();
    fs::write(&kept, shorter.join("\n")).unwrap();
    assert_eq!(run(&measured).unwrap().data.images, 1);

    fs::write(&kept, text.replacen("candidates/5", "candidates/4", 1)).unwrap();
    let refused = run(&measured).unwrap_err().to_string();
    assert!(refused.contains("invalid schema 'candidates/4': expected candidates/5"), "{refused}");
    fs::write(&kept, text).unwrap();

    let other = Setup { edited: Some(3), ..measured };
    let refused = run(&other).unwrap_err().to_string();
    assert!(refused.contains("other cells or by other models"), "{refused}");
}

fn setup_of<'a>(set: &'a DataSet, library: &'a ModelLibrary, engine: &'a ChosenEngine) -> Setup<'a> {
    Setup {
        data: set,
        library,
        engine,
        model: None,
        precision: None,
        stain: None,
        karyotype: FittedSettings::default(),
        scorer: Default::default(),
        accepted_centromeres: [46; 2],
        edited: None,
        cut: &[],
        candidates: None,
        out: None,
        progress: &|_, _| {},
    }
}

/// Dark bars, each `(left, top, width, height)`, on white.
fn write_bars(path: &Path, size: (u32, u32), bars: &[(u32, u32, u32, u32)]) {
    let mut grey = image::GrayImage::from_pixel(size.0, size.1, image::Luma([235]));
    for &(left, top, width, height) in bars {
        for y in top..top + height {
            for x in left..left + width {
                grey.put_pixel(x, y, image::Luma([70]));
            }
        }
    }
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    grey.save(path).expect("written");
}

#[test]
fn imaging_is_measured_without_any_model() {
    let library = ModelLibrary::of(Vec::new());
    let engine = ChosenEngine::alone(Arc::new(CpuEngine::new(1)), "test");
    let run = |task: &str, set: &DataSet| {
        let run = TASKS.iter().find(|(name, ..)| *name == task).expect("the task is there").2;
        run(&setup_of(set, &library, &engine))
    };

    // Class maps: two bars that the map draws one pixel wider, and one that the picture does not show.
    let maps = tempfile::tempdir().unwrap();
    let cells = maps.path().join("cells");
    let bars = [(40, 40, 9, 40), (90, 40, 9, 50), (140, 60, 40, 9)];
    write_bars(&cells.join("a_dapi.png"), (240, 160), &bars);
    let mut dapi = image::open(cells.join("a_dapi.png")).unwrap().into_luma8();
    image::imageops::invert(&mut dapi);
    dapi.save(cells.join("a_dapi.png")).unwrap();
    let mut map = image::GrayImage::new(240, 160);
    for (value, (left, top, width, height)) in (1u8..).zip([bars[0], bars[1], bars[2], (200, 100, 10, 30)]) {
        for y in top - 1..top + height + 1 {
            for x in left - 1..left + width + 1 {
                map.put_pixel(x, y, image::Luma([value]));
            }
        }
    }
    map.save(cells.join("a_class.png")).unwrap();
    let report = run("segmentation", &DataSet::open(maps.path(), None).unwrap()).unwrap();
    let figure = |name: &str| report.figures.get(name).and_then(|f| f.value).expect(name);
    assert!(figure("mask_iou_median") > 0.85, "{report:?}");
    assert_eq!(figure("mask_iou_p10"), 0.0, "what no mask meets counts as nothing");
    assert_eq!(figure("recall"), 0.75);
    assert_eq!(figure("strays_per_cell"), 0.0);
    assert!(run("triage", &DataSet::open(maps.path(), None).unwrap()).is_err(), "class maps are no labelled windows");

    // One bar is one chromosome, two that cross are a cluster.
    let crops = tempfile::tempdir().unwrap();
    let mut table = "file,case,kind\nnothing.png,c1,chromosome\n".to_owned();
    for i in 0..4u32 {
        let (single, cluster) = (format!("c{i}/one.png"), format!("c{i}/two.png"));
        write_bars(&crops.path().join(&single), (60, 90), &[(24, 10, 12, 40 + 8 * i)]);
        write_bars(&crops.path().join(&cluster), (100, 100), &[(44, 10, 12, 80), (10, 40 + i, 80, 12)]);
        table += &format!("{single},c{i},chromosome\n{cluster},c{i},cluster\n");
    }
    fs::write(crops.path().join("objects.csv"), table).unwrap();
    let set = DataSet::open(crops.path(), None).unwrap();
    assert_eq!((set.layout, set.len(), set.patients(), set.skipped.len()), (Layout::Objects, 8, 4, 1));
    let report = run("segmentation", &set).unwrap();
    assert_eq!(report.figures.get("auc").unwrap().value, Some(1.0), "{report:?}");

    // A window with a spread against an empty one.
    let fields = tempfile::tempdir().unwrap();
    let spread: Vec<_> = (0..40).map(|i| (60 + i % 8 * 40, 60 + i / 8 * 60, 12, 38)).collect();
    write_bars(&fields.path().join("f.png"), (1000, 400), &spread);
    let rows = "file,x,y,width,height,label,group\nf.png,0,0,500,400,metaphase,s1\nf.png,500,0,500,400,none,s2\n\
        f.png,1,1,0,5,none,s2\nf.png,5000,0,10,10,none,s2\n";
    fs::write(fields.path().join("windows.csv"), rows).unwrap();
    let report = run("triage", &DataSet::open(fields.path(), None).unwrap()).unwrap();
    assert_eq!(report.figures.get("auc").unwrap().value, Some(1.0), "{report:?}");
    assert_eq!(report.data.skipped.len(), 2, "{:?}", report.data.skipped);
}

#[test]
fn voc_yolo_and_folders_of_singles_are_told_apart() {
    let voc = tempfile::tempdir().unwrap();
    fs::create_dir_all(voc.path().join("set/annotations")).unwrap();
    fs::create_dir_all(voc.path().join("set/JEPG")).unwrap();
    write_image(&voc.path().join("set/JEPG/a.png"));
    let xml = "<annotation><filename>a.jpg</filename><object><name>A1</name><bndbox><xmin>16</xmin><ymin>16</ymin>\
        <xmax>32</xmax><ymax>32</ymax></bndbox></object><object><name>A1</name></object></annotation>";
    fs::write(voc.path().join("set/annotations/a.xml"), xml).unwrap();
    fs::write(voc.path().join("set/annotations/b.xml"), "<annotation><filename>").unwrap();
    let set = DataSet::open(voc.path(), None).unwrap();
    assert_eq!((set.layout, set.len(), set.skipped.len()), (Layout::Voc, 1, 2), "{:?}", set.skipped);
    assert_eq!(set.fields().unwrap()[0].truth[0].class.unwrap().name(), "1");

    let yolo = tempfile::tempdir().unwrap();
    for folder in ["images", "labels"] {
        fs::create_dir(yolo.path().join(folder)).unwrap();
    }
    write_image(&yolo.path().join("images/a.png"));
    fs::write(yolo.path().join("labels/a.txt"), "1 0.25 0.375 0.5 0.25\n0 0.5 oops 0.1 0.1\n").unwrap();
    let set = DataSet::open(yolo.path(), None).unwrap();
    assert_eq!((set.layout, set.skipped.len()), (Layout::Yolo, 1));
    assert!(set.skipped[0].item.ends_with("a.txt:2") && set.skipped[0].reason.contains("'oops'"), "{:?}", set.skipped);
    let truth = &set.fields().unwrap()[0].truth[0];
    assert_eq!((truth.bounds.x, truth.bounds.right(), truth.class), (0.0, 48.0, None));

    let singles = tempfile::tempdir().unwrap();
    fs::create_dir(singles.path().join("2")).unwrap();
    write_image(&singles.path().join("2/2 1a.png"));
    write_image(&singles.path().join("2/2 Yx1.png"));
    let set = DataSet::open(singles.path(), None).unwrap();
    assert_eq!(set.layout, Layout::Folders);
    let Content::Singles(cells) = &set.content else { panic!("singles") };
    assert_eq!(cells.iter().map(|cell| cell.chromosomes.len()).sum::<usize>(), 2);

    let nothing = tempfile::tempdir().unwrap();
    assert!(DataSet::open(nothing.path(), None).unwrap_err().to_string().contains("--layout"));
    assert!(DataSet::open(&nothing.path().join("gone"), None).is_err());
}

#[test]
fn the_published_sets_load_unchanged() {
    let Some(data) = shared_data() else { return skipped("the_published_sets_load_unchanged") };
    let cases = [
        ("cil", Layout::Csv, 4243, 195_053),
        ("cil/original_layout", Layout::Voc, 20, 920),
        ("pki3", Layout::Sheets, 523, 24_041),
        ("bioimlab", Layout::Sheets, 101, 4646),
        ("dicentric", Layout::Yolo, 4, 193),
    ];
    for (name, layout, items, boxes) in cases {
        let set = DataSet::open(&data.join(name), None).unwrap();
        let found: usize = match &set.content {
            Content::Fields(fields) => fields.iter().map(|field| field.truth.len()).sum(),
            Content::Singles(cells) => cells.iter().map(|cell| cell.chromosomes.len()).sum(),
            Content::Labelled(pictures) => pictures.len(),
        };
        assert_eq!((set.layout, set.len()), (layout, items), "{name}: {:?}", set.skipped.first());
        assert!(found.abs_diff(boxes) <= boxes / 100, "{name}: {found} boxes");
    }
    let mfish = DataSet::open(&data.join("mfish"), None).unwrap();
    assert_eq!((mfish.layout, mfish.len()), (Layout::Mfish, 142));
    let pieces: usize = mfish.fields().unwrap().iter().map(|field| field.truth.len()).sum();
    assert!(pieces.abs_diff(6396) < 100, "{pieces} pieces, the set's own table says 6396");
}

#[test]
fn yolo_polygons_give_their_boxes_and_other_lines_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = "0 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.6\n1 0.3 0.4 0.4 0.4\n0 0.1 0.2 0.3 0.4 0.9\n0 0.1 0.2 2 0.3 0.4 2\n0 0.1 0.2\n";
    fs::write(folder.path().join("classes.txt"), "21\nX\n").unwrap();
    write_image(&folder.path().join("a.png"));
    fs::write(folder.path().join("a.txt"), text).unwrap();
    let set = DataSet::open(folder.path(), None).unwrap();
    let Content::Fields(fields) = &set.content else { panic!("fields") };
    let (width, height) = image::image_dimensions(folder.path().join("a.png")).unwrap();
    let (width, height) = (width as f32, height as f32);
    let found: Vec<[f32; 4]> = fields[0]
        .truth
        .iter()
        .map(|t| [t.bounds.x / width, t.bounds.y / height, t.bounds.width / width, t.bounds.height / height])
        .collect();
    let expected = [[0.1, 0.2, 0.4, 0.4], [0.1, 0.2, 0.4, 0.4]];
    assert_eq!(found.len(), 2, "{found:?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{found:?}");
    }
    let lines: Vec<&str> = set.skipped.iter().map(|s| s.item.rsplit(':').next().unwrap()).collect();
    assert_eq!(lines, ["3", "4", "5"], "{:?}", set.skipped);
}

#[test]
fn the_polygons_of_a_laboratory_are_read() {
    let Some(data) = shared_data() else { return skipped("the_polygons_of_a_laboratory_are_read") };
    let text = fs::read_to_string(data.join("cases/22-yolo-polygons.txt")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_image(&folder.path().join("a.png"));
    fs::write(folder.path().join("a.txt"), &text).unwrap();
    let set = DataSet::open(folder.path(), None).unwrap();
    let Content::Fields(fields) = &set.content else { panic!("fields") };
    assert_eq!((fields[0].truth.len(), set.skipped.len()), (text.lines().count(), 0), "{:?}", set.skipped);
}
