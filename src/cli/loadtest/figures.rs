//! What is printed of a run: a table for people, or one JSON value. All printing of a run is here.

use std::time::Duration;

use scrip_loadtest::load::{Configuration, Findings};
use scrip_loadtest::report::{Model, Phase};

use super::watch::Seen;
use crate::print;

/// What the machine does at best.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(super) struct Floor {
    pub(super) echo_frames_per_second: f64,
    pub(super) echo_alone_p50_us: f64,
    pub(super) flush_p50_us: f64,
    pub(super) redb_commit_p50_us: f64,
}

/// Everything there is to say.
pub(super) struct Figures<'a> {
    pub(super) configuration: &'a Configuration,
    pub(super) findings: &'a Findings,
    pub(super) floor: Option<Floor>,
    pub(super) seen: Option<Seen>,
    pub(super) limit_requests: Option<u32>,
}

impl Figures<'_> {
    /// As JSON.
    pub(super) fn document(&self) -> serde_json::Value {
        let phases: Vec<_> = self.findings.phases.iter().map(phase_json).collect();
        serde_json::json!({
            "configuration": self.configuration,
            "floor": self.floor,
            "engine": self.seen,
            "phases": phases,
            "particulars": self.findings.particulars,
            "steps": self.findings.steps,
            "rate_held": self.findings.rate_held(),
            "audit": self.findings.audit,
        })
    }

    /// As text.
    pub(super) fn print(&self) {
        self.print_floor();
        let head = ["PHASE", "MODEL", ">REQUESTS", ">ANSWERS/S", ">P50", ">P99", ">P99.9", ">MAX", ">BUSY"];
        print::table(&head, &self.findings.phases.iter().map(row).collect::<Vec<_>>());
        if self.findings.phases.iter().any(|phase| matches!(phase.model, Model::Closed { .. })) {
            print::line("closed loop: a slow answer delays the next question; latency counts from sending");
        }
        if self.findings.phases.iter().any(|phase| matches!(phase.model, Model::Open { .. } | Model::Burst)) {
            print::line("open loop: latency counts from the time a request was due");
        }
        for steps in self.findings.steps.iter().filter(|_| self.findings.rate_held().is_none()).take(1) {
            print::line(format_args!("not even {:.0}/s held", steps.per_second));
        }
        if let Some(rate) = self.findings.rate_held() {
            print::line(format_args!("the last rate that held: {}/s", print::grouped(rate as u64)));
        }
        self.print_answers();
        self.print_particulars();
        self.print_audit();
    }

    fn print_floor(&self) {
        let Some(floor) = self.floor else { return };
        let phase = |name: &str| self.findings.phases.iter().find(|phase| phase.name == name);
        let share = |what: &str, of: Option<f64>| of.map_or(String::new(), |share| format!("{share:.2} of {what}"));
        let rate = |rate: f64| format!("{}/s", print::grouped(rate as u64));
        let row = |what: &str, figure: String, of: String| vec![what.to_owned(), figure, of];
        let mut rows = vec![row("raw QUIC echo, pipelined", rate(floor.echo_frames_per_second), String::new())];
        if let Some(closed) = phase("closed") {
            let of = per_second(closed) / floor.echo_frames_per_second;
            rows.push(row("durable activations, pipelined", rate(activations_per_second(closed)), share("the echo", Some(of))));
        }
        rows.push(row("raw flush (4 KiB, fdatasync), p50", format!("{:.0} us", floor.flush_p50_us), String::new()));
        rows.push(row("redb commit of one row, p50", format!("{:.0} us", floor.redb_commit_p50_us), String::new()));
        rows.push(row("raw QUIC echo alone, p50", format!("{:.0} us", floor.echo_alone_p50_us), String::new()));
        if let Some(alone) = phase("alone") {
            let us = |quantile: f64| alone.latency.value_at_quantile(quantile) as f64 / 1e3;
            let of = us(0.5) / (floor.echo_alone_p50_us + floor.redb_commit_p50_us);
            rows.push(row("redemption alone, p50", format!("{:.0} us", us(0.5)), share("echo + commit", Some(of))));
            rows.push(row("redemption alone, p99", format!("{:.0} us", us(0.99)), String::new()));
        }
        print::table(&["", ">FIGURE", "SHARE"], &rows);
        print::line("");
    }

    fn print_answers(&self) {
        for phase in &self.findings.phases {
            let answers: Vec<_> = phase
                .answers
                .iter()
                .map(|(word, count)| format!("{} {}", print::grouped(*count), word.replace('_', " ")))
                .collect();
            print::line(format_args!("{}: {}", phase.name, answers.join(", ")));
        }
    }

    fn print_particulars(&self) {
        for found in &self.findings.particulars {
            let mut words = Vec::new();
            if let Some((p99, max)) = found.pacing_late_us {
                words.push(format!("released late by {p99:.0} us (p99), {max:.0} us at the most"));
            }
            if let Some(drained) = found.drained_ms.filter(|drained| *drained >= 1.0) {
                words.push(format!("the last answer {drained:.0} ms after the last was due"));
            }
            for (count, what) in [
                (found.unsent as u64, "never sent"),
                (found.unanswered as u64, "without an answer"),
                (found.refused_busy, "refused as busy"),
                (found.repeats_alike as u64, "repeats answered alike"),
                (found.reconnects, "connections opened anew"),
                (found.resent, "sent again over them"),
            ] {
                if count > 0 {
                    words.push(format!("{} {what}", print::grouped(count)));
                }
            }
            if let Some((low, high)) = found.retry_after_ms {
                words.push(format!("told to wait {low} to {high} ms"));
            }
            if !words.is_empty() {
                print::line(format_args!("{}: {}", found.phase, words.join("; ")));
            }
        }
        if let Some(seen) = self.seen
            && seen.memory_max_mib > 0.0
        {
            let limit = self.limit_requests.map_or(String::new(), |limit| format!(" (limit {})", print::grouped(limit)));
            print::line(format_args!(
                "engine: {} requests under way at the most{limit}; memory with the client's {:.0} MiB at first, {:.0} MiB at the most",
                print::grouped(seen.requests_under_way_max as u64),
                seen.memory_before_mib,
                seen.memory_max_mib,
            ));
        }
    }

    fn print_audit(&self) {
        let audit = &self.findings.audit;
        print::line(format_args!(
            "audit: {} requests, {} answered, {} recorded, {} activations, {} differences, to position {}",
            print::grouped(audit.requests),
            print::grouped(audit.answered),
            print::grouped(audit.recorded),
            print::grouped(audit.activations),
            print::grouped(audit.differences.count() as u64),
            print::grouped(audit.position.0),
        ));
    }
}

fn per_second(phase: &Phase) -> f64 {
    phase.latency.len() as f64 / phase.elapsed.as_secs_f64().max(1e-9)
}

fn activations_per_second(phase: &Phase) -> f64 {
    phase.answers.get("redeemed").copied().unwrap_or(0) as f64 / phase.elapsed.as_secs_f64().max(1e-9)
}

fn model_words(model: Model) -> String {
    match model {
        Model::Open { per_second } => format!("open, {}/s", print::grouped(per_second as u64)),
        Model::Closed { window } => format!("closed, {} in flight", print::grouped(window as u64)),
        Model::Burst => "burst".to_owned(),
    }
}

fn row(phase: &Phase) -> Vec<String> {
    let time = |ns: u64| format!("{:.2?}", Duration::from_nanos(ns));
    let at = |quantile: f64| time(phase.latency.value_at_quantile(quantile));
    vec![
        phase.name.clone(),
        format!("{}, {} conn", model_words(phase.model), phase.connections),
        print::grouped(phase.sent),
        print::grouped(per_second(phase) as u64),
        at(0.5),
        at(0.99),
        at(0.999),
        time(phase.latency.max()),
        print::grouped(phase.busy),
    ]
}

fn phase_json(phase: &Phase) -> serde_json::Value {
    let us = |quantile: f64| phase.latency.value_at_quantile(quantile) as f64 / 1e3;
    serde_json::json!({
        "name": phase.name,
        "model": phase.model,
        "connections": phase.connections,
        "sent": phase.sent,
        "answers": phase.answers,
        "busy": phase.busy,
        "elapsed_s": phase.elapsed.as_secs_f64(),
        "answers_per_second": per_second(phase),
        "activations_per_second": activations_per_second(phase),
        "p50_us": us(0.5),
        "p99_us": us(0.99),
        "p999_us": us(0.999),
        "max_us": phase.latency.max() as f64 / 1e3,
        "series": phase.series,
    })
}
