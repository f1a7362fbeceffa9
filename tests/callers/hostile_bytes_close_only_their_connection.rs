//! Malformed bytes are refused by name and affect only the connection that sent them.
//!
//! The expected result for a lane's bytes is derived here from the definition of frames, byte by byte; meanwhile another client
//! redeems without pause.

use std::collections::HashMap;

use fastrand::Rng;
use quinn::Endpoint;
use scrip_client::ConnectError;
use scrip_protocol::command::{
    Action, AddCodes, AddCodesOutcome, ArchiveCodes, Check, CheckFree, CheckOutcome, CodeTexts, CreateCampaign, CreateRule,
    CreditBonus, LintRule, Note, OnConflict, PaidFor, PaidFrom, PayBonus, Push, RecordSession, Redeem, RedeemOutcome,
    RefundTopUp, RestoreCodes, RuleChanges, RuleTerms, TopUp, TopUpOutcome, TryCodes, UpdateRule,
};
use scrip_protocol::frame::{
    FrameBuffer, HEADER_BYTES, HELLO, HELLO_BYTES_MAX, Malformed, REFUSAL, REQUEST_BYTES_MAX, REQUEST_ID_BYTES, push_bytes,
    push_value,
};
use scrip_protocol::hello::{CloseCode, Hello};
use scrip_protocol::{AnyCommand, CampaignId, ClientId, ClubId, Kind, Money, Position, RequestId, Role};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::support::{
    DEADLINE, Ending, Lane, Server, campaign, club, create_rule, redemption, request, rule, seed, terms, top_up,
};

/// How many hostile connections run at once.
const AT_ONCE: usize = 8;

/// The expected result of a lane's bytes with nothing after them.
#[derive(Debug)]
enum Expected {
    /// This many replies, and then the end of the lane.
    Replies(usize),
    /// The connection is closed.
    Closed(CloseCode, String),
}

impl From<Malformed> for Expected {
    fn from(malformed: Malformed) -> Expected {
        let reason = match &malformed {
            // No more than that: details of a failed check would reveal addresses in the engine's memory.
            Malformed::Payload { what, .. } => format!("the payload is not a valid {what}"),
            Malformed::TooLong { .. } | Malformed::TooShort { .. } | Malformed::Truncated { .. } | Malformed::UnknownKind(_) => {
                malformed.to_string()
            }
        };
        Expected::Closed(CloseCode::of(&malformed), reason)
    }
}

/// The expected result after the hello.
fn expected(bytes: &[u8], role: Role) -> Expected {
    let walk = || -> Result<usize, Malformed> {
        let mut frames = FrameBuffer::default();
        frames.extend(bytes);
        let mut replies = 0;
        while let Some(frame) = frames.next(REQUEST_BYTES_MAX)? {
            let request = frame.request()?;
            if request.kind.permits(role) {
                AnyCommand::decode(request.kind, request.payload)?;
            }
            replies += 1;
        }
        frames.end()?;
        Ok(replies)
    };
    walk().map_or_else(Expected::from, Expected::Replies)
}

/// The expected result before the hello, for bytes that are not one.
fn expected_before_hello(bytes: &[u8]) -> Expected {
    let hello_expected = |reason: String| Expected::Closed(CloseCode::HelloExpected, reason);
    let mut frames = FrameBuffer::default();
    frames.extend(bytes);
    match frames.next(HELLO_BYTES_MAX) {
        Err(malformed) => malformed.into(),
        Ok(Some(frame)) if frame.kind != HELLO => {
            hello_expected(format!("the first frame has kind {}, and a hello has kind {HELLO}", frame.kind))
        }
        Ok(Some(frame)) => match scrip_protocol::wire::decode::<Hello>("hello", frame.body) {
            Err(malformed) => malformed.into(),
            Ok(_) => Expected::Closed(CloseCode::Unauthenticated, "the token does not belong to this organisation".into()),
        },
        Ok(None) => match frames.end() {
            Err(malformed) => malformed.into(),
            Ok(()) => hello_expected("the first lane ended without a hello".into()),
        },
    }
}

async fn compare(what: &str, expected: &Expected, mut lane: Lane) {
    let (replies, ending) = lane.until_the_end().await;
    match expected {
        Expected::Replies(count) => {
            assert_eq!(replies.len(), *count, "{what}: {replies:?}");
            assert!(matches!(ending, Ending::Finished), "{what}: {ending:?}");
        }
        Expected::Closed(code, reason) => {
            // The lane may end before the connection does.
            let ending = lane.ending().await;
            let (found, text) = ending.code_and_reason();
            assert_eq!((found, text), (*code, reason.as_str()), "{what}");
            assert!(!text.is_empty() && text.len() < 400, "{what}: {text:?} is readable");
        }
    }
}

/// Another client, which redeems without pause and must not be affected.
struct Steady {
    stop: watch::Sender<bool>,
    done: JoinHandle<HashMap<RequestId, RedeemOutcome>>,
}

impl Steady {
    async fn start(server: &Server, club: ClubId) -> Steady {
        let client = server.client(Role::Gateway).await;
        let (stop, stopped) = watch::channel(false);
        let done = tokio::spawn(async move {
            let mut answers = HashMap::new();
            while !*stopped.borrow() || answers.len() < 100 {
                let id = RequestId::now();
                let outcome = client.redeem(id, &redemption(1, club, "STEADY")).await.expect("a reply");
                assert!(matches!(outcome, RedeemOutcome::Redeemed(_)), "{outcome}");
                answers.insert(id, outcome);
            }
            answers
        });
        Steady { stop, done }
    }

    /// Stops the client and audits all its replies.
    async fn audit(self, server: &Server) {
        assert!(!self.done.is_finished(), "it has failed");
        self.stop.send_replace(true);
        let answers = self.done.await.expect("every redemption was answered, and taken");
        server.audited(&answers).await;
    }
}

async fn begin() -> (Server, ClubId, CampaignId) {
    let server = Server::start();
    let client = server.client(Role::Operator).await;
    let arena = club(&client, "Arena").await;
    let ever = campaign(&client, terms("Ever", None, 1), &["STEADY".to_owned(), "HOSTILE".to_owned()]).await;
    (server, arena, ever)
}

/// Sends each list of bytes on a connection of its own, ends the stream, and compares the result.
async fn send_all(server: &Server, hello_first: bool, attempts: Vec<(String, Vec<u8>)>) {
    send(server, hello_first, Role::Gateway, attempts).await;
}

/// The same, after the hello of a role.
async fn send_all_as(server: &Server, role: Role, attempts: Vec<(String, Vec<u8>)>) {
    send(server, true, role, attempts).await;
}

async fn send(server: &Server, hello_first: bool, role: Role, attempts: Vec<(String, Vec<u8>)>) {
    let (dial, authority, address) = (server.dial(role), server.authority(), server.address());
    let mut tasks = JoinSet::new();
    for (what, bytes) in attempts {
        if tasks.len() >= AT_ONCE {
            tasks.join_next().await.expect("there are some").expect("the result is as expected");
        }
        let (dial, authority) = (dial.clone(), authority.clone());
        tasks.spawn(async move {
            let (mut lane, expected) = match hello_first {
                true => (Lane::open(&dial).await.expect("the engine accepts connections"), expected(&bytes, role)),
                false => (Lane::open_silent(address, &authority).await, expected_before_hello(&bytes)),
            };
            lane.write(&bytes).await;
            lane.finish();
            compare(&what, &expected, lane).await;
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("the result is as expected");
    }
}

fn hostile_redeem(club: ClubId) -> Vec<u8> {
    request(7, RequestId::now(), &redemption(66, club, "HOSTILE"))
}

/// A frame with an arbitrary length.
fn frame(length: u32, kind: u16, rest: &[u8]) -> Vec<u8> {
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(rest);
    bytes
}

fn garbage(random: &mut Rng) -> Vec<u8> {
    let length = random.usize(1..3_000);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redemption_cut_or_changed_anywhere_gets_a_reply_or_a_named_error() {
    let (server, arena, _) = begin().await;
    let steady = Steady::start(&server, arena).await;
    let mut attempts = Vec::new();
    for cut in 0..hostile_redeem(arena).len() {
        attempts.push((format!("cut after {cut} bytes"), hostile_redeem(arena)[..cut].to_vec()));
    }
    for at in 0..hostile_redeem(arena).len() {
        let mut bytes = hostile_redeem(arena);
        bytes[at] = !bytes[at];
        attempts.push((format!("byte {at} inverted"), bytes));
        for bit in 0..8 {
            let mut bytes = hostile_redeem(arena);
            bytes[at] ^= 1 << bit;
            attempts.push((format!("bit {bit} of byte {at} flipped"), bytes));
        }
    }
    let codes: std::collections::HashSet<_> = attempts
        .iter()
        .map(|(_, bytes)| expected(bytes, Role::Gateway))
        .filter_map(|expected| match expected {
            Expected::Closed(code, _) => Some(code),
            Expected::Replies(_) => None,
        })
        .collect();
    assert_eq!(codes.len(), 4, "together they cover every kind of malformed bytes: {codes:?}");
    send_all(&server, true, attempts).await;
    steady.audit(&server).await;
}

/// The same for commands that move accounts and change rules: the bytes yield another request, or none. Rules are sent as an
/// operator, because the engine does not read a gateway's.
#[tokio::test(flavor = "multi_thread")]
async fn operations_and_rules_cut_or_changed_anywhere_get_a_reply_or_a_named_error() {
    let (server, arena, _) = begin().await;
    let steady = Steady::start(&server, arena).await;
    let operator = server.client(Role::Operator).await;
    let live = create_rule(&operator, rule("Live", "", "{{topupAmountMajor}} * 0.1")).await;
    let note = || Note { by: "Ann".into(), comment: "a comment of some length".into(), tags: vec!["a".into(), "b".into()] };
    let (client, amount, id) = (ClientId(66), Money(100), RequestId::now);
    let terms = RuleTerms {
        actions: vec![
            Action::AddBonus { formula: "{{topupAmountMajor}} * 0.1".into() },
            Action::SendPush(Push { title: "Title".into(), body: "{{topupAmountMajor}}".into() }),
        ],
        // Whatever it becomes, it credits nobody here.
        ..rule("Hostile", "topupAmountMajor >= 1000000", "1")
    };
    let pay = PayBonus { client, club: arena, amount, paid_for: PaidFor::Order, note: note() };
    let session = RecordSession { client, club: arena, price: amount, paid_from: PaidFrom::GamingBalance, note: note() };
    let give_back = RefundTopUp { top_up: Position(9), amount: Some(amount), claw_back: true, note: note() };
    let requests = [
        ("a top-up", Role::Gateway, request(7, id(), &TopUp { note: note(), ..top_up(66, arena, 100) })),
        ("a payment", Role::Gateway, request(7, id(), &pay)),
        ("a session", Role::Gateway, request(7, id(), &session)),
        ("a refund of a top-up", Role::Gateway, request(7, id(), &give_back)),
        ("a credit", Role::Operator, request(7, id(), &CreditBonus { client, club: None, amount, note: note() })),
        ("a rule", Role::Operator, request(7, id(), &CreateRule { terms: terms.clone() })),
        (
            "a rule to change",
            Role::Operator,
            request(7, id(), &UpdateRule { rule: live, changes: RuleChanges::whole(terms.clone()) }),
        ),
        ("a rule to lint", Role::Operator, request(7, id(), &LintRule { terms, replaces: live })),
    ];
    for (what, role, bytes) in requests {
        let mut attempts = Vec::new();
        for cut in (0..bytes.len()).step_by(3) {
            attempts.push((format!("{what} cut after {cut} bytes"), bytes[..cut].to_vec()));
        }
        // The header is left intact, except for the id: the test of redemptions has changed its bytes one by one.
        for at in HEADER_BYTES..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            attempts.push((format!("{what} with a bit of byte {at} flipped"), changed));
            let mut changed = bytes.clone();
            changed[at] = !changed[at];
            attempts.push((format!("{what} with byte {at} inverted"), changed));
        }
        send_all_as(&server, role, attempts).await;
    }
    steady.audit(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_a_request_are_named() {
    let mut random = Rng::with_seed(seed());
    let (server, arena, _) = begin().await;
    let steady = Steady::start(&server, arena).await;
    let mut attempts = Vec::new();
    for length in [0, 1, 9, REQUEST_BYTES_MAX as u32 + 1, 1 << 31, u32::MAX] {
        attempts.push((format!("a length of {length}"), frame(length, 1, &[0; 100])));
    }
    attempts.push(("the longest frame, announced".into(), frame(REQUEST_BYTES_MAX as u32, 1, &[0; 100])));
    attempts.push(("a redemption without a whole id".into(), frame(10 + 15, 1, &[0; 8 + REQUEST_ID_BYTES - 1])));
    for kind in [0, 3, 9, 12, 35, 41, 0x0100, HELLO, REFUSAL] {
        attempts.push((format!("the kind {kind}"), frame(10, kind, &[0; 8])));
    }
    for kind in Kind::ALL {
        // A redemption's payload, after an id if the kind has one.
        let redeem = hostile_redeem(arena);
        let body = &redeem[HEADER_BYTES + if kind.mutates() { 0 } else { REQUEST_ID_BYTES }..];
        for (name, body) in [("a redemption's payload", body), ("an empty payload", &body[..0]), ("zeros", &[0; 200])] {
            let mut bytes = Vec::new();
            push_bytes(&mut bytes, *kind as u16, 1, body);
            attempts.push((format!("{} with {name}", kind.word()), bytes));
        }
    }
    let mut good_then_bad = hostile_redeem(arena);
    good_then_bad.extend(frame(10, 3, &[0; 8]));
    attempts.push(("an unknown kind after a redemption".into(), good_then_bad));
    for n in 0..60 {
        attempts.push((format!("garbage {n}"), garbage(&mut random)));
        // A valid length, so that the rest is examined.
        let bytes = garbage(&mut random);
        let kind = Kind::ALL[n % Kind::ALL.len()] as u16;
        attempts.push((format!("garbage {n} under a header"), frame(2 + bytes.len() as u32, kind, &bytes)));
    }
    send_all(&server, true, attempts).await;

    // An operator may send every kind, so that every kind's payload is examined.
    let mut named = 0;
    for kind in Kind::ALL {
        for body in [vec![0xff; 150], Vec::new(), (0..150).map(|_| random.u8(..)).collect()] {
            let mut bytes = Vec::new();
            push_bytes(&mut bytes, *kind as u16, 1, &body);
            let expected = expected(&bytes, Role::Operator);
            named += usize::from(matches!(expected, Expected::Closed(..)));
            let mut lane = server.lane(Role::Operator).await;
            lane.write(&bytes).await;
            lane.finish();
            compare(&format!("{} with {body:?}", kind.word()), &expected, lane).await;
        }
    }
    assert!(named > Kind::ALL.len(), "most of them are not requests");
    steady.audit(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_accepted_before_the_hello() {
    let mut random = Rng::with_seed(seed());
    let (server, arena, _) = begin().await;
    let steady = Steady::start(&server, arena).await;
    // A connection that sends nothing, while the others go on.
    let silent = Lane::open_silent(server.address(), &server.authority()).await;
    let mut slow = Lane::open_silent(server.address(), &server.authority()).await;
    slow.write(&[80, 0, 0]).await;

    let hello = |token: &str| {
        let mut bytes = Vec::new();
        push_value(&mut bytes, HELLO, 0, &Hello { token: token.to_owned(), program: "test".into() });
        bytes
    };
    let mut attempts = vec![("a redemption".to_owned(), hostile_redeem(arena))];
    let valid = hello(server.token(Role::Operator));
    for cut in 0..valid.len() {
        attempts.push((format!("a hello cut after {cut} bytes"), valid[..cut].to_vec()));
    }
    for length in [0, 9, HELLO_BYTES_MAX as u32 + 1, REQUEST_BYTES_MAX as u32, u32::MAX] {
        attempts.push((format!("a length of {length}"), frame(length, HELLO, &[0; 100])));
    }
    for token in ["", "scrip_operator_", &"x".repeat(3_000), "'; drop table tokens; --", "\0\u{202e}"] {
        attempts.push((format!("the token {token:.20}"), hello(token)));
    }
    for kind in [0, 1, 40, REFUSAL] {
        attempts.push((format!("the kind {kind}"), frame(10, kind, &[0; 8])));
    }
    attempts.push(("a hello without a payload".into(), frame(10, HELLO, &[0; 8])));
    for n in 0..40 {
        attempts.push((format!("garbage {n}"), garbage(&mut random)));
        let bytes = garbage(&mut random);
        attempts.push((format!("garbage {n} as a hello"), frame(2 + bytes.len() as u32, HELLO, &bytes)));
    }
    send_all(&server, false, attempts).await;

    for lane in [&silent, &slow] {
        let ending = lane.ending().await;
        assert_eq!(ending.code_and_reason(), (CloseCode::HelloTimeout, "no hello arrived in time"));
    }
    steady.audit(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_protocol_version_gets_a_clear_error() {
    let (server, ..) = begin().await;
    for name in ["scrip/1", "scrip/9", "scrip/20", "h3", "scrip/", "SCRIP/2"] {
        let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a socket");
        let config = crate::support::quinn_config(&server.authority(), &[name]);
        let connecting = endpoint.connect_with(config, server.address(), "127.0.0.1").expect("an address");
        let ended = tokio::time::timeout(DEADLINE, connecting).await.expect("in time").expect_err("it is not spoken here");
        let error = ConnectError::of(&ended, server.address());
        assert!(matches!(error, ConnectError::Protocol), "{name}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_lane_does_not_affect_others() {
    let (server, arena, _) = begin().await;
    let mut lane = server.lane(Role::Gateway).await;
    for _ in 0..50 {
        // More than a connection may have at once: abandoned lanes must make room.
        let mut reset = lane.another().await;
        reset.write(&hostile_redeem(arena)[..20]).await;
        reset.send.reset(1_u32.into()).expect("it is open");
        let mut stopped = lane.another().await;
        stopped.stop();
        stopped.write(&hostile_redeem(arena)).await;
        stopped.finish();
        let outcome = lane.call(1, RequestId::now(), &redemption(2, arena, "STEADY")).await.outcome::<Redeem>();
        assert!(matches!(outcome, Ok(RedeemOutcome::Redeemed(_))), "{outcome:?}");
    }
    assert!(lane.connection.close_reason().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_bytes_cost_no_memory() {
    const CONNECTIONS: usize = 300;
    const GROWTH_KIB_MAX: u64 = 64 << 10;
    let (server, arena, ever) = begin().await;
    let steady = Steady::start(&server, arena).await;
    let endpoint = Endpoint::client(([127, 0, 0, 1], 0).into()).expect("a socket");
    let authority = server.authority();
    // A credential may have fewer connections than this.
    let roles = [Role::Gateway, Role::Marketing, Role::Cashier, Role::Reporter];
    let tokens = roles.map(|role| server.token(role).to_owned());
    let before = server.memory_kib();

    // The reply to the request before it proves that the announcement was read.
    let mut announcing = Vec::new();
    for n in 0..CONNECTIONS {
        let mut lane = Lane::open_silent_on(&endpoint, server.address(), &authority).await;
        lane.send_hello(&tokens[n % tokens.len()]).await;
        let mut bytes = request(1, RequestId::now(), &Check::new(ClubId(0), vec!["STEADY".into()]));
        bytes.extend(frame(REQUEST_BYTES_MAX as u32, 1, &vec![7; if n % 2 == 0 { 0 } else { 1_000 }]));
        lane.write(&bytes).await;
        let checked = lane.next().await.expect("a reply").outcome::<Check>();
        assert!(matches!(checked, Ok(CheckOutcome::Checked { .. })), "{checked:?}");
        announcing.push(lane);
    }
    let announced = server.memory_kib();

    // Before the hello: as much as is accepted, of a frame that never ends, and far more.
    let mut silent = Vec::new();
    for n in 0..CONNECTIONS {
        let mut lane = Lane::open_silent_on(&endpoint, server.address(), &authority).await;
        match n % 2 {
            0 => lane.write(&frame(HELLO_BYTES_MAX as u32, HELLO, &vec![7; HELLO_BYTES_MAX - 3])).await,
            _ => {
                lane.write(&frame(HELLO_BYTES_MAX as u32 + 1, HELLO, &vec![7; 2 << 20])).await;
                assert_eq!(lane.ending().await.code_and_reason().0, CloseCode::FrameLength);
            }
        }
        silent.push(lane);
    }
    let flooded = server.memory_kib();
    crate::support::say(&format!("KiB in RAM: {before} before, {announced} with the announcements, {flooded} with the flood"));
    let growth = announced.max(flooded).saturating_sub(before);
    assert!(growth < GROWTH_KIB_MAX, "{growth} KiB more, for {CONNECTIONS} connections that announce 4 MiB each");

    // The memory of the announcements is free again once they are gone: a large import succeeds.
    for lane in announcing.iter().chain(&silent) {
        lane.connection.close(0_u32.into(), b"");
    }
    let marketing = server.client(Role::Marketing).await;
    let lines = (0..40_000).map(|n| format!("LARGE-{n:058}")).collect();
    let command = AddCodes { campaign: ever, lines, first_line: 1, on_conflict: OnConflict::Skip };
    let outcome = marketing.add_codes(RequestId::now(), &command).await.expect("a reply");
    assert!(matches!(&outcome, AddCodesOutcome::Added(report) if report.added == 40_000), "{outcome}");
    steady.audit(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_frames_that_never_arrive_do_not_block_imports() {
    let (server, _, ever) = begin().await;
    let marketing = server.client(Role::Marketing).await;
    let mut announcing = Vec::new();
    for _ in 0..64 {
        let mut lane = server.lane(Role::Gateway).await;
        let mut bytes = request(1, RequestId::now(), &Check::new(ClubId(0), vec!["STEADY".into()]));
        bytes.extend((REQUEST_BYTES_MAX as u32).to_le_bytes());
        lane.write(&bytes).await;
        lane.next().await.expect("a reply");
        announcing.push(lane);
    }
    let lines = (0..40_000).map(|n| format!("LARGE-{n:058}")).collect();
    let command = AddCodes { campaign: ever, lines, first_line: 1, on_conflict: OnConflict::Skip };
    let outcome = marketing.add_codes(RequestId::now(), &command).await.expect("a reply");
    assert!(matches!(&outcome, AddCodesOutcome::Added(report) if report.added == 40_000), "{outcome}");
}

/// Only lists of codes and typed codes may be long: a long list of tags is not even decoded.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_command_without_codes_is_refused_unread() {
    let (server, club, _) = begin().await;
    let tagged = |tags: usize| {
        let note = Note { tags: (0..tags).map(|n| n.to_string()).collect(), ..Note::default() };
        request(1, RequestId::now(), &TopUp { note, ..top_up(42, club, 500) })
    };
    let mut lane = Lane::open(&server.dial(Role::Gateway)).await.expect("welcome");
    lane.write(&tagged(1_000)).await;
    assert!(matches!(lane.next().await.expect("a reply").outcome::<TopUp>(), Ok(TopUpOutcome::InvalidNote(_))));
    lane.write(&tagged(100_000)).await;
    assert_eq!(lane.ending().await.code_and_reason().0, CloseCode::FrameLength);
}

/// The ends of a list can be in order, out of order, beyond its text or within a letter; only the first is valid, whichever
/// command has it.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_whose_ends_do_not_fit_its_text_is_refused() {
    let (server, arena, campaign) = begin().await;
    let steady = Steady::start(&server, arena).await;
    let lists = [
        ("out of order", "abc", vec![2, 1, 3]),
        ("past the text", "abc", vec![1, 2, 4]),
        ("far past the text", "abc", vec![1, u32::MAX, 3]),
        ("within a letter", "aЖ", vec![2, 3]),
        ("before the text's end", "abc", vec![1, 2]),
        ("none, but for a text", "abc", vec![]),
    ];
    for (what, text, ends) in lists {
        let codes = CodeTexts { text: text.into(), ends };
        let (id, on_conflict, first_line) = (RequestId::now(), OnConflict::Skip, 1);
        let terms = terms("List", None, 1);
        let requests = [
            (Kind::CreateCampaign, request(1, id, &CreateCampaign { terms, lines: codes.clone(), on_conflict })),
            (Kind::AddCodes, request(1, id, &AddCodes { campaign, lines: codes.clone(), first_line, on_conflict })),
            (
                Kind::TryCodes,
                request(1, id, &TryCodes { campaign: None, lines: codes.clone(), first_line, earlier: 0, on_conflict }),
            ),
            (Kind::ArchiveCodes, request(1, id, &ArchiveCodes { campaign, codes: codes.clone() })),
            (Kind::RestoreCodes, request(1, id, &RestoreCodes { campaign, codes: codes.clone() })),
            (Kind::CheckFree, request(1, id, &CheckFree { codes })),
        ];
        for (kind, bytes) in requests {
            let mut lane = server.lane(Role::Marketing).await;
            lane.write(&bytes).await;
            let expected = Expected::Closed(CloseCode::MalformedPayload, format!("the payload is not a valid {}", kind.word()));
            compare(&format!("{} with ends {what}", kind.word()), &expected, lane).await;
        }
    }
    steady.audit(&server).await;
}
