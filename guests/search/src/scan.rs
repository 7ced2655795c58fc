//! The search itself. No host calls in here.

use serde::Serialize;

/// What was found.
#[derive(Debug, Serialize)]
pub struct Found {
    /// The word that was looked for.
    pub query: String,
    /// How often it occurs.
    pub matches: usize,
    /// The first lines that hold it.
    pub hits: Vec<Hit>,
}

/// A line that holds the word.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Hit {
    /// Its number, from one.
    pub line: usize,
    /// Its text, without the space around it.
    pub text: String,
}

/// Whether a character is part of a word. `_` marks italics in plain text.
pub fn is_in_word(character: char) -> bool {
    character.is_alphanumeric() || character == '\''
}

/// Counts where `query` is a whole word of `text`, whatever its case, and
/// collects the first `limit` lines that hold it.
pub fn scan(text: &str, query: &str, limit: usize) -> Found {
    let lower = query.to_lowercase();
    let mut found = Found { query: query.to_owned(), matches: 0, hits: Vec::new() };
    for (index, line) in text.lines().enumerate() {
        let matches = line.split(|c| !is_in_word(c)).filter(|word| is_same(word, &lower)).count();
        if matches > 0 && found.hits.len() < limit {
            found.hits.push(Hit { line: index + 1, text: line.trim().to_owned() });
        }
        found.matches += matches;
    }
    found
}

/// Whether `word` is `lower` but for its case.
fn is_same(word: &str, lower: &str) -> bool {
    if word.is_ascii() {
        return word.eq_ignore_ascii_case(lower);
    }
    word.to_lowercase() == lower
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_count_whatever_their_case() {
        let found = scan("Light of lights\n\n  the _light_, LIGHT\n", "light", 1);
        assert_eq!(found.matches, 3);
        assert_eq!(found.hits, [Hit { line: 1, text: "Light of lights".to_owned() }]);
    }

    #[test]
    fn a_word_beyond_ascii_is_found() {
        assert_eq!(scan("Été, été", "ÉTÉ", 9).matches, 2);
    }
}
