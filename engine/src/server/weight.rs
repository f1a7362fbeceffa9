//! The maximum size of the reply to a request, so that a lane can reserve memory before it hands the request over.

use scrip_protocol::command::{AddCodes, ArchiveCodes, CodeTexts, LINES_MAX, RestoreCodes};
use scrip_protocol::frame::Frame;
use scrip_protocol::{AnyCommand, CampaignId, Kind};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Memory of a decoded and prepared line besides its text: a normalised code, numbers, a table slot; or a skipped line.
const PREPARED_LINE: usize = 192;

/// Minimum bytes of a frame per line of its list.
const FRAME_LINE: usize = size_of::<u32>();

/// The frame of a check up to which its codes are not counted as a list. The lane makes its reply before the reservation.
const CHECK_UNCOUNTED: usize = 4 << 10;

/// An upper estimate of the memory for the list of codes in a frame, decoded and prepared; `None` for commands without one.
pub(super) fn list_bytes(frame: &Frame<'_>) -> Option<usize> {
    let bytes = frame.body.len();
    // A list with more lines than a request may have is not prepared.
    let lines = (bytes / FRAME_LINE).min(LINES_MAX);
    let is_counted = |kind: Kind| kind.has_list() || kind == Kind::Check && bytes > CHECK_UNCOUNTED;
    Kind::from_number(frame.kind).is_some_and(is_counted).then_some(lines * PREPARED_LINE + 2 * bytes)
}

/// The reply to a request, as far as its kind determines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    /// At most [`SMALL`] bytes. The number of requests in progress bounds these.
    Small,
    /// At most this many bytes.
    Long(usize),
    /// At most this many bytes, and slow to build: it waits separately from other requests.
    Page(usize),
    /// Built by the lane, which then knows the size.
    MadeByLane,
}

/// The maximum length of a list in a change that waits with other requests: some hundred microseconds.
pub(super) const LINES_WITH_OTHERS: usize = 1_024;

/// Whether a change can take milliseconds: it walks its campaign, has a long list of codes, or compares a rule with thousands of
/// others. Even a short list can make the engine hash all archived codes of its campaign, so it counts as long if the campaign has
/// many codes.
pub(super) fn is_long_change(kind: Kind, command: &AnyCommand, has_many_codes: impl FnOnce(CampaignId) -> bool) -> bool {
    if let AnyCommand::UpdateCampaign(command) = command {
        return command.activations_per_code_max.is_some();
    }
    if let AnyCommand::AddCodes(AddCodes { campaign, .. })
    | AnyCommand::ArchiveCodes(ArchiveCodes { campaign, .. })
    | AnyCommand::RestoreCodes(RestoreCodes { campaign, .. }) = command
        && has_many_codes(*campaign)
    {
        return true;
    }
    let is_long_list = kind.mutates() && command.list().is_some_and(|list| list.len() > LINES_WITH_OTHERS);
    is_long_list || matches!(kind, Kind::RestoreCampaign | Kind::CreateRule | Kind::UpdateRule)
}

/// The longest reply that reserves nothing.
pub(super) const SMALL: usize = 512;

/// The longest line of a report about a list, without the code in it; and of a verdict about a code.
const LINE: usize = 40;

impl Reply {
    /// The same reply to a change that waits apart from other requests.
    pub(super) fn apart(self) -> Reply {
        match self {
            Reply::Small | Reply::MadeByLane => Reply::Page(SMALL),
            Reply::Long(bytes) | Reply::Page(bytes) => Reply::Page(bytes),
        }
    }

    /// The reply to a request with this list of codes, if it has one.
    pub(super) fn of(kind: Kind, list: Option<&CodeTexts>) -> Reply {
        let report = SMALL + list.map_or(0, |list| list.len() * LINE + list.text.len());
        match kind {
            Kind::Redeem
            | Kind::Hold
            | Kind::Confirm
            | Kind::Release
            | Kind::Refund
            | Kind::RegisterClub
            | Kind::RegisterGroup
            | Kind::RegisterClient
            | Kind::SwitchCampaign
            | Kind::UpdateCampaign
            | Kind::ArchiveCampaign
            | Kind::LiftLockouts
            | Kind::GenerateCodes
            | Kind::AddCredential
            | Kind::RevokeCredential
            | Kind::TopUp
            | Kind::RefundTopUp
            | Kind::CreditBonus
            | Kind::WriteOffBonus
            | Kind::PayBonus
            | Kind::RefundBonus
            | Kind::RecordSession
            | Kind::RecordPurchase
            | Kind::SwitchRule
            | Kind::ArchiveRule
            | Kind::RestoreRule
            | Kind::KeepReader
            | Kind::ForgetReader
            // Answered by tasks of their own.
            | Kind::Tail
            | Kind::WatchAttempts
            | Kind::RehearseRule
            | Kind::TakeSnapshot => Reply::Small,
            Kind::Check | Kind::CheckFree => Reply::MadeByLane,
            Kind::CreateCampaign | Kind::AddCodes | Kind::ArchiveCodes | Kind::RestoreCodes => Reply::Long(report),
            // Its readers and counters.
            Kind::ShowStatus => Reply::Long(32 * KIB),
            // A thousand conflicts.
            Kind::RestoreCampaign => Reply::Long(320 * KIB),
            // Ten thousand groups.
            Kind::ShowClient => Reply::Long(44 * KIB),
            // Its lint findings.
            Kind::CreateRule | Kind::UpdateRule => Reply::Long(64 * KIB),
            Kind::TryCodes => Reply::Page(report),
            Kind::ListClubs | Kind::ListGroups => Reply::Page(256 * KIB),
            Kind::ListCampaigns | Kind::ListCredentials => Reply::Page(5 * MIB),
            Kind::ListRules => Reply::Page(6 * MIB),
            Kind::ListCodes => Reply::Page(5 * MIB / 4),
            Kind::ShowCampaign | Kind::ShowRule | Kind::LintRule | Kind::ListLockouts | Kind::ListReaders => {
                Reply::Page(64 * KIB)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use scrip_protocol::command::*;
    use scrip_protocol::frame::push_value;
    use scrip_protocol::{ClientId, ClubId, Command, GroupId, Money, Position, Refusal};

    use super::*;

    fn name() -> String {
        "n".repeat(NAME_BYTES_MAX)
    }

    #[track_caller]
    fn fits<C: Command>(list: Option<&CodeTexts>, outcome: &C::Outcome) {
        let mut frame = Vec::new();
        push_value(&mut frame, C::KIND as u16, 1, outcome);
        let max = match Reply::of(C::KIND, list) {
            Reply::Small | Reply::MadeByLane => SMALL,
            Reply::Long(max) | Reply::Page(max) => max,
        };
        assert!(frame.len() <= max, "{}: {} bytes, and {max} are reserved", C::KIND.word(), frame.len());
    }

    fn card() -> CampaignCard {
        let clubs = (1..=CLUBS_PER_CAMPAIGN_MAX as u32).map(ClubId).collect();
        CampaignCard {
            campaign: CampaignId(1),
            terms: Terms { clubs, ..Terms::new(name(), Money(1)) },
            status_active: true,
            redeemable: true,
            archived_ms: Some(1),
            created_ms: 1,
            codes: 1,
            codes_archived: 1,
            codes_activated: 1,
            codes_available: 1,
            codes_redeemable: 1,
            low_stock: true,
            activations: 1,
            held: 1,
            issued: Money(1),
            refunds: 1,
            uncollected: Money(1),
            clients_counted_from_ms: Some(1),
            added: vec![CodesBatch { at_ms: 1, codes: 1, position: Position(1) }; 100],
            as_of: Position(1),
            as_of_ms: 1,
        }
    }

    /// A status with as many readers as there may be, and every word that a counter may have.
    fn longest_status() -> Status {
        let reader = ReaderStatus { name: name(), position: Position(1), moved_ms: 1, lag_records: 1, lag_ms: Some(1) };
        let counted = |words: &[&str]| words.iter().map(|word| Counted { word: (*word).to_owned(), count: 1 }).collect();
        let kinds: Vec<_> = (0..u16::MAX).filter_map(Kind::from_number).map(Kind::word).collect();
        let flushes = Durations { steps: vec![DurationStep { us_max: 1, count: 1 }; 64], longer: 1, sum_us: 1 };
        let durable = Position(1);
        Status {
            now_ms: 1,
            requests_ms: 1,
            started_ms: 1,
            journal: JournalStatus {
                first: durable,
                durable,
                time_ms: 1,
                disk_bytes: 1,
                batches: 1,
                records: 1,
                bytes: 1,
                flushes,
            },
            snapshot: Some(SnapshotStatus { position: durable, time_ms: 1 }),
            readers: vec![reader; READERS_MAX],
            sizes: StateSizes::default(),
            requests: counted(&kinds),
            redemptions: counted(&RedeemOutcome::WORDS),
            holds: counted(&HoldOutcome::WORDS),
            refusals: counted(&Refusal::WORDS),
            repeated: 1,
            lockouts: 1,
            rule_failures: counted(&["too_many"; 64]),
            pushes_too_long: 1,
            load: Load::default(),
            attempts: AttemptCounts::default(),
        }
    }

    /// Every command with a list counts it, whatever its lines are; redemptions and others have none.
    #[test]
    fn the_list_in_a_frame_counts_with_its_maximum_size() {
        let list_of = |kind: Kind, body| list_bytes(&Frame { kind: kind as u16, correlation: 1, body });
        let lines: CodeTexts = ["c"; 100].into_iter().collect();
        for kind in (0..u16::MAX).filter_map(Kind::from_number) {
            let is_list = kind == Kind::CheckFree || Reply::of(kind, Some(&lines)) != Reply::of(kind, None);
            assert_eq!(list_of(kind, &[0; 400]).is_some(), is_list, "{}", kind.word());
        }
        // The reply to a long check exists before its reservation.
        assert!(
            list_of(Kind::Check, &[0; CHECK_UNCOUNTED]).is_none() && list_of(Kind::Check, &[0; CHECK_UNCOUNTED + 1]).is_some()
        );
        // Blank lines: room for a normalised code each, and their ends twice.
        let line = size_of::<scrip_protocol::codes::NormalisedCode>() + 2 * size_of::<u32>();
        assert!(list_of(Kind::TryCodes, &[0; 4 * 15_900]).is_some_and(|bytes| bytes >= 15_900 * line));
        assert!(list_of(Kind::AddCodes, &vec![0; 4 << 20]).is_some_and(|bytes| bytes < 48 << 20), "a share has room for it");
    }

    /// A change that walks a campaign or a long list waits apart; the same commands do not where they cost little.
    #[test]
    fn long_changes_wait_apart_from_other_requests() {
        let campaign = CampaignId(1);
        let is_long_change = |kind, command: &AnyCommand| is_long_change(kind, command, |_| false);
        let update = |change| AnyCommand::UpdateCampaign(UpdateCampaign { campaign, ..change });
        let capped = UpdateCampaign { activations_per_code_max: Some(None), ..UpdateCampaign::default() };
        assert!(is_long_change(Kind::UpdateCampaign, &update(capped)));
        let renamed = UpdateCampaign { name: Some(name()), activations_max: Some(Some(1)), ..UpdateCampaign::default() };
        assert!(!is_long_change(Kind::UpdateCampaign, &update(renamed)));
        assert!(is_long_change(Kind::RestoreCampaign, &AnyCommand::RestoreCampaign(RestoreCampaign { campaign })));
        assert!(!is_long_change(Kind::ArchiveCampaign, &AnyCommand::ArchiveCampaign(ArchiveCampaign { campaign })));
        let archive = |lines: usize| {
            let codes: CodeTexts = std::iter::repeat_n("A", lines).collect();
            is_long_change(Kind::ArchiveCodes, &AnyCommand::ArchiveCodes(ArchiveCodes { campaign, codes }))
        };
        assert_eq!([1_024, 1_025].map(archive), [false, true]);
        let (codes, lines): (CodeTexts, CodeTexts) = (["A"].into_iter().collect(), ["A"].into_iter().collect());
        for (kind, command) in [
            (Kind::ArchiveCodes, AnyCommand::ArchiveCodes(ArchiveCodes { campaign, codes: codes.clone() })),
            (Kind::RestoreCodes, AnyCommand::RestoreCodes(RestoreCodes { campaign, codes })),
            (Kind::AddCodes, AnyCommand::AddCodes(AddCodes { campaign, lines, first_line: 1, on_conflict: OnConflict::Skip })),
        ] {
            let is_long = |has_many_codes| super::is_long_change(kind, &command, |of| of == campaign && has_many_codes);
            assert_eq!([false, true].map(is_long), [false, true], "{}", kind.word());
        }
        assert_eq!(Reply::of(Kind::UpdateCampaign, None).apart(), Reply::Page(SMALL), "it has a place as pages have");
    }

    /// The reservation for a reply covers the longest possible one.
    #[test]
    fn the_longest_replies_fit_their_reservations() {
        let as_of = Position(1);
        let club = Club { club: ClubId(1), name: name() };
        fits::<ListClubs>(None, &ListClubsOutcome { clubs: vec![club; CLUBS_PER_PAGE], as_of });
        let row = CodeRow {
            slot: 1,
            code: "c".repeat(256),
            activations: 1,
            archived: Some(ArchiveCause::ByCampaign),
            held_by: Some(CampaignId(1)),
        };
        fits::<ListCodes>(None, &ListCodesOutcome::Codes { codes: vec![row; CODES_PER_PAGE], next: Some(1), as_of });
        fits::<ShowCampaign>(None, &ShowCampaignOutcome::Campaign(card()));
        let campaigns = vec![card(); CAMPAIGNS_PER_PAGE];
        fits::<ListCampaigns>(None, &ListCampaignsOutcome { campaigns, next: Some(CampaignId(1)), as_of });
        let groups = (1..=GROUPS_MAX as u32).map(GroupId).collect();
        let card = ClientCard { client: ClientId(1), name: name(), accounts: Default::default(), groups, as_of };
        fits::<ShowClient>(None, &ShowClientOutcome::Client(card));
        fits::<ShowStatus>(None, &longest_status());
        let conflict = CodeConflict { slot: 1, code: "\u{10ffff}".repeat(64), held_by: CampaignId(1) };
        let first = vec![conflict; CONFLICTS_SHOWN];
        fits::<RestoreCampaign>(None, &RestoreCampaignOutcome::Restored { restored: 1, conflicts: 1, first });
        for text in ["", "c", &"\u{10ffff}".repeat(64)] {
            let lines: CodeTexts = std::iter::repeat_n(text, 5_000).collect();
            let line = |line| SkippedLine { line, code: text.to_owned(), why: LineVerdict::DuplicateInList { of_line: 1 } };
            let skipped: Vec<_> = (0..5_000).map(line).collect();
            fits::<AddCodes>(Some(&lines), &AddCodesOutcome::Conflicts(skipped.clone()));
            fits::<TryCodes>(Some(&lines), &AddCodesOutcome::Conflicts(skipped));
        }
    }
}
