//! Columns below each other, by the width that a terminal gives to each character.

use unicode_width::UnicodeWidthStr;

/// A cell wider than this is cut, so that one long name does not push all others off the screen.
const WIDEST: usize = 48;

/// The lines of a table: the first row is the heading; columns are two spaces apart, the last is neither cut nor filled.
pub(crate) fn lines<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width().min(WIDEST));
        }
    }
    rows.iter()
        .map(|row| {
            let mut line = String::new();
            for (index, (cell, width)) in row.iter().zip(widths).enumerate() {
                if index + 1 == N {
                    line.push_str(cell);
                    break;
                }
                let cell = cut(cell);
                let free = width.saturating_sub(cell.width()) + 2;
                line.push_str(&cell);
                line.extend(std::iter::repeat_n(' ', free));
            }
            line.truncate(line.trim_end().len());
            line
        })
        .collect()
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
    fn a_long_name_is_cut() {
        let rows = [["x".repeat(60), "end".to_owned()]];
        assert_eq!(lines(&rows), [format!("{}…  end", "x".repeat(47))]);
    }
}
