//! Files and folders that only their owner may use: private keys, tokens, and everything that contains codes or the data of
//! players.
//!
//! A secret that others may read is refused when it is read, as `ssh` and PostgreSQL do: it may have leaked already, and only a
//! person can decide that. Files are written with mode 0600 (folders 0700) whatever the umask and the previous mode, and never
//! through a symbolic link that someone else may have created.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

/// The mode bits of everybody but the owner.
const OTHERS: u32 = 0o077;
/// The same for a file of root that its group may read: how services that do not run as root receive secrets.
const OTHERS_BUT_GROUP_READ: u32 = 0o037;
/// The mode bit of a folder in which everybody may create files, such as `/tmp`.
const STICKY: u32 = 0o1000;

/// Why a secret cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others may read or change the file.
    #[error(
        "{path} holds a secret but its mode {mode:04o} lets others use it; replace the secret if somebody may have read it, and run chmod 600 {path}"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Reads a private key or a token from a file that only its owner may use. A file of root may be readable for its group.
///
/// # Errors
/// When the file cannot be read, or others may read or change it. Files that are not regular, such as pipes, are not checked.
pub fn read(path: &Path) -> Result<Vec<u8>, SecretError> {
    let failed = |source| SecretError::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let (mode, euid) = (metadata.mode() & 0o7777, geteuid().as_raw());
    if metadata.is_file() && is_exposed(mode, metadata.uid(), euid) {
        return Err(SecretError::Exposed { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

fn is_exposed(mode: u32, owner: u32, euid: u32) -> bool {
    let others = if owner == 0 && euid != 0 { OTHERS_BUT_GROUP_READ } else { OTHERS };
    mode & others != 0
}

/// Creates a folder with mode 0700, and its parents, or sets this mode on an existing one.
///
/// # Errors
/// When it cannot be created, belongs to another user, is a symbolic link, or is shared by everybody as `/tmp` is.
pub fn folder(path: &Path) -> io::Result<()> {
    // Without a trailing slash, which would follow a link.
    let path: PathBuf = path.components().collect();
    DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits();
    let opened = OpenOptions::new().read(true).custom_flags(flags as i32).open(&path);
    let folder = opened.map_err(|error| link_or(&path, error))?;
    let mode = folder.metadata()?.mode();
    if mode & STICKY != 0 {
        return Err(io::Error::other("this folder is shared by everybody; create one of your own in it"));
    }
    match mode & OTHERS {
        0 => Ok(()),
        _ => folder.set_permissions(fs::Permissions::from_mode(0o700)),
    }
}

/// Opens a file for reading and writing with mode 0600, and creates it if it does not exist.
///
/// # Errors
/// When it cannot be opened or created, belongs to another user, or is a symbolic link.
pub fn file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    let file = options.open(path).map_err(|error| link_or(path, error))?;
    if file.metadata()?.mode() & OTHERS != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Sets a file's mode to 0600 if others may use it. Use it only in a folder of our own, where nobody else can create a link.
///
/// # Errors
/// When it does not exist, or belongs to another user.
pub fn tighten_path(path: &Path) -> io::Result<()> {
    match fs::metadata(path)?.mode() & OTHERS {
        0 => Ok(()),
        _ => fs::set_permissions(path, fs::Permissions::from_mode(0o600)),
    }
}

/// Writes a file with mode 0600 and replaces any file of that name: a file with another mode, or a link, which is not followed.
/// The name appears only once the whole file is durable.
///
/// # Errors
/// When it cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

fn link_or(path: &Path, error: io::Error) -> io::Error {
    match path.is_symlink() {
        true => io::Error::other("this is a symbolic link, which is not followed"),
        false => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).expect("it is there").mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    }

    #[test]
    fn a_secret_that_others_may_use_is_refused_with_a_remedy() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("till.token");
        fs::write(&path, "secret").expect("written");
        for exposed in [0o644, 0o640, 0o604, 0o660, 0o620, 0o601, 0o4755] {
            set_mode(&path, exposed);
            let error = read(&path).expect_err("others may use it").to_string();
            let hint = format!("run chmod 600 {}", path.display());
            assert!(error.contains(&format!("{exposed:04o}")) && error.contains(&hint), "{error}");
        }
        for private in [0o600, 0o400, 0o700] {
            set_mode(&path, private);
            assert_eq!(read(&path).expect("only we may use it"), b"secret", "{private:o}");
        }
        // A service reads a secret of root through its group; a secret of its own must not be readable by others.
        assert_eq!([0o440, 0o640, 0o444, 0o660, 0o650].map(|mode| is_exposed(mode, 0, 1000)), [false, false, true, true, true]);
        assert_eq!([0o440, 0o600, 0o400].map(|mode| is_exposed(mode, 1000, 1000)), [true, false, false]);
        assert!(is_exposed(0o640, 0, 0) && is_exposed(0o644, 1001, 1000));
    }

    #[test]
    fn folders_and_files_that_exist_are_closed_to_others() {
        let dir = tempfile::tempdir().expect("a folder");
        let (folder_path, path) = (dir.path().join("a/b"), dir.path().join("a/b/file"));
        folder(&folder_path).expect("it is made");
        assert_eq!(mode(&folder_path), 0o700);
        set_mode(&folder_path, 0o755);
        folder(&folder_path.join(".")).expect("it is ours");
        assert_eq!(mode(&folder_path), 0o700);
        fs::write(&path, "old").expect("written");
        set_mode(&path, 0o666);
        drop(file(&path).expect("it is ours"));
        assert_eq!((mode(&path), fs::read(&path).expect("it is there")), (0o600, b"old".to_vec()));
        set_mode(&path, 0o666);
        write(&path, b"new").expect("written");
        assert_eq!((mode(&path), fs::read(&path).expect("it is there")), (0o600, b"new".to_vec()));
        let shared = dir.path().join("shared");
        fs::create_dir(&shared).expect("made");
        set_mode(&shared, 0o1777);
        assert!(folder(&shared).is_err());
        assert_eq!(mode(&shared), 0o1777, "what is everybody's is left alone");
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().expect("a folder");
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("elsewhere")).expect("made");
        set_mode(&at("elsewhere"), 0o755);
        fs::write(at("theirs"), "theirs").expect("written");
        set_mode(&at("theirs"), 0o644);
        for (link, target) in [("dir", "elsewhere"), ("file", "theirs"), ("file.new", "theirs"), ("nowhere", "missing")] {
            std::os::unix::fs::symlink(at(target), at(link)).expect("linked");
        }
        for path in [at("dir"), dir.path().join("dir/")] {
            let error = folder(&path).expect_err("a link").to_string();
            assert!(error.contains("symbolic link"), "{error}");
        }
        assert!(file(&at("file")).is_err() && file(&at("nowhere")).is_err());
        write(&at("file"), b"ours").expect("the link is replaced");
        assert_eq!((fs::read(at("file")).expect("ours"), mode(&at("file"))), (b"ours".to_vec(), 0o600));
        assert_eq!((fs::read(at("theirs")).expect("theirs"), mode(&at("theirs"))), (b"theirs".to_vec(), 0o644));
        assert_eq!(mode(&at("elsewhere")), 0o755);
        assert!(!at("missing").exists());
    }
}
