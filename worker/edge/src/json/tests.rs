use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::read;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Point {
    x: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<u32>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Id(String);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Pair(Point, bool);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    One(Point),
    Two(Point, Point),
    Named { at: Point, id: Id },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Of { at: Point },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    shapes: Vec<Shape>,
    pair: Pair,
    by_name: BTreeMap<String, Point>,
    by_number: BTreeMap<u64, Option<Point>>,
    tagged: Tagged,
    boxed: Box<Point>,
    value: Value,
    #[serde(flatten)]
    rest: Point,
}

fn point(x: i64) -> Point {
    Point {
        x,
        y: u32::try_from(x).ok(),
    }
}

fn everything() -> Everything {
    Everything {
        shapes: vec![
            Shape::Nothing,
            Shape::One(point(-1)),
            Shape::Two(point(2), point(3)),
            Shape::Named {
                at: point(4),
                id: Id("\"é\n".to_owned()),
            },
        ],
        pair: Pair(point(5), true),
        by_name: [("six".to_owned(), point(6))].into(),
        by_number: [(7, Some(point(7))), (8, None)].into(),
        tagged: Tagged::Of { at: point(9) },
        boxed: Box::new(point(10)),
        value: json!({"a": [1, "2", null, {"b": 0.5}]}),
        rest: point(11),
    }
}

#[test]
fn what_serde_has_written_is_read_as_it_was() {
    let text = serde_json::to_vec(&everything()).unwrap();
    assert_eq!(read::<Everything>(&text).unwrap(), everything());
    assert_eq!(read::<Option<Id>>(b" null\n").unwrap(), None);
}

#[test]
fn a_struct_is_no_array_wherever_it_lies() {
    let right = serde_json::to_value(everything()).unwrap();
    assert!(read::<Everything>(right.to_string().as_bytes()).is_ok());
    for place in [
        "/shapes/1/One",
        "/shapes/2/Two/1",
        "/shapes/3/Named",
        "/shapes/3/Named/at",
        "/pair/0",
        "/by_name/six",
        "/by_number/7",
        "/boxed",
    ] {
        let mut wrong = right.clone();
        *wrong.pointer_mut(place).unwrap() = json!([1, 2]);
        let error = read::<Everything>(wrong.to_string().as_bytes()).unwrap_err();
        assert!(
            error.to_string().starts_with("invalid type: sequence"),
            "{place}: {error}"
        );
    }
}

#[test]
fn unknown_members_are_passed_over_and_missing_ones_are_told() {
    assert_eq!(read::<Point>(br#"{"z": {"x": [1]}, "x": 1}"#).unwrap().x, 1);
    let error = read::<Point>(br#"{"y": 1}"#).unwrap_err();
    assert!(
        error.to_string().starts_with("missing field `x`"),
        "{error}"
    );
}

#[test]
fn nothing_may_follow() {
    assert!(read::<Point>(br#"{"x": 1} 2"#).is_err());
    assert!(read::<Point>(br#"{"x": 1"#).is_err());
}
