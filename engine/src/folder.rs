//! The data folder of an organisation: its files and its creation.
//!
//! ```text
//! scrip.toml         listen address, the organisation's settings, snapshots, retention, metrics,
//!                    and the guard's limits
//! credentials.json   the initial credentials; their later state, and all others, are in the journal
//! tls/ca.pem         the private certificate authority: callers trust it, and it signs theirs
//! tls/ca.key         its key; only needed to issue certificates, and better stored elsewhere
//! tls/server.pem     the server's certificate
//! tls/server.key     its key
//! clock.json         the machine's clock as the engine last followed it, if the journal does not show it; see the
//!                    clock_file module. Not in backups, because it belongs to this machine
//! journal/           see the journal module
//! snapshots/         see the snapshot module
//! ```
//! Folders are created with mode 0700 and files with 0600.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use scrip_protocol::command::Grant;
use scrip_protocol::private::{self, SecretError};
use scrip_protocol::{CredentialId, Role, Settings};

use crate::certificates::{self, CallersAuthority, IssueError, IssuedCertificate};
use crate::credentials::{Credential, Credentials, InvalidCredential, IssuedToken};
use scrip_core::guard::GuardLimits;
use scrip_core::state;

/// A data folder.
#[derive(Debug, Clone)]
pub struct Folder {
    dir: PathBuf,
}

/// The contents of `scrip.toml`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address that the engine listens on (UDP).
    pub listen: SocketAddr,
    /// The organisation's settings.
    pub settings: Settings,
    /// When snapshots are taken and verified. Omitted values have defaults; likewise below.
    #[serde(default)]
    pub snapshots: SnapshotSettings,
    /// What is retained.
    #[serde(default)]
    pub retention: RetentionSettings,
    /// Where metrics are served.
    #[serde(default, skip_serializing_if = "MetricsSettings::is_default")]
    pub metrics: MetricsSettings,
    /// Permitted failed attempts. They apply to the running engine alone: no record contains them. Omitted values have defaults.
    #[serde(default)]
    pub guard: GuardLimits,
}

impl Config {
    /// A configuration with defaults for the rest.
    pub fn new(listen: SocketAddr, settings: Settings, guard: GuardLimits) -> Config {
        let (snapshots, retention) = (SnapshotSettings::default(), RetentionSettings::default());
        Config { listen, settings, snapshots, retention, metrics: MetricsSettings::default(), guard }
    }

    /// Checks that an engine can start with this.
    fn check(&self) -> Result<(), String> {
        self.settings.check().map_err(|wrong| wrong.to_string())?;
        if self.snapshots.journal_mib > MIB_MAX {
            return Err("snapshots.journal_mib: this must be 0 (never) to 16777216".to_owned());
        }
        if self.snapshots.verify_at_open_mib > MIB_MAX {
            return Err("snapshots.verify_at_open_mib: this must be 0 to 16777216".to_owned());
        }
        self.guard.check().map_err(|wrong| wrong.to_string())
    }
}

/// When snapshots are taken, and how they are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotSettings {
    /// Growth of the journal, in MiB, after which the next snapshot is taken; 0 for never.
    pub journal_mib: u64,
    /// Maximum size, in MiB, of a snapshot that is fully verified before the engine starts on it; a larger one is verified while
    /// the engine runs.
    pub verify_at_open_mib: u64,
}

impl Default for SnapshotSettings {
    /// A start replays a GiB of journal in seconds, and reads a quarter of that in less than one.
    fn default() -> SnapshotSettings {
        SnapshotSettings { journal_mib: 1024, verify_at_open_mib: 256 }
    }
}

/// Where the engine answers probes and serves metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// Address that it listens on (TCP); none if omitted.
    pub listen: Option<SocketAddr>,
}

impl MetricsSettings {
    fn is_default(&self) -> bool {
        *self == MetricsSettings::default()
    }
}

/// Retention of data that is not needed to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionSettings {
    /// Retention of the journal.
    pub journal: Retention,
}

/// Retention of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retention {
    /// Keep everything.
    #[default]
    All,
    /// Keep what a snapshot or a registered reader still needs. Other segments may be dropped.
    Needed,
}

/// Maximum MiB of a setting: 16 TiB, so that the number of bytes does not overflow.
const MIB_MAX: u64 = 1 << 24;

/// The names by which an engine is reached on its own machine.
const LOCAL_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Why a data folder could not be created or read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The operating system returned an error.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder already contains an organisation.
    #[error("{0}: this folder already contains an organisation; nothing was changed")]
    Exists(PathBuf),
    /// The folder contains no organisation.
    #[error("{0}: this folder contains no organisation; create one with `scrip init`")]
    Missing(PathBuf),
    /// The configuration is invalid.
    #[error("{path}: {cause}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        cause: String,
    },
    /// A credential of the file is invalid.
    #[error("{path}: {source}")]
    Credential {
        /// The file.
        path: PathBuf,
        /// Which credential, and why.
        source: InvalidCredential,
    },
    /// The authority's key is unreadable, or readable by others.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A caller's certificate could not be issued.
    #[error("{path}: {source}")]
    AuthorityKey {
        /// The authority's key.
        path: PathBuf,
        /// Why.
        source: IssueError,
    },
    /// A certificate could not be created.
    #[error("a certificate for {hosts:?} could not be made: {source}")]
    Certificate {
        /// The names and addresses for it.
        hosts: Vec<String>,
        /// Why.
        source: rcgen::Error,
    },
}

impl Folder {
    /// The folder at a path, which need not exist.
    pub fn at(dir: impl Into<PathBuf>) -> Folder {
        Folder { dir: dir.into() }
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it contains an organisation.
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

    /// The file of the machine's clock.
    pub(crate) fn clock_path(&self) -> PathBuf {
        self.dir.join("clock.json")
    }

    /// The folder of snapshots.
    pub fn snapshots_path(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    /// The authority's key.
    pub fn ca_key_path(&self) -> PathBuf {
        self.dir.join("tls/ca.key")
    }

    /// The authority that must have signed callers' certificates.
    pub(crate) fn callers_authority(&self) -> Result<CallersAuthority, FolderError> {
        let path = self.ca_path();
        let pem = read(&path)?;
        CallersAuthority::of(pem.as_bytes()).map_err(|cause| FolderError::Config { path, cause })
    }

    /// Issues a certificate for a caller, and its key, with the authority's key. It is valid between two times since 1970. It
    /// admits nobody until there is a credential for it.
    ///
    /// # Errors
    /// If the authority or its key is missing or unusable.
    pub fn issue_certificate(&self, name: &str, from: Duration, until: Duration) -> Result<IssuedCertificate, FolderError> {
        let (authority, path) = (self.callers_authority()?, self.ca_key_path());
        let key = String::from_utf8_lossy(&private::read(&path)?).into_owned();
        let issued = certificates::issue(&authority, &key, name, from, until);
        issued.map_err(|source| FolderError::AuthorityKey { path, source })
    }

    fn credentials_path(&self) -> PathBuf {
        self.dir.join("credentials.json")
    }

    /// Creates an organisation, as [`Folder::begin`], if nothing needs to be shown before it is finished.
    ///
    /// # Errors
    /// As [`Folder::begin`].
    pub fn init(&self, config: &Config, others: &[String]) -> Result<Vec<IssuedToken>, FolderError> {
        self.begin(config, others)?.finish()
    }

    /// Writes the initial files of an organisation: certificates for this machine's own names and the given ones, and one token
    /// per role, which are not stored. The organisation exists only once this is finished, so that there is never one whose
    /// tokens nobody saw.
    ///
    /// The folder and its files are accessible to their owner only, whatever existed before: see [`private`].
    ///
    /// # Errors
    /// If there is an organisation already, an engine could not start with the configuration, or something cannot be written.
    pub fn begin(&self, config: &Config, others: &[String]) -> Result<Beginning, FolderError> {
        if self.exists() {
            return Err(FolderError::Exists(self.dir.clone()));
        }
        config.check().map_err(|cause| FolderError::Config { path: self.config_path(), cause })?;
        let mut beginning = Beginning { made: Vec::new(), config: None, tokens: Vec::new() };
        for dir in [self.dir.clone(), self.dir.join("tls")] {
            if !dir.exists() {
                beginning.made.push(dir.clone());
            }
            private::folder(&dir).map_err(|source| FolderError::Io { path: dir, source })?;
        }
        let hosts: Vec<String> = LOCAL_HOSTS.map(str::to_owned).into_iter().chain(others.iter().cloned()).collect();
        let certificates = certificates::begin(&hosts).map_err(|source| FolderError::Certificate { hosts, source })?;
        beginning.write(self.ca_path(), &certificates.ca)?;
        beginning.write(self.ca_key_path(), &certificates.ca_key)?;
        beginning.write(self.certificate_path(), &certificates.server)?;
        beginning.write(self.key_path(), &certificates.server_key)?;
        let mut credentials = Credentials::default();
        beginning.tokens = Role::ALL.iter().map(|role| credentials.issue(role.word(), *role)).collect();
        let list = serde_json::to_string_pretty(credentials.list()).expect("credentials are plain values");
        beginning.write(self.credentials_path(), &list)?;
        beginning.config = Some((self.config_path(), toml::to_string(config).expect("a configuration is plain values")));
        Ok(beginning)
    }

    /// Reads the configuration.
    ///
    /// # Errors
    /// If it is missing or invalid.
    pub fn config(&self) -> Result<Config, FolderError> {
        let path = self.config_path();
        if !path.exists() {
            return Err(FolderError::Missing(self.dir.clone()));
        }
        let config: Config = toml::from_str(&read(&path)?)
            .map_err(|cause| FolderError::Config { path: path.clone(), cause: cause.to_string() })?;
        config.check().map_err(|cause| FolderError::Config { path, cause })?;
        Ok(config)
    }

    /// The credentials of the file that a journal does not know.
    ///
    /// # Errors
    /// If the file is missing or invalid, or contradicts the journal.
    pub fn credentials_unknown_to(&self, journal: &state::Credentials) -> Result<Vec<(CredentialId, Grant)>, FolderError> {
        let invalid = |source| FolderError::Credential { path: self.credentials_path(), source };
        self.credentials()?.unknown_to(journal).map_err(invalid)
    }

    /// Reads the file of credentials.
    ///
    /// # Errors
    /// If it is missing or invalid.
    pub fn credentials(&self) -> Result<Credentials, FolderError> {
        let path = self.credentials_path();
        let list: Vec<Credential> = serde_json::from_str(&read(&path)?)
            .map_err(|cause| FolderError::Config { path: path.clone(), cause: cause.to_string() })?;
        Ok(Credentials::new(list))
    }
}

/// An unfinished organisation. Removes the files that it has written if it is dropped before it is finished.
pub struct Beginning {
    /// The folders and files that it created, in order.
    made: Vec<PathBuf>,
    config: Option<(PathBuf, String)>,
    tokens: Vec<IssuedToken>,
}

impl Beginning {
    /// The tokens, which are not stored anywhere.
    pub fn tokens(&self) -> &[IssuedToken] {
        &self.tokens
    }

    /// Writes the configuration, whose presence means that the folder is complete.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<Vec<IssuedToken>, FolderError> {
        if let Some((path, text)) = self.config.take() {
            self.write(path, &text)?;
        }
        self.made.clear();
        Ok(std::mem::take(&mut self.tokens))
    }

    fn write(&mut self, path: PathBuf, text: &str) -> Result<(), FolderError> {
        match private::write(&path, text.as_bytes()) {
            Ok(()) => self.made.push(path),
            Err(source) => return Err(FolderError::Io { path, source }),
        }
        Ok(())
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        // Files that cannot be removed are replaced by the next attempt.
        for path in self.made.iter().rev() {
            let _ = if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) };
        }
    }
}

fn read(path: &Path) -> Result<String, FolderError> {
    fs::read_to_string(path).map_err(|source| FolderError::Io { path: path.to_owned(), source })
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
    fn a_folder_is_created_once_and_read_back() {
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

    /// A folder is never created with a configuration that an engine cannot start with.
    #[test]
    fn an_unusable_configuration_creates_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(dir.path().join("data"));
        let mut wrong = vec![config(); 6];
        wrong[0].settings.currency = "EUROS".to_owned();
        wrong[1].settings.organisation = " ".to_owned();
        wrong[2].settings.codes_per_campaign_max = 0;
        wrong[3].snapshots.journal_mib = MIB_MAX + 1;
        wrong[4].snapshots.verify_at_open_mib = MIB_MAX + 1;
        wrong[5].guard.client.misses_at_once = 0;
        let fields =
            ["currency", "organisation", "codes_per_campaign_max", "journal_mib", "verify_at_open_mib", "misses_at_once"];
        for (config, field) in wrong.iter().zip(fields) {
            let refused = folder.init(config, &[]).err().expect("it is wrong").to_string();
            assert!(refused.contains(field), "{refused}");
            assert!(!folder.dir().exists(), "{field}: nothing was written");
        }
    }

    /// An organisation whose tokens nobody saw does not exist.
    #[test]
    fn an_unfinished_creation_leaves_nothing() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(dir.path().join("data"));
        let beginning = folder.begin(&config(), &[]).expect("an empty folder");
        assert_eq!(beginning.tokens().len(), Role::ALL.len());
        assert!(folder.key_path().exists() && !folder.exists());
        drop(beginning);
        assert!(!folder.dir().exists());
        fs::create_dir(folder.dir()).expect("made");
        fs::write(folder.dir().join("notes"), "ours").expect("written");
        drop(folder.begin(&config(), &[]).expect("no organisation"));
        let left: Vec<_> = fs::read_dir(folder.dir()).expect("it was there before").collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    /// Whatever modes and links an existing folder has, an organisation is accessible to its owner only.
    #[test]
    fn a_folder_that_exists_is_closed_to_others_and_its_links_are_not_followed() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(dir.path().join("data"));
        let theirs = dir.path().join("theirs");
        fs::create_dir_all(folder.dir().join("tls")).expect("made");
        fs::write(&theirs, "theirs").expect("written");
        let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
        fs::write(folder.ca_key_path(), "old").expect("written");
        for (path, mode) in [(folder.dir(), 0o755), (&folder.dir().join("tls"), 0o777), (&folder.ca_key_path(), 0o666)] {
            set_mode(path, mode);
        }
        for link in [folder.key_path(), folder.config_path(), folder.dir().join("credentials.json")] {
            let target = if link == folder.config_path() { dir.path().join("missing") } else { theirs.clone() };
            std::os::unix::fs::symlink(target, link).expect("linked");
        }
        folder.init(&config(), &[]).expect("no organisation");
        for path in [folder.dir(), &folder.dir().join("tls")] {
            assert_eq!(fs::metadata(path).expect("it is there").permissions().mode() & 0o7777, 0o700, "{path:?}");
        }
        for path in [folder.ca_key_path(), folder.key_path(), folder.config_path(), folder.dir().join("credentials.json")] {
            let metadata = fs::symlink_metadata(&path).expect("it is there");
            assert_eq!((metadata.permissions().mode() & 0o7777, metadata.is_file()), (0o600, true), "{path:?}");
        }
        assert_eq!(fs::read(&theirs).expect("theirs"), b"theirs");
        assert!(!dir.path().join("missing").exists());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("other"), &link).expect("linked");
        fs::create_dir(dir.path().join("other")).expect("made");
        let refused = Folder::at(&link).init(&config(), &[]).err();
        assert!(matches!(&refused, Some(FolderError::Io { path, .. }) if *path == link), "{refused:?}");
        assert_eq!(fs::read_dir(dir.path().join("other")).expect("it is there").count(), 0);
    }

    #[test]
    fn the_authority_s_key_is_refused_if_others_may_read_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let folder = Folder::at(dir.path().join("data"));
        folder.init(&config(), &[]).expect("an empty folder");
        fs::set_permissions(folder.ca_key_path(), fs::Permissions::from_mode(0o644)).expect("it is ours");
        let issued = folder.issue_certificate("till", Duration::ZERO, Duration::from_secs(86_400));
        let Err(FolderError::Secret(error)) = issued else { panic!("it was used") };
        assert!(error.to_string().contains("run chmod 600"), "{error}");
    }

    #[test]
    fn an_invalid_configuration_is_reported_with_its_place() {
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

    /// A file from before there were snapshots is still valid, omitted values have defaults, and by default nothing of the
    /// journal is dropped.
    #[test]
    fn everything_is_retained_unless_the_file_sets_otherwise() {
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

    /// Z9: a file from before there was a guard is still valid, and each number of the guard can be set by itself.
    #[test]
    fn the_guard_has_defaults_unless_the_file_sets_otherwise() {
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
