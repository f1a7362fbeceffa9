//! The machine of a run, as read from `/proc` and `/sys`.
//!
//! Every fact may be missing; results without them are still valid.

use std::fs;
use std::path::{Path, PathBuf};

/// A machine, and a folder on it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: Option<String>,
    /// How many threads run at once.
    pub cores: usize,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// The operating system and its version.
    pub system: Option<String>,
    /// The kernel and its version.
    pub kernel: Option<String>,
    /// The kind of file system that the folder is on.
    pub file_system: Option<String>,
    /// The disk that the folder is on.
    pub disk: Option<Disk>,
}

/// A disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Disk {
    /// Its device.
    pub name: String,
    /// Its model, as the manufacturer names it.
    pub model: Option<String>,
    /// Its capacity in bytes.
    pub bytes: Option<u64>,
    /// Whether it is rotational.
    pub is_rotational: Option<bool>,
    /// The kernel's view of its cache: "write back" must be flushed, "write through" need not.
    pub write_cache: Option<String>,
}

impl Machine {
    /// This machine, and the file system and disk of a folder on it.
    pub fn of(dir: &Path) -> Machine {
        let mount = dir.canonicalize().ok().and_then(|dir| mount_of(&read("/proc/self/mountinfo")?, &dir));
        let (device, file_system) = mount.unzip();
        Machine {
            cpu: read("/proc/cpuinfo").and_then(|text| field(&text, "model name", ':')),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: read("/proc/meminfo").and_then(|text| kibibytes(&text, "MemTotal:")),
            system: read("/etc/os-release").and_then(|text| field(&text, "PRETTY_NAME", '=')),
            kernel: kernel(),
            file_system,
            disk: device.and_then(|device| disk(&PathBuf::from("/sys/dev/block").join(device))),
        }
    }

    /// The facts, each with its name.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let cpu = self.cpu.as_deref().unwrap_or("unknown");
        let cores = if self.cores == 1 { "1 core".to_owned() } else { format!("{} cores", self.cores) };
        let mut facts = vec![("processor", format!("{cpu}, {cores}"))];
        facts.extend(self.memory_bytes.map(|bytes| ("memory", crate::numbers::bytes(bytes as f64))));
        let systems: Vec<&str> = [&self.system, &self.kernel].into_iter().flatten().map(String::as_str).collect();
        if !systems.is_empty() {
            facts.push(("system", systems.join(", ")));
        }
        let disk = self.disk.as_ref().map(Disk::words);
        let disks: Vec<&str> = [&self.file_system, &disk].into_iter().flatten().map(String::as_str).collect();
        if !disks.is_empty() {
            facts.push(("disk", disks.join(" on ")));
        }
        facts
    }
}

impl Disk {
    fn words(&self) -> String {
        let mut words = vec![self.name.clone()];
        words.extend(self.model.clone());
        words.extend(self.bytes.map(|bytes| crate::numbers::bytes(bytes as f64)));
        words.extend(self.is_rotational.map(|turns| if turns { "rotational" } else { "not rotational" }.to_owned()));
        words.extend(self.write_cache.as_ref().map(|cache| format!("{cache} cache")));
        words.join(", ")
    }
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

fn kernel() -> Option<String> {
    Some(format!("{} {}", read("/proc/sys/kernel/ostype")?, read("/proc/sys/kernel/osrelease")?))
}

/// The value of the first line `name = value`, without its quotes.
fn field(text: &str, name: &str, between: char) -> Option<String> {
    let (_, value) = text.lines().filter_map(|line| line.split_once(between)).find(|(key, _)| key.trim() == name)?;
    Some(value.trim().trim_matches('"').to_owned())
}

/// The bytes on a line such as `MemTotal:  1024 kB`, which counts KiB.
pub(crate) fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The device (`major:minor`) and the kind of the file system that a folder is on, from the kernel's list of mounts: the longest
/// mount point above the folder, and of equal ones the newest, which hides the others.
fn mount_of(mounts: &str, dir: &Path) -> Option<(String, String)> {
    let parsed = mounts.lines().filter_map(|line| {
        let (mount, about) = line.split_once(" - ")?;
        let mut fields = mount.split(' ');
        let device = fields.nth(2)?;
        let point = unescape(fields.nth(1)?);
        let kind = about.split(' ').next()?;
        dir.starts_with(&point).then(|| (point.len(), device.to_owned(), kind.to_owned()))
    });
    parsed.max_by_key(|(length, ..)| *length).map(|(_, device, kind)| (device, kind))
}

/// Decodes a mount point: the kernel writes blanks, tabs, line ends and backslashes as octal numbers.
fn unescape(point: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(point.to_owned(), |point, (escaped, plain)| point.replace(escaped, plain))
}

/// The disk of a device, which may be a partition of it.
fn disk(device: &Path) -> Option<Disk> {
    let device = device.canonicalize().ok()?;
    let disk = match device.join("partition").exists() {
        true => device.parent()?,
        false => &device,
    };
    Some(Disk {
        name: disk.file_name()?.to_string_lossy().into_owned(),
        model: read(disk.join("device/model")),
        // In sectors of 512 bytes, whatever the disk's own sector size.
        bytes: read(disk.join("size")).and_then(|sectors| sectors.parse::<u64>().ok()?.checked_mul(512)),
        is_rotational: read(disk.join("queue/rotational")).map(|turns| turns == "1"),
        write_cache: read(disk.join("queue/write_cache")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_on_the_longest_mount_above_it() {
        let mounts = "22 27 0:21 / /proc rw - proc proc rw\n\
                      27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n\
                      29 27 8:1 / /srv/my\\040disk rw shared:5 - xfs /dev/sda1 rw\n\
                      30 27 0:44 / /srv rw - tmpfs none rw";
        let on = |dir: &str| mount_of(mounts, Path::new(dir)).expect("there is a root");
        assert_eq!(on("/home"), ("254:0".to_owned(), "ext4".to_owned()));
        assert_eq!(on("/srv/my disk/a"), ("8:1".to_owned(), "xfs".to_owned()));
        assert_eq!(on("/srvelse").1, "ext4");
        assert_eq!(mount_of("no such format", Path::new("/")), None);
    }

    #[test]
    fn fields_are_found_by_their_names() {
        assert_eq!(field("model\t: 17\nmodel name\t: AMD EPYC\n", "model name", ':').as_deref(), Some("AMD EPYC"));
        assert_eq!(field("NAME=\"A\"\nPRETTY_NAME=\"B 1\"", "PRETTY_NAME", '=').as_deref(), Some("B 1"));
        assert_eq!(kibibytes("MemTotal:   1024 kB\n", "MemTotal:"), Some(1 << 20));
        assert_eq!(kibibytes("MemTotal:   many\n", "MemTotal:"), None);
    }

    #[test]
    fn a_machine_lists_the_facts_that_it_has() {
        assert!(Machine::of(&std::env::temp_dir()).cores > 0);
        let bare = Machine { cores: 2, ..Machine::default() };
        assert_eq!(bare.facts(), [("processor", "unknown, 2 cores".to_owned())]);
    }
}
