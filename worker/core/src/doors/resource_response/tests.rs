use super::*;

fn head(headers: &[(&str, &str)]) -> AnswerHead {
    AnswerHead {
        number: 1,
        status: 200,
        headers: headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        length: 0,
    }
}

#[test]
fn json_is_told_as_json_text_as_text_and_bytes_as_base64() {
    let told = |media: &str, body: &[u8]| content(&head(&[("content-type", media)]), body);
    for media in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/problem+json",
    ] {
        assert_eq!(
            told(media, br#"{"a":[1]}"#),
            (json!({"a": [1]}), false),
            "{media}"
        );
        assert_eq!(told(media, b"{"), (json!("{"), false));
    }
    assert_eq!(told("text/plain", b"{}"), (json!("{}"), false));
    assert_eq!(told("application/jsonp", b"{}"), (json!("{}"), false));
    assert_eq!(told("image/png", b"\xff\x00"), (json!("/wA="), true));
    assert_eq!(content(&head(&[]), b""), (json!(""), false));
}

#[test]
fn several_values_of_a_header_are_one() {
    let headers = headers(&head(&[("link", "<a>"), ("x", "1"), ("link", "<b>")]));
    assert_eq!(
        Value::Object(headers),
        json!({"link": "<a>, <b>", "x": "1"})
    );
}
