//! Discovery for Home Assistant: one retained message that makes a device with sensors of this station.
//!
//! Format: "MQTT discovery, device discovery payload" of Home Assistant's documentation.

use serde_json::{Value, json};

use super::topics::{PICTURE_TOPIC, Topics};

/// Topic and payload that announce a station. The topic lies outside the station's root: Home Assistant listens there.
/// `picture`: the picture of the last cell is published, too.
pub fn discovery(station: &str, version: &str, topics: &Topics, picture: bool) -> (String, Value) {
    let device = format!("metaphased-{station}");
    let id = |what: &str| format!("metaphased_{station}_{what}");
    let sensor = |what: &str, name: &str, topic: &str, template: &str, more: Value| {
        let mut sensor = json!({
            "platform": "sensor",
            "name": name,
            "unique_id": id(what),
            "state_topic": topics.of(topic),
            "value_template": template,
        });
        if let (Some(sensor), Value::Object(more)) = (sensor.as_object_mut(), more) {
            sensor.extend(more);
        }
        (what.to_owned(), sensor)
    };
    let components: serde_json::Map<String, Value> = [
        sensor(
            "state",
            "State",
            "state",
            "{{ value_json.level }}",
            json!({
                "device_class": "enum",
                "options": ["ok", "degraded", "failed"],
                "json_attributes_topic": topics.of("state"),
                "json_attributes_template": "{{ {'reasons': value_json.reasons, 'case': value_json.case} | tojson }}",
            }),
        ),
        sensor(
            "cells",
            "Cells",
            "stats",
            "{{ value_json.cells_stored }}",
            json!({ "state_class": "total_increasing", "unit_of_measurement": "cells" }),
        ),
        sensor(
            "rate",
            "Cells a minute",
            "stats",
            "{{ value_json.cells_per_min | round(1) }}",
            json!({ "state_class": "measurement", "unit_of_measurement": "cells/min" }),
        ),
        sensor(
            "outbox",
            "Messages waiting",
            "stats",
            "{{ value_json.outbox_depth }}",
            json!({ "state_class": "measurement", "entity_category": "diagnostic" }),
        ),
        sensor(
            "alarm",
            "Dose alarm",
            "alarm",
            "{{ 'ON' if value_json.state == 'raised' else 'OFF' }}",
            json!({
                "platform": "binary_sensor",
                "device_class": "safety",
                "json_attributes_topic": topics.of("alarm"),
            }),
        ),
    ]
    .into_iter()
    .chain(picture.then(|| last_cell(&id("picture"), topics)))
    .collect();
    let payload = json!({
        "device": {
            "identifiers": [device],
            "name": format!("Microscope {station}"),
            "model": "metaphased",
            "sw_version": version,
        },
        "origin": { "name": "metaphased", "sw_version": version },
        "availability_topic": topics.of("availability"),
        "components": components,
    });
    (format!("homeassistant/device/{device}/config"), payload)
}

/// The picture of the last cell. Home Assistant takes the topic's payload as it is, so it has a topic of its own.
fn last_cell(id: &str, topics: &Topics) -> (String, Value) {
    let image = json!({
        "platform": "image",
        "name": "Last cell",
        "unique_id": id,
        "image_topic": topics.of(PICTURE_TOPIC),
        "image_encoding": "b64",
        "content_type": "image/jpeg",
    });
    ("picture".to_owned(), image)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys that an object must have, may have, and has.
    fn check(known: &Value, kinds: &[&str], object: &Value) {
        let names = |kind: &str, which: &str| -> Vec<String> {
            serde_json::from_value(known[kind][which].clone()).expect("a list of names")
        };
        let object = object.as_object().expect("an object");
        for kind in kinds {
            for key in names(kind, "required") {
                assert!(object.contains_key(&key), "{kind} lacks {key}");
            }
        }
        for (key, value) in object {
            assert!(kinds.iter().any(|kind| names(kind, "allowed").contains(key)), "{key} is no key of {kinds:?}");
            if let Some(values) = known["values"][key].as_array() {
                assert!(values.contains(value), "{value} is no {key}");
            }
        }
    }

    #[test]
    fn home_assistant_takes_every_key() {
        let known: Value =
            serde_json::from_str(include_str!("../../tests/data/home_assistant_discovery.json")).expect("JSON");
        let (_, payload) = discovery("lab-1", "0.1.0", &Topics::new("metaphased", "lab-1"), true);
        check(&known, &["message"], &payload);
        check(&known, &["device"], &payload["device"]);
        check(&known, &["origin"], &payload["origin"]);
        for component in payload["components"].as_object().expect("an object").values() {
            check(&known, &["component", component["platform"].as_str().expect("a platform")], component);
            // An enumeration has options, and neither unit nor state class.
            if component["device_class"] == "enum" {
                assert!(component["options"].is_array());
                assert!(component.get("unit_of_measurement").or(component.get("state_class")).is_none());
            }
        }
    }

    #[test]
    fn the_picture_is_announced_where_it_is_published() {
        let topics = Topics::new("metaphased", "lab-1");
        let picture = |published| discovery("lab-1", "0.1.0", &topics, published).1["components"]["picture"].clone();
        assert_eq!(picture(false), Value::Null);
        assert_eq!(picture(true)["image_topic"], "metaphased/lab-1/picture");
    }

    #[test]
    fn every_sensor_reads_a_topic_of_the_station_and_has_an_id_of_its_own() {
        let topics = Topics::new("metaphased", "lab-1");
        let (topic, payload) = discovery("lab-1", "0.1.0", &topics, false);
        assert_eq!(topic, "homeassistant/device/metaphased-lab-1/config");
        assert_eq!(payload["availability_topic"], "metaphased/lab-1/availability");
        let components = payload["components"].as_object().expect("an object");
        assert_eq!(components.len(), 5);
        for (name, component) in components {
            assert_eq!(component["unique_id"], format!("metaphased_lab-1_{name}"));
            let read = component["state_topic"].as_str().expect("a topic");
            assert!(["state", "stats", "alarm"].contains(&topics.below(read).expect("below the root")), "{read}");
        }
        assert_eq!(components["alarm"]["platform"], "binary_sensor");
    }
}
