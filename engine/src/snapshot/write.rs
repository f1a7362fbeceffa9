//! Writing a snapshot: section after section, then the header, then its name.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use bytemuck::{Pod, bytes_of};
use scrip_protocol::batch::ChainEnd;
use scrip_protocol::codes::NormalisedCode;
use scrip_protocol::{CampaignId, wire};

use super::layout::{self, PAGE, Part, VERSION};
use super::room::{Room, Unfinished};
use super::{Counts, Header, Kept, Section, SnapshotError, kept};
use crate::disk::{Disk, DiskFile};
use crate::state::State;
use crate::state::frozen::{HashKey, Places, freeze, leave_prevailing};
use crate::state::snapshot::{Laid, hash_of_use};

/// How fast a snapshot is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the disk takes it.
    Full,
    /// A little at a time, on its way to the disk before the next: the journal's flushes on the same disk wait for little.
    Gentle,
}

/// About how many bytes of the snapshot a hold takes.
const HOLD_BYTES: u64 = 112;

/// How many bytes are written at once.
const WRITTEN_AT_ONCE: usize = 1 << 20;

/// How long a gentle pace rests after each of these: at most 128 MiB go to the disk in a second.
const GENTLE_REST: Duration = Duration::from_millis(8);

/// Writes a snapshot of a state that the journal has made up to `end`, beside the others. `progress` is told the bytes done, and of how many,
/// as far as that can be known.
///
/// # Errors
/// When it could not be made durable, or the disk has no room for it beside what the journal needs. What was there before still is, and
/// nothing else: an unfinished file is removed, as are those that earlier runs left.
pub fn write(
    disk: &dyn Disk,
    dir: &Path,
    state: &State,
    end: ChainEnd,
    pace: Pace,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Kept, SnapshotError> {
    let (path, unfinished) = kept::paths(dir, end.position);
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
    // The folder's own name as well: it may be new.
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
    /// Where the buffer's bytes go in the file.
    at: u64,
    /// Of the section so far, without the buffer.
    hasher: blake3::Hasher,
    sections: Vec<Section>,
    pace: Pace,
    likely: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Laying<'_> {
    fn begin(&mut self, part: Part) {
        self.sections.push(Section { number: part as u32, name: part.word(), offset: self.at, bytes: 0, hash: [0; 32] });
        self.hasher.reset();
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= WRITTEN_AT_ONCE { self.flush() } else { Ok(()) }
    }

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
            // As long again at the least, so that others have the disk for half of the time.
            std::thread::sleep(began.elapsed().clamp(GENTLE_REST, 100 * GENTLE_REST));
        }
        Ok(())
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

    fn rows<T: Pod>(&mut self, part: Part, rows: impl Iterator<Item = T>) -> Result<(), Failure> {
        debug_assert_eq!(size_of::<T>(), part.row_bytes(), "{}", part.word());
        self.begin(part);
        for row in rows {
            self.push(bytes_of(&row))?;
        }
        self.end()
    }

    /// The slots of an index. Returns how many homes it has.
    fn slots(
        &mut self,
        part: Part,
        hashes: impl Iterator<Item = u64>,
        contest: impl FnMut(&mut Vec<u32>),
    ) -> Result<u64, Failure> {
        self.begin(part);
        let mut result = Ok(());
        let homes = freeze(hashes.zip(0..), contest, |slot| {
            if result.is_ok() {
                result = self.push(bytes_of(&slot));
            }
        });
        result?;
        self.end()?;
        Ok(homes)
    }
}

/// Writes the sections and the header. Returns the bytes of the file.
fn lay(mut file: Laying<'_>, state: &State, key: HashKey, end: ChainEnd, counts: Counts) -> Result<u64, Failure> {
    let mut laid = Laid { key, ..Laid::default() };
    lay_codes(&mut file, state, &mut laid)?;
    file.rows(Part::Clients, state.clients.rows().copied())?;
    file.rows(Part::ClientCounts, state.clients.counts().copied())?;
    laid.homes.clients = file.slots(Part::ClientSlots, state.clients.rows().map(|row| key.hash_id(row.id)), |_| {})?;
    file.rows(Part::ClientNames, state.name_rows().map(|(row, _)| row))?;
    file.begin(Part::ClientNameTexts);
    state.name_rows().try_for_each(|(_, name)| file.push(name))?;
    file.end()?;
    file.rows(Part::Members, state.member_rows())?;
    lay_uses(&mut file, state, &mut laid)?;
    lay_requests(&mut file, state, &mut laid)?;
    file.rows(Part::Forgotten, state.requests.forgotten().rows().iter().copied())?;
    file.rows(Part::Refunded, state.given_back.refunded().map(|activation| activation.0))?;
    file.rows(Part::GivenBack, state.given_back.rows())?;
    file.rows(Part::ReaderOwners, state.readers.owner_rows())?;
    file.rows(Part::RevokedHolders, state.holds.revoked_rows())?;
    file.rows(Part::CodeForm, state.form_row().into_iter())?;
    file.begin(Part::Small);
    let mut small = Vec::new();
    wire::encode(&state.small(&laid), &mut small);
    file.push(&small)?;
    file.end()?;
    // All of it before the header: what has one is whole.
    let bytes = file.at;
    file.file.sync()?;
    let header = Header { version: VERSION, end, counts, bytes, sections: file.sections };
    file.file.write_at(0, &layout::encode(&header)[..])?;
    file.file.sync()?;
    Ok(bytes)
}

fn lay_codes(file: &mut Laying<'_>, state: &State, laid: &mut Laid) -> Result<(), Failure> {
    let campaigns = || state.campaigns.after(CampaignId(0)).map(|(_, campaign)| campaign);
    file.begin(Part::CodeTexts);
    let (mut first, mut text) = (0, 0);
    for campaign in campaigns() {
        let mut text_bytes = 0;
        for code in campaign.codes.iter() {
            file.push(code.as_bytes())?;
            text_bytes += code.len() as u64;
        }
        let places = Places { first, count: campaign.codes.len() as u32, text, text_bytes };
        (first, text) = (first + places.count, text + text_bytes);
        laid.places.push(places);
    }
    file.end()?;
    let ends = campaigns().flat_map(|campaign| {
        campaign.codes.iter().scan(0, |end, code| {
            *end += code.len() as u32;
            Some(*end)
        })
    });
    file.rows(Part::CodeEnds, ends)?;
    file.rows(Part::CodeActivations, campaigns().flat_map(|campaign| campaign.activations_of.iter().copied()))?;
    // A code of a state is one; were it not, it would be found under no text.
    let form = state.code_form();
    let hash = |code: &str| form.normalise(code).map_or(0, |code| laid.key.hash(code.as_bytes()));
    let hashes = campaigns().flat_map(|campaign| campaign.codes.iter()).map(hash);
    laid.homes.codes = file.slots(Part::CodeSlots, hashes, |rows| leave_holders(state, &laid.places, rows))?;
    Ok(())
}

/// Of codes whose hashes are alike leaves those that their values belong to: of each value the one whose campaign holds it, or where
/// none does the one that was freed last.
fn leave_holders(state: &State, places: &[Places], rows: &mut Vec<u32>) {
    let contender = |row: u32| {
        let after = places.partition_point(|places| places.first <= row);
        let slot = row - places[after - 1].first;
        let campaign = state.campaigns.of(CampaignId(after as u32));
        let value = campaign.and_then(|campaign| state.code_form().normalise(campaign.codes.of(slot as usize)?).ok());
        // One that holds its value ranks before all that were freed.
        let freed = campaign.and_then(|campaign| campaign.freed(slot));
        (value, (freed.is_none(), freed, row))
    };
    let mut contenders: Vec<_> = rows.iter().map(|row| contender(*row)).collect();
    leave_prevailing(
        &mut contenders,
        |(a, _), (b, _)| a.as_ref().map(NormalisedCode::as_bytes).cmp(&b.as_ref().map(NormalisedCode::as_bytes)),
        |(_, a), (_, b)| a.cmp(b),
    );
    rows.clear();
    rows.extend(contenders.iter().map(|(_, (_, _, row))| *row));
}

fn lay_uses(file: &mut Laying<'_>, state: &State, laid: &mut Laid) -> Result<(), Failure> {
    file.begin(Part::Uses);
    let (mut end, mut hashes) = (0, Vec::new());
    for (campaign, _) in state.campaigns.after(CampaignId(0)) {
        let first = end;
        for row in state.uses_rows(campaign) {
            file.push(bytes_of(&row))?;
            hashes.push(hash_of_use(laid.key, &row));
            end += 1;
        }
        laid.uses.push((first, end));
    }
    file.end()?;
    laid.homes.uses = file.slots(Part::UsesSlots, hashes.into_iter(), |_| {})?;
    Ok(())
}

fn lay_requests(file: &mut Laying<'_>, state: &State, laid: &mut Laid) -> Result<(), Failure> {
    let mut result = Ok(());
    let mut hashes = Vec::with_capacity(state.requests.len());
    file.begin(Part::Requests);
    laid.newest_request_ms = state.each_request_row(|row, _| {
        hashes.push(laid.key.hash_id(row.id));
        if result.is_ok() {
            result = file.push(bytes_of(&row));
        }
    });
    result?;
    file.end()?;
    let mut result = Ok(());
    file.begin(Part::Replies);
    state.each_request_row(|_, reply| {
        if result.is_ok() {
            result = file.push(reply);
        }
    });
    result?;
    file.end()?;
    laid.homes.requests = file.slots(Part::RequestSlots, hashes.into_iter(), |_| {})?;
    Ok(())
}
