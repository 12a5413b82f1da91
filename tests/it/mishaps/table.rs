//! What came of every mishap: a line for each command of the renewal, and how often each end came.

use std::collections::BTreeMap;
use std::io::Write;

use super::Mishap;
use super::run::End;

pub(super) struct Table {
    lines: Vec<String>,
    /// How often a mishap of one sort ended so.
    sums: BTreeMap<(&'static str, String), usize>,
}

impl Table {
    /// `commands`: the first five bytes of each APDU of the renewal.
    pub(super) fn of(commands: &[[u8; 5]], ends: &[(usize, Mishap, Result<End, String>)]) -> Self {
        let mut table = Self { lines: Vec::new(), sums: BTreeMap::new() };
        for (at, [_, instruction, p1, p2, _]) in (1..).zip(commands) {
            let mut cells = vec![format!("{at:4}  {instruction:02X} {p1:02X} {p2:02X}")];
            for (_, mishap, end) in ends.iter().filter(|(other, ..)| *other == at) {
                let end = end.as_ref().map_or_else(|_| "WRONG".to_owned(), ToString::to_string);
                cells.push(format!("{mishap}: {end}"));
                *table.sums.entry((mishap.sort(), end)).or_default() += 1;
            }
            if cells.len() > 1 {
                table.lines.push(cells.join(" | "));
            }
        }
        table
    }

    /// Past the capture of a test's output: it is what the test is for.
    pub(super) fn print(&self) {
        let sums = self.sums.iter().map(|((sort, end), count)| format!("{count:5} × {sort}: {end}"));
        let text: Vec<String> = self.lines.iter().cloned().chain(sums).collect();
        writeln!(
            std::io::stdout().lock(),
            "\ncommand | what happened at it: where the renewal stood still, how it ended\n{}",
            text.join("\n")
        )
        .expect("written");
    }
}
