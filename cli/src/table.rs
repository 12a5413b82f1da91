//! Columns below each other, by the width that a terminal gives to each character.

use unicode_width::UnicodeWidthStr;

/// A cell wider than this is cut, so that one long name does not push all others off the screen.
const WIDEST: usize = 48;

/// The lines of a table: the first row is the heading; columns are two spaces apart, the last is neither cut nor filled.
pub(crate) fn lines<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    painted(rows, |_, _| None)
}

/// The same; `paint` says by which colour a cell is shown, its row and its column being given.
pub(crate) fn painted<const N: usize>(rows: &[[String; N]], paint: impl Fn(usize, usize) -> Option<Colour>) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width().min(WIDEST));
        }
    }
    rows.iter()
        .enumerate()
        .map(|(number, row)| {
            let mut line = String::new();
            for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
                let colour = paint(number, index);
                if index + 1 == N {
                    line.push_str(&shown(cell, colour));
                    break;
                }
                let cell = cut(cell);
                let free = width.saturating_sub(cell.width()) + 2;
                line.push_str(&shown(&cell, colour));
                line.extend(std::iter::repeat_n(' ', free));
            }
            line.truncate(line.trim_end().len());
            line
        })
        .collect()
}

/// A colour of a terminal (ECMA-48 section 8.3.117).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Red,
    Yellow,
    Green,
}

fn shown(cell: &str, colour: Option<Colour>) -> String {
    let code = match colour {
        None => return cell.to_owned(),
        Some(Colour::Red) => 31,
        Some(Colour::Yellow) => 33,
        Some(Colour::Green) => 32,
    };
    format!("\u{1b}[{code}m{cell}\u{1b}[0m")
}

fn cut(cell: &str) -> String {
    if cell.width() <= WIDEST {
        return cell.to_owned();
    }
    let mut short = String::new();
    for letter in cell.chars() {
        short.push(letter);
        if short.width() >= WIDEST {
            short.pop();
            break;
        }
    }
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_take_two_cells() {
        let rows = [["A", "b"], ["日本", "c"], ["žluť", "d"]].map(|row| row.map(str::to_owned));
        assert_eq!(lines(&rows), ["A     b", "日本  c", "žluť  d"]);
    }

    #[test]
    fn colours_take_no_room() {
        let rows = [["A", "b"], ["long", "c"]].map(|row| row.map(str::to_owned));
        let painted = painted(&rows, |row, column| (row == 0 && column == 0).then_some(Colour::Red));
        assert_eq!(painted, ["\u{1b}[31mA\u{1b}[0m     b", "long  c"]);
    }

    #[test]
    fn a_long_name_is_cut() {
        let rows = [["x".repeat(60), "end".to_owned()]];
        assert_eq!(lines(&rows), [format!("{}…  end", "x".repeat(47))]);
    }
}
