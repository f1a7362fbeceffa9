//! Sorts the frames that a lane has read: checks and decodes each, and puts it where it is answered.

use std::sync::Arc;

use scrip_core::guard::{Asker, FailedCode, Reason};
use scrip_core::index::Holder;
use scrip_core::state::{
    AddCodesRequest, CodeList, CodesRequest, ConfirmRequest, CreateCampaignRequest, ForgetReaderRequest, HoldRequest,
    KeepReaderRequest, Mutation, NamedHold, RedeemRequest,
};
use scrip_protocol::codes::{CodeForm, NormalisedCode};
use scrip_protocol::command::{
    AccountCommand, CHECK_CODES_MAX, CampaignCommand, Check, CheckFreeOutcome, CheckOutcome, ClientCommand, CodeChecked,
    CodeTexts, CodesCommand, CommandGroup, Confirm, CredentialCommand, DirectoryCommand, Hold, JournalCommand, LINES_MAX,
    MonitoringCommand, Redeem, RedemptionCommand, RehearseRule, RuleCommand, Tail, WatchAttempts, redeem_meaning,
};
use scrip_protocol::frame::{Frame, Malformed, REFUSAL, RequestFrame, push_value};
use scrip_protocol::{AnyCommand, ClientId, ClientNetwork, ClubId, Kind, Position, Refusal, RequestId, Role, Stamp, wire};

use super::generating::Generation;
use super::weight::{Reply, is_long_change};
use super::{LARGE_FRAME_BYTES, Shared, refund};
use crate::attempts::{About, Refused, Waiting};
use crate::counters::{RefusalCounts, RequestCounts, count_refusals};
use crate::pipeline::{Attempt, Call, Change, Read, Request, Share};

/// How many codes a lane looks at on the worker that other lanes' tasks share: some hundred microseconds.
const CODES_ON_WORKER: usize = 4096;

/// After how many bytes of requests other than redemptions a lane hands over what it has, and lets other tasks go on.
const BYTES_BETWEEN_YIELDS: usize = 64 << 10;

/// How many of these bytes each such request counts for at least.
const REQUEST_BYTES: usize = 128;

/// What some frames of one read amount to.
#[derive(Default)]
pub(super) struct Sorted {
    pub(super) requests: Vec<Request>,
    /// How many bytes their replies may have, but for small ones.
    pub(super) reply_bytes: usize,
    /// About what it took to sort them, in bytes; redemptions take nothing.
    costs: usize,
    /// A request whose reply waits for its bytes without the others. It ends what is sorted at once.
    pub(super) alone: Option<Alone>,
    /// So does a request for which files are read.
    pub(super) lookup: Option<Lookup>,
    /// Reply frames that show nothing of the state and may leave at once.
    pub(super) refusals: Vec<u8>,
    /// A stream ends what is read at once: the lane serves it before it reads on.
    pub(super) stream: Option<(u64, Stream)>,
    /// They are answered when they are done.
    pub(super) rehearsals: Vec<(u64, RehearseRule)>,
    /// As are these.
    pub(super) snapshots: Vec<u64>,
    /// And these.
    pub(super) generations: Vec<Generation>,
    /// What is counted of them.
    pub(super) counts: RequestCounts,
    pub(super) refused: RefusalCounts,
    pub(super) waiting: Waiting,
}

/// A request for a page, or whose reply does not fit the small reservation of its chunk.
pub(super) struct Alone {
    pub(super) request: Request,
    /// How many bytes its reply may have.
    pub(super) reply_bytes: usize,
    pub(super) is_page: bool,
}

/// A request that is whole once files were read for it, on a thread for that.
pub(super) struct Lookup {
    pub(super) correlation: u64,
    /// How many bytes a reply that `read` makes may have; 0 if it makes none.
    pub(super) reply_bytes: usize,
    pub(super) read: ReadFiles,
}

/// Reads files for a request, and returns what it becomes.
type ReadFiles = Box<dyn FnOnce(&Shared) -> Call + Send>;

/// What is answered by many frames.
pub(super) enum Stream {
    Tail(Tail),
    Watch(WatchAttempts),
}

impl Sorted {
    /// With room for so many requests.
    pub(super) fn with_room(requests: usize) -> Sorted {
        Sorted { requests: Vec::with_capacity(requests), ..Sorted::default() }
    }

    /// Whether another frame may be sorted before what is there is handed over.
    pub(super) fn is_open(&self) -> bool {
        self.stream.is_none() && self.alone.is_none() && self.lookup.is_none() && self.costs < BYTES_BETWEEN_YIELDS
    }

    /// Adds a request whose reply may have so many bytes. A chunk with a long reply waits behind those of other credentials, and
    /// redemptions must not wait with it.
    fn add(&mut self, request: Request, reply: Reply, share: &Share) {
        let (reply_bytes, is_page) = match reply {
            Reply::Page(bytes) => (bytes, true),
            Reply::Long(bytes) => (bytes, false),
            Reply::Small | Reply::MadeByLane => (made_bytes(&request.call), false),
        };
        match is_page || !share.is_small(self.reply_bytes + reply_bytes) {
            true => self.alone = Some(Alone { request, reply_bytes, is_page }),
            false => {
                self.reply_bytes += reply_bytes;
                self.requests.push(request);
            }
        }
    }
}

/// The bytes of a reply that the lane has made.
fn made_bytes(call: &Call) -> usize {
    if let Call::Answered { frame, .. } = call { frame.len() } else { 0 }
}

/// One request of a lane, with who sent it and what it takes to sort it.
struct Arrival<'a> {
    request: RequestFrame<'a>,
    correlation: u64,
    form: CodeForm,
    caller: &'a Arc<Holder>,
    share: &'a Share,
    shared: &'a Shared,
}

/// Where a request goes.
enum Route {
    /// To the engine thread.
    Call(Call),
    /// To the engine thread, after files were read for it.
    Lookup(ReadFiles),
    /// It is answered by many frames.
    Stream(Stream),
    Rehearsal(RehearseRule),
    Snapshot,
    Generation(Generation),
    /// The caller may not send it with these arguments.
    Forbidden(Refusal),
}

/// Checks and decodes one frame, and puts it where it belongs.
pub(super) fn sort(
    frame: Frame<'_>,
    caller: &Arc<Holder>,
    share: &Share,
    shared: &Shared,
    sorted: &mut Sorted,
) -> Result<(), Malformed> {
    let request = frame.request()?;
    let kind = request.kind;
    sorted.counts.count(kind);
    let arrival = Arrival { request, correlation: frame.correlation, form: shared.index.form(), caller, share, shared };
    if !kind.permits(caller.role) {
        // The payload is not decoded: a caller without permission learns nothing from a malformed request.
        arrival.forbid(About::default(), Refusal::Forbidden { role: caller.role }, sorted);
        return Ok(());
    }
    if kind == Kind::Redeem { arrival.sort_redemption(sorted) } else { arrival.sort_other(sorted) }
}

impl Arrival<'_> {
    /// Sorts a redemption. Its code is looked up later, with others.
    #[inline]
    fn sort_redemption(&self, sorted: &mut Sorted) -> Result<(), Malformed> {
        let (mut command, network, body) = redeem(&self.request, self.form)?;
        if !self.caller.may_ask_for(command.club) {
            let code = command.code.as_ref().ok().copied();
            let about = About { client: Some(command.client), club: Some(command.club), code };
            self.forbid(about, Refusal::ClubForbidden { club: command.club }, sorted);
            return Ok(());
        }
        let (stamp, top_up) = (self.stamp(body), command.top_up);
        if top_up != Position(0) {
            let read = move |shared: &Shared| match refund::client_of(top_up, shared) {
                Ok(client) => {
                    command.is_their_top_up = client == Some(command.client);
                    Call::Change(Change { network, ..Change::new(stamp, Mutation::Redeem(command)) })
                }
                Err(refund::Unreadable) => busy(Kind::Redeem, stamp),
            };
            sorted.lookup = Some(Lookup { correlation: self.correlation, reply_bytes: 0, read: Box::new(read) });
            return Ok(());
        }
        let call = Call::Change(Change { network, ..Change::new(stamp, Mutation::Redeem(command)) });
        sorted.requests.push(Request { correlation: self.correlation, call });
        Ok(())
    }

    /// Sorts any other command.
    fn sort_other(&self, sorted: &mut Sorted) -> Result<(), Malformed> {
        let kind = self.request.kind;
        sorted.costs += REQUEST_BYTES + self.request.payload.len();
        bounded(kind, self.request.payload.len())?;
        let command = AnyCommand::decode(kind, self.request.payload)?;
        whole_list(&command, kind)?;
        let reply = Reply::of(kind, command.list());
        let is_long = is_long_change(kind, &command, |campaign| self.shared.index.has_many_codes(campaign));
        let reply = if is_long { reply.apart() } else { reply };
        if let Some((club, client)) = command.club_and_client()
            && !self.caller.may_ask_for(club)
        {
            let about = About { client, club: Some(club), code: self.code_of(&command) };
            self.forbid(about, Refusal::ClubForbidden { club }, sorted);
            return Ok(());
        }
        let stamp = self.stamp(self.meaning(&command));
        let (correlation, share) = (self.correlation, self.share);
        match self.route(command, stamp) {
            Route::Call(call) => sorted.add(Request { correlation, call }, reply, share),
            Route::Lookup(read) => {
                let reply_bytes = if let Reply::Long(bytes) = reply { bytes } else { 0 };
                sorted.lookup = Some(Lookup { correlation, reply_bytes, read });
            }
            Route::Stream(stream) => sorted.stream = Some((correlation, stream)),
            Route::Rehearsal(request) => sorted.rehearsals.push((correlation, request)),
            Route::Snapshot => sorted.snapshots.push(correlation),
            Route::Generation(generation) => sorted.generations.push(generation),
            Route::Forbidden(refusal) => self.forbid(About::default(), refusal, sorted),
        }
        Ok(())
    }

    fn stamp(&self, body: u64) -> Stamp {
        Stamp { request: self.request.request.unwrap_or(RequestId(0)), body, credential: self.caller.credential }
    }

    /// The hash by which a retry is recognised. It may take its time with a list, as preparing that does.
    fn meaning(&self, command: &AnyCommand) -> u64 {
        match self.request.kind.mutates() {
            true => aside(command.list().map_or(0, CodeTexts::len), || command.meaning(self.form)),
            false => 0,
        }
    }

    /// The code of a command that is bound to a club and has one code.
    fn code_of(&self, command: &AnyCommand) -> Option<NormalisedCode> {
        if let AnyCommand::Hold(hold) = command { self.form.normalise(&hold.code).ok() } else { None }
    }

    /// Refuses a request that its caller may not send. The refusal is reported beside the journal if the command would have changed
    /// something, or is a check.
    fn forbid(&self, about: About, refusal: Refusal, sorted: &mut Sorted) {
        let Arrival { request, caller, shared, .. } = self;
        if request.kind.mutates() || request.kind == Kind::Check {
            sorted.waiting.push(Refused {
                at_ms: shared.clock.now().record_ms,
                after: *shared.durable.borrow(),
                kind: request.kind,
                credential: caller.credential,
                request: request.request.unwrap_or(RequestId(0)),
                about,
                network: ClientNetwork::UNKNOWN,
                refusal,
            });
        }
        push_value(&mut sorted.refusals, REFUSAL, self.correlation, &refusal);
        count_refusals(&mut sorted.refused, &refusal, 1);
    }

    fn route(&self, command: AnyCommand, stamp: Stamp) -> Route {
        match command.by_group() {
            CommandGroup::Redemptions(command) => self.redemption(command, stamp),
            CommandGroup::Directory(command) => directory(command, stamp),
            CommandGroup::Clients(command) => client(command, stamp),
            CommandGroup::Campaigns(command) => self.campaign(command, stamp),
            CommandGroup::Monitoring(command) => self.monitoring(command),
            CommandGroup::Codes(command) => self.codes(command, stamp),
            CommandGroup::Credentials(command) => credential(command, stamp),
            CommandGroup::Accounts(command) => self.account(command, stamp),
            CommandGroup::Rules(command) => rule(command, stamp),
            CommandGroup::Journal(command) => self.journal(command, stamp),
        }
    }

    fn redemption(&self, command: RedemptionCommand, stamp: Stamp) -> Route {
        let named = |hold| NamedHold { hold, anyones: self.is_operator() };
        match command {
            RedemptionCommand::Redeem(_) => unreachable!("redemptions are sorted without being decoded to the heap"),
            RedemptionCommand::Check(command) => Route::Call(check(&command, self.correlation, self.caller, self.shared)),
            RedemptionCommand::Hold(command) => self.hold(&command, stamp),
            RedemptionCommand::Confirm(command) => confirmation(&command, named(command.hold), stamp),
            RedemptionCommand::Release(command) => change(stamp, Mutation::Release(named(command.hold))),
            RedemptionCommand::Refund(command) => {
                if command.force && !self.is_operator() {
                    return Route::Forbidden(Refusal::Forbidden { role: self.caller.role });
                }
                let caller = self.caller.clone();
                change_after(Kind::Refund, stamp, move |shared| {
                    Ok(Mutation::Refund(Box::new(refund::activation(&command, &caller, shared)?)))
                })
            }
        }
    }

    fn hold(&self, command: &Hold, stamp: Stamp) -> Route {
        let redeem = RedeemRequest {
            client: command.client,
            club: command.club,
            code: self.form.normalise(&command.code),
            top_up: Position(0),
            is_their_top_up: true,
        };
        let hold = Mutation::Hold(Box::new(HoldRequest { redeem, ttl_ms: command.ttl_ms }));
        Route::Call(Call::Change(Change { network: command.network, ..Change::new(stamp, hold) }))
    }

    fn campaign(&self, command: CampaignCommand, stamp: Stamp) -> Route {
        match command {
            CampaignCommand::CreateCampaign(command) => {
                let list = list(self.form, &command.lines, 1);
                let request = CreateCampaignRequest { list, terms: command.terms, on_conflict: command.on_conflict };
                change(stamp, Mutation::CreateCampaign(Box::new(request)))
            }
            CampaignCommand::AddCodes(command) => {
                let list = list(self.form, &command.lines, command.first_line);
                let request = AddCodesRequest { campaign: Some(command.campaign), list, on_conflict: command.on_conflict };
                change(stamp, Mutation::AddCodes(Box::new(request)))
            }
            CampaignCommand::SwitchCampaign(command) => change(stamp, Mutation::SwitchCampaign(command)),
            CampaignCommand::UpdateCampaign(command) => change(stamp, Mutation::UpdateCampaign(Box::new(command))),
            CampaignCommand::ArchiveCampaign(command) => change(stamp, Mutation::ArchiveCampaign(command.campaign)),
            CampaignCommand::RestoreCampaign(command) => change(stamp, Mutation::RestoreCampaign(command.campaign)),
            CampaignCommand::ListCampaigns(command) => read(Read::ListCampaigns(command)),
            CampaignCommand::ShowCampaign(command) => read(Read::ShowCampaign(command)),
        }
    }

    fn monitoring(&self, command: MonitoringCommand) -> Route {
        match command {
            MonitoringCommand::Tail(command) => Route::Stream(Stream::Tail(command)),
            MonitoringCommand::WatchAttempts(command) => Route::Stream(Stream::Watch(command)),
            MonitoringCommand::ShowStatus(_) => {
                let correlation = self.correlation;
                Route::Lookup(Box::new(move |shared| answered(Kind::ShowStatus, correlation, &shared.vitals.status())))
            }
            MonitoringCommand::ListLockouts(command) => read(Read::ListLockouts(command)),
            MonitoringCommand::LiftLockouts(command) => {
                Route::Call(Call::Lift { by: self.caller.credential, which: command.which })
            }
        }
    }

    fn codes(&self, command: CodesCommand, stamp: Stamp) -> Route {
        let named = |campaign, codes: &CodeTexts| Box::new(CodesRequest { campaign, list: list(self.form, codes, 1) });
        match command {
            CodesCommand::TryCodes(command) => {
                let list = list(self.form, &command.lines, command.first_line).after(command.earlier);
                let request = AddCodesRequest { campaign: command.campaign, list, on_conflict: command.on_conflict };
                read(Read::TryCodes(Box::new(request)))
            }
            CodesCommand::GenerateCodes(request) => match self.share.generation() {
                Some(place) => Route::Generation(Generation { correlation: self.correlation, stamp, request, place }),
                None => Route::Call(busy(Kind::GenerateCodes, stamp)),
            },
            CodesCommand::ArchiveCodes(command) => change(stamp, Mutation::ArchiveCodes(named(command.campaign, &command.codes))),
            CodesCommand::RestoreCodes(command) => change(stamp, Mutation::RestoreCodes(named(command.campaign, &command.codes))),
            CodesCommand::ListCodes(command) => read(Read::ListCodes(command)),
            CodesCommand::CheckFree(command) => {
                let outcome = match command.codes.len() > LINES_MAX {
                    true => CheckFreeOutcome::TooManyLines,
                    false => aside(command.codes.len(), || self.shared.index.check_free(command.codes.iter())),
                };
                Route::Call(answered(Kind::CheckFree, self.correlation, &outcome))
            }
        }
    }

    fn account(&self, command: AccountCommand, stamp: Stamp) -> Route {
        match command {
            AccountCommand::TopUp(command) => change(stamp, Mutation::TopUp(Box::new(command))),
            AccountCommand::RefundTopUp(command) => {
                let caller = self.caller.clone();
                change_after(Kind::RefundTopUp, stamp, move |shared| {
                    Ok(Mutation::RefundTopUp(Box::new(refund::top_up(command, &caller, shared)?)))
                })
            }
            AccountCommand::CreditBonus(command) => change(stamp, Mutation::CreditBonus(Box::new(command))),
            AccountCommand::WriteOffBonus(command) => change(stamp, Mutation::WriteOffBonus(Box::new(command))),
            AccountCommand::PayBonus(command) => change(stamp, Mutation::PayBonus(Box::new(command))),
            AccountCommand::RefundBonus(command) => {
                let caller = self.caller.clone();
                change_after(Kind::RefundBonus, stamp, move |shared| {
                    Ok(Mutation::RefundBonus(Box::new(refund::bonus(command, &caller, shared)?)))
                })
            }
            AccountCommand::RecordSession(command) => change(stamp, Mutation::RecordSession(Box::new(command))),
            AccountCommand::RecordPurchase(command) => change(stamp, Mutation::RecordPurchase(Box::new(command))),
        }
    }

    fn journal(&self, command: JournalCommand, stamp: Stamp) -> Route {
        let anyones = self.is_operator();
        match command {
            JournalCommand::TakeSnapshot(_) => Route::Snapshot,
            JournalCommand::KeepReader(request) => {
                let kept_from = self.shared.reader.first();
                let request = KeepReaderRequest { request, kept_from, open_from: kept_from, anyones };
                change(stamp, Mutation::KeepReader(Box::new(request)))
            }
            JournalCommand::ForgetReader(request) => {
                change(stamp, Mutation::ForgetReader(ForgetReaderRequest { request, anyones }))
            }
            JournalCommand::ListReaders(_) => read(Read::ListReaders),
        }
    }

    fn is_operator(&self) -> bool {
        self.caller.role == Role::Operator
    }
}

fn confirmation(command: &Confirm, hold: NamedHold, stamp: Stamp) -> Route {
    let top_up = command.top_up;
    if top_up == Position(0) {
        return change(stamp, Mutation::Confirm(ConfirmRequest { hold, top_up, top_up_of: None }));
    }
    change_after(Kind::Confirm, stamp, move |shared| {
        Ok(Mutation::Confirm(ConfirmRequest { hold, top_up, top_up_of: refund::client_of(top_up, shared)? }))
    })
}

fn directory(command: DirectoryCommand, stamp: Stamp) -> Route {
    match command {
        DirectoryCommand::RegisterClub(command) => change(stamp, Mutation::RegisterClub(command)),
        DirectoryCommand::ListClubs(command) => read(Read::ListClubs(command)),
        DirectoryCommand::RegisterGroup(command) => change(stamp, Mutation::RegisterGroup(command)),
        DirectoryCommand::ListGroups(command) => read(Read::ListGroups(command)),
    }
}

fn client(command: ClientCommand, stamp: Stamp) -> Route {
    match command {
        ClientCommand::RegisterClient(command) => change(stamp, Mutation::RegisterClient(command)),
        ClientCommand::ShowClient(command) => read(Read::ShowClient(command)),
    }
}

fn credential(command: CredentialCommand, stamp: Stamp) -> Route {
    match command {
        CredentialCommand::AddCredential(command) => change(stamp, Mutation::AddCredential(Box::new(command))),
        CredentialCommand::RevokeCredential(command) => change(stamp, Mutation::RevokeCredential(command)),
        CredentialCommand::ListCredentials(command) => read(Read::ListCredentials(command)),
    }
}

fn rule(command: RuleCommand, stamp: Stamp) -> Route {
    match command {
        RuleCommand::CreateRule(command) => change(stamp, Mutation::CreateRule(Box::new(command))),
        RuleCommand::UpdateRule(command) => change(stamp, Mutation::UpdateRule(Box::new(command))),
        RuleCommand::SwitchRule(command) => change(stamp, Mutation::SwitchRule(command)),
        RuleCommand::ArchiveRule(command) => change(stamp, Mutation::ArchiveRule(command.rule)),
        RuleCommand::RestoreRule(command) => change(stamp, Mutation::RestoreRule(command.rule)),
        RuleCommand::ListRules(command) => read(Read::ListRules(command)),
        RuleCommand::ShowRule(command) => read(Read::ShowRule(command)),
        RuleCommand::LintRule(command) => read(Read::LintRule(Box::new(command))),
        RuleCommand::RehearseRule(command) => Route::Rehearsal(command),
    }
}

fn change(stamp: Stamp, mutation: Mutation) -> Route {
    Route::Call(Call::Change(Change::new(stamp, mutation)))
}

/// A change that is complete once files were read for it.
fn change_after(
    kind: Kind,
    stamp: Stamp,
    read: impl FnOnce(&Shared) -> Result<Mutation, refund::Unreadable> + Send + 'static,
) -> Route {
    Route::Lookup(Box::new(move |shared| match read(shared) {
        Ok(mutation) => Call::Change(Change::new(stamp, mutation)),
        Err(refund::Unreadable) => busy(kind, stamp),
    }))
}

fn read(read: Read) -> Route {
    Route::Call(Call::Read(read))
}

/// A request that cannot be executed now. A retry is answered from the idempotency window even if the journal cannot be read.
fn busy(kind: Kind, stamp: Stamp) -> Call {
    Call::Busy { kind, stamp }
}

/// A reply that is made here.
fn answered<T: wire::Wire>(kind: Kind, correlation: u64, outcome: &T) -> Call {
    let mut frame = Vec::new();
    push_value(&mut frame, kind as u16, correlation, outcome);
    Call::Answered { frame, attempt: None }
}

/// Reads a redemption in place, with the hash of what it means: this is the hot path, and nothing on it allocates.
fn redeem(request: &RequestFrame<'_>, form: CodeForm) -> Result<(RedeemRequest, ClientNetwork, u64), Malformed> {
    let command = wire::access::<Redeem>(Kind::Redeem.word(), request.payload)?;
    let text = command.code.as_str();
    let network = ClientNetwork(command.network.0.to_native());
    let command = RedeemRequest {
        client: ClientId(command.client.0.to_native()),
        club: ClubId(command.club.0.to_native()),
        code: form.normalise(text),
        top_up: Position(command.top_up.0.to_native()),
        is_their_top_up: true,
    };
    let body = redeem_meaning((command.client, command.club, command.top_up), &command.code, text, form);
    Ok((command, network, body))
}

/// A list of codes, prepared for the engine thread.
fn list(form: CodeForm, lines: &CodeTexts, first_line: u32) -> CodeList {
    match lines.len() > LINES_MAX {
        true => CodeList::too_long(),
        false => aside(lines.len(), || CodeList::prepare(lines, first_line, |text| form.trim(text), |text| form.normalise(text))),
    }
}

/// Does what takes its time with so many codes; where they are many, so that the tasks of other lanes need not wait for it.
fn aside<T>(codes: usize, work: impl FnOnce() -> T) -> T {
    if codes > CODES_ON_WORKER { tokio::task::block_in_place(work) } else { work() }
}

/// A large payload is a list of codes, or a text that was typed as a code. Of other commands none has as much to say: a
/// hundred thousand tags, for example, would be decoded, hashed and refused at the cost of other callers.
fn bounded(kind: Kind, length: usize) -> Result<(), Malformed> {
    let may_be_large = kind.has_list() || matches!(kind, Kind::Check | Kind::Hold);
    let too_long = Malformed::TooLong { length: length as u64, limit: LARGE_FRAME_BYTES as u64 };
    (may_be_large || length <= LARGE_FRAME_BYTES).then_some(()).ok_or(too_long)
}

/// Before anything is done with a list, its ends are known to lie within it.
fn whole_list(command: &AnyCommand, kind: Kind) -> Result<(), Malformed> {
    let torn = || Malformed::Payload { what: kind.word(), cause: "the ends of its texts are not in order".to_owned() };
    command.list().is_none_or(CodeTexts::is_whole).then_some(()).ok_or_else(torn)
}

/// A check's reply, made here from the index, with what the guard is to know of it.
fn check(command: &Check, correlation: u64, caller: &Holder, shared: &Shared) -> Call {
    let mut outcome = match command.codes.len() > CHECK_CODES_MAX {
        true => CheckOutcome::TooManyCodes,
        false => {
            let now_ms = shared.clock.now().record_ms;
            aside(command.codes.len(), || shared.index.check(now_ms, command.club, command.codes.iter().map(String::as_str)))
        }
    };
    let mut attempt = None;
    if let CheckOutcome::Checked { codes, .. } = &mut outcome {
        // A credential that may not redeem acts for no client: whomever it names, it is charged alone.
        let (client, network) = match Kind::Redeem.permits(caller.role) {
            true => (command.client, command.network),
            false => (None, ClientNetwork::UNKNOWN),
        };
        let asker = Asker { credential: caller.credential, client, network };
        let mut failed = Vec::new();
        for (verdict, code) in codes.iter_mut().zip(&command.codes).filter(|(verdict, _)| verdict.is_miss()) {
            let reason = Reason::new(verdict.is_unknown(), caller.reasons);
            let fingerprint = shared.index.form().normalise(code).ok().map(|code| shared.fingerprints.of(code.as_str()));
            failed.extend(fingerprint.map(|fingerprint| FailedCode { fingerprint, reason }));
            if !caller.reasons {
                *verdict = CodeChecked::NotAccepted;
            }
        }
        attempt = Some(Attempt { asker, failed });
    }
    let mut frame = Vec::new();
    push_value(&mut frame, Kind::Check as u16, correlation, &outcome);
    Call::Answered { frame, attempt }
}
