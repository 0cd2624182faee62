//! The texts of the page, in both languages.

use std::path::Path;

use serde_json::{Value, json};

use super::browser::Browser;
use super::service;

/// The names and forms of a language's texts, as the page itself reads them.
async fn catalog(browser: &Browser, language: &str) -> Value {
    let script = format!(
        "const done = arguments[arguments.length - 1];
         const main = document.querySelector('script[type=module]').src;
         import(new URL('../i18n/{language}.js', main)).then(file => done(file.default))"
    );
    browser.js_async(&script).await
}

/// The `{{names}}` in a text or its forms.
fn places(text: &Value) -> Vec<String> {
    let forms: Vec<&str> = match text {
        Value::String(text) => vec![text],
        Value::Object(forms) => forms.values().filter_map(Value::as_str).collect(),
        other => panic!("no text: {other}"),
    };
    let mut names: Vec<String> = forms
        .iter()
        .flat_map(|form| form.split('{').skip(1))
        .map(|rest| rest.split('}').next().unwrap().to_owned())
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Every text that the code asks for by its full name.
fn asked() -> Vec<String> {
    let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("ui/app");
    let mut names = Vec::new();
    for folder in [app.clone(), app.join("pages")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                continue;
            }
            let code = std::fs::read_to_string(path).unwrap();
            for (at, call) in code.match_indices("t('") {
                // Not the end of a longer name, as in `get('`.
                let before = code[..at].chars().next_back().unwrap_or(' ');
                if before.is_ascii_alphanumeric() || "._".contains(before) {
                    continue;
                }
                let rest = &code[at + call.len()..];
                names.push(rest.split('\'').next().unwrap().to_owned());
            }
        }
    }
    names.retain(|name| {
        name.chars()
            .all(|letter| letter.is_ascii_lowercase() || "._".contains(letter))
    });
    names
}

#[tokio::test]
async fn both_languages_say_everything_in_all_its_plural_forms() {
    let runtime = service().await;
    let browser = Browser::signed_in(&runtime.api.base).await;
    let (english, ukrainian) = (catalog(&browser, "en").await, catalog(&browser, "uk").await);
    let (english, ukrainian) = (english.as_object().unwrap(), ukrainian.as_object().unwrap());
    let names = |texts: &serde_json::Map<String, Value>| {
        let mut names: Vec<String> = texts.keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(names(english), names(ukrainian));
    for (name, text) in english {
        let other = &ukrainian[name];
        assert_eq!(places(text), places(other), "{name}");
        if let Some(forms) = other.as_object() {
            let mut forms: Vec<_> = forms.keys().map(String::as_str).collect();
            forms.sort_unstable();
            assert_eq!(forms, ["few", "many", "one", "other"], "{name}");
            assert!(text.is_object(), "{name}");
        }
    }
    let asked = asked();
    assert!(asked.len() > 200, "the calls are found: {}", asked.len());
    for name in asked {
        assert!(english.contains_key(&name), "no text {name:?}");
    }
}

#[tokio::test]
async fn language_and_colours_change_at_once_and_stay() {
    let runtime = service().await;
    let browser = Browser::signed_in(&runtime.api.base).await;
    browser.settled("Overview").await;
    browser.click("[data-tool=language]").await;
    browser.settled("Огляд").await;
    browser.sees(".side", "Завдання").await;
    browser.click("[data-tool=theme]").await;
    let light = browser
        .js("return document.documentElement.dataset.theme", vec![])
        .await;
    browser.click("[data-tool=theme]").await;
    let dark = browser
        .js("return document.documentElement.dataset.theme", vec![])
        .await;
    assert_eq!((light, dark), (json!("light"), json!("dark")));
    browser.reload().await;
    browser.settled("Огляд").await;
    let kept = "return [document.documentElement.lang, document.documentElement.dataset.theme,
        getComputedStyle(document.documentElement).colorScheme]";
    let kept = browser.js(kept, vec![]).await;
    assert_eq!(kept, json!(["uk", "dark", "dark"]));
}
