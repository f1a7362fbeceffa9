//! A report as a page: one file, which loads nothing from elsewhere and runs no script.
//!
//! Everything that does not come from this module is escaped, so that a name, a folder or a configuration cannot become markup.

mod chart;
mod curves;
mod escaped;

use self::escaped::Escaped;
use crate::numbers::{grouped, rate, time_us};
use crate::probe::Floor;
use crate::report::{Audit, Climb, Phase, Report};
use crate::table as tables;

/// The page's style sheet.
const STYLE: &str = include_str!("page.css");

/// The page of a report.
pub fn page(report: &Report) -> String {
    let floor = report.floor.as_ref();
    let started = format!("{:.0}", report.started);
    let mut body = vec![header(report, &started)];
    if let Some(audit) = &report.audit {
        body.push(verdict(audit));
    }
    body.push(summary(report));
    if let Some(climb) = &report.climb {
        body.push(climb_section(climb));
    }
    if let Some(floor) = floor {
        body.push(floor_section(floor));
    }
    body.extend(report.phases.iter().enumerate().map(|(n, phase)| phase_section(n, phase, floor)));
    if !report.memory.is_empty() {
        body.push(format!("<section>\n<h2>Memory</h2>\n{}</section>\n", curves::memory(&report.memory)));
    }
    if let Some(audit) = &report.audit {
        body.push(audit_section(audit));
    }
    body.push(configuration(report));
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>Scrip load test, {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
        Escaped(&started),
        body.concat()
    )
}

fn header(report: &Report, started: &str) -> String {
    let commit = report.commit.as_deref().unwrap_or("unknown commit");
    let command = report.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let mut facts =
        vec![("program", format!("scrip {}, {commit}", report.scrip)), ("started", started.to_owned()), ("command", command)];
    facts.extend(report.machine.facts());
    let facts: String =
        facts.iter().map(|(about, what)| format!("<dt>{}</dt><dd>{}</dd>\n", Escaped(about), Escaped(what))).collect();
    format!("<header>\n<h1>Scrip load test</h1>\n<dl>\n{facts}</dl>\n</header>\n")
}

/// A word of a command line as one would type it.
fn quoted(word: &str) -> String {
    let is_plain = |character: char| character.is_alphanumeric() || "-_./=:,@+%".contains(character);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

fn verdict(audit: &Audit) -> String {
    let class = if audit.differences.count() == 0 { "good" } else { "bad" };
    let head = if audit.differences.count() == 0 { "The sums agree." } else { "The sums do not agree." };
    format!("<p class=\"verdict {class}\"><strong>{head}</strong> {}.</p>\n", Escaped(&audit.verdict()))
}

/// A table. Cells are text; a row with a section on the page links to it.
fn table(class: &str, head: &[&str], rows: &[Vec<String>], link: impl Fn(usize) -> Option<String>) -> String {
    let heads: String = head.iter().map(|name| format!("<th>{}</th>", Escaped(name))).collect();
    let row = |(n, row): (usize, &Vec<String>)| {
        let cell = |(column, cell): (usize, &String)| match link(n).filter(|_| column == 0) {
            Some(place) => format!("<td><a href=\"#{place}\">{}</a></td>", Escaped(cell)),
            None => format!("<td>{}</td>", Escaped(cell)),
        };
        format!("<tr>{}</tr>\n", row.iter().enumerate().map(cell).collect::<String>())
    };
    let rows: String = rows.iter().enumerate().map(row).collect();
    format!(
        "<div class=\"wide\"><table class=\"{class}\">\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

/// A table without links.
fn plain_table(head: &[&str], rows: &[Vec<String>]) -> String {
    table("plain", head, rows, |_| None)
}

fn summary(report: &Report) -> String {
    let rows = table("phases", &tables::phases_head(report), &tables::phases(report), |n| Some(phase_place(n)));
    let meaning: String =
        tables::meaning(report).iter().map(|line| format!("<p class=\"small\">{}</p>\n", Escaped(line))).collect();
    let engine = report.engine.as_ref().map_or(String::new(), |engine| format!("<p>Engine: {}.</p>\n", tables::engine(engine)));
    format!("<section>\n<h2>Phases</h2>\n{rows}{meaning}{engine}</section>\n")
}

fn climb_section(climb: &Climb) -> String {
    let rows = plain_table(&tables::STEPS_HEAD, &tables::steps(climb));
    format!(
        "<section>\n<h2>Ramp</h2>\n<p>Rates that rise until the objective breaks; {}.</p>\n{rows}</section>\n",
        tables::rate_held(climb)
    )
}

/// The anchor of a phase's section.
fn phase_place(n: usize) -> String {
    format!("phase-{n}")
}

/// The load, with details that do not fit a column.
fn load(phase: &Phase) -> String {
    match phase.connections {
        1 => format!("{}; 1 connection", phase.model.words()),
        count => format!("{}; {} connections", phase.model.words(), grouped(count as u64)),
    }
}

fn floor_section(floor: &Floor) -> String {
    let rounds = match floor.rounds {
        1 => "one round".to_owned(),
        rounds => format!("{rounds} rounds; the rate is that of the middle one"),
    };
    format!(
        "<section>\n<h2>Floor of the machine</h2>\n<p>What the disk and the network stack do without an engine, measured in the same \
         run, in {rounds}.</p>\n{}</section>\n",
        plain_table(&tables::FLOOR_HEAD, &tables::floor(floor))
    )
}

fn phase_section(n: usize, phase: &Phase, floor: Option<&Floor>) -> String {
    let mut parts = vec![format!(
        "<section id=\"{}\">\n<h2>{}</h2>\n<p><strong class=\"load\">{}.</strong> {}</p>\n",
        phase_place(n),
        Escaped(&phase.name),
        Escaped(&load(phase)),
        Escaped(phase.model.meaning())
    )];
    let mut counts = vec![vec!["sent".to_owned(), grouped(phase.sent)], vec!["answered busy".to_owned(), grouped(phase.busy)]];
    counts.extend(phase.answers.iter().map(|(word, count)| vec![word.replace('_', " "), grouped(*count)]));
    counts.push(vec!["took".to_owned(), time_us(phase.elapsed.as_secs_f64() * 1e6)]);
    counts.push(vec!["answered".to_owned(), rate(phase.per_second())]);
    if phase.activations != phase.answered() {
        counts.push(vec!["activated".to_owned(), rate(phase.activations_per_second())]);
    }
    counts.extend(phase.processor_us().map(|us| vec!["processor, each".to_owned(), time_us(us)]));
    let mut tables = plain_table(&["requests", ""], &counts);
    if !phase.latency.is_empty() {
        let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];
        let mut rows: Vec<Vec<String>> =
            quantiles.iter().map(|(name, quantile)| vec![(*name).to_owned(), time_us(phase.quantile_us(*quantile))]).collect();
        rows.push(vec!["max".to_owned(), time_us(phase.max_us())]);
        rows.push(vec!["mean".to_owned(), time_us(phase.latency.mean() / 1e3)]);
        tables.push_str(&plain_table(&["latency", ""], &rows));
    }
    let beside = tables::particulars(phase);
    if !beside.is_empty() {
        tables.push_str(&plain_table(&["beside", ""], &beside));
    }
    parts.push(format!("<div class=\"tables\">\n{tables}</div>\n"));
    parts.push(curves::throughput(phase, floor));
    parts.push(curves::latency(phase, floor));
    parts.push(curves::percentiles(phase, floor));
    parts.push("</section>\n".to_owned());
    parts.concat()
}

fn audit_section(audit: &Audit) -> String {
    let counts: Vec<Vec<String>> = audit.counts.rows().map(|(word, count)| vec![word.to_owned(), grouped(count)]).into();
    let mut differences: String =
        audit.differences.texts().iter().map(|difference| format!("<li>{}</li>\n", Escaped(difference))).collect();
    let beyond = audit.differences.count().saturating_sub(audit.differences.texts().len());
    if beyond > 0 {
        differences.push_str(&format!("<li>and {} more</li>\n", grouped(beyond as u64)));
    }
    let list = if differences.is_empty() { String::new() } else { format!("<ul class=\"bad\">\n{differences}</ul>\n") };
    format!(
        "<section>\n<h2>Audit</h2>\n<p>The records of the run, recounted and compared with the answers that callers received and with what the \
         engine reports.</p>\n{list}<div class=\"tables\">\n{}</div>\n</section>\n",
        plain_table(&["counted", ""], &counts)
    )
}

fn configuration(report: &Report) -> String {
    // A value in memory always has a pretty form; the plain form is a fallback.
    let text = serde_json::to_string_pretty(&report.configuration).unwrap_or_else(|_| report.configuration.to_string());
    format!("<section>\n<h2>Configuration</h2>\n<pre>{}</pre>\n</section>\n", Escaped(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference::Differences;
    use crate::report::samples;

    /// Checks that every element has its own end tag, that attributes are quoted, and that no markup is left open.
    fn check_well_formed(page: &str) {
        let page = page.strip_prefix("<!DOCTYPE html>").expect("it begins as a page does");
        let mut open: Vec<&str> = Vec::new();
        let mut rest = page;
        while let Some(at) = rest.find('<') {
            assert!(!rest[..at].contains('>'), "a bare > before {:?}", &rest[..at]);
            let (tag, after) = rest[at + 1..].split_once('>').expect("a tag ends");
            assert!(!tag.contains('<'), "a < within {tag:?}");
            assert!(tag.matches('"').count().is_multiple_of(2), "a quote is open in {tag:?}");
            let name = |tag: &'_ str| tag.find(char::is_whitespace).unwrap_or(tag.len());
            match (tag.strip_prefix('/'), tag.ends_with('/')) {
                (Some(end), _) => assert_eq!(open.pop(), Some(end), "at {:?}", &rest[..at]),
                (None, true) => {}
                (None, false) => open.push(&tag[..name(tag)]),
            }
            rest = after;
        }
        assert!(open.is_empty(), "{open:?} is not closed");
    }

    #[test]
    fn a_page_is_well_formed_and_self_contained() {
        let page = page(&samples::report());
        check_well_formed(&page);
        for absent in ["NaN", "inf\"", "inf ", "<script", "http:", "https:", "url(", "@import"] {
            assert!(!page.contains(absent), "{absent:?} is on the page");
        }
        for present in [
            "A &lt;fast&gt; CPU &amp; more",
            "&lt;/pre&gt;&lt;script&gt;",
            "nothing &lt;yet&gt;",
            "&#39;/tmp/a b&#39;",
            "0123456789ab-dirty",
            "open loop, 50,000/s; 2 connections",
            "closed loop, 16,384 in flight; 2 connections",
            "Latency counts from the time a request was due",
            "763,005 records recounted: no difference",
            "the last rate that held: 20,000/s",
            "<td>released late, p99</td><td>120 µs</td>",
            "16,384 requests under way at most, of 65,536 allowed",
        ] {
            assert!(page.contains(present), "{present:?} is missing");
        }
        // Throughput, latency and percentiles of four phases, and memory.
        assert_eq!(page.matches("<svg").count(), 4 * 3 + 1);
        assert!(page.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn a_report_of_nothing_is_a_page() {
        let mut report = samples::report();
        report.phases = vec![samples::nothing("")];
        (report.floor, report.commit, report.audit) = (None, None, None);
        (report.climb, report.engine) = (None, None);
        report.memory.clear();
        let page = page(&report);
        check_well_formed(&page);
        assert!(!page.contains("<svg") && !page.contains("NaN") && page.contains("unknown commit"), "{page}");
    }

    #[test]
    fn differences_are_shown_with_how_many_there_are_beyond() {
        let mut report = samples::report();
        let audit = report.audit.get_or_insert_default();
        audit.differences = Differences::read(3, vec!["client <1>".to_owned()]);
        let page = page(&report);
        check_well_formed(&page);
        assert!(page.contains("The sums do not agree.") && page.contains("<li>client &lt;1&gt;</li>"));
        assert!(page.contains("<li>and 2 more</li>"));
    }
}
