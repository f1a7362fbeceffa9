//! The data folder of an organisation: what is where, and how it begins.
//!
//! ```text
//! scrip.toml         where to listen, the organisation's settings, when snapshots are taken, what is kept, where metrics are given, and
//!                    the guard's limits
//! credentials.json   the credentials that the organisation begins with; what became of them, and the others, are in the journal
//! tls/ca.pem         the private certificate authority: what callers trust, and who has signed theirs
//! tls/ca.key         its key; needed only to issue certificates, and better kept elsewhere
//! tls/server.pem     the server's certificate
//! tls/server.key     its key
//! journal/           see the journal module
//! snapshots/         see the snapshot module
//! ```
//! Folders are made with mode 0700 and files with 0600.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use scrip_protocol::command::Grant;
use scrip_protocol::record::InvalidSetting;
use scrip_protocol::{CredentialId, Role, Settings};

use crate::certificates::{self, CallersAuthority, IssueError, IssuedCertificate};
use crate::credentials::{Credential, Credentials, InvalidCredential, IssuedToken};
use crate::guard::GuardLimits;
use crate::state;

/// A data folder.
#[derive(Debug, Clone)]
pub struct Folder {
    dir: PathBuf,
}

/// What `scrip.toml` says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the engine listens (UDP).
    pub listen: SocketAddr,
    /// The organisation's settings.
    pub settings: Settings,
    /// When snapshots are taken and verified. What is left out is as by default; here and below.
    #[serde(default)]
    pub snapshots: SnapshotSettings,
    /// What is kept.
    #[serde(default)]
    pub retention: RetentionSettings,
    /// Where metrics are given.
    #[serde(default, skip_serializing_if = "MetricsSettings::is_default")]
    pub metrics: MetricsSettings,
    /// How many misses there may be. They are the running engine's alone: no record keeps them, and what is left out is as by default.
    #[serde(default)]
    pub guard: GuardLimits,
}

impl Config {
    /// A configuration that leaves the rest as by default.
    pub fn new(listen: SocketAddr, settings: Settings, guard: GuardLimits) -> Config {
        let (snapshots, retention) = (SnapshotSettings::default(), RetentionSettings::default());
        Config { listen, settings, snapshots, retention, metrics: MetricsSettings::default(), guard }
    }
}

/// When snapshots are taken, and how they are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotSettings {
    /// One is taken when the journal has grown by so many MiB since the newest; 0 for never by itself.
    pub journal_mib: u64,
    /// A snapshot of up to so many MiB is verified whole before the engine starts on it, a larger one while the engine runs.
    pub verify_at_open_mib: u64,
}

impl Default for SnapshotSettings {
    /// A start replays a GiB of journal in seconds, and reads a quarter of that in less than one.
    fn default() -> SnapshotSettings {
        SnapshotSettings { journal_mib: 1024, verify_at_open_mib: 256 }
    }
}

/// Where the engine answers probes and gives metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// Where it listens (TCP); nowhere, where that is left out.
    pub listen: Option<SocketAddr>,
}

impl MetricsSettings {
    fn is_default(&self) -> bool {
        *self == MetricsSettings::default()
    }
}

/// What is kept of what is not needed to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSettings {
    /// What is kept of the journal.
    pub journal: Retention,
}

/// What is kept of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retention {
    /// All of it.
    #[default]
    All,
    /// What a kept snapshot or a registered reader has not passed. What every one of them has may be dropped, a segment at a time.
    Needed,
}

/// The most MiB that a setting may name: 16 TiB, so that they can be counted in bytes.
const MIB_MAX: u64 = 1 << 24;

/// The names under which an engine is reached on its own machine.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Why a data folder cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is something already.
    #[error("{0}: this folder holds an organisation already; nothing was changed")]
    Exists(PathBuf),
    /// There is nothing.
    #[error("{0}: this folder holds no organisation; `scrip init` makes one")]
    Missing(PathBuf),
    /// The configuration is not what it should be.
    #[error("{path}: {cause}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        cause: String,
    },
    /// A credential of the file cannot be taken.
    #[error("{path}: {source}")]
    Credential {
        /// The file.
        path: PathBuf,
        /// Which one, and why.
        source: InvalidCredential,
    },
    /// A caller's certificate could not be issued.
    #[error("{path}: {source}")]
    AuthorityKey {
        /// The authority's key.
        path: PathBuf,
        /// Why.
        source: IssueError,
    },
    /// A certificate could not be made.
    #[error("a certificate for {hosts:?} could not be made: {source}")]
    Certificate {
        /// The names and addresses asked for.
        hosts: Vec<String>,
        /// Why.
        source: rcgen::Error,
    },
}

impl Folder {
    /// The folder at a path, which need not exist yet.
    pub fn at(dir: impl Into<PathBuf>) -> Folder {
        Folder { dir: dir.into() }
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether an organisation is in it.
    pub fn exists(&self) -> bool {
        self.config_path().exists()
    }

    /// The configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.dir.join("scrip.toml")
    }

    /// The certificate authority that callers trust.
    pub fn ca_path(&self) -> PathBuf {
        self.dir.join("tls/ca.pem")
    }

    /// The server's certificate.
    pub fn certificate_path(&self) -> PathBuf {
        self.dir.join("tls/server.pem")
    }

    /// The server's key.
    pub fn key_path(&self) -> PathBuf {
        self.dir.join("tls/server.key")
    }

    /// The journal's folder.
    pub fn journal_path(&self) -> PathBuf {
        self.dir.join("journal")
    }

    /// The folder of snapshots.
    pub fn snapshots_path(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    /// The authority's key.
    pub fn ca_key_path(&self) -> PathBuf {
        self.dir.join("tls/ca.key")
    }

    /// The authority that callers' certificates must be signed by.
    pub(crate) fn callers_authority(&self) -> Result<CallersAuthority, FolderError> {
        let path = self.ca_path();
        let pem = read(&path)?;
        CallersAuthority::of(pem.as_bytes()).map_err(|cause| FolderError::Config { path, cause })
    }

    /// Makes a certificate for a caller, and its key, with the authority's key. It is good from one time to another, both since 1970. It
    /// lets nobody in before there is a credential for it.
    ///
    /// # Errors
    /// When the authority or its key is not there or cannot be used.
    pub fn issue_certificate(&self, name: &str, from: Duration, until: Duration) -> Result<IssuedCertificate, FolderError> {
        let (authority, path) = (self.callers_authority()?, self.ca_key_path());
        let issued = certificates::issue(&authority, &read(&path)?, name, from, until);
        issued.map_err(|source| FolderError::AuthorityKey { path, source })
    }

    fn credentials_path(&self) -> PathBuf {
        self.dir.join("credentials.json")
    }

    /// Begins an organisation: configuration, certificates for this machine's own names and for the others given, and one token for
    /// each role, which are returned and kept nowhere.
    ///
    /// # Errors
    /// When there is an organisation already, or something cannot be written.
    pub fn init(&self, config: &Config, others: &[String]) -> Result<Vec<IssuedToken>, FolderError> {
        if self.exists() {
            return Err(FolderError::Exists(self.dir.clone()));
        }
        for dir in [self.dir.clone(), self.dir.join("tls")] {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
            made.map_err(|source| FolderError::Io { path: dir, source })?;
        }
        let hosts: Vec<String> = LOCAL_HOSTS.map(str::to_owned).into_iter().chain(others.iter().cloned()).collect();
        let certificates = certificates::begin(&hosts).map_err(|source| FolderError::Certificate { hosts, source })?;
        write_private(&self.ca_path(), &certificates.ca)?;
        write_private(&self.ca_key_path(), &certificates.ca_key)?;
        write_private(&self.certificate_path(), &certificates.server)?;
        write_private(&self.key_path(), &certificates.server_key)?;
        let mut credentials = Credentials::default();
        let issued: Vec<_> = Role::ALL.iter().map(|role| credentials.issue(role.word(), *role)).collect();
        let list = serde_json::to_string_pretty(credentials.list()).expect("credentials are plain values");
        write_private(&self.credentials_path(), &list)?;
        // Last: its presence says that the folder is whole.
        write_private(&self.config_path(), &toml::to_string(config).expect("a configuration is plain values"))?;
        Ok(issued)
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// When it is missing or wrong.
    pub fn config(&self) -> Result<Config, FolderError> {
        let path = self.config_path();
        if !path.exists() {
            return Err(FolderError::Missing(self.dir.clone()));
        }
        let config: Config = toml::from_str(&read(&path)?)
            .map_err(|cause| FolderError::Config { path: path.clone(), cause: cause.to_string() })?;
        let wrong = |field: &str, why: &str| FolderError::Config { path: path.clone(), cause: format!("{field}: {why}") };
        let invalid = |wrong: InvalidSetting| FolderError::Config { path: path.clone(), cause: wrong.to_string() };
        config.settings.check().map_err(invalid)?;
        if config.snapshots.journal_mib > MIB_MAX {
            return Err(wrong("snapshots.journal_mib", "this must be 0 (never) to 16777216"));
        }
        if config.snapshots.verify_at_open_mib > MIB_MAX {
            return Err(wrong("snapshots.verify_at_open_mib", "this must be 0 to 16777216"));
        }
        config.guard.check().map_err(|wrong| FolderError::Config { path: path.clone(), cause: wrong.to_string() })?;
        Ok(config)
    }

    /// What the file of credentials has that a journal does not know.
    ///
    /// # Errors
    /// When the file is missing or wrong, or says otherwise than the journal.
    pub fn credentials_unknown_to(&self, journal: &state::Credentials) -> Result<Vec<(CredentialId, Grant)>, FolderError> {
        let invalid = |source| FolderError::Credential { path: self.credentials_path(), source };
        self.credentials()?.unknown_to(journal).map_err(invalid)
    }

    /// Reads the file of credentials.
    ///
    /// # Errors
    /// When it is missing or wrong.
    pub fn credentials(&self) -> Result<Credentials, FolderError> {
        let path = self.credentials_path();
        let list: Vec<Credential> = serde_json::from_str(&read(&path)?)
            .map_err(|cause| FolderError::Config { path: path.clone(), cause: cause.to_string() })?;
        Ok(Credentials::new(list))
    }
}

fn read(path: &Path) -> Result<String, FolderError> {
    fs::read_to_string(path).map_err(|source| FolderError::Io { path: path.to_owned(), source })
}

fn write_private(path: &Path, text: &str) -> Result<(), FolderError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| FolderError::Io { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn config() -> Config {
        let listen = "127.0.0.1:4600".parse().expect("an address");
        Config::new(listen, Settings::default(), GuardLimits::default())
    }

    #[test]
    fn a_folder_is_begun_once_and_read_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(dir.path().join("data"));
        assert!(matches!(folder.config(), Err(FolderError::Missing(_))));
        let tokens = folder.init(&config(), &["shop.example".to_owned()]).expect("an empty folder");
        assert_eq!(folder.config().expect("just written"), config());
        let credentials = folder.credentials().expect("just written");
        assert!(tokens.iter().map(|issued| &issued.credential).eq(credentials.list()));
        assert!(matches!(folder.init(&config(), &[]), Err(FolderError::Exists(_))));
        for entry in
            fs::read_dir(folder.dir()).expect("a folder").chain(fs::read_dir(folder.dir().join("tls")).expect("a folder"))
        {
            let entry = entry.expect("an entry");
            let mode = entry.metadata().expect("metadata").permissions().mode() & 0o777;
            assert_eq!(mode, if entry.path().is_dir() { 0o700 } else { 0o600 }, "{:?}", entry.path());
            let text = fs::read(entry.path()).unwrap_or_default();
            let holds = |token: &IssuedToken| String::from_utf8_lossy(&text).contains(&token.token);
            assert!(!tokens.iter().any(holds), "{:?} holds a token", entry.path());
        }
    }

    #[test]
    fn a_wrong_configuration_is_named_with_its_place() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(dir.path());
        let text = toml::to_string(&config()).expect("plain values");
        fs::write(folder.config_path(), text.replace("requests_max = 50000000", "requests_max = 0")).expect("written");
        let error = folder.config().expect_err("it is wrong").to_string();
        assert!(error.contains("scrip.toml: settings.requests_max"), "{error}");
        fs::write(folder.config_path(), text.replace("requests_max", "request_max")).expect("written");
        let error = folder.config().expect_err("it is wrong").to_string();
        assert!(error.contains("request_max") && error.contains("line"), "{error}");
    }

    /// A file from before there were snapshots still reads, what it does not say is as by default, and by default nothing of the journal is
    /// dropped.
    #[test]
    fn what_is_kept_is_all_unless_the_file_says_otherwise() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(dir.path());
        let text = toml::to_string(&config()).expect("plain values");
        assert!(
            text.contains("[snapshots]\njournal_mib = 1024\nverify_at_open_mib = 256\n\n[retention]\njournal = \"all\"\n"),
            "{text}"
        );
        let (from, to) = (text.find("[snapshots").expect("it is written out"), text.find("[guard").expect("as is this"));
        let read = |kept: &str| {
            fs::write(folder.config_path(), format!("{}{kept}{}", &text[..from], &text[to..])).expect("written");
            folder.config()
        };
        assert_eq!(read("").expect("it is right"), config());
        let said = read("[snapshots]\njournal_mib = 0\n[retention]\njournal = \"needed\"\n").expect("it is right");
        assert_eq!(said.snapshots, SnapshotSettings { journal_mib: 0, ..SnapshotSettings::default() });
        assert_eq!(said.retention, RetentionSettings { journal: Retention::Needed });
        for (kept, words) in [
            ("[snapshots]\njournal_mib = 16777217\n", "scrip.toml: snapshots.journal_mib: this must be 0 (never) to 16777216"),
            (
                "[snapshots]\nverify_at_open_mib = 16777217\n",
                "scrip.toml: snapshots.verify_at_open_mib: this must be 0 to 16777216",
            ),
            ("[snapshots]\njournal_mb = 1\n", "journal_mb"),
            ("[retention]\njournal = \"some\"\n", "expected `all` or `needed`"),
        ] {
            let error = read(kept).expect_err("it is wrong").to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    /// Z9: a file from before there was a guard still reads, and a number of the guard may be set alone.
    #[test]
    fn the_guard_is_as_by_default_unless_the_file_says_otherwise() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(dir.path());
        let text = toml::to_string(&config()).expect("plain values");
        let without = &text[..text.find("[guard").expect("it is written out")];
        fs::write(folder.config_path(), without).expect("written");
        assert_eq!(folder.config().expect("it is right"), config());
        fs::write(folder.config_path(), format!("{without}[guard.client]\nmisses_per_minute = 20\n")).expect("written");
        let mut expected = config();
        expected.guard.client.misses_per_minute = 20;
        assert_eq!(folder.config().expect("it is right"), expected);
        fs::write(folder.config_path(), format!("{without}[guard.client]\nquiet_ms = 0\n")).expect("written");
        let error = folder.config().expect_err("it is wrong").to_string();
        assert!(error.contains("scrip.toml: guard.client.quiet_ms: this must be 1 to"), "{error}");
    }
}
