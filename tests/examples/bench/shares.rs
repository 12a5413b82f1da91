//! Whose time a renewal took, as the daemon's log tells it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Whose time it is, as the daemon's log calls them; what remains is its own.
pub(crate) const WHOSE: [&str; 6] = ["all", "card", "helper", "authority", "person", "own"];

/// Microseconds by step, in the order of [`WHOSE`].
pub(crate) type Shares = Vec<(String, [f64; 6])>;

/// What a log has said so far. Twins take some steps twice: these are added.
pub(crate) fn read(log: &Path) -> Shares {
    let log = fs::read_to_string(log).expect("a log");
    let mut shares = Shares::new();
    for line in log.lines().filter(|line| line.contains(" obnovad::shares: ")) {
        let fields: BTreeMap<&str, &str> = line.split(' ').filter_map(|word| word.split_once('=')).collect();
        let step = fields["step"].trim_matches('"');
        let at = shares.iter().position(|(other, _)| other == step).unwrap_or_else(|| {
            shares.push((step.to_owned(), [0.0; 6]));
            shares.len() - 1
        });
        for (sum, whose) in shares[at].1.iter_mut().zip(WHOSE) {
            *sum += fields[whose].parse::<f64>().expect("microseconds");
        }
    }
    shares
}
