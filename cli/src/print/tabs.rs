//! Columns of text, lined up as Go's `text/tabwriter` does, which makes all
//! that kubectl prints: a column is as wide as the widest of its cells on
//! lines that follow one another, and a line's last cell belongs to no column.

/// How wide columns are at least, and what is between them.
#[derive(Clone, Copy)]
pub struct Tabs {
    pub least: usize,
    pub padding: usize,
}

impl Tabs {
    /// Tables, such as `get` shows.
    pub const TABLE: Self = Self {
        least: 6,
        padding: 3,
    };
    /// What `describe` shows.
    pub const PAGE: Self = Self {
        least: 0,
        padding: 2,
    };

    /// The text with its tabs replaced by as many blanks as line it up.
    pub fn align(self, text: &str) -> String {
        let lines: Vec<Vec<&str>> = text.lines().map(|l| l.split('\t').collect()).collect();
        let mut out = String::with_capacity(text.len() * 2);
        self.block(&lines, &mut Vec::new(), &mut out);
        out
    }

    /// Lines that share the columns of `widths`.
    fn block(self, lines: &[Vec<&str>], widths: &mut Vec<usize>, out: &mut String) {
        let column = widths.len();
        let has_cell = |line: &Vec<&str>| column + 1 < line.len();
        let mut rest = lines;
        while let Some(first) = rest.first() {
            let is_in = has_cell(first);
            let until = rest.iter().position(|l| has_cell(l) != is_in);
            let (these, others) = rest.split_at(until.unwrap_or(rest.len()));
            if is_in {
                let cells = these.iter().map(|l| l[column].chars().count());
                let widest = cells.max().unwrap_or(0) + self.padding;
                widths.push(widest.max(self.least));
                self.block(these, widths, out);
                widths.pop();
            } else {
                these.iter().for_each(|line| write(line, widths, out));
            }
            rest = others;
        }
    }
}

fn write(line: &[&str], widths: &[usize], out: &mut String) {
    for (at, cell) in line.iter().enumerate() {
        out.push_str(cell);
        if let Some(width) = widths.get(at) {
            let blanks = width.saturating_sub(cell.chars().count());
            out.extend(std::iter::repeat_n(' ', blanks));
        }
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_but_the_last() {
        let text = Tabs::TABLE.align("NAME\tAGE\nlonger\t1s\n");
        assert_eq!(text, "NAME     AGE\nlonger   1s\n");
        assert_eq!(Tabs::TABLE.align("A\tB\nx\ty\n"), "A     B\nx     y\n");
    }

    #[test]
    fn line_without_a_column_ends_it() {
        let text = Tabs::PAGE.align("A:\t1\nLonger:\t2\nhead\n  B:\t3\n");
        assert_eq!(text, "A:       1\nLonger:  2\nhead\n  B:  3\n");
    }

    #[test]
    fn empty_last_cell_leaves_its_neighbour_padded() {
        assert_eq!(
            Tabs::TABLE.align("N\tRUN\tAPP\nb\tbad\t\n"),
            "N     RUN   APP\nb     bad   \n"
        );
    }
}
