//! From a task's policy to the CLI's flags. Only what is listed here reaches the command line, each
//! value is checked, and each stands behind a `=`, so that none can become a flag of its own.

use crate::worker::api::Policy;

/// What every run is started with. Of the settings only the operator's own are read: those of the
/// working directory would let one task give orders (hooks, servers) to the next.
pub const ALWAYS: [&str; 6] = [
    "-p",
    "--output-format=stream-json",
    "--verbose",
    "--include-partial-messages",
    "--setting-sources=user",
    "--strict-mcp-config",
];
/// The most turns that a policy may ask for.
pub const MAX_TURNS: u32 = 1000;
/// The most tools that it may name, and the longest name, in bytes.
pub const MAX_TOOLS: (usize, usize) = (64, 200);
/// The longest addition to the system prompt, in bytes.
pub const MAX_SYSTEM_PROMPT: usize = 64 << 10;
/// The permission modes that leave the CLI's checks in place.
const MODES: [&str; 5] = ["default", "acceptEdits", "plan", "dontAsk", "auto"];
/// The one that does not.
const BYPASS: &str = "bypassPermissions";

/// What the operator of the worker permits tasks to ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permits {
    /// To run without permission checks.
    pub bypass: bool,
    /// These tools only (`Bash`, or exactly `Bash(git log:*)`); any where it is `None`.
    pub tools: Option<Vec<String>>,
}

/// The flags for a policy.
///
/// # Errors
/// A text for the submitter, when a value is not acceptable or not permitted here.
pub fn of_policy(policy: &Policy, permits: &Permits) -> Result<Vec<String>, String> {
    let mut flags = Vec::new();
    if let Some(model) = &policy.model {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._:/@[]-".contains(c);
        if model.is_empty() || model.len() > 128 || !model.chars().all(plain) {
            return Err("policy.model is not the name of a model".to_owned());
        }
        flags.push(format!("--model={model}"));
    }
    if let Some(turns) = policy.max_turns {
        if !(1..=MAX_TURNS).contains(&turns) {
            return Err(format!("policy.max_turns must be 1 to {MAX_TURNS}"));
        }
        flags.push(format!("--max-turns={turns}"));
    }
    let tools = policy.allowed_tools.as_deref().unwrap_or_default();
    if tools.len() > MAX_TOOLS.0 {
        return Err(format!(
            "policy.allowed_tools has more than {}",
            MAX_TOOLS.0
        ));
    }
    for tool in tools {
        check_tool(tool, permits)?;
        flags.push(format!("--allowed-tools={tool}"));
    }
    if let Some(mode) = &policy.permission_mode {
        if mode == BYPASS && !permits.bypass {
            return Err(format!(
                "policy.permission_mode {BYPASS} is not permitted on this worker"
            ));
        }
        if mode != BYPASS && !MODES.contains(&mode.as_str()) {
            return Err("policy.permission_mode is not one that the CLI knows".to_owned());
        }
        flags.push(format!("--permission-mode={mode}"));
    }
    Ok(flags)
}

/// A tool's name, alone or with a pattern in parentheses: `Read`, `Bash(git log:*)`, `mcp__a__b`.
fn check_tool(tool: &str, permits: &Permits) -> Result<(), String> {
    let wrong = || format!("policy.allowed_tools: {tool:?} does not name a tool");
    let (name, pattern) = match tool.split_once('(') {
        None => (tool, ""),
        Some((name, rest)) => (name, rest.strip_suffix(')').ok_or_else(wrong)?),
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic());
    let clean = |c: char| !c.is_control() && !matches!(c, '(' | ')');
    if tool.len() > MAX_TOOLS.1
        || !starts
        || !name.chars().all(plain)
        || !pattern.chars().all(clean)
    {
        return Err(wrong());
    }
    match &permits.tools {
        Some(all) if !all.iter().any(|one| one == name || one == tool) => Err(format!(
            "policy.allowed_tools: {tool} is not permitted on this worker"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> Policy {
        let mut value: serde_json::Value = serde_json::from_str(text).unwrap();
        value["timeout_sec"] = 60.into();
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_a_policy_may_ask_for_becomes_flags() {
        let all = policy(
            r#"{"model": "claude-opus-4-8[1m]", "max_turns": 4, "permission_mode": "acceptEdits",
                "allowed_tools": ["Read", "Bash(git log:*)", "mcp__a__b"], "budget": 5}"#,
        );
        assert_eq!(
            of_policy(&all, &Permits::default()).unwrap(),
            [
                "--model=claude-opus-4-8[1m]",
                "--max-turns=4",
                "--allowed-tools=Read",
                "--allowed-tools=Bash(git log:*)",
                "--allowed-tools=mcp__a__b",
                "--permission-mode=acceptEdits",
            ]
        );
        assert!(
            of_policy(&policy("{}"), &Permits::default())
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn nothing_else_becomes_one() {
        for text in [
            r#"{"model": ""}"#,
            r#"{"model": "a b"}"#,
            r#"{"model": "x\u0000"}"#,
            r#"{"max_turns": 0}"#,
            r#"{"max_turns": 1001}"#,
            r#"{"allowed_tools": ["--mcp-config"]}"#,
            r#"{"allowed_tools": ["Read Bash"]}"#,
            r#"{"allowed_tools": ["Bash(x) Write(y)"]}"#,
            r#"{"allowed_tools": ["Bash(x"]}"#,
            r#"{"allowed_tools": ["Bash(a\nb)"]}"#,
            r#"{"allowed_tools": [""]}"#,
            r#"{"permission_mode": "--help"}"#,
            r#"{"permission_mode": "bypassPermissions"}"#,
        ] {
            let flags = of_policy(&policy(text), &Permits::default());
            assert!(flags.is_err(), "{text}: {flags:?}");
        }
    }

    #[test]
    fn the_operator_decides_about_bypassing_and_tools() {
        let permits = Permits {
            bypass: true,
            tools: Some(vec!["Read".to_owned(), "Bash(git log:*)".to_owned()]),
        };
        for good in [
            r#"{"permission_mode": "bypassPermissions"}"#,
            r#"{"allowed_tools": ["Read(src/**)", "Bash(git log:*)"]}"#,
        ] {
            of_policy(&policy(good), &permits).unwrap();
        }
        for bad in [r#"["Bash"]"#, r#"["Bash(rm:*)"]"#, r#"["Write"]"#] {
            let text = format!(r#"{{"allowed_tools": {bad}}}"#);
            assert!(of_policy(&policy(&text), &permits).is_err(), "{bad}");
        }
    }
}
