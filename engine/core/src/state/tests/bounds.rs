//! Replies and records stay within the limits of frames for every request: for the longest lists that requests may carry, each in
//! its worst case.

use scrip_protocol::batch::BatchBuilder;
use scrip_protocol::codes::CODE_BYTES_MAX;
use scrip_protocol::command::{
    ACTIONS_MAX, Action, AddCodes, CHECK_CODES_MAX, CLUBS_PER_CAMPAIGN_MAX, CLUBS_PER_RULE_MAX, COMMENT_BYTES_MAX,
    ClubRegistered, CodeFilter, CodeTexts, CreateRule, DESCRIPTION_BYTES_MAX, FIRED_MAX, ListCampaigns, ListCodes, ListRules,
    NAME_BYTES_MAX, Note, OnConflict, PUSH_BODY_CHARS_MAX, PUSH_TITLE_CHARS_MAX, Push, RULES_PER_PAGE, RegisterGroup, RuleEvent,
    RuleTerms, TAG_BYTES_MAX, TAGS_MAX, TailOutcome, Terms, TopUp, UsageFilter,
};
use scrip_protocol::frame::{HEADER_BYTES, REPLY_BYTES_MAX, REQUEST_BYTES_MAX, push_request};
use scrip_protocol::{CampaignId, ClientId, ClubId, GroupId, Money, Record, RequestId, RuleId, Settings, TopUpSource, wire};

use super::rules::save;
use super::{Answer, Bench, START_MS, stamp};
use crate::index::{normalise, trim};
use crate::state::requests::Remembered;
use crate::state::{AddCodesRequest, CodeList, CodesRequest, CreateCampaignRequest, Mutation};

/// The longest permitted code as written: each of these letters has four bytes, and one when it is normalised.
const LONG_LETTER: &str = "\u{1d54f}";

/// More than a batch contains before its last record.
const BATCH_BYTES_FILLED: usize = 128 << 10;

struct Large {
    bench: Bench,
    number: u64,
    /// The largest reply so far, and the largest record as it is sent to a reader, alone after a batch that was nearly full.
    reply: usize,
    record: usize,
}

impl Large {
    fn run(&mut self, mutation: &Mutation) {
        self.number += 1;
        let Answer::New(Remembered::Other(reply)) = self.bench.run(stamp(START_MS, self.number, 0), mutation) else {
            panic!("the request is new")
        };
        self.reply = self.reply.max(reply.1.len());
        let (_, record) = self.bench.records.last().expect("one was just added");
        let mut batch = BatchBuilder::new(START_MS);
        batch.push(record);
        let mut around = Vec::new();
        wire::encode(&TailOutcome::Batch(Vec::new()), &mut around);
        self.record = self.record.max(BATCH_BYTES_FILLED + batch.len() + around.len() + HEADER_BYTES);
    }

    fn read<T: wire::Wire>(&mut self, outcome: &T) {
        let mut bytes = Vec::new();
        wire::encode(outcome, &mut bytes);
        self.reply = self.reply.max(bytes.len());
    }
}

/// Lines of one length that fill a request, up to its limits of lines and bytes.
fn filling(line: impl Fn(usize) -> String) -> CodeTexts {
    let mut lines = CodeTexts::default();
    for text in (0..scrip_protocol::command::LINES_MAX).map(line) {
        if lines.text.len() + text.len() + 4 * (lines.len() + 1) > REQUEST_BYTES_MAX - 100 {
            break;
        }
        lines.push(&text);
    }
    let mut request = Vec::new();
    let mutation = AddCodes { campaign: CampaignId(1), lines, first_line: 1, on_conflict: OnConflict::Skip };
    push_request(&mut request, 1, RequestId(0), &mutation);
    assert!(request.len() <= REQUEST_BYTES_MAX, "{}", request.len());
    mutation.lines
}

/// Pain 18 in reverse: nothing is cut off silently because it could not be sent.
#[test]
fn the_largest_replies_and_records_can_be_sent() {
    let mut large = Large { bench: Bench::new(Settings::default()), number: 0, reply: 0, record: 0 };
    for club in 0..CLUBS_PER_CAMPAIGN_MAX {
        let (club, name) = (ClubId(club as u32 + 1), club.to_string());
        large.bench.follow(ClubRegistered { stamp: stamp(START_MS, 1_000_000 + u64::from(club.0), 0), club, name }.into());
    }
    let terms = Terms {
        clubs: (1..=CLUBS_PER_CAMPAIGN_MAX as u32).map(ClubId).collect(),
        starts_ms: Some(1),
        ends_ms: Some(START_MS),
        enforce_period: true,
        activations_per_code_max: Some(1),
        activations_per_client_max: Some(1),
        activations_max: Some(1),
        budget: Some(Money(1)),
        low_stock: Some(1),
        ..Terms::new("n".repeat(NAME_BYTES_MAX), Money(1))
    };
    let list = |lines: &CodeTexts| CodeList::prepare(lines, u32::MAX - 70_000, trim, normalise);
    let (campaign, other) = (CampaignId(1), CampaignId(2));
    let create = |list: &CodeList, on_conflict| {
        Mutation::CreateCampaign(Box::new(CreateCampaignRequest { terms: terms.clone(), list: list.clone(), on_conflict }))
    };
    let adding = |campaign, list: &CodeList, on_conflict| AddCodesRequest { campaign, list: list.clone(), on_conflict };
    let add = |list: &CodeList, on_conflict| Mutation::AddCodes(Box::new(adding(Some(campaign), list, on_conflict)));
    let codes = |list: &CodeList| Box::new(CodesRequest { campaign, list: list.clone() });

    // As many lines as permitted, each as long as is then possible; most are held, or all are invalid.
    let many = filling(|number| format!("{number:0>width$}", width = 59));
    let invalid = filling(|number| format!("x {number:0>width$}", width = 57));
    // The longest texts that are shown whole, and the longest codes.
    let shown = filling(|number| format!(" {:\u{1d54f}>width$}", number, width = CODE_BYTES_MAX));
    let long = filling(|number| format!("{number:0>5}{}", LONG_LETTER.repeat(CODE_BYTES_MAX - 5)));
    let held = list(&many.iter().take(50_000).collect());
    large.run(&create(&held, OnConflict::Reject));
    for lines in [&many, &invalid, &shown, &long] {
        let list = list(lines);
        large.run(&create(&list, OnConflict::Skip));
        large.run(&add(&list, OnConflict::Reject));
        large.run(&add(&list, OnConflict::Skip));
        let tried = large.bench.state.try_codes(&adding(None, &list, OnConflict::Skip), &large.bench.index);
        large.read(&tried);
        large.run(&Mutation::RestoreCodes(codes(&list)));
        large.run(&Mutation::ArchiveCodes(codes(&list)));
        let checked = large.bench.index.check(START_MS, ClubId(10_000), lines.iter().take(CHECK_CODES_MAX));
        large.read(&checked);
    }
    let free = large.bench.index.check_free(many.iter());
    large.read(&free);
    // Everything in conflict, and the longest codes on a page.
    large.run(&Mutation::RestoreCodes(codes(&held)));
    large.run(&Mutation::ArchiveCampaign(campaign));
    large.run(&create(&held, OnConflict::Skip));
    large.run(&Mutation::RestoreCampaign(campaign));
    large.run(&create(&list(&long.iter().take(10_000).collect()), OnConflict::Skip));
    for campaign in [campaign, other].into_iter().chain((3..20).map(CampaignId)) {
        for status in [CodeFilter::All, CodeFilter::Conflicting] {
            let page = ListCodes { campaign, from_slot: 0, status, usage: UsageFilter::All };
            let page = large.bench.state.list_codes(&page, &large.bench.index);
            large.read(&page);
        }
    }
    let mut number = 0;
    while large.bench.state.campaigns.next() <= CampaignId(100) {
        number += 1;
        let line = list(&[format!("one-of-{number}")].iter().collect());
        large.run(&create(&line, OnConflict::Reject));
        for more in 0..3 {
            let line = list(&[format!("more-{more}-of-{number}")].iter().collect());
            large.run(&add(&line, OnConflict::Reject));
        }
    }
    let page = large.bench.state.list_campaigns(START_MS, &ListCampaigns::default());
    large.read(&page);
    top_up_that_fires_everything(&mut large);

    println!("the largest reply has {} bytes, the largest frame of a tail {}", large.reply, large.record);
    assert!(large.reply < REPLY_BYTES_MAX / 2, "{}", large.reply);
    assert!(large.record < REPLY_BYTES_MAX / 2, "{}", large.record);
}

/// However long a code is written, a conflict shows at most 64 characters of it.
#[test]
fn a_conflict_shows_at_most_64_characters_of_its_code() {
    let (mut bench, long) = (Bench::new(Settings::default()), "I\u{307}".repeat(CODE_BYTES_MAX));
    let create = |code: &str| {
        let (terms, list) = (Terms::new("Summer", Money(100)), super::list([code]));
        Mutation::CreateCampaign(Box::new(CreateCampaignRequest { terms, list, on_conflict: OnConflict::Reject }))
    };
    let (archive, restore) = (Mutation::ArchiveCampaign(CampaignId(1)), Mutation::RestoreCampaign(CampaignId(1)));
    let same = "i".repeat(CODE_BYTES_MAX);
    for (number, mutation) in (1..).zip([&create(&long), &archive, &create(&same), &restore]) {
        bench.run(stamp(START_MS, number, 0), mutation);
    }
    let Some((_, Record::CampaignRestored(record))) = bench.records.last() else { panic!("{:?}", bench.records.last()) };
    let shown: String = long.chars().take(64).collect();
    assert_eq!(record.first.iter().map(|conflict| conflict.code.as_str()).collect::<Vec<_>>(), [shown]);
    bench.compare_with_replay();
}

/// As many rules as can fire at once if they are small, each with as many effects as possible, in letters of four bytes; the first
/// have the longest texts. No record of a top-up is larger than a batch.
fn top_up_that_fires_everything(large: &mut Large) {
    let letters = |count: usize| "\u{1d54f}".repeat(count);
    let groups = ACTIONS_MAX - 2;
    for group in 0..groups {
        large.run(&Mutation::RegisterGroup(RegisterGroup { name: group.to_string() }));
    }
    let assign = (1..=groups as u32).map(|group| Action::AssignGroup { group: GroupId(group) });
    let push = Push { title: letters(PUSH_TITLE_CHARS_MAX), body: letters(PUSH_BODY_CHARS_MAX) };
    let widest = "{{ topupAmountMajor }}";
    let rule = |formula: &str, push: &Push| RuleTerms {
        name: "n".repeat(NAME_BYTES_MAX),
        description: String::new(),
        active: true,
        clubs: Vec::new(),
        event: RuleEvent::BalanceToppedUp,
        conditions: String::new(),
        actions: [Action::AddBonus { formula: formula.to_owned() }, Action::SendPush(push.clone())]
            .into_iter()
            .chain(assign.clone())
            .collect(),
        tags: (0..TAGS_MAX).map(|tag| format!("{tag:0>TAG_BYTES_MAX$}")).collect(),
    };
    let long = RuleTerms {
        description: "d".repeat(DESCRIPTION_BYTES_MAX),
        clubs: (1..=CLUBS_PER_RULE_MAX as u32).map(ClubId).collect(),
        conditions: format!("topupAmountMajor >= 1{:979}", ' '),
        ..rule(&format!("{:>500}", '1'), &Push { title: widest.to_owned(), body: widest.repeat(PUSH_BODY_CHARS_MAX) })
    };
    large.run(&Mutation::CreateRule(Box::new(CreateRule { terms: long.clone() })));
    assert_eq!(large.bench.state.rules.next(), RuleId(2), "it is a rule");
    (1..RULES_PER_PAGE).for_each(|_| save(&mut large.bench, &long));
    let rules = large.bench.state.list_rules(&ListRules::default());
    assert_eq!((rules.rules.len(), rules.next), (RULES_PER_PAGE, None));
    large.read(&rules);
    (RULES_PER_PAGE..FIRED_MAX).for_each(|_| save(&mut large.bench, &rule("1", &push)));
    let note = Note { by: "n".repeat(NAME_BYTES_MAX), comment: "c".repeat(COMMENT_BYTES_MAX), tags: rule("1", &push).tags };
    let top_up = TopUp { client: ClientId(1), club: ClubId(1), amount: Money(100), source: TopUpSource::Cash, note };
    large.run(&Mutation::TopUp(Box::new(top_up.clone())));
    let record_bytes = |large: &Large| {
        let mut batch = BatchBuilder::new(START_MS);
        batch.push(&large.bench.records.last().expect("one was just added").1);
        batch.len()
    };
    let Some((_, Record::ToppedUp(record))) = large.bench.records.last() else { panic!("it is a top-up") };
    assert_eq!((record.fired.len() + record.beyond as usize, record.failed.len()), (FIRED_MAX, 0));
    assert!(record.fired.len() > 1 && record.beyond > 1, "{} fired", record.fired.len());
    assert!(record_bytes(large) < BATCH_BYTES_FILLED);
    // Without the rules that have the longest formulas, more fire.
    (1..=RULES_PER_PAGE as u32).for_each(|rule| {
        large.run(&Mutation::ArchiveRule(RuleId(rule)));
    });
    large.run(&Mutation::TopUp(Box::new(top_up)));
    let Some((_, Record::ToppedUp(record))) = large.bench.records.last() else { panic!("it is a top-up") };
    assert!(record.fired.len() > 1 && record.fired.iter().all(|fired| fired.push.is_some()), "{} fired", record.fired.len());
    assert!(record_bytes(large) < BATCH_BYTES_FILLED);
}
