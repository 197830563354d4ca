//! A scanner that pushes its frames: real HTTP, the real store, a daemon that is killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use domain::StagePosition;
use serde_json::{Value, json};
use slide::{Objective, Samples, SlideSettings, Stop, View, VirtualSlide};

use crate::{
    broker::{Subscriber, mosquitto_is_missing, publish},
    daemon::{Daemon, adds_up, free_port},
};

/// An answer: status, `Retry-After`, document.
struct Answer(u16, Option<String>, Value);

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let later = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let kind = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_string().unwrap();
    if status >= 400 {
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{text}");
    }
    Answer(status, later, serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}")))
}

fn push(daemon: &Daemon, query: &str, body: &[u8]) -> Answer {
    read(agent().post(format!("{}/api/v1/sources/stage/frames?{query}", daemon.page)).send(body).unwrap())
}

fn answer(daemon: &Daemon, trigger: &str) -> Value {
    let url = format!("{}/api/v1/triggers/{trigger}?wait=60", daemon.page);
    read(agent().get(url).call().unwrap()).2
}

fn config(spool: u32) -> String {
    format!(
        "[source.stage]\nkind = \"push\"\num_per_px = 0.0645\nspool = {spool}\ncase = \"K-9\"\n[mqtt]\nembedded_port = {}\n",
        free_port()
    )
}

/// Pictures of cells of the virtual slide.
fn pictures(folder: &Path, cells: u32) -> Vec<PathBuf> {
    let slides = folder.join("slides");
    let made = Command::new(env!("CARGO_BIN_EXE_metaphased"))
        .args(["simulate", "--cells", &cells.to_string(), "--seed", "7", "--size", "900x700", "--out"])
        .arg(&slides)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let files = metaphased::camera::list_files(&slides).unwrap();
    let is_picture =
        |path: &PathBuf| path.extension().is_some_and(|e| e == "png") && !path.to_str().unwrap().contains("masks");
    files.into_iter().filter(is_picture).collect()
}

#[test]
fn a_pushed_frame_is_answered_once_and_a_wrong_one_is_refused_with_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let picture = fs::read(&pictures(folder.path(), 1)[0]).unwrap();
    let daemon = Daemon::start(folder.path(), &config(8));

    let Answer(status, _, taken) = push(&daemon, "trigger=f%2F1&field=A1&x_um=100.5&y_um=-20&um_per_px=0.1", &picture);
    assert_eq!(
        (status, taken["trigger"].as_str(), taken["field"].as_str()),
        (202, Some("f/1"), Some("A1")),
        "{taken:#}"
    );
    let found = answer(&daemon, "f%2F1");
    assert_eq!(found["state"], "cell", "{found:#}");
    assert!(found["quality"]["focus"].as_f64() > Some(0.0), "{found:#}");
    let cell = daemon.get(&format!("/api/v1/cells/{}", found["cells"][0].as_str().unwrap()));
    assert_eq!((&cell["captured"]["trigger"], &cell["case"]), (&"f/1".into(), &"K-9".into()));
    let captured = &cell["captured"];
    assert_eq!(
        (&captured["stage_um"], &captured["um_per_px"]),
        (&serde_json::json!({"x": 100.5, "y": -20.0}), &0.1.into())
    );

    // The same again is no second frame; the same id with another one is refused.
    let Answer(status, _, again) = push(&daemon, "trigger=f%2F1", &picture);
    assert_eq!((status, &again["cells"]), (200, &found["cells"]), "{again:#}");
    let Answer(status, _, other) = push(&daemon, "trigger=f%2F1&x_um=-5&y_um=1", &picture);
    assert_eq!(status, 409, "another place of the same frame: {other:#}");
    let Answer(status, _, other) = push(&daemon, "trigger=f%2F1&format=mono8&width=2&height=1", &[1, 2]);
    assert!(status == 409 && other["detail"].as_str().unwrap().contains("another frame"), "{other:#}");

    // What shows only when it is decoded is answered with a rejection.
    let Answer(status, _, broken) = push(&daemon, "trigger=cut", &picture[..picture.len() / 2]);
    assert_eq!(status, 202, "{broken:#}");
    let broken = answer(&daemon, "cut");
    assert_eq!((&broken["state"], &broken["reason"]), (&"rejected".into(), &"unreadable".into()), "{broken:#}");
    let Answer(_, _, grey) = push(&daemon, "format=mono8&width=300&height=200", &vec![200; 60_000]);
    let grey = answer(&daemon, grey["trigger"].as_str().unwrap());
    assert_eq!((&grey["state"], &grey["reason"]), (&"rejected".into(), &"empty".into()), "{grey:#}");

    for (query, body, status, words) in [
        ("", &b"Dear scanner"[..], 415, "expected PNG, JPEG, BMP, WebP or TIFF"),
        ("", b"", 400, "empty"),
        ("x_um=1", &picture[..], 400, "go together"),
        ("colour=red", &picture[..], 400, "unknown value 'colour'"),
        ("format=mono8&width=4&height=4", b"123", 400, "4 x 4 pixels of mono8 are 16 bytes"),
        ("format=mono8&width=65535&height=65535", b"123", 413, "at most"),
    ] {
        let Answer(found, _, problem) = push(&daemon, query, body);
        assert!(found == status && problem["detail"].as_str().unwrap().contains(words), "{query}: {found} {problem:#}");
    }
    let nowhere = agent().post(format!("{}/api/v1/sources/nowhere/frames", daemon.page)).send(&picture[..]).unwrap();
    assert_eq!(read(nowhere).0, 404);
    assert_eq!(read(agent().get(format!("{}/api/v1/triggers/none", daemon.page)).call().unwrap()).0, 404);

    let stats = daemon.wait("three answers", |source| source["stats"]["in_flight"].as_u64() == Some(0));
    assert!(adds_up(&stats) && stats["accepted"] == 3, "{stats:#}");
    let spool = folder.path().join("state/metaphased/spool");
    assert_eq!(fs::read_dir(spool).unwrap().count(), 0, "what is answered leaves the spool");
}

#[test]
fn a_full_spool_makes_the_scanner_wait() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &config(2));
    let stop = agent().post(format!("{}/api/v1/commands/stop", daemon.page)).send_json(serde_json::json!({})).unwrap();
    assert_eq!(read(stop).0, 200);
    let frame = vec![200; 60_000];
    let query = |n: u32| format!("trigger=t{n}&format=mono8&width=300&height=200");
    // The source may hold its last wait for a frame when it is paused: one more may pass.
    let mut taken = Vec::new();
    let refused = (0..4).find_map(|n| {
        let found = push(&daemon, &query(n), &frame);
        if found.0 == 202 {
            taken.push(n);
            return None;
        }
        Some(found)
    });
    let Answer(status, later, problem) = refused.expect("the spool is full");
    assert_eq!((status, later.as_deref()), (429, Some("1")), "{problem:#}");
    let stats = daemon.wait("busy", |source| source["stats"]["busy"] == true);
    assert!(stats["waiting"].as_u64() >= Some(1), "{stats:#}");
    let start =
        agent().post(format!("{}/api/v1/commands/start", daemon.page)).send_json(serde_json::json!({})).unwrap();
    assert_eq!(read(start).0, 200);
    for n in taken {
        assert_eq!(answer(&daemon, &format!("t{n}"))["state"], "rejected");
    }
    assert_eq!(push(&daemon, &query(9), &frame).0, 202, "there is space again");
}

#[test]
fn what_was_accepted_survives_a_kill_and_is_answered_once() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = pictures(folder.path(), 2);
    let config = config(64);
    let mut accepted = 0;
    for round in 0..3 {
        let mut daemon = Daemon::start(folder.path(), &config);
        for n in 0..4 {
            let query = format!("trigger=r{round}-{n}&x_um={n}&y_um={round}");
            let Answer(status, _, view) = push(&daemon, &query, &fs::read(&pictures[n % pictures.len()]).unwrap());
            assert_eq!(status, 202, "{view:#}");
            accepted += 1;
        }
        daemon.child.kill().unwrap();
        daemon.child.wait().unwrap();
    }
    let daemon = Daemon::start(folder.path(), &config);
    for round in 0..3 {
        for n in 0..4 {
            let found = answer(&daemon, &format!("r{round}-{n}"));
            assert_eq!((&found["state"], &found["stage_um"]["x"]), (&"cell".into(), &(n as f64).into()), "{found:#}");
        }
    }
    let cells = daemon.get("/api/v1/cells?limit=500&case=K-9");
    let mut triggers: Vec<&str> =
        cells["cells"].as_array().unwrap().iter().map(|cell| cell["captured"]["trigger"].as_str().unwrap()).collect();
    triggers.sort_unstable();
    let found = triggers.len();
    triggers.dedup();
    assert_eq!((found, triggers.len()), (accepted, accepted), "each once");
    daemon.signal("-TERM");
    assert_eq!(daemon.ends_within(Duration::from_secs(6)).code(), Some(0));
}

#[test]
fn a_trigger_is_answered_with_what_triage_saw_and_later_with_what_came_of_it() {
    if mosquitto_is_missing("a trigger over MQTT") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = format!(
        "station = \"lab\"\n[source.scope]\nkind = \"simulator\"\nsize = [680, 512]\num_per_px = 0.13\nrate_hz = 4\n\
         [mqtt]\nembedded_port = {port}\n"
    );
    let daemon = Daemon::start(folder.path(), &config);
    let post = |body: Value| read(agent().post(format!("{}/api/v1/trigger", daemon.page)).send_json(body).unwrap());
    let Answer(status, _, seen) = post(json!({"trigger": "t1", "field": "A1", "stage_um": {"x": 7.0, "y": 8.0}}));
    assert_eq!((status, &seen["trigger"], &seen["source"]), (202, &"t1".into(), &"scope".into()), "{seen:#}");
    assert!(seen["frame"].as_u64() > Some(0) && seen["quality"]["focus"].is_number(), "{seen:#}");
    assert!(seen["verdict"].is_string(), "{seen:#}");
    let came = answer(&daemon, "t1");
    assert_eq!((&came["frame"], &came["field"]), (&seen["frame"], &"A1".into()), "{came:#}");
    assert_eq!(came["stage_um"], json!({"x": 7.0, "y": 8.0}));
    match came["state"].as_str() {
        Some("cell") => {
            let cell = daemon.get(&format!("/api/v1/cells/{}", came["cells"][0].as_str().unwrap()));
            assert_eq!(cell["captured"]["stage_um"], json!({"x": 7.0, "y": 8.0}));
        }
        state => assert_eq!((state, &came["reason"]), (Some("rejected"), &"no_chromosomes".into()), "{came:#}"),
    }
    let Answer(_, _, again) = post(json!({"trigger": "t1", "field": "A1", "stage_um": {"x": 7.0, "y": 8.0}}));
    assert_eq!(again, came, "it is not taken again");
    assert_eq!(post(json!({"trigger": "t1", "field": "A2"})).0, 409);

    let heard = Subscriber::on(port, &[]);
    let trigger = json!({"id": 5, "trigger": "t2", "stage_um": {"x": 1.0, "y": 2.0, "z": 3.0}});
    publish(port, "metaphased/lab/command/trigger", &trigger.to_string(), &[]);
    let result = heard.next_on("metaphased/lab/result/trigger").json();
    assert_eq!((&result["ok"], &result["id"]), (&true.into(), &"5".into()), "{result:#}");
    assert_eq!(result["data"]["trigger"], "t2");
    assert!(result["data"]["frame"].as_u64() > seen["frame"].as_u64(), "{result:#}");
    assert_ne!(answer(&daemon, "t2")["state"], "waiting");
}

#[test]
fn search_frames_give_the_places_of_metaphases_on_their_slide() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let config = format!(
        "station = \"lab\"\n[source.stage]\nkind = \"push\"\nsearch = true\nslide = \"S 1\"\n\
         [mqtt]\nembedded_port = {port}\n"
    );
    let daemon = Daemon::start(folder.path(), &config);
    let (width, height) = (1600, 1200);
    let settings =
        SlideSettings { seed: 2, cells: Some(40), width, height, um_per_px: 0.0645, ..SlideSettings::default() };
    let mut slide = VirtualSlide::new(settings).unwrap();
    let mut pixels = vec![0; (width * height) as usize];
    // A field at the edge of the cells, where nuclei outnumber metaphases, and one in the midst of them.
    let fields = [(925.4, -6.6), (400.0, 300.0)];
    let truth: Vec<_> = (0..40).map(|cell| slide.at_cell(cell).stage).collect();
    let (mut shown, mut found, mut foreign) = (0, 0, 0);
    for (number, (x, y)) in fields.into_iter().enumerate() {
        let stop = Stop { stage: StagePosition { x, y, z: Some(0.0) }, motion_um: [0.0; 2], exposure: number as u64 };
        slide.render_view(&View { stop, objective: Objective::Search }, Samples::Mono8(&mut pixels)).unwrap();
        let query =
            format!("trigger=f{number}&x_um={x}&y_um={y}&um_per_px=0.645&format=mono8&width={width}&height={height}");
        assert_eq!(push(&daemon, &query, &pixels).0, 202);
        let came = answer(&daemon, &format!("f{number}"));
        let at = |place: &Value, axis: &str| place["stage_um"][axis].as_f64().unwrap();
        let list = came["metaphases"].as_array().unwrap();
        let near = |place: &Value, t: &StagePosition| (at(place, "x") - t.x).hypot(at(place, "y") - t.y) < 15.0;
        // Those that lie whole in the field.
        let [half_width, half_height] = [width, height].map(|side| f64::from(side) * 0.645 / 2.0 - 45.0);
        let whole = truth.iter().filter(|t| (t.x - x).abs() < half_width && (t.y - y).abs() < half_height);
        for t in whole {
            shown += 1;
            found += usize::from(list.iter().any(|place| near(place, t)));
        }
        let is_foreign = |place: &&Value| place["cut"] == false && !truth.iter().any(|t| near(place, t));
        foreign += list.iter().filter(is_foreign).count();
    }
    assert!(shown > 30 && found * 20 >= shown * 19 && foreign <= 1, "{found} of {shown}, {foreign} foreign");
    let Answer(_, _, grey) = push(&daemon, "trigger=place&format=mono8&width=1600&height=1200", &pixels);
    let grey = answer(&daemon, grey["trigger"].as_str().unwrap());
    assert_eq!((&grey["state"], &grey["reason"]), (&"rejected".into(), &"unsupported".into()), "{grey:#}");
    let place = agent().get(format!("{}/api/v1/slides/none", daemon.page)).call().unwrap();
    assert_eq!(read(place).0, 404);
    let store = metaphased::store::StoreReader::open(&folder.path().join("state/metaphased")).unwrap();
    crate::broker::wait_until("the slide's document", Duration::from_secs(10), || {
        let latest = store.latest_after(0, 100).unwrap();
        let Some(row) = latest.iter().find(|row| row.topic == "slide/S%201") else { return false };
        let slide: Value = serde_json::from_str(row.payload.as_deref().unwrap()).unwrap();
        let ranks: Vec<u64> =
            slide["metaphases"].as_array().unwrap().iter().map(|m| m["rank"].as_u64().unwrap()).collect();
        slide["schema"] == "slide/1" && ranks.iter().copied().eq(1..=ranks.len() as u64) && !ranks.is_empty()
    });
}
