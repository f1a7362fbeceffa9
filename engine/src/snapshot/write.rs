//! Writes a snapshot: the sections, then the header, then the final name.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use scrip_protocol::CampaignId;
use scrip_protocol::batch::ChainEnd;

use super::layout::{self, PAGE, VERSION};
use super::room::{Room, Unfinished};
use super::{Counts, Header, Kept, Section, SnapshotError, kept, names, unverified};
use scrip_core::slot_table::HashKey;
use scrip_core::state::State;
use scrip_core::state::frozen::{Part, Sections, write_sections};
use scrip_journal::disk::{Disk, DiskFile};

/// How fast a snapshot is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the disk accepts it.
    Full,
    /// In small pieces, each on its way to the disk before the next, so that the journal's flushes on the same disk wait only
    /// for little data.
    Gentle,
}

/// The approximate size of a hold in a snapshot, in bytes.
const HOLD_BYTES: u64 = 112;

/// How many bytes are written at a time.
const WRITTEN_AT_ONCE: usize = 1 << 20;

/// The pause after each of these at a gentle pace: at most 128 MiB are written per second.
const GENTLE_REST: Duration = Duration::from_millis(8);

/// Writes a snapshot of a state that includes the journal up to `end`. `progress` receives the bytes done and the expected
/// total.
///
/// # Errors
/// If it could not be made durable, or the disk has no room for it beside the journal's reserve. Existing snapshots are kept,
/// and unfinished files are removed: its own, and those of earlier runs.
pub fn write(
    disk: &dyn Disk,
    dir: &Path,
    state: &State,
    end: ChainEnd,
    pace: Pace,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Kept, SnapshotError> {
    let (path, unfinished) = names::paths(dir, end.position);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| SnapshotError::Io { path, source }
    };
    disk.create_folder(dir).map_err(io(dir))?;
    kept::remove_unfinished(disk, dir)?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|cause| io(&unfinished)(io::Error::other(cause.to_string())))?;
    let [a, b]: [u64; 2] = bytemuck::cast(random);
    let counts = counts_of(state);
    if let Some((what, _)) = [("codes", counts.codes), ("clients", counts.clients), ("requests", counts.requests)]
        .into_iter()
        .find(|(_, count)| *count > u64::from(u32::MAX))
    {
        return Err(SnapshotError::TooMany { path: unfinished, what });
    }
    let rows = counts.codes * 32 + counts.clients * 64 + counts.requests * 76 + state.holds.len() as u64 * HOLD_BYTES;
    let likely = rows + ((Part::ALL.len() + 1) * PAGE) as u64;
    let room = Room::new(disk, dir, likely)?;
    let guard = Unfinished::new(disk, &unfinished);
    let file = disk.create(&unfinished).map_err(io(&unfinished))?;
    let file = Laying {
        file,
        room,
        buffer: Vec::new(),
        at: PAGE as u64,
        hasher: blake3::Hasher::new(),
        sections: Vec::new(),
        pace,
        likely,
        progress,
    };
    let bytes = lay(file, state, HashKey(a, b), end, counts).map_err(|failure| match failure {
        Failure::Disk(error) => io(&unfinished)(error),
        Failure::NoRoom(error) => error,
    })?;
    disk.rename(&unfinished, &path).map_err(io(&path))?;
    guard.finish();
    unverified::forget(disk, &path)?;
    // And the name of the folder itself, which may be new.
    disk.sync_folder(dir).and_then(|()| disk.sync_folder(dir.parent().unwrap_or(dir))).map_err(io(dir))?;
    Ok(Kept { position: end.position, path, bytes })
}

fn counts_of(state: &State) -> Counts {
    let campaigns = || state.campaigns.after(CampaignId(0));
    Counts {
        campaigns: campaigns().count() as u64,
        codes: campaigns().map(|(_, campaign)| campaign.codes.len() as u64).sum(),
        clients: state.clients.len() as u64,
        requests: state.requests.len() as u64,
    }
}

/// Why a file cannot be laid out.
enum Failure {
    Disk(io::Error),
    NoRoom(SnapshotError),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Disk(error)
    }
}

/// A file that is being laid out.
struct Laying<'a> {
    file: Box<dyn DiskFile>,
    room: Room<'a>,
    buffer: Vec<u8>,
    /// The offset of the buffer's bytes in the file.
    at: u64,
    /// The hash of the current section so far, without the buffer.
    hasher: blake3::Hasher,
    sections: Vec<Section>,
    pace: Pace,
    likely: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Laying<'_> {
    fn flush(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        self.room.check(self.at, self.buffer.len() as u64).map_err(Failure::NoRoom)?;
        self.hasher.update(&self.buffer);
        self.file.write_at(self.at, &self.buffer)?;
        let written = self.buffer.len() as u64;
        self.at += written;
        self.buffer.clear();
        (self.progress)(self.at, self.likely.max(self.at));
        if self.pace == Pace::Gentle && written > 0 {
            self.file.write_out(self.at - written, written)?;
            // A pause of at least the same length, so that others have the disk for half of the time.
            std::thread::sleep(began.elapsed().clamp(GENTLE_REST, 100 * GENTLE_REST));
        }
        Ok(())
    }
}

impl Sections for Laying<'_> {
    type Error = Failure;

    fn begin(&mut self, part: Part) {
        self.sections.push(Section { number: part as u32, name: part.word(), offset: self.at, bytes: 0, hash: [0; 32] });
        self.hasher.reset();
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITTEN_AT_ONCE { self.flush() } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.flush()?;
        let section = self.sections.last_mut().expect("a section is begun before it is ended");
        section.bytes = self.at - section.offset;
        section.hash = self.hasher.finalize().into();
        let next = self.at.next_multiple_of(PAGE as u64);
        self.file.write_at(self.at, &[0; PAGE][..(next - self.at) as usize])?;
        self.at = next;
        Ok(())
    }
}

/// Writes the sections and the header. Returns the bytes of the file.
fn lay(mut file: Laying<'_>, state: &State, key: HashKey, end: ChainEnd, counts: Counts) -> Result<u64, Failure> {
    write_sections(state, key, &mut file)?;
    // Everything is flushed before the header: a file with a header is complete.
    let bytes = file.at;
    file.file.sync()?;
    let header = Header { version: VERSION, end, counts, bytes, sections: file.sections };
    file.file.write_at(0, &layout::encode(&header)[..])?;
    file.file.sync()?;
    Ok(bytes)
}
