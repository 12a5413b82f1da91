//! The figures as a table, and the talk meanwhile.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

/// One figure: how often it was measured, what it may be, what it is elsewhere.
pub(crate) struct Row {
    what: &'static str,
    unit: &'static str,
    samples: Vec<f64>,
    limit: Option<f64>,
    peer: Vec<f64>,
}

impl Row {
    pub(crate) fn new(what: &'static str, unit: &'static str, mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        Self { what, unit, samples, limit: None, peer: Vec::new() }
    }

    /// What it may be at most.
    pub(crate) fn limit(self, limit: Option<f64>) -> Self {
        Self { limit, ..self }
    }

    /// What it is in certmonger.
    pub(crate) fn peer(mut self, mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        self.peer = samples;
        self
    }

    fn cells(&self) -> [String; 7] {
        let figure = |value: f64| match self.unit {
            "s" => format!("{value:.3} s"),
            "MB" => format!("{value:.1} MB"),
            _ => format!("{value:.0}"),
        };
        let middle = median(&self.samples);
        let spread = match self.samples.as_slice() {
            [first, .., last] => format!("{} – {}", figure(*first), figure(*last)),
            _ => String::new(),
        };
        let verdict = match (self.limit, middle) {
            (Some(limit), Some(middle)) if middle <= limit => "ok",
            (Some(_), Some(_)) => "OVER",
            (Some(_), None) => "not seen",
            (None, _) => "",
        };
        let times = match (median(&self.peer), middle) {
            (Some(peer), Some(own)) if own > 0.0 => format!("{:.1}", peer / own),
            _ => String::new(),
        };
        [
            format!("  {}", self.what),
            self.limit.map(|limit| format!("≤ {}", figure(limit))).unwrap_or_default(),
            middle.map(figure).unwrap_or_default(),
            spread,
            verdict.to_owned(),
            median(&self.peer).map(figure).unwrap_or_default(),
            times,
        ]
    }
}

/// Rows under headings.
#[derive(Default)]
pub(crate) struct Table {
    lines: Vec<Line>,
}

enum Line {
    Head(String),
    Row(Row),
    Note(String),
}

impl Table {
    pub(crate) fn head(&mut self, words: &str) {
        self.lines.push(Line::Head(words.to_owned()));
    }

    /// Lines that stand for themselves.
    pub(crate) fn note(&mut self, lines: &str) {
        self.lines.push(Line::Note(lines.to_owned()));
    }

    pub(crate) fn add(&mut self, row: Row) {
        let [what, limit, middle, ..] = row.cells();
        say(format!("{what}: {middle} {limit}").trim_end());
        self.lines.push(Line::Row(row));
    }

    /// Prints it, for eyes.
    pub(crate) fn print(&self) {
        let titles = ["", "limit", "median", "least – most", "", "certmonger", "times ours"].map(str::to_owned);
        let rows = self.lines.iter().filter_map(|line| if let Line::Row(row) = line { Some(row.cells()) } else { None });
        let rows: Vec<[String; 7]> = std::iter::once(titles).chain(rows).collect();
        let width = |column: usize| rows.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..7).map(width).collect();
        let mut text = String::new();
        let mut rows = rows.iter();
        let mut row = |text: &mut String| {
            for (column, (cell, width)) in rows.next().into_iter().flatten().zip(&widths).enumerate() {
                let aligned = if column == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
                text.push_str(&aligned);
            }
            text.truncate(text.trim_end().len());
            text.push('\n');
        };
        row(&mut text);
        for line in &self.lines {
            match line {
                Line::Head(words) | Line::Note(words) => writeln!(text, "{words}").expect("written"),
                Line::Row(_) => row(&mut text),
            }
        }
        write!(std::io::stdout(), "\n{text}\n").expect("printed");
    }
}

/// The one in the middle, or between the two.
pub(crate) fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// What is measured on, and how busy it is otherwise.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let information = read("/proc/cpuinfo");
    let names: Vec<&str> = information
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map(|(_, name)| name)
        .collect();
    let load: Vec<String> = read("/proc/loadavg").split(' ').take(3).map(str::to_owned).collect();
    format!("{} × {}, load {}", names.len(), names.first().unwrap_or(&"processor"), load.join(" "))
}

/// Talk, apart from the table.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("said");
}
