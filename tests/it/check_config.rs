//! `check-config` finds what the start would refuse, with the same words and the same exit code.

use std::{fs, path::Path, process::Command};

/// Runs the binary on `config` in `folder`; the exit code and what it said.
fn run(folder: &Path, config: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let file = folder.join("metaphased.toml");
    fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_metaphased"));
    match arguments {
        [] => command.arg("--config").arg(&file),
        arguments => command.args(arguments).arg(&file),
    };
    let output = command.env("METAPHASED__STORE__PATH", folder.join("store")).current_dir(folder).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn what_the_start_refuses_is_found_before() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("short"), "123").unwrap();
    fs::write(folder.path().join("no-curve.toml"), "schema = \"curve/1\"\nid = \"x\"\nalpa = 1\n").unwrap();
    fs::write(folder.path().join("dark.png"), "no picture").unwrap();
    let simulator = "kind = \"simulator\"\n";
    for (config, exit, key, words) in [
        ("[mqtt]\nurl = \"mqtt://b:99999\"", 78, "mqtt.url", "1 to 65535"),
        ("[mqtt]\nurl = \"mqtt://b\"\nusername = \"u\"\npassword_file = \"gone\"", 78, "mqtt.password_file", "gone"),
        ("[mqtt]\nurl = \"mqtts://b\"\nca_file = \"gone.pem\"", 78, "mqtt.ca_file", "gone.pem"),
        ("[mqtt]\nclient_id = \"a\\u0000\"", 78, "mqtt.client_id", "control character"),
        ("[web]\ntoken_file = \"gone\"", 78, "web.token_file", "gone cannot be read"),
        ("[web]\ntoken_file = \"short\"", 78, "web.token_file", "3 characters"),
        ("[dose]\ncurve = \"co61\"", 78, "dose.curve", "metaphased dose curves"),
        ("[dose]\ncurve = \"no-curve.toml\"", 78, "dose.curve", "alpa"),
        ("[dose]\nmethod = \"guess\"", 78, "dose.method", "\"likelihood\", \"merkle\" or \"delta\""),
        ("[dose]\nalarm_gy = 0.2\nalarm_hysteresis_gy = 0.3", 78, "dose.alarm_hysteresis_gy", "never clear"),
        ("station = 2020-01-01", 78, "station", "the date 2020-01-01"),
        ("[store]\nquota = \"999999999999999999999 TiB\"", 78, "store.quota", "1048576 TiB"),
        ("[log]\nlevel = \"loud\"", 78, "log.level", "no level"),
        (&format!("[source.a]\n{simulator}case = \"a\\tb\""), 78, "source.a.case", "control character"),
        (&format!("[source.a]\n{simulator}flat_field = \"gone.png\""), 69, "source.a.flat_field", "gone.png"),
        (&format!("[source.a]\n{simulator}flat_field = \"dark.png\""), 69, "source.a.flat_field", "dark.png"),
        (&format!("[source.a]\n{simulator}karyotype = \"46,XXQ\""), 69, "source.a.karyotype", "source 'a'"),
        ("[source.a]\nkind = \"genicam\"\nformat = \"Mono9\"", 69, "source.a.kind", "format Mono9 are not read"),
        (
            "[source.a]\nkind = \"v4l2\"\ncontrols = { gain = \"high\" }",
            78,
            "source.a.controls.gain",
            "expected a whole number",
        ),
        (
            "[source.a]\nkind = \"genicam\"\ncontrols = { Gain = [1, 2] }",
            78,
            "source.a.controls.Gain",
            "expected a number, text in quotes, true or false",
        ),
        ("[source.a]\nkind = \"v4l2\"\nformat = \"H264\"", 69, "source.a.kind", "format H264 are not read"),
        ("[source.a]\nkind = \"v4l2\"\nformat = \"GREYS\"", 78, "source.a.format", "1 to 4 characters"),
        ("[inference]\ndetector = \"nobody\"", 69, "inference.detector", "no model 'nobody' found"),
    ] {
        let (code, said) = run(folder.path(), config, &["check-config"]);
        assert_eq!(code, Some(exit), "{config}: {said}");
        assert!(said.contains(&format!(": {key}: ")) && said.contains(words), "{config}: {said}");
        let (code, said) = run(folder.path(), config, &[]);
        assert_eq!(code, Some(exit), "the start of {config}: {said}");
        assert!(said.contains(words), "the start of {config}: {said}");
    }
}

#[test]
fn everything_that_is_wrong_comes_in_one_report_in_the_order_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[source.a]\nkind = \"simulator\"\nflat_field = \"gone.png\"\nrate_hz = \"fast\"\n\
                  [web]\ntoken_file = \"gone\"\n[dose]\ncurve = \"co61\"\nmethod = \"guess\"\n\
                  [mqtt]\nurl = \"mqtt://broker\"\npassword = \"x\"\n";
    let (code, said) = run(folder.path(), config, &["check-config"]);
    assert_eq!(code, Some(78), "{said}");
    let keys: Vec<&str> = said.lines().skip(1).filter_map(|line| line.split(": ").nth(1)).collect();
    let expected =
        ["source.a.flat_field", "source.a.rate_hz", "web.token_file", "dose.curve", "dose.method", "mqtt.password"];
    assert_eq!(keys, expected, "{said}");
    assert!(said.contains("6 mistakes"), "{said}");
}

#[test]
fn what_this_build_cannot_do_is_said() {
    let folder = tempfile::tempdir().unwrap();
    if !cfg!(feature = "webcam") {
        let config = "[source.a]\nkind = \"webcam\"\n";
        let (code, said) = run(folder.path(), config, &["check-config"]);
        assert_eq!(code, Some(69), "{said}");
        assert!(said.contains("source.a.kind: ") && said.contains("--features webcam"), "{said}");
    }
    if !cfg!(feature = "tensorrt") {
        let config = "[inference]\nengine = \"tensorrt\"\n";
        let (code, said) = run(folder.path(), config, &["check-config"]);
        assert_eq!(code, Some(69), "{said}");
        assert!(said.contains("inference.engine: ") && said.contains("no TensorRT support"), "{said}");
        // With a substitute the start succeeds, and what runs instead is said.
        let config = "[inference]\nengine = \"tensorrt\"\nfallback = \"cpu\"\n";
        let (code, said) = run(folder.path(), config, &["check-config"]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("note: inference.engine: cpu will run instead"), "{said}");
    }
}
