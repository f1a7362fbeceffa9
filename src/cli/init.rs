//! `scrip init`: begins an organisation in a data folder.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use scrip_core::guard::GuardLimits;
use scrip_engine::credentials::IssuedToken;
use scrip_engine::folder::{Config, Folder};
use scrip_protocol::Settings;

use crate::exit::Exit;
use crate::print;

/// Begin an organisation: configuration, certificates, and one token for each role
///
/// The tokens are printed once and stored nowhere; the folder holds their hashes only.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder to make
    dir: PathBuf,
    /// The organisation's name
    #[arg(long, default_value = "Organisation", value_name = "NAME")]
    organisation: String,
    /// The currency of every amount (ISO 4217)
    #[arg(long, default_value = "EUR", value_name = "CODE")]
    currency: String,
    /// Where the engine is to listen (UDP)
    #[arg(long, default_value = "127.0.0.1:4600", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A name or address under which callers reach the engine, for its certificate; localhost, 127.0.0.1 and ::1 are always in it
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Init {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let settings =
            Settings { organisation: self.organisation.clone(), currency: self.currency.clone(), ..Settings::default() };
        let config = Config::new(self.listen, settings, GuardLimits::default());
        let begun = Folder::at(&self.dir).begin(&config, &self.hosts)?;
        self.show(begun.tokens());
        print::ensure_shown().context("the tokens could not be shown, and no organisation was made")?;
        begun.finish()?;
        Ok(Exit::Done)
    }

    fn show(&self, tokens: &[IssuedToken]) {
        if self.json {
            let tokens: serde_json::Map<_, _> =
                tokens.iter().map(|issued| (issued.credential.role.to_string(), issued.token.as_str().into())).collect();
            return print::json(&serde_json::json!({ "dir": self.dir, "listen": self.listen, "tokens": tokens }));
        }
        print::line(format_args!("{} holds an organisation now. Its tokens, shown only here:\n", self.dir.display()));
        let row = |issued: &IssuedToken| vec![issued.credential.role.to_string(), issued.token.clone()];
        print::table(&["ROLE", "TOKEN"], &tokens.iter().map(row).collect::<Vec<_>>());
        print::line(format_args!("\nNext: scrip serve --data {}", self.dir.display()));
    }
}
