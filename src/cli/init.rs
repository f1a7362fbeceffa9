//! `scrip init`: creates an organisation in a data folder.

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

/// Create an organisation: configuration, certificates and tokens
///
/// Prints one token for each role. The tokens are printed once and stored nowhere; the folder holds only their hashes.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Data folder to create
    dir: PathBuf,
    /// Name of the organisation
    #[arg(long, default_value = "Organisation", value_name = "NAME", value_parser = organisation)]
    organisation: String,
    /// Currency of every amount (ISO 4217)
    #[arg(long, default_value = "EUR", value_name = "CODE", value_parser = currency)]
    currency: String,
    /// Address for the engine to listen on (UDP)
    #[arg(long, default_value = "127.0.0.1:4600", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Host name or address of the engine, for its certificate; can be repeated
    ///
    /// localhost, 127.0.0.1 and ::1 are always included.
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn organisation(text: &str) -> Result<String, String> {
    accepted(Settings { organisation: text.to_owned(), ..Settings::default() }).map(|settings| settings.organisation)
}

fn currency(text: &str) -> Result<String, String> {
    accepted(Settings { currency: text.to_owned(), ..Settings::default() }).map(|settings| settings.currency)
}

/// Settings that an engine starts with.
fn accepted(settings: Settings) -> Result<Settings, String> {
    settings.check().map(|()| settings).map_err(|invalid| format!("it must be {}", invalid.range))
}

impl Init {
    pub(crate) fn run(self) -> anyhow::Result<Exit> {
        let settings =
            Settings { organisation: self.organisation.clone(), currency: self.currency.clone(), ..Settings::default() };
        let config = Config::new(self.listen, settings, GuardLimits::default());
        let begun = Folder::at(&self.dir).begin(&config, &self.hosts)?;
        self.show(begun.tokens());
        print::ensure_shown().context("the tokens could not be printed, so no organisation was created")?;
        begun.finish()?;
        Ok(Exit::Done)
    }

    fn show(&self, tokens: &[IssuedToken]) {
        if self.json {
            let tokens: serde_json::Map<_, _> =
                tokens.iter().map(|issued| (issued.credential.role.to_string(), issued.token.as_str().into())).collect();
            return print::json(&serde_json::json!({ "dir": self.dir, "listen": self.listen, "tokens": tokens }));
        }
        print::line(format_args!("created an organisation in {}. Its tokens, shown only once:\n", self.dir.display()));
        let row = |issued: &IssuedToken| vec![issued.credential.role.to_string(), issued.token.clone()];
        print::table(&["ROLE", "TOKEN"], &tokens.iter().map(row).collect::<Vec<_>>());
        print::line(format_args!("\nNext: scrip serve --data {}", self.dir.display()));
    }
}
