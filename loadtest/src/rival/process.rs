//! A rival's processes: finds its programs, starts them as the right user, waits for them, and stops them.

use std::fs::{File, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::error::RivalError;

/// How long a rival may take to start.
const START_MAX: Duration = Duration::from_secs(60);

/// How often its start is checked.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How much of the output of a failed program is reported.
const OUTPUT_BYTES_MAX: u64 = 1_000;

/// A user and a group of this system.
#[derive(Debug, Clone, Copy)]
pub(super) struct User {
    uid: u32,
    gid: u32,
}

/// Maximum length of the path of a socket's folder: systems allow some 100 bytes for a socket's path, and PostgreSQL adds a name
/// of 15.
const SOCKETS_PATH_BYTES_MAX: usize = 80;

/// A rival's folder on the measured disk, and one for its socket, which is separate if the path of the first is too long. Nobody
/// else may enter them: the server accepts everybody who reaches the socket.
pub(super) struct Folders {
    data: TempDir,
    sockets: Option<TempDir>,
}

impl Folders {
    /// Creates them; the first in `dir`.
    pub(super) fn make(dir: &Path) -> Result<Folders, RivalError> {
        let make = |dir: &Path| {
            let private = Permissions::from_mode(0o700);
            let made = tempfile::Builder::new().prefix("scrip-rival-").permissions(private).tempdir_in(dir);
            made.map_err(|source| RivalError::Folder { path: dir.to_owned(), source })
        };
        let data = make(&dir.canonicalize().map_err(|source| RivalError::Folder { path: dir.to_owned(), source })?)?;
        let short = data.path().as_os_str().len() <= SOCKETS_PATH_BYTES_MAX;
        let sockets = if short { None } else { Some(make(&std::env::temp_dir())?) };
        Ok(Folders { data, sockets })
    }

    pub(super) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(super) fn sockets(&self) -> &Path {
        self.sockets.as_ref().unwrap_or(&self.data).path()
    }

    /// The user for a program that does not run as root, if this process is root; both folders then belong to that user.
    pub(super) fn give_away(&self) -> Result<Option<User>, RivalError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| RivalError::Folder { path, source }
        };
        // The owner of the folder that we created is our own user.
        if self.data().metadata().map_err(failed(self.data()))?.uid() != 0 {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd").map_err(failed(Path::new("/etc/passwd")))?;
        let user = user_of(&users, "postgres").ok_or(RivalError::NoUser)?;
        for path in [self.data(), self.sockets()] {
            chown(path, Some(user.uid), Some(user.gid)).map_err(failed(path))?;
        }
        Ok(Some(user))
    }
}

/// Finds a user in the text of `/etc/passwd`.
fn user_of(users: &str, name: &str) -> Option<User> {
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields.first() == Some(&name))?;
    Some(User { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
}

/// Finds a program in the first of these folders that contains it.
pub(super) fn find(program: &'static str, package: &'static str, folders: &[PathBuf]) -> Result<PathBuf, RivalError> {
    folders.iter().map(|folder| folder.join(program)).find(|path| path.is_file()).ok_or_else(|| {
        let looked: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        RivalError::NotInstalled { program, looked: looked.join(", "), package }
    })
}

/// The folders of the PATH, and the usual folders of a system's programs, whatever the environment.
pub(super) fn usual_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<_> = std::env::split_paths(&path).collect();
    for usual in ["/usr/local/bin", "/usr/bin", "/usr/sbin"].map(PathBuf::from) {
        if !folders.contains(&usual) {
            folders.push(usual);
        }
    }
    folders
}

/// A command that runs as a given user, in `folder`.
pub(super) fn command(program: &Path, folder: &Path, user: Option<User>) -> Command {
    run_as(Command::new(program), folder, user)
}

/// The same for a server, under `setpriv` if that can make the kernel interrupt it when the thread that started it ends: a rival
/// then does not outlive a killed load test.
pub(super) fn server_command(program: &Path, folder: &Path, user: Option<User>) -> Command {
    const SETPRIV: [&str; 3] = ["--pdeathsig", "INT", "--"];
    let quiet = |mut command: Command| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let mut tried = Command::new("setpriv");
    tried.args(SETPRIV).arg("true");
    if !quiet(tried).is_ok_and(|status| status.success()) {
        return command(program, folder, user);
    }
    let mut command = Command::new("setpriv");
    command.args(SETPRIV).arg(program);
    run_as(command, folder, user)
}

fn run_as(mut command: Command, folder: &Path, user: Option<User>) -> Command {
    if let Some(User { uid, gid }) = user {
        command.uid(uid).gid(gid);
    }
    command.current_dir(folder).stdin(Stdio::null());
    command
}

/// The error of a command that could not be run: most often its user may not enter its folder.
fn not_run(program: &'static str, command: &Command) -> impl Fn(io::Error) -> RivalError + use<> {
    let folder = command.get_current_dir().unwrap_or(Path::new(".")).to_owned();
    move |source| RivalError::Run { program, folder: folder.clone(), source }
}

/// Runs a command to completion, on a thread that may block.
pub(super) async fn run(program: &'static str, mut command: Command) -> Result<(), RivalError> {
    let failed = not_run(program, &command);
    let output = tokio::task::spawn_blocking(move || command.output()).await.expect("a command does not panic");
    let output = output.map_err(failed)?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
            Err(RivalError::Ended { program, status: output.status, output: text })
        }
    }
}

/// A running server, stopped on drop.
pub(super) struct Server {
    program: &'static str,
    child: Child,
    log: PathBuf,
    /// The command that shuts it down cleanly; without it, or after it, the server is killed.
    stop: Option<Command>,
}

impl Server {
    /// Starts it (a [`server_command`]), with its output in a file of the folder.
    pub(super) fn start(
        program: &'static str,
        mut command: Command,
        folder: &Path,
        stop: Option<Command>,
    ) -> Result<Server, RivalError> {
        let failed = not_run(program, &command);
        let log = folder.join("log");
        let out = File::create(&log).map_err(&failed)?;
        command.stdout(out.try_clone().map_err(&failed)?).stderr(out);
        Ok(Server { program, child: command.spawn().map_err(failed)?, log, stop })
    }

    /// Retries `connect` until it succeeds.
    pub(super) async fn ready<T, E>(&mut self, mut connect: impl AsyncFnMut() -> Result<T, E>) -> Result<T, RivalError> {
        let started = Instant::now();
        loop {
            if let Ok(connected) = connect().await {
                return Ok(connected);
            }
            // If the status cannot be read, the deadline ends the wait.
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(RivalError::Ended { program: self.program, status, output: self.output() });
            }
            if started.elapsed() > START_MAX {
                return Err(RivalError::NotReady { program: self.program, waited: START_MAX, output: self.output() });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// The end of its output.
    fn output(&self) -> String {
        let read = || -> io::Result<String> {
            let mut file = File::open(&self.log)?;
            let from = file.metadata()?.len().saturating_sub(OUTPUT_BYTES_MAX);
            file.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
        };
        read().unwrap_or_else(|error| format!("({}: {error})", self.log.display()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = &mut self.stop {
            // If it cannot be shut down cleanly, it is killed below.
            let _ = stop.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
        // It has already ended, or ends now.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name() {
        let users =
            "root:x:0:0:root:/root:/bin/bash\npostgres2:x:5:6::/:\npostgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash\n";
        assert!(matches!(user_of(users, "postgres"), Some(User { uid: 101, gid: 104 })));
        assert!(user_of(users, "nobody").is_none());
        assert!(user_of("postgres:x:", "postgres").is_none());
    }

    #[test]
    fn a_program_that_is_not_here_is_named_with_its_package() {
        let empty = tempfile::tempdir().expect("a temporary folder");
        let error = find("redis-server", "redis-server", &[empty.path().to_owned()]).expect_err("the folder is empty");
        let words = error.to_string();
        assert!(words.contains("apt-get install redis-server") && words.contains(&empty.path().display().to_string()), "{words}");
    }
}
