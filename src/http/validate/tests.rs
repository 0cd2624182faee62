//! The contract's texts, one by one.

use serde_json::json;

use super::Form;
use crate::error::{Error, Result};

fn texts(result: Result<()>) -> serde_json::Value {
    match result {
        Err(Error::Fields(errors)) => errors.to_json(),
        other => panic!("expected field errors, got {other:?}"),
    }
}

#[test]
fn every_field_is_reported_with_the_contracts_text() {
    let body = json!({
        "short": "", "long": "ééé", "type": 1, "null": null, "url": "nope", "kind": "x",
        "kind_type": 1, "int": 3.5, "low": 0, "high": 11, "num": -1.5, "flag": "true",
        "list": ["a", 1], "many": ["a", "b"], "id": "x", "policy": {"timeout": 0, "n": "1"},
    });
    let mut form = Form::new(Some(&body)).unwrap();
    form.string("absent").required();
    form.string("short").min(1).required();
    form.string("long").max(2).required();
    form.string("type").required();
    form.string("null").optional();
    form.string("url").url().required();
    form.choice("kind", &["a", "b"]).required();
    form.choice("kind_type", &["a", "b"]).required();
    form.integer("int").required();
    form.integer("low").min(1).required();
    form.integer("high").max(10).required();
    form.number("num").min(0.0).required();
    form.boolean("flag").required();
    form.strings("list").required();
    form.strings("many").max_items(1).required();
    form.uuid("id").required();
    form.object("policy").required(|policy| {
        policy.integer("timeout").range(1, 3600).or(120);
        policy.number("n").required();
        policy.string("gone").required();
    });
    let expected = json!({"formErrors": [], "fieldErrors": {
        "absent": ["Required"],
        "short": ["String must contain at least 1 character(s)"],
        "long": ["String must contain at most 2 character(s)"],
        "type": ["Expected string, received number"],
        "null": ["Expected string, received null"],
        "url": ["Invalid url"],
        "kind": ["Invalid enum value. Expected 'a' | 'b', received 'x'"],
        "kind_type": ["Expected 'a' | 'b', received number"],
        "int": ["Expected integer, received float"],
        "low": ["Number must be greater than or equal to 1"],
        "high": ["Number must be less than or equal to 10"],
        "num": ["Number must be greater than or equal to 0"],
        "flag": ["Expected boolean, received string"],
        "list": ["Expected string, received number"],
        "many": ["Array must contain at most 1 element(s)"],
        "id": ["Invalid uuid"],
        "policy": [
            "Number must be greater than or equal to 1",
            "Expected number, received string",
            "Required",
        ],
    }});
    assert_eq!(texts(form.finish()), expected);
}

#[test]
fn good_values_come_through_and_absence_means_what_the_last_word_says() {
    let body = json!({"n": 3.0, "s": "é", "null": null, "items": [{"a": 1}, {"a": 2}]});
    let mut form = Form::new(Some(&body)).unwrap();
    assert_eq!(form.integer("n").range(3, 3).required(), 3);
    assert_eq!(form.string("s").min(1).max(1).required(), "é");
    assert_eq!(form.string("null").nullable(), None);
    assert!(form.boolean("absent").or(true));
    assert_eq!(
        form.object("absent")
            .or_empty(|inner| inner.integer("x").or(7)),
        7
    );
    assert_eq!(
        form.object("absent")
            .optional(|inner| inner.integer("x").or(7)),
        None
    );
    let items = form
        .objects("items", |item| item.integer("a").required())
        .required();
    assert_eq!(items, [1, 2]);
    form.finish().unwrap();
}

#[test]
fn bodies_that_are_no_objects_are_form_errors() {
    let error = |body: Option<&serde_json::Value>| texts(Form::new(body).map(|_| ()));
    let form = |text: &str| json!({"formErrors": [text], "fieldErrors": {}});
    assert_eq!(error(None), form("Required"));
    assert_eq!(
        error(Some(&json!([]))),
        form("Expected object, received array")
    );
    assert_eq!(
        error(Some(&json!(null))),
        form("Expected object, received null")
    );
    assert!(Form::or_empty(None).is_ok());
}

#[test]
fn a_million_wrong_items_make_a_short_answer() {
    let body = json!({"list": vec![1; 1000], "next": 1});
    let mut form = Form::new(Some(&body)).unwrap();
    form.strings("list").required();
    form.string("next").required();
    let errors = texts(form.finish());
    assert!(errors["fieldErrors"]["list"].as_array().unwrap().len() <= 32);
}
