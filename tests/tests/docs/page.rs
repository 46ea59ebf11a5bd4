//! A page of the manual: which commands, in which order, where.

use std::fmt;

/// A page with its runs, in order.
pub struct Page {
    pub file: String,
    pub runs: Vec<Run>,
}

/// Commands that one shell runs on one machine.
pub struct Run {
    pub place: Place,
    pub is_offline: bool,
    /// Of the line that says so.
    pub line: usize,
    pub blocks: Vec<Block>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A bare machine made of namespaces.
    Machine,
    /// The same, and a cluster on it.
    Cluster,
    /// A virtual machine under systemd.
    Vm,
}

/// One ```` ```sh ```` block.
pub struct Block {
    /// Of its first command.
    pub line: usize,
    pub text: String,
}

/// What is wrong with a page, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    line: usize,
    what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.what)
    }
}

/// What a fence may say: what is typed, what is shown, and files.
const SHOWN: [&str; 5] = ["text", "yaml", "json", "toml", "ini"];

/// Where the reader of a page is.
enum Reading {
    Prose { after_blank: bool },
    Commands(Block),
    Shown,
}

impl Page {
    /// # Errors
    /// Commands that would not be run: without a run line, or in a block that is not ```` ```sh ````.
    pub fn parse(file: &str, text: &str) -> Result<Self, Problem> {
        let mut runs: Vec<Run> = Vec::new();
        let mut reading = Reading::Prose { after_blank: true };
        for (line, content) in (1..).zip(text.lines()) {
            let problem = |what: String| Problem { line, what };
            reading = match reading {
                Reading::Commands(block) if content == "```" => {
                    let run = runs.last_mut();
                    run.ok_or_else(|| {
                        problem("commands before any line <!-- run: ... -->".into())
                    })?
                    .blocks
                    .push(block);
                    Reading::Prose { after_blank: false }
                }
                Reading::Commands(mut block) => {
                    block.text.push_str(content);
                    block.text.push('\n');
                    Reading::Commands(block)
                }
                Reading::Shown if content == "```" => Reading::Prose { after_blank: false },
                Reading::Shown => Reading::Shown,
                Reading::Prose { after_blank } => {
                    runs.extend(run_line(content, line).map_err(problem)?);
                    prose(content, line, after_blank).map_err(problem)?
                }
            };
        }
        match reading {
            Reading::Prose { .. } => Ok(Self {
                file: file.to_owned(),
                runs,
            }),
            _ => Err(Problem {
                line: text.lines().count(),
                what: "a block without an end".into(),
            }),
        }
    }
}

fn prose(content: &str, line: usize, after_blank: bool) -> Result<Reading, String> {
    if let Some(language) = content.strip_prefix("```") {
        return match language {
            "sh" => Ok(Reading::Commands(Block {
                line: line + 1,
                text: String::new(),
            })),
            shown if SHOWN.contains(&shown) => Ok(Reading::Shown),
            other => Err(format!(
                "a block of {other:?}; commands are ```sh, what is shown is one of {SHOWN:?}"
            )),
        };
    }
    if content.trim_start().starts_with("```") {
        return Err("a block that does not begin at the margin".into());
    }
    if after_blank && content.starts_with("    ") {
        return Err("an indented block; commands are ```sh, what is shown is ```text".into());
    }
    Ok(Reading::Prose {
        after_blank: content.trim().is_empty(),
    })
}

/// `<!-- run: machine, offline -->`.
fn run_line(content: &str, line: usize) -> Result<Option<Run>, String> {
    let Some(rest) = content.trim().strip_prefix("<!-- run:") else {
        return Ok(None);
    };
    let words = rest.strip_suffix("-->").ok_or("a run line ends with -->")?;
    let mut words = words.split(',').map(str::trim);
    let place = match words.next() {
        Some("machine") => Place::Machine,
        Some("cluster") => Place::Cluster,
        Some("vm") => Place::Vm,
        other => return Err(format!("run: {other:?} is none of machine, cluster, vm")),
    };
    let is_offline = match words.next() {
        None => place == Place::Vm,
        Some("offline") => true,
        Some(other) => return Err(format!("run: {other:?} is not \"offline\"")),
    };
    Ok(Some(Run {
        place,
        is_offline,
        line,
        blocks: Vec::new(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        match Page::parse("x.md", text) {
            Ok(_) => panic!("taken: {text}"),
            Err(problem) => problem.to_string(),
        }
    }

    #[test]
    fn runs_have_their_blocks_in_order() {
        let text = "# X\n<!-- run: machine -->\n```sh\na\nb\n```\nword\n```text\nno\n```\n<!-- run: cluster, offline -->\n```sh\nc\n```\n";
        let page = Page::parse("x.md", text).expect("it is a page");
        let [first, second] = &page.runs[..] else {
            panic!("two runs")
        };
        assert_eq!((first.place, first.is_offline), (Place::Machine, false));
        assert_eq!(
            (first.blocks[0].line, first.blocks[0].text.as_str()),
            (4, "a\nb\n")
        );
        assert_eq!((second.place, second.is_offline), (Place::Cluster, true));
        assert_eq!(second.blocks[0].text, "c\n");
    }

    #[test]
    fn commands_that_nothing_would_run_are_refused() {
        assert!(problem("```sh\na\n```\n").starts_with("3: commands before"));
        assert!(
            problem("<!-- run: machine -->\n```bash\na\n```\n")
                .starts_with("2: a block of \"bash\"")
        );
        assert!(problem("```\na\n```\n").starts_with("1: a block of \"\""));
        assert!(problem("text\n\n    skiff up\n").starts_with("3: an indented block"));
        assert!(problem("* x\n  ```sh\n").starts_with("2: a block that does not begin"));
        assert!(problem("<!-- run: moon -->\n").starts_with("1: run: Some(\"moon\")"));
        assert!(problem("<!-- run: machine -->\n```sh\na\n").contains("without an end"));
    }
}
