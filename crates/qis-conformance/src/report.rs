//! What a suite found.

use std::error::Error;
use std::fmt;

/// A suite that found nothing wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// The names of the checks that passed, in their order.
    pub passed: Vec<&'static str>,
    /// The checks that could not be made of this implementation.
    pub left_out: Vec<LeftOut>,
}

/// A check that could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub check: &'static str,
    /// What it would have needed.
    pub why: &'static str,
}

/// A check that did not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Violation {
    /// The name of the check.
    pub check: &'static str,
    /// The sentence of the trait's list that does not hold; none when the implementation could not be opened or called, which no
    /// sentence is about.
    pub sentence: Option<&'static str>,
    /// What was seen.
    pub found: String,
}

/// An implementation that does not keep to its trait. It prints each broken sentence and what was seen, for `Debug` too, which is what a
/// failed test shows.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failures {
    /// The trait.
    pub of: &'static str,
    /// What is wrong, at most one for each check.
    pub violations: Vec<Violation>,
    /// How many checks passed.
    pub passed: usize,
}

impl Failures {
    /// The broken sentences, in the order of the checks.
    pub fn sentences(&self) -> impl Iterator<Item = &'static str> {
        self.violations.iter().filter_map(|violation| violation.sentence)
    }
}

impl Error for Failures {}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, of) = (self.violations.len(), self.of);
        write!(f, "{failed} of {} checks of the {of} failed", failed + self.passed)?;
        self.violations.iter().try_for_each(|violation| write!(f, "\n\n{violation}"))
    }
}

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { check, sentence, found } = self;
        write!(f, "{check}: ")?;
        match sentence {
            Some(sentence) => write!(f, "does not hold: {sentence:?}\n  {found}"),
            None => f.write_str(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_print_the_sentence_and_what_was_seen() {
        let violation =
            |sentence| Violation { check: "a_check", sentence, found: "3 rows instead of 4".to_owned() };
        let failures = Failures {
            of: "store",
            violations: vec![violation(Some("`range` sees all.")), violation(None)],
            passed: 5,
        };
        let expected = "2 of 7 checks of the store failed\n\n\
             a_check: does not hold: \"`range` sees all.\"\n  3 rows instead of 4\n\n\
             a_check: 3 rows instead of 4";
        assert_eq!(failures.to_string(), expected);
        assert_eq!(format!("{failures:?}"), expected);
        assert_eq!(failures.sentences().count(), 1);
    }
}
