//! Argument parsing, and help that is not mistaken for success.
//!
//! `scrip check "$CODE" && grant` must not grant when a player types `-h` as a code. So help exits with 0 only if nothing else
//! can have been meant: no other argument is given, and the command would not run with `-h` as its only value.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, ArgGroup, Command, CommandFactory, Parser};

use crate::cli::Cli;
use crate::exit::Exit;
use crate::print;

/// Commands whose exit code is a verdict on one value, which people may have typed: for these not even `--help` is success.
const VERDICTS: [&str; 4] = ["check", "confirm", "release", "refund"];

/// Reads the arguments.
///
/// # Errors
/// The exit code, if help or an error was printed instead.
pub(crate) fn parse() -> Result<Cli, Exit> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    Cli::try_parse_from(&arguments).map_err(|error| {
        if let Err(why) = error.print()
            && !error.use_stderr()
        {
            print::failed(why);
        }
        let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        match is_help && is_meant(arguments.get(1..).unwrap_or_default()) {
            true => Exit::Done,
            false if is_help => {
                print::complain(
                    "scrip: help was printed and the command was not run; to pass a value that begins with a hyphen, \
                     put it after --: `scrip check -- -h`",
                );
                Exit::Usage
            }
            false => Exit::Usage,
        }
    })
}

/// Whether these arguments can only be a request for help.
fn is_meant(arguments: &[OsString]) -> bool {
    let mut command = &Cli::command();
    for (at, argument) in arguments.iter().enumerate() {
        if argument == "help" && command.has_subcommands() {
            return true;
        }
        match argument.to_str().and_then(|name| command.find_subcommand(name)) {
            Some(named) => command = named,
            None => {
                // `-hx` prints help too, but nobody asks for it like that.
                let is_short = argument.as_encoded_bytes().starts_with(b"-h");
                let is_value = is_short && (argument != "-h" || takes_one_value(command));
                return at + 1 == arguments.len() && !is_value && !VERDICTS.contains(&command.get_name());
            }
        }
    }
    true
}

/// Whether a command is complete with a single value that is not named by an option.
fn takes_one_value(command: &Command) -> bool {
    let required = |argument: &&Arg| argument.is_required_set();
    command.get_positionals().next().is_some()
        && command.get_positionals().filter(required).count() <= 1
        && !command.get_opts().any(|option| required(&option))
        && !command.get_groups().any(ArgGroup::is_required_set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(arguments: &str, expected: bool) {
        let arguments: Vec<OsString> = arguments.split_whitespace().map(Into::into).collect();
        assert_eq!(is_meant(&arguments), expected, "{arguments:?}");
    }

    #[test]
    fn help_succeeds_only_if_nothing_else_can_be_meant() {
        for arguments in [
            "--help",
            "-h",
            "--version",
            "redeem --help",
            "redeem -h",
            "campaign create -h",
            "help",
            "help check",
            "client show --help",
        ] {
            check(arguments, true);
        }
        for arguments in [
            "redeem -h --client 1 --club 1",
            "redeem --client 1 --club 1 -h",
            "hold -h --client 1 --club 1",
            "check -h",
            "check help -h",
            "check --help",
            "check A -h",
            "confirm -h",
            "release -h",
            "refund --help",
            "refund-top-up -h",
            "client show -h",
            "reader forget -h",
            "token revoke -h",
            "snapshot verify -h",
            "inspect snapshot -h",
            "reader forget -hx",
            "campaign create -hx",
            "--version redeem A",
            "-h redeem A --client 1 --club 1",
        ] {
            check(arguments, false);
        }
    }
}
