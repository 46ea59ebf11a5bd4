//! Splits a label selector's text into words and signs.

/// One word or sign, with the text it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: TokenKind,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    Identifier,
    In,
    NotIn,
    Comma,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    Not,
    Open,
    Close,
    End,
    /// A run of signs that means nothing.
    Unknown,
}

const SIGNS: &str = "=!(),><";

pub fn tokens(text: &str) -> Vec<Token> {
    let mut rest = text.trim_start();
    let mut tokens = Vec::new();
    while !rest.is_empty() {
        let (token, length) = next(rest);
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    tokens.push(Token {
        kind: TokenKind::End,
        text: String::new(),
    });
    tokens
}

fn next(rest: &str) -> (Token, usize) {
    let token = |kind, text: &str| {
        let length = text.len();
        (
            Token {
                kind,
                text: text.to_owned(),
            },
            length,
        )
    };
    if rest.starts_with(|c| SIGNS.contains(c)) {
        // The longest sign wins: `==` before `=`, `!=` before `!`.
        for length in [2, 1] {
            let Some(sign) = rest.get(..length) else {
                continue;
            };
            if let Some(kind) = sign_kind(sign) {
                return token(kind, sign);
            }
        }
        return token(TokenKind::Unknown, &rest[..1]);
    }
    let ends = |c: char| c.is_whitespace() || SIGNS.contains(c);
    let word = &rest[..rest.find(ends).unwrap_or(rest.len())];
    let kind = match word {
        "in" => TokenKind::In,
        "notin" => TokenKind::NotIn,
        _ => TokenKind::Identifier,
    };
    token(kind, word)
}

fn sign_kind(sign: &str) -> Option<TokenKind> {
    Some(match sign {
        "," => TokenKind::Comma,
        "=" => TokenKind::Equals,
        "==" => TokenKind::DoubleEquals,
        "!=" => TokenKind::NotEquals,
        ">" => TokenKind::Greater,
        "<" => TokenKind::Less,
        "!" => TokenKind::Not,
        "(" => TokenKind::Open,
        ")" => TokenKind::Close,
        _ => return None,
    })
}
