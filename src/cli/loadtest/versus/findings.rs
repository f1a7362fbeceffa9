//! The results of a comparison: one table of one run, or the same as JSON.

use std::time::Duration;

use scrip_loadtest::rival::Offer;
use scrip_protocol::Money;

use super::subject::Run;
use super::sums::Sums;
use crate::print;

/// All results. Times are in microseconds, money in minor units.
#[derive(Debug, serde::Serialize)]
pub(super) struct Findings {
    pub(super) rival: String,
    pub(super) settings: &'static [&'static str],
    /// How many codes were imported into each.
    pub(super) codes: usize,
    pub(super) clients: usize,
    pub(super) flush_p50_us: f64,
    pub(super) rows: Vec<Row>,
    pub(super) audits: Vec<Sums>,
}

/// One measurement of one subject, in a closed loop.
#[derive(Debug, serde::Serialize)]
pub(super) struct Row {
    offer: String,
    system: String,
    connections: usize,
    /// How many requests each connection has in flight.
    in_flight: usize,
    /// How many requests are in one call, and in its transaction.
    per_call: usize,
    activations: usize,
    per_second: f64,
    /// The rate, as a part of Scrip's at the same number of connections and one request a call.
    of_scrip: f64,
    p50_us: f64,
    p99_us: f64,
    /// The median time, as a multiple of Scrip's.
    p50_of_scrip: f64,
}

impl Row {
    pub(super) fn of(system: &str, offer: Offer, run: &Run, scrip: &Run) -> Row {
        let rate = |run: &Run| run.redeemed as f64 / run.elapsed.as_secs_f64().max(1e-9);
        let us = |run: &Run, at: f64| run.latency.value_at_quantile(at) as f64 / 1e3;
        Row {
            offer: words_of(offer),
            system: system.to_owned(),
            connections: offer.connections,
            in_flight: offer.window * offer.per_call,
            per_call: offer.per_call,
            activations: run.redeemed,
            per_second: rate(run),
            of_scrip: rate(run) / rate(scrip).max(1e-9),
            p50_us: us(run, 0.5),
            p99_us: us(run, 0.99),
            p50_of_scrip: us(run, 0.5) / us(scrip, 0.5).max(1e-9),
        }
    }
}

/// A measurement in words.
pub(super) fn words_of(offer: Offer) -> String {
    let Offer { connections, window, per_call, time_max: _ } = offer;
    let connections = match connections {
        1 => "1 connection".to_owned(),
        many => format!("{many} connections"),
    };
    match (window, per_call) {
        (1, 1) => format!("{connections}, one at a time"),
        (window, 1) => format!("{connections}, {} in flight", print::grouped(window as u64)),
        (calls, each) => format!("{connections}, {calls} x {} in one transaction", print::grouped(each as u64)),
    }
}

impl Findings {
    pub(super) fn print(&self) {
        let time = |us: f64| format!("{:.2?}", Duration::from_nanos((us * 1e3) as u64));
        let mut offer = "";
        let mut rows = Vec::new();
        for row in &self.rows {
            let same = std::mem::replace(&mut offer, &row.offer) == row.offer;
            rows.push(vec![
                if same { String::new() } else { row.offer.clone() },
                row.system.clone(),
                print::grouped(row.activations as u64),
                print::grouped(row.per_second as u64),
                format!("{:.3}", row.of_scrip),
                time(row.p50_us),
                time(row.p99_us),
                format!("{:.2}", row.p50_of_scrip),
            ]);
        }
        let head = ["OFFERED", "TO", ">ACTIVATIONS", ">PER SECOND", ">/ SCRIP", ">P50", ">P99", ">/ SCRIP"];
        print::table(&head, &rows);
        print::line(format_args!(
            "\nA closed loop: times are from sending to reply, and a slow reply delays the next request. {} codes in each, {} clients;\n\
             a flush of this disk (4 KiB, fdatasync) takes {} (p50). {} with {}.\n",
            print::grouped(self.codes as u64),
            print::grouped(self.clients as u64),
            time(self.flush_p50_us),
            self.rival,
            self.settings.iter().map(|setting| if setting.is_empty() { "\"\"" } else { setting }).collect::<Vec<_>>().join(" "),
        ));
        self.print_audits();
    }

    fn print_audits(&self) {
        let money = |minor: i128| Money(i64::try_from(minor).unwrap_or(i64::MAX)).to_string();
        let count = |number: usize| print::grouped(number as u64);
        type Cell<'a> = Box<dyn Fn(&Sums) -> String + 'a>;
        let checks: [(&str, Cell<'_>); 11] = [
            ("activations", Box::new(|sums| print::grouped(sums.activations))),
            ("answers: redeemed", Box::new(|sums| print::grouped(sums.answered_redeemed))),
            ("sum of bonuses", Box::new(|sums| money(sums.bonuses))),
            ("sum of balances", Box::new(|sums| money(sums.balances))),
            ("codes over their cap", Box::new(|sums| count(sums.codes_over_cap))),
            ("other differences", Box::new(|sums| count(sums.differences))),
            ("rules: redeemed", Box::new(|sums| count(sums.rules.redeemed))),
            ("rules: code exhausted", Box::new(|sums| count(sums.rules.exhausted))),
            ("rules: unknown code", Box::new(|sums| count(sums.rules.unknown))),
            (
                "rules: retries same, different",
                Box::new(|sums| format!("{}, {}", count(sums.rules.repeats_alike), count(sums.rules.repeats_unlike))),
            ),
            ("", Box::new(|sums| if sums.agree { "all agree" } else { "WRONG" }.to_owned())),
        ];
        let mut head = vec!["AUDIT".to_owned()];
        head.extend(self.audits.iter().map(|sums| format!(">{}", sums.system)));
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        let row = |(what, cell): &(&str, Cell<'_>)| {
            [(*what).to_owned()].into_iter().chain(self.audits.iter().map(cell)).collect::<Vec<_>>()
        };
        print::table(&head, &checks.iter().map(row).collect::<Vec<_>>());
    }
}
