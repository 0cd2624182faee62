//! `bloom completions`: what a shell needs to complete our commands.

use std::process::ExitCode;

use clap_complete::{Shell, generate};

use super::output::Out;

/// Arguments of `bloom completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  bloom completions bash > /etc/bash_completion.d/bloom
  bloom completions zsh > ~/.zfunc/_bloom
  bloom completions fish > ~/.config/fish/completions/bloom.fish
  source <(bloom completions bash)")]
pub struct Args {
    /// Which shell.
    pub shell: Shell,
}

/// Prints them.
///
/// # Errors
/// When they cannot be written.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    generate(args.shell, &mut super::command(), "bloom", &mut script);
    Out::stdout().line(String::from_utf8(script)?.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
