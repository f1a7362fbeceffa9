//! Readers of the journal in the model, as a list, and random requests for them.

use scrip_protocol::command::{ForgetReader, ForgetReaderOutcome, KeepReader, KeepReaderOutcome, NAME_BYTES_MAX, Reader};
use scrip_protocol::{CredentialId, Position};

use super::commands::some_kept_from;
use super::{Bench, Model, encoded};
use crate::state::requests::Remembered;
use crate::state::{ForgetReaderRequest, KeepReaderRequest, Mutation};

/// How often one of these requests is drawn, among others.
pub(super) const READERS: u32 = 3;

impl Model {
    fn keep_reader(&mut self, request: &KeepReaderRequest, by: u32) -> KeepReaderOutcome {
        let KeepReaderRequest { request: KeepReader { name, position }, kept_from, open_from, anyones } = request;
        if name.trim().is_empty() || name.len() > NAME_BYTES_MAX {
            return KeepReaderOutcome::InvalidName;
        }
        let owner = self.readers.iter().find(|reader| reader.name == *name).map(|reader| reader.credential);
        if owner.is_some_and(|owner| owner != Some(CredentialId(by)) && !anyones) {
            return KeepReaderOutcome::OtherCredential;
        }
        // The record of this request does not exist yet.
        let newest = Position(self.position - 1);
        if *position > newest {
            return KeepReaderOutcome::BeyondEnd { newest };
        }
        let before = self.readers.iter().find(|reader| reader.name == *name).map(|reader| reader.position);
        if let Some(before) = before.filter(|before| before > position) {
            return KeepReaderOutcome::AlreadyFurther { position: before };
        }
        if (position.0 + 1..kept_from.0).next().is_some() || before.is_none() && position.0 + 1 < open_from.0 {
            let first = if before.is_none() { (*kept_from).max(*open_from) } else { *kept_from };
            return KeepReaderOutcome::NotKept { first };
        }
        self.readers.retain(|reader| reader.name != *name);
        let credential = owner.unwrap_or(Some(CredentialId(by)));
        self.readers.push(Reader { name: name.clone(), position: *position, moved_ms: self.now_ms, credential });
        KeepReaderOutcome::Kept { position: *position }
    }

    fn forget_reader(&mut self, name: &str, by: u32, anyones: bool) -> ForgetReaderOutcome {
        match self.readers.iter().position(|reader| reader.name == name) {
            Some(at) if self.readers[at].credential != Some(CredentialId(by)) && !anyones => ForgetReaderOutcome::OtherCredential,
            Some(at) => {
                self.readers.remove(at);
                ForgetReaderOutcome::Forgotten
            }
            None => ForgetReaderOutcome::UnknownReader,
        }
    }

    /// Z10: as of the newest record, in the order of their names.
    pub(super) fn compare_readers(&self, bench: &Bench) {
        let mut readers = self.readers.clone();
        readers.sort_by(|one, other| one.name.cmp(&other.name));
        let listed = bench.state.list_readers();
        assert_eq!((listed.readers, listed.as_of), (readers, Position(self.position)));
        let least = self.readers.iter().map(|reader| reader.position).min();
        assert_eq!(bench.state.readers.all_passed(), least);
    }
}

/// A random request, with the model's answer.
pub(super) fn some_reader(random: &mut fastrand::Rng, model: &mut Model, by: u32) -> (Mutation, Remembered) {
    let name = ["reports", "crm", "archive", "Reports", " ", ""][random.usize(..6)].to_owned();
    if random.u32(..4) == 0 {
        let anyones = random.bool();
        let outcome = model.forget_reader(&name, by, anyones);
        let request = ForgetReaderRequest { request: ForgetReader { name }, anyones };
        return (Mutation::ForgetReader(request), encoded::<ForgetReader>(&outcome));
    }
    let back = random.u64(..3 + model.position / 4);
    let position = Position((model.position + 1).saturating_sub(back));
    let (kept_from, open_from, anyones) = (some_kept_from(random, model), some_kept_from(random, model), random.bool());
    let request = KeepReaderRequest { request: KeepReader { name, position }, kept_from, open_from, anyones };
    let outcome = model.keep_reader(&request, by);
    (Mutation::KeepReader(Box::new(request)), encoded::<KeepReader>(&outcome))
}
