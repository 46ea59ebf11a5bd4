//! The grammar of label selectors in query strings.

use super::lexer::{Token, TokenKind, tokens};
use super::{Error, Operator, Requirement};
use crate::names;

/// Reads a comma-separated list of requirements, sorted by key.
pub fn parse(text: &str) -> Result<Vec<Requirement>, Error> {
    let mut parser = Parser {
        tokens: tokens(text),
        at: 0,
    };
    let mut requirements = parser.requirements()?;
    requirements.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(requirements)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

fn unparsable(why: impl std::fmt::Display) -> Error {
    Error(format!("unable to parse requirement: {why}"))
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    /// Takes a token; the end is never passed.
    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        if token.kind != TokenKind::End {
            self.at += 1;
        }
        token
    }

    fn takes(&mut self, kind: TokenKind) -> bool {
        let is = self.peek().kind == kind;
        if is {
            self.take();
        }
        is
    }

    /// In a value position `in` and `notin` are ordinary words.
    fn word(&mut self) -> Option<String> {
        let is_word = matches!(
            self.peek().kind,
            TokenKind::Identifier | TokenKind::In | TokenKind::NotIn
        );
        is_word.then(|| self.take().text)
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, Error> {
        let mut requirements = Vec::new();
        if self.peek().kind == TokenKind::End {
            return Ok(requirements);
        }
        loop {
            requirements.push(self.requirement()?);
            let token = self.take();
            match token.kind {
                TokenKind::End => return Ok(requirements),
                TokenKind::Comma => self.after_comma()?,
                _ => {
                    return Err(Error(format!(
                        "found '{}', expected: ',' or 'end of string'",
                        token.text
                    )));
                }
            }
        }
    }

    fn after_comma(&self) -> Result<(), Error> {
        let token = self.peek();
        match token.kind {
            TokenKind::Identifier | TokenKind::In | TokenKind::NotIn | TokenKind::Not => Ok(()),
            _ => Err(Error(format!(
                "found '{}', expected: identifier after ','",
                token.text
            ))),
        }
    }

    fn requirement(&mut self) -> Result<Requirement, Error> {
        let negated = self.takes(TokenKind::Not);
        let key = self.key()?;
        let ends = matches!(self.peek().kind, TokenKind::End | TokenKind::Comma);
        if negated || ends {
            let operator = if negated {
                Operator::DoesNotExist
            } else {
                Operator::Exists
            };
            return Ok(Requirement {
                key,
                operator,
                values: Vec::new(),
            });
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.list()?,
            _ => vec![self.exact()?],
        };
        checked(Requirement {
            key,
            operator,
            values,
        })
    }

    fn key(&mut self) -> Result<String, Error> {
        let Some(key) = self.word() else {
            let found = &self.peek().text;
            return Err(unparsable(format!(
                "found '{found}', expected: !, identifier, or 'end of string'"
            )));
        };
        let problems = names::qualified(&key);
        if problems.is_empty() {
            return Ok(key);
        }
        Err(unparsable(format!(
            "<nil>: Invalid value: {key:?}: {}",
            problems.join("; ")
        )))
    }

    fn operator(&mut self) -> Result<Operator, Error> {
        let token = self.take();
        Ok(match token.kind {
            TokenKind::In => Operator::In,
            TokenKind::NotIn => Operator::NotIn,
            TokenKind::Equals | TokenKind::DoubleEquals => Operator::Equals,
            TokenKind::NotEquals => Operator::NotEquals,
            TokenKind::Greater => Operator::GreaterThan,
            TokenKind::Less => Operator::LessThan,
            _ => {
                return Err(unparsable(format!(
                    "found '{}', expected: in, notin, =, ==, !=, gt, lt",
                    token.text
                )));
            }
        })
    }

    /// `(a,b)`; an empty member stands for the empty value.
    fn list(&mut self) -> Result<Vec<String>, Error> {
        let token = self.take();
        if token.kind != TokenKind::Open {
            return Err(unparsable(format!("found '{}' expected: '('", token.text)));
        }
        let mut values = Vec::new();
        loop {
            values.push(self.word().unwrap_or_default());
            let token = self.take();
            match token.kind {
                TokenKind::Comma => {}
                TokenKind::Close => break,
                _ => {
                    return Err(unparsable(format!(
                        "found '{}', expected: ',', or ')'",
                        token.text
                    )));
                }
            }
        }
        values.sort();
        values.dedup();
        Ok(values)
    }

    fn exact(&mut self) -> Result<String, Error> {
        if matches!(self.peek().kind, TokenKind::End | TokenKind::Comma) {
            return Ok(String::new());
        }
        self.word().ok_or_else(|| {
            unparsable(format!(
                "found '{}', expected: identifier",
                self.peek().text
            ))
        })
    }
}

fn checked(requirement: Requirement) -> Result<Requirement, Error> {
    let ordered = matches!(
        requirement.operator,
        Operator::GreaterThan | Operator::LessThan
    );
    for (n, value) in requirement.values.iter().enumerate() {
        let problems = names::label_value(value);
        if !problems.is_empty() {
            return Err(unparsable(format!(
                "values[{n}][{}]: Invalid value: {value:?}: {}",
                requirement.key,
                problems.join("; ")
            )));
        }
        if ordered && value.parse::<i64>().is_err() {
            return Err(unparsable(format!(
                "values[{n}]: Invalid value: {value:?}: for 'Gt', 'Lt' operators, the value must be an integer"
            )));
        }
    }
    Ok(requirement)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_says_where() {
        let cases = [
            ("a==b==c", "found '==', expected: ',' or 'end of string'"),
            (
                "a in b",
                "unable to parse requirement: found 'b' expected: '('",
            ),
            (
                "=a",
                "unable to parse requirement: found '=', expected: !, identifier, or 'end of string'",
            ),
            ("a,,b", "found ',', expected: identifier after ','"),
        ];
        for (text, message) in cases {
            assert_eq!(parse(text), Err(Error(message.to_owned())), "{text}");
        }
        assert!(parse("a in (").is_err() && parse("a in (b").is_err() && parse("é=1").is_err());
    }

    #[test]
    fn keywords_may_be_values_and_values_may_be_empty() {
        assert_eq!(
            parse("a=in").map(|r| r[0].values.clone()),
            Ok(vec!["in".to_owned()])
        );
        assert_eq!(
            parse("a=").map(|r| r[0].values.clone()),
            Ok(vec![String::new()])
        );
    }
}
