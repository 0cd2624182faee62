use serde_json::json;

use super::*;

const SESSION: &str = "11111111-1111-4111-8111-111111111111";

fn end(result: Value) -> End {
    End {
        result: Some(result),
        limit: None,
        usage: Usage::default(),
    }
}

fn success(text: &str) -> End {
    end(
        json!({"type": "result", "subtype": "success", "is_error": false, "result": text,
        "session_id": SESSION}),
    )
}

#[test]
fn a_success_carries_its_session_and_an_error_carries_none() {
    let turn = Some(Turn {
        session_id: SESSION.to_owned(),
        how: How::New,
    });
    let verdict = judge(&success("hi"), How::New, false, None);
    assert_eq!(verdict, Verdict::Success("hi".to_owned(), turn));
    let failed =
        json!({"subtype": "error_max_turns", "is_error": true, "errors": ["Reached maximum"]});
    let verdict = judge(&end(failed), How::New, false, None);
    assert_eq!(verdict, Verdict::Failure("Reached maximum".to_owned()));
    // Exit status 0 and a success in name, but an error.
    let failed = json!({"subtype": "success", "is_error": true, "result": "API Error: 529"});
    let verdict = judge(&end(failed), How::New, false, None);
    assert_eq!(verdict, Verdict::Failure("API Error: 529".to_owned()));
    let nothing = End {
        result: None,
        limit: None,
        usage: Usage::default(),
    };
    let verdict = judge(&nothing, How::New, false, Some("exit status 3".to_owned()));
    assert_eq!(verdict, Verdict::Failure("exit status 3".to_owned()));
}

#[test]
fn a_usage_limit_is_no_failure() {
    let limited = json!({"subtype": "success", "is_error": true,
        "result": "API Error: Request rejected (429) · Claude AI usage limit reached|4102444800"});
    let verdict = judge(&end(limited), How::New, false, None);
    assert!(matches!(verdict, Verdict::Limited(..)), "{verdict:?}");
    // The words in a good answer mean nothing.
    let verdict = judge(
        &success("Claude AI usage limit reached|1"),
        How::New,
        false,
        None,
    );
    assert!(matches!(verdict, Verdict::Success(..)), "{verdict:?}");
}

#[test]
fn json_is_checked_and_its_fence_taken_off() {
    for good in [
        "{\"a\": 1}",
        "```json\n{\"a\": 1}\n```",
        " ```\n{\"a\": 1}```\n",
    ] {
        let verdict = judge(&success(good), How::New, true, None);
        assert!(
            matches!(&verdict, Verdict::Success(out, _) if out == "{\"a\": 1}"),
            "{verdict:?}"
        );
    }
    for bad in [
        "",
        "Here you are: {}",
        "{\"a\": }",
        "```json\n{}\n``` and more",
    ] {
        let verdict = judge(&success(bad), How::New, true, None);
        assert!(
            matches!(&verdict, Verdict::Failure(why) if why.starts_with("output is not valid JSON")),
            "{bad} {verdict:?}"
        );
    }
}

#[test]
fn two_attempts_never_share_a_session_and_strangers_sessions_are_not_resumed() {
    let with = |session_id: &str, worker_id: &str| Conversation {
        session_id: session_id.to_owned(),
        worker_id: worker_id.to_owned(),
    };
    let of = |conversation: &Conversation, shared: bool, here: bool| {
        session("w", Some(conversation), shared, |_| here)
    };
    let mine = with(SESSION, "w");
    assert_eq!(session("w", None, true, |_| true), How::New);
    assert_eq!(of(&mine, false, true), How::Resumed);
    assert_eq!(of(&mine, true, true), How::Forked);
    assert_eq!(of(&mine, false, false), How::New);
    assert_eq!(of(&with(SESSION, "other"), false, true), How::Moved);
    for hostile in [
        "--help",
        "../x",
        "",
        "11111111-1111-4111-8111-11111111111x",
        "a b",
    ] {
        assert_eq!(of(&with(hostile, "w"), false, true), How::New, "{hostile}");
    }
}

#[test]
fn a_prompt_is_never_a_command() {
    assert_eq!(prompt("", "/model x"), " /model x");
    assert_eq!(prompt("", "--help"), "--help");
    assert_eq!(prompt("files\n", "/model x"), "files\n/model x");
    assert_eq!(prompt("", "a\0b"), "a\u{FFFD}b");
}
